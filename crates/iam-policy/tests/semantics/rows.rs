//! The table of the README, row by row.

use core_types::{Grant, Limit, Restriction, Scope, UnixTime};
use iam_policy::{BuiltInRole, Directory, Holder, Missing, RoleRef};

use crate::agreement::{decide, is_allowed};
use crate::arb::pattern;
use crate::people::{
    add_policy, alice_alone, alice_with, allowing, answer, fate_of, group_with_a_policy, question, readable,
};
use crate::reference::{Question, Verdict};
use crate::world::{
    BindingFact, BoundaryFact, ConditionFact, Fate, GroupFact, MemberFact, StatementFact, TestFact,
    TrustFact, World, id, user,
};

#[test]
fn nobody_else_may_do_anything() {
    let world = World::default();
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::UnknownSubject);
    // That something is bound to it does not make a subject known.
    let mut world = alice_with("apps:read", "/");
    world.subjects.clear();
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::UnknownSubject);
}

#[test]
fn a_disabled_subject_may_do_nothing() {
    let mut world = alice_with("*:*", "/");
    world.subjects[0].enabled = false;
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::Disabled);
}

#[test]
fn an_unreadable_subject_is_as_if_disabled() {
    let mut world = alice_with("*:*", "/");
    world.subjects[0].fate = Fate::Unreadable;
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::UnreadableSubject);
}

#[test]
fn a_binding_grants_what_its_role_permits_at_its_scope_and_below() {
    let world = alice_with("apps:read", "project/web");
    for scope in ["project/web", "project/web/vcluster/ci", "project/web/vcluster/ci/namespace/build"] {
        let scope: Scope = scope.parse().unwrap();
        let (binding, via, statement) = (id(1), None, None);
        let (at, trust) = ("project/web".parse().unwrap(), None);
        let allowed = Verdict::Allowed { binding, via, scope: at, statement, trust };
        assert_eq!(answer(&world, "apps:read", &scope.to_string()), allowed);
    }
    for scope in ["/", "project/web-2", "project/we", "vcluster/ci", "project/shop/vcluster/ci"] {
        assert!(matches!(answer(&world, "apps:read", scope), Verdict::NoGrant(_)), "{scope}");
    }
    for permission in ["apps:write", "app:read", "apps-2:read", "apps:rea", "apps:read-all"] {
        assert!(matches!(answer(&world, permission, "project/web"), Verdict::NoGrant(_)), "{permission}");
    }
}

#[test]
fn a_member_has_the_bindings_of_its_groups() {
    let mut world = alice_with("apps:read", "project/web");
    world.groups = vec![GroupFact { id: id(3), home: Scope::root(), fate: Fate::Readable }];
    world.bindings[0].holder = Holder::Group(id(3));
    assert_eq!(answer(&world, "apps:read", "project/web"), Verdict::NoGrant(None));
    world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
    let allowed = Verdict::Allowed {
        trust: None,
        binding: id(1),
        via: Some(id(3)),
        scope: "project/web".parse().unwrap(),
        statement: None,
    };
    assert_eq!(answer(&world, "apps:read", "project/web"), allowed);
}

#[test]
fn a_binding_holds_until_the_instant_it_ends() {
    let mut world = alice_with("apps:read", "/");
    world.bindings[0].expires_at = Limit::Only(UnixTime::from_millis(1_000));
    let at = |now| Question { now: UnixTime::from_millis(now), ..question("apps:read", "/") };
    let directory = world.directory();
    assert!(is_allowed(&directory, &at(999)));
    for now in [1_000, 1_001, u64::MAX] {
        let missed = Verdict::NoGrant(Some((id(1), None, Missing::Expired, None)));
        assert_eq!(decide(&directory, &at(now)), missed);
    }
}

#[test]
fn what_is_deleted_says_nothing() {
    for part in ["role", "binding", "membership", "group", "policy"] {
        let mut world = group_with_a_policy("apps:read");
        assert!(is_allowed(&world.directory(), &question("apps:read", "/")));
        assert!(matches!(answer(&world, "apps:write", "/"), Verdict::ExplicitDeny { .. }));
        *fate_of(&mut world, part) = Fate::Gone;
        let nearest = (part == "role").then_some((id(1), Some(id(3)), Missing::Role, None));
        let expected = Verdict::NoGrant(nearest);
        if part == "policy" {
            assert!(is_allowed(&world.directory(), &question("apps:read", "/")));
        } else {
            assert_eq!(answer(&world, "apps:read", "/"), expected, "{part}");
        }
        assert!(matches!(answer(&world, "apps:write", "/"), Verdict::NoGrant(_)), "{part}");
    }
}

