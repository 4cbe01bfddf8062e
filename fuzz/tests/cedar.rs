//! Decisions beside those of cedar-policy, of random worlds that both can say.
//!
//! What the two mean differently is left out: a condition that cannot be evaluated keeps Cedar's `forbid` from
//! applying, and ours in force, so that every request here says all that conditions look at.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::HashSet;

use cedar_policy::{Authorizer, Entities, Entity, EntityUid, PolicySet};
use core_types::testing::TestRandom;
use core_types::{Permission, Principal, Restriction, Scope, SecureRandom, UnixTime};
use iam_policy::document::DirectoryDocument;
use iam_policy::{AccessRequest, Context, Decision};
use serde_json::{Value, json};
use state_store::Revision;

const WORLDS: u64 = 250;
const REQUESTS: usize = 24;
const PERMISSIONS: [&str; 6] = ["a:read", "a:write", "b:read", "b:write", "c:read", "c:write"];
const PATTERNS: [&str; 8] = ["*:*", "a:*", "b:*", "*:read", "*:write", "a:read", "b:write", "c:read"];
const SCOPES: [&str; 7] = ["/", "o/x", "o/y", "o/x/p/1", "o/x/p/2", "o/y/p/1", "o/x/p/1/v/z"];
const NOW: u64 = 1_000_000;

/// Patterns, scopes, a condition in Cedar's words, and whether it denies.
type Clause<'a> = (Vec<&'a str>, Option<Vec<&'a str>>, &'a str, bool);

/// Numbers below a bound, the same in each run.
struct Dice(TestRandom);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        (u64::from_le_bytes(bytes) % bound as u64) as usize
    }

    fn of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn some<T: Copy>(&self, all: &[T], most: usize) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.of(all)).collect()
    }
}

/// A world as a document of ours, and as Cedar's policies and entities.
struct World {
    document: Value,
    policies: String,
    entities: Vec<Entity>,
}

