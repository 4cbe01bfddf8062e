//! What there is to watch of a node: `/metrics` in Prometheus' text format, `/livez`, `/readyz`.
//!
//! They are open to whoever reaches the address, and say numbers only: no names, no ids.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use core_types::Clock as _;
use tokio::time::Instant;

use super::state::ControlPlane;
use crate::backend::Backend;

/// The paths that monitoring asks.
pub(super) fn route(plane: &Arc<ControlPlane<Backend>>) -> Router {
    let (ready, figures) = (Arc::clone(plane), Arc::clone(plane));
    let readiness =
        async move || if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = async move || {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render(&figures)).into_response()
    };
    Router::new()
        .route("/livez", get(async || StatusCode::OK))
        .route("/readyz", get(readiness))
        .route("/metrics", get(text))
}

fn render(plane: &ControlPlane<Backend>) -> String {
    let now = plane.clock.now();
    let mut out = String::new();
    let replicas = [
        ("projects", plane.replicas.projects.freshness(now)),
        ("ssh-keys", plane.replicas.keys.freshness(now)),
        ("directory", plane.replicas.iam.freshness(now)),
        ("tokens", plane.vault.replica().freshness(now)),
    ];
    head(&mut out, "replica_fresh", "whether the replica is within its staleness bound", "gauge");
    for (replica, freshness) in &replicas {
        let _ =
            writeln!(out, "palisade_replica_fresh{{replica=\"{replica}\"}} {}", u8::from(freshness.is_fresh));
    }
    head(&mut out, "replica_revision", "what the replica shows", "gauge");
    for (replica, freshness) in &replicas {
        let _ = writeln!(out, "palisade_replica_revision{{replica=\"{replica}\"}} {}", freshness.applied);
    }
    head(&mut out, "replica_age_seconds", "since the store last confirmed the replica", "gauge");
    for (replica, freshness) in &replicas {
        let age = now.saturating_since(freshness.confirmed_at).as_secs_f64();
        let _ = writeln!(out, "palisade_replica_age_seconds{{replica=\"{replica}\"}} {age}");
    }
    head(&mut out, "ready", "whether the node answers requests", "gauge");
    let _ = writeln!(out, "palisade_ready {}", u8::from(plane.is_ready()));
    for (name, value) in plane.store.figures() {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        head(&mut out, &format!("store_{name}"), "of the connections to the state's database", kind);
        let _ = writeln!(out, "palisade_store_{name} {value}");
    }
    plane.timings.verify.render(&mut out, "verify_seconds", "how long it took to verify a token");
    plane.timings.decide.render(&mut out, "decide_seconds", "how long it took to decide a request");
    out
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP palisade_{name} {help}\n# TYPE palisade_{name} {kind}");
}

/// How long the steps of requests took.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    pub(crate) verify: Histogram,
    pub(crate) decide: Histogram,
}

/// How often something took up to so many microseconds.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    // One more than the bounds: what took longer than all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    /// Awaits `work`, and notes how long it took.
    pub(crate) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = work.await;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|&bound| micros <= bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
        result
    }

    fn render(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, help, "histogram");
        let mut count = 0_u64;
        let bounds = BOUNDS.iter().map(|&bound| Some(bound)).chain([None]);
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count = count.saturating_add(bucket.load(Ordering::Relaxed));
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            let _ = writeln!(out, "palisade_{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(out, "palisade_{name}_sum {}", seconds(self.micros.load(Ordering::Relaxed)));
        let _ = writeln!(out, "palisade_{name}_count {count}");
    }
}

fn seconds(micros: u64) -> String {
    std::time::Duration::from_micros(micros).as_secs_f64().to_string()
}

/// In microseconds.
const BOUNDS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 500, 2_000, 10_000, 100_000, 1_000_000];
