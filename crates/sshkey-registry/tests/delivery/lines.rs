//! Lines of `authorized_keys`, and what ssh-keygen takes them for.

use std::process::{Command, Stdio};

use sshkey_registry::authorized_keys::render;
use sshkey_registry::{
    AuthorizedKey, AuthorizedLine, KeyError, LineComment, LineError, Options, OptionsError, PublicKey,
};

use crate::recorded;

/// What ssh-keygen reads in a file: the SHA-256 fingerprints of its keys.
fn fingerprints(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authorized_keys");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("ssh-keygen").arg("-lf").arg(&file).stderr(Stdio::null()).output();
    let output = output.expect("ssh-keygen, of Debian's openssh-client, is needed for this test");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_key_of_a_line_is_the_one_that_sshd_authorises() {
    let (one, two) = (recorded("ed25519"), recorded("ed25519-2"));
    for line in [
        format!("{one}"),
        format!("restrict,pty {one} comment"),
        format!("command=\"x {two} y\" {one}"),
        format!("command=\"x \\\" {two} \\\" y\" {one}"),
        format!("command=\"a b\",no-pty\t{one}"),
        format!("  restrict {one}"),
        format!("environment=\"A=#\" {one} # c"),
    ] {
        let parsed = AuthorizedKey::parse(&line).unwrap();
        assert_eq!(parsed.key(), &one, "{line}");
        assert_eq!(fingerprints(&format!("{line}\n")), [one.fingerprint().to_string()], "{line}");
    }
}

#[test]
fn a_line_that_hides_a_second_key_or_an_option_is_refused() {
    let (one, two) = (recorded("ed25519"), recorded("ed25519-2"));
    let key = |error| Err(LineError::Key(error));
    let options = |error| Err(LineError::Options(error));
    for (line, expected) in [
        (format!("command=\"x {two} y {one}"), options(OptionsError::QuoteOpen)),
        (format!("restrict,nonsense {one}"), options(OptionsError::Unknown)),
        (format!("restrict, {one}"), options(OptionsError::Empty)),
        (format!("restrict {one} {two}"), key(KeyError::SeveralKeys)),
        (format!("restrict {one}\n{two}"), key(KeyError::SeveralKeys)),
        (format!("restrict {one} x\u{2028}{two}"), key(KeyError::CommentCharacter)),
        (format!("restrict {one} x\u{85}y"), key(KeyError::CommentCharacter)),
        (format!("#restrict {one}"), key(KeyError::CommentedOut)),
        (format!("nonsense {one}"), key(KeyError::TextBeforeType)),
        ("restrict".to_owned(), key(KeyError::TextBeforeType)),
        (format!("restrict restrict {one}"), key(KeyError::TextBeforeType)),
        (String::new(), key(KeyError::Empty)),
    ] {
        let parsed = AuthorizedKey::parse(&line).map(|parsed| parsed.key().to_string());
        assert_eq!(parsed, expected, "{line}");
    }
    let long = format!("restrict {one} {}", "x".repeat(20_000));
    assert!(matches!(AuthorizedKey::parse(&long), Err(LineError::Key(KeyError::LineTooLong { .. }))));
    assert_eq!(AuthorizedKey::parse(b"restrict \xff"), Err(LineError::Key(KeyError::NotUtf8)));
}

#[test]
fn what_we_write_has_a_comment_of_our_own_and_reads_back_the_same() {
    let texts = [
        "",
        "restrict,pty",
        r#"command="echo \"hi there\", ssh-ed25519 AAAA",from="10.0.0.0/8""#,
        r#"restrict,permitopen="[::1]:80",environment="A=b c""#,
        r#"no-pty,no-touch-required,expiry-time="20300101Z",tunnel="3""#,
    ];
    let lines: Vec<AuthorizedLine> = ["ed25519", "rsa2048", "ecdsa256", "ecdsa521", "ed25519-2"]
        .into_iter()
        .zip(texts)
        .map(|(name, options)| {
            let comment = LineComment::parse(&format!("key_{name}")).unwrap();
            AuthorizedLine::new(Options::parse(options).unwrap(), recorded(name), comment)
        })
        .collect();
    let file = render(&lines);
    for (text, line) in file.lines().zip(&lines) {
        let parsed = AuthorizedKey::parse(text).unwrap();
        assert_eq!((parsed.options(), parsed.key()), (line.options(), line.key()));
        assert_eq!(parsed.comment().unwrap().as_str(), line.comment().as_str());
        assert!(text.is_ascii());
    }
    let expected: Vec<_> = lines.iter().map(|line| line.key().fingerprint().to_string()).collect();
    assert_eq!(fingerprints(&file), expected);
}

#[test]
fn no_comment_of_a_customer_can_be_made_one_of_ours() {
    for text in ["", "a b", "a\nb", "a\u{2028}", "a#", "-a", "a\"", "a=b", "ключ", "a,b"] {
        assert!(LineComment::parse(text).is_err(), "{text:?}");
    }
    let key: PublicKey = recorded("ed25519");
    let line = AuthorizedLine::new(Options::new(), key, LineComment::parse("a.B_c@d-1").unwrap());
    assert!(line.to_string().ends_with(" a.B_c@d-1"));
}
