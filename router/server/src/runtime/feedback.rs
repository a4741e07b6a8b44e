//! What clients say about answers, and what upstreams made of requests.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tinydancer_history::{Feedback as FeedbackRecord, HistoryError, IdempotencyKey};
pub use tinydancer_history::{FeedbackOutcome, FeedbackSource};

/// Longest key a caller may give.
const LONGEST_KEY: usize = 256;

/// What somebody says about the answer to one decision: the body of `POST /v1/feedback`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// The decision, as it was named in the answer.
    pub decision_id: String,
    /// How good the routing was.
    pub outcome: FeedbackOutcome,
    /// How good the answer was, 0 to 1.
    #[serde(default)]
    pub score: Option<f64>,
    /// Who says so.
    #[serde(default = "client")]
    pub source: FeedbackSource,
    /// Makes a repetition the same feedback. Without one, the same content is.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

const fn client() -> FeedbackSource {
    FeedbackSource::Client
}

/// Feedback that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackAccepted {
    /// Kept here, where the decision was made.
    Recorded,
    /// Kept here until the pod that decided has it.
    Forwarding,
}

/// Why feedback is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// The decision's name is none of this fleet's.
    #[error(transparent)]
    UnknownDecision(#[from] super::decision_id::DecisionIdError),
    /// The score is not 0 to 1.
    #[error("`score` must be 0 to 1")]
    Score,
    /// The key is empty or too long.
    #[error("`idempotency_key` must have 1 to {LONGEST_KEY} bytes")]
    IdempotencyKey,
    /// There is other feedback for this decision; the first one counts.
    #[error("`decision_id` has other feedback already: there is one for each decision")]
    AlreadyGiven,
    /// Another pod asked this one to keep feedback on a decision of a third.
    #[error("`decision_id` must be a decision of this pod")]
    OtherPod,
    /// It cannot be made durable right now.
    #[error("failed to keep the feedback: try again later")]
    Unavailable(#[source] HistoryError),
}

impl From<HistoryError> for FeedbackError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::AlreadyGiven => Self::AlreadyGiven,
            error => Self::Unavailable(error),
        }
    }
}

impl Feedback {
    /// Checks it and makes it what is stored.
    pub(crate) fn into_record(self) -> Result<FeedbackRecord, FeedbackError> {
        check_score(self.score)?;
        let idempotency_key = match &self.idempotency_key {
            Some(key) if key.is_empty() || key.len() > LONGEST_KEY => {
                return Err(FeedbackError::IdempotencyKey);
            }
            Some(key) => IdempotencyKey::new(&self.decision_id, key),
            None => IdempotencyKey::of_content(&self.decision_id, self.outcome, self.score, self.source),
        };
        Ok(FeedbackRecord {
            decision_id: self.decision_id,
            idempotency_key,
            outcome: self.outcome,
            score: self.score,
            source: self.source,
            at: seconds_since_1970(),
        })
    }
}

/// Whether a score is one.
pub(crate) fn check_score(score: Option<f64>) -> Result<(), FeedbackError> {
    if score.is_none_or(|score| (0.0..=1.0).contains(&score)) { Ok(()) } else { Err(FeedbackError::Score) }
}

/// Now, for people who read the history.
pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// What an upstream made of a request. Availability, not quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamOutcome {
    /// Whether an answer came to its end.
    pub succeeded: bool,
    /// Until the answer was complete.
    pub latency_millis: u64,
    /// Tokens of the prompt, where the upstream said so.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, where the upstream said so.
    pub completion_tokens: Option<u64>,
    /// What it cost by the policy's prices, in millionths of a dollar.
    pub cost_micro_dollars: Option<u64>,
}
