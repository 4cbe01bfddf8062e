//! Broken glass.

use core_types::{Limit, Restriction, Subject, UnixTime};
use iam_policy::context::Text;
use iam_policy::plan::MAX_BREAK_GLASS_MILLIS;
use iam_policy::{Grantor, Lint, WriteError};

use crate::fixture::{Fixture, LATER, NOW, deny, whole};

fn reason() -> Text {
    Text::new("the last administrator denied herself everything").unwrap()
}

#[test]
fn who_is_denied_everything_can_repair_until_the_glass_is_closed_or_the_day_is_over() {
    let mut fixture = Fixture::new();
    let root = fixture.root;
    let (policy, group) = (fixture.policy(&[deny(&["*:*"])]), fixture.group("/"));
    fixture.bind_until(policy, group, "/", Limit::Unlimited);
    let caller = whole(root);
    fixture.by(&caller, |plan, _| plan.set_boundary(root, Restriction::nothing())).unwrap();
    fixture
        .iam
        .commit(
            fixture
                .iam
                .directory()
                .plan(Grantor::dangerous_unguarded(), NOW)
                .add_member(group, root)
                .unwrap(),
        )
        .unwrap();
    assert!(!fixture.allows(root, "iam:write", "/"));
    // Not by herself.
    let refused = fixture.by(&caller, |plan, iam| plan.break_glass(root, reason(), LATER, iam.rng()));
    assert!(matches!(refused, Err(WriteError::Escalation { .. })));
    let plan = fixture.iam.directory().plan(Grantor::dangerous_unguarded(), NOW);
    let planned = plan.break_glass(root, reason(), LATER, fixture.iam.rng()).unwrap();
    let id = fixture.iam.commit(planned).unwrap();
    assert!(fixture.allows(root, "iam:write", "/") && fixture.allows(root, "apps:read", "project/web"));
    let record = fixture.iam.directory().broken_glass().next().unwrap().clone();
    assert_eq!((record.id, record.subject, record.at, record.until), (id, root, NOW, LATER));
    assert_eq!(record.boundary, Limit::Only(Restriction::nothing()));
    assert_eq!(record.left.into_iter().collect::<Vec<_>>(), [group]);
    assert_eq!((record.was_disabled, record.ended.len()), (false, 0));
    let found = fixture.iam.directory().lint(NOW, None);
    assert!(found.iter().any(|finding| finding.lint == Lint::BrokenGlass));
    fixture.by(&caller, |plan, _| plan.close_glass(id)).unwrap();
    assert_eq!(fixture.iam.directory().broken_glass().count(), 0);
    assert_eq!(fixture.iam.directory().binding(record.binding), None);
}

#[test]
fn a_disabled_subject_of_a_tenant_comes_to_hold_its_tenant_and_no_other() {
    let mut fixture = Fixture::new();
    let alice = fixture.user("project/web");
    let denying = fixture.policy(&[deny(&["apps:*"])]);
    let binding = fixture.bind_until(denying, alice, "project/web", Limit::Unlimited);
    let root = whole(fixture.root);
    fixture.by(&root, |plan, _| plan.disable(alice)).unwrap();
    let broken = fixture.by(&root, |plan, iam| plan.break_glass(alice, reason(), LATER, iam.rng()));
    broken.unwrap();
    assert!(fixture.allows(alice, "apps:read", "project/web"));
    assert!(!fixture.allows(alice, "apps:read", "project/shop") && !fixture.allows(alice, "apps:read", "/"));
    let record = fixture.iam.directory().broken_glass().next().unwrap();
    assert!(record.was_disabled && record.ended.contains(&binding));
    fixture.iam.set_now(LATER);
    assert!(!fixture.allows(alice, "apps:read", "project/web"));
}

#[test]
fn glass_is_broken_for_a_day_at_most_and_only_for_who_is_there() {
    let mut fixture = Fixture::new();
    let root = whole(fixture.root);
    let mut try_until = |subject: Subject, until: UnixTime| {
        fixture.by(&root, |plan, iam| plan.break_glass(subject, reason(), until, iam.rng())).map(drop)
    };
    let day = UnixTime::from_millis(NOW.as_millis() + MAX_BREAK_GLASS_MILLIS);
    let stranger = "usr_00000000000000000000000009".parse().unwrap();
    assert_eq!(try_until(stranger, LATER), Err(WriteError::UnknownSubject(stranger)));
    assert_eq!(try_until(stranger, NOW), Err(WriteError::AlreadyExpired));
    let later = UnixTime::from_millis(day.as_millis() + 1);
    assert!(matches!(try_until(stranger, later), Err(WriteError::TooMany { .. })));
    let root = fixture.root;
    let nobody = fixture.user("/");
    let refused = fixture.by(&whole(nobody), |plan, iam| plan.break_glass(root, reason(), day, iam.rng()));
    assert!(matches!(refused, Err(WriteError::Escalation { .. })));
    assert!(fixture.by(&whole(root), |plan, iam| plan.break_glass(root, reason(), day, iam.rng())).is_ok());
    let id = fixture.iam.directory().broken_glass().next().unwrap().id;
    let refused = fixture.by(&whole(nobody), |plan, _| plan.close_glass(id));
    assert!(matches!(refused, Err(WriteError::Escalation { .. })));
}
