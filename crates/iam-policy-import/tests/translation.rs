//! Translations: exact where the report says so, and nowhere wider than the source.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use core_types::testing::TestRandom;
use core_types::{Limit, Principal, Restriction, Scope, Subject, UnixTime};
use iam_policy::condition::{Condition, Test};
use iam_policy::{
    AccessRequest, AttributeValue, Context, Decision, Effect, PatternSet, PolicyDocument, Statement, Truth,
};
use iam_policy_import::aws::{Policies, Request, export};
use iam_policy_import::casbin::Casbin;
use iam_policy_import::kubernetes::Rbac;
use iam_policy_import::{Fidelity, SourceFile, Translation, Verdict, casbin, kubernetes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use state_store::Revision;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const PREFIX: &str = "arn:aws:palisade:::";

fn aws(document: &Value) -> Policies {
    Policies::read(&[SourceFile { name: "policy", bytes: document.to_string().as_bytes() }]).unwrap()
}

/// Whether a document of ours allows it, bound at the root.
fn ours(document: &PolicyDocument, permission: &str, scope: &Scope, context: &Context) -> bool {
    let permission = permission.parse().unwrap();
    let concerning =
        || document.statements().iter().filter(|statement| statement.concerns(&permission, scope));
    let denies = |statement: &Statement| {
        statement.effect() == Effect::Deny && statement.holds(context, NOW) != Truth::False
    };
    let allows = |statement: &Statement| {
        statement.effect() == Effect::Allow && statement.holds(context, NOW) == Truth::True
    };
    concerning().any(allows) && !concerning().any(denies)
}

fn decides(policies: &Policies, action: &str, resource: &str, context: &Value) -> bool {
    let request = json!({"action": action, "resource": resource, "context": context}).to_string();
    matches!(policies.decide(&Request::parse(request.as_bytes()).unwrap()), Verdict::Allow(_))
}

/// What AWS's context says, in our words.
fn translated(context: &Value) -> Context {
    let mut ours = Context::new();
    for (key, value) in context.as_object().unwrap() {
        let flag = || value == "true";
        ours = match key.as_str() {
            "aws:SourceIp" => ours.with_client_ip(value.as_str().unwrap().parse().unwrap()),
            "aws:MultiFactorAuthPresent" => ours.with_mfa(flag()),
            "aws:SecureTransport" => ours.with_tls(flag()),
            "aws:PrincipalTag/team" => ours
                .with_attribute(
                    "principal.team".parse().unwrap(),
                    AttributeValue::text(value.as_str().unwrap()).unwrap(),
                )
                .unwrap(),
            "aws:RequestTag/keys" => {
                let texts = value.as_array().unwrap().iter().map(|text| text.as_str().unwrap());
                ours.with_attribute("request.keys".parse().unwrap(), AttributeValue::texts(texts).unwrap())
                    .unwrap()
            }
            // The time, which our own engine is told apart from the context.
            _ => ours,
        };
    }
    ours
}

fn arb_context() -> impl Strategy<Value = Value> {
    let flag = || prop_oneof![Just(None), Just(Some("true")), Just(Some("false"))];
    (
        prop_oneof![Just(None), select(&["192.0.2.7", "198.51.100.1"][..]).prop_map(Some)],
        flag(),
        flag(),
        prop_oneof![Just(None), select(&["web", "ops", "w"][..]).prop_map(Some)],
        prop_oneof![Just(None), vec(select(&["a", "b", "c"][..]), 1..3).prop_map(Some)],
    )
        .prop_map(|(ip, mfa, tls, team, keys)| {
            let mut context = json!({"aws:CurrentTime": "1800000000"});
            let mut put =
                |key: &str, value: Value| context.as_object_mut().unwrap().insert(key.to_owned(), value);
            ip.map(|ip| put("aws:SourceIp", json!(ip)));
            mfa.map(|mfa| put("aws:MultiFactorAuthPresent", json!(mfa)));
            tls.map(|tls| put("aws:SecureTransport", json!(tls)));
            team.map(|team| put("aws:PrincipalTag/team", json!(team)));
            keys.map(|keys| put("aws:RequestTag/keys", json!(keys)));
            context
        })
}

fn arb_condition() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"IpAddress": {"aws:SourceIp": ["192.0.2.9/24"]}}),
        json!({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
        json!({"IpAddressIfExists": {"aws:SourceIp": "192.0.2.0/24"}}),
        json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}}),
        json!({"DateLessThan": {"aws:CurrentTime": "2027-01-15T08:00:00Z"}}),
        json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2027-01-15T08:00:00Z"}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": ["web", "x"]}}),
        json!({"StringNotEquals": {"aws:PrincipalTag/team": "web"}}),
        json!({"StringLike": {"aws:PrincipalTag/team": "w*"}}),
        json!({"StringNotLike": {"aws:PrincipalTag/team": "w*"}}),
        json!({"StringLike": {"aws:PrincipalTag/team": "w?b"}}),
        json!({"ForAnyValue:StringEquals": {"aws:RequestTag/keys": ["a", "z"]}}),
        json!({"ForAllValues:StringEquals": {"aws:RequestTag/keys": ["a", "b"]}}),
        json!({"ForAnyValue:StringNotEquals": {"aws:RequestTag/keys": ["a"]}}),
        json!({"NumericLessThan": {"aws:PrincipalTag/team": 7}}),
        json!({"Null": {"aws:MultiFactorAuthPresent": "true"}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": "web"}, "Bool": {"aws:SecureTransport": "true"}}),
    ])
}

