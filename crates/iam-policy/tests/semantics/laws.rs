//! What holds in every world.

use core_types::{Restriction, Scope};
use iam_policy::Holder;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::agreement::{decide, is_allowed};
use crate::arb::{
    arb_binding, arb_fate, arb_questions, arb_restriction, arb_role, arb_scope, arb_world, subjects,
};
use crate::reference::Question;
use crate::world::{Fate, MemberFact, World, id, user};

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn one_more_binding_never_denies_more(
        world in arb_world(), binding in arb_binding(), questions in arb_questions(30)
    ) {
        let before = world.directory();
        let mut more = world;
        more.bindings.push(binding);
        let after = more.directory();
        for question in questions {
            prop_assert!(!is_allowed(&before, &question) || is_allowed(&after, &question), "{:?}", question);
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
        world in arb_world(), group in 0_u8..3, subject in 0_u8..4, questions in arb_questions(60)
    ) {
        let mut before = world;
        before.members.retain(|member| (member.group, member.subject) != (id(group), user(subject)));
        let membership = MemberFact { group: id(group), subject: user(subject), fate: Fate::Readable };
        let mut after = before.clone();
        after.members.push(membership);
        // The same subject as if the group were all it had.
        let mut alone = before.clone();
        alone.members = vec![membership];
        alone.bindings.retain(|binding| binding.holder == Holder::Group(id(group)));
        let (before, after, alone) = (before.directory(), after.directory(), alone.directory());
        for question in questions {
            let was = decide(&before, &question);
            if question.subject == user(subject) {
                let expected = is_allowed(&before, &question) || is_allowed(&alone, &question);
                prop_assert_eq!(is_allowed(&after, &question), expected);
            } else {
                prop_assert_eq!(decide(&after, &question), was);
            }
        }
    }

    #[test]
    fn what_happens_in_one_tenant_leaves_the_decisions_of_another_as_they_are(
        world in arb_world(),
        home in arb_scope(2),
        (bindings, role, fates) in (vec(arb_binding(), 3), arb_role(0), vec(arb_fate(), 20)),
        questions in arb_questions(60),
    ) {
        prop_assume!(!home.is_root());
        let before = world.directory();
        let changed = change_within(&world, &home, &bindings, &role, &fates);
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

/// The world after whoever rules the tenant of `home`, and nobody else, has changed what it can.
fn change_within(
    world: &World,
    home: &Scope,
    bindings: &[crate::world::BindingFact],
    role: &crate::world::RoleFact,
    fates: &[Fate],
) -> World {
    let mut changed = world.clone();
    let mut fates = fates.iter().copied().cycle();
    let mut fate = || fates.next().unwrap_or(Fate::Gone);
    for subject in changed.subjects.iter_mut().filter(|subject| same_tenant(&subject.home, home)) {
        subject.enabled = !subject.enabled;
        subject.fate = fate();
    }
    let mut groups = Vec::new();
    for group in changed.groups.iter_mut().filter(|group| same_tenant(&group.home, home)) {
        group.fate = fate();
        groups.push(group.id);
    }
    for member in changed.members.iter_mut().filter(|member| groups.contains(&member.group)) {
        member.fate = fate();
    }
    for old in changed.roles.iter_mut().filter(|old| same_tenant(&old.home, home)) {
        old.patterns.clone_from(&role.patterns);
        old.fate = fate();
    }
    changed.bindings.retain(|binding| !same_tenant(&binding.scope, home));
    for (number, binding) in (100..).zip(bindings) {
        let mut binding = binding.clone();
        binding.id = id(number);
        if same_tenant(&binding.scope, home) {
            changed.bindings.push(binding);
        }
    }
    changed
}

fn same_tenant(a: &Scope, b: &Scope) -> bool {
    a.levels().next().is_some() && a.levels().next() == b.levels().next()
}
