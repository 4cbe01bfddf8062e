//! What is found, and that what is said to have no effect has none.

use core_types::{Limit, Restriction, Scope, UnixTime};
use iam_policy::{BuiltInRole, Fact, Finding, Holder, Lint, RoleRef};
use proptest::prelude::*;

use crate::agreement::is_allowed;
use crate::arb::{arb_questions, arb_world, pattern};
use crate::people::{add_policy, alice_with, allowing, group_with_a_policy};
use crate::reference::Question;
use crate::world::{
    BindingFact, ConditionFact, Fate, GroupFact, NestingFact, StatementFact, TestFact, TrustFact, World, id,
    user,
};

proptest! {
    #![proptest_config(crate::config(500))]

    #[test]
    fn what_is_without_effect_can_be_taken_away(
        world in arb_world(), which in any::<prop::sample::Index>(), questions in arb_questions(40), now in 0_u64..4
    ) {
        let now = UnixTime::from_millis(now);
        let directory = world.directory();
        let findings: Vec<Finding> =
            directory.lint(now, None).into_iter().filter(|it| it.lint.is_without_effect()).collect();
        prop_assume!(!findings.is_empty());
        let finding = &findings[which.index(findings.len())];
        let without = take_away(&world, finding).directory();
        for question in questions {
            let question = Question { now: question.now.max(now), ..question };
            let (before, after) = (is_allowed(&directory, &question), is_allowed(&without, &question));
            prop_assert_eq!(before, after, "{:?} {:?}", finding, question);
        }
    }
}

