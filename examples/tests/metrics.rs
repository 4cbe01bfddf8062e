//! `/metrics` is Prometheus' text format, version 0.0.4, read here by its rules and no laxer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Server;
use crate::support::nodes::{issue, until};

/// A sample: its name, its labels, its value.
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

fn is_name(text: &str, colons: bool) -> bool {
    let allowed = |(place, byte): (usize, u8)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
        b':' => colons,
        b'0'..=b'9' => place > 0,
        _ => false,
    };
    !text.is_empty() && text.bytes().enumerate().all(allowed)
}

fn labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name, false), "{name:?}");
        let (mut value, mut letters) = (String::new(), rest.char_indices());
        let end = loop {
            match letters.next().unwrap() {
                (place, '"') => break place,
                (_, '\\') => match letters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    letter @ ('\\' | '"') => value.push(letter),
                    other => panic!("\\{other}"),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        let rest = rest.split_at(end).1.strip_prefix('"').unwrap();
        text = rest.strip_prefix(',').unwrap_or(rest);
        assert!(text.is_empty() || rest.starts_with(','), "{rest:?}");
    }
    labels
}

fn value(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        text => {
            assert!(text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)), "{text:?}");
            text.parse().unwrap()
        }
    }
}

fn sample(line: &str) -> Sample {
    let (series, number) = line.rsplit_once(' ').unwrap();
    let (name, labelled) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').unwrap())),
        None => (series, Vec::new()),
    };
    assert!(is_name(name, true), "{line:?}");
    Sample { name: name.to_owned(), labels: labelled, value: value(number) }
}

/// Reads a page by the format's rules; the kinds of its families.
fn read(page: &str) -> BTreeMap<String, String> {
    assert!(page.ends_with('\n') && !page.contains('\r'));
    let (mut kinds, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut family: Option<(String, String)> = None;
    let mut buckets: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!kinds.contains_key(name) && !help.is_empty(), "{line:?} is first of its family");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind) && is_name(name, true), "{line:?}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
            family = Some((name.to_owned(), kind.to_owned()));
            continue;
        }
        assert!(!line.is_empty() && !line.starts_with('#'), "{line:?}");
        let sample = sample(line);
        let (name, kind) = family.as_ref().unwrap();
        let suffix = sample.name.strip_prefix(name.as_str()).unwrap();
        assert!(seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()), "{line:?} comes twice");
        let names: BTreeSet<&String> = sample.labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), sample.labels.len(), "{line:?}");
        match (kind.as_str(), suffix) {
            ("counter", "") => assert!(sample.value >= 0.0 && name.ends_with("_total"), "{line:?}"),
            ("gauge", "") => {}
            ("histogram", "_bucket") => {
                let bound = sample.labels.iter().find(|(name, _)| name == "le").unwrap();
                let bound = value(&bound.1);
                let last = buckets.insert(name.clone(), (bound, sample.value));
                assert!(last.is_none_or(|(below, count)| below < bound && count <= sample.value), "{line:?}");
            }
            ("histogram", "_sum") => assert!(sample.value >= 0.0, "{line:?}"),
            ("histogram", "_count") => {
                let last = buckets.get(name).unwrap();
                assert_eq!(*last, (f64::INFINITY, sample.value), "{line:?}");
            }
            _ => panic!("{line:?} is not of {name}"),
        }
    }
    kinds
}

#[test]
fn what_is_there_to_watch_is_in_the_format_of_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let nobody = server.client(None);
    let fresh = read(&nobody.text("/metrics"));
    issue(&server.admin(), "used");
    assert_eq!(server.admin().get("/api/v1/ssh-keys").0, 200);
    let page = nobody.text("/metrics");
    let kinds = read(&page);
    assert!(fresh.keys().all(|name| kinds.contains_key(name)), "what is there once stays");
    for (name, kind) in [
        ("palisade_ready", "gauge"),
        ("palisade_replica_fresh", "gauge"),
        ("palisade_replica_age_seconds", "gauge"),
        ("palisade_replica_lag", "gauge"),
        ("palisade_replica_revision", "gauge"),
        ("palisade_change_retries_total", "counter"),
        ("palisade_read_through_total", "counter"),
        ("palisade_stale_total", "counter"),
        ("palisade_verify_seconds", "histogram"),
        ("palisade_decide_seconds", "histogram"),
        ("palisade_commit_seconds", "histogram"),
        ("palisade_apply_seconds", "histogram"),
    ] {
        assert_eq!(kinds.get(name).map(String::as_str), Some(kind), "{name} in\n{page}");
    }
    for line in [
        "palisade_ready 1",
        "palisade_replica_fresh{replica=\"tokens\"} 1",
        "palisade_commit_seconds_count 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    until(std::time::Duration::from_secs(5), "requests are counted", || {
        !nobody.text("/metrics").contains("palisade_verify_seconds_count 0")
    });
}

#[test]
fn what_is_wrong_in_a_page_is_seen() {
    let good = "# HELP a_total help\n# TYPE a_total counter\na_total{b=\"c\\\"\"} 1\n";
    assert_eq!(read(good).len(), 1);
    for bad in [
        "a_total 1\n",
        "# TYPE a_total counter\na_total 1",
        "# TYPE a_total counter\na_total -1\n",
        "# TYPE a_total counter\na_total 1\na_total 2\n",
        "# TYPE a gauge\na{b=c} 1\n",
        "# TYPE a gauge\na{b=\"c\"d=\"e\"} 1\n",
        "# TYPE a gauge\na inf\n",
        "# TYPE a gauge\na 1\n# TYPE a gauge\na 2\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    ] {
        assert!(std::panic::catch_unwind(|| read(bad)).is_err(), "{bad:?}");
    }
}
