//! What is refused, and with which word.

use core_types::{Id, Limit, Principal, Restriction, Subject, TokenId};
use iam_policy::{BuiltInRole, Grantor, Holder, PatternSet, WriteError};

use crate::fixture::{Caller, Fixture, LATER, LATEST, NOW, escalation, grant, name, patterns, scope, whole};

#[test]
fn there_is_one_first_administrator() {
    let fixture = Fixture::new();
    let directory = fixture.iam.directory();
    assert!(directory.is_started());
    let again = directory.plan_first_administrator(name(), NOW, fixture.iam.rng());
    assert_eq!(again.unwrap_err(), WriteError::AlreadyStarted);
}

#[test]
fn a_caller_that_is_unknown_disabled_or_expired_changes_nothing() {
    let mut fixture = Fixture::new();
    let stranger = whole(Subject::User(Id::from_bytes([9; 16])));
    let refused = fixture.by(&stranger, |plan, iam| plan.create_group(name(), scope("/"), iam.rng()));
    assert_eq!(refused, Err(WriteError::CallerUnknown));
    let expired = Caller::new(fixture.root, Restriction::unrestricted().expiring(NOW));
    let refused = fixture.by(&expired, |plan, iam| plan.create_group(name(), scope("/"), iam.rng()));
    assert_eq!(refused, Err(WriteError::CallerExpired));
    let user = fixture.user("/");
    let root = whole(fixture.root);
    fixture.by(&root, |plan, _| plan.disable(user)).unwrap();
    let refused = fixture.by(&whole(user), |plan, iam| plan.create_group(name(), scope("/"), iam.rng()));
    assert_eq!(refused, Err(WriteError::CallerDisabled));
}

#[test]
fn who_holds_a_right_can_bind_it_there_and_below_and_nothing_more() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["apps:*", "compute:read"], "project/web");
    let mut bind = |permissions: &[&str], at: &str| {
        let role = fixture.role("/", permissions);
        let plan = fixture.by(&whole(lead), |plan, iam| {
            plan.bind(role.into(), dev.into(), scope(at), Limit::Unlimited, iam.rng())
        });
        plan.map(|_| ())
    };
    assert_eq!(bind(&["apps:read"], "project/web"), Ok(()));
    assert_eq!(bind(&["apps:*", "compute:read"], "project/web/vcluster/ci"), Ok(()));
    assert_eq!(bind(&[], "project/shop"), Ok(()));
    assert_eq!(bind(&["apps:read"], "project/shop"), Err(escalation("apps:read", "project/shop")));
    assert_eq!(bind(&["apps:read"], "/"), Err(escalation("apps:read", "/")));
    assert_eq!(bind(&["compute:*"], "project/web"), Err(escalation("compute:*", "project/web")));
    // Every verb there is today is held; those to come are not.
    assert_eq!(bind(&["*:read"], "project/web"), Err(escalation("*:read", "project/web")));
    assert_eq!(bind(&["admin:*"], "project/web"), Err(escalation("*:*", "project/web")));
}

#[test]
fn a_credential_gives_no_more_than_it_may_use() {
    let mut fixture = Fixture::new();
    let dev = fixture.user("/");
    let limit = Restriction::only([grant("apps:read", "project/web")]).unwrap();
    let token = Principal::token(TokenId::from_bytes([1; 16]), fixture.root);
    let by = Grantor::caller(&token, &limit);
    let bind = |role: BuiltInRole, at: &str| {
        let plan = fixture.iam.directory().plan(by, NOW);
        let planned = plan.bind(role.into(), dev.into(), scope(at), Limit::Unlimited, fixture.iam.rng());
        planned.map(|_| ())
    };
    assert_eq!(bind(BuiltInRole::AppsRead, "project/web"), Ok(()));
    assert_eq!(bind(BuiltInRole::AppsRead, "/"), Err(escalation("apps:read", "/")));
    assert_eq!(bind(BuiltInRole::StorageFull, "project/web"), Err(escalation("storage:*", "project/web")));
}

#[test]
fn a_right_that_ends_is_not_given_for_longer() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.bind_until(BuiltInRole::AppsRead, lead, "/", Limit::Only(LATER));
    let mut bind = |end| {
        let plan = fixture.by(&whole(lead), |plan, iam| {
            plan.bind(BuiltInRole::AppsRead.into(), dev.into(), scope("/"), end, iam.rng())
        });
        plan.map(|_| ())
    };
    assert_eq!(bind(Limit::Only(LATER)), Ok(()));
    assert_eq!(bind(Limit::Only(LATEST)), Err(escalation("apps:read", "/")));
    assert_eq!(bind(Limit::Unlimited), Err(escalation("apps:read", "/")));
    assert_eq!(bind(Limit::Only(NOW)), Err(WriteError::AlreadyExpired));
    // A role has no end, so neither may what is put into it.
    let role = fixture.by(&whole(lead), |plan, iam| {
        plan.create_role(name(), scope("/"), patterns(&["apps:read"]), iam.rng())
    });
    assert_eq!(role, Err(escalation("apps:read", "/")));
}