fn world(dice: &Dice) -> World {
    let mut policies = String::new();
    let (mut subjects, mut groups, mut memberships) = (Vec::new(), Vec::new(), Vec::new());
    let (mut roles, mut statements, mut bindings, mut boundaries) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut entities = places();
    let (users, group_count, role_count) = (1 + dice.below(3), dice.below(3), 1 + dice.below(3));
    for group in 0..group_count {
        groups.push(json!({"id": id("grp", group), "name": "group", "home": "/"}));
        entities.push(Entity::new_no_attrs(uid("Group", &group.to_string()), HashSet::new()));
    }
    for user in 0..users {
        let state = dice.of(&["enabled", "enabled", "enabled", "disabled"]);
        subjects.push(json!({"id": id("usr", user), "name": "user", "home": "/", "state": state}));
        if state == "disabled" {
            policies.push_str(&format!("forbid(principal == User::\"{user}\", action, resource);\n"));
        }
        let joined: HashSet<usize> = (0..group_count).filter(|_| dice.below(2) == 0).collect();
        memberships.extend(
            joined.iter().map(|group| json!({"group": id("grp", *group), "subject": id("usr", user)})),
        );
        let parents = joined.iter().map(|group| uid("Group", &group.to_string())).collect();
        entities.push(Entity::new_no_attrs(uid("User", &user.to_string()), parents));
        if dice.below(4) == 0 {
            let grants: Vec<(&str, &str)> =
                (0..dice.below(3)).map(|_| (dice.of(&PATTERNS), dice.of(&SCOPES))).collect();
            let written: Vec<Value> = grants
                .iter()
                .map(|(pattern, scope)| json!({"permissions": pattern, "scope": scope}))
                .collect();
            boundaries.push(json!({"subject": id("usr", user),
                "limit": {"grants": {"only": written}, "expires_at": "unlimited"}}));
            let within: Vec<String> = grants
                .iter()
                .map(|(pattern, scope)| {
                    format!("(action in {} && resource in {})", actions(&[pattern]), place(scope))
                })
                .collect();
            let within = if within.is_empty() { "false".to_owned() } else { within.join(" || ") };
            policies.push_str(&format!(
                "forbid(principal == User::\"{user}\", action, resource) unless {{ {within} }};\n"
            ));
        }
    }
    // What each role and policy says: patterns, scopes, a condition; and whether it denies.
    let mut said: Vec<Vec<Clause<'_>>> = Vec::new();
    for role in 0..role_count {
        let patterns = dice.some(&PATTERNS, 3);
        roles.push(json!({"id": id("rol", role), "name": "role", "home": "/", "permissions": patterns,
            "policies": [id("pol", role)]}));
        let mut all = vec![(patterns, None, "true", false)];
        let mut own = Vec::new();
        for _ in 0..dice.below(3) {
            let (patterns, is_deny) = (dice.some(&PATTERNS, 3), dice.below(2) == 0);
            let scopes = (dice.below(2) == 0).then(|| dice.some(&SCOPES, 2));
            let (test, when) = dice.of(&CONDITIONS);
            let conditions: Vec<Value> = serde_json::from_str(test).unwrap();
            own.push(json!({"effect": if is_deny { "deny" } else { "allow" }, "permissions": patterns,
                "scopes": scopes.as_ref().map_or_else(|| json!("unlimited"), |only| json!({"only": only})),
                "conditions": conditions}));
            all.push((patterns, scopes, when, is_deny));
        }
        statements.push(
            json!({"id": id("pol", role), "name": "policy", "home": "/", "document": {"statements": own}}),
        );
        said.push(all);
    }
    for number in 0..dice.below(7) {
        let (role, scope) = (dice.below(role_count), dice.of(&SCOPES));
        let (holder, principal) = match dice.below(users + group_count) {
            user if user < users => (id("usr", user), format!("principal == User::\"{user}\"")),
            other => (id("grp", other - users), format!("principal in Group::\"{}\"", other - users)),
        };
        let expires = dice.of(&[None, None, Some(NOW), Some(NOW + 1)]);
        bindings
            .push(json!({"id": id("bnd", number), "role": id("rol", role), "holder": holder, "scope": scope,
            "expires_at": expires.map_or_else(|| json!("unlimited"), |at| json!({"only": at}))}));
        for (patterns, scopes, when, is_deny) in &said[role] {
            let effect = if *is_deny { "forbid" } else { "permit" };
            let until = expires.map_or_else(String::new, |at| format!(" && context.now < {at}"));
            let within = scopes.as_ref().map_or_else(String::new, |scopes| match scopes.as_slice() {
                [] => " && false".to_owned(),
                some => {
                    let each: Vec<String> =
                        some.iter().map(|scope| format!("resource in {}", place(scope))).collect();
                    format!(" && ({})", each.join(" || "))
                }
            });
            policies.push_str(&format!(
                "{effect}({principal}, action in {}, resource in {}) when {{ {when}{until}{within} }};\n",
                actions(patterns),
                place(scope)
            ));
        }
    }
    let document = json!({"version": 1, "subjects": subjects, "groups": groups, "memberships": memberships,
        "roles": roles, "policies": statements, "bindings": bindings, "boundaries": boundaries});
    World { document, policies, entities }
}

