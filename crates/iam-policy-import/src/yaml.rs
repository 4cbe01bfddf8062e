//! YAML (1.2) of bounded size and depth: no key twice, no anchors, no aliases, no tags.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::value::{Map, Value};

/// The most levels a document has.
const MAX_DEPTH: usize = 64;

/// The most values all documents of a text have.
const MAX_VALUES: usize = 1 << 20;

/// What is open while a text is read.
enum Open {
    List(Vec<Value>),
    /// The entries, and the key that waits for its value.
    Map(Map, Option<String>),
}

/// The documents of a text. The message says where it is wrong.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let at = |why: &str| format!("line {}: {why}", span.start.line());
        let done = match event {
            Event::Alias(_) => return Err(at("aliases are refused")),
            Event::Scalar(_, _, anchor, ref tag)
            | Event::SequenceStart(anchor, ref tag)
            | Event::MappingStart(anchor, ref tag)
                if anchor != 0 || tag.is_some() =>
            {
                return Err(at("anchors and tags are refused"));
            }
            Event::Scalar(text, style, ..) => Some(scalar(text.into_owned(), style)),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Some(Value::List(list)),
                Some(Open::Map(map, _)) => Some(Value::Map(map)),
                None => None,
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        if open.len() > MAX_DEPTH {
            return Err(at(&format!("more than {MAX_DEPTH} levels")));
        }
        let Some(value) = done else { continue };
        values = values.saturating_add(1);
        if values > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        match open.last_mut() {
            None => documents.push(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match key.take() {
                Some(key) => {
                    map.insert(key, value);
                }
                None => match value.scalar() {
                    Some(text) if text == "<<" => return Err(at("merge keys are refused")),
                    Some(text) if map.contains_key(&text) => {
                        return Err(at(&format!("the key {} stands twice", crate::source::shown(&text))));
                    }
                    Some(text) => *key = Some(text),
                    None => return Err(at("a key must be a text")),
                },
            },
        }
    }
    Ok(documents)
}

/// The core schema, and what YAML 1.1 takes for a flag: a text that some reader takes for something else is not
/// taken for a text.
fn scalar(text: String, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text);
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "~" | "null" => return Value::Null,
        "true" | "yes" | "on" | "y" => return Value::Flag(true),
        "false" | "no" | "off" | "n" => return Value::Flag(false),
        _ => {}
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && (text.parse::<f64>().is_ok()
            || text.starts_with("0x")
            || text.starts_with("0o")
            || text.bytes().all(|byte| byte.is_ascii_digit() || b"_:.".contains(&byte)));
    if is_number { Value::Number(text) } else { Value::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = "a: [x, 'true', 7]\nb:\n  - c: d\n  - ~\n---\n{\"e\": \"*\"}\n";
        let documents = documents(yaml).unwrap();
        let json = [r#"{"a": ["x", "true", 7], "b": [{"c": "d"}, null]}"#, r#"{"e": "*"}"#];
        assert_eq!(documents, json.map(|text| Value::from_json(text.as_bytes()).unwrap()));
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_grows_is_refused() {
        for text in [
            "a: 1\na: 2",
            "{a: 1, a: 2}",
            "a: &x [1]\nb: *x",
            "a: &x 1",
            "a: !!str 1",
            "a: !x 1",
            "<<: {a: 1}",
            "[a]: 1",
            "? {a: b}\n: 1",
            "a: [",
            "a: b: c",
            "\"",
        ] {
            assert!(documents(text).is_err(), "{text}");
        }
        assert!(documents(&"[".repeat(10_000)).is_err());
        assert!(documents(&"- ".repeat(10_000)).is_err());
        assert!(documents(&format!("{}x{}", "[".repeat(65), "]".repeat(65))).is_err());
        assert!(documents(&format!("{}x{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }

    #[test]
    fn a_plain_word_that_some_reader_takes_for_a_flag_or_number_is_no_text() {
        for text in ["yes", "No", "ON", "true", "~", "", "1", "-1.5", "0x10", "1e3", "1_000", "12:30"] {
            assert!(
                documents(&format!("a: {text}")).unwrap()[0].as_map().unwrap()["a"].as_text().is_none(),
                "{text}"
            );
        }
        for text in ["get", "*", "'yes'", "\"1\"", "v1", "10.0.0.0/8"] {
            let text = if text == "*" { "'*'" } else { text };
            assert!(
                documents(&format!("a: {text}")).unwrap()[0].as_map().unwrap()["a"].as_text().is_some(),
                "{text}"
            );
        }
        assert!(Value::from_json(br#"{"a": 1, "a": 2}"#).is_err());
    }
}
