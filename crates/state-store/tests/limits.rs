//! Keys, prefixes, values and revisions, and their bounds.

use state_store::{Key, LimitError, MAX_KEY_BYTES, MAX_VALUE_BYTES, Prefix, Revision, Value};

#[test]
fn a_key_has_one_byte_at_least_and_a_thousand_and_twenty_four_at_most() {
    assert_eq!(MAX_KEY_BYTES, 1024);
    assert_eq!(Key::new(""), Err(LimitError::EmptyKey));
    assert_eq!(Key::new([0]).unwrap().as_bytes(), [0]);
    assert_eq!(Key::new(vec![7; 1024]).unwrap().as_bytes(), vec![7; 1024]);
    assert_eq!(Key::new(vec![7; 1025]), Err(LimitError::KeyTooLong { limit: 1024 }));
}

#[test]
fn a_prefix_may_be_empty_and_as_long_as_a_key() {
    assert_eq!(Prefix::new("").unwrap(), Prefix::all());
    assert!(Prefix::new(vec![7; 1024]).unwrap().matches(&Key::new(vec![7; 1024]).unwrap()));
    assert_eq!(Prefix::new(vec![7; 1025]), Err(LimitError::KeyTooLong { limit: 1024 }));
}

#[test]
fn a_value_may_be_empty_and_has_a_megabyte_at_most() {
    assert_eq!(MAX_VALUE_BYTES, 1 << 20);
    assert_eq!(Value::new("").unwrap().as_bytes(), b"");
    assert_eq!(Value::new(vec![7; 1 << 20]).unwrap().as_bytes().len(), 1 << 20);
    assert_eq!(Value::new(vec![7; (1 << 20) + 1]), Err(LimitError::ValueTooLong { limit: 1 << 20 }));
}

#[test]
fn keys_are_ordered_as_their_bytes_are() {
    let mut keys: Vec<Key> =
        [&b"b"[..], b"a\xff", b"a", b"\xff", b"a\0", b"B"].map(|bytes| Key::new(bytes).unwrap()).into();
    keys.sort();
    let bytes: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
    assert_eq!(bytes, [&b"B"[..], b"a", b"a\0", b"a\xff", b"b", b"\xff"]);
}

#[test]
fn a_prefix_matches_what_begins_with_it() {
    let prefix = Prefix::new("a/").unwrap();
    for (key, matches) in
        [("a/", true), ("a/b", true), ("a", false), ("a0", false), ("A/", false), ("b/a/", false)]
    {
        assert_eq!(prefix.matches(&Key::new(key).unwrap()), matches, "{key}");
        assert!(Prefix::all().matches(&Key::new(key).unwrap()));
    }
}

#[test]
fn the_text_after_a_prefix_is_text_or_nothing() {
    let key = Key::new("tokens/tok_1").unwrap();
    assert_eq!(key.strip_text_prefix("tokens/"), Some("tok_1"));
    assert_eq!(key.strip_text_prefix(""), Some("tokens/tok_1"));
    assert_eq!(key.strip_text_prefix("tokens/tok_1"), Some(""));
    assert_eq!(key.strip_text_prefix("users/"), None);
    assert_eq!(Key::new(b"tokens/\xff").unwrap().strip_text_prefix("tokens/"), None);
    assert_eq!(Key::new("é").unwrap().strip_text_prefix(""), Some("é"));
}

#[test]
fn what_is_printed_of_a_key_can_be_read_and_of_a_value_says_nothing() {
    assert_eq!(format!("{:?}", Key::new(b"a/\xff\n").unwrap()), r"Key(a/\xff\n)");
    assert_eq!(format!("{:?}", Prefix::new("a/").unwrap()), "Prefix(a/)");
    assert_eq!(format!("{:?}", Value::new("a secret").unwrap()), "Value(8 bytes)");
}

#[test]
fn revisions_are_their_numbers_and_end() {
    assert_eq!(Revision::ZERO, Revision::new(0));
    assert_eq!(Revision::default(), Revision::ZERO);
    assert_eq!(Revision::new(7).next(), Some(Revision::new(8)));
    assert_eq!(Revision::new(u64::MAX).next(), None);
    assert_eq!(Revision::new(7).to_string(), "7");
    assert!(Revision::new(7) < Revision::new(8));
}
