//! What holds in every world.

use core_types::{Id, IdKind, Restriction, Scope, Subject};
use iam_policy::{GroupId, Holder, RoleRef};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::agreement::{decide, is_allowed};
use crate::arb::{
    arb_binding, arb_boundary, arb_nested_world, arb_policy, arb_questions, arb_restriction, arb_role,
    arb_statement, arb_trust, arb_world, subjects,
};
use crate::reference::{Question, Verdict};
use crate::world::{
    BindingFact, BoundaryFact, Fate, MemberFact, NestingFact, PolicyFact, RoleFact, StatementFact, TrustFact,
    World, id, user,
};

proptest! {
    #![proptest_config(crate::config(500))]

    #[test]
    fn one_more_allow_never_denies_more(
        world in arb_world(), (binding, role, statement) in (arb_binding(), arb_role(50), arb_statement()),
        is_role in any::<bool>(), questions in arb_questions(30)
    ) {
        let before = world.directory();
        let mut more = world;
        let policy = add_policy(&mut more, StatementFact { is_deny: false, ..statement });
        more.roles.push(RoleFact { policies: vec![], fate: Fate::Readable, ..role });
        let role = if is_role { RoleRef::Custom(id(50)) } else { policy };
        more.bindings.push(BindingFact { role, fate: Fate::Readable, ..binding });
        let after = more.directory();
        for question in questions {
            prop_assert!(!is_allowed(&before, &question) || is_allowed(&after, &question), "{:?}", question);
        }
    }

    #[test]
    fn one_more_denial_or_boundary_never_allows_more(
        world in arb_world(), (binding, statement) in (arb_binding(), arb_statement()),
        limit in arb_boundary(), subject in 0_u8..4, questions in arb_questions(30)
    ) {
        let before = world.directory();
        let mut denied = world.clone();
        let role = add_policy(&mut denied, StatementFact { is_deny: true, ..statement });
        denied.bindings.push(BindingFact { role, ..binding });
        let mut bounded = world;
        if bounded.boundaries.iter().all(|boundary| boundary.subject != user(subject)) {
            let (limit, fate) = limit;
            bounded.boundaries.push(BoundaryFact { subject: user(subject), limit, fate });
        }
        let after = [denied.directory(), bounded.directory()];
        for question in questions {
            let was = is_allowed(&before, &question);
            prop_assert!(after.iter().all(|after| was || !is_allowed(after, &question)), "{:?}", question);
        }
    }

    #[test]
    fn a_restriction_never_allows_more_and_two_allow_what_each_does(
        world in arb_world(), other in arb_restriction(), questions in arb_questions(30)
    ) {
        let directory = world.directory();
        for question in questions {
            let asked = |restriction| is_allowed(&directory, &Question { restriction, ..question.clone() });
            let with = |restriction: &Restriction| asked(restriction.clone());
            prop_assert!(!with(&question.restriction) || with(&Restriction::unrestricted()));
            let both = question.restriction.intersect(&other).unwrap();
            prop_assert_eq!(with(&both), with(&question.restriction) && with(&other));
            prop_assert!(!with(&Restriction::nothing()));
        }
    }

    #[test]
    fn joining_a_group_changes_exactly_what_the_group_carries(
        world in arb_world(), group in 0_u8..4, subject in 0_u8..4, questions in arb_questions(60)
    ) {
        let mut before = world;
        before.members.retain(|member| (member.group, member.subject) != (id(group), user(subject)));
        let membership = MemberFact { group: id(group), subject: user(subject), fate: Fate::Readable };
        let mut after = before.clone();
        after.members.push(membership);
        // The same subject as if the group were all it had.
        let mut alone = before.clone();
        alone.members = vec![membership];
        alone.bindings.retain(|binding| matches!(binding.holder, Holder::Group(_)));
        let (before, after, alone) = (before.directory(), after.directory(), alone.directory());
        for question in questions {
            let was = decide(&before, &question);
            if question.subject == user(subject) {
                let sides = [&before, &alone].map(|side| decide(side, &question));
                let is_any_denied = sides.iter().any(is_denial);
                let is_any_allowed = sides.iter().any(|side| matches!(side, Verdict::Allowed { .. }));
                prop_assert_eq!(is_allowed(&after, &question), is_any_allowed && !is_any_denied);
            } else {
                prop_assert_eq!(decide(&after, &question), was);
            }
        }
    }

    #[test]
    fn a_group_that_comes_to_be_in_another_one_changes_exactly_what_that_one_carries_for_who_is_in_it(
        world in arb_world(), (outer, inner) in (0_u8..4, 0_u8..4), questions in arb_questions(60)
    ) {
        prop_assume!(inner < outer);
        let mut before = world;
        // What only half counts is the law's above.
        before.members.retain(|member| member.fate == Fate::Readable);
        before.groups.iter_mut().filter(|it| it.fate == Fate::Unreadable).for_each(|it| it.fate = Fate::Readable);
        before.nestings.retain(|it| it.fate == Fate::Readable && it.inner < it.outer);
        before.nestings.retain(|it| (it.outer, it.inner) != (id(outer), id(inner)));
        let mut after = before.clone();
        after.nestings.push(NestingFact { outer: id(outer), inner: id(inner), fate: Fate::Readable });
        let homes = [outer, inner].map(|group| before.groups.iter().find(|it| it.id == id(group)).unwrap());
        let is_one_tenant = homes[0].home.levels().next() == homes[1].home.levels().next();
        let counts = is_one_tenant && homes.iter().all(|group| group.fate == Fate::Readable);
        // Everyone as a member of the outer one, and of nothing else.
        let mut alone = before.clone();
        alone.members = (0..4).map(|number| {
            MemberFact { group: id(outer), subject: user(number), fate: Fate::Readable }
        }).collect();
        alone.bindings.retain(|binding| matches!(binding.holder, Holder::Group(_)));
        let (old, new, alone) = (before.directory(), after.directory(), alone.directory());
        for question in questions {
            let is_within = before.members.iter().any(|member| {
                member.subject == question.subject && comes_to(&before, member.group, id(inner))
            });
            if is_within && counts {
                let sides = [&old, &alone].map(|side| decide(side, &question));
                let is_any_denied = sides.iter().any(is_denial);
                let is_any_allowed = sides.iter().any(|side| matches!(side, Verdict::Allowed { .. }));
                prop_assert_eq!(is_allowed(&new, &question), is_any_allowed && !is_any_denied, "{:?}", question);
            } else {
                prop_assert_eq!(decide(&new, &question), decide(&old, &question));
            }
        }
    }

    #[test]
    fn what_records_are_called_by_decides_nothing(
        world in prop_oneof![arb_world(), arb_nested_world()], questions in arb_questions(40)
    ) {
        let (before, after) = (world.directory(), renamed(&world).directory());
        for question in questions {
            let Subject::User(user) = question.subject else { unreachable!("all are users") };
            let again = Question { subject: Subject::User(other_id(user)), ..question.clone() };
            prop_assert_eq!(is_allowed(&after, &again), is_allowed(&before, &question), "{:?}", question);
        }
    }

    #[test]
    fn what_happens_in_one_tenant_leaves_the_decisions_of_another_as_they_are(
        world in arb_world(),
        home in prop::sample::select(&["project/a", "project/b", "project/a/project/b"][..]),
        change in (vec(arb_binding(), 3), arb_role(0), arb_policy(0), vec(any::<bool>(), 20)),
        trusts in vec(arb_trust(), 2),
        questions in arb_questions(60),
    ) {
        let home: Scope = home.parse().unwrap();
        let before = world.directory();
        let mut changed = change_within(&world, &home, &change);
        change_trusts(&mut changed, &home, trusts);
        let after = changed.directory();
        for question in questions {
            let stranger = world.subjects.iter().find(|subject| subject.id == question.subject);
            let is_stranger = stranger.is_none_or(|subject| !same_tenant(&subject.home, &home));
            if is_stranger && !same_tenant(&question.resource, &home) {
                prop_assert_eq!(decide(&after, &question), decide(&before, &question), "{:?}", question);
            }
        }
    }

    #[test]
    fn one_more_trust_only_adds_and_only_for_whom_it_names_where_it_says(
        world in arb_world(), trust in arb_trust(), questions in arb_questions(40)
    ) {
        let before = world.directory();
        let mut more = world.clone();
        more.trusts.push(TrustFact { id: id(99), ..trust.clone() });
        let after = more.directory();
        for question in questions {
            let (was, is) = (decide(&before, &question), decide(&after, &question));
            let subject = world.subjects.iter().find(|subject| subject.id == question.subject);
            let is_named = subject.is_some_and(|subject| same_tenant(&subject.home, &trust.trusted))
                && same_tenant(&question.resource, &trust.truster);
            prop_assert!(was == is || is_named && was == Verdict::TenantMismatch, "{:?}", question);
        }
    }

    #[test]
    fn who_is_not_in_the_directory_may_do_nothing(questions in arb_questions(10)) {
        let nobody = World::default().directory();
        for question in questions {
            prop_assert!(!is_allowed(&nobody, &question));
        }
        for subject in subjects() {
            prop_assert_eq!(nobody.subject(subject), None);
        }
    }
}

