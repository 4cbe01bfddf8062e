//! Who can become what: ways that can be gone, and none that was overlooked.

use core_types::{Grant, Limit, Principal, Restriction, Scope, Subject};
use iam_policy::reach::{Reached, Step, Way};
use iam_policy::{
    BuiltInRole, Directory, Grantor, Holder, PatternSet, Planned, Planner, PolicyDocument, RoleRef,
    WriteError,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use state_store::{Revision, View as _, Write};

use crate::arb::{arb_scope, arb_world, pattern};
use crate::world::{BindingFact, Fate, RoleFact, World, id, user};

/// A change that a subject may try for itself.
#[derive(Debug, Clone)]
enum Attempt {
    Administrator(Scope),
    BindRole(u8, Scope),
    BindPolicy(u8, Scope),
    Unbind(u8),
    Join(u8),
    Leave(u8),
    Nest(u8, u8),
    Unnest(u8, u8),
    RemoveBoundary,
    EmptyPolicy(u8),
    WidenRole(u8),
    Detach(u8, u8),
}

proptest! {
    #![proptest_config(crate::config(120))]

    #[test]
    fn a_way_can_be_gone_and_where_there_is_none_no_changes_of_its_own_make_one(
        world in arb_climbers(), target in arb_target(), attempts in vec(arb_attempt(), 60), now in 0_u64..3
    ) {
        let now = core_types::UnixTime::from_millis(now);
        let directory = world.directory();
        let Reached { ways, undecided, .. } = directory.who_can_become(&target, now, &rng()).unwrap();
        prop_assert_eq!(undecided, vec![]);
        for subject in (0..4).map(user) {
            match ways.iter().find(|way| way.subject == subject) {
                Some(way) => prop_assert!(is_gone(&directory, way, &target, now), "{:?}", way),
                None => {
                    let mut changed = directory.clone();
                    for attempt in &attempts {
                        try_it(&mut changed, subject, attempt, &target, now);
                        prop_assert!(!holds(&changed, subject, &target, now), "{:?} by {:?}", subject, attempt);
                    }
                }
            }
        }
    }
}

#[test]
fn the_random_worlds_have_ways_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        let (world, target) = (arb_climbers(), arb_target()).new_tree(&mut runner).unwrap().current();
        let reached = world.directory().who_can_become(&target, core_types::UnixTime::EPOCH, &rng()).unwrap();
        *seen.entry("none".to_owned()).or_insert(0) += 4 - reached.ways.len();
        for way in reached.ways {
            let steps: Vec<&str> = way
                .steps
                .iter()
                .map(|step| match step {
                    Step::CreateRole { .. } => "create",
                    Step::Bind { .. } => "bind",
                    Step::RemoveBoundary => "lift",
                    Step::Unbind(_) => "unbind",
                    _ => "other",
                })
                .collect();
            *seen.entry(steps.join(" ")).or_insert(0) += 1;
        }
    }
    assert!(["", "bind", "create bind", "none"].iter().all(|kind| seen.get(*kind) > Some(&10)), "{seen:?}");
    assert!(seen.keys().any(|kind| kind.contains("lift")), "{seen:?}");
    assert!(seen.keys().any(|kind| kind.contains("unbind")), "{seen:?}");
}

fn is_gone(directory: &Directory, way: &Way, target: &Grant, now: core_types::UnixTime) -> bool {
    let (mut directory, subject, mut made) = (directory.clone(), way.subject, None);
    for step in &way.steps {
        match step.clone() {
            Step::CreateRole { permissions, home } => {
                let set = PatternSet::new([permissions]).unwrap();
                made = by(&mut directory, subject, now, |plan| plan.create_role(name(), home, set, &rng()));
                assert!(made.is_some());
            }
            Step::Bind { role, scope } => {
                let role = role.map_or_else(|| made.unwrap().into(), RoleRef::BuiltIn);
                let bind =
                    |plan: Planner<'_>| plan.bind(role, subject.into(), scope, Limit::Unlimited, &rng());
                assert!(by(&mut directory, subject, now, bind).is_some());
            }
            Step::RemoveBoundary => {
                assert!(by(&mut directory, subject, now, |plan| plan.remove_boundary(subject)).is_some());
            }
            Step::Unbind(binding) => {
                assert!(by(&mut directory, subject, now, |plan| plan.unbind(binding)).is_some());
            }
            other => unreachable!("{other:?}"),
        }
    }
    holds(&directory, subject, target, now)
}

