//! Documents of AWS IAM: what its documentation says they decide.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use iam_policy_import::aws::{Policies, Request};
use iam_policy_import::{Fidelity, SourceFile, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(document: &Value) -> Policies {
    Policies::read(&[SourceFile { name: "policy.json", bytes: document.to_string().as_bytes() }]).unwrap()
}

fn is_refused(document: &Value) -> bool {
    Policies::read(&[SourceFile { name: "policy.json", bytes: document.to_string().as_bytes() }]).is_err()
}

fn allows(policies: &Policies, request: &Value) -> bool {
    let request = Request::parse(request.to_string().as_bytes()).unwrap();
    matches!(policies.decide(&request), Verdict::Allow(_))
}

fn document(statements: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn ask(action: &str, resource: &str) -> Value {
    json!({"action": action, "resource": resource})
}

/// Whether a statement of this effect, under this condition, applies in this context; allows and denies apart.
fn applies(effect: &str, condition: &Value, context: &Value) -> bool {
    let statement = json!({"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition});
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let statements = if effect == "Deny" { json!([all, statement]) } else { json!([statement]) };
    let allowed = allows(
        &read(&document(&statements)),
        &json!({"action": "s3:GetObject", "resource": "arn:aws:s3:::b/k", "context": context}),
    );
    allowed == (effect == "Allow")
}

#[test]
fn an_explicit_deny_stands_above_every_allow_and_nothing_is_allowed_by_default() {
    let policies = read(&document(&json!([
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::data/*"},
        {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "arn:aws:s3:::data/prod/*"},
    ])));
    assert!(allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::data/prod/a")));
    assert!(!allows(&policies, &ask("s3:DeleteObject", "arn:aws:s3:::data/prod/a")));
    assert!(allows(&policies, &ask("s3:DeleteObject", "arn:aws:s3:::data/test/a")));
    assert!(!allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::data")));
    assert!(!allows(&policies, &ask("ec2:RunInstances", "arn:aws:s3:::data/prod/a")));
    assert!(!allows(&read(&document(&json!([]))), &ask("s3:GetObject", "*")));
}

#[test]
fn actions_are_compared_without_case_and_resources_with_it() {
    let policies = read(&document(&json!(
        {"Effect": "Allow", "Action": ["S3:getobject", "iam:*Key?"], "Resource": "arn:aws:s3:::Data/?.txt"}
    )));
    assert!(allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::Data/a.txt")));
    assert!(!allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::data/a.txt")));
    assert!(!allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::Data/ab.txt")));
    assert!(allows(&policies, &ask("iam:ListAccessKeys", "arn:aws:s3:::Data/a.txt")));
    assert!(!allows(&policies, &ask("iam:ListAccessKey", "arn:aws:s3:::Data/a.txt")));
}

#[test]
fn not_action_and_not_resource_are_all_others() {
    let policies = read(&document(&json!([
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*", "NotResource": ["arn:aws:s3:::mine", "arn:aws:s3:::mine/*"]},
    ])));
    assert!(allows(&policies, &ask("ec2:StopInstances", "*")));
    assert!(!allows(&policies, &ask("iam:CreateUser", "*")));
    assert!(allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::mine/k")));
    assert!(!allows(&policies, &ask("s3:GetObject", "arn:aws:s3:::yours/k")));
}

#[test]
fn conditions_hold_as_the_operators_say() {
    let cases = [
        (
            json!({"StringEquals": {"aws:PrincipalTag/team": ["web", "ops"]}}),
            json!({"aws:principaltag/TEAM": "ops"}),
            true,
        ),
        (json!({"StringEquals": {"k": "a*"}}), json!({"k": "ab"}), false),
        (json!({"StringNotEquals": {"k": ["a", "b"]}}), json!({"k": "b"}), false),
        (json!({"StringNotEquals": {"k": ["a", "b"]}}), json!({"k": "c"}), true),
        (json!({"StringEqualsIgnoreCase": {"k": "Web"}}), json!({"k": "wEB"}), true),
        (
            json!({"StringLike": {"s3:prefix": ["home/", "home/a?*"]}}),
            json!({"s3:prefix": "home/alice/x"}),
            true,
        ),
        (json!({"StringNotLike": {"k": "a*"}}), json!({"k": "ab"}), false),
        (json!({"NumericLessThanEquals": {"s3:max-keys": 10}}), json!({"s3:max-keys": "10"}), true),
        (json!({"NumericGreaterThan": {"k": "9.5"}}), json!({"k": 10}), true),
        (json!({"NumericNotEquals": {"k": "1.0"}}), json!({"k": 1}), false),
        (
            json!({"DateLessThan": {"aws:CurrentTime": "2026-06-30T00:00:00Z"}}),
            json!({"aws:CurrentTime": "2026-06-29T23:59:59Z"}),
            true,
        ),
        (
            json!({"DateGreaterThan": {"aws:CurrentTime": "2026-06-30T00:00:00Z"}}),
            json!({"aws:CurrentTime": "2026-06-29T23:59:59Z"}),
            false,
        ),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), json!({"aws:SecureTransport": true}), true),
        (
            json!({"Bool": {"aws:MultiFactorAuthPresent": true}}),
            json!({"aws:MultiFactorAuthPresent": "false"}),
            false,
        ),
        (
            json!({"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}}),
            json!({"aws:SourceIp": "203.0.113.9"}),
            true,
        ),
        (
            json!({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
            json!({"aws:SourceIp": "203.0.113.9"}),
            false,
        ),
        (
            json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:t*"}}),
            json!({"aws:SourceArn": "arn:aws:sns:eu-1:111122223333:topic"}),
            true,
        ),
        (
            json!({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:*:111122223333:t"}}),
            json!({"aws:SourceArn": "arn:aws:sns:eu-1:1:111122223333:t"}),
            false,
        ),
        (json!({"Null": {"aws:TokenIssueTime": "true"}}), json!({}), true),
        (json!({"Null": {"aws:TokenIssueTime": "true"}}), json!({"aws:TokenIssueTime": "1"}), false),
        (json!({"Null": {"aws:TokenIssueTime": false}}), json!({"aws:TokenIssueTime": "1"}), true),
        (
            json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}),
            json!({"aws:TagKeys": ["x", "b"]}),
            true,
        ),
        (
            json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}),
            json!({"aws:TagKeys": ["a", "x"]}),
            false,
        ),
        (
            json!({"ForAllValues:StringLike": {"aws:TagKeys": ["a*"]}}),
            json!({"aws:TagKeys": ["a", "ab"]}),
            true,
        ),
        (
            json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a"]}}),
            json!({"aws:TagKeys": ["a", "b"]}),
            true,
        ),
        (json!({"StringEquals": {"a": "1"}, "Bool": {"b": "true"}}), json!({"a": "1", "b": "true"}), true),
        (json!({"StringEquals": {"a": "1", "b": "2"}}), json!({"a": "1", "b": "3"}), false),
    ];
    for (condition, context, expected) in cases {
        assert_eq!(applies("Allow", &condition, &context), expected, "{condition} {context}");
        assert_eq!(applies("Deny", &condition, &context), expected, "{condition} {context}");
    }
}

#[test]
fn a_key_that_is_absent_is_false_but_for_negated_operators_and_if_exists() {
    for (operator, value, expected) in [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringEqualsIfExists", "a", true),
        ("StringNotLike", "a", true),
        ("NumericLessThan", "1", false),
        ("NumericLessThanIfExists", "1", true),
        ("Bool", "false", false),
        ("BoolIfExists", "false", true),
        ("IpAddress", "10.0.0.0/8", false),
        ("NotIpAddress", "10.0.0.0/8", true),
        ("ArnNotLike", "arn:aws:s3:::x", true),
        ("ForAnyValue:StringEquals", "a", false),
        ("ForAnyValue:StringNotEquals", "a", false),
        ("ForAllValues:StringEquals", "a", true),
        ("ForAnyValue:StringEqualsIfExists", "a", true),
    ] {
        for context in [json!({}), json!({"k": []}), json!({"k": null})] {
            let condition = json!({operator: {"k": value}});
            assert_eq!(applies("Allow", &condition, &context), expected, "{operator}");
            assert_eq!(applies("Deny", &condition, &context), expected, "{operator}");
        }
    }
}

#[test]
fn what_is_unknown_keeps_an_allow_from_applying_and_never_a_deny() {
    for (condition, context) in [
        (json!({"BinaryEquals": {"k": "QUJD"}}), json!({"k": "QUJD"})),
        (json!({"StringEqualz": {"k": "a"}}), json!({"k": "a"})),
        (json!({"StringEquals": {"k": []}}), json!({"k": "a"})),
        (json!({"NumericEquals": {"k": "ten"}}), json!({"k": "10"})),
        (json!({"NumericEquals": {"k": "10"}}), json!({"k": "ten"})),
        (json!({"NumericNotEquals": {"k": "10"}}), json!({"k": "ten"})),
        (json!({"IpAddress": {"k": "10.0.0.0/8"}}), json!({"k": "alice"})),
        (json!({"NotIpAddress": {"k": "10.0.0.0/8"}}), json!({"k": "alice"})),
        (json!({"Bool": {"k": "true"}}), json!({"k": "yes"})),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}}), json!({})),
        (json!({"StringEquals": {"k": "a"}}), json!({"k": ["a", "b"]})),
        (json!({"StringNotEquals": {"k": "a"}}), json!({"k": ["b", "c"]})),
        (json!({"StringNotEquals": {"k": "${aws:username}"}}), json!({"k": "b"})),
        (json!({"StringEquals": {"k": "${aws:username"}}), json!({"k": "b"})),
    ] {
        assert!(!applies("Allow", &condition, &context), "{condition} {context}");
        assert!(applies("Deny", &condition, &context), "{condition} {context}");
    }
}

#[test]
fn variables_stand_for_themselves_and_never_for_wildcards() {
    let policies = read(&document(&json!({
        "Effect": "Allow", "Action": "s3:GetObject",
        "Resource": ["arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::lit/${*}${?}${$}", "arn:aws:s3:::t/${aws:PrincipalTag/team, 'all'}"],
    })));
    let ask = |user: &str, resource: &str| {
        allows(
            &policies,
            &json!({"action": "s3:GetObject", "resource": resource, "context": {"aws:username": user}}),
        )
    };
    assert!(ask("alice", "arn:aws:s3:::home/alice/x"));
    for user in ["*", "?lice", "a*", "", "${aws:username}"] {
        assert!(!ask(user, "arn:aws:s3:::home/alice/x"), "{user}");
    }
    assert!(ask("*", "arn:aws:s3:::home/*/x"));
    assert!(ask("bob", "arn:aws:s3:::lit/*?$") && !ask("bob", "arn:aws:s3:::lit/ab$"));
    assert!(ask("bob", "arn:aws:s3:::t/all") && !ask("bob", "arn:aws:s3:::t/web"));
    // In the former version it is a text like others.
    let old = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "home/${aws:username}"}});
    let old = read(&old);
    assert!(!allows(
        &old,
        &json!({"action": "a:b", "resource": "home/alice", "context": {"aws:username": "alice"}})
    ));
    assert!(allows(&old, &json!({"action": "a:b", "resource": "home/${aws:username}"})));
}

#[test]
fn a_statement_about_some_principals_allows_nothing_and_denies_to_all() {
    let some = json!({"AWS": "arn:aws:iam::111122223333:user/alice"});
    for principal in [some.clone(), json!({"Service": "*"}), json!({"AWS": ["*", "x"]})] {
        let allow = json!({"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"});
        assert!(!allows(&read(&document(&allow)), &ask("s3:GetObject", "*")), "{principal}");
    }
    for principal in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["*"]})] {
        let allow = json!({"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"});
        let deny = json!({"Effect": "Deny", "NotPrincipal": some, "Action": "s3:*", "Resource": "*"});
        assert!(allows(&read(&document(&allow)), &ask("s3:GetObject", "*")));
        assert!(!allows(&read(&document(&json!([allow, deny]))), &ask("s3:GetObject", "*")));
    }
}

#[test]
fn a_star_within_a_part_of_an_arn_crosses_no_colon_to_allow() {
    let resource = "arn:aws:sns:us-*-1:1234:topic";
    let statement = |effect: &str| json!({"Effect": effect, "Action": "*", "Resource": resource});
    let (near, far) = ("arn:aws:sns:us-east-1:1234:topic", "arn:aws:sns:us-x:99:y-1:1234:topic");
    let allow = read(&document(&statement("Allow")));
    assert!(allows(&allow, &ask("a:b", near)) && !allows(&allow, &ask("a:b", far)));
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let deny = read(&document(&json!([all, statement("Deny")])));
    assert!(!allows(&deny, &ask("a:b", near)) && !allows(&deny, &ask("a:b", far)));
    assert_eq!(allow.report().entries()[0].fidelity, Fidelity::Narrowed);
}

#[test]
fn a_document_that_is_not_understood_is_refused_whole() {
    let good = json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"});
    assert!(!is_refused(&document(&json!([good]))));
    for bad in [
        json!({"Effect": "deny", "Action": "s3:*", "Resource": "*"}),
        json!({"Action": "s3:*", "Resource": "*"}),
        json!({"Effect": "Deny", "Action": "s3:*"}),
        json!({"Effect": "Deny", "Resource": "*"}),
        json!({"Effect": "Deny", "Action": "s3:*", "NotAction": "s3:*", "Resource": "*"}),
        json!({"Effect": "Allow", "NotAction": [], "Resource": "*"}),
        json!({"Effect": "Deny", "Action": "GetObject", "Resource": "*"}),
        json!({"Effect": "Deny", "Action": 7, "Resource": "*"}),
        json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Conditions": {}}),
        json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": "true"}}),
        json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"a": {"b": 1}}}}),
        json!("Deny"),
    ] {
        assert!(is_refused(&document(&json!([good, bad]))), "{bad}");
    }
    assert!(is_refused(&json!({"Version": "2012-10-18", "Statement": []})));
    assert!(is_refused(&json!({"Version": "2012-10-17"})));
    assert!(is_refused(&json!({"Version": "2012-10-17", "Statement": [], "Statment": []})));
    let twice = br#"{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    assert!(Policies::read(&[SourceFile { name: "twice", bytes: twice }]).is_err());
}

