//! What covers what: the same as trying everything there is, circumstances nobody thought of included.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::testing::arb_pattern;
use core_types::{Limit, Permission, Scope, UnixTime};
use iam_policy::condition::Test;
use iam_policy::context::{Text, TextSet};
use iam_policy::cover::{Coverage, Saying};
use iam_policy::{AttributeValue, Condition, Context, Effect, PatternSet, PolicyDocument, Statement, Truth};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_set_covers_another_exactly_when_no_permission_shows_otherwise(
        a in arb_patterns(), b in arb_patterns()
    ) {
        let lacking: Vec<Permission> =
            all_permissions().into_iter().filter(|it| b.matches(it) && !a.matches(it)).collect();
        match a.covers(&b) {
            Coverage::Whole => prop_assert_eq!(lacking, vec![]),
            Coverage::Lacks(witness) => {
                prop_assert!(b.matches(&witness) && !a.matches(&witness));
                prop_assert!(!lacking.is_empty());
            }
        }
    }

    #[test]
    fn a_policy_covers_another_exactly_when_no_question_shows_otherwise(
        a in arb_document(), b in arb_document(), contexts in vec(arb_context(), 40)
    ) {
        let mut least = None;
        let mut ask = |permission: &Permission, scope: &Scope, context: &Context, now: UnixTime| {
            let says = [&a, &b].map(|it| saying(it, permission, scope, context, now));
            if says[0] < says[1] {
                least = Some((permission.clone(), scope.clone(), context.clone(), now));
            }
            says
        };
        for (context, now) in &contexts {
            for scope in ["/", "project/a", "project/b", "project/a/project/b", "project/new"] {
                for permission in all_permissions() {
                    ask(&permission, &scope.parse().unwrap(), context, *now);
                }
            }
        }
        match a.covers(&b).unwrap() {
            Coverage::Whole => prop_assert_eq!(least, None),
            Coverage::Lacks(it) => {
                let says = ask(&it.permission, &it.resource, &it.context, it.now);
                prop_assert_eq!(says, [it.says, it.other]);
                prop_assert!(it.says < it.other);
            }
        }
        prop_assert_eq!(a.covers(&a).unwrap(), Coverage::Whole);
    }
}

#[test]
fn what_always_holds_needs_no_condition_to_be_covered() {
    let allow = |test: Option<(bool, Test)>| {
        let statement = Statement::allow(PatternSet::new(["a:b".parse().unwrap()]).unwrap());
        match test {
            None => statement,
            Some((false, test)) => statement.when(Condition::is(test)).unwrap(),
            Some((true, test)) => statement.when(Condition::is_not(test)).unwrap(),
        }
    };
    let document = |statements: Vec<Statement>| PolicyDocument::new(statements).unwrap();
    let from = |at| Test::Time { from: Limit::Only(UnixTime::from_millis(at)), until: Limit::Unlimited };
    // Before or after is always; with or without a second factor is not, where nobody says.
    let always = document(vec![allow(Some((false, from(7)))), allow(Some((true, from(7))))]);
    assert_eq!(always.covers(&document(vec![allow(None)])).unwrap(), Coverage::Whole);
    let known = document(vec![allow(Some((false, Test::Mfa))), allow(Some((true, Test::Mfa)))]);
    let Coverage::Lacks(witness) = known.covers(&document(vec![allow(None)])).unwrap() else {
        panic!("covered")
    };
    assert_eq!((witness.context.mfa(), witness.says, witness.other), (None, Saying::Nothing, Saying::Allows));
    // A network is the two halves of it.
    let within = |text: &[&str]| {
        let networks: Vec<_> = text.iter().map(|text| text.parse().unwrap()).collect();
        document(vec![allow(Some((false, Test::ClientIp(networks.try_into().unwrap()))))])
    };
    let halves = within(&["192.0.2.0/25", "192.0.2.128/25"]);
    assert_eq!(halves.covers(&within(&["192.0.2.0/24"])).unwrap(), Coverage::Whole);
    let Coverage::Lacks(witness) = halves.covers(&within(&["192.0.2.0/23"])).unwrap() else {
        unreachable!("the network is greater")
    };
    assert_eq!(witness.context.client_ip(), Some([192, 0, 3, 0].into()));
    assert_eq!(within(&["::/1", "8000::/1"]).covers(&within(&["::/0"])).unwrap(), Coverage::Whole);
    // The other half of that network are IPv4 addresses in IPv6 clothes, which are taken for IPv4 addresses.
    let half = within(&["::fffe:0:0/96"]);
    assert_eq!(half.covers(&within(&["::fffe:0:0/95"])).unwrap(), Coverage::Whole);
    assert_ne!(half.covers(&within(&["::fffc:0:0/94"])).unwrap(), Coverage::Whole);
}

#[test]
fn more_circumstances_than_can_be_tried_are_refused() {
    let mut statement = Statement::allow(PatternSet::default());
    for number in 0..16 {
        let texts: Vec<String> = (0..4).map(|text| format!("{number}-{text}")).collect();
        let one_of = TextSet::new(texts.iter().map(String::as_str)).unwrap();
        let attribute = format!("request.a{number}").parse().unwrap();
        statement = statement.when(Condition::is(Test::Text { attribute, one_of })).unwrap();
    }
    let document = PolicyDocument::new([statement]).unwrap();
    assert!(document.covers(&document).is_err());
}