#[test]
fn an_unreadable_binding_denies_everything_to_its_holder() {
    let mut world = group_with_a_policy("*:*");
    *fate_of(&mut world, "binding") = Fate::Unreadable;
    world.bindings.push(BindingFact { id: id(4), holder: Holder::Subject(user(1)), ..readable(&world) });
    assert_eq!(answer(&world, "apps:read", "project/web"), Verdict::UnreadableBinding(id(1), Some(id(3))));
    world.members.clear();
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web")));
}

#[test]
fn an_unreadable_role_or_policy_denies_everything_where_it_is_bound() {
    for (part, policy) in [("role", None), ("policy", Some(id(6)))] {
        let mut world = group_with_a_policy("*:*");
        world.bindings.push(BindingFact {
            id: id(4),
            role: BuiltInRole::Administrator.into(),
            ..readable(&world)
        });
        world.bindings[0].scope = "project/web".parse().unwrap();
        *fate_of(&mut world, part) = Fate::Unreadable;
        let denied = Verdict::UnreadableRole(id(1), Some(id(3)), policy);
        assert_eq!(answer(&world, "other:thing", "project/web/vcluster/ci"), denied);
        assert!(is_allowed(&world.directory(), &question("other:thing", "project/shop")));
    }
}

#[test]
fn of_an_unreadable_group_or_membership_only_the_denials_count() {
    for part in ["group", "membership"] {
        let mut world = group_with_a_policy("apps:*");
        *fate_of(&mut world, part) = Fate::Unreadable;
        assert_eq!(answer(&world, "apps:read", "/"), Verdict::NoGrant(None), "{part}");
        assert!(matches!(answer(&world, "apps:write", "/"), Verdict::ExplicitDeny { .. }), "{part}");
    }
}

#[test]
fn a_denial_stands_above_every_allow() {
    let mut world = alice_with("*:*", "/");
    let deny = StatementFact { is_deny: true, ..allowing("apps:*") };
    add_policy(&mut world, "project/web", vec![allowing("databases:*"), deny]);
    let (binding, statement) = (id(5), Some((id(6), 1)));
    let denied = Verdict::ExplicitDeny { binding, via: None, statement, is_certain: true };
    assert_eq!(answer(&world, "apps:read", "project/web/vcluster/ci"), denied);
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/shop")));
    assert!(is_allowed(&world.directory(), &question("databases:read", "project/web")));
}

#[test]
fn a_statement_counts_at_its_scopes_within_that_of_the_binding() {
    let mut world = alice_alone();
    let at = |scopes: &[&str]| StatementFact {
        scopes: Some(scopes.iter().map(|scope| scope.parse().unwrap()).collect()),
        ..allowing("apps:read")
    };
    add_policy(&mut world, "project/web", vec![at(&["project/web/vcluster/ci", "project/shop"]), at(&[])]);
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web/vcluster/ci")));
    for scope in ["project/web", "project/shop", "project/web/vcluster/qa"] {
        assert!(matches!(answer(&world, "apps:read", scope), Verdict::NoGrant(_)), "{scope}");
    }
}

#[test]
fn an_allow_applies_only_where_all_its_conditions_are_true() {
    let mut world = alice_alone();
    let condition = |not, test| ConditionFact { not, test };
    let conditions = vec![condition(false, TestFact::Mfa), condition(true, TestFact::From(10))];
    add_policy(&mut world, "/", vec![StatementFact { conditions, ..allowing("apps:read") }]);
    let directory = world.directory();
    let asked = |mfa, now| Question { mfa, now: UnixTime::from_millis(now), ..question("apps:read", "/") };
    assert!(is_allowed(&directory, &asked(Some(true), 9)));
    for (mfa, now) in [(Some(true), 10), (Some(false), 9), (None, 9), (None, 10)] {
        let missed = Verdict::NoGrant(Some((id(5), None, Missing::Condition, Some((id(6), 0)))));
        assert_eq!(decide(&directory, &asked(mfa, now)), missed, "{mfa:?} {now}");
    }
}

