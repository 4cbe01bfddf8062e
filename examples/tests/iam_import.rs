//! `palisade iam check --from` and `iam import`: other systems' policies, and the answers their documentation gives.

#![expect(clippy::expect_used, reason = "a helper that fails is a failed test")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::palisade;

fn fixture(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/iam").join(name);
    path.to_str().expect("a path of this repository").to_owned()
}

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("one JSON object per line")).collect()
}

/// Asks each, and compares the answers one by one; by standard input, and by a file.
fn check(from: &str, policies: &[&str], cases: &[(Value, &str)]) -> Vec<Value> {
    let requests: String = cases.iter().map(|(request, _)| format!("{request}\n")).collect();
    let files: Vec<String> = policies.iter().map(|name| fixture(name)).collect();
    let mut arguments = vec!["iam", "check", "--from", from, "--policies"];
    arguments.extend(files.iter().map(String::as_str));
    let asked = [arguments.clone(), vec!["--requests", "-"]].concat();
    let (exit, printed, said) = palisade(&asked, requests.as_bytes());
    let answers = rows(&printed);
    for ((request, expected), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["decision"], *expected, "{request}: {answer}");
        let reasons = answer["reasons"].as_array().expect("a list of reasons");
        assert!(
            !reasons.is_empty() && reasons.iter().all(|reason| reason["message"].is_string()),
            "{answer}"
        );
    }
    assert_eq!(answers.len(), cases.len(), "{said}");
    assert_eq!(exit, i32::from(cases.iter().any(|(_, expected)| *expected == "deny")), "{said}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    std::fs::write(&file, &requests).expect("a file");
    let asked = [arguments, vec!["--json", "--requests", file.to_str().expect("a path")]].concat();
    assert_eq!(palisade(&asked, b"").1, printed);
    answers
}

