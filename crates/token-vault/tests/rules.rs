//! The rules for other scanners, read by parsers that are not ours and run by the regular expressions of Go, which
//! both scanners are written in. Needs `go`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use core_types::SecretBytes;
use core_types::testing::TestRandom;
use pollster::block_on;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Value, json};
use token_vault::attenuated::attenuate;
use token_vault::scan::{gitleaks_rules, scan, trufflehog_rules};
use token_vault::service::{Name, ServiceRequest, ServiceSigner};
use token_vault::testing::{Fixture, START, format, owner, request, restriction};

#[test]
fn the_rules_find_what_the_vault_makes_and_nothing_that_it_cannot_make() {
    let rules = gitleaks(&gitleaks_rules(&format()));
    assert_eq!(rules, trufflehog(&trufflehog_rules(&format())), "both say the same");
    let kinds = ["plsdtestkey", "plsdtestkey-narrowed", "plsdtestpat", "plsdtestpat-narrowed", "plsvc-jwt"];
    assert_eq!(rules.keys().map(String::as_str).collect::<Vec<_>>(), kinds);

    let [token, narrowed, twice, signed, long_name] = &tokens();
    let of = [
        ("plsdtestpat", token),
        ("plsdtestpat-narrowed", narrowed),
        ("plsdtestpat-narrowed", twice),
        ("plsvc-jwt", signed),
        ("plsvc-jwt", long_name),
    ];
    let mut samples = Vec::new();
    for (rule, secret) in of {
        for text in [
            secret.clone(),
            format!("TOKEN=\"{secret}\"\n"),
            format!("url?key={secret}&x=1"),
            format!("{secret}\r\nnext line"),
            format!("one {secret} two"),
            // What stands before it is no matter, as for our own scanner.
            format!("x{secret}"),
        ] {
            assert_eq!(scan(&format(), text.as_bytes()).len(), 1, "{text}");
            let lower = text.to_lowercase();
            let (_, keywords) = &rules[rule];
            assert!(keywords.iter().any(|keyword| lower.contains(&keyword.to_lowercase())), "{rule}: {text}");
            samples.push((text, Some((rule, secret.as_str()))));
        }
    }
    let (message, signature) = signed.rsplit_once('.').unwrap();
    for text in [
        String::new(),
        "plsdtestpat_ and then nothing".into(),
        token[..token.len() - 1].into(),
        format!("{token}0"),
        token.replacen('_', "-", 1),
        token.replacen("plsdtestpat", "plsdlivepat", 1),
        token.to_uppercase(),
        format!("{}-{}", &token[..40], &token[41..]),
        narrowed[..narrowed.len() - 1].into(),
        narrowed.replacen('.', ":", 1),
        format!("{narrowed}0"),
        format!("{message}.{}", &signature[1..]),
        format!("{signed}A"),
        message.into(),
        // A token of somebody else's, from RFC 7519 3.1.
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly\
         9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            .into(),
    ] {
        samples.push((text, None));
    }
    let texts: Vec<&String> = samples.iter().map(|(text, _)| text).collect();
    let regexes: BTreeMap<_, _> = rules.iter().map(|(id, (regex, _))| (id, regex)).collect();
    let answers = ask(&json!({"regexes": regexes, "texts": texts}));
    for ((text, expected), answer) in samples.iter().zip(answers.as_array().unwrap()) {
        let expected = expected.map_or_else(|| json!({}), |(rule, secret)| json!({rule: [secret]}));
        assert_eq!(*answer, expected, "{text:?}");
    }
    assert_eq!(answers.as_array().unwrap().len(), samples.len());
}

/// A token, one narrowed once, one twice, a signed one, and one signed by a key with the longest of names.
fn tokens() -> [String; 5] {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let (token, _) = fixture.issue(wish).await;
        let narrow =
            |token: &str, caveat| attenuate(&format(), token, &caveat).unwrap().expose_once(str::to_owned);
        let once = narrow(&token, restriction("apps:read", "project/web"));
        let twice = narrow(&once, restriction("*:read", "project/web").expiring(START));
        [token, once, twice, signed("k1"), signed(&"k".repeat(64))]
    })
}