#[test]
fn a_denial_applies_unless_a_condition_is_false() {
    let mut world = alice_with("*:*", "/");
    let conditions = vec![ConditionFact { not: true, test: TestFact::Mfa }];
    let deny = StatementFact { is_deny: true, conditions, ..allowing("*:delete") };
    add_policy(&mut world, "/", vec![deny]);
    let directory = world.directory();
    let asked = |mfa| decide(&directory, &Question { mfa, ..question("apps:delete", "/") });
    assert!(matches!(asked(Some(true)), Verdict::Allowed { .. }));
    for (mfa, is_certain) in [(Some(false), true), (None, false)] {
        let statement = Some((id(6), 0));
        assert_eq!(asked(mfa), Verdict::ExplicitDeny { binding: id(5), via: None, statement, is_certain });
    }
}

#[test]
fn a_policy_of_a_role_counts_wherever_the_role_is_bound() {
    let mut world = alice_with("apps:read", "project/web");
    add_policy(&mut world, "/", vec![allowing("storage:*")]);
    world.bindings.truncate(1);
    assert!(!is_allowed(&world.directory(), &question("storage:read", "project/web")));
    world.roles[0].policies = vec![id(6), id(7)];
    assert!(is_allowed(&world.directory(), &question("storage:read", "project/web")));
    assert!(!is_allowed(&world.directory(), &question("storage:read", "project/shop")));
}

#[test]
fn a_policy_says_nothing_outside_its_home() {
    let mut world = alice_with("apps:read", "/");
    add_policy(
        &mut world,
        "/",
        vec![allowing("storage:*"), StatementFact { is_deny: true, ..allowing("*:*") }],
    );
    world.policies[0].home = "project/web".parse().unwrap();
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web")));
    assert!(!is_allowed(&world.directory(), &question("storage:read", "project/web")));
    world.bindings[1].scope = "project/web".parse().unwrap();
    assert!(matches!(answer(&world, "apps:read", "project/web"), Verdict::ExplicitDeny { .. }));
}

#[test]
fn a_boundary_cuts_off_what_it_does_not_list_and_none_cuts_off_nothing() {
    let mut world = alice_with("*:*", "/");
    assert!(is_allowed(&world.directory(), &question("apps:write", "/")));
    let web = Grant::new(pattern("apps:*"), "project/web".parse().unwrap());
    let limit = Restriction::only([web]).unwrap();
    world.boundaries = vec![BoundaryFact { subject: user(1), limit: limit.clone(), fate: Fate::Readable }];
    assert!(is_allowed(&world.directory(), &question("apps:write", "project/web")));
    assert_eq!(answer(&world, "apps:write", "/"), Verdict::LimitedByBoundary(id(1)));
    world.boundaries[0].limit = limit.expiring(UnixTime::EPOCH);
    assert_eq!(answer(&world, "apps:write", "project/web"), Verdict::LimitedByBoundary(id(1)));
    world.boundaries[0].limit = Restriction::nothing();
    assert_eq!(answer(&world, "apps:write", "project/web"), Verdict::LimitedByBoundary(id(1)));
    world.boundaries[0].limit = Restriction::unrestricted();
    assert!(is_allowed(&world.directory(), &question("apps:write", "/")));
}

#[test]
fn an_unreadable_boundary_allows_nothing() {
    let mut world = alice_with("*:*", "/");
    let limit = Restriction::unrestricted();
    world.boundaries = vec![BoundaryFact { subject: user(1), limit, fate: Fate::Unreadable }];
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::UnreadableBoundary(id(1)));
}

#[test]
fn a_role_without_patterns_grants_nothing() {
    let mut world = alice_with("apps:read", "/");
    world.roles[0].patterns.clear();
    let missed = Verdict::NoGrant(Some((id(1), None, Missing::Permission, None)));
    assert_eq!(answer(&world, "apps:read", "/"), missed);
}

#[test]
fn a_role_grants_nothing_outside_its_home() {
    let mut world = alice_with("apps:read", "/");
    world.roles[0].home = "project/web".parse().unwrap();
    let missed = Verdict::NoGrant(Some((id(1), None, Missing::Role, None)));
    assert_eq!(answer(&world, "apps:read", "project/web"), missed);
    world.bindings[0].scope = "project/web".parse().unwrap();
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web")));
}

