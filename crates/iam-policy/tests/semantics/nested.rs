//! The rows of the table about groups in groups.

use core_types::{Limit, Principal, Scope};
use iam_policy::plan::{MAX_GROUPS_ABOVE, MAX_NESTING_DEPTH};
use iam_policy::{AccessRequest, Fact, GroupId, Holder, Lint};

use crate::agreement::is_allowed;
use crate::people::{add_policy, alice_with, allowing, answer, question};
use crate::reference::Verdict;
use crate::world::{Fate, GroupFact, MemberFact, NestingFact, REVISION, StatementFact, World, id, user};

/// Alice is in group 3, that in 4, and that in 5, to which role 2 of these permissions is bound, and policy 6, which
/// denies `*:write`.
fn alice_below(permissions: &str) -> World {
    let mut world = alice_with(permissions, "/");
    world.groups = [3, 4, 5].map(group).to_vec();
    world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
    world.nestings = vec![nesting(4, 3), nesting(5, 4)];
    add_policy(&mut world, "/", vec![StatementFact { is_deny: true, ..allowing("*:write") }]);
    world.bindings.iter_mut().for_each(|binding| binding.holder = Holder::Group(id(5)));
    world
}

fn group(number: u8) -> GroupFact {
    GroupFact { id: id(number), home: Scope::root(), fate: Fate::Readable }
}

fn nesting(outer: u8, inner: u8) -> NestingFact {
    NestingFact { outer: id(outer), inner: id(inner), fate: Fate::Readable }
}

fn reads_and_writes(world: &World) -> [Verdict; 2] {
    ["apps:read", "apps:write"].map(|permission| answer(world, permission, "/"))
}

#[test]
fn who_is_in_a_group_is_in_every_group_that_one_is_in() {
    let world = alice_below("apps:read");
    let [read, write] = reads_and_writes(&world);
    let via: Option<GroupId> = Some(id(5));
    let scope = Scope::root();
    assert_eq!(read, Verdict::Allowed { binding: id(1), via, scope, statement: None, trust: None });
    assert!(matches!(write, Verdict::ExplicitDeny { via: Some(group), .. } if group == id(5)));
    // Nobody is in a group because that is in one of its own.
    let mut above = alice_below("apps:read");
    above.members[0].group = id(5);
    above.bindings.iter_mut().for_each(|binding| binding.holder = Holder::Group(id(4)));
    assert_eq!(reads_and_writes(&above), [Verdict::NoGrant(None), Verdict::NoGrant(None)]);
    // The way is told.
    let directory = world.directory();
    let (alice, question) = (Principal::subject(user(1)), question("apps:read", "/"));
    let request = AccessRequest::new(
        &alice,
        &question.restriction,
        &question.permission,
        &question.resource,
        question.now,
    );
    let explained = directory.at(REVISION).explain(&request);
    assert_eq!(explained.ways.into_iter().collect::<Vec<_>>(), [(id(5), vec![id(3), id(4), id(5)])]);
    let way = [Fact::Nesting(id(4), id(3)), Fact::Nesting(id(5), id(4)), Fact::Group(id(4))];
    assert!(way.iter().all(|fact| explained.facts.contains(fact)), "{:?}", explained.facts);
}

#[test]
fn by_a_nesting_or_a_group_between_that_is_deleted_nothing_comes() {
    for part in 0..3 {
        let mut world = alice_below("apps:read");
        match part {
            2 => world.groups[1].fate = Fate::Gone,
            part => world.nestings[part].fate = Fate::Gone,
        }
        assert_eq!(reads_and_writes(&world), [Verdict::NoGrant(None), Verdict::NoGrant(None)], "{part}");
    }
}

#[test]
fn by_a_nesting_or_a_group_between_that_is_unreadable_only_the_denials_come() {
    for part in 0..3 {
        let mut world = alice_below("apps:*");
        match part {
            2 => world.groups[1].fate = Fate::Unreadable,
            part => world.nestings[part].fate = Fate::Unreadable,
        }
        let [read, write] = reads_and_writes(&world);
        assert_eq!(read, Verdict::NoGrant(None), "{part}");
        assert!(matches!(write, Verdict::ExplicitDeny { .. }), "{part}");
        // By another way that is readable, all of it comes.
        world.groups.push(group(9));
        world.members.push(MemberFact { group: id(9), subject: user(1), fate: Fate::Readable });
        world.nestings.push(nesting(5, 9));
        assert!(is_allowed(&world.directory(), &question("apps:read", "/")), "{part}");
    }
}

