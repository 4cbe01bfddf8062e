//! Models and policies of casbin: the examples of its documentation, and what it says of them.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use iam_policy_import::casbin::{Casbin, Request};
use iam_policy_import::{Fidelity, SourceFile, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn read(texts: &[&str]) -> Result<Casbin, iam_policy_import::ImportError> {
    let files: Vec<SourceFile<'_>> =
        texts.iter().map(|text| SourceFile { name: "policy", bytes: text.as_bytes() }).collect();
    Casbin::read(&files)
}

fn allows(casbin: &Casbin, request: &Value) -> bool {
    let request = Request::parse(request.to_string().as_bytes()).unwrap();
    matches!(casbin.decide(&request), Verdict::Allow(_))
}

fn ask(sub: &str, obj: &str, act: &str) -> Value {
    json!({"sub": sub, "obj": obj, "act": act})
}

fn model(matcher: &str) -> String {
    format!(
        "[request_definition]\nr = sub, obj, act\n\n[policy_definition]\np = sub, obj, act\n\n\
         [role_definition]\ng = _, _\n\n[policy_effect]\ne = some(where (p.eft == allow))\n\n[matchers]\nm = {matcher}\n"
    )
}

#[test]
fn an_access_list_allows_what_it_lists() {
    let casbin = read(&["p, alice, data1, read\n# a comment\n\np, bob, data2, write\n"]).unwrap();
    assert!(
        allows(&casbin, &ask("alice", "data1", "read")) && allows(&casbin, &ask("bob", "data2", "write"))
    );
    assert!(
        !allows(&casbin, &ask("alice", "data1", "write")) && !allows(&casbin, &ask("alice", "data2", "read"))
    );
    assert!(!allows(&casbin, &ask("Alice", "data1", "read")));
}

const ROLES: &str = "p, alice, data1, read\np, bob, data2, write\np, data2_admin, data2, read\n\
    p, data2_admin, data2, write\ng, alice, data2_admin\n";

#[test]
fn roles_are_inherited() {
    let casbin = read(&[ROLES]).unwrap();
    for (sub, obj, act, expected) in [
        ("alice", "data1", "read", true),
        ("alice", "data1", "write", false),
        ("alice", "data2", "read", true),
        ("alice", "data2", "write", true),
        ("bob", "data1", "read", false),
        ("bob", "data2", "read", false),
        ("bob", "data2", "write", true),
        ("data2_admin", "data2", "read", true),
    ] {
        assert_eq!(allows(&casbin, &ask(sub, obj, act)), expected, "{sub} {obj} {act}");
    }
}

#[test]
fn roles_hold_in_their_domain() {
    let casbin = read(&["p, admin, domain1, data1, read\np, admin, domain1, data1, write\n\
        p, admin, domain2, data2, read\np, admin, domain2, data2, write\n\
        g, alice, admin, domain1\ng, bob, admin, domain2\n"])
    .unwrap();
    let ask = |sub: &str, dom: &str, obj: &str| {
        allows(&casbin, &json!({"sub": sub, "dom": dom, "obj": obj, "act": "read"}))
    };
    assert!(ask("alice", "domain1", "data1") && ask("bob", "domain2", "data2"));
    assert!(
        !ask("alice", "domain2", "data2")
            && !ask("bob", "domain1", "data1")
            && !ask("alice", "domain1", "data2")
    );
    assert!(!allows(&casbin, &json!({"sub": "alice", "obj": "data1", "act": "read"})));
}

#[test]
fn a_row_that_denies_stands_above_all_that_allow() {
    let casbin = read(&[
        "p, alice, data1, read, allow\np, bob, data2, write, allow\np, data2_admin, data2, read, allow\n\
        p, data2_admin, data2, write, allow\np, alice, data2, write, deny\ng, alice, data2_admin\n",
    ])
    .unwrap();
    assert!(allows(&casbin, &ask("alice", "data2", "read")));
    assert!(!allows(&casbin, &ask("alice", "data2", "write")));
    assert!(allows(&casbin, &ask("bob", "data2", "write")));
}

#[test]
fn resources_have_roles_too() {
    let casbin =
        read(&["p, alice, data1, read\np, bob, data2, write\np, data_group_admin, data_group, write\n\
        g, alice, data_group_admin\ng2, data1, data_group\ng2, data2, data_group\n"])
        .unwrap();
    assert!(
        allows(&casbin, &ask("alice", "data1", "write")) && allows(&casbin, &ask("alice", "data2", "write"))
    );
    assert!(
        !allows(&casbin, &ask("alice", "data2", "read")) && !allows(&casbin, &ask("bob", "data1", "write"))
    );
}

#[test]
fn what_is_allowed_is_followed_ten_levels_and_what_is_denied_to_the_end() {
    let chain = |effect: &str, levels: usize| {
        let mut text = format!("p, r{levels}, data, read, {effect}\np, r0, data, read, allow\n");
        if effect == "allow" {
            text = format!("p, r{levels}, data, read, allow\n");
        }
        (0..levels).for_each(|level| text.push_str(&format!("g, r{level}, r{}\n", level.saturating_add(1))));
        read(&[&text]).unwrap()
    };
    assert!(allows(&chain("allow", 10), &ask("r0", "data", "read")));
    assert!(!allows(&chain("allow", 11), &ask("r0", "data", "read")));
    assert!(!allows(&chain("deny", 12), &ask("r0", "data", "read")));
    let circle = read(&["p, a, data, read\ng, a, b\ng, b, a\n"]).unwrap();
    assert!(allows(&circle, &ask("b", "data", "read")) && !allows(&circle, &ask("c", "data", "read")));
}

#[test]
fn matchers_say_how_things_are_compared() {
    let rest = model("g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)");
    let casbin = read(&[
        &rest,
        "p, alice, /alice_data/*, GET\np, alice, /alice_data/resource1, POST\n\
        p, cathy, /cathy_data, (GET)|(POST)\np, eve, /x, [A-Z]+\n",
    ])
    .unwrap();
    assert!(allows(&casbin, &ask("alice", "/alice_data/resource2", "GET")));
    assert!(!allows(&casbin, &ask("alice", "/alice_data/resource2", "POST")));
    assert!(
        allows(&casbin, &ask("cathy", "/cathy_data", "POST"))
            && !allows(&casbin, &ask("cathy", "/cathy_data", "DELETE"))
    );
    assert!(!allows(&casbin, &ask("eve", "/x", "GET")));
    let fidelities: Vec<Fidelity> = casbin.report().entries().iter().map(|entry| entry.fidelity).collect();
    assert_eq!(fidelities, [Fidelity::Exact, Fidelity::Exact, Fidelity::Exact, Fidelity::Narrowed]);
    let root =
        model("g(r.sub, p.sub) && r.obj == p.obj && (r.act == p.act || p.act == \"*\") || r.sub == 'root'");
    let casbin = read(&[&root, "p, alice, data1, *\n"]).unwrap();
    assert!(allows(&casbin, &ask("alice", "data1", "anything")) && allows(&casbin, &ask("root", "x", "y")));
    assert!(!allows(&casbin, &ask("alice", "data2", "read")));
    let not = model("r.sub != p.sub && !(r.obj == p.obj)");
    let casbin = read(&[&not, "p, alice, data1, read\n"]).unwrap();
    assert!(allows(&casbin, &ask("bob", "data2", "x")) && !allows(&casbin, &ask("alice", "data2", "x")));
}

#[test]
fn a_pattern_that_is_not_supported_denies_where_it_denies() {
    let text = model("r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act")
        .replace("p = sub, obj, act", "p = sub, obj, act, eft")
        .replace(
            "some(where (p.eft == allow))",
            "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
        );
    let casbin = read(&[
        &text,
        "p, alice, /*, read, allow\np, alice, /(a|b), read, deny\np, alice, /c+, write, allow\n",
    ])
    .unwrap();
    assert!(!allows(&casbin, &ask("alice", "/z", "read")));
    assert!(!allows(&casbin, &ask("alice", "/c", "write")));
}

#[test]
fn models_that_are_not_supported_are_refused() {
    let good = model("r.sub == p.sub && r.obj == p.obj && r.act == p.act");
    assert!(read(&[&good, "p, a, b, c\n"]).is_ok());
    for (from, to) in [
        ("some(where (p.eft == allow))", "!some(where (p.eft == deny))"),
        ("some(where (p.eft == allow))", "priority(p.eft) || deny"),
        ("r.sub == p.sub", "eval(p.sub)"),
        ("r.sub == p.sub", "r.sub.Age > 18"),
        ("r.sub == p.sub", "r.sub in ('a', 'b')"),
        ("r.sub == p.sub", "globMatch(r.sub, p.sub)"),
        ("r.sub == p.sub", "r.user == p.sub"),
        ("r.sub == p.sub", "g(r.sub, p.sub, r.obj)"),
        ("r.sub == p.sub", "r.sub"),
        ("r.act == p.act", "r.act == p.act)"),
        ("r.act == p.act", "r.act == p.act &&"),
        ("g = _, _", "g = _, _, _, _"),
        ("g = _, _", "g = _, _, (_, _)"),
        ("[matchers]", "[other]\nx = y\n[matchers]"),
        ("[matchers]", "[matchers"),
        ("m =", "m2 ="),
        ("r = sub, obj, act", "r = sub, sub, act"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        assert!(read(&[&bad, "p, a, b, c\n"]).is_err(), "{to}");
    }
    let deep = model(&format!("{}r.sub == p.sub{}", "(".repeat(5000), ")".repeat(5000)));
    assert!(read(&[&deep, "p, a, b, c\n"]).is_err());
    assert!(read(&[&model(&"!".repeat(5000)), "p, a, b, c\n"]).is_err());
    for rows in [
        "p, a, b\n",
        "p, a, b, c, d, e, f\n",
        "p, a, b, c\np, a, b, c, d\n",
        "p, a, b, c\ng, a\n",
        "p, a, b, c\ng, a, b, c\n",
        "p, a, b, c\ng, a, \n",
        "p2, a, b, c\n",
        "p, a, b, c, maybe, allowed\n",
        "p\n",
        "p, \"a, b, c\n",
    ] {
        assert!(read(&[rows]).is_err(), "{rows}");
    }
    assert!(read(&[&good, &good, "p, a, b, c\n"]).is_err());
}

#[test]
fn nothing_empty_is_asked_or_answered() {
    let empty = read(&[""]).unwrap();
    assert!(!allows(&empty, &ask("alice", "data1", "read")));
    for bad in [
        json!({"sub": "", "obj": "x", "act": "y"}),
        json!({"sub": 1, "obj": "x", "act": "y"}),
        json!(["alice", "data1", "read"]),
    ] {
        assert!(Request::parse(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
    let casbin = read(&["p, alice, data1, read\n"]).unwrap();
    assert!(!allows(&casbin, &json!({"sub": "alice", "obj": "data1"})));
    assert!(!allows(&casbin, &json!({"sub": "alice", "obj": "data1", "act": "read", "x": "y"})));
    assert!(!allows(&casbin, &json!({"sub": "alice", "dom": "d", "obj": "data1", "act": "read"})));
    assert!(allows(&casbin, &json!({"sub": "alice", "dom": "", "obj": "data1", "act": "read"})));
}

const NAMES: &[&str] = &["a", "b", "c", "d"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn decisions_are_those_of_the_plain_reading(
        rules in vec((select(NAMES), select(&["x", "y"][..]), any::<bool>()), 1..6),
        links in vec((select(NAMES), select(NAMES)), 0..5),
        sub in select(NAMES), obj in select(&["x", "y"][..]),
    ) {
        let mut text = String::new();
        for (name, object, is_deny) in &rules {
            text.push_str(&format!("p, {name}, {object}, read, {}\n", if *is_deny { "deny" } else { "allow" }));
        }
        links.iter().for_each(|(name, role)| text.push_str(&format!("g, {name}, {role}\n")));
        // Everyone that can be reached, round by round.
        let mut reached = vec![sub];
        for _ in 0..NAMES.len() {
            for (name, role) in &links {
                if reached.contains(name) && !reached.contains(role) {
                    reached.push(role);
                }
            }
        }
        let says = |deny: bool| {
            rules.iter().any(|(name, object, is_deny)| reached.contains(name) && *object == obj && *is_deny == deny)
        };
        let casbin = read(&[&text]).unwrap();
        prop_assert_eq!(allows(&casbin, &ask(sub, obj, "read")), says(false) && !says(true), "{}", text);
    }
}