#[test]
fn what_is_at_home_in_one_tenant_holds_nothing_in_another_or_above() {
    for scope in ["project/shop", "project/shop/vcluster/ci", "/"] {
        let mut world = alice_with("apps:read", scope);
        world.subjects[0].home = "project/web".parse().unwrap();
        assert_eq!(answer(&world, "apps:read", scope), Verdict::TenantMismatch, "{scope}");
        // The same by a group of that tenant, for a subject that could reach everywhere.
        world.subjects[0].home = Scope::root();
        world.groups =
            vec![GroupFact { id: id(3), home: "project/web".parse().unwrap(), fate: Fate::Readable }];
        world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
        assert!(is_allowed(&world.directory(), &question("apps:read", scope)));
        world.bindings[0].holder = Holder::Group(id(3));
        assert_eq!(answer(&world, "apps:read", scope), Verdict::NoGrant(None), "{scope}");
    }
    // At home, what was bound too high up is named as what is near.
    let mut world = alice_with("apps:read", "/");
    world.subjects[0].home = "project/web".parse().unwrap();
    let missed = Verdict::NoGrant(Some((id(1), None, Missing::OutOfReach, None)));
    assert_eq!(answer(&world, "apps:read", "project/web"), missed);
    let mut world = alice_with("apps:read", "project/web");
    world.subjects[0].home = "project/web/vcluster/ci".parse().unwrap();
    assert!(
        is_allowed(&world.directory(), &question("apps:read", "project/web")),
        "the tenant, not the home"
    );
}

/// Alice of `project/help`, with a binding in `project/web`, which lets its subjects in.
fn alice_let_in(permissions: &str) -> World {
    let mut world = alice_with(permissions, "project/web");
    world.subjects[0].home = "project/help".parse().unwrap();
    world.trusts = vec![TrustFact {
        id: id(8),
        truster: "project/web".parse().unwrap(),
        trusted: "project/help".parse().unwrap(),
        limit: Restriction::unrestricted(),
        accepted: true,
        fate: Fate::Readable,
    }];
    world
}

#[test]
fn across_tenants_nothing_counts_unless_a_trust_says_so() {
    let mut world = alice_let_in("apps:*");
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web")));
    world.trusts.clear();
    for scope in ["project/web", "project/web/vcluster/ci", "project/shop", "/"] {
        assert_eq!(answer(&world, "apps:read", scope), Verdict::TenantMismatch, "{scope}");
    }
    assert!(matches!(answer(&world, "apps:read", "project/help"), Verdict::NoGrant(_)));
}

#[test]
fn a_trust_lets_in_whom_it_names_for_what_it_lists_until_it_ends() {
    let mut world = alice_let_in("apps:*");
    let Verdict::Allowed { trust, .. } = answer(&world, "apps:read", "project/web/vcluster/ci") else {
        panic!("let in")
    };
    assert_eq!(trust, Some(id(8)));
    assert_eq!(answer(&world, "apps:read", "project/shop"), Verdict::TenantMismatch);
    let grant = Grant::new(pattern("apps:read"), "project/web/vcluster/ci".parse().unwrap());
    world.trusts[0].limit = Restriction::only([grant]).unwrap();
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/web/vcluster/ci")));
    assert_eq!(answer(&world, "apps:write", "project/web/vcluster/ci"), Verdict::TenantMismatch);
    assert_eq!(answer(&world, "apps:read", "project/web"), Verdict::TenantMismatch);
    world.trusts[0].limit = Restriction::nothing();
    assert_eq!(answer(&world, "apps:read", "project/web/vcluster/ci"), Verdict::TenantMismatch);
    world.trusts[0].limit = Restriction::unrestricted().expiring(UnixTime::EPOCH);
    assert_eq!(answer(&world, "apps:read", "project/web"), Verdict::TenantMismatch);
    // What is denied there counts as what is allowed does, and the boundary too.
    let mut world = alice_let_in("apps:*");
    add_policy(&mut world, "project/web", vec![StatementFact { is_deny: true, ..allowing("apps:write") }]);
    assert!(matches!(answer(&world, "apps:write", "project/web"), Verdict::ExplicitDeny { .. }));
    world.boundaries =
        vec![BoundaryFact { subject: user(1), limit: Restriction::nothing(), fate: Fate::Readable }];
    assert!(matches!(answer(&world, "apps:read", "project/web"), Verdict::LimitedByBoundary(_)));
}

