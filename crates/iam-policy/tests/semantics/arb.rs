//! Random small worlds: names are few, so that everything meets everything.

use core_types::testing::arb_pattern;
use core_types::{Grant, Limit, Permission, PermissionPattern, Restriction, Scope, Subject, UnixTime};
use iam_policy::{BuiltInRole, Holder, RoleRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference::Question;
use crate::world::{
    BindingFact, BoundaryFact, ConditionFact, Fate, GroupFact, MemberFact, NestingFact, PolicyFact, RoleFact,
    StatementFact, SubjectFact, TestFact, TrustFact, World, id, user,
};

const SUBJECTS: u8 = 4;
const GROUPS: u8 = 4;
const ROLES: u8 = 4;
const POLICIES: u8 = 3;

pub(crate) fn arb_world() -> impl Strategy<Value = World> {
    let subjects: Vec<_> = (0..SUBJECTS).map(arb_subject_fact).collect();
    let groups: Vec<_> = (0..GROUPS)
        .map(|number| {
            (arb_home(), arb_fate()).prop_map(move |(home, fate)| GroupFact { id: id(number), home, fate })
        })
        .collect();
    let roles: Vec<_> = (0..ROLES).map(arb_role).collect();
    let members = vec((0..GROUPS, 0..SUBJECTS, arb_fate()), 0..8).prop_map(|facts| {
        let mut members: Vec<MemberFact> = Vec::new();
        for (group, subject, fate) in facts {
            let member = MemberFact { group: id(group), subject: user(subject), fate };
            members.retain(|other| (other.group, other.subject) != (member.group, member.subject));
            members.push(member);
        }
        members
    });
    let bindings = vec(arb_binding(), 0..20).prop_map(|mut bindings| {
        for (number, binding) in (0..).zip(&mut bindings) {
            binding.id = id(number);
        }
        bindings
    });
    let policies: Vec<_> = (0..POLICIES).map(arb_policy).collect();
    let boundaries = vec(prop::option::weighted(0.15, arb_boundary()), usize::from(SUBJECTS));
    let boundaries = boundaries.prop_map(|limits| {
        let limits = (0..).zip(limits).filter_map(|(number, limit)| Some((user(number), limit?)));
        limits.map(|(subject, (limit, fate))| BoundaryFact { subject, limit, fate }).collect::<Vec<_>>()
    });
    let trusts = vec(arb_trust(), 0..4).prop_map(|mut trusts| {
        for (number, trust) in (0..).zip(&mut trusts) {
            trust.id = id(number);
        }
        trusts
    });
    let rest = (policies, boundaries, trusts, arb_nestings(), prop::bool::weighted(0.02));
    (subjects, groups, roles, members, bindings, rest).prop_map(
        |(
            subjects,
            groups,
            roles,
            members,
            bindings,
            (policies, boundaries, trusts, nestings, has_unknown_family),
        )| {
            World {
                subjects,
                groups,
                roles,
                members,
                nestings,
                bindings,
                policies,
                boundaries,
                trusts,
                has_unknown_family,
            }
        },
    )
}

/// A world in which what anybody has comes by groups, and most of it by groups in groups.
pub(crate) fn arb_nested_world() -> impl Strategy<Value = World> {
    arb_world().prop_map(|mut world| {
        for subject in &mut world.subjects {
            (subject.home, subject.enabled) = (Scope::root(), true);
        }
        world.groups.iter_mut().for_each(|group| group.home = Scope::root());
        world.members.iter_mut().for_each(|member| member.group = id(u8::from(member.group == id(3))));
        let mut seen = Vec::new();
        world.members.retain(|member| {
            let is_new = !seen.contains(&(member.group, member.subject));
            seen.push((member.group, member.subject));
            is_new
        });
        for (number, binding) in (0_u8..).zip(&mut world.bindings) {
            binding.holder = Holder::Group(id(number % GROUPS));
        }
        world
    })
}

/// Most of them in one direction, so that there is no circle.
fn arb_nestings() -> impl Strategy<Value = Vec<NestingFact>> {
    let pair = (0..GROUPS, 0..GROUPS, prop::bool::weighted(0.04));
    vec((pair, arb_fate()), 0..8).prop_map(|facts| {
        let mut nestings: Vec<NestingFact> = Vec::new();
        for ((first, second, is_any), fate) in facts {
            let (outer, inner) =
                if is_any { (first, second) } else { (first.max(second), first.min(second)) };
            let nesting = NestingFact { outer: id(outer), inner: id(inner), fate };
            nestings.retain(|other| (other.outer, other.inner) != (nesting.outer, nesting.inner));
            if is_any || outer != inner {
                nestings.push(nesting);
            }
        }
        nestings
    })
}

fn arb_subject_fact(number: u8) -> impl Strategy<Value = SubjectFact> {
    (arb_home(), prop::bool::weighted(0.95), arb_fate()).prop_map(move |(home, enabled, fate)| SubjectFact {
        id: user(number),
        home,
        enabled,
        fate,
    })
}

pub(crate) fn arb_role(number: u8) -> impl Strategy<Value = RoleFact> {
    let policies = prop::collection::btree_set((0..POLICIES + 1).prop_map(id), 0..2);
    (arb_home(), vec(arb_pattern(), 0..6), policies, arb_rare_fate()).prop_map(
        move |(home, patterns, policies, fate)| {
            let policies = policies.into_iter().collect();
            RoleFact { id: id(number), home, patterns, policies, fate }
        },
    )
}

pub(crate) fn arb_policy(number: u8) -> impl Strategy<Value = PolicyFact> {
    (arb_home(), vec(arb_statement(), 0..4), arb_rare_fate())
        .prop_map(move |(home, statements, fate)| PolicyFact { id: id(number), home, statements, fate })
}

pub(crate) fn arb_statement() -> impl Strategy<Value = StatementFact> {
    let test = prop_oneof![2 => Just(TestFact::Mfa), 1 => (0_u64..4).prop_map(TestFact::From)];
    let condition = (any::<bool>(), test).prop_map(|(not, test)| ConditionFact { not, test });
    let scopes = prop::option::weighted(0.3, vec(arb_scope(2), 0..3));
    (prop::bool::weighted(0.4), vec(arb_pattern(), 0..4), scopes, vec(condition, 0..3)).prop_map(
        |(is_deny, patterns, scopes, conditions)| StatementFact { is_deny, patterns, scopes, conditions },
    )
}

pub(crate) fn arb_boundary() -> impl Strategy<Value = (Restriction, Fate)> {
    let fate = prop_oneof![8 => Just(Fate::Readable), 1 => Just(Fate::Unreadable), 1 => Just(Fate::Gone)];
    (arb_restriction(), fate)
}

/// A trust whose id is still to be given; mostly between two tenants, and in force.
pub(crate) fn arb_trust() -> impl Strategy<Value = TrustFact> {
    let tenant = || {
        prop_oneof![12 => select(&["project/a", "project/b"][..]).prop_map(|text| text.parse().unwrap()),
        1 => arb_scope(2)]
    };
    (tenant(), tenant(), arb_restriction(), prop::bool::weighted(0.8), arb_fate()).prop_map(
        |(truster, trusted, limit, accepted, fate)| TrustFact {
            id: id(u8::MAX),
            truster,
            trusted,
            limit,
            accepted,
            fate,
        },
    )
}

/// A binding whose id is still to be given.
pub(crate) fn arb_binding() -> impl Strategy<Value = BindingFact> {
    let role = prop_oneof![
        4 => (0..ROLES + 1).prop_map(|number| RoleRef::Custom(id(number))),
        1 => select(BuiltInRole::ALL).prop_map(RoleRef::BuiltIn),
        3 => (0..POLICIES + 1).prop_map(|number| RoleRef::Policy(id(number))),
    ];
    let holder = prop_oneof![
        (0..SUBJECTS).prop_map(|number| Holder::Subject(user(number))),
        (0..GROUPS).prop_map(|number| Holder::Group(id(number))),
    ];
    let end = prop_oneof![
        6 => Just(Limit::Unlimited),
        1 => (0_u64..4).prop_map(|at| Limit::Only(UnixTime::from_millis(at))),
    ];
    (role, holder, arb_scope(2), end, arb_rare_fate()).prop_map(|(role, holder, scope, expires_at, fate)| {
        BindingFact { id: id(u8::MAX), role, holder, scope, expires_at, fate }
    })
}

/// Mostly the root, so that most of a world counts for something.
fn arb_home() -> impl Strategy<Value = Scope> {
    prop_oneof![3 => Just(Scope::root()), 1 => arb_scope(2)]
}

/// A scope of at most `depth` levels, with two names to choose from at each, and seldom one that comes between what
/// the first contains in the order of texts.
pub(crate) fn arb_scope(depth: usize) -> impl Strategy<Value = Scope> {
    vec(select(&["a", "b", "a", "b", "a", "b", "a-b"][..]), 0..=depth).prop_map(|names| {
        names.iter().fold(Scope::root(), |scope, name| scope.child("project", name).unwrap())
    })
}

/// No limit, or a few grants that cut off most; with and without an end.
pub(crate) fn arb_restriction() -> impl Strategy<Value = Restriction> {
    let grant = (arb_pattern(), arb_scope(1)).prop_map(|(pattern, scope)| Grant::new(pattern, scope));
    let restriction = prop_oneof![
        1 => Just(Restriction::unrestricted()),
        1 => vec(grant, 0..4).prop_map(|grants| Restriction::only(grants).unwrap()),
    ];
    (restriction, prop::option::weighted(0.2, 0_u64..4)).prop_map(|(restriction, end)| match end {
        Some(end) => restriction.expiring(UnixTime::from_millis(end)),
        None => restriction,
    })
}

pub(crate) fn arb_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![30 => Just(Fate::Readable), 1 => Just(Fate::Unreadable), 1 => Just(Fate::Gone)]
}

