//! Objects of Kubernetes' RBAC: what the API server's authorizer decides of them.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use iam_policy_import::kubernetes::{Rbac, Request};
use iam_policy_import::{Fidelity, SourceFile, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn read(text: &str) -> Rbac {
    Rbac::read(&[SourceFile { name: "rbac.yaml", bytes: text.as_bytes() }]).unwrap()
}

fn allows(rbac: &Rbac, request: &Value) -> bool {
    let request = Request::parse(request.to_string().as_bytes()).unwrap();
    matches!(rbac.decide(&request), Verdict::Allow(_))
}

/// One cluster role of these rules, bound to alice everywhere.
fn of_rules(rules: &Value) -> Rbac {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "r"}, "rules": rules});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "alice"}],
        "roleRef": {"kind": "ClusterRole", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}});
    read(&json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string())
}

fn alice(verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> Value {
    json!({"user": "alice", "groups": ["system:authenticated"], "verb": verb, "apiGroup": group, "resource": resource,
        "subresource": subresource, "name": name, "namespace": "dev"})
}

#[test]
fn verbs_groups_and_resources_match_by_word_or_star() {
    let rbac = of_rules(
        &json!([{"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "deployments"]}]),
    );
    assert!(allows(&rbac, &alice("get", "", "pods", "", "")));
    assert!(allows(&rbac, &alice("list", "apps", "deployments", "", "web")));
    for request in [
        alice("GET", "", "pods", "", ""),
        alice("delete", "", "pods", "", ""),
        alice("get", "batch", "pods", "", ""),
        alice("get", "", "secrets", "", ""),
        alice("get", "", "pods", "log", ""),
        alice("*", "", "pods", "", ""),
    ] {
        assert!(!allows(&rbac, &request), "{request}");
    }
    let all = of_rules(&json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
    assert!(allows(&all, &alice("escalate", "any.group", "things", "status", "x")));
    assert!(!allows(&all, &json!({"user": "alice", "verb": "get", "path": "/healthz"})));
}

#[test]
fn all_verbs_there_are_do_not_make_a_star() {
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let rbac = of_rules(&json!([{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]));
    assert!(
        !allows(&rbac, &alice("*", "", "pods", "", ""))
            && !allows(&rbac, &alice("evict", "", "pods", "", ""))
    );
    let star = of_rules(&json!([{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]));
    assert!(allows(&star, &alice("*", "", "pods", "", "")));
}

#[test]
fn subresources_are_named_with_their_resource_or_for_all_of_them() {
    let rbac = of_rules(
        &json!([{"verbs": ["get"], "apiGroups": ["*"], "resources": ["pods/log", "*/scale", "x/*"]}]),
    );
    assert!(allows(&rbac, &alice("get", "", "pods", "log", "")));
    assert!(!allows(&rbac, &alice("get", "", "pods", "", "")));
    assert!(allows(&rbac, &alice("get", "apps", "deployments", "scale", "")));
    assert!(!allows(&rbac, &alice("get", "apps", "deployments", "status", "")));
    assert!(!allows(&rbac, &alice("get", "apps", "scale", "", "")));
    assert!(!allows(&rbac, &alice("get", "", "x", "y", "")));
}

#[test]
fn named_resources_are_compared_by_name_and_lists_have_none() {
    let rbac = of_rules(&json!([
        {"verbs": ["get", "list", "create"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a", "b"]}
    ]));
    assert!(allows(&rbac, &alice("get", "", "configmaps", "", "b")));
    assert!(!allows(&rbac, &alice("get", "", "configmaps", "", "c")));
    assert!(
        !allows(&rbac, &alice("list", "", "configmaps", "", ""))
            && !allows(&rbac, &alice("create", "", "configmaps", "", ""))
    );
    assert!(allows(&rbac, &alice("list", "", "configmaps", "", "a")));
}

#[test]
fn paths_match_whole_or_by_their_beginning() {
    let rbac = of_rules(
        &json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/healthz/*", "/api*", "/x**"]}]),
    );
    let ask = |path: &str| allows(&rbac, &json!({"user": "alice", "verb": "get", "path": path}));
    assert!(
        ask("/healthz")
            && ask("/healthz/etcd")
            && ask("/healthz/")
            && ask("/apis")
            && ask("/api/v1")
            && ask("/xy")
    );
    assert!(!ask("/health") && !ask("/healthz2") && !ask("/") && !ask("/version"));
    assert!(!allows(&rbac, &json!({"user": "alice", "verb": "post", "path": "/healthz"})));
    let star = of_rules(&json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]));
    assert!(allows(&star, &json!({"user": "alice", "verb": "post", "path": "/anything"})));
    assert!(!allows(&star, &alice("get", "", "pods", "", "")));
}

const NAMESPACED: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: dev}
rules:
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
- nonResourceURLs: ["*"]
  verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: editor}
rules:
- {apiGroups: [apps], resources: ["*"], verbs: [update]}
- {nonResourceURLs: ["/metrics"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read, namespace: dev}
subjects:
- {kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}
- {kind: Group, name: "system:serviceaccounts:ci"}
- {kind: ServiceAccount, name: builder}
- {kind: ServiceAccount, name: robot, namespace: ops}
roleRef: {kind: Role, name: reader, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: edit, namespace: dev}
subjects: [{kind: Group, name: devs}]
roleRef: {kind: ClusterRole, name: editor}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dangling, namespace: prod}
subjects: [{kind: User, name: alice}]
roleRef: {kind: Role, name: reader}
"#;

#[test]
fn a_role_binding_counts_in_its_namespace_alone_and_not_for_paths() {
    let rbac = read(NAMESPACED);
    let get = |user: &str, groups: &[&str], namespace: &str| {
        allows(
            &rbac,
            &json!({"user": user, "groups": groups, "verb": "get", "resource": "pods", "namespace": namespace}),
        )
    };
    assert!(get("alice", &[], "dev"));
    assert!(!get("alice", &[], "prod") && !get("alice", &[], "") && !get("bob", &[], "dev"));
    assert!(get("x", &["system:serviceaccounts:ci"], "dev"));
    assert!(get("system:serviceaccount:dev:builder", &[], "dev"));
    assert!(!get("system:serviceaccount:ops:builder", &[], "dev"));
    assert!(get("system:serviceaccount:ops:robot", &[], "dev"));
    assert!(!get("system:serviceaccount:ci:x", &[], "dev"), "groups are the authenticator's to say");
    let update = |namespace: &str| {
        let request = json!({"user": "dora", "groups": ["devs"], "verb": "update", "apiGroup": "apps",
            "resource": "deployments", "namespace": namespace});
        allows(&rbac, &request)
    };
    assert!(update("dev") && !update("prod") && !update(""));
    for user in ["alice", "dora"] {
        assert!(!allows(
            &rbac,
            &json!({"user": user, "groups": ["devs"], "verb": "get", "path": "/metrics"})
        ));
    }
}

#[test]
fn aggregated_roles_have_the_rules_of_those_they_select_and_not_their_own() {
    let role = |name: &str, labels: Value, rest: Value| {
        let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}});
        role.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        role
    };
    let rule = |resource: &str| json!([{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]);
    let select = |selectors: Value| json!({"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": rule("own")});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "subjects": [{"kind": "User", "name": "alice"}], "roleRef": {"kind": "ClusterRole", "name": "top"}});
    let items = json!([
        role(
            "top",
            json!({}),
            select(json!([
                {"matchLabels": {"to": "top"}},
                {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "no", "operator": "DoesNotExist"}]},
            ]))
        ),
        role("middle", json!({"to": "top"}), select(json!([{"matchLabels": {"to": "middle"}}]))),
        role("leaf", json!({"to": "middle"}), json!({"rules": rule("leaves")})),
        role("a", json!({"tier": "a"}), json!({"rules": rule("as")})),
        role("c", json!({"tier": "c"}), json!({"rules": rule("cs")})),
        role("no", json!({"tier": "b", "no": ""}), json!({"rules": rule("nos")})),
        binding,
    ]);
    let rbac = read(&json!({"kind": "List", "apiVersion": "v1", "items": items}).to_string());
    let get = |resource: &str| allows(&rbac, &alice("get", "", resource, "", ""));
    assert!(get("leaves") && get("as"));
    assert!(!get("own") && !get("cs") && !get("nos"));
}

#[test]
fn what_is_not_understood_is_left_out_and_said() {
    let text = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get], resourceName: [a]}
- {apiGroups: [""], resources: [pods], verbs: [get, yes]}
- {apiGroups: [""], resources: [nodes], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
subjects: [{kind: User, name: alice}, {kind: Robot, name: x}, {kind: ServiceAccount, name: nowhere}]
roleRef: {kind: ClusterRole, name: r}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
---
apiVersion: rbac.authorization.k8s.io/v1alpha1
kind: ClusterRoleBinding
metadata: {name: old}
subjects: [{kind: User, name: "*"}]
roleRef: {kind: ClusterRole, name: r}
"#;
    let rbac = read(text);
    assert!(allows(&rbac, &alice("get", "", "nodes", "", "")));
    assert!(
        !allows(&rbac, &alice("get", "", "secrets", "", "a"))
            && !allows(&rbac, &alice("get", "", "pods", "", ""))
    );
    let fidelities: Vec<Fidelity> = rbac.report().entries().iter().map(|entry| entry.fidelity).collect();
    assert_eq!(fidelities, [Fidelity::Narrowed, Fidelity::Narrowed, Fidelity::Refused, Fidelity::Refused]);
}

#[test]
fn two_objects_of_one_name_and_texts_that_are_no_yaml_are_refused() {
    let role =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: []\n";
    for text in [
        format!("{role}---\n{role}"),
        "kind: [".to_owned(),
        "- 1\n".to_owned(),
        "kind: List\nitems: 7\n".to_owned(),
    ] {
        assert!(Rbac::read(&[SourceFile { name: "x", bytes: text.as_bytes() }]).is_err(), "{text}");
    }
}

#[test]
fn a_request_is_for_a_resource_or_a_path() {
    for bad in [
        json!({"user": "a", "verb": "get"}),
        json!({"user": "a", "resource": "pods"}),
        json!({"user": "a", "verb": "get", "path": "/x", "resource": "pods"}),
        json!({"user": "a", "verb": "get", "path": ""}),
        json!({"user": "a", "verb": "get", "resource": "pods", "subresources": "log"}),
        json!({"user": ["a"], "verb": "get", "resource": "pods"}),
        json!({"user": "a", "groups": "b", "verb": "get", "resource": "pods"}),
    ] {
        assert!(Request::parse(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
}

/// A rule in the words of the authorizer's own functions.
type Lists = (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>, Vec<&'static str>);

fn slowly(
    (verbs, groups, resources, names): &Lists,
    verb: &str,
    group: &str,
    resource: &str,
    subresource: &str,
    name: &str,
) -> bool {
    let combined =
        if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let resource_matches = resources.iter().any(|own| {
        *own == "*"
            || *own == combined
            || (!subresource.is_empty()
                && own.len() == subresource.len().saturating_add(2)
                && own.starts_with("*/")
                && own.ends_with(subresource))
    });
    verbs.iter().any(|own| *own == "*" || *own == verb)
        && groups.iter().any(|own| *own == "*" || *own == group)
        && resource_matches
        && (names.is_empty() || names.contains(&name))
}

fn words(from: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(from), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn rules_allow_what_the_authorizers_functions_say(
        rules in vec((words(&["get", "list", "*"]), words(&["", "apps", "*"]),
            words(&["pods", "pods/log", "*/log", "*/og", "*", "log"]), words(&["", "a"])), 0..3),
        verb in select(&["get", "list", "*"][..]), group in select(&["", "apps"][..]),
        resource in select(&["pods", "log"][..]), subresource in select(&["", "log", "og"][..]),
        name in select(&["", "a", "b"][..]),
    ) {
        let written: Vec<Value> = rules.iter().map(|(verbs, groups, resources, names)| {
            json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names})
        }).collect();
        let expected = rules.iter().any(|rule| slowly(rule, verb, group, resource, subresource, name));
        let request = alice(verb, group, resource, subresource, name);
        prop_assert_eq!(allows(&of_rules(&json!(written)), &request), expected);
        let yaml = in_block_style(&written);
        prop_assert_eq!(allows(&read(&yaml), &request), expected, "{}", yaml);
    }
}

/// The same in block style, as people write it.
fn in_block_style(rules: &[Value]) -> String {
    let mut text =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: r\nrules:\n"
            .to_owned();
    for rule in rules {
        let mut lead = "- ";
        for (field, list) in rule.as_object().unwrap() {
            text.push_str(&format!("{lead}{field}:\n"));
            lead = "  ";
            if list.as_array().unwrap().is_empty() {
                text.truncate(text.len().saturating_sub(1));
                text.push_str(" []\n");
            }
            for word in list.as_array().unwrap() {
                text.push_str(&format!("  - {word}\n"));
            }
        }
    }
    if rules.is_empty() {
        text = text.replace("rules:\n", "rules: []\n");
    }
    text.push_str(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n",
    );
    text.push_str("subjects: [{kind: User, name: alice}]\nroleRef: {kind: ClusterRole, name: r}\n");
    text
}