#[test]
fn a_trust_that_is_only_offered_unreadable_or_gone_lets_nobody_in() {
    for (accepted, fate) in [(false, Fate::Readable), (true, Fate::Unreadable), (true, Fate::Gone)] {
        let mut world = alice_let_in("apps:*");
        (world.trusts[0].accepted, world.trusts[0].fate) = (accepted, fate);
        assert_eq!(answer(&world, "apps:read", "project/web"), Verdict::TenantMismatch, "{fate:?}");
    }
    // What names no two tenants is the trust of nobody.
    for (truster, trusted) in
        [("/", "project/help"), ("project/web", "/"), ("project/web/vm/v", "project/help")]
    {
        let mut world = alice_let_in("apps:*");
        (world.trusts[0].truster, world.trusts[0].trusted) =
            (truster.parse().unwrap(), trusted.parse().unwrap());
        for scope in ["/", "project/web", "project/web/vm/v"] {
            assert_eq!(answer(&world, "apps:read", scope), Verdict::TenantMismatch, "{truster} {scope}");
        }
    }
}

#[test]
fn a_trust_is_not_passed_on() {
    // `shop` trusts `web`, and `web` trusts `help`: `shop` does not trust `help`.
    let mut world = alice_let_in("apps:*");
    let shop: Scope = "project/shop".parse().unwrap();
    let onward = TrustFact {
        id: id(9),
        truster: shop.clone(),
        trusted: "project/web".parse().unwrap(),
        ..world.trusts[0].clone()
    };
    world.trusts.push(onward);
    world.bindings.push(BindingFact { id: id(9), scope: shop, ..world.bindings[0].clone() });
    assert_eq!(answer(&world, "apps:read", "project/shop"), Verdict::TenantMismatch);
    // Nor by a group that is at home in the tenant which is trusted.
    world.groups = vec![GroupFact { id: id(3), home: "project/web".parse().unwrap(), fate: Fate::Readable }];
    world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
    world.bindings.iter_mut().for_each(|binding| binding.holder = Holder::Group(id(3)));
    assert_eq!(answer(&world, "apps:read", "project/shop"), Verdict::TenantMismatch);
    world.subjects[0].home = Scope::root();
    assert!(matches!(answer(&world, "apps:read", "project/shop"), Verdict::NoGrant(_)));
    // The group's own members, at home with it, are let in.
    world.subjects[0].home = "project/web".parse().unwrap();
    assert!(is_allowed(&world.directory(), &question("apps:read", "project/shop")));
}

#[test]
fn a_restriction_cuts_off_what_it_does_not_list() {
    let world = alice_with("apps:*", "/");
    let limit =
        Restriction::only([Grant::new(pattern("apps:read"), "project/web".parse().unwrap())]).unwrap();
    let asked = |permission, scope| Question { restriction: limit.clone(), ..question(permission, scope) };
    let directory = world.directory();
    assert!(is_allowed(&directory, &asked("apps:read", "project/web")));
    for question in [asked("apps:write", "project/web"), asked("apps:read", "project/shop")] {
        assert_eq!(decide(&directory, &question), Verdict::LimitedByRestriction(id(1)));
    }
    let nothing = Question { restriction: Restriction::nothing(), ..question("apps:read", "/") };
    assert_eq!(decide(&directory, &nothing), Verdict::LimitedByRestriction(id(1)));
}

#[test]
fn a_restriction_gives_nothing() {
    let world = alice_with("apps:read", "/");
    let all = Restriction::only([Grant::new(pattern("*:*"), Scope::root())]).unwrap();
    let asked = Question { restriction: all, ..question("apps:write", "/") };
    let missed = Verdict::NoGrant(Some((id(1), None, Missing::Permission, None)));
    assert_eq!(decide(&world.directory(), &asked), missed);
}

#[test]
fn an_expired_restriction_allows_nothing() {
    let world = alice_with("*:*", "/");
    let end = UnixTime::from_millis(1_000);
    let restriction = Restriction::unrestricted().expiring(end);
    let at = |now| Question {
        restriction: restriction.clone(),
        now: UnixTime::from_millis(now),
        ..question("apps:read", "/")
    };
    assert!(is_allowed(&world.directory(), &at(999)));
    assert_eq!(decide(&world.directory(), &at(1_000)), Verdict::RestrictionExpired(end));
}

#[test]
fn records_of_an_unknown_family_deny_everything() {
    let mut world = alice_with("*:*", "/");
    world.has_unknown_family = true;
    assert_eq!(answer(&world, "apps:read", "/"), Verdict::UnreadablePolicy);
}