/// Of what denies something when it is unreadable, so that it does not deny everything always.
fn arb_rare_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![120 => Just(Fate::Readable), 1 => Just(Fate::Unreadable), 4 => Just(Fate::Gone)]
}

pub(crate) fn arb_question() -> impl Strategy<Value = Question> {
    let subject = prop_oneof![12 => 0..SUBJECTS, 1 => Just(SUBJECTS)];
    let mfa = select(vec![None, Some(true), Some(false)]);
    (subject, arb_restriction(), select(permissions()), arb_scope(3), 0_u64..4, mfa).prop_map(
        |(subject, restriction, permission, resource, now, mfa)| Question {
            subject: user(subject),
            restriction,
            permission,
            resource,
            now: UnixTime::from_millis(now),
            mfa,
        },
    )
}

pub(crate) fn arb_questions(count: usize) -> impl Strategy<Value = Vec<Question>> {
    vec(arb_question(), count)
}

/// The permissions that patterns speak of, and those that only wildcards match.
fn permissions() -> Vec<Permission> {
    let texts = [
        "apps:read",
        "apps:write",
        "compute:read",
        "compute:write",
        "admin:read",
        "storage:write",
        "databases:write",
        "strange:list",
        "strange:stranger",
    ];
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn subjects() -> impl Iterator<Item = Subject> {
    (0..=SUBJECTS).map(user)
}

pub(crate) fn pattern(text: &str) -> PermissionPattern {
    text.parse().unwrap()
}
