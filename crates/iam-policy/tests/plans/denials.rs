//! Policies and boundaries: who may give, and who may lift what was denied.

use core_types::{Limit, Restriction};
use iam_policy::condition::Test;
use iam_policy::testing::Rehearsal;
use iam_policy::{Condition, Grantor, Planned, Planner, PolicyDocument, Statement, WriteError};
use state_store::{Batch, Expect, Value, Write};

use crate::fixture::{Fixture, NOW, allow, deny, document, escalation, grant, name, patterns, scope, whole};

#[test]
fn what_a_policy_allows_is_given_as_what_a_role_permits() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["apps:*"], "project/web");
    let web = || allow(&["apps:read"]).at([scope("project/web")]).unwrap();
    let mut create = |statements: &[Statement], home: &str| {
        let document = document(statements);
        fixture.by(&whole(lead), |plan, iam| plan.create_policy(name(), scope(home), document, iam.rng()))
    };
    assert_eq!(create(&[allow(&["apps:read"])], "/"), Err(escalation("apps:read", "/")));
    assert_eq!(create(&[web(), allow(&["iam:x"])], "project/web"), Err(escalation("iam:x", "project/web")));
    let policy = create(&[web(), deny(&["*:*"])], "/").unwrap();
    fixture
        .by(&whole(lead), |plan, iam| {
            plan.bind(policy.into(), dev.into(), scope("project/web"), Limit::Unlimited, iam.rng())
        })
        .unwrap();
    assert!(!fixture.allows(dev, "apps:read", "project/web"), "it denies everything, too");
}

#[test]
fn what_is_held_under_a_condition_is_given_under_that_condition() {
    let mut fixture = Fixture::new();
    let lead = fixture.user("/");
    let mfa = || Condition::is(Test::Mfa);
    let with_mfa = |statement: Statement| statement.when(mfa()).unwrap();
    let policy = fixture.policy(&[with_mfa(allow(&["apps:*"]))]);
    fixture.bind_until(policy, lead, "/", Limit::Unlimited);
    let mut create = |statement: Statement| {
        let document = document(&[statement]);
        let plan =
            fixture.by(&whole(lead), |plan, iam| plan.create_policy(name(), scope("/"), document, iam.rng()));
        plan.map(|_| ())
    };
    let tls = Condition::is(Test::Tls);
    assert_eq!(create(with_mfa(allow(&["apps:read"]))), Ok(()));
    assert_eq!(create(with_mfa(allow(&["apps:read"])).when(tls.clone()).unwrap()), Ok(()));
    assert_eq!(create(allow(&["apps:read"])), Err(escalation("apps:read", "/")));
    assert_eq!(create(allow(&["apps:read"]).when(tls).unwrap()), Err(escalation("apps:read", "/")));
}

#[test]
fn what_is_denied_to_the_caller_in_part_is_not_given_at_all() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["apps:*"], "/");
    let denial = deny(&["*:delete"]).at([scope("project/web")]).unwrap();
    let policy = fixture.policy(&[denial.when(Condition::is_not(Test::Mfa)).unwrap()]);
    fixture.bind_until(policy, lead, "/", Limit::Unlimited);
    let mut give = |permission: &str, at: &str| {
        let role = fixture.role("/", &[permission]);
        let plan = fixture.by(&whole(lead), |plan, iam| {
            plan.bind(role.into(), dev.into(), scope(at), Limit::Unlimited, iam.rng())
        });
        plan.map(|_| ())
    };
    assert_eq!(give("apps:*", "/"), Err(escalation("apps:*", "/")));
    assert_eq!(
        give("apps:delete", "project/web/vcluster/ci"),
        Err(escalation("apps:delete", "project/web/vcluster/ci"))
    );
    assert_eq!(give("apps:read", "/"), Ok(()));
    assert_eq!(give("apps:*", "project/shop"), Ok(()));
}

