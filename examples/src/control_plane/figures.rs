//! What there is to watch of a node: `/metrics` in Prometheus' text format, `/livez`, `/readyz`.
//!
//! Everything is told to the `metrics` facade, whose recorder is this node's own. The paths are open to whoever reaches
//! the address, and say numbers only: no ids, and of a fleet's nodes only how many.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use core_types::{Clock as _, UnixTime};
use metrics::{Counter, Histogram};
use state_store::replica::Freshness;
use tokio::time::Instant;

use super::state::ControlPlane;
use crate::backend::Backend;
use crate::prometheus::Prometheus;

/// The paths that monitoring asks.
pub(super) fn route(plane: &Arc<ControlPlane<Backend>>) -> Router {
    let (ready, figures) = (Arc::clone(plane), Arc::clone(plane));
    let readiness =
        async move || if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = async move || {
        look(&figures);
        let text = figures.figures.recorder.render();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
    };
    Router::new()
        .route("/livez", get(async || StatusCode::OK))
        .route("/readyz", get(readiness))
        .route("/metrics", get(text))
}

/// What is told as it happens.
pub(crate) struct Figures {
    recorder: Prometheus,
    /// How long it took to verify a token.
    pub(crate) verify: Histogram,
    /// How long it took to decide a request.
    pub(crate) decide: Histogram,
    /// How long a commit took.
    pub(crate) commit: Histogram,
    /// How long after its own commit this node had applied it.
    pub(crate) apply: Histogram,
    /// How often a change was planned anew.
    pub(crate) retries: Counter,
    /// How often the store was read in place of a replica that was too old.
    pub(crate) read_through: Counter,
    /// How often there was nothing to decide by.
    pub(crate) stale: Counter,
}

impl Figures {
    pub(crate) fn new() -> Self {
        let recorder = Prometheus::new();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_histogram!("palisade_verify_seconds", "how long it took to verify a token");
            metrics::describe_histogram!("palisade_decide_seconds", "how long it took to decide a request");
            metrics::describe_histogram!("palisade_commit_seconds", "how long a commit took");
            metrics::describe_histogram!(
                "palisade_apply_seconds",
                "how long after its own commit this node had applied it"
            );
            metrics::describe_counter!(
                "palisade_change_retries_total",
                "changes planned anew after a conflict"
            );
            metrics::describe_counter!(
                "palisade_read_through_total",
                "readings of the store in place of a replica that was too old"
            );
            metrics::describe_counter!("palisade_stale_total", "requests with nothing to decide by");
            metrics::describe_gauge!("palisade_ready", "whether the node answers requests");
            metrics::describe_gauge!(
                "palisade_replica_fresh",
                "whether the replica is within its staleness bound"
            );
            metrics::describe_gauge!("palisade_replica_revision", "what the replica shows");
            metrics::describe_gauge!(
                "palisade_replica_lag",
                "revisions that another replica here shows and it does not"
            );
            metrics::describe_gauge!(
                "palisade_replica_age_seconds",
                "since the store last confirmed the replica"
            );
            metrics::describe_gauge!("palisade_fleet_nodes", "nodes whose words hold");
            metrics::describe_gauge!(
                "palisade_fleet_lag",
                "revisions the slowest node has not said it applied"
            );
            Self {
                recorder: recorder.clone(),
                verify: metrics::histogram!("palisade_verify_seconds"),
                decide: metrics::histogram!("palisade_decide_seconds"),
                commit: metrics::histogram!("palisade_commit_seconds"),
                apply: metrics::histogram!("palisade_apply_seconds"),
                retries: metrics::counter!("palisade_change_retries_total"),
                read_through: metrics::counter!("palisade_read_through_total"),
                stale: metrics::counter!("palisade_stale_total"),
            }
        })
    }
}

/// Awaits `work`, and notes how long it took.
pub(crate) async fn timed<T>(histogram: &Histogram, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = work.await;
    histogram.record(began.elapsed());
    result
}

/// Tells what is so at this moment.
fn look(plane: &ControlPlane<Backend>) {
    let now = plane.clock.now();
    let replicas = [
        ("projects", plane.replicas.projects.freshness(now)),
        ("ssh-keys", plane.replicas.keys.freshness(now)),
        ("directory", plane.replicas.iam.freshness(now)),
        ("tokens", plane.vault.replica().freshness(now)),
    ];
    metrics::with_local_recorder(&plane.figures.recorder, || {
        let newest = replicas.iter().map(|(_, freshness)| freshness.applied.get()).max().unwrap_or_default();
        for (replica, freshness) in &replicas {
            look_at_replica(replica, freshness, newest, now);
        }
        metrics::gauge!("palisade_ready").set(flag(plane.is_ready()));
        for (name, value) in plane.store.figures() {
            let name = format!("palisade_store_{name}");
            if name.ends_with("_total") {
                metrics::counter!(name).absolute(value);
            } else {
                metrics::gauge!(name).set(float(value));
            }
        }
        if let Some(fleet) = plane.fleet.get() {
            let snapshot = fleet.replica().snapshot();
            let live = || snapshot.view().nodes(now).filter(|node| node.is_live);
            let slowest = live().map(|node| node.applied.get()).min().unwrap_or(newest);
            metrics::gauge!("palisade_fleet_nodes").set(float(live().map(|_| 1_u64).sum()));
            metrics::gauge!("palisade_fleet_lag").set(float(newest.saturating_sub(slowest)));
        }
    });
}

fn look_at_replica(replica: &'static str, freshness: &Freshness, newest: u64, now: UnixTime) {
    let applied = freshness.applied.get();
    metrics::gauge!("palisade_replica_fresh", "replica" => replica).set(flag(freshness.is_fresh));
    metrics::gauge!("palisade_replica_revision", "replica" => replica).set(float(applied));
    metrics::gauge!("palisade_replica_lag", "replica" => replica).set(float(newest.saturating_sub(applied)));
    metrics::gauge!("palisade_replica_age_seconds", "replica" => replica)
        .set(now.saturating_since(freshness.confirmed_at));
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The nearest floating-point number.
fn float(number: u64) -> f64 {
    let half = |number: u64| f64::from(u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default());
    half(number >> 32).mul_add(4_294_967_296.0, half(number))
}
