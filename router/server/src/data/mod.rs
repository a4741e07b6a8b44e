//! The HTTP data plane: what applications talk to.

mod admission;
mod body;
mod chat;
mod connection;
mod error;
mod feedback;
mod guarded;
mod limits;
mod messages;
mod models;
mod probes;
mod request;
mod route;
mod server;
mod sticky;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use http::StatusCode;
use tinydancer_history::History;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    audit::Auditor,
    metrics::Metrics,
    runtime::Runtime,
    upstream::{Client, Upstreams},
};

pub use error::ApiError;
pub use limits::Limits;
pub use server::serve;

/// The model name that asks for a decision.
pub const AUTO: &str = "auto";

/// What every request works with.
#[derive(Debug)]
pub struct DataPlane {
    runtime: Arc<Runtime>,
    history: Arc<History>,
    upstreams: Arc<Upstreams>,
    client: Client,
    metrics: Arc<Metrics>,
    auditor: Arc<Auditor>,
    limits: Limits,
    /// Name of the policy: asks for a decision like [`AUTO`].
    policy: String,
    in_flight: Arc<Semaphore>,
    /// Bytes that all bodies together may still take.
    body_room: Arc<Semaphore>,
    draining: AtomicBool,
}

impl DataPlane {
    /// Puts the parts together.
    pub fn new(
        runtime: Arc<Runtime>,
        history: Arc<History>,
        upstreams: Arc<Upstreams>,
        client: Client,
        metrics: Arc<Metrics>,
        limits: Limits,
        policy: String,
    ) -> Self {
        let auditor = Auditor::new(
            Arc::clone(&runtime),
            Arc::clone(&upstreams),
            client.clone(),
            Arc::clone(&metrics),
            limits.upstream_within,
        );
        let in_flight = Arc::new(Semaphore::new(limits.in_flight));
        let body_room = Arc::new(Semaphore::new(limits.all_bodies));
        let draining = AtomicBool::new(false);
        Self {
            runtime,
            history,
            upstreams,
            client,
            metrics,
            auditor,
            limits,
            policy,
            in_flight,
            body_room,
            draining,
        }
    }

    /// From here on the router says that it is not ready, so that no new requests are sent to it.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// All routes of the data port.
pub fn router(plane: Arc<DataPlane>) -> Router {
    let api = Router::new()
        .route("/v1/route", post(route::one))
        .route("/v1/route/batch", post(route::batch))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(models::list))
        .route("/v1/feedback", post(feedback::take))
        .layer(from_fn_with_state(Arc::clone(&plane), admission::admit));
    Router::new()
        .merge(api)
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/startupz", get(probes::started))
        .route("/metrics", get(probes::metrics))
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "unknown_path", "there is nothing at this path")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "the path does not take this method",
            )
        })
        .layer(CatchPanicLayer::custom(admission::after_panic))
        .with_state(plane)
}
