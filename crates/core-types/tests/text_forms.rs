//! Every text form is printed and read back, and has one spelling.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use core_types::id::User;
use core_types::testing::{
    arb_id, arb_pattern, arb_permission, arb_principal, arb_scope, arb_segment, arb_subject,
};
use core_types::{
    Fingerprint, ParseError, Permission, PermissionPattern, PermissionRef, Principal, Scope, ScopeRef,
    Subject, UserId,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Prints, reads back, and the same as a document; the text is also what `Debug` shows.
fn assert_round_trip<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Display + Debug + PartialEq + FromStr<Err = ParseError> + Serialize + DeserializeOwned,
{
    let text = value.to_string();
    prop_assert_eq!(&text.parse::<T>()?, value);
    let document = serde_json::to_string(value).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&document, &format!("{text:?}"), "the document form is the text form");
    let back: T = serde_json::from_str(&document).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&back, value);
    Ok(())
}

/// Whatever a changed text says, it says it in the one spelling of what it says.
fn assert_one_spelling<T>(text: &str) -> Result<(), TestCaseError>
where
    T: Display + FromStr<Err = ParseError> + DeserializeOwned,
{
    let document = serde_json::Value::String(text.to_owned());
    let as_document = serde_json::from_value::<T>(document).map(|value| value.to_string());
    match text.parse::<T>() {
        Ok(value) => {
            prop_assert_eq!(value.to_string(), text);
            prop_assert_eq!(as_document.ok(), Some(text.to_owned()));
        }
        Err(error) => {
            let refusal = as_document.err().map(|refusal| refusal.to_string());
            prop_assert_eq!(refusal, Some(error.to_string()), "a document is read no more kindly");
        }
    }
    Ok(())
}