#[test]
fn between_groups_of_two_tenants_nothing_comes() {
    for (inner, outer) in [("project/a", "project/b"), ("project/a", "/"), ("/", "project/a")] {
        let mut world = alice_below("apps:read");
        for binding in &mut world.bindings {
            binding.scope = "project/a".parse().unwrap();
        }
        world.groups[0].home = inner.parse().unwrap();
        world.groups[1].home = inner.parse().unwrap();
        world.groups[2].home = outer.parse().unwrap();
        assert_eq!(answer(&world, "apps:read", "project/a"), Verdict::NoGrant(None));
        assert_eq!(answer(&world, "apps:write", "project/a"), Verdict::NoGrant(None));
        let found = world.directory().lint(question("apps:read", "/").now, None);
        let about = Fact::Nesting(id(5), id(4));
        assert!(found.iter().any(|it| it.lint == Lint::IdleNesting && it.about == about));
        // By one that nobody can read, the ends are of two tenants all the same.
        world.groups[1].fate = Fate::Unreadable;
        assert_eq!(answer(&world, "apps:write", "project/a"), Verdict::NoGrant(None));
    }
}

#[test]
fn members_of_a_group_whose_groups_are_tangled_are_denied_everything_where_it_can_count() {
    let tangled = |change: &dyn Fn(&mut World)| {
        let mut world = alice_below("*:*");
        world.bindings.truncate(1);
        world.groups[0].home = "project/a".parse().unwrap();
        world.groups.iter_mut().for_each(|group| group.home = "project/a".parse().unwrap());
        world.bindings[0].holder = Holder::Subject(user(1));
        assert!(is_allowed(&world.directory(), &question("apps:read", "project/a")));
        change(&mut world);
        let denied = answer(&world, "apps:read", "project/a");
        // It is at home in one tenant, and can deny nothing in another.
        assert!(is_allowed(&world.directory(), &question("apps:read", "project/b")));
        let found = world.directory().lint(question("apps:read", "/").now, None);
        let is_found = found.iter().any(|it| it.lint == Lint::Tangled && it.about == Fact::Group(id(3)));
        assert_eq!(is_found, denied == Verdict::TangledGroups(id(3)));
        // A binding to a group of the circle does not count.
        denied
    };
    let add = |world: &mut World, number: u8, inner: u8| {
        world.groups.push(GroupFact { home: "project/a".parse().unwrap(), ..group(number) });
        world.nestings.push(nesting(number, inner));
    };
    let is_tangled = Verdict::TangledGroups(id(3));
    // A circle, of one or of more, at the group or above it.
    assert_eq!(tangled(&|it| it.nestings.push(nesting(3, 5))), is_tangled);
    assert_eq!(tangled(&|it| it.nestings.push(nesting(4, 5))), is_tangled);
    assert_eq!(tangled(&|it| it.nestings.push(nesting(3, 3))), is_tangled);
    // Too deep, and as deep as may be: group 3 is in 4, 5, 11, 12 and so on.
    let deep = |it: &mut World, levels: usize| {
        let mut inner = 5;
        for number in (11..).take(levels - 2) {
            add(it, number, inner);
            inner = number;
        }
    };
    assert_eq!(tangled(&|it| deep(it, MAX_NESTING_DEPTH + 1)), is_tangled);
    assert!(matches!(tangled(&|it| deep(it, MAX_NESTING_DEPTH)), Verdict::Allowed { .. }));
    // Too many, and as many as may be.
    let many = |it: &mut World, count: usize| (11..).take(count - 2).for_each(|number| add(it, number, 4));
    assert_eq!(tangled(&|it| many(it, MAX_GROUPS_ABOVE + 1)), is_tangled);
    assert!(matches!(tangled(&|it| many(it, MAX_GROUPS_ABOVE)), Verdict::Allowed { .. }));
}

#[test]
fn a_disabled_member_of_nested_groups_may_do_nothing_and_an_end_is_an_end() {
    let mut world = alice_below("apps:read");
    world.subjects[0].enabled = false;
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::Disabled);
    let mut world = alice_below("apps:read");
    world.bindings[0].expires_at = Limit::Only(question("apps:read", "/").now);
    assert!(matches!(answer(&world, "apps:read", "/"), Verdict::NoGrant(Some((_, Some(_), _, None)))));
}