#[test]
fn of_several_bindings_the_answer_names_one_always_the_same_way() {
    let mut world = alice_with("apps:read", "/");
    world.groups = vec![GroupFact { id: id(3), home: Scope::root(), fate: Fate::Readable }];
    world.members = vec![MemberFact { group: id(3), subject: user(1), fate: Fate::Readable }];
    let binding = |number, holder, scope: &str| BindingFact {
        id: id(number),
        holder,
        scope: scope.parse().unwrap(),
        ..world.bindings[0].clone()
    };
    let (alice, group) = (Holder::Subject(user(1)), Holder::Group(id(3)));
    let bindings = [
        binding(9, alice, "project/web"),
        binding(8, alice, "project/web"),
        binding(1, alice, "/"),
        binding(0, group, "project/web/vcluster/ci"),
        binding(7, group, "/"),
    ];
    let expected = [(8, None), (9, None), (1, None), (0, Some(id(3))), (7, Some(id(3)))];
    let mut left = bindings.to_vec();
    for (number, group) in expected {
        world.bindings.clone_from(&left);
        let Verdict::Allowed { binding, via, .. } = answer(&world, "apps:read", "project/web/vcluster/ci")
        else {
            unreachable!("one binding is enough")
        };
        assert_eq!((binding, via), (id(number), group));
        left.retain(|binding| binding.id != id(number));
    }
}

#[test]
fn the_built_in_roles_permit_what_their_names_say() {
    let cases: [(BuiltInRole, &[&str], &[&str]); 7] = [
        (BuiltInRole::ComputeFull, &["compute:start", "compute:read"], &["apps:read", "computes:read"]),
        (BuiltInRole::AppsRead, &["apps:read"], &["apps:write", "apps:list", "databases:read"]),
        (BuiltInRole::DatabasesWrite, &["databases:write"], &["databases:read", "apps:write"]),
        (BuiltInRole::StorageFull, &["storage:read", "storage:wipe"], &["compute:read"]),
        (BuiltInRole::Administrator, &["admin:any", "iam:escalate", "x:y"], &[]),
        (BuiltInRole::CloudNxReadOnlyAccess, &["apps:read", "storage:list"], &["apps:write", "read:apps"]),
        (BuiltInRole::CloudNxStorageFullAccess, &["storage:write"], &["apps:read"]),
    ];
    assert_eq!(cases.map(|(role, ..)| role).as_slice(), BuiltInRole::ALL);
    for (role, allowed, denied) in cases {
        let mut world = alice_with("nothing:here", "/");
        world.bindings[0].role = RoleRef::BuiltIn(role);
        for permission in allowed {
            assert!(is_allowed(&world.directory(), &question(permission, "/")), "{role} {permission}");
        }
        for permission in denied {
            assert!(!is_allowed(&world.directory(), &question(permission, "/")), "{role} {permission}");
        }
    }
}

#[test]
fn a_record_of_broken_glass_says_nothing_readable_or_not() {
    let world = alice_with("apps:read", "/");
    let decided = |directory: &Directory| {
        let ask = |permission: &str| is_allowed(directory, &question(permission, "/"));
        [ask("apps:read"), ask("apps:write")]
    };
    let before = decided(&world.directory());
    let id = "brk_00000000000000000000000001";
    let glass = format!(
        r#"{{"kind":"iam-policy/break-glass","version":1,"data":{{"id":"{id}","subject":"{}","reason":"fire","at":1,"until":9,"binding":"bnd_00000000000000000000000009","was_disabled":false,"boundary":"unlimited","ended":[],"left":[]}}}}"#,
        user(1)
    );
    for text in [glass, "damaged".to_owned()] {
        let mut entries = world.entries();
        let key = state_store::Key::new(format!("iam-policy/break-glass/{id}")).unwrap();
        entries.push((key, state_store::Value::new(text).unwrap()));
        let directory = crate::world::directory_of(&entries);
        assert_eq!(decided(&directory), before);
        let now = UnixTime::EPOCH;
        assert_eq!(directory.lint(now, None).len(), 1);
    }
}

#[test]
fn every_row_of_the_readme_names_a_test_that_exists() {
    let readme = include_str!("../../README.md");
    let here = concat!(include_str!("rows.rs"), include_str!("nested.rs"));
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.rsplit_once("| `")?.1.strip_suffix("` |"))
        .collect();
    let is_row = |name: &&&str| here.contains(&format!("#[test]\nfn {name}()"));
    assert_eq!(rows.iter().filter(is_row).count(), rows.len());
    assert_eq!(rows.len() + 1, here.matches("#[test]\nfn ").count(), "and every test has its row");
}