/// One change of the kind that makes a second spelling where a parser is kind.
#[derive(Debug, Clone)]
enum Change {
    SwapCase(Index),
    Insert(Index, &'static str),
    Remove(Index),
    Replace(Index, &'static str),
    Double(Index),
    Before(&'static str),
    After(&'static str),
}

impl Change {
    fn arb() -> impl Strategy<Value = Self> {
        let piece = || prop::sample::select(PIECES);
        prop_oneof![
            any::<Index>().prop_map(Self::SwapCase),
            (any::<Index>(), piece()).prop_map(|(at, piece)| Self::Insert(at, piece)),
            any::<Index>().prop_map(Self::Remove),
            (any::<Index>(), piece()).prop_map(|(at, piece)| Self::Replace(at, piece)),
            any::<Index>().prop_map(Self::Double),
            piece().prop_map(Self::Before),
            piece().prop_map(Self::After),
        ]
    }

    fn apply(&self, text: &str) -> String {
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        match self {
            Self::Before(piece) => symbols.insert(0, (*piece).to_owned()),
            Self::After(piece) => symbols.push((*piece).to_owned()),
            _ if symbols.is_empty() => {}
            Self::Insert(at, piece) => symbols.insert(at.index(symbols.len()), (*piece).to_owned()),
            Self::Remove(at) => drop(symbols.remove(at.index(symbols.len()))),
            Self::Replace(at, piece) => at.get_mut(&mut symbols).replace_range(.., piece),
            Self::Double(at) => symbols.insert(at.index(symbols.len()), at.get(&symbols).clone()),
            Self::SwapCase(at) => {
                let symbol = at.get_mut(&mut symbols);
                let upper = symbol.to_uppercase();
                *symbol = if upper == *symbol { symbol.to_lowercase() } else { upper };
            }
        }
        symbols.concat()
    }
}

/// Separators, padding, white space seen and unseen, wild cards, and characters that look like others: the
/// Kelvin sign (whose lower case is `k`), a dotless i, full-width and Cyrillic letters, Crockford's
/// look-alikes.
const PIECES: &[&str] = &[
    "/", "//", ":", "::", "_", "@", "-", "--", "*", "**", ".", "..", "=", "==", "+", "~", "%2f", "\\", " ",
    "\t", "\n", "\r\n", "\0", "\u{a0}", "\u{200b}", "\u{feff}", "\u{301}", "\u{212a}", "\u{131}", "\u{ff0f}",
    "\u{ff41}", "\u{430}", "O", "o", "I", "i", "L", "l", "U", "8", "0", "admin", "SHA256:", "usr_", "tok_",
];

/// Changes a valid text a few times.
fn arb_changed(valid: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (valid, prop::collection::vec(Change::arb(), 1..4))
        .prop_map(|(text, changes)| changes.iter().fold(text, |text, change| change.apply(&text)))
}

proptest! {
    #[test]
    fn an_id_is_read_as_it_is_printed(id: [u8; 16]) {
        let id = UserId::from_bytes(id);
        assert_round_trip(&id)?;
        prop_assert_eq!(UserId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn a_scope_is_read_as_it_is_printed(scope in arb_scope(), kind in arb_segment(), name in arb_segment()) {
        assert_round_trip(&scope)?;
        let child = scope.child(&kind, &name)?;
        assert_round_trip(&child)?;
        let last = child.levels().last().map(|level| (level.kind.to_owned(), level.name.to_owned()));
        prop_assert_eq!(last, Some((kind, name)));
        if !child.is_root() {
            prop_assert_eq!(child.as_path(), child.to_string());
        }
    }

    #[test]
    fn a_permission_is_read_as_it_is_printed(service in arb_segment(), verb in arb_segment()) {
        let permission = Permission::new(&service, &verb)?;
        assert_round_trip(&permission)?;
        prop_assert_eq!((permission.service(), permission.verb()), (&*service, &*verb));
        let pattern = PermissionPattern::from(permission.clone());
        assert_round_trip(&pattern)?;
        prop_assert_eq!(pattern.to_string(), permission.to_string());
        prop_assert!(pattern.matches(&permission));
    }

    #[test]
    fn a_pattern_is_read_as_it_is_printed(pattern in arb_pattern()) {
        assert_round_trip(&pattern)?;
    }

    #[test]
    fn a_subject_and_a_principal_are_read_as_they_are_printed(
        subject in arb_subject(),
        principal in arb_principal(),
    ) {
        assert_round_trip(&subject)?;
        assert_round_trip(&principal)?;
        prop_assert_eq!(Principal::subject(subject).to_string(), subject.to_string());
        prop_assert_eq!(principal.token_id().is_some(), principal.to_string().contains('@'));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed(digest: [u8; 32]) {
        assert_round_trip(&Fingerprint::from_sha256(digest))?;
    }

    #[test]
    fn the_order_of_scopes_is_the_order_of_their_texts(a in arb_scope(), b in arb_scope()) {
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert!(!a.contains(&b) || a <= b, "what is below comes after");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn an_id_has_one_spelling(text in arb_changed(arb_id::<User>().prop_map(|it| it.to_string()))) {
        assert_one_spelling::<UserId>(&text)?;
    }

    #[test]
    fn a_scope_has_one_spelling(text in arb_changed(arb_scope().prop_map(|scope| scope.to_string()))) {
        assert_one_spelling::<Scope>(&text)?;
    }

    #[test]
    fn a_permission_has_one_spelling(text in arb_changed(arb_permission().prop_map(|it| it.to_string()))) {
        assert_one_spelling::<Permission>(&text)?;
    }

    #[test]
    fn a_pattern_has_one_spelling_and_one_alias(
        text in arb_changed(arb_pattern().prop_map(|it| it.to_string())),
    ) {
        if text == "admin:*" {
            prop_assert_eq!(text.parse::<PermissionPattern>()?, PermissionPattern::all());
        } else {
            assert_one_spelling::<PermissionPattern>(&text)?;
        }
    }

    #[test]
    fn a_principal_has_one_spelling(text in arb_changed(arb_principal().prop_map(|it| it.to_string()))) {
        assert_one_spelling::<Principal>(&text)?;
        assert_one_spelling::<Subject>(&text)?;
    }

    #[test]
    fn a_fingerprint_has_one_spelling(
        text in arb_changed(any::<[u8; 32]>().prop_map(|digest| Fingerprint::from_sha256(digest).to_string())),
    ) {
        assert_one_spelling::<Fingerprint>(&text)?;
    }

    #[test]
    fn no_text_is_read_as_something_it_does_not_say(text in "\\PC{0,40}|[a-z0-9:/*_@-]{0,40}") {
        assert_one_spelling::<UserId>(&text)?;
        assert_one_spelling::<Scope>(&text)?;
        assert_one_spelling::<Permission>(&text)?;
        assert_one_spelling::<Principal>(&text)?;
        assert_one_spelling::<Fingerprint>(&text)?;
    }
}

#[test]
fn the_alias_is_printed_as_what_it_means() {
    let all: PermissionPattern = "admin:*".parse().unwrap();
    assert_eq!(all, PermissionPattern::all());
    assert_eq!(all.to_string(), "*:*");
    assert_eq!(serde_json::from_str::<PermissionPattern>("\"admin:*\"").unwrap(), all);
    assert_eq!(serde_json::to_string(&all).unwrap(), "\"*:*\"");
    let reading: PermissionPattern = "admin:read".parse().unwrap();
    assert_eq!(reading.to_string(), "admin:read", "only the whole alias is one");
    assert!(!reading.matches(&"apps:read".parse().unwrap()));
}

#[test]
fn an_id_of_one_kind_is_not_one_of_another() {
    let bare = "01JD9Z6Q7V8W9X0Y1Z2A3B4C5D";
    for prefix in ["svc", "mch", "tok", "req", "us", "usrr", "USR", ""] {
        let refused = format!("{prefix}_{bare}").parse::<UserId>();
        assert_eq!(refused, Err(ParseError::Prefix { expected: "usr" }), "{prefix}");
    }
}

/// A name, by the words of the documentation.
fn is_name(text: &str) -> bool {
    let is_known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(is_known)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

proptest! {
    #[test]
    fn a_borrowed_text_is_accepted_when_it_is_names_and_separators(
        text in prop_oneof!["[a-c/:-]{0,12}", "[a-z0-9/-]{0,20}", "[aA*/:_. -]{0,8}", "(a{1,70}[/:]){1,3}[a-z]{1,70}"]
    ) {
        let segments: Vec<&str> = text.split('/').collect();
        let is_scope = text == "/"
            || segments.iter().all(|segment| is_name(segment)) && segments.len().is_multiple_of(2) && segments.len() <= 16;
        let scope = ScopeRef::parse(&text);
        prop_assert_eq!(scope.is_ok(), is_scope, "{}", text);
        prop_assert_eq!(scope.map(|scope| scope.to_scope()), text.parse::<Scope>());
        let is_permission = text.split(':').count() == 2 && text.split(':').all(is_name);
        let permission = PermissionRef::parse(&text);
        prop_assert_eq!(permission.is_ok(), is_permission, "{}", text);
        prop_assert_eq!(permission.map(|permission| permission.to_permission()), text.parse::<Permission>());
    }
}