#[test]
fn who_lifts_a_denial_must_hold_what_was_denied() {
    type Lift = fn(&mut Setting) -> Result<(), WriteError>;
    let ways: [(&str, Lift); 5] = [
        ("unbinding", |it| it.by_lead(|plan, _| plan.unbind(it.binding))),
        ("leaving the group", |it| it.by_lead(|plan, _| plan.remove_member(it.group, it.dev))),
        ("changing the policy", |it| {
            let narrower = document(&[deny(&["storage:read"])]);
            it.by_lead(|plan, _| plan.update_policy(it.policy, narrower.clone()))
        }),
        ("making it conditional", |it| {
            let weaker = deny(&["storage:*"]).when(Condition::is(Test::Mfa)).unwrap();
            it.by_lead(|plan, _| plan.update_policy(it.policy, document(core::slice::from_ref(&weaker))))
        }),
        ("detaching", |it| it.by_lead(|plan, _| plan.detach_policy(it.role, it.policy))),
    ];
    for (way, lift) in ways {
        let mut setting = Setting::new();
        let at = if way == "unbinding" || way == "leaving the group" { "project/web" } else { "/" };
        assert_eq!(lift(&mut setting), Err(escalation("storage:*", at)), "{way}");
        setting.fixture.give(setting.lead, &["storage:*"], "/");
        assert_eq!(lift(&mut setting), Ok(()), "{way}");
    }
}

/// Dev is in a group, to which a role is bound at project/web, which brings a policy that denies `storage:*`.
struct Setting {
    fixture: Fixture,
    lead: core_types::Subject,
    dev: core_types::Subject,
    group: iam_policy::GroupId,
    role: iam_policy::RoleId,
    policy: iam_policy::PolicyId,
    binding: iam_policy::BindingId,
}

impl Setting {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let (lead, dev) = (fixture.user("/"), fixture.user("/"));
        let (group, role) = (fixture.group("/"), fixture.role("/", &["apps:read"]));
        let policy = fixture.policy(&[deny(&["storage:*"])]);
        let root = whole(fixture.root);
        fixture.by(&root, |plan, _| plan.attach_policy(role, policy)).unwrap();
        fixture.join(group, dev);
        let binding = fixture.bind_until(role, group, "project/web", Limit::Unlimited);
        Self { fixture, lead, dev, group, role, policy, binding }
    }

    fn by_lead(
        &self,
        plan: impl FnOnce(Planner<'_>, &Rehearsal) -> Result<Planned<()>, WriteError>,
    ) -> Result<(), WriteError> {
        let lead = whole(self.lead);
        plan(self.fixture.iam.directory().plan(lead.grantor(), NOW), &self.fixture.iam).map(|_| ())
    }
}

#[test]
fn who_holds_something_under_a_condition_does_not_lift_its_denial_under_that_condition() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    let with_mfa = |statement: Statement| statement.when(Condition::is(Test::Mfa)).unwrap();
    let (allowing, denying) =
        (fixture.policy(&[with_mfa(allow(&["apps:*"]))]), fixture.policy(&[with_mfa(deny(&["apps:*"]))]));
    fixture.bind_until(allowing, lead, "/", Limit::Unlimited);
    let denial = fixture.bind_until(denying, dev, "/", Limit::Unlimited);
    // Where nobody knows of a second factor, lead may nothing, and dev would come to be allowed.
    assert_eq!(fixture.by(&whole(lead), |plan, _| plan.unbind(denial)), Err(escalation("apps:*", "/")));
}

#[test]
fn a_policy_may_deny_more_without_a_guard() {
    let mut fixture = Fixture::new();
    let (nobody, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(dev, &["apps:*"], "/");
    let policy = fixture.policy(&[deny(&["apps:write"])]);
    let more = document(&[deny(&["apps:*"])]);
    fixture.by(&whole(nobody), |plan, _| plan.update_policy(policy, more)).unwrap();
    fixture
        .by(&whole(nobody), |plan, iam| {
            plan.bind(policy.into(), dev.into(), scope("/"), Limit::Unlimited, iam.rng())
        })
        .unwrap();
    assert!(!fixture.allows(dev, "apps:read", "/"));
}

#[test]
fn who_widens_a_boundary_must_hold_what_the_subject_holds() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(dev, &["apps:*"], "/");
    let only = |permission: &str| Restriction::only([grant(permission, "/")]).unwrap();
    let set =
        |fixture: &mut Fixture, limit| fixture.by(&whole(lead), |plan, _| plan.set_boundary(dev, limit));
    let remove = |fixture: &mut Fixture| fixture.by(&whole(lead), |plan, _| plan.remove_boundary(dev));
    assert_eq!(remove(&mut fixture), Err(WriteError::Unchanged));
    assert_eq!(set(&mut fixture, only("*:*")), Ok(()));
    assert_eq!(set(&mut fixture, only("*:read")), Ok(()));
    assert!(fixture.allows(dev, "apps:read", "/") && !fixture.allows(dev, "apps:write", "/"));
    assert_eq!(set(&mut fixture, only("apps:*")), Err(escalation("apps:*", "/")));
    assert_eq!(remove(&mut fixture), Err(escalation("apps:*", "/")));
    fixture.give(lead, &["apps:*"], "/");
    assert_eq!(remove(&mut fixture), Ok(()));
    assert!(fixture.allows(dev, "apps:write", "/"));
}

