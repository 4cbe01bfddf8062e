//! Policy documents, conditions and contexts: what is read, what is refused, and what each test answers.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::{Limit, UnixTime};
use iam_policy::condition::{Cidr, MAX_NETWORKS, Networks, Test};
use iam_policy::context::{MAX_ATTRIBUTES, MAX_TEXT_BYTES, MAX_TEXTS, Text, TextSet};
use iam_policy::policy::{MAX_CONDITIONS, MAX_SCOPES, MAX_STATEMENTS};
use iam_policy::{
    AttributeName, AttributeValue, Condition, Context, ContextError, Name, PatternSet, PolicyDocument,
    PolicyError, Statement, Truth,
};
use proptest::prelude::*;

#[test]
fn the_document_in_the_docs_is_read_and_written_as_it_stands() {
    let text = r#"{"statements":[{"effect":"allow","permissions":["apps:*"],"scopes":"unlimited","conditions":[]},{"effect":"deny","permissions":["*:delete"],"scopes":{"only":["project/web"]},"conditions":[{"not":true,"test":"mfa"}]}]}"#;
    let document: PolicyDocument = serde_json::from_str(text).unwrap();
    assert_eq!(document.statements().len(), 2);
    assert_eq!(serde_json::to_string(&document).unwrap(), text);
}

#[test]
fn every_condition_is_read_and_written_as_it_stands() {
    let tests = [
        r#"{"client_ip":["192.0.2.0/24","2001:db8::/32"]}"#,
        r#"{"time":{"from":{"only":1000},"until":"unlimited"}}"#,
        r#""mfa""#,
        r#""tls""#,
        r#"{"flag":"principal.contractor"}"#,
        r#"{"number":{"attribute":"request.size","at_least":"unlimited","at_most":{"only":-3}}}"#,
        r#"{"text":{"attribute":"resource.stage","one_of":["prod","test"]}}"#,
        r#"{"prefix":{"attribute":"resource.name","starts_with":"tmp-"}}"#,
        r#"{"any":{"attribute":"principal.teams","one_of":["build"]}}"#,
        r#"{"all":{"attribute":"principal.teams","one_of":[]}}"#,
    ];
    for text in tests {
        let text = format!(r#"{{"not":false,"test":{text}}}"#);
        let condition: Condition = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&condition).unwrap(), text);
    }
}