fn arb_statement() -> impl Strategy<Value = Value> {
    let actions = select(&["*", "apps:*", "apps:read", "Apps:Read", "apps:r*", "admin:*", "db:read"][..]);
    let resources = select(vec![
        json!("*"),
        json!([format!("{PREFIX}org/a"), format!("{PREFIX}org/a/*")]),
        json!(format!("{PREFIX}org/a/*")),
        json!(format!("{PREFIX}org/a")),
        json!("arn:aws:s3:::bucket/*"),
        json!([format!("{PREFIX}org/b/*"), "arn:aws:s3:::x", format!("{PREFIX}org/b")]),
    ]);
    (any::<bool>(), actions, any::<bool>(), resources, any::<bool>(), arb_condition()).prop_map(
        |(deny, action, not_action, resource, not_resource, condition)| {
            json!({
                "Effect": if deny { "Deny" } else { "Allow" },
                if not_action && action != "*" { "NotAction" } else { "Action" }: action,
                if not_resource && resource != "*" { "NotResource" } else { "Resource" }: resource,
                "Condition": condition,
            })
        },
    )
}

fn scopes() -> impl Strategy<Value = Scope> {
    select(&["org/a", "org/a/project/x", "org/b", "org/ab"][..]).prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_translation_from_aws_is_never_wider_and_exact_where_it_says_so(
        statements in vec(arb_statement(), 1..4), context in arb_context(),
        permission in select(&["apps:read", "apps:write", "db:read", "admin:x", "iam:write"][..]), scope in scopes(),
    ) {
        let policies = aws(&json!({"Version": "2012-10-17", "Statement": statements}));
        let (documents, report) = policies.documents(PREFIX).unwrap();
        let [document] = documents.try_into().unwrap_or_else(|_| [PolicyDocument::default()]);
        let original = decides(&policies, permission, &format!("{PREFIX}{}", scope.as_path()), &context);
        let own = ours(&document, permission, &scope, &translated(&context));
        prop_assert!(!own || original, "wider: {} {document:?}", json!(statements));
        if report.is_exact() {
            prop_assert_eq!(own, original, "{} {:?}", json!(statements), document);
        }
    }

    #[test]
    fn an_export_to_aws_is_never_wider_and_exact_where_it_says_so(
        statements in vec(arb_own_statement(), 1..4), context in arb_context(),
        permission in select(&["apps:read", "apps:write", "db:read"][..]), scope in scopes(),
    ) {
        let document = PolicyDocument::new(statements).unwrap();
        let own = ours(&document, permission, &scope, &translated(&context));
        let Ok(exported) = export(&document, PREFIX) else {
            let denies_one_verb = |statement: &Statement| {
                statement.effect() == Effect::Deny && statement.permissions().iter().any(|pattern| pattern.service().is_none())
            };
            prop_assert!(document.statements().iter().any(denies_one_verb));
            return Ok(());
        };
        let policies = aws(&exported.json);
        let original = decides(&policies, permission, &format!("{PREFIX}{}", scope.as_path()), &context);
        prop_assert!(!original || own, "wider: {} {document:?}", exported.json);
        if exported.report.is_exact() {
            prop_assert_eq!(original, own, "{} {:?}", exported.json, document);
        }
    }
}

