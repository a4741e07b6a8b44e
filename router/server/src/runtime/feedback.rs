//! What clients say about answers, and what upstreams made of requests.

use serde::{Deserialize, Serialize};

/// What somebody says about the answer to one decision. The body of `POST /v1/feedback`, and what pods of one fleet pass
/// on to the pod that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// The decision, as it was named in the answer.
    pub decision_id: String,
    /// What became of it.
    pub outcome: FeedbackOutcome,
    /// How good the answer was, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Who says so.
    #[serde(default)]
    pub source: FeedbackSource,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackOutcome {
    /// The answer was good.
    Good,
    /// A stronger model would have been needed.
    Underpowered,
    /// A cheaper model would have done.
    Overpowered,
    /// There was no usable answer.
    Failed,
}

/// Who gives feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackSource {
    /// The program that asked.
    #[default]
    Client,
    /// A person.
    User,
    /// A model that grades.
    Judge,
    /// A check that can prove right and wrong.
    Verifier,
}

/// Feedback that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackAccepted {
    /// Kept here, where the decision was made.
    Recorded,
    /// The same decision has feedback already; the first one counts.
    Duplicate,
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
    /// It cannot be made durable right now.
    #[error("failed to keep the feedback: try again")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What an upstream made of a request. Availability, not quality.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamOutcome {
    /// Name of the candidate that answered, or was last to fail.
    pub candidate: String,
    /// Whether an answer came to its end.
    pub success: bool,
    /// HTTP status of the upstream, where there was one.
    pub status: Option<u16>,
    /// Upstreams that failed before.
    pub fallbacks: u32,
    /// Milliseconds to the end of the answer.
    pub latency_millis: u64,
    /// Tokens of the request, as the upstream counted them.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, as the upstream counted them.
    pub output_tokens: Option<u64>,
    /// What it cost, in millionths of a dollar.
    pub cost_micro_dollars: Option<u64>,
}