#[test]
fn a_document_with_anything_missing_unknown_or_misspelt_is_refused() {
    let statement = |text: &str| serde_json::from_str::<Statement>(text);
    let good = r#"{"effect":"deny","permissions":["a:b"],"scopes":"unlimited","conditions":[]}"#;
    assert!(statement(good).is_ok());
    let bad = [
        good.replace("deny", "Deny"),
        good.replace("deny", "forbid"),
        good.replace(r#""effect":"deny","#, ""),
        good.replace(r#""scopes":"unlimited","#, ""),
        good.replace(r#","conditions":[]"#, ""),
        good.replace(r#""unlimited""#, "null"),
        good.replace(r#""unlimited""#, r#"["project/web"]"#),
        good.replace(r#""unlimited""#, r#"{"only":["project"]}"#),
        good.replace("a:b", "a:b*"),
        good.replace("a:b", "A:b"),
        good.replace(r#"["a:b"]"#, r#""a:b""#),
        good.replace("[]", r#"["mfa"]"#),
        good.replace("[]", r#"[{"test":"mfa"}]"#),
        good.replace("[]", r#"[{"not":false,"test":"mfa","or":1}]"#),
        good.replace("[]", r#"[{"not":false,"test":"magic"}]"#),
        good.replace("[]", r#"[{"not":false,"test":{"client_ip":["10.0.0.1/8"]}}]"#),
        good.replace("[]", r#"[{"not":false,"test":{"time":{"from":"unlimited"}}}]"#),
        good.replace("[]", r#"[{"not":false,"test":{"flag":"contractor"}}]"#),
        good.replace('}', r#","principal":"*"}"#),
    ];
    for text in bad {
        assert!(statement(&text).is_err(), "{text}");
    }
}

#[test]
fn what_is_longer_than_its_bound_is_refused() {
    let statement = Statement::allow(PatternSet::default());
    let scope = |number: usize| format!("project/p{number}").parse().unwrap();
    assert!(statement.clone().at((0..MAX_SCOPES).map(scope)).is_ok());
    let too_many = |what, limit| PolicyError::TooMany { what, limit };
    assert_eq!(statement.clone().at((0..=MAX_SCOPES).map(scope)), Err(too_many("scopes", MAX_SCOPES)));
    let mfa = || Condition::is(Test::Mfa);
    let full = (0..MAX_CONDITIONS).try_fold(statement.clone(), |it, _| it.when(mfa())).unwrap();
    assert_eq!(full.when(mfa()), Err(too_many("conditions", MAX_CONDITIONS)));
    let statements = |count| PolicyDocument::new(std::iter::repeat_n(statement.clone(), count));
    assert!(statements(MAX_STATEMENTS).is_ok());
    assert_eq!(statements(MAX_STATEMENTS + 1), Err(too_many("statements", MAX_STATEMENTS)));
    let networks = |count| Networks::try_from(vec![cidr("10.0.0.0/8"); count]);
    assert!(networks(MAX_NETWORKS).is_ok());
    assert_eq!(networks(MAX_NETWORKS + 1), Err(too_many("networks", MAX_NETWORKS)));
    let text = "x".repeat(MAX_TEXT_BYTES + 1);
    assert_eq!(AttributeValue::text(&text), Err(ContextError::TextTooLong { limit: MAX_TEXT_BYTES }));
    let texts = vec!["x"; MAX_TEXTS + 1];
    assert!(AttributeValue::texts(texts.iter().copied().skip(1)).is_ok());
    assert_eq!(AttributeValue::texts(texts), Err(ContextError::TooMany { what: "texts", limit: MAX_TEXTS }));
    let name = |number: usize| -> AttributeName { format!("request.a{number}").parse().unwrap() };
    let add = |context: Context, number| context.with_attribute(name(number), AttributeValue::Flag(true));
    let context = (0..MAX_ATTRIBUTES).try_fold(Context::new(), add).unwrap();
    assert!(add(context.clone(), 0).is_ok(), "said again");
    let limit = MAX_ATTRIBUTES;
    assert_eq!(add(context, MAX_ATTRIBUTES), Err(ContextError::TooMany { what: "attributes", limit }));
}

#[test]
fn a_test_is_true_false_or_unknown() {
    let attribute = || -> AttributeName { "principal.x".parse().unwrap() };
    let set = |texts: &[&str]| TextSet::new(texts.iter().copied()).unwrap();
    let number = |at_least, at_most| Test::Number { attribute: attribute(), at_least, at_most };
    let text = |texts: &[&str]| Test::Text { attribute: attribute(), one_of: set(texts) };
    let any = |texts: &[&str]| Test::Any { attribute: attribute(), one_of: set(texts) };
    let all = |texts: &[&str]| Test::All { attribute: attribute(), one_of: set(texts) };
    let prefix = Test::Prefix { attribute: attribute(), starts_with: Text::new("ab").unwrap() };
    let nothing = Context::new();
    let with = |value| Context::new().with_attribute(attribute(), value).unwrap();
    let flag = |flag| with(AttributeValue::Flag(flag));
    let is_number = |number| with(AttributeValue::Number(number));
    let is_text = |text| with(AttributeValue::text(text).unwrap());
    let is_set = |texts: &[&str]| with(AttributeValue::texts(texts.iter().copied()).unwrap());
    let upto = |most| number(Limit::Unlimited, Limit::Only(most));
    use Truth::{False, True, Unknown};
    let cases = [
        (Test::Mfa, nothing.clone(), Unknown),
        (Test::Mfa, Context::new().with_mfa(false), False),
        (Test::Mfa, Context::new().with_mfa(true), True),
        (Test::Tls, Context::new().with_mfa(true), Unknown),
        (Test::Tls, Context::new().with_tls(true), True),
        (Test::Flag(attribute()), nothing.clone(), Unknown),
        (Test::Flag(attribute()), flag(false), False),
        (Test::Flag(attribute()), flag(true), True),
        (Test::Flag(attribute()), is_text("true"), Unknown),
        (number(Limit::Only(3), Limit::Unlimited), is_number(3), True),
        (number(Limit::Only(3), Limit::Unlimited), is_number(2), False),
        (upto(3), is_number(3), True),
        (upto(3), is_number(i64::MIN), True),
        (upto(3), is_number(4), False),
        (upto(3), is_text("3"), Unknown),
        (upto(3), nothing.clone(), Unknown),
        (text(&["ab", "c"]), is_text("ab"), True),
        (text(&["ab", "c"]), is_text("AB"), False),
        (text(&["*"]), is_text("ab"), False),
        (text(&[]), is_text("ab"), False),
        (text(&["ab"]), is_set(&["ab"]), Unknown),
        (text(&["ab"]), nothing.clone(), Unknown),
        (prefix.clone(), is_text("abc"), True),
        (prefix.clone(), is_text("a"), False),
        (prefix.clone(), is_text("xab"), False),
        (prefix, flag(true), Unknown),
        (any(&["ab", "c"]), is_set(&["x", "c"]), True),
        (any(&["ab", "c"]), is_set(&["x"]), False),
        (any(&["ab", "c"]), is_set(&[]), False),
        (any(&["ab"]), is_text("ab"), Unknown),
        (all(&["ab", "c"]), is_set(&["c", "ab"]), True),
        (all(&["ab", "c"]), is_set(&["c", "x"]), False),
        (all(&["ab", "c"]), is_set(&[]), Unknown),
        (all(&["ab"]), nothing.clone(), Unknown),
        (Test::ClientIp(networks(&["192.0.2.0/24"])), nothing, Unknown),
    ];
    for (test, context, expected) in cases {
        let opposite = match expected {
            True => False,
            False => True,
            Unknown => Unknown,
        };
        assert_eq!(Condition::is(test.clone()).holds(&context, NOW), expected, "{test:?} {context:?}");
        assert_eq!(
            Condition::is_not(test.clone()).holds(&context, NOW),
            opposite,
            "not {test:?} {context:?}"
        );
    }
}

#[test]
fn a_window_of_time_begins_with_its_first_instant_and_ends_before_its_last() {
    let window = |from, until| Condition::is(Test::Time { from, until });
    let only = |millis| Limit::Only(UnixTime::from_millis(millis));
    let holds = |condition: &Condition, now| condition.holds(&Context::new(), UnixTime::from_millis(now));
    let both = window(only(10), only(20));
    let answers = [9, 10, 19, 20].map(|now| holds(&both, now));
    assert_eq!(answers, [Truth::False, Truth::True, Truth::True, Truth::False]);
    assert_eq!(holds(&window(Limit::Unlimited, only(0)), 0), Truth::False);
    assert_eq!(holds(&window(Limit::Unlimited, Limit::Unlimited), u64::MAX), Truth::True);
    assert_eq!(holds(&window(only(20), only(10)), 15), Truth::False);
}

#[test]
fn an_address_is_in_a_network_whatever_clothes_it_wears() {
    let condition = Condition::is(Test::ClientIp(networks(&["192.0.2.0/24", "2001:db8::/32"])));
    let holds = |address: &str| {
        condition.holds(&Context::new().with_client_ip(address.parse().unwrap()), NOW) == Truth::True
    };
    for inside in ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8::", "2001:db8:ffff::1"] {
        assert!(holds(inside), "{inside}");
    }
    for outside in ["192.0.3.0", "192.0.1.255", "::192.0.2.7", "2001:db7::1", "::ffff:198.51.100.1", "::1"] {
        assert!(!holds(outside), "{outside}");
    }
    let everywhere = |text: &str| cidr(text).contains("203.0.113.9".parse().unwrap());
    assert!(everywhere("0.0.0.0/0") && !everywhere("::/0"));
}

#[test]
fn a_network_has_one_spelling() {
    let bad = [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "010.0.0.0/8",
        "10/8",
        "/8",
        "2001:DB8::/32",
        "2001:db8:0::/32",
        "2001:db8::1/32",
        "::/129",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/8 ",
        "10.0.0.0/",
        "*",
        "0/0",
        "fe80::%eth0/10",
    ];
    for text in bad {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
    for text in ["0.0.0.0/0", "10.0.0.0/8", "255.255.255.255/32", "::/0", "2001:db8::1/128", "fe80::/10"] {
        assert_eq!(cidr(text).to_string(), text);
    }
}

#[test]
fn a_name_has_nothing_in_it_that_means_something_elsewhere() {
    for text in ["a", "alice", "Alice.B@example.com", "ci-bot_7+x", &"x".repeat(128)] {
        assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
    }
    let bad =
        ["", "*", "a*", "?", "a b", "a/b", "a:b", "a,b", "${x}", "{a}", "a\n", "-a", ".a", "@a", "ä", "a\0"];
    for text in bad.into_iter().map(str::to_owned).chain([format!("{}x", "x".repeat(128))]) {
        assert!(text.parse::<Name>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn an_address_is_in_a_network_when_its_leading_bits_are_those(
        network in any::<u32>(), address in any::<u32>(), bits in 0_u32..=32
    ) {
        let mask = u32::MAX.unbounded_shl(32_u32.saturating_sub(bits));
        let text = format!("{}/{bits}", std::net::Ipv4Addr::from_bits(network & mask));
        // Half of the time an address from inside.
        for address in [address, (network & mask) | (address & !mask)] {
            let is_in = cidr(&text).contains(std::net::Ipv4Addr::from_bits(address).into());
            prop_assert_eq!(is_in, address & mask == network & mask);
        }
    }

    #[test]
    fn conditions_combine_by_their_least_true(truths in prop::collection::vec(0_u8..3, 0..5)) {
        let truths: Vec<Truth> = truths
            .iter()
            .map(|truth| [Truth::False, Truth::Unknown, Truth::True][usize::from(*truth)])
            .collect();
        let expected = if truths.contains(&Truth::False) {
            Truth::False
        } else if truths.contains(&Truth::Unknown) {
            Truth::Unknown
        } else {
            Truth::True
        };
        prop_assert_eq!(Truth::all(truths), expected);
    }
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Networks {
    texts.iter().map(|text| cidr(text)).collect::<Vec<_>>().try_into().unwrap()
}

const NOW: UnixTime = UnixTime::from_secs(1_000);
