//! Through `Objects` a struct is read from an object alone, and all else as without it.

#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use core_types::{Grant, Objects, Restriction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    number: u8,
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(Inner);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u8, Inner);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    None,
    One(Inner),
    Two(u8, Inner),
    Named { inner: Inner, flag: bool },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everything {
    list: Vec<Inner>,
    maybe: Option<Inner>,
    map: BTreeMap<String, Inner>,
    wrapped: Wrapper,
    pair: Pair,
    nothing: Nothing,
    choices: Vec<Choice>,
    numbers: (i8, i16, i32, i64, i128, u16, u32, u64, u128, f32, f64),
    letter: char,
    bytes: Vec<u8>,
}

fn inner(number: u8) -> Inner {
    Inner { number, text: "a \"quoted\" text".into() }
}

fn everything() -> Everything {
    Everything {
        list: vec![inner(1), inner(2)],
        maybe: Some(inner(3)),
        map: BTreeMap::from([("key".into(), inner(4))]),
        wrapped: Wrapper(inner(5)),
        pair: Pair(6, inner(6)),
        nothing: Nothing,
        choices: vec![
            Choice::None,
            Choice::One(inner(7)),
            Choice::Two(8, inner(8)),
            Choice::Named { inner: inner(9), flag: true },
        ],
        numbers: (
            i8::MIN,
            i16::MIN,
            i32::MIN,
            i64::MIN,
            i128::from(i64::MIN),
            u16::MAX,
            u32::MAX,
            u64::MAX,
            u128::from(u64::MAX),
            0.5,
            -0.25,
        ),
        letter: 'ß',
        bytes: vec![0, 255],
    }
}

fn through<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    T::deserialize(Objects::new(&mut serde_json::Deserializer::from_str(text)))
}

/// Every text that differs from the document of this value in one object that is written as an array.
fn with_an_array_for_an_object(value: &serde_json::Value) -> Vec<serde_json::Value> {
    let nested: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(fields) => fields.iter().map(|(key, at)| (key.clone(), at)).collect(),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    let mut all: Vec<serde_json::Value> = nested
        .into_iter()
        .flat_map(|(key, below)| {
            with_an_array_for_an_object(below).into_iter().map(move |new| (key.clone(), new))
        })
        .map(|(key, new)| {
            let mut copy = value.clone();
            *copy.pointer_mut(&format!("/{key}")).expect("it was there") = new;
            copy
        })
        .collect();
    if let serde_json::Value::Object(fields) = value {
        all.push(fields.values().cloned().collect());
    }
    all
}

fn assert_same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("it is a document");
    assert_eq!(&through::<T>(&text).expect("it is read"), value);
}

#[test]
fn what_is_written_as_it_should_be_is_read_as_without_it() {
    assert_same(&everything());
    assert_same(&Choice::Two(1, inner(1)));
    assert_same(&Option::<Inner>::None);
    let unit = through::<Nothing>("null").expect("it is read");
    assert_eq!(unit, Nothing);
}

#[test]
fn an_array_is_not_taken_for_an_object_however_deep_it_lies() {
    let texts = [
        r#"[1,"text"]"#,
        r#"{"One":[1,"text"]}"#,
        r#"{"Two":[1,[1,"text"]]}"#,
        r#"{"Named":[{"number":1,"text":"t"},true]}"#,
        r#"{"Named":{"inner":[1,"text"],"flag":true}}"#,
    ];
    assert!(serde_json::from_str::<Inner>(texts[0]).is_ok() && through::<Inner>(texts[0]).is_err());
    for text in &texts[1..] {
        assert!(serde_json::from_str::<Choice>(text).is_ok(), "without it, {text} is read");
        assert!(through::<Choice>(text).is_err(), "{text}");
    }

    // A map's entries are no fields, so that the one of `map` is refused without it, too.
    let document = serde_json::to_value(everything()).expect("it is a document");
    let changed = with_an_array_for_an_object(&document);
    assert!(changed.len() >= 12, "{} places", changed.len());
    for value in changed {
        assert!(through::<Everything>(&value.to_string()).is_err(), "{value}");
    }
}

#[test]
fn the_types_of_this_crate_have_one_spelling_through_it() {
    let grant = r#"["apps:*","project/web"]"#;
    assert!(through::<Grant>(grant).is_err());
    assert!(through::<Restriction>(r#"["unlimited","unlimited"]"#).is_err());
    assert!(
        through::<Restriction>(&format!(r#"{{"grants":{{"only":[{grant}]}},"expires_at":"unlimited"}}"#))
            .is_err()
    );
    assert!(through::<Restriction>(r#"{"grants":{"only":[]},"expires_at":"unlimited"}"#).is_ok());
}

#[test]
fn what_a_format_says_of_itself_is_passed_on() {
    struct Told(bool);
    impl<'de> Deserialize<'de> for Told {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Self(deserializer.is_human_readable()))
        }
    }
    let mut json = serde_json::Deserializer::from_str("null");
    assert!(Told::deserialize(Objects::new(&mut json)).expect("it is told").0);
}
