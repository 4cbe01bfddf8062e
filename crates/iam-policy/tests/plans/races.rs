//! Two at the same time: the batch that comes second is made only if it could have been planned second.

use core_types::{Limit, Restriction, Subject};
use iam_policy::{BindingId, BuiltInRole, GroupId, Planned, RoleId};

use crate::fixture::{Fixture, NOW, deny, document, patterns, scope, whole};

#[test]
fn a_change_by_someone_who_is_disabled_meanwhile_is_not_made() {
    let mut race = Race::new();
    let planned = race.plan_bind();
    let (root, lead) = (whole(race.fixture.root), race.lead);
    race.fixture.by(&root, |plan, _| plan.disable(lead)).unwrap();
    assert!(race.fixture.iam.commit(planned).is_err());
}

#[test]
fn a_right_that_is_taken_away_meanwhile_is_not_given() {
    for taken in ["binding", "role", "membership", "group's binding"] {
        let mut race = Race::new();
        let through_group = taken == "membership" || taken == "group's binding";
        let own = race.fixture.bind_until(race.role, race.lead, "/", Limit::Unlimited);
        let groups = race.fixture.bind_until(race.role, race.group, "/", Limit::Unlimited);
        race.fixture.join(race.group, race.lead);
        let root = whole(race.fixture.root);
        if through_group {
            race.fixture.by(&root, |plan, _| plan.unbind(own)).unwrap();
        }
        let planned = race.plan_bind_of(race.role);
        let (group, lead, role) = (race.group, race.lead, race.role);
        match taken {
            "binding" => race.fixture.by(&root, |plan, _| plan.unbind(own)).unwrap(),
            "role" => race.fixture.by(&root, |plan, _| plan.update_role(role, patterns(&[]))).unwrap(),
            "membership" => race.fixture.by(&root, |plan, _| plan.remove_member(group, lead)).unwrap(),
            _ => race.fixture.by(&root, |plan, _| plan.unbind(groups)).unwrap(),
        }
        assert!(race.fixture.iam.commit(planned).is_err(), "{taken}");
    }
}

#[test]
fn a_member_is_not_added_to_a_group_that_carries_more_meanwhile() {
    let mut race = Race::new();
    let (group, dev, lead) = (race.group, race.dev, race.lead);
    let caller = whole(lead);
    let planned = race.fixture.iam.directory().plan(caller.grantor(), NOW).add_member(group, dev).unwrap();
    race.fixture.give(group, &["storage:*"], "/");
    assert!(race.fixture.iam.commit(planned).is_err());
}

#[test]
fn a_member_is_not_added_when_a_role_of_the_group_permits_more_meanwhile() {
    let mut race = Race::new();
    let (group, dev, role) = (race.group, race.dev, race.role);
    race.fixture.bind_until(role, group, "/", Limit::Unlimited);
    race.fixture.bind_until(role, race.lead, "/", Limit::Unlimited);
    let caller = whole(race.lead);
    let planned = race.fixture.iam.directory().plan(caller.grantor(), NOW).add_member(group, dev).unwrap();
    let root = whole(race.fixture.root);
    race.fixture.by(&root, |plan, _| plan.update_role(role, patterns(&["apps:*", "storage:*"]))).unwrap();
    assert!(race.fixture.iam.commit(planned).is_err());
}

#[test]
fn a_role_or_a_group_that_comes_into_use_meanwhile_is_not_deleted() {
    let mut race = Race::new();
    let (role, group, dev) = (race.role, race.group, race.dev);
    let root = whole(race.fixture.root);
    let directory = race.fixture.iam.directory().clone();
    let plan = directory.plan(root.grantor(), NOW);
    let (delete_role, delete_group) = (plan.delete_role(role).unwrap(), plan.delete_group(group).unwrap());
    let delete_group_too = delete_group.clone();
    race.fixture.bind_until(role, dev, "/", Limit::Unlimited);
    assert!(race.fixture.iam.commit(delete_role).is_err());
    race.fixture.join(group, dev);
    assert!(race.fixture.iam.commit(delete_group).is_err());
    race.fixture.by(&root, |plan, _| plan.remove_member(group, dev)).unwrap();
    race.fixture.bind_until(BuiltInRole::AppsRead, group, "/", Limit::Unlimited);
    assert!(race.fixture.iam.commit(delete_group_too).is_err());
}