/// A policy of one statement, that can be bound.
fn add_policy(world: &mut World, statement: StatementFact) -> RoleRef {
    let (home, statements) = (Scope::root(), vec![statement]);
    world.policies.push(PolicyFact { id: id(50), home, statements, fate: Fate::Readable });
    RoleRef::Policy(id(50))
}

/// The same world by other ids, in the opposite order.
fn renamed(world: &World) -> World {
    let mut world = world.clone();
    let subject = |subject: &mut Subject| {
        let Subject::User(user) = *subject else { return };
        *subject = Subject::User(other_id(user));
    };
    world.subjects.iter_mut().for_each(|fact| subject(&mut fact.id));
    world.boundaries.iter_mut().for_each(|fact| subject(&mut fact.subject));
    world.groups.iter_mut().for_each(|fact| fact.id = other_id(fact.id));
    world.policies.iter_mut().for_each(|fact| fact.id = other_id(fact.id));
    world.trusts.iter_mut().for_each(|fact| fact.id = other_id(fact.id));
    for fact in &mut world.roles {
        fact.id = other_id(fact.id);
        fact.policies = fact.policies.iter().rev().map(|policy| other_id(*policy)).collect();
    }
    for fact in &mut world.members {
        fact.group = other_id(fact.group);
        subject(&mut fact.subject);
    }
    for fact in &mut world.nestings {
        (fact.outer, fact.inner) = (other_id(fact.outer), other_id(fact.inner));
    }
    for fact in &mut world.bindings {
        fact.id = other_id(fact.id);
        fact.role = match fact.role {
            RoleRef::Custom(role) => RoleRef::Custom(other_id(role)),
            RoleRef::Policy(policy) => RoleRef::Policy(other_id(policy)),
            other => other,
        };
        match &mut fact.holder {
            Holder::Subject(holder) => subject(holder),
            Holder::Group(group) => *group = other_id(*group),
            _ => {}
        }
    }
    world
}