#[test]
fn aws_documents_decide_as_aws_documents_them() {
    let ask = |action: &str, resource: &str, context: Value| json!({"action": action, "resource": resource, "context": context});
    let tls = json!({"aws:SecureTransport": "true"});
    let alice = json!({"aws:SecureTransport": true, "aws:username": "alice", "s3:prefix": "home/alice/doc"});
    let star = json!({"aws:SecureTransport": "true", "aws:username": "*"});
    let mfa = json!({"aws:SecureTransport": "true", "aws:MultiFactorAuthPresent": "true", "aws:SourceIp": "203.0.113.77"});
    let answers = check(
        "aws",
        &["aws-team.json", "aws-guard.json"],
        &[
            (ask("s3:ListBucket", "arn:aws:s3:::team", alice.clone()), "allow"),
            (ask("s3:listbucket", "arn:aws:s3:::team", tls.clone()), "deny"),
            (ask("s3:GetObject", "arn:aws:s3:::team/home/alice/doc/1", alice.clone()), "allow"),
            (ask("s3:GetObject", "arn:aws:s3:::team/home/bob/doc/1", alice.clone()), "deny"),
            (ask("s3:GetObject", "arn:aws:s3:::team/home/alice/doc/1", star), "deny"),
            (ask("s3:GetObject", "arn:aws:s3:::TEAM/home/alice/doc/1", alice.clone()), "deny"),
            (
                ask("s3:GetObject", "arn:aws:s3:::team/home/alice/x", json!({"aws:username": "alice"})),
                "allow",
            ),
            (
                ask(
                    "s3:GetObject",
                    "arn:aws:s3:::team/home/alice/x",
                    json!({"aws:username": "alice", "aws:SecureTransport": "false"}),
                ),
                "deny",
            ),
            (
                ask("ec2:StopInstances", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", mfa.clone()),
                "allow",
            ),
            (
                ask("ec2:StopInstances", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", tls.clone()),
                "deny",
            ),
            (
                ask("ec2:StopInstances", "arn:aws:ec2:eu-west-1:999999999999:instance/i-1", mfa.clone()),
                "deny",
            ),
            (ask("ec2:DescribeInstances", "*", tls.clone()), "allow"),
            (ask("ec2:DescribeInstances", "*", json!({"aws:RequestedRegion": "us-east-1"})), "deny"),
            (
                ask(
                    "iam:GetUser",
                    "arn:aws:iam::111122223333:user/alice",
                    json!({"aws:RequestedRegion": "us-east-1"}),
                ),
                "deny",
            ),
            (ask("cloudwatch:GetMetricData", "*", json!({"aws:RequestedRegion": "eu-west-1"})), "allow"),
            (ask("kms:Decrypt", "*", mfa), "deny"),
            (json!({"action": "ec2:DescribeInstances"}), "allow"),
            (json!({"action": "ec2:Describe*", "resource": "*"}), "deny"),
        ],
    );
    assert_eq!(answers[0]["reasons"][0]["code"], "granted");
    assert!(answers[0]["reasons"][0]["message"].as_str().unwrap().contains("ListOwnFolder"));
    assert_eq!(answers[1]["reasons"][0]["code"], "no_grant");
    assert_eq!(answers[7]["reasons"][0]["code"], "explicit_deny");
    assert_eq!(answers[17]["reasons"][0]["code"], "request");
}

#[test]
fn kubernetes_objects_decide_as_the_authorizer_does() {
    let ask = |user: &str,
               groups: &[&str],
               verb: &str,
               resource: (&str, &str, &str),
               name: &str,
               namespace: &str| {
        json!({"user": user, "groups": groups, "verb": verb, "apiGroup": resource.0, "resource": resource.1,
            "subresource": resource.2, "name": name, "namespace": namespace})
    };
    let path = |user: &str, groups: &[&str], path: &str| json!({"user": user, "groups": groups, "verb": "get", "path": path});
    let pods = ("", "pods", "");
    let robot = "system:serviceaccount:ci:deployer";
    check(
        "kubernetes",
        &["kubernetes.yaml"],
        &[
            (ask("jane", &[], "get", pods, "web-1", "default"), "allow"),
            (ask("jane", &[], "list", pods, "", "default"), "allow"),
            (ask("jane", &[], "get", pods, "web-1", "kube-system"), "deny"),
            (ask("jane", &[], "delete", pods, "web-1", "default"), "deny"),
            (ask("jane", &[], "get", ("", "pods", "log"), "web-1", "default"), "allow"),
            (ask("jane", &[], "get", ("", "pods", "exec"), "web-1", "default"), "deny"),
            (ask("Jane", &[], "get", pods, "web-1", "default"), "deny"),
            (ask("dave", &["manager"], "get", ("", "secrets", ""), "x", "anywhere"), "allow"),
            (ask("dave", &["manager"], "get", ("", "secrets", ""), "x", ""), "allow"),
            (ask("dave", &["managers"], "get", ("", "secrets", ""), "x", "anywhere"), "deny"),
            (ask(robot, &[], "update", ("apps", "deployments", "scale"), "web", "shop"), "allow"),
            (ask(robot, &[], "update", ("apps", "deployments", ""), "web", "shop"), "deny"),
            (ask(robot, &[], "update", ("", "replicationcontrollers", "scale"), "web", "shop"), "deny"),
            (ask(robot, &[], "update", ("", "configmaps", ""), "release", "shop"), "allow"),
            (ask(robot, &[], "update", ("", "configmaps", ""), "other", "shop"), "deny"),
            (ask(robot, &[], "list", ("", "configmaps", ""), "", "shop"), "deny"),
            (ask(robot, &[], "create", ("", "configmaps", ""), "", "shop"), "deny"),
            (
                ask(
                    "system:serviceaccount:other:deployer",
                    &[],
                    "update",
                    ("", "configmaps", ""),
                    "release",
                    "shop",
                ),
                "deny",
            ),
            (ask("eve", &["auditors"], "get", ("stable.example.com", "crontabs", ""), "", "x"), "allow"),
            (ask("eve", &["auditors"], "update", ("stable.example.com", "crontabs", ""), "", "x"), "deny"),
            (ask("eve", &["auditors"], "get", ("", "nodes", ""), "", ""), "deny"),
            (ask("ops", &[], "delete", ("", "nodes", ""), "n1", ""), "deny"),
            (ask("ops", &[], "*", ("batch", "jobs", ""), "", "x"), "deny"),
            (ask("ops", &[], "patch", ("batch", "jobs", ""), "", "x"), "allow"),
            (ask("root", &["system:masters"], "*", ("any", "thing", "at-all"), "x", "y"), "allow"),
            (path("root", &["system:masters"], "/metrics"), "allow"),
            (path("anyone", &["system:authenticated"], "/healthz"), "allow"),
            (path("anyone", &["system:authenticated"], "/apis/apps/v1"), "allow"),
            (path("anyone", &["system:authenticated"], "/metrics"), "deny"),
            (path("anyone", &[], "/healthz"), "deny"),
            (
                json!({"user": "root", "groups": ["system:masters"], "verb": "get", "path": "/x", "resource": "pods"}),
                "deny",
            ),
        ],
    );
}

#[test]
fn casbin_policies_decide_as_its_models_do() {
    let ask = |sub: &str, obj: &str, act: &str| json!({"sub": sub, "obj": obj, "act": act});
    check(
        "casbin",
        &["casbin-rbac.csv"],
        &[
            (ask("alice", "data1", "read"), "allow"),
            (ask("alice", "data1", "write"), "deny"),
            (ask("alice", "data2", "read"), "allow"),
            (ask("alice", "data2", "write"), "allow"),
            (ask("bob", "data1", "read"), "deny"),
            (ask("bob", "data2", "read"), "deny"),
            (ask("bob", "data2", "write"), "allow"),
        ],
    );
    let ask =
        |sub: &str, dom: &str, obj: &str, act: &str| json!({"sub": sub, "dom": dom, "obj": obj, "act": act});
    check(
        "casbin",
        &["casbin-domains.csv"],
        &[
            (ask("alice", "domain1", "data1", "read"), "allow"),
            (ask("alice", "domain1", "data2", "read"), "deny"),
            (ask("bob", "domain2", "data2", "write"), "allow"),
            (ask("bob", "domain1", "data1", "write"), "deny"),
            (json!({"sub": "alice", "obj": "data1", "act": "read"}), "deny"),
        ],
    );
    let ask = |sub: &str, obj: &str, act: &str| json!({"sub": sub, "obj": obj, "act": act});
    check(
        "casbin",
        &["casbin-keymatch-model.conf", "casbin-keymatch.csv"],
        &[
            (ask("alice", "/alice_data/resource1", "GET"), "allow"),
            (ask("alice", "/alice_data/resource1", "POST"), "allow"),
            (ask("alice", "/alice_data/resource2", "POST"), "deny"),
            (ask("alice", "/bob_data/resource2", "GET"), "deny"),
            (ask("bob", "/alice_data/resource2", "GET"), "allow"),
            (ask("bob", "/bob_data/resource1", "POST"), "allow"),
            (ask("cathy", "/cathy_data", "GET"), "allow"),
            (ask("cathy", "/cathy_data", "POST"), "allow"),
            (ask("cathy", "/cathy_data", "DELETE"), "deny"),
            (ask("bob", "/bob_data/secret", "POST"), "deny"),
        ],
    );
}

#[test]
fn a_line_that_is_no_request_is_denied_in_its_place() {
    let good = r#"{"sub": "alice", "obj": "data1", "act": "read"}"#;
    let long = format!(r#"{{"sub": "{}"}}"#, "a".repeat(100_000));
    let input = [
        good,
        "",
        "not JSON",
        "[]",
        r#"{"sub": "alice", "sub": "bob", "obj": "data1", "act": "read"}"#,
        &long,
        good,
    ]
    .join("\n");
    let policies = fixture("casbin-rbac.csv");
    let (exit, printed, _) = palisade(
        &["iam", "check", "--from=casbin", "--policies", &policies, "--requests", "-"],
        input.as_bytes(),
    );
    let rows = rows(&printed);
    let decisions: Vec<&str> = rows.iter().map(|row| row["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["allow", "deny", "deny", "deny", "deny", "deny", "allow"]);
    assert!(rows[1..6].iter().all(|row| row["reasons"][0]["code"] == "request"), "{printed}");
    assert_eq!(exit, 1);
}

#[test]
fn policies_that_are_refused_deny_everything_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let all = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
    for statement in [
        r#"{"Effect": "Deny", "Action": "s3:*"}"#,
        r#"{"Effect": "Block", "Action": "s3:*", "Resource": "*"}"#,
    ] {
        std::fs::write(&file, format!(r#"{{"Version": "2012-10-17", "Statement": [{all}, {statement}]}}"#))
            .unwrap();
        let arguments =
            ["iam", "check", "--from", "aws", "--policies", file.to_str().unwrap(), "--requests", "-"];
        let (exit, printed, _) =
            palisade(&arguments, b"{\"action\": \"ec2:Run\"}\n{\"action\": \"ec2:Stop\"}\n");
        assert_eq!(exit, 1);
        let rows = rows(&printed);
        assert_eq!(rows.len(), 2);
        assert!(
            rows.iter().all(|row| row["decision"] == "deny" && row["reasons"][0]["code"] == "source"),
            "{printed}"
        );
        assert_eq!(palisade(&arguments, b"").0, 1);
    }
}

#[test]
fn import_prints_a_directory_that_is_no_wider_and_a_report() {
    let policies = fixture("casbin-rbac.csv");
    let (exit, printed, said) =
        palisade(&["iam", "import", "--from", "casbin", &policies, "--scope", "org/acme"], b"");
    assert_eq!(exit, 0, "everything is exact: {said}");
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((document["version"].as_u64(), document["roles"].as_array().unwrap().len()), (Some(1), 3));
    assert!(document["bindings"].as_array().unwrap().iter().all(|binding| binding["scope"] == "org/acme"));
    let (exit, printed, _) =
        palisade(&["iam", "import", "--from", "kubernetes", &fixture("kubernetes.yaml"), "--report"], b"");
    assert_eq!(exit, 1, "some of it is left out");
    let fidelities: Vec<Value> = rows(&printed).iter().map(|row| row["fidelity"].clone()).collect();
    assert!(["exact", "refused"].iter().all(|word| fidelities.contains(&json!(word))), "{printed}");
    let (exit, printed, _) =
        palisade(&["iam", "import", "--from", "aws", "-"], br#"{"Statement": {"Effect": "Deny"}}"#);
    assert_eq!(exit, 1);
    assert_eq!(rows(&printed)[0]["fidelity"], "refused");
}

#[test]
fn wrong_words_are_wrong_usage() {
    let policies = fixture("casbin-rbac.csv");
    for arguments in [
        &["iam", "check", "--from", "opa", "--policies", &policies, "--requests", "-"][..],
        &["iam", "check", "--from", "aws", "--requests", "-"],
        &["iam", "check", "--from", "aws", "--policies", &policies],
        &["iam", "check", "--from", "aws", "--policies", "-", "--requests", "-"],
        &["iam", "import", "--from", "aws"],
        &["iam", "import", &policies],
        &["iam", "import", "--from", "casbin", &policies, "--scope", "UPPER"],
    ] {
        let (exit, printed, said) = palisade(arguments, b"");
        assert_eq!(exit, 2, "{arguments:?}: {printed}{said}");
        assert!(!said.is_empty() && printed.is_empty(), "{arguments:?}");
    }
    let (exit, ..) =
        palisade(&["iam", "check", "--from", "aws", "--policies", "no-such-file", "--requests", "-"], b"");
    assert_eq!(exit, 1);
}

#[test]
fn a_policy_is_exported_in_the_form_of_aws_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("directory.json");
    let file = file.to_str().expect("a path");
    let policy = |number: u8, statement: Value| {
        json!({"id": format!("pol_0000000000000000000000000{number}"), "name": "p", "home": "/",
            "document": {"statements": [statement]}})
    };
    let said = json!({"effect": "allow", "permissions": ["s3:read", "s3:list"], "scopes": {"only": ["project/web"]},
        "conditions": []});
    let unsaid =
        json!({"effect": "deny", "permissions": ["*:delete"], "scopes": "unlimited", "conditions": []});
    let directory = json!({"version": 1, "policies": [policy(1, said), policy(2, unsaid)]});
    std::fs::write(file, directory.to_string()).expect("a file");

    let export = |more: &[&str]| palisade(&[&["iam", "export", "--policies", file], more].concat(), b"");
    let (exit, printed, said) = export(&["pol_00000000000000000000000001"]);
    assert_eq!(exit, 0, "{said}");
    let document = rows(&printed).remove(0);
    assert_eq!(document["Statement"][0]["Effect"], "Allow", "{document}");
    let aws = folder.path().join("aws.json");
    std::fs::write(&aws, &printed).expect("a file");
    let (exit, again, said) =
        palisade(&["iam", "import", "--from", "aws", aws.to_str().expect("a path")], b"");
    assert_eq!(exit, 0, "{said}");
    assert!(again.contains("\"s3:read\"") && again.contains("project/web"), "{again}");
    let (exit, printed, _) = export(&["pol_00000000000000000000000001", "--report"]);
    assert_eq!((exit, rows(&printed)[0]["fidelity"].clone()), (0, json!("exact")));

    // What is denied must not be lost on the way.
    let (exit, printed, _) = export(&["pol_00000000000000000000000002"]);
    assert_eq!((exit, rows(&printed)[0]["fidelity"].clone()), (1, json!("refused")));
    assert_eq!(export(&["pol_00000000000000000000000003"]).0, 2);
    assert_eq!(export(&[]).0, 2);
}