fn arb_own_statement() -> impl Strategy<Value = Statement> {
    let patterns = vec(select(&["*:*", "apps:*", "apps:read", "db:read", "*:read"][..]), 0..3);
    let tests = select(vec![
        json!("mfa"),
        json!("tls"),
        json!({"client_ip": ["192.0.2.0/24"]}),
        json!({"client_ip": []}),
        json!({"time": {"from": {"only": 1_800_000_000_000_u64}, "until": "unlimited"}}),
        json!({"time": {"from": "unlimited", "until": {"only": 1_800_000_000_000_u64}}}),
        json!({"text": {"attribute": "principal.team", "one_of": ["web", "${x}", "*"]}}),
        json!({"text": {"attribute": "principal.team", "one_of": []}}),
        json!({"prefix": {"attribute": "principal.team", "starts_with": "w"}}),
        json!({"prefix": {"attribute": "principal.team", "starts_with": "*"}}),
        json!({"any": {"attribute": "request.keys", "one_of": ["a"]}}),
        json!({"all": {"attribute": "request.keys", "one_of": ["a", "b"]}}),
    ]);
    let conditions = vec((tests, any::<bool>()), 0..3);
    let scopes = prop_oneof![Just(None), vec(scopes(), 0..3).prop_map(Some)];
    (any::<bool>(), patterns, scopes, conditions).prop_map(|(deny, patterns, scopes, conditions)| {
        let permissions = PatternSet::new(patterns.iter().map(|text| text.parse().unwrap())).unwrap();
        let mut statement = if deny { Statement::deny(permissions) } else { Statement::allow(permissions) };
        if let Some(scopes) = scopes {
            statement = statement.at(scopes).unwrap();
        }
        for (test, not) in conditions {
            let test: Test = serde_json::from_value(test).unwrap();
            let condition = if not { Condition::is_not(test) } else { Condition::is(test) };
            statement = statement.when(condition).unwrap();
        }
        statement
    })
}

#[test]
fn what_is_exact_is_said_to_be_and_what_is_not_says_why() {
    let policies = aws(&json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:List*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"},
        {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "arn:aws:s3:::bucket/*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"s3:prefix": "a"}}},
    ]}));
    let random = TestRandom::seeded(1);
    let translation = policies.translate(PREFIX, &Scope::root(), NOW, &random).unwrap();
    let fidelities: Vec<Fidelity> = translation.report.entries().iter().map(|entry| entry.fidelity).collect();
    use Fidelity::{Exact, Narrowed, Refused};
    assert_eq!(fidelities, [Narrowed, Exact, Refused, Narrowed, Refused]);
    let records = translation.document.records();
    assert_eq!((records.roles.len(), records.policies.len(), records.bindings.len()), (1, 1, 0));
    assert_eq!(records.roles[0].policies.len(), 1);
    let denied = records.policies[0].document.statements().last().unwrap();
    assert_eq!(denied.permissions().iter().map(ToString::to_string).collect::<Vec<_>>(), ["s3:*"]);
    assert_eq!(denied.scopes(), Limit::Unlimited);
}

/// Whether the translation allows it to the subject of this name.
fn allows(translation: &Translation, name: &str, permission: &str, scope: &str) -> bool {
    let Some(id) = translation.ids.get(name) else { return false };
    let subject: Subject = id.parse().unwrap();
    let (principal, whole) = (Principal::subject(subject), Restriction::unrestricted());
    let (permission, scope) = (permission.parse().unwrap(), scope.parse().unwrap());
    let directory = translation.document.directory();
    let request = AccessRequest::new(&principal, &whole, &permission, &scope, NOW);
    matches!(directory.at(Revision::ZERO).authorize(&request), Decision::Allow(_))
}

#[test]
fn roles_and_bindings_of_kubernetes_become_ours() {
    let text = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: edit}