/// The slow evaluation, straight from the documentation.
fn saying(
    document: &PolicyDocument,
    permission: &Permission,
    scope: &Scope,
    context: &Context,
    now: UnixTime,
) -> Saying {
    let about = document.statements().iter().filter(|it| it.concerns(permission, scope));
    let (denials, allows): (Vec<_>, Vec<_>) = about.partition(|it| it.effect() == Effect::Deny);
    if denials.iter().any(|it| it.holds(context, now) != Truth::False) {
        Saying::Denies
    } else if allows.iter().any(|it| it.holds(context, now) == Truth::True) {
        Saying::Allows
    } else {
        Saying::Nothing
    }
}

fn arb_patterns() -> impl Strategy<Value = PatternSet> {
    vec(arb_pattern(), 0..4).prop_map(|patterns| PatternSet::new(patterns).unwrap())
}

fn arb_document() -> impl Strategy<Value = PolicyDocument> {
    vec(arb_statement(), 0..4).prop_map(|statements| PolicyDocument::new(statements).unwrap())
}

fn arb_statement() -> impl Strategy<Value = Statement> {
    let scopes =
        prop::option::weighted(0.3, vec(select(&["project/a", "project/a/project/b", "/"][..]), 0..3));
    (prop::bool::weighted(0.3), arb_patterns(), scopes, vec(arb_condition(), 0..3)).prop_map(
        |(is_deny, patterns, scopes, conditions)| {
            let statement = if is_deny { Statement::deny(patterns) } else { Statement::allow(patterns) };
            let placed = match scopes {
                None => statement,
                Some(scopes) => statement.at(scopes.iter().map(|scope| scope.parse().unwrap())).unwrap(),
            };
            conditions.into_iter().fold(placed, |statement, it| statement.when(it).unwrap())
        },
    )
}

fn arb_condition() -> impl Strategy<Value = Condition> {
    let limit = || prop_oneof![Just(Limit::Unlimited), (0_u64..4).prop_map(Limit::Only)];
    let instant = |limit| match limit {
        Limit::Unlimited => Limit::Unlimited,
        Limit::Only(at) => Limit::Only(UnixTime::from_millis(at)),
    };
    let number = |limit| match limit {
        Limit::Unlimited => Limit::Unlimited,
        Limit::Only(at) => Limit::Only(i64::try_from(at).unwrap()),
    };
    let set = || vec(select(TEXTS), 0..3).prop_map(|texts| TextSet::new(texts).unwrap());
    let name = "request.a";
    let test = prop_oneof![
        Just(Test::Mfa),
        Just(Test::Tls),
        Just(Test::Flag(name.parse().unwrap())),
        (limit(), limit())
            .prop_map(move |(from, until)| Test::Time { from: instant(from), until: instant(until) }),
        (limit(), limit()).prop_map(move |(least, most)| Test::Number {
            attribute: name.parse().unwrap(),
            at_least: number(least),
            at_most: number(most)
        }),
        set().prop_map(move |one_of| Test::Text { attribute: name.parse().unwrap(), one_of }),
        select(TEXTS).prop_map(move |text| Test::Prefix {
            attribute: name.parse().unwrap(),
            starts_with: Text::new(text).unwrap()
        }),
        set().prop_map(move |one_of| Test::Any { attribute: name.parse().unwrap(), one_of }),
        set().prop_map(move |one_of| Test::All { attribute: name.parse().unwrap(), one_of }),
        vec(select(NETWORKS), 0..3).prop_map(|networks| {
            let networks: Vec<_> = networks.iter().map(|text| text.parse().unwrap()).collect();
            Test::ClientIp(networks.try_into().unwrap())
        }),
    ];
    (any::<bool>(), test)
        .prop_map(|(not, test)| if not { Condition::is_not(test) } else { Condition::is(test) })
}

fn arb_context() -> impl Strategy<Value = (Context, UnixTime)> {
    let set = vec(select(TEXTS), 0..4).prop_map(|texts| AttributeValue::texts(texts).unwrap());
    let value = prop_oneof![
        any::<bool>().prop_map(AttributeValue::Flag),
        (-1_i64..6).prop_map(AttributeValue::Number),
        select(TEXTS).prop_map(|text| AttributeValue::text(text).unwrap()),
        set,
    ];
    let address =
        select(&["0.0.0.0", "192.0.2.1", "192.0.2.200", "192.0.3.0", "::1", "2001:db8::1", "ff::"][..]);
    let parts = (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()), prop::option::of(address));
    (parts, prop::option::of(value), 0_u64..5).prop_map(|((mfa, tls, address), value, now)| {
        let mut context = Context::new();
        context = mfa.into_iter().fold(context, Context::with_mfa);
        context = tls.into_iter().fold(context, Context::with_tls);
        let address = address.map(|text| text.parse().unwrap());
        context = address.into_iter().fold(context, Context::with_client_ip);
        if let Some(value) = value {
            context = context.with_attribute("request.a".parse().unwrap(), value).unwrap();
        }
        (context, UnixTime::from_millis(now))
    })
}

fn all_permissions() -> Vec<Permission> {
    let services = ["apps", "compute", "admin", "storage", "databases", "strange", "other"];
    let verbs = ["read", "write", "list", "other"];
    let all = services.iter().flat_map(|service| verbs.iter().map(move |verb| (service, verb)));
    all.map(|(service, verb)| Permission::new(service, verb).unwrap()).collect()
}

const TEXTS: &[&str] = &["", "a", "ab", "abc", "b", "!", "a!"];
const NETWORKS: &[&str] =
    &["192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25", "0.0.0.0/0", "::/0", "2001:db8::/32"];
