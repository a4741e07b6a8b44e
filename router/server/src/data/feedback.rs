//! `POST /v1/feedback`: what became of a decision.

use std::{error::Error as _, sync::Arc, time::Duration};

use axum::{Json, body::Body, extract::State};
use http::StatusCode;
use serde::Serialize;

use super::{
    DataPlane,
    body::{parse, read},
    error::ApiError,
};
use crate::runtime::{Feedback, FeedbackAccepted, FeedbackError, FeedbackOutcome};

/// When to try again where feedback cannot be kept.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Feedback is durable.
#[derive(Debug, Serialize)]
pub(super) struct FeedbackAnswer {
    status: &'static str,
}

/// Takes feedback; 200 only once no crash loses it.
pub(super) async fn take(
    State(plane): State<Arc<DataPlane>>,
    body: Body,
) -> Result<Json<FeedbackAnswer>, ApiError> {
    let body = read(&plane, body, plane.limits.small_body).await?;
    let feedback: Feedback = parse(&body)?;
    let outcome = outcome_name(feedback.outcome);
    match plane.runtime.feedback(feedback).await {
        Ok(accepted) => {
            let status = match accepted {
                FeedbackAccepted::Recorded => "recorded",
                FeedbackAccepted::Forwarding => "forwarding",
            };
            plane.metrics.feedback(outcome, status);
            Ok(Json(FeedbackAnswer { status }))
        }
        Err(error) => {
            let (result, error) = refusal(&error);
            plane.metrics.feedback(outcome, result);
            Err(error)
        }
    }
}

fn refusal(error: &FeedbackError) -> (&'static str, ApiError) {
    let refused = |status, code, field: &str| ApiError::new(status, code, error.to_string()).about(field);
    match error {
        FeedbackError::UnknownDecision(_) | FeedbackError::OtherPod => {
            ("unknown", refused(StatusCode::NOT_FOUND, "unknown_decision", "decision_id"))
        }
        FeedbackError::Score => ("invalid", refused(StatusCode::BAD_REQUEST, "invalid_value", "score")),
        FeedbackError::IdempotencyKey => {
            ("invalid", refused(StatusCode::BAD_REQUEST, "invalid_value", "idempotency_key"))
        }
        FeedbackError::AlreadyGiven => {
            ("conflict", refused(StatusCode::CONFLICT, "already_given", "decision_id"))
        }
        FeedbackError::Unavailable(cause) => {
            let source = cause.source().map(ToString::to_string);
            tracing::warn!(error = %cause, source, "failed to keep feedback");
            let full = matches!(cause, tinydancer_history::HistoryError::Full);
            let status =
                if full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::SERVICE_UNAVAILABLE };
            let unavailable = ApiError::new(status, "feedback_unavailable", error.to_string());
            ("unavailable", unavailable.retry_after(COME_AGAIN))
        }
    }
}

fn outcome_name(outcome: FeedbackOutcome) -> &'static str {
    match outcome {
        FeedbackOutcome::Good => "good",
        FeedbackOutcome::Underpowered => "underpowered",
        FeedbackOutcome::Overpowered => "overpowered",
        FeedbackOutcome::Failed => "failed",
    }
}