#[test]
fn a_bounded_caller_gives_no_more_than_its_boundary_lists() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["*:*"], "/");
    let root = whole(fixture.root);
    let limit = Restriction::only([grant("apps:*", "project/web")]).unwrap();
    fixture.by(&root, |plan, _| plan.set_boundary(lead, limit)).unwrap();
    let mut give = |permission: &str, at: &str| {
        let role = fixture.role("/", &[permission]);
        let plan = fixture.by(&whole(lead), |plan, iam| {
            plan.bind(role.into(), dev.into(), scope(at), Limit::Unlimited, iam.rng())
        });
        plan.map(|_| ())
    };
    assert_eq!(give("apps:read", "project/web"), Ok(()));
    assert_eq!(give("apps:read", "/"), Err(escalation("apps:read", "/")));
    assert_eq!(give("*:read", "project/web"), Err(escalation("*:read", "project/web")));
}

#[test]
fn a_policy_in_use_is_not_deleted() {
    let mut setting = Setting::new();
    let (root, role, policy) = (whole(setting.fixture.root), setting.role, setting.policy);
    let delete = |it: &mut Setting| it.fixture.by(&root, |plan, _| plan.delete_policy(policy));
    assert_eq!(delete(&mut setting), Err(WriteError::InUse { by: 1 }));
    let dev = setting.dev;
    let binding = setting.fixture.bind_until(policy, dev, "/", Limit::Unlimited);
    assert_eq!(delete(&mut setting), Err(WriteError::InUse { by: 2 }));
    setting.fixture.by(&root, |plan, _| plan.detach_policy(role, policy)).unwrap();
    setting.fixture.by(&root, |plan, _| plan.unbind(binding)).unwrap();
    assert_eq!(delete(&mut setting), Ok(()));
    assert_eq!(setting.fixture.iam.directory().policies().count(), 0);
}

#[test]
fn an_unreadable_record_is_discarded_by_who_holds_everything_or_by_an_operator() {
    let mut fixture = Fixture::new();
    let (lead, dev) = (fixture.user("/"), fixture.user("/"));
    fixture.give(lead, &["iam:write"], "/");
    let binding = fixture.give(dev, &["apps:read"], "/");
    let key = state_store::Key::new(format!("iam-policy/binding/{dev}/{binding}")).unwrap();
    let damage = |fixture: &mut Fixture| {
        let mut batch = Batch::new();
        batch.write(key.clone(), Write::Put(Value::new("damaged").unwrap())).unwrap();
        fixture.iam.apply(batch).unwrap();
        fixture.iam.entries().find(|(other, ..)| **other == key).unwrap().2
    };
    let root = whole(fixture.root);
    assert_eq!(
        fixture.by(&root, |plan, _| plan.discard_unreadable(&key, state_store::Revision::ZERO)),
        Err(WriteError::Unchanged)
    );
    let revision = damage(&mut fixture);
    fixture.give(dev, &["apps:*"], "/");
    assert!(!fixture.allows(dev, "apps:read", "/"));
    let by_lead = fixture.by(&whole(lead), |plan, _| plan.discard_unreadable(&key, revision));
    assert_eq!(by_lead, Err(escalation("*:*", "/")));
    fixture.by(&root, |plan, _| plan.discard_unreadable(&key, revision)).unwrap();
    assert!(fixture.allows(dev, "apps:read", "/"));
    let revision = damage(&mut fixture);
    let plan = fixture.iam.directory().plan(Grantor::dangerous_unguarded(), NOW);
    let planned = plan.discard_unreadable(&key, revision).unwrap();
    assert!(planned.batch().expectations().any(|(_, expect)| expect == Expect::Revision(revision)));
    fixture.iam.commit(planned).unwrap();
    assert!(fixture.allows(dev, "apps:read", "/"));
}

#[test]
fn a_policy_is_changed_to_what_it_is_in_no_step() {
    let mut fixture = Fixture::new();
    let root = whole(fixture.root);
    let policy = fixture.policy(&[allow(&["apps:read"])]);
    let same = PolicyDocument::new([Statement::allow(patterns(&["apps:read"]))]).unwrap();
    assert_eq!(fixture.by(&root, |plan, _| plan.update_policy(policy, same)), Err(WriteError::Unchanged));
}
