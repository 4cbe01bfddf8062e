//! The options of a line, as sshd reads them.

use core_types::UnixTime;
use proptest::prelude::*;
use sshkey_registry::authorized_keys::{
    Clause, Environment, ExpiryTime, Feature, ForwardTarget, ListenAddress, MAX_CLAUSES, MAX_OPTIONS_BYTES,
    OptionText, Patterns, TunnelDevice,
};
use sshkey_registry::{Options, OptionsError};

#[test]
fn every_option_of_openssh_10_is_known_by_name() {
    // sshd(8), AUTHORIZED_KEYS FILE FORMAT.
    for text in [
        "agent-forwarding",
        "cert-authority",
        r#"command="/bin/true""#,
        r#"environment="LANG=C""#,
        r#"expiry-time="20300101""#,
        r#"from="*.example.test""#,
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-user-rc",
        "no-X11-forwarding",
        r#"permitlisten="8080""#,
        r#"permitopen="localhost:80""#,
        "port-forwarding",
        r#"principals="ada,grace""#,
        "pty",
        "no-touch-required",
        "verify-required",
        "restrict",
        r#"tunnel="0""#,
        "user-rc",
        "X11-forwarding",
        "touch-required",
        "no-verify-required",
    ] {
        assert_eq!(Options::parse(text).map(|options| options.to_string()), Ok(text.to_owned()));
        let name = text.split('=').next().unwrap();
        let upper = text.replacen(name, &name.to_ascii_uppercase(), 1);
        assert_eq!(Options::parse(&upper).map(|options| options.to_string()), Ok(text.to_owned()), "{upper}");
    }
}

