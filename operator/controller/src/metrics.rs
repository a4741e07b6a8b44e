//! What the operator counts, and the port it is read on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{
    calibration_metrics::CalibrationMetrics, leader::Leadership, readiness::Readiness,
    rollout_metrics::RolloutMetrics,
};

/// A reconcile of one controller and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// `policy` or `model`.
    pub controller: &'static str,
    /// `success`, `standby`, or the class of the error.
    pub outcome: &'static str,
}

/// The controller alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabels {
    /// `policy` or `model`.
    pub controller: &'static str,
}

/// A write to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    /// Kind of the object.
    pub kind: String,
    /// `create`, `apply`, `update` or `delete`.
    pub verb: &'static str,
}

/// An event and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// One of the documented reasons.
    pub reason: String,
}

/// A call, by what it was and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// What was called for.
    pub call: &'static str,
    /// How it ended.
    pub outcome: &'static str,
}

/// Everything that is counted. Cloning shares the counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Reconciles by controller and outcome.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// How long they took.
    pub seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    /// Writes to the API server that succeeded.
    pub writes: Family<WriteLabels, Counter>,
    /// Events by reason.
    pub events: Family<EventLabels, Counter>,
    /// Calls to routers.
    pub router_calls: Family<CallLabels, Counter>,
    /// Artifact fetches.
    pub fetches: Family<CallLabels, Counter>,
    /// 1 while this replica may write.
    pub leading: Gauge,
    /// Transitions and running trials.
    pub rollouts: RolloutMetrics,
    /// What audits say.
    pub calibration: CalibrationMetrics,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.005, 2.0, 13));
        let mut metrics = Self {
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            writes: Family::default(),
            events: Family::default(),
            router_calls: Family::default(),
            fetches: Family::default(),
            leading: Gauge::default(),
            rollouts: RolloutMetrics::default(),
            calibration: CalibrationMetrics::default(),
            registry: Arc::default(),
        };
        let mut root = Registry::default();
        root.sub_registry_with_prefix("tinydancer_rollout")
            .register_collector(Box::new(metrics.rollouts.clone()));
        root.sub_registry_with_prefix("tinydancer_calibration")
            .register_collector(Box::new(metrics.calibration.clone()));
        let registry = root.sub_registry_with_prefix("tinydancer_operator");
        registry.register("reconciles", "Reconciles by controller and outcome", metrics.reconciles.clone());
        registry.register("reconcile_seconds", "How long a reconcile took", metrics.seconds.clone());
        registry.register("writes", "Writes to the API server that succeeded", metrics.writes.clone());
        registry.register("events", "Events by reason", metrics.events.clone());
        registry.register(
            "router_calls",
            "Calls to routers by call and outcome",
            metrics.router_calls.clone(),
        );
        registry.register(
            "artifact_fetches",
            "Artifact fetches by source and outcome",
            metrics.fetches.clone(),
        );
        registry.register("leading", "1 while this replica may write", metrics.leading.clone());
        metrics.registry = Arc::new(root);
        metrics
    }
}

impl Metrics {
    /// Counts one reconcile.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { controller, outcome }).inc();
        self.seconds.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
    }

    /// Counts one write.
    pub fn wrote(&self, kind: &str, verb: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind: kind.to_owned(), verb }).inc();
    }

    /// Everything as `OpenMetrics` text.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[derive(Clone)]
struct Page {
    metrics: Metrics,
    readiness: Readiness,
    leadership: Leadership,
}

/// Serves /livez, /readyz and /metrics until the process ends.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    readiness: Readiness,
    leadership: Leadership,
) -> std::io::Result<()> {
    let page = Page { metrics, readiness, leadership };
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(page);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, routes).await
}

async fn livez(State(page): State<Page>) -> impl IntoResponse {
    if page.leadership.is_stalled() {
        (StatusCode::INTERNAL_SERVER_ERROR, "the loop that renews the Lease stands still")
    } else {
        (StatusCode::OK, "ok")
    }
}

async fn readyz(State(page): State<Page>) -> impl IntoResponse {
    match page.readiness.waiting_for() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}")),
    }
}

async fn text(State(page): State<Page>) -> impl IntoResponse {
    let leads = page.leadership.may_write();
    page.metrics.leading.set(i64::from(leads));
    if !leads {
        page.metrics.rollouts.stand_by();
        page.metrics.calibration.stand_by();
    }
    match page.metrics.text() {
        Ok(text) => (
            StatusCode::OK,
            [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::default();
        metrics.wrote("StatefulSet", "create");
        metrics.reconciled("policy", "success", Duration::from_millis(7));
        let text = metrics.text().unwrap();
        assert!(
            text.contains(r#"tinydancer_operator_writes_total{kind="StatefulSet",verb="create"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"tinydancer_operator_reconcile_seconds_count{controller="policy"} 1"#),
            "{text}"
        );
    }
}