fn try_it(
    directory: &mut Directory,
    subject: Subject,
    attempt: &Attempt,
    target: &Grant,
    now: core_types::UnixTime,
) {
    let holder = Holder::Subject(subject);
    let bind = |role: RoleRef, scope: &Scope| {
        let scope = scope.clone();
        move |plan: Planner<'_>| {
            plan.bind(role, holder, scope, Limit::Unlimited, &rng()).map(|it| it.map(drop))
        }
    };
    let _ = match attempt.clone() {
        Attempt::Administrator(scope) => {
            by(directory, subject, now, bind(BuiltInRole::Administrator.into(), &scope))
        }
        Attempt::BindRole(role, scope) => {
            by(directory, subject, now, bind(RoleRef::Custom(id(role)), &scope))
        }
        Attempt::BindPolicy(policy, scope) => {
            by(directory, subject, now, bind(RoleRef::Policy(id(policy)), &scope))
        }
        Attempt::Unbind(binding) => by(directory, subject, now, |plan| plan.unbind(id(binding))),
        Attempt::Join(group) => by(directory, subject, now, |plan| plan.add_member(id(group), subject)),
        Attempt::Leave(group) => by(directory, subject, now, |plan| plan.remove_member(id(group), subject)),
        Attempt::Nest(outer, inner) => {
            by(directory, subject, now, |plan| plan.add_group(id(outer), id(inner)))
        }
        Attempt::Unnest(outer, inner) => {
            by(directory, subject, now, |plan| plan.remove_group(id(outer), id(inner)))
        }
        Attempt::RemoveBoundary => by(directory, subject, now, |plan| plan.remove_boundary(subject)),
        Attempt::EmptyPolicy(policy) => {
            by(directory, subject, now, |plan| plan.update_policy(id(policy), PolicyDocument::default()))
        }
        Attempt::WidenRole(role) => {
            let set = PatternSet::new([target.permissions.clone()]).unwrap();
            by(directory, subject, now, |plan| plan.update_role(id(role), set))
        }
        Attempt::Detach(role, policy) => {
            by(directory, subject, now, |plan| plan.detach_policy(id(role), id(policy)))
        }
    };
}

fn holds(directory: &Directory, subject: Subject, target: &Grant, now: core_types::UnixTime) -> bool {
    let (principal, whole) = (Principal::subject(subject), Restriction::unrestricted());
    directory.plan(Grantor::caller(&principal, &whole), now).holds(target)
}

/// Makes the change, if it is granted.
fn by<T>(
    directory: &mut Directory,
    subject: Subject,
    now: core_types::UnixTime,
    plan: impl FnOnce(Planner<'_>) -> Result<Planned<T>, WriteError>,
) -> Option<T> {
    let (principal, whole) = (Principal::subject(subject), Restriction::unrestricted());
    let (value, batch) = plan(directory.plan(Grantor::caller(&principal, &whole), now)).ok()?.into_parts();
    for (key, write) in batch.into_writes() {
        match write {
            Write::Put(value) => directory.put(&key, &value, Revision::ZERO).unwrap(),
            Write::Delete => directory.delete(&key),
        }
    }
    Some(value)
}

fn rng() -> core_types::testing::TestRandom {
    core_types::testing::TestRandom::seeded(7)
}

fn name() -> iam_policy::Name {
    "name".parse().unwrap()
}

/// Worlds in which some may escalate somewhere.
fn arb_climbers() -> impl Strategy<Value = World> {
    let escalating = vec((0_u8..4, arb_scope(1), select(&["iam:escalate", "iam:*", "*:*"][..])), 0..4);
    (arb_world(), escalating).prop_map(|(mut world, escalating)| {
        world.has_unknown_family = false;
        for (number, (subject, scope, patterns)) in (60..).zip(escalating) {
            let (home, patterns) = (Scope::root(), vec![pattern(patterns)]);
            let role = RoleFact { id: id(number), home, patterns, policies: vec![], fate: Fate::Readable };
            world.roles.push(role);
            world.bindings.push(BindingFact {
                id: id(number),
                role: RoleRef::Custom(id(number)),
                holder: Holder::Subject(user(subject)),
                scope,
                expires_at: Limit::Unlimited,
                fate: Fate::Readable,
            });
        }
        world
    })
}

fn arb_target() -> impl Strategy<Value = Grant> {
    (select(&["*:*", "apps:*", "apps:read", "storage:write"][..]), arb_scope(1))
        .prop_map(|(permissions, scope)| Grant::new(pattern(permissions), scope))
}

fn arb_attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        arb_scope(2).prop_map(Attempt::Administrator),
        (0_u8..4, arb_scope(2)).prop_map(|(role, scope)| Attempt::BindRole(role, scope)),
        (0_u8..3, arb_scope(2)).prop_map(|(policy, scope)| Attempt::BindPolicy(policy, scope)),
        (0_u8..20).prop_map(Attempt::Unbind),
        (0_u8..4).prop_map(Attempt::Join),
        (0_u8..4).prop_map(Attempt::Leave),
        (0_u8..4, 0_u8..4).prop_map(|(outer, inner)| Attempt::Nest(outer, inner)),
        (0_u8..4, 0_u8..4).prop_map(|(outer, inner)| Attempt::Unnest(outer, inner)),
        Just(Attempt::RemoveBoundary),
        (0_u8..3).prop_map(Attempt::EmptyPolicy),
        (0_u8..4).prop_map(Attempt::WidenRole),
        (0_u8..4, 0_u8..3).prop_map(|(role, policy)| Attempt::Detach(role, policy)),
    ]
}