#[test]
fn what_sshd_would_not_read_is_refused_each_for_its_reason() {
    for (text, error) in [
        ("unknown", OptionsError::Unknown),
        ("pty,unknown", OptionsError::Unknown),
        ("no-restrict", OptionsError::Unknown),
        ("no-cert-authority", OptionsError::Unknown),
        (r#"no-command="x""#, OptionsError::Unknown),
        ("ptyx", OptionsError::Unknown),
        ("öffnen", OptionsError::Unknown),
        ("command", OptionsError::ValueMissing),
        ("command=", OptionsError::NotQuoted),
        ("command=true", OptionsError::NotQuoted),
        ("command='true'", OptionsError::NotQuoted),
        (r#"command="true"#, OptionsError::QuoteOpen),
        (r#"command="true\""#, OptionsError::QuoteOpen),
        (r#"command="a"b"#, OptionsError::AfterValue),
        (r#"command="a""b""#, OptionsError::AfterValue),
        (r#"pty="yes""#, OptionsError::ValueNotTaken),
        (r#"unknown="yes""#, OptionsError::Unknown),
        (",pty", OptionsError::Empty),
        ("pty,", OptionsError::Empty),
        ("pty,,no-pty", OptionsError::Empty),
        ("pty, no-pty", OptionsError::Empty),
        ("pty no-pty", OptionsError::Blank),
        ("pty ", OptionsError::Blank),
        (" pty", OptionsError::Empty),
        (r#"command="a",command="b""#, OptionsError::Repeated),
        (r#"from="a",pty,FROM="b""#, OptionsError::Repeated),
    ] {
        assert_eq!(Options::parse(text), Err(error), "{text}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for text in [
        r#"command="""#,
        "command=\"a\u{2028}b\"",
        "command=\"a\nb\"",
        "command=\"a\u{202e}b\"",
        "command=\"a\0\"",
        r#"environment="LANG""#,
        r#"environment="=C""#,
        r#"environment="LA NG=C""#,
        r#"expiry-time="2030""#,
        r#"expiry-time="20300229""#,
        r#"expiry-time="20301301""#,
        r#"expiry-time="203001012400""#,
        r#"expiry-time="20300101T00""#,
        r#"expiry-time="+2030101""#,
        r#"from="""#,
        r#"from="a,,b""#,
        r#"from="10.0.0.1/8""#,
        r#"from="10.0.0.0/33""#,
        r#"from="10.0.0.0/08""#,
        r#"from="10.0.0/8""#,
        r#"from="fe80::1/64""#,
        r#"from="!10.0.0.1""#,
        r#"from="a b""#,
        r#"permitopen="80""#,
        r#"permitopen="localhost:0""#,
        r#"permitopen="localhost:65536""#,
        r#"permitopen="localhost:+1""#,
        r#"permitopen=":80""#,
        r#"permitopen="fe80::1:80""#,
        r#"permitlisten="0""#,
        r#"tunnel="any,any""#,
        r#"tunnel="01""#,
        r#"tunnel="2147483646""#,
    ] {
        assert!(
            matches!(Options::parse(text), Err(OptionsError::Value { .. })),
            "{text}: {:?}",
            Options::parse(text)
        );
    }
    for text in [
        r#"from="10.0.0.0/8,!10.1.2.3,fe80::/10,*.example.test,host?.test,::1""#,
        r#"permitopen="[fe80::1]:22",permitopen="*:*",permitopen="localhost:1""#,
        r#"permitlisten="*",permitlisten="localhost:8080""#,
        r#"tunnel="any""#,
        r#"expiry-time="20280229235959Z""#,
        r#"from="0.0.0.0/0,::/0""#,
    ] {
        assert_eq!(Options::parse(text).map(|options| options.to_string()), Ok(text.to_owned()));
    }
}

#[test]
fn a_backslash_is_itself_except_before_a_quote() {
    let value = |text: &str| match Options::parse(text).unwrap().clauses() {
        [Clause::Command(value)] => value.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(value(r#"command="echo \"a, b\"""#), r#"echo "a, b""#);
    assert_eq!(value(r#"command="a\\b""#), r"a\\b");
    assert_eq!(value(r#"command="a\\"b""#), r#"a\"b"#);
    assert_eq!(value(r#"command="a #b""#), "a #b");
    // At the end it would swallow the closing quote.
    assert!(OptionText::parse(r"a\").is_err());
}

#[test]
fn the_default_is_a_terminal_and_nothing_else() {
    let options = Options::new();
    assert_eq!((options.to_string(), Options::default()), ("restrict,pty".to_owned(), options.clone()));
    for feature in
        [Feature::AgentForwarding, Feature::PortForwarding, Feature::UserRc, Feature::X11Forwarding]
    {
        assert!(!options.allows(feature), "{feature:?}");
        assert!(Options::dangerous_unrestricted().allows(feature), "{feature:?}");
    }
    assert!(options.allows(Feature::Pty) && options.allows(Feature::TouchRequired));
    assert!(!options.allows(Feature::VerifyRequired));
    let last_counts =
        Options::parse("pty,restrict,no-touch-required,verify-required,no-verify-required").unwrap();
    assert!(!last_counts.allows(Feature::Pty) && !last_counts.allows(Feature::TouchRequired));
    assert!(!last_counts.allows(Feature::VerifyRequired));
    assert_eq!(Options::parse(""), Ok(Options::dangerous_unrestricted()));
}

#[test]
fn options_are_bounded() {
    let many = vec!["pty"; MAX_CLAUSES + 1].join(",");
    assert_eq!(Options::parse(&many), Err(OptionsError::TooMany { limit: MAX_CLAUSES }));
    let long = format!(r#"command="{}""#, "x".repeat(MAX_OPTIONS_BYTES));
    assert_eq!(Options::parse(&long), Err(OptionsError::TooLong { limit: MAX_OPTIONS_BYTES }));
    let quotes = format!(r#"command="{}""#, r#"\""#.repeat(MAX_OPTIONS_BYTES / 2));
    assert_eq!(Options::parse(&quotes), Err(OptionsError::TooLong { limit: MAX_OPTIONS_BYTES }));
}

fn clause() -> impl Strategy<Value = Clause> {
    let text = "[ -\\[\\]-~äß€]{0,20}[!-\\[\\]-~]".prop_map(|text| OptionText::parse(&text).unwrap());
    let feature = prop::sample::select(Feature::ALL.to_vec());
    prop_oneof![
        Just(Clause::Restrict),
        Just(Clause::CertAuthority),
        feature.clone().prop_map(Clause::On),
        feature.prop_map(Clause::Off),
        text.clone().prop_map(Clause::Command),
        text.prop_map(Clause::Principals),
        "[A-Z_]{1,5}=[ -\\[\\]-~]{0,9}[a-z]"
            .prop_map(|text| Clause::Environment(Environment::parse(&text).unwrap())),
        any::<u64>()
            .prop_map(|millis| Clause::ExpiryTime(ExpiryTime::from_time(UnixTime::from_millis(millis)))),
        "([a-z*?.]{1,9},){0,3}[a-z]".prop_map(|text| Clause::From(Patterns::parse(&text).unwrap())),
        "[a-z.]{1,9}:[1-9][0-9]{0,3}"
            .prop_map(|text| Clause::PermitOpen(ForwardTarget::parse(&text).unwrap())),
        "[1-9][0-9]{0,3}".prop_map(|text| Clause::PermitListen(ListenAddress::parse(&text).unwrap())),
        (0..0x7fff_fffe_u32)
            .prop_map(|number| Clause::Tunnel(TunnelDevice::parse(&number.to_string()).unwrap())),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(clauses in prop::collection::vec(clause(), 0..12)) {
        let mut options = Options::dangerous_unrestricted();
        for clause in clauses {
            // What may be there once only is left out the second time.
            options = options.clone().with(clause).unwrap_or(options);
        }
        let text = options.to_string();
        prop_assert_eq!(Options::parse(&text), Ok(options));
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_it_prints_again(text in "([a-zA-Z0-9\\-=,\"\\\\ ]|pty|command=|\"\\PC\"){0,30}") {
        if let Ok(options) = Options::parse(&text) {
            let printed = options.to_string();
            prop_assert_eq!(Options::parse(&printed).map(|options| options.to_string()), Ok(printed));
        }
    }
}
