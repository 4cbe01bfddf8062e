//! A recorder for the `metrics` facade that shows what it holds in Prometheus' text format (version 0.0.4).
//!
//! Small on purpose: a few dozen series whose names and labels are ours, fixed bounds of histograms, no listener.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Holds the series of one node; a clone is another handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prometheus {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

#[derive(Debug, Default)]
struct Family {
    help: Option<String>,
    // By their labels, as they are written.
    series: BTreeMap<String, Series>,
}

#[derive(Debug)]
enum Series {
    Counter(Arc<AtomicU64>),
    // The bits of a floating-point number.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

impl Prometheus {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Everything, by name.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for (name, family) in families.iter() {
            let Some(first) = family.series.values().next() else { continue };
            if let Some(help) = &family.help {
                let _ = writeln!(out, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
            }
            let _ = writeln!(out, "# TYPE {name} {}", first.kind());
            for (labels, series) in &family.series {
                series.render(&mut out, name, labels);
            }
        }
        out
    }

    /// The series of this name and these labels, made by `new` where there is none; `None` where it is of another kind.
    fn series<T>(
        &self,
        key: &Key,
        new: impl Fn() -> Series,
        pick: impl Fn(&Series) -> Option<T>,
    ) -> Option<T> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(clean(key.name())).or_default();
        // All of a family are of one kind.
        if family.series.values().next().is_some_and(|first| pick(first).is_none()) {
            return None;
        }
        pick(family.series.entry(labels(key)).or_insert_with(new))
    }

    fn describe(&self, name: &KeyName, help: &SharedString) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.entry(clean(name.as_str())).or_default().help = Some(help.to_string());
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_gauge(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_histogram(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        let pick = |series: &Series| match series {
            Series::Counter(counter) => Some(Arc::clone(counter)),
            _ => None,
        };
        let series = self.series(key, || Series::Counter(Arc::default()), pick);
        series.map_or_else(Counter::noop, |counter| Counter::from_arc(Arc::new(Count(counter))))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        let pick = |series: &Series| match series {
            Series::Gauge(gauge) => Some(Arc::clone(gauge)),
            _ => None,
        };
        let series = self.series(key, || Series::Gauge(Arc::default()), pick);
        series.map_or_else(Gauge::noop, |gauge| Gauge::from_arc(Arc::new(Level(gauge))))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        let pick = |series: &Series| match series {
            Series::Histogram(buckets) => Some(Arc::clone(buckets)),
            _ => None,
        };
        let series = self.series(key, || Series::Histogram(Arc::default()), pick);
        series.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

impl Series {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let braced = |more: &str| match (labels.is_empty(), more.is_empty()) {
            (true, true) => String::new(),
            (false, false) => format!("{{{labels},{more}}}"),
            _ => format!("{{{labels}{more}}}"),
        };
        let _ = match self {
            Self::Counter(counter) => {
                writeln!(out, "{name}{} {}", braced(""), counter.load(Ordering::Relaxed))
            }
            Self::Gauge(gauge) => {
                let value = f64::from_bits(gauge.load(Ordering::Relaxed));
                writeln!(out, "{name}{} {}", braced(""), number(value))
            }
            Self::Histogram(buckets) => {
                let (mut sum, mut count) = (0.0, 0_u64);
                for (bucket, bound) in
                    buckets.counts.iter().zip(BOUNDS.iter().copied().chain([f64::INFINITY]))
                {
                    count = count.saturating_add(bucket.load(Ordering::Relaxed));
                    let place = format!("le=\"{}\"", number(bound));
                    let _ = writeln!(out, "{name}_bucket{} {count}", braced(&place));
                    sum = f64::from_bits(buckets.sum.load(Ordering::Relaxed));
                }
                let _ = writeln!(out, "{name}_sum{} {}", braced(""), number(sum));
                writeln!(out, "{name}_count{} {count}", braced(""))
            }
        };
    }
}

/// Only ever upwards.
struct Count(Arc<AtomicU64>);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

struct Level(Arc<AtomicU64>);

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        add(&self.0, value);
    }

    fn decrement(&self, value: f64) {
        add(&self.0, -value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// How often something took up to so many seconds.
#[derive(Debug, Default)]
struct Buckets {
    // One more than the bounds: what took longer than all of them.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let place = BOUNDS.iter().position(|&bound| value <= bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        add(&self.sum, value);
    }
}

fn add(bits: &AtomicU64, value: f64) {
    let sum = |bits| Some((f64::from_bits(bits) + value).to_bits());
    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
}

/// A number as the format has it.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value.is_nan() => "NaN".to_owned(),
        value => value.to_string(),
    }
}

/// A name of `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn clean(name: &str) -> String {
    let allowed = |(place, letter): (usize, char)| match letter {
        'a'..='z' | 'A'..='Z' | '_' | ':' => letter,
        '0'..='9' if place > 0 => letter,
        _ => '_',
    };
    name.chars().enumerate().map(allowed).collect()
}

fn labels(key: &Key) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut pairs: Vec<String> = key
        .labels()
        .map(|label| format!("{}=\"{}\"", clean(label.key()).replace(':', "_"), escaped(label.value())))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// In seconds.
const BOUNDS: [f64; 14] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 2e-3, 1e-2, 5e-2, 2e-1, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_shown_by_their_names_and_labels() {
        let recorder = Prometheus::new();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("commits_total", "how many\ncommits \\ there were");
            metrics::counter!("commits_total", "place" => "a\"b\\c\nd").increment(2);
            metrics::counter!("commits_total", "place" => "a\"b\\c\nd").absolute(7);
            metrics::counter!("commits_total", "place" => "a\"b\\c\nd").absolute(3);
            metrics::gauge!("age-seconds").set(1.5);
            metrics::gauge!("age-seconds").decrement(0.25);
            for seconds in [1e-6, 3e-6, 4.0, 9.0] {
                metrics::histogram!("took_seconds", "step" => "verify").record(seconds);
            }
            // Of another kind than its family: it goes nowhere.
            metrics::gauge!("commits_total", "place" => "elsewhere").set(1.0);
        });
        let text = recorder.render();
        let expected = [
            "# TYPE age_seconds gauge\nage_seconds 1.25\n",
            "# HELP commits_total how many\\ncommits \\\\ there were\n# TYPE commits_total counter\n",
            "commits_total{place=\"a\\\"b\\\\c\\nd\"} 7\n",
            "# TYPE took_seconds histogram\ntook_seconds_bucket{step=\"verify\",le=\"0.000001\"} 1\n",
            "took_seconds_bucket{step=\"verify\",le=\"0.000002\"} 1\n",
            "took_seconds_bucket{step=\"verify\",le=\"0.000005\"} 2\n",
            "took_seconds_bucket{step=\"verify\",le=\"5\"} 3\n",
            "took_seconds_bucket{step=\"verify\",le=\"+Inf\"} 4\n",
            "took_seconds_sum{step=\"verify\"} 13.000004\ntook_seconds_count{step=\"verify\"} 4\n",
        ];
        for expected in expected {
            assert!(text.contains(expected), "{expected:?} is missing from\n{text}");
        }
        assert!(!text.contains("elsewhere"), "{text}");
    }
}