rules:
- {apiGroups: ["", apps], resources: [pods, pods/log], verbs: [get, "*"]}
- {apiGroups: [apps], resources: [deployments], verbs: [get]}
- {apiGroups: ["*"], resources: ["*"], verbs: [list]}
- {apiGroups: [""], resources: [secrets], resourceNames: [a], verbs: [get]}
- {apiGroups: [""], resources: [nodes], resourceName: [a], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: dev}
subjects: [{kind: User, name: alice}, {kind: ServiceAccount, name: ci}]
roleRef: {kind: ClusterRole, name: edit}
"#;
    let rbac = Rbac::read(&[SourceFile { name: "x", bytes: text.as_bytes() }]).unwrap();
    let home: Scope = "org/acme".parse().unwrap();
    let translation = rbac.translate(&home, NOW, &TestRandom::seeded(1)).unwrap();
    for name in ["user alice", "service account dev/ci"] {
        for permission in ["k8s-pods:get", "k8s-pods:evict", "k8s-pods-log:get", "k8s-deployments--apps:get"]
        {
            assert!(
                allows(&translation, name, permission, "org/acme/namespace/dev/vm/x"),
                "{name} {permission}"
            );
            assert!(!allows(&translation, name, permission, "org/acme/namespace/prod"));
            assert!(!allows(&translation, name, permission, "org/acme"));
        }
        for permission in [
            "k8s-deployments--apps:list",
            "k8s-secrets:get",
            "k8s-nodes:list",
            "iam:list",
            "k8s-deployments:get",
        ] {
            assert!(!allows(&translation, name, permission, "org/acme/namespace/dev"), "{permission}");
        }
    }
    // Once because a rule is not read, once because two are not translated.
    assert_eq!(translation.report.count(Fidelity::Narrowed), 2);
    let request = kubernetes::Request::parse(
        br#"{"user":"alice","verb":"list","apiGroup":"x","resource":"y","namespace":"dev"}"#,
    );
    assert!(matches!(rbac.decide(&request.unwrap()), Verdict::Allow(_)), "the original allows more");
}

const NAMES: &[&str] = &["a", "b", "c", "d"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_translation_from_casbin_decides_the_same_of_its_users(
        rules in vec((select(NAMES), select(&["d1", "d2"][..]), select(&["x", "y"][..]), any::<bool>()), 1..6),
        links in vec((select(NAMES), select(NAMES), select(&["d1", "d2"][..])), 0..5),
        dom in select(&["d1", "d2"][..]), obj in select(&["x", "y"][..]),
    ) {
        let mut text = String::new();
        for (name, domain, object, is_deny) in &rules {
            let effect = if *is_deny { "deny" } else { "allow" };
            text.push_str(&format!("p, {name}, {domain}, {object}, read, {effect}\n"));
        }
        links.iter().for_each(|(name, role, domain)| text.push_str(&format!("g, {name}, {role}, {domain}\n")));
        let casbin = Casbin::read(&[SourceFile { name: "x", bytes: text.as_bytes() }]).unwrap();
        let translation = casbin.translate(&Scope::root(), NOW, &TestRandom::seeded(1)).unwrap();
        prop_assert!(translation.report.is_exact());
        for sub in NAMES {
            let is_role = links.iter().any(|(_, role, _)| role == sub);
            let request = json!({"sub": sub, "dom": dom, "obj": obj, "act": "read"}).to_string();
            let request = casbin::Request::parse(request.as_bytes()).unwrap();
            let original = matches!(casbin.decide(&request), Verdict::Allow(_));
            let own = allows(&translation, &format!("user {sub}"), &format!("{obj}:read"), &format!("domain/{dom}"));
            prop_assert_eq!(own, original && !is_role, "{} {}", sub, text);
        }
    }
}

#[test]
fn rows_of_casbin_that_are_no_permissions_are_left_out_or_deny_more() {
    let text = "p, alice, /data/1, read, allow\np, alice, iam, escalate, allow\np, alice, data, read, allow\n\
        p, alice, data, WRITE, deny\np, bob, /x, y, deny\np, bob, data, read, allow\n";
    let casbin = Casbin::read(&[SourceFile { name: "x", bytes: text.as_bytes() }]).unwrap();
    let translation = casbin.translate(&Scope::root(), NOW, &TestRandom::seeded(1)).unwrap();
    let fidelities: Vec<Fidelity> = translation.report.entries().iter().map(|entry| entry.fidelity).collect();
    use Fidelity::{Exact, Narrowed, Refused};
    assert_eq!(fidelities, [Refused, Refused, Exact, Narrowed, Narrowed, Exact]);
    assert!(
        !allows(&translation, "user alice", "iam:escalate", "/")
            && !allows(&translation, "user alice", "data:read", "/")
    );
    assert!(!allows(&translation, "user bob", "data:read", "/"));
}