fn other_id<K: IdKind>(id: Id<K>) -> Id<K> {
    Id::from_bytes(id.to_bytes().map(|byte| !byte))
}

/// Whether the one group is the other, or in it, by groups that are there and of one tenant.
fn comes_to(world: &World, from: GroupId, to: GroupId) -> bool {
    let group = |id| world.groups.iter().find(|group| group.id == id && group.fate == Fate::Readable);
    let Some(here) = group(from) else { return false };
    from == to
        || world.nestings.iter().filter(|it| it.inner == from).any(|it| {
            let outer = group(it.outer);
            outer.is_some_and(|outer| outer.home.levels().next() == here.home.levels().next())
                && comes_to(world, it.outer, to)
        })
}

const fn is_denial(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::ExplicitDeny { .. }
            | Verdict::TangledGroups(_)
            | Verdict::UnreadableBinding(..)
            | Verdict::UnreadableRole(..)
    )
}

/// The world after whoever rules the tenant of `home`, and nobody else, has changed what it can. Nobody can make
/// a record unreadable, or readable again.
fn change_within(
    world: &World,
    home: &Scope,
    (bindings, role, policy, keep): &(Vec<BindingFact>, RoleFact, PolicyFact, Vec<bool>),
) -> World {
    let mut changed = world.clone();
    let mut keep = keep.iter().copied().cycle();
    let mut change = |fate: &mut Fate| {
        if *fate != Fate::Unreadable {
            *fate = if keep.next().unwrap_or_default() { Fate::Readable } else { Fate::Gone };
        }
    };
    for subject in changed.subjects.iter_mut().filter(|subject| same_tenant(&subject.home, home)) {
        subject.enabled = !subject.enabled;
        change(&mut subject.fate);
        changed.boundaries.retain(|boundary| boundary.subject != subject.id);
    }
    // Nobody changes what a group has to do with one that nobody can read, nor deletes it.
    let is_unreadable = |id| world.groups.iter().any(|it| it.id == id && it.fate == Fate::Unreadable);
    let stuck: Vec<GroupId> = world
        .nestings
        .iter()
        .filter(|it| is_unreadable(it.outer) || is_unreadable(it.inner) || it.fate == Fate::Unreadable)
        .flat_map(|it| [it.outer, it.inner])
        .collect();
    let mut groups = Vec::new();
    for group in changed.groups.iter_mut().filter(|group| same_tenant(&group.home, home)) {
        if !stuck.contains(&group.id) {
            change(&mut group.fate);
        }
        if group.fate != Fate::Unreadable {
            groups.push(group.id);
        }
    }
    for nesting in changed.nestings.iter_mut().filter(|it| groups.contains(&it.outer)) {
        if !stuck.contains(&nesting.outer) && !stuck.contains(&nesting.inner) {
            change(&mut nesting.fate);
        }
    }
    for member in changed.members.iter_mut().filter(|member| groups.contains(&member.group)) {
        change(&mut member.fate);
    }
    for old in changed.roles.iter_mut().filter(|old| same_tenant(&old.home, home)) {
        old.patterns.clone_from(&role.patterns);
        old.policies.clone_from(&role.policies);
        change(&mut old.fate);
    }
    for old in changed.policies.iter_mut().filter(|old| same_tenant(&old.home, home)) {
        old.statements.clone_from(&policy.statements);
        change(&mut old.fate);
    }
    changed.bindings.retain(|binding| !same_tenant(&binding.scope, home) || binding.fate == Fate::Unreadable);
    for (number, binding) in (100..).zip(bindings) {
        if same_tenant(&binding.scope, home) {
            changed.bindings.push(BindingFact { id: id(number), fate: Fate::Readable, ..binding.clone() });
        }
    }
    changed
}

/// The tenant offers, withdraws and changes what it trusts others for, and accepts or refuses their trust.
fn change_trusts(world: &mut World, home: &Scope, new: Vec<TrustFact>) {
    world.trusts.retain(|trust| !same_tenant(&trust.truster, home) || trust.fate == Fate::Unreadable);
    for trust in world.trusts.iter_mut().filter(|trust| same_tenant(&trust.trusted, home)) {
        trust.accepted = !trust.accepted;
    }
    for (number, trust) in (100..).zip(new) {
        if same_tenant(&trust.truster, home) {
            world.trusts.push(TrustFact { id: id(number), ..trust });
        }
    }
}

fn same_tenant(a: &Scope, b: &Scope) -> bool {
    a.levels().next().is_some() && a.levels().next() == b.levels().next()
}
