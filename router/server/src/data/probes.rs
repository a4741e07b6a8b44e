//! Probes and metrics. Never refused for load.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use super::DataPlane;
use crate::runtime::Readiness;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The router has finished to start: what it starts from was read before it began to listen. What it still lacks then,
/// such as an assignment, comes through the control port and is no reason to start it again.
pub(super) async fn started() -> &'static str {
    "ok\n"
}

/// Requests may be sent here.
pub(super) async fn ready(State(plane): State<Arc<DataPlane>>) -> Response {
    if plane.is_draining() {
        return waiting("stopping");
    }
    match plane.runtime.ready() {
        Readiness::Ready { classified: true } => "ok\n".into_response(),
        Readiness::Ready { classified: false } => {
            "ok, without a model: everything goes to Powerful\n".into_response()
        }
        Readiness::Waiting(reason) => waiting(reason),
    }
}

/// What Prometheus reads.
pub(super) async fn metrics(State(plane): State<Arc<DataPlane>>) -> Response {
    let text = move || plane.metrics.text(&plane.upstreams, &plane.history, &plane.runtime);
    match tokio::task::spawn_blocking(text).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Ok(Err(_)) | Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "failed to write the metrics\n").into_response()
        }
    }
}

fn waiting(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}