#[test]
fn who_may_escalate_somewhere_gives_anything_there() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["iam:escalate"], "project/web");
    let mut bind = |at: &str| {
        let plan = fixture.by(&whole(lead), |plan, iam| {
            plan.bind(BuiltInRole::Administrator.into(), dev.into(), scope(at), Limit::Unlimited, iam.rng())
        });
        plan.map(|_| ())
    };
    assert_eq!(bind("project/web"), Ok(()));
    assert_eq!(bind("project/shop"), Err(escalation("*:*", "project/shop")));
}

#[test]
fn who_adds_a_member_must_hold_what_the_group_carries() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    let group = fixture.group("/");
    let add = |fixture: &mut Fixture| fixture.by(&whole(lead), |plan, _| plan.add_member(group, dev));
    fixture.give(group, &["apps:read"], "project/web");
    let binding = fixture.give(group, &["storage:*"], "project/shop");
    assert_eq!(add(&mut fixture), Err(escalation("apps:read", "project/web")));
    fixture.give(lead, &["apps:*"], "/");
    assert_eq!(add(&mut fixture), Err(escalation("storage:*", "project/shop")));
    let root = whole(fixture.root);
    fixture.by(&root, |plan, _| plan.unbind(binding)).unwrap();
    assert_eq!(add(&mut fixture), Ok(()));
    assert!(fixture.allows(dev, "apps:read", "project/web"));
    assert_eq!(add(&mut fixture), Err(WriteError::Unchanged));
}

#[test]
fn who_changes_a_role_must_hold_what_is_new_at_its_home() {
    let mut fixture = Fixture::new();
    let lead = fixture.user("/");
    let role = fixture.role("project/web", &["storage:*"]);
    fixture.give(lead, &["apps:*"], "project/web/vcluster/ci");
    let update = |fixture: &mut Fixture, permissions: PatternSet| {
        fixture.by(&whole(lead), |plan, _| plan.update_role(role, permissions))
    };
    let with_apps = || patterns(&["storage:*", "apps:read"]);
    assert_eq!(update(&mut fixture, with_apps()), Err(escalation("apps:read", "project/web")));
    fixture.give(lead, &["apps:*"], "project/web");
    assert_eq!(update(&mut fixture, with_apps()), Ok(()));
    // What the role has already may stay, or go, or shrink.
    assert_eq!(update(&mut fixture, patterns(&["storage:read"])), Ok(()));
    assert_eq!(update(&mut fixture, patterns(&["storage:read"])), Err(WriteError::Unchanged));
    assert_eq!(update(&mut fixture, patterns(&["storage:*"])), Err(escalation("storage:*", "project/web")));
}

#[test]
fn who_enables_a_subject_must_hold_what_it_carries() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    let group = fixture.group("/");
    fixture.join(group, dev);
    fixture.give(dev, &["apps:read"], "/");
    fixture.give(group, &["apps:write"], "/");
    let root = whole(fixture.root);
    assert_eq!(fixture.by(&root, |plan, _| plan.enable(dev)), Err(WriteError::Unchanged));
    fixture.by(&whole(lead), |plan, _| plan.disable(dev)).unwrap();
    assert!(!fixture.allows(dev, "apps:read", "/"));
    let enable = |fixture: &mut Fixture| fixture.by(&whole(lead), |plan, _| plan.enable(dev));
    assert_eq!(enable(&mut fixture), Err(escalation("apps:read", "/")));
    fixture.give(lead, &["apps:read"], "/");
    assert_eq!(enable(&mut fixture), Err(escalation("apps:write", "/")));
    fixture.give(lead, &["apps:write"], "/");
    assert_eq!(enable(&mut fixture), Ok(()));
    assert!(fixture.allows(dev, "apps:write", "/"));
}