fn signed(key: &str) -> String {
    let random = TestRandom::seeded(1);
    let signer = ServiceSigner::new(Name::new(key).unwrap(), &SecretBytes::take_from(&mut [1; 32])).unwrap();
    let request = ServiceRequest {
        issuer: "issuer",
        audience: "audience",
        subject: owner(&random),
        restriction: restriction("apps:*", "project/web"),
        lifetime: std::time::Duration::from_secs(60),
    };
    signer.sign(&request, START, &random).unwrap().expose_once(str::to_owned)
}

/// Expression and keywords of each rule.
type Rules = BTreeMap<String, (String, Vec<String>)>;

/// As gitleaks reads its configuration: `[[rules]]` with these members and of these types.
fn gitleaks(text: &str) -> Rules {
    let mut document = toml_span::parse(text).unwrap();
    let mut rules = Rules::new();
    for rule in document.pointer_mut("/rules").unwrap().as_array().unwrap() {
        let rule = rule.as_table().unwrap();
        let names: Vec<&str> = rule.keys().map(|key| key.name.as_ref()).collect();
        assert_eq!(names, ["description", "entropy", "id", "keywords", "regex", "secretGroup"]);
        let string = |name: &str| rule.get(name).unwrap().as_str().unwrap().to_owned();
        assert_eq!(rule.get("secretGroup").unwrap().as_integer(), Some(1));
        let entropy = rule.get("entropy").unwrap().as_float().unwrap();
        assert!((0.0..6.0).contains(&entropy), "base 62 has less than six bits a character");
        assert!(!string("description").is_empty());
        let keywords = rule.get("keywords").unwrap().as_array().unwrap();
        let keywords = keywords.iter().map(|keyword| keyword.as_str().unwrap().to_owned()).collect();
        assert!(rules.insert(string("id"), (string("regex"), keywords)).is_none(), "an id is there once");
    }
    rules
}

/// As trufflehog reads its configuration: `detectors`, each with a name, keywords and named expressions.
fn trufflehog(text: &str) -> Rules {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let document = loop {
        match events.next().unwrap() {
            Event::StreamStart | Event::DocumentStart(_) => {}
            first => break value(&first, &mut events),
        }
    };
    assert_eq!(document.as_object().unwrap().len(), 1);
    let mut rules = Rules::new();
    for detector in document["detectors"].as_array().unwrap() {
        assert_eq!(detector.as_object().unwrap().len(), 3);
        let (name, regex) = (&detector["name"], &detector["regex"]["token"]);
        let keywords = detector["keywords"].as_array().unwrap();
        let keywords = keywords.iter().map(|keyword| keyword.as_str().unwrap().to_owned()).collect();
        let rule = (regex.as_str().unwrap().to_owned(), keywords);
        assert!(rules.insert(name.as_str().unwrap().to_owned(), rule).is_none(), "a name is there once");
    }
    rules
}

/// The value that begins with an event.
fn value<'a>(first: &Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
    match first {
        Event::Scalar(text, style, ..) => {
            assert!(matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted));
            json!(text)
        }
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => return items.into(),
                    item => items.push(value(&item, events)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut members = serde_json::Map::new();
            loop {
                match events.next().unwrap() {
                    Event::MappingEnd => return members.into(),
                    name => {
                        let name = value(&name, events).as_str().unwrap().to_owned();
                        let first = events.next().unwrap();
                        assert!(members.insert(name, value(&first, events)).is_none());
                    }
                }
            }
        }
        other => panic!("{other:?} is no part of it"),
    }
}

/// What each expression finds in each text, by Go's package `regexp`.
fn ask(question: &Value) -> Value {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("token-rules");
    fs::create_dir_all(&work).unwrap();
    let (program, input) = (work.join("rules"), work.join("question.json"));
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/main.go"))
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")])
        .env("GOPATH", &work)
        .env("GOCACHE", work.join("go-cache"))
        .output()
        .unwrap_or_else(|error| panic!("`go` cannot be run ({error}): install golang-go"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    fs::write(&input, question.to_string()).unwrap();
    let output = Command::new(&program).arg(&input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
