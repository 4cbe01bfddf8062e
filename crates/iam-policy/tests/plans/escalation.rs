//! No sequence of guarded changes exceeds what the callers held at the start.

use core_types::{Grant, Limit, Permission, Restriction, Scope, Subject, UnixTime};
use iam_policy::condition::Test;
use iam_policy::testing::Rehearsal;
use iam_policy::{
    BindingId, BuiltInRole, Condition, Context, Directory, Grantor, GroupId, Holder, Planned, Planner,
    PolicyDocument, PolicyId, RoleId, RoleRef, Statement, WriteError,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::fixture::{Caller, LATER, NOW, allows, name, patterns};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_guarded_changes_exceeds_what_the_callers_held(
        start in vec(arb_step(), 25), limits in vec(arb_limit(), 2), steps in vec(arb_step(), 40)
    ) {
        let mut world = World::started_with(&start);
        let callers: Vec<_> = world.subjects.iter().copied().zip(&limits).take(2).collect();
        let before = world.iam.directory().clone();
        for step in &steps {
            let (subject, limit) = callers[step.caller];
            world.take(step, &Caller::new(subject, limit.clone()));
        }
        let after = world.iam.directory();
        for (permission, resource, at, context) in universe() {
            let had = |subject| allows(&before, subject, (&permission, &resource), at, &context);
            let could_give = callers.iter().any(|(caller, limit)| {
                had(*caller) && limit.allows(&permission, &resource, at)
            });
            for subject in &world.subjects {
                let has = allows(after, *subject, (&permission, &resource), at, &context);
                prop_assert!(
                    !has || had(*subject) || could_give, "{subject} {permission} {resource} {at} {context:?}"
                );
            }
        }
    }
}

#[test]
fn the_random_changes_are_often_made_and_often_refused() {
    let mut runner = TestRunner::deterministic();
    let (mut made, mut escalations, mut conflicts) = (0, 0, 0);
    for _ in 0..60 {
        let strategy = (vec(arb_step(), 25), vec(arb_step(), 40));
        let (start, steps) = strategy.new_tree(&mut runner).unwrap().current();
        let mut world = World::started_with(&start);
        for step in &steps {
            let caller = Caller::new(world.subjects[step.caller], Restriction::unrestricted());
            match world.take(step, &caller) {
                Outcome::Made => made += 1,
                Outcome::Refused(WriteError::Escalation { .. }) => escalations += 1,
                Outcome::Refused(_) => {}
                Outcome::Conflict => conflicts += 1,
            }
        }
    }
    assert!(made > 300 && escalations > 150 && conflicts > 10, "{made} {escalations} {conflicts}");
}

/// A directory under change, and the ids of what is or was in it.
struct World {
    iam: Rehearsal,
    /// Former states, the latest last.
    history: Vec<Directory>,
    subjects: Vec<Subject>,
    groups: Vec<GroupId>,
    roles: Vec<RoleId>,
    policies: Vec<PolicyId>,
    bindings: Vec<BindingId>,
}

#[derive(Debug, Clone)]
struct Step {
    caller: usize,
    /// How many states ago the plan is made.
    lag: usize,
    change: Change,
    which: [Index; 2],
    scope: Scope,
    permissions: Vec<&'static str>,
    document: PolicyDocument,
    limit: Restriction,
    end: Limit<UnixTime>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    CreateRole,
    UpdateRole,
    DeleteRole,
    CreatePolicy,
    UpdatePolicy,
    DeletePolicy,
    Attach,
    Detach,
    SetBoundary,
    RemoveBoundary,
    BindSubject,
    BindGroup,
    BindPolicy,
    BindBuiltIn,
    Unbind,
    Join,
    Leave,
    Nest,
    Unnest,
    Disable,
    Enable,
}

#[derive(Debug)]
enum Outcome {
    Made,
    Refused(WriteError),
    Conflict,
}