#[test]
fn what_a_change_refers_to_must_exist() {
    let mut fixture = Fixture::new();
    let root = whole(fixture.root);
    let (user, group) = (fixture.user("/"), fixture.group("/"));
    let (nobody, no_group) = (Subject::User(Id::from_bytes([9; 16])), Id::from_bytes([9; 16]));
    let (no_role, no_binding) = (Id::from_bytes([9; 16]), Id::from_bytes([9; 16]));
    let mut bind = |role, holder| {
        let plan = |plan: iam_policy::Planner<'_>, iam: &iam_policy::testing::Rehearsal| {
            plan.bind(role, holder, scope("/"), Limit::Unlimited, iam.rng())
        };
        fixture.by(&root, plan).unwrap_err()
    };
    let apps = BuiltInRole::AppsRead.into();
    assert_eq!(bind(apps, nobody.into()), WriteError::UnknownSubject(nobody));
    assert_eq!(bind(apps, Holder::Group(no_group)), WriteError::UnknownGroup(no_group));
    assert_eq!(bind(no_role.into(), user.into()), WriteError::UnknownRole(no_role));
    let refused = |plan: &dyn Fn(iam_policy::Planner<'_>) -> WriteError| {
        plan(fixture.iam.directory().plan(root.grantor(), NOW))
    };
    assert_eq!(
        refused(&|plan| plan.add_member(group, nobody).unwrap_err()),
        WriteError::UnknownSubject(nobody)
    );
    assert_eq!(
        refused(&|plan| plan.add_member(no_group, user).unwrap_err()),
        WriteError::UnknownGroup(no_group)
    );
    assert_eq!(
        refused(&|plan| plan.remove_member(group, user).unwrap_err()),
        WriteError::NotMember(user, group)
    );
    assert_eq!(refused(&|plan| plan.unbind(no_binding).unwrap_err()), WriteError::UnknownBinding(no_binding));
    assert_eq!(refused(&|plan| plan.delete_role(no_role).unwrap_err()), WriteError::UnknownRole(no_role));
    assert_eq!(refused(&|plan| plan.delete_group(no_group).unwrap_err()), WriteError::UnknownGroup(no_group));
    assert_eq!(refused(&|plan| plan.disable(nobody).unwrap_err()), WriteError::UnknownSubject(nobody));
}

#[test]
fn what_is_referred_to_is_not_deleted() {
    let mut fixture = Fixture::new();
    let root = whole(fixture.root);
    let (user, group, role) = (fixture.user("/"), fixture.group("/"), fixture.role("/", &["apps:read"]));
    fixture.join(group, user);
    let binding = fixture.bind_until(role, group, "/", Limit::Unlimited);
    let in_use = |by| Err(WriteError::InUse { by });
    assert_eq!(fixture.by(&root, |plan, _| plan.delete_role(role)), in_use(1));
    assert_eq!(fixture.by(&root, |plan, _| plan.delete_group(group)), in_use(2));
    fixture.by(&root, |plan, _| plan.unbind(binding)).unwrap();
    fixture.by(&root, |plan, _| plan.delete_role(role)).unwrap();
    assert_eq!(fixture.by(&root, |plan, _| plan.delete_group(group)), in_use(1));
    fixture.by(&root, |plan, _| plan.remove_member(group, user)).unwrap();
    fixture.by(&root, |plan, _| plan.delete_group(group)).unwrap();
    assert_eq!(fixture.iam.directory().groups().count(), 0);
    assert_eq!(fixture.iam.directory().roles().count(), 0);
}

#[test]
fn nothing_is_planned_that_would_count_for_nothing() {
    let mut fixture = Fixture::new();
    let root = whole(fixture.root);
    let (webs, shops) = (fixture.user("project/web"), fixture.user("project/shop"));
    let group = fixture.group("project/web");
    let role = fixture.role("project/web/vcluster/ci", &["apps:read"]);
    let refused = fixture.by(&root, |plan, _| plan.add_member(group, shops));
    assert_eq!(refused, Err(WriteError::OtherTenant));
    let mut bind = |role, holder: Holder, at: &str| {
        let plan =
            fixture.by(&root, |plan, iam| plan.bind(role, holder, scope(at), Limit::Unlimited, iam.rng()));
        plan.map(|_| ())
    };
    let apps = BuiltInRole::AppsRead.into();
    assert_eq!(bind(apps, webs.into(), "project/shop"), Err(WriteError::OtherTenant));
    assert_eq!(bind(apps, group.into(), "/"), Err(WriteError::OtherTenant));
    assert_eq!(bind(apps, webs.into(), "project/web"), Ok(()));
    assert_eq!(bind(role.into(), webs.into(), "project/web"), Err(WriteError::OutsideHome));
    assert_eq!(bind(role.into(), webs.into(), "project/web/vcluster/ci/namespace/a"), Ok(()));
}

#[test]
fn an_operator_can_repair_without_an_administrator() {
    let mut fixture = Fixture::new();
    let (root, dev) = (whole(fixture.root), fixture.user("/"));
    let last = fixture.root;
    fixture.by(&root, |plan, _| plan.disable(last)).unwrap();
    let plan = fixture.iam.directory().plan(Grantor::dangerous_unguarded(), NOW);
    let administrator = BuiltInRole::Administrator.into();
    let planned =
        plan.bind(administrator, dev.into(), scope("/"), Limit::Unlimited, fixture.iam.rng()).unwrap();
    fixture.iam.commit(planned).unwrap();
    assert!(fixture.allows(dev, "iam:write", "/"));
    fixture.by(&whole(dev), |plan, _| plan.enable(last)).unwrap();
}