#[test]
fn a_service_with_a_wildcard_in_its_name_is_only_denied() {
    let statement = |effect: &str| json!({"Effect": effect, "Action": "s3*:GetObject", "Resource": "*"});
    let all = json!({"Effect": "Allow", "Action": "*:*", "Resource": "*"});
    assert!(!allows(&read(&document(&statement("Allow"))), &ask("s3:GetObject", "*")));
    let denied = read(&document(&json!([all, statement("Deny")])));
    assert!(!allows(&denied, &ask("s3:GetObject", "*")) && allows(&denied, &ask("ec2:GetObject", "*")));
}

#[test]
fn a_request_is_concrete() {
    for bad in [
        json!({"action": "s3:*", "resource": "*"}),
        json!({"action": "*", "resource": "*"}),
        json!({"action": "GetObject", "resource": "*"}),
        json!({"resource": "*"}),
        json!({"action": "s3:GetObject", "resource": ""}),
        json!({"action": "s3:GetObject", "resource": ["*"]}),
        json!({"action": "s3:GetObject", "principal": "*"}),
        json!({"action": "s3:GetObject", "context": {"a": "1", "A": "2"}}),
        json!({"action": "s3:GetObject", "context": {"a": {"b": "c"}}}),
        json!(["s3:GetObject"]),
    ] {
        assert!(Request::parse(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
}

/// What a statement says, by itself: patterns by a table, no shared code.
#[derive(Debug, Clone)]
struct Simple {
    deny: bool,
    not_action: bool,
    actions: Vec<String>,
    not_resource: bool,
    resources: Vec<String>,
}

impl Simple {
    fn json(&self) -> Value {
        json!({
            "Effect": if self.deny { "Deny" } else { "Allow" },
            if self.not_action { "NotAction" } else { "Action" }: self.actions,
            if self.not_resource { "NotResource" } else { "Resource" }: self.resources,
        })
    }

    fn applies(&self, action: &str, resource: &str) -> bool {
        let action = self.actions.iter().any(|own| slowly(&own.to_lowercase(), &action.to_lowercase()));
        let resource = self.resources.iter().any(|own| slowly(own, resource));
        action != self.not_action && resource != self.not_resource
    }
}

/// Tries every length of what a star stands for.
fn slowly(pattern: &str, text: &str) -> bool {
    let (mut patterns, mut texts) = (pattern.chars(), text.chars());
    match (patterns.next(), texts.next()) {
        (None, None) => true,
        (Some('*'), found) => {
            slowly(patterns.as_str(), text) || (found.is_some() && slowly(pattern, texts.as_str()))
        }
        (Some('?'), Some(_)) => slowly(patterns.as_str(), texts.as_str()),
        (Some(own), Some(found)) => own == found && slowly(patterns.as_str(), texts.as_str()),
        _ => false,
    }
}

fn arb_statement() -> impl Strategy<Value = Simple> {
    let action = prop_oneof![Just("*".to_owned()), "[ab]:[AaB*?]{1,3}"];
    (any::<bool>(), any::<bool>(), vec(action, 1..3), any::<bool>(), vec("[xy*?/]{1,4}", 1..3)).prop_map(
        |(deny, not_action, actions, not_resource, resources)| Simple {
            deny,
            not_action,
            actions,
            not_resource,
            resources,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn decisions_are_those_of_the_plain_reading(
        statements in vec(arb_statement(), 0..5), action in "[ab]:[AaBb]{1,3}", resource in "[xy/]{1,4}"
    ) {
        let written: Vec<Value> = statements.iter().map(Simple::json).collect();
        let policies = read(&document(&json!(written)));
        let denied = statements.iter().any(|one| one.deny && one.applies(&action, &resource));
        let allowed = statements.iter().any(|one| !one.deny && one.applies(&action, &resource));
        prop_assert_eq!(allows(&policies, &ask(&action, &resource)), allowed && !denied);
        let reversed: Vec<Value> = written.into_iter().rev().collect();
        prop_assert_eq!(allows(&read(&document(&json!(reversed))), &ask(&action, &resource)), allowed && !denied);
    }
}
