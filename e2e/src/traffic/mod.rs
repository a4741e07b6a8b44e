//! A steady client that runs as a pod: sends prompts at a rate, counts what comes back, and remembers which feedback
//! was acknowledged.
//!
//! `PUT /wish` says what to send, `GET /counts` what came back, `POST /verify` asks every owner whether it still has
//! the feedback it acknowledged.

mod counts;
mod sender;
mod verify;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use counts::Counts;
pub use verify::{Verified, VerifyWish};

use crate::prompts::PromptSet;

/// What to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Wish {
    /// Base URL of the fleet, such as `http://support`.
    pub target: String,
    /// Requests a second; 0 sends nothing.
    pub rate_per_second: u32,
    /// Which prompts.
    pub prompts: PromptSet,
    /// Number of conversations the requests belong to.
    pub conversations: u64,
    /// Every n-th request asks for a stream; 0 none.
    pub stream_every: u64,
    /// Whether each decision is followed by feedback.
    pub feedback: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            target: String::new(),
            rate_per_second: 0,
            prompts: PromptSet::Everyday,
            conversations: 5000,
            stream_every: 10,
            feedback: false,
        }
    }
}

/// What the client's parts share.
pub(crate) struct Client {
    wish: watch::Sender<Wish>,
    counts: counts::Counter,
    acknowledged: verify::Acknowledged,
}

/// The client's routes; sending starts with them.
pub fn router(wish: Wish) -> Router {
    let client = Arc::new(Client {
        wish: watch::Sender::new(wish),
        counts: counts::Counter::default(),
        acknowledged: verify::Acknowledged::default(),
    });
    tokio::spawn(sender::send(Arc::clone(&client)));
    Router::new()
        .route("/wish", put(set_wish))
        .route("/counts", get(read_counts).delete(reset_counts))
        .route("/verify", post(check_feedback))
        .route("/livez", get(|| async { "ok" }))
        .with_state(client)
}

async fn set_wish(State(client): State<Arc<Client>>, Json(wish): Json<Wish>) -> StatusCode {
    client.wish.send_replace(wish);
    StatusCode::NO_CONTENT
}

async fn read_counts(State(client): State<Arc<Client>>) -> Json<Counts> {
    Json(client.counts.read())
}

async fn reset_counts(State(client): State<Arc<Client>>) -> StatusCode {
    client.counts.reset();
    StatusCode::NO_CONTENT
}

async fn check_feedback(State(client): State<Arc<Client>>, Json(wish): Json<VerifyWish>) -> Json<Verified> {
    Json(verify::verify(&client.acknowledged, &wish).await)
}