#[test]
fn each_lint_finds_what_it_is_for_and_nothing_in_a_clean_world() {
    let clean = || {
        let mut world = group_with_a_policy("apps:read");
        add_policy(&mut world, "project/web", vec![allowing("apps:read")]);
        world
    };
    assert_eq!(codes(&clean()), [""; 0]);
    let found = |change: &dyn Fn(&mut World)| {
        let mut world = clean();
        change(&mut world);
        codes(&world).join(" ")
    };
    let bind = |world: &mut World, role: RoleRef, scope: &str| {
        let scope = scope.parse().unwrap();
        world.bindings.push(BindingFact { id: id(9), role, scope, ..world.bindings[0].clone() });
    };
    assert_eq!(found(&|it| it.subjects[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.groups[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.members[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.bindings[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.roles[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.policies[0].fate = Fate::Unreadable), "IAM001");
    assert_eq!(found(&|it| it.has_unknown_family = true), "IAM001");
    assert_eq!(found(&|it| it.roles[0].fate = Fate::Gone), "IAM002");
    assert_eq!(found(&|it| bind(it, RoleRef::Policy(id(77)), "/")), "IAM002");
    assert_eq!(found(&|it| it.groups[0].fate = Fate::Gone), "IAM002");
    assert_eq!(found(&|it| it.roles[0].home = "project/web".parse().unwrap()), "IAM003");
    assert_eq!(found(&|it| it.groups[0].home = "project/web".parse().unwrap()), "IAM003");
    assert_eq!(found(&|it| it.bindings[0].expires_at = Limit::Only(UnixTime::EPOCH)), "IAM004");
    let within = |it: &mut World| {
        it.bindings[0].scope = "project/web".parse().unwrap();
        bind(it, it.bindings[0].role, "project/web/vcluster/ci");
    };
    assert_eq!(found(&within), "IAM005");
    // A member at home in the project has what is bound there, and nothing of what is bound at the root.
    assert_eq!(found(&|it| bind(it, it.bindings[0].role, "project/web")), "");
    let own = |it: &mut World| {
        bind(it, it.bindings[0].role, "project/web");
        it.bindings.iter_mut().for_each(|binding| binding.holder = Holder::Subject(user(1)));
    };
    assert_eq!(found(&own), "IAM005");
    assert_eq!(found(&|it| bind(it, it.bindings[0].role, "/")), "IAM005");
    // The one above says nothing, so the one below is not redundant.
    let narrow = |it: &mut World| {
        let web: Scope = "project/web".parse().unwrap();
        it.roles[0].home = web.clone();
        it.bindings[0].scope = web;
        bind(it, it.bindings[0].role, "/");
    };
    assert_eq!(found(&narrow), "IAM003");
    let statement = |it: &mut World, statement| it.policies[0].statements.push(statement);
    let fact = |permissions| allowing(permissions);
    assert_eq!(found(&|it| statement(it, StatementFact { patterns: vec![], ..fact("a:b") })), "IAM006");
    assert_eq!(found(&|it| statement(it, StatementFact { scopes: Some(vec![]), ..fact("a:b") })), "IAM006");
    let both = [false, true].map(|not| ConditionFact { not, test: TestFact::Mfa }).to_vec();
    let contradiction = StatementFact { conditions: both, ..fact("a:b") };
    assert_eq!(found(&|it| statement(it, contradiction.clone())), "IAM006");
    assert_eq!(found(&|it| statement(it, StatementFact { is_deny: true, ..contradiction.clone() })), "");
    let web: Vec<Scope> = vec!["project/web".parse().unwrap()];
    assert_eq!(
        found(&|it| statement(it, StatementFact { scopes: Some(web.clone()), ..fact("apps:read") })),
        "IAM007"
    );
    assert_eq!(found(&|it| statement(it, fact("apps:read"))), "IAM007");
    assert_eq!(found(&|it| statement(it, StatementFact { is_deny: true, ..fact("*:read") })), "IAM008");
    assert_eq!(found(&|it| it.roles[0].patterns.push(pattern("apps:*"))), "IAM010");
    assert_eq!(found(&|it| bind(it, BuiltInRole::Administrator.into(), "/")), "IAM011");
    assert_eq!(found(&|it| bind(it, BuiltInRole::Administrator.into(), "project/web")), "IAM012");
    assert_eq!(found(&|it| it.roles[0].patterns.push(pattern("iam:escalate"))), "IAM012");
    let mut empty = alice_with("apps:read", "/");
    empty.roles[0].patterns.clear();
    assert_eq!(codes(&empty), ["IAM013"]);
    assert_eq!(found(&|it| it.members.clear()), "IAM014");
    let inner = |it: &mut World, outer: u8, inner: u8, fate| {
        let home = it.groups[0].home.clone();
        it.groups.push(GroupFact { id: id(4), home, fate: Fate::Readable });
        it.nestings.push(NestingFact { outer: id(outer), inner: id(inner), fate });
    };
    assert_eq!(found(&|it| inner(it, 3, 4, Fate::Readable)), "");
    assert_eq!(
        found(&|it| {
            inner(it, 3, 4, Fate::Readable);
            it.members.clear();
        }),
        ""
    );
    assert_eq!(found(&|it| inner(it, 3, 4, Fate::Unreadable)), "IAM001");
    assert_eq!(found(&|it| inner(it, 3, 3, Fate::Readable)), "IAM017");
    assert_eq!(found(&|it| inner(it, 3, 5, Fate::Readable)), "IAM018");
    assert_eq!(found(&|it| inner(it, 5, 3, Fate::Readable)), "IAM018");
    let trust = |accepted, fate| TrustFact {
        id: id(9),
        truster: "project/web".parse().unwrap(),
        trusted: "project/help".parse().unwrap(),
        limit: Restriction::unrestricted(),
        accepted,
        fate,
    };
    assert_eq!(found(&|it| it.trusts.push(trust(true, Fate::Readable))), "");
    assert_eq!(found(&|it| it.trusts.push(trust(false, Fate::Readable))), "IAM016");
    assert_eq!(found(&|it| it.trusts.push(trust(true, Fate::Unreadable))), "IAM001");
    let home = |it: &mut World| it.groups[0].home = "project/help".parse().unwrap();
    let bound = |it: &mut World| it.bindings[0].scope = "project/web".parse().unwrap();
    assert_eq!(
        found(&|it| {
            home(it);
            bound(it);
        }),
        "IAM003"
    );
    assert_eq!(
        found(&|it| {
            home(it);
            bound(it);
            it.trusts.push(trust(true, Fate::Readable));
        }),
        ""
    );
}

#[test]
fn a_pattern_that_the_program_does_not_know_is_found_with_a_registry() {
    iam_policy::permissions! {
        /// What this test knows.
        mod may { "apps" as apps { "read" as read: Read } }
    }
    assert!(!may::apps::read().service().is_empty());
    let mut world = alice_with("apps:reed", "/");
    let findings = world.directory().lint(UnixTime::EPOCH, Some(&may::REGISTRY));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].lint, Lint::UnknownPermission);
    assert_eq!(findings[0].pattern, Some(pattern("apps:reed")));
    assert_eq!(world.directory().lint(UnixTime::EPOCH, None), []);
    world.roles[0].patterns = vec![pattern("apps:read")];
    assert_eq!(world.directory().lint(UnixTime::EPOCH, Some(&may::REGISTRY)), []);
}

#[test]
fn every_code_is_in_the_readme_and_says_whether_it_has_an_effect() {
    let readme = include_str!("../../README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `IAM")).collect();
    let all = [
        Lint::Unreadable,
        Lint::Dangling,
        Lint::OutOfReach,
        Lint::Expired,
        Lint::Redundant,
        Lint::Dead,
        Lint::Shadowed,
        Lint::Denied,
        Lint::UnknownPermission,
        Lint::Growing,
        Lint::Administrator,
        Lint::Escalator,
        Lint::EmptyRole,
        Lint::NoMembers,
        Lint::BrokenGlass,
        Lint::IdleTrust,
        Lint::Tangled,
        Lint::IdleNesting,
    ];
    assert_eq!(rows.len(), all.len());
    for (row, lint) in rows.iter().zip(all) {
        assert!(row.starts_with(&format!("| `{}` |", lint.code())), "{row}");
        assert_eq!(row.ends_with("| yes |"), lint.is_without_effect(), "{row}");
    }
}

/// The codes of what is found, at the first millisecond.
fn codes(world: &World) -> Vec<&'static str> {
    let findings = world.directory().lint(UnixTime::from_millis(1), None);
    findings.iter().map(|finding| finding.lint.code()).collect()
}

fn take_away(world: &World, finding: &Finding) -> World {
    let mut world = world.clone();
    match (&finding.about, finding.statement) {
        (Fact::Binding(holder, id), None) => {
            let is_it = |binding: &BindingFact| binding.id == *id && binding.holder == *holder;
            assert!(world.bindings.iter().any(is_it));
            world.bindings.retain(|binding| !is_it(binding));
        }
        (Fact::Nesting(outer, inner), None) => {
            world.nestings.retain(|nesting| (nesting.outer, nesting.inner) != (*outer, *inner));
        }
        (Fact::Trust(id), None) => world.trusts.retain(|trust| trust.id != *id),
        (Fact::Policy(id), Some(statement)) => {
            let policy = world.policies.iter_mut().find(|policy| policy.id == *id).unwrap();
            policy.statements.remove(statement);
        }
        other => unreachable!("nothing to take away: {other:?} of {}", user(0)),
    }
    world
}
