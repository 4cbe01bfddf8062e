//! Small worlds to begin with.

use core_types::{Limit, Restriction, Scope, UnixTime};
use iam_policy::{Holder, RoleRef};

use crate::agreement::decide;
use crate::arb::pattern;
use crate::reference::{Question, Verdict};
use crate::world::{
    BindingFact, Fate, GroupFact, MemberFact, PolicyFact, RoleFact, StatementFact, SubjectFact, World, id,
    user,
};

/// Alice, user 1, who can reach everywhere and holds nothing.
pub(crate) fn alice_alone() -> World {
    let alice = SubjectFact { id: user(1), home: Scope::root(), enabled: true, fate: Fate::Readable };
    World { subjects: vec![alice], ..World::default() }
}

/// Alice with a role of one pattern, bound at one scope by binding 1.
pub(crate) fn alice_with(permissions: &str, scope: &str) -> World {
    let (home, patterns, policies) = (Scope::root(), vec![pattern(permissions)], vec![]);
    let role = RoleFact { id: id(2), home, patterns, policies, fate: Fate::Readable };
    let binding = BindingFact {
        id: id(1),
        role: RoleRef::Custom(id(2)),
        holder: Holder::Subject(user(1)),
        scope: scope.parse().unwrap(),
        expires_at: Limit::Unlimited,
        fate: Fate::Readable,
    };
    World { roles: vec![role], bindings: vec![binding], ..alice_alone() }
}

/// Alice in group 3, which holds role 2 by binding 1; with the role comes policy 6, which denies `*:write`.
pub(crate) fn group_with_a_policy(permissions: &str) -> World {
    let mut world = alice_with(permissions, "/");
    world.groups = vec![GroupFact { id: id(3), home: Scope::root(), fate: Fate::Readable }];
    world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
    world.bindings[0].holder = Holder::Group(id(3));
    add_policy(&mut world, "/", vec![StatementFact { is_deny: true, ..allowing("*:write") }]);
    world.bindings.truncate(1);
    world.roles[0].policies = vec![id(6)];
    world
}

/// Policy 6, bound to Alice by binding 5.
pub(crate) fn add_policy(world: &mut World, scope: &str, statements: Vec<StatementFact>) {
    let policy = PolicyFact { id: id(6), home: Scope::root(), statements, fate: Fate::Readable };
    world.policies = vec![policy];
    world.bindings.push(BindingFact {
        id: id(5),
        role: RoleRef::Policy(id(6)),
        holder: Holder::Subject(user(1)),
        scope: scope.parse().unwrap(),
        expires_at: Limit::Unlimited,
        fate: Fate::Readable,
    });
}

pub(crate) fn allowing(permissions: &str) -> StatementFact {
    StatementFact { is_deny: false, patterns: vec![pattern(permissions)], scopes: None, conditions: vec![] }
}

/// The first binding, as it would be readable.
pub(crate) fn readable(world: &World) -> BindingFact {
    BindingFact { fate: Fate::Readable, ..world.bindings[0].clone() }
}

pub(crate) fn fate_of<'w>(world: &'w mut World, part: &str) -> &'w mut Fate {
    match part {
        "role" => &mut world.roles[0].fate,
        "binding" => &mut world.bindings[0].fate,
        "membership" => &mut world.members[0].fate,
        "policy" => &mut world.policies[0].fate,
        _ => &mut world.groups[0].fate,
    }
}

pub(crate) fn question(permission: &str, resource: &str) -> Question {
    Question {
        subject: user(1),
        restriction: Restriction::unrestricted(),
        permission: permission.parse().unwrap(),
        resource: resource.parse().unwrap(),
        now: UnixTime::EPOCH,
        mfa: None,
    }
}

pub(crate) fn answer(world: &World, permission: &str, resource: &str) -> Verdict {
    decide(&world.directory(), &question(permission, resource))
}
