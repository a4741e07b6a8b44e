//! The four calls of the control port, as docs/reference/control-protocol.md writes them down.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{post, put},
};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tinydancer_crds::Digest;
use tinydancer_engine::artifact;
use tinydancer_history::Feedback;
use tinydancer_protocol::{
    ASSIGNMENT_PATH, AcceptError, Assignment, MODELS_PATH, PEER_FEEDBACK_PATH, Refusal, RefusalReason, Report,
};
use tokio::{task::spawn_blocking, time::timeout};

use super::peer::Peer;
use crate::runtime::{AssignError, FeedbackError, ModelError, PutModelError, Runtime};

/// Most bytes of an assignment: a policy's candidates, many times over.
const ASSIGNMENT_BYTES: usize = 1 << 20;
/// Most bytes of one feedback.
const FEEDBACK_BYTES: usize = 16 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The control port's calls; each connection adds its [`Peer`].
pub(crate) fn router(runtime: Arc<Runtime>) -> Router {
    let operator = Router::new()
        .route(ASSIGNMENT_PATH, put(assign).get(report))
        .route(&format!("{MODELS_PATH}/{{digest}}"), put(put_model))
        .route_layer(middleware::from_fn_with_state((Arc::clone(&runtime), Peer::Operator), only));
    let routers = Router::new()
        .route(PEER_FEEDBACK_PATH, post(take_over))
        .route_layer(middleware::from_fn_with_state((Arc::clone(&runtime), Peer::Router), only));
    operator.merge(routers).with_state(runtime)
}

async fn only(
    State((runtime, wanted)): State<(Arc<Runtime>, Peer)>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if peer == wanted {
        return next.run(request).await;
    }
    let message = match wanted {
        Peer::Operator => "the certificate must be the operator's",
        Peer::Router | Peer::Stranger => "the certificate must be that of a router of this policy",
    };
    Refused::new(StatusCode::FORBIDDEN, RefusalReason::Forbidden, message).at(&runtime)
}

async fn report(State(runtime): State<Arc<Runtime>>) -> Json<Report> {
    Json(runtime.report())
}

async fn assign(State(runtime): State<Arc<Runtime>>, body: Body) -> Response {
    let taken = async {
        let assignment: Assignment = json(body, ASSIGNMENT_BYTES).await?;
        let taker = Arc::clone(&runtime);
        on_a_thread(move || taker.assign(assignment)).await
    };
    match taken.await {
        Ok(report) => Json(report).into_response(),
        Err(refused) => refused.at(&runtime),
    }
}

async fn put_model(State(runtime): State<Arc<Runtime>>, Path(digest): Path<String>, body: Body) -> Response {
    let taken = async {
        let digest: Digest = digest.parse().map_err(|error| {
            let message = format!("the digest in the path {error}");
            Refused::new(StatusCode::BAD_REQUEST, RefusalReason::Malformed, message)
        })?;
        let bytes = read(body, artifact::MOST_BYTES).await?;
        let taker = Arc::clone(&runtime);
        on_a_thread(move || taker.put_model(digest, bytes.into())).await
    };
    match taken.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => refused.at(&runtime),
    }
}

async fn take_over(State(runtime): State<Arc<Runtime>>, body: Body) -> Response {
    let taken = async {
        let feedback: Feedback = json(body, FEEDBACK_BYTES).await?;
        runtime.take_over(feedback).await.map_err(Refused::from)
    };
    match taken.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => refused.at(&runtime),
    }
}

async fn json<Message: DeserializeOwned>(body: Body, most: usize) -> Result<Message, Refused> {
    let bytes = read(body, most).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body must be a message of this protocol: {error}");
        Refused::new(StatusCode::BAD_REQUEST, RefusalReason::Malformed, message)
    })
}

async fn read(body: Body, most: usize) -> Result<Bytes, Refused> {
    let Ok(read) = timeout(BODY_TIME, to_bytes(body, most)).await else {
        let message = "the body must arrive within ten seconds";
        return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, RefusalReason::Malformed, message));
    };
    read.map_err(|error| {
        if std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            let message = format!("the body must have at most {most} bytes");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, RefusalReason::TooLarge, message)
        } else {
            Refused::new(StatusCode::BAD_REQUEST, RefusalReason::Malformed, "the body must arrive whole")
        }
    })
}

/// Runs what waits for the disk.
async fn on_a_thread<Value, Error>(
    work: impl FnOnce() -> Result<Value, Error> + Send + 'static,
) -> Result<Value, Refused>
where
    Value: Send + 'static,
    Error: Into<Refused> + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => {
            tracing::error!(%error, "a call of the control port ended in a panic");
            Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                RefusalReason::Unavailable,
                "failed inside; see the log",
            ))
        }
    }
}

/// A call that is not answered with 200.
struct Refused {
    status: StatusCode,
    reason: RefusalReason,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    fn at(self, runtime: &Runtime) -> Response {
        let epoch = runtime.epoch();
        (self.status, Json(Refusal { reason: self.reason, message: self.message, epoch })).into_response()
    }
}

impl From<AssignError> for Refused {
    fn from(error: AssignError) -> Self {
        let (status, reason) = match &error {
            AssignError::WrongPolicy { .. } => (StatusCode::FORBIDDEN, RefusalReason::WrongPolicy),
            AssignError::NotAcceptable(AcceptError::Stale { .. }) => {
                (StatusCode::CONFLICT, RefusalReason::StaleEpoch)
            }
            AssignError::NotAcceptable(AcceptError::Conflict(_)) => {
                (StatusCode::CONFLICT, RefusalReason::EpochConflict)
            }
            AssignError::NotAcceptable(
                AcceptError::ProtocolVersion(_)
                | AcceptError::Weight(_)
                | AcceptError::WatchBesideTrial
                | AcceptError::NothingToWatch,
            ) => (StatusCode::BAD_REQUEST, RefusalReason::Malformed),
            AssignError::Unavailable(_) => (StatusCode::INSUFFICIENT_STORAGE, RefusalReason::Unavailable),
        };
        Self::new(status, reason, error.to_string())
    }
}

impl From<PutModelError> for Refused {
    fn from(error: PutModelError) -> Self {
        let (status, reason) = match &error {
            PutModelError::Refused(ModelError::TooLarge) => {
                (StatusCode::PAYLOAD_TOO_LARGE, RefusalReason::TooLarge)
            }
            PutModelError::Refused(ModelError::DigestMismatch { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, RefusalReason::DigestMismatch)
            }
            PutModelError::Refused(ModelError::Artifact(_) | ModelError::Replay(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, RefusalReason::ArtifactInvalid)
            }
            PutModelError::Unavailable(_) => (StatusCode::INSUFFICIENT_STORAGE, RefusalReason::Unavailable),
        };
        Self::new(status, reason, error.to_string())
    }
}

impl From<FeedbackError> for Refused {
    fn from(error: FeedbackError) -> Self {
        let (status, reason) = match &error {
            FeedbackError::Unavailable(_) => (StatusCode::INSUFFICIENT_STORAGE, RefusalReason::Unavailable),
            FeedbackError::AlreadyGiven
            | FeedbackError::IdempotencyKey
            | FeedbackError::OtherPod
            | FeedbackError::Score
            | FeedbackError::UnknownDecision(_) => (StatusCode::BAD_REQUEST, RefusalReason::Malformed),
        };
        Self::new(status, reason, error.to_string())
    }
}