#[test]
fn what_is_deleted_meanwhile_is_not_referred_to() {
    let mut race = Race::new();
    let (role, group, dev) = (race.role, race.group, race.dev);
    let root = whole(race.fixture.root);
    let directory = race.fixture.iam.directory().clone();
    let plan = directory.plan(root.grantor(), NOW);
    let rng = race.fixture.iam.rng();
    let bind = plan.bind(role.into(), dev.into(), scope("/"), Limit::Unlimited, rng).unwrap();
    let bind_group =
        plan.bind(BuiltInRole::AppsRead.into(), group.into(), scope("/"), Limit::Unlimited, rng).unwrap();
    let join = plan.add_member(group, dev).unwrap();
    race.fixture.by(&root, |plan, _| plan.delete_role(role)).unwrap();
    race.fixture.by(&root, |plan, _| plan.delete_group(group)).unwrap();
    assert!(race.fixture.iam.commit(bind).is_err());
    assert!(race.fixture.iam.commit(bind_group).is_err());
    assert!(race.fixture.iam.commit(join).is_err());
}

#[test]
fn two_who_bind_one_role_at_the_same_time_do_not_disturb_each_other() {
    let mut race = Race::new();
    let first = race.plan_bind_of_root();
    let second = race.plan_bind_of_root();
    race.fixture.iam.commit(first).unwrap();
    race.fixture.iam.commit(second).unwrap();
}

#[test]
fn a_subject_is_not_enabled_that_holds_more_meanwhile() {
    let mut race = Race::new();
    let (group, dev, root) = (race.group, race.dev, whole(race.fixture.root));
    race.fixture.join(group, dev);
    race.fixture.by(&root, |plan, _| plan.disable(dev)).unwrap();
    let caller = whole(race.lead);
    let before = race.fixture.iam.directory().clone();
    let enable = || before.plan(caller.grantor(), NOW).enable(dev).unwrap();
    let (first, second) = (enable(), enable());
    let own = race.fixture.give(dev, &["storage:*"], "/");
    assert!(race.fixture.iam.commit(first).is_err());
    race.fixture.by(&root, |plan, _| plan.unbind(own)).unwrap();
    race.fixture.give(group, &["storage:*"], "/");
    assert!(race.fixture.iam.commit(second).is_err());
}

#[test]
fn a_right_that_is_denied_meanwhile_is_not_given() {
    for way in ["binding", "joining", "policy", "attaching", "boundary"] {
        let mut race = Race::new();
        let (lead, group, role, root) = (race.lead, race.group, race.role, whole(race.fixture.root));
        let denials = document(&[deny(&["apps:*"])]);
        let policy = race.fixture.policy(denials.statements());
        let harmless = race.fixture.policy(&[]);
        match way {
            "joining" => _ = race.fixture.bind_until(policy, group, "/", Limit::Unlimited),
            "policy" => _ = race.fixture.bind_until(harmless, lead, "/", Limit::Unlimited),
            "attaching" => _ = race.fixture.bind_until(role, lead, "/", Limit::Unlimited),
            _ => {}
        }
        let planned = race.plan_bind();
        match way {
            "binding" => _ = race.fixture.bind_until(policy, lead, "/", Limit::Unlimited),
            "joining" => race.fixture.join(group, lead),
            "policy" => race.fixture.by(&root, |plan, _| plan.update_policy(harmless, denials)).unwrap(),
            "attaching" => race.fixture.by(&root, |plan, _| plan.attach_policy(role, policy)).unwrap(),
            _ => race.fixture.by(&root, |plan, _| plan.set_boundary(lead, Restriction::nothing())).unwrap(),
        }
        assert!(race.fixture.iam.commit(planned).is_err(), "{way}");
    }
}

/// Lead holds `apps:*` at the root and would give it to dev; there is a group and a role of its own.
struct Race {
    fixture: Fixture,
    lead: Subject,
    dev: Subject,
    group: GroupId,
    role: RoleId,
}

impl Race {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let (lead, dev, group) = (fixture.user("/"), fixture.user("/"), fixture.group("/"));
        let role = fixture.role("/", &["databases:*"]);
        fixture.give(lead, &["apps:*"], "/");
        Self { fixture, lead, dev, group, role }
    }

    fn plan_bind(&self) -> Planned<BindingId> {
        let caller = whole(self.lead);
        let plan = self.fixture.iam.directory().plan(caller.grantor(), NOW);
        let apps = BuiltInRole::AppsRead.into();
        plan.bind(apps, self.dev.into(), scope("/"), Limit::Unlimited, self.fixture.iam.rng()).unwrap()
    }

    fn plan_bind_of(&self, role: RoleId) -> Planned<BindingId> {
        let caller = whole(self.lead);
        let plan = self.fixture.iam.directory().plan(caller.grantor(), NOW);
        plan.bind(role.into(), self.dev.into(), scope("/"), Limit::Unlimited, self.fixture.iam.rng()).unwrap()
    }

    fn plan_bind_of_root(&self) -> Planned<BindingId> {
        let caller = whole(self.fixture.root);
        let plan = self.fixture.iam.directory().plan(caller.grantor(), NOW);
        plan.bind(self.role.into(), self.dev.into(), scope("/"), Limit::Unlimited, self.fixture.iam.rng())
            .unwrap()
    }
}