impl World {
    /// Four users, five groups, two roles and two policies, and what these steps make of them without a guard.
    fn started_with(steps: &[Step]) -> Self {
        let iam = Rehearsal::starting_at(NOW);
        let mut world = Self {
            iam,
            history: vec![],
            subjects: vec![],
            groups: vec![],
            roles: vec![],
            policies: vec![],
            bindings: vec![],
        };
        let by = Grantor::dangerous_unguarded();
        for _ in 0..4 {
            let planned =
                world.iam.directory().plan(by, NOW).create_user(name(), Scope::root(), world.iam.rng());
            world.subjects.push(Subject::User(world.iam.commit(planned.unwrap()).unwrap()));
        }
        for home in ["/", "project/a"] {
            let home: Scope = home.parse().unwrap();
            let plan = world.iam.directory().plan(by, NOW);
            let group = plan.create_group(name(), home.clone(), world.iam.rng()).unwrap();
            let role =
                plan.create_role(name(), home.clone(), patterns(&["apps:read"]), world.iam.rng()).unwrap();
            let policy = plan.create_policy(name(), home.clone(), PolicyDocument::default(), world.iam.rng());
            world.groups.push(world.iam.commit(group).unwrap());
            world.policies.push(world.iam.commit(policy.unwrap()).unwrap());
            world.roles.push(world.iam.commit(role).unwrap());
        }
        for home in ["/", "/", "project/a"] {
            let plan = world.iam.directory().plan(by, NOW);
            let group = plan.create_group(name(), home.parse().unwrap(), world.iam.rng()).unwrap();
            world.groups.push(world.iam.commit(group).unwrap());
        }
        for step in steps {
            // Nobody is the administrator of anything at first, or there would be nothing to refuse.
            if !matches!(step.change, Change::BindBuiltIn) {
                world.take_by(step, by);
            }
        }
        world
    }

    fn take(&mut self, step: &Step, caller: &Caller) -> Outcome {
        self.take_by(step, caller.grantor())
    }

    fn take_by(&mut self, step: &Step, by: Grantor<'_>) -> Outcome {
        let now = self.iam.directory().clone();
        let seen = self.history.len().checked_sub(step.lag).and_then(|at| self.history.get(at));
        let seen = seen.unwrap_or(&now).clone();
        self.history.push(now.clone());
        let planned = match self.plan(step, seen.plan(by, NOW)) {
            Ok(planned) => planned,
            Err(error) => return Outcome::Refused(error),
        };
        let Ok(made) = self.iam.commit(planned) else { return Outcome::Conflict };
        // What is committed could have been planned by the very state it met.
        let again = self.plan(step, now.plan(by, NOW));
        assert!(again.is_ok(), "{step:?} was made, and would now be refused: {again:?}");
        match made {
            Made::Role(role) => self.roles.push(role),
            Made::Policy(policy) => self.policies.push(policy),
            Made::Binding(binding) => self.bindings.push(binding),
            Made::Nothing => {}
        }
        Outcome::Made
    }