/// Conditions of ours, and in Cedar's words.
const CONDITIONS: [(&str, &str); 5] = [
    ("[]", "true"),
    (r#"[{"not": false, "test": "mfa"}]"#, "context.mfa"),
    (r#"[{"not": true, "test": "mfa"}]"#, "!context.mfa"),
    (r#"[{"not": false, "test": "mfa"}, {"not": true, "test": "tls"}]"#, "context.mfa && !context.tls"),
    (
        r#"[{"not": false, "test": {"time": {"from": {"only": 1000000}, "until": {"only": 2000000}}}}]"#,
        "context.now >= 1000000 && context.now < 2000000",
    ),
];

fn id(kind: &str, number: usize) -> String {
    format!("{kind}_{number:026}")
}

fn uid(kind: &str, name: &str) -> EntityUid {
    format!("{kind}::\"{name}\"").parse().unwrap()
}

fn place(scope: &str) -> String {
    format!("Scope::\"{scope}\"")
}

/// The set of all actions that one of the patterns matches.
fn actions(patterns: &[&str]) -> String {
    let matches = |permission: &&&str| {
        let (service, verb) = permission.split_once(':').unwrap();
        patterns.iter().any(|pattern| {
            let (own, does) = pattern.split_once(':').unwrap();
            (own == "*" || own == service) && (does == "*" || does == verb)
        })
    };
    let all: Vec<String> =
        PERMISSIONS.iter().filter(matches).map(|name| format!("Action::\"{name}\"")).collect();
    format!("[{}]", all.join(", "))
}

/// Scopes, each in the one above.
fn places() -> Vec<Entity> {
    let parent =
        |scope: &str| SCOPES.iter().filter(|other| above(other, scope)).max_by_key(|other| other.len());
    let entity = |scope: &&str| {
        Entity::new_no_attrs(
            uid("Scope", scope),
            parent(scope).map(|above| uid("Scope", above)).into_iter().collect(),
        )
    };
    SCOPES.iter().map(entity).collect()
}

fn above(outer: &str, inner: &str) -> bool {
    outer != inner && (outer == "/" || inner.starts_with(&format!("{outer}/")))
}

#[test]
fn decisions_are_those_of_cedar() {
    let authorizer = Authorizer::new();
    let (mut allowed, mut denied) = (0_usize, 0_usize);
    for seed in 0..WORLDS {
        let dice = Dice(TestRandom::seeded(seed));
        let World { document, policies, entities } = world(&dice);
        let directory = DirectoryDocument::parse(document.to_string().as_bytes()).unwrap().directory();
        let set: PolicySet = policies.parse().unwrap();
        let entities = Entities::from_entities(entities, None).unwrap();
        for _ in 0..REQUESTS {
            // A user more than there are, too.
            let (user, permission, scope) = (dice.below(4), dice.of(&PERMISSIONS), dice.of(&SCOPES));
            let (mfa, tls, now) = (dice.below(2) == 0, dice.below(2) == 0, dice.of(&[NOW - 1, NOW, NOW + 1]));
            let principal: Principal = id("usr", user).parse().unwrap();
            let (asked, at): (Permission, Scope) = (permission.parse().unwrap(), scope.parse().unwrap());
            let (whole, context) = (Restriction::unrestricted(), Context::new().with_mfa(mfa).with_tls(tls));
            let request = AccessRequest::new(&principal, &whole, &asked, &at, UnixTime::from_millis(now));
            let ours = directory.at(Revision::ZERO).authorize(&request.with_context(&context));
            let context =
                cedar_policy::Context::from_json_value(json!({"mfa": mfa, "tls": tls, "now": now}), None);
            let request = cedar_policy::Request::new(
                uid("User", &user.to_string()),
                uid("Action", permission),
                uid("Scope", scope),
                context.unwrap(),
                None,
            );
            let answer = authorizer.is_authorized(&request.unwrap(), &set, &entities);
            assert_eq!(answer.diagnostics().errors().count(), 0, "{policies}");
            let theirs = answer.decision() == cedar_policy::Decision::Allow;
            let is_allowed = matches!(ours, Decision::Allow(_));
            assert_eq!(
                is_allowed, theirs,
                "seed {seed}: {user} {permission} {scope} {mfa} {tls} {now}: {ours:?}\n{document:#}\n{policies}"
            );
            *(if is_allowed { &mut allowed } else { &mut denied }) += 1;
        }
    }
    // Neither answer is there by chance alone.
    assert!(allowed > 200 && denied > 500, "{allowed} {denied}");
}