    fn plan(&self, step: &Step, plan: Planner<'_>) -> Result<Planned<Made>, WriteError> {
        let [first, second] = step.which;
        let subject = self.subjects[first.index(self.subjects.len())];
        let group = self.groups[second.index(self.groups.len())];
        let outer = self.groups[first.index(self.groups.len())];
        let role = self.roles[second.index(self.roles.len())];
        let policy = self.policies[second.index(self.policies.len())];
        let permissions = patterns(&step.permissions);
        let bind = |role: RoleRef, holder: Holder| {
            plan.bind(role, holder, step.scope.clone(), step.end, self.iam.rng())
        };
        let nothing = |planned: Result<Planned<()>, WriteError>| planned.map(|it| it.map(|()| Made::Nothing));
        match step.change {
            Change::CreateRole => plan
                .create_role(name(), step.scope.clone(), permissions, self.iam.rng())
                .map(|it| it.map(Made::Role)),
            Change::UpdateRole => nothing(plan.update_role(role, permissions)),
            Change::DeleteRole => nothing(plan.delete_role(role)),
            Change::CreatePolicy => plan
                .create_policy(name(), step.scope.clone(), step.document.clone(), self.iam.rng())
                .map(|it| it.map(Made::Policy)),
            Change::UpdatePolicy => nothing(plan.update_policy(policy, step.document.clone())),
            Change::DeletePolicy => nothing(plan.delete_policy(policy)),
            Change::Attach => {
                let role = self.roles[first.index(self.roles.len())];
                nothing(plan.attach_policy(role, policy))
            }
            Change::Detach => {
                let role = self.roles[first.index(self.roles.len())];
                nothing(plan.detach_policy(role, policy))
            }
            Change::SetBoundary => nothing(plan.set_boundary(subject, step.limit.clone())),
            Change::RemoveBoundary => nothing(plan.remove_boundary(subject)),
            Change::BindPolicy => {
                let group = self.groups[first.index(self.groups.len())];
                let holder = if step.lag.is_multiple_of(2) { subject.into() } else { group.into() };
                bind(policy.into(), holder).map(|it| it.map(Made::Binding))
            }
            Change::BindSubject => bind(role.into(), subject.into()).map(|it| it.map(Made::Binding)),
            Change::BindGroup => {
                let group = self.groups[first.index(self.groups.len())];
                bind(role.into(), group.into()).map(|it| it.map(Made::Binding))
            }
            Change::BindBuiltIn => {
                let role = BuiltInRole::ALL[second.index(BuiltInRole::ALL.len())];
                bind(role.into(), subject.into()).map(|it| it.map(Made::Binding))
            }
            Change::Unbind => match self.bindings.len() {
                0 => Err(WriteError::Unchanged),
                count => nothing(plan.unbind(self.bindings[first.index(count)])),
            },
            Change::Join => nothing(plan.add_member(group, subject)),
            Change::Leave => nothing(plan.remove_member(group, subject)),
            Change::Nest => nothing(plan.add_group(outer, group)),
            Change::Unnest => nothing(plan.remove_group(outer, group)),
            Change::Disable => nothing(plan.disable(subject)),
            Change::Enable => nothing(plan.enable(subject)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Made {
    Role(RoleId),
    Policy(PolicyId),
    Binding(BindingId),
    Nothing,
}

fn arb_step() -> impl Strategy<Value = Step> {
    use Change::*;
    let change = prop_oneof![
        2 => Just(CreateRole), 4 => Just(UpdateRole), 1 => Just(DeleteRole), 6 => Just(BindSubject),
        4 => Just(BindGroup), 1 => Just(BindBuiltIn), 3 => Just(Unbind), 4 => Just(Join), 2 => Just(Leave),
        1 => Just(Disable), 2 => Just(Enable), 2 => Just(CreatePolicy), 5 => Just(UpdatePolicy),
        1 => Just(DeletePolicy), 3 => Just(Attach), 2 => Just(Detach), 2 => Just(SetBoundary),
        1 => Just(RemoveBoundary), 5 => Just(BindPolicy), 4 => Just(Nest), 2 => Just(Unnest),
    ];
    let lag = prop_oneof![1 => Just(0_usize), 1 => 1_usize..8];
    let end = prop_oneof![3 => Just(Limit::Unlimited), 1 => Just(Limit::Only(LATER))];
    let which = (any::<Index>(), any::<Index>());
    let document = vec(arb_statement(), 0..3).prop_map(|all| PolicyDocument::new(all).unwrap());
    (0_usize..2, lag, change, which, arb_scope(), arb_permissions(), (document, arb_limit()), end).prop_map(
        |(caller, lag, change, (first, second), scope, permissions, (document, limit), end)| Step {
            caller,
            lag,
            change,
            which: [first, second],
            scope,
            permissions,
            document,
            limit,
            end,
        },
    )
}

/// None of them contains `iam:escalate`: who may escalate may exceed what it holds.
fn arb_permissions() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(&["apps:read", "apps:*", "*:read", "compute:write", "compute:*"][..]), 0..3)
}

fn arb_statement() -> impl Strategy<Value = Statement> {
    let condition = (any::<bool>(), prop::bool::weighted(0.3));
    let scopes = prop::option::weighted(0.3, vec(arb_scope(), 0..2));
    (prop::bool::weighted(0.4), arb_permissions(), scopes, condition).prop_map(
        |(is_deny, permissions, scopes, (not, is_conditional))| {
            let permissions = patterns(&permissions);
            let plain = if is_deny { Statement::deny(permissions) } else { Statement::allow(permissions) };
            let placed = scopes.map_or(plain.clone(), |scopes| plain.at(scopes).unwrap());
            let condition = if not { Condition::is_not(Test::Mfa) } else { Condition::is(Test::Mfa) };
            if is_conditional { placed.when(condition).unwrap() } else { placed }
        },
    )
}

fn arb_scope() -> impl Strategy<Value = Scope> {
    select(&["/", "/", "project/a", "project/b", "project/a/cluster/c"][..])
        .prop_map(|text| text.parse().unwrap())
}

fn arb_limit() -> impl Strategy<Value = Restriction> {
    let grant = (select(&["apps:*", "*:read", "*:*"][..]), arb_scope())
        .prop_map(|(pattern, scope)| Grant::new(pattern.parse().unwrap(), scope));
    prop_oneof![
        2 => Just(Restriction::unrestricted()),
        1 => vec(grant, 1..3).prop_map(|grants| Restriction::only(grants).unwrap()),
    ]
}

/// Every question of the small world, and strangers that only wildcards speak of.
fn universe() -> Vec<(Permission, Scope, UnixTime, Context)> {
    let contexts = [Context::new(), Context::new().with_mfa(true), Context::new().with_mfa(false)];
    let mut points = Vec::new();
    for service in ["apps", "compute", "stranger"] {
        for verb in ["read", "write", "stranger"] {
            for scope in ["/", "project/a", "project/b", "project/a/cluster/c"] {
                for at in [NOW, LATER] {
                    let permission = Permission::new(service, verb).unwrap();
                    let point =
                        |context: &Context| (permission.clone(), scope.parse().unwrap(), at, context.clone());
                    points.extend(contexts.iter().map(point));
                }
            }
        }
    }
    points
}
