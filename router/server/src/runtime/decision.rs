//! What is asked of the runtime for one request, and what it answers.

use std::collections::BTreeMap;

use tinydancer_crds::{Digest, routing_policy::Tier};
use tinydancer_engine::calibration::ConformalSet;

use super::{audits::AuditedDecision, decision_id::DecisionId};

/// One request to decide on.
#[derive(Debug, Clone, Copy)]
pub struct DecisionInput<'a> {
    /// The text that is classified.
    pub text: &'a str,
    /// The request's tags.
    pub tags: &'a BTreeMap<String, String>,
    /// The request's embedding, where the caller has one; [`super::Runtime::check_embedding`] says whether it fits.
    pub embedding: Option<&'a [f32]>,
    /// What keeps requests that belong together in one arm: conversation, user or request id, in that order.
    /// Without one, each request is drawn by itself.
    pub sticky_key: Option<&'a [u8]>,
}

/// Whose decision counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arm {
    /// The stable model's.
    Stable,
    /// The model's on trial.
    Candidate,
    /// Nobody's: no model could classify the request.
    Unclassified,
}

impl Arm {
    /// The word in answers, metrics and history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Unclassified => "none",
        }
    }
}

/// What a model is to a request that it scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelRole {
    /// The stable model.
    Stable,
    /// The model on trial.
    Candidate,
    /// The model before the promoted one, in the watch.
    Previous,
}

impl ModelRole {
    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Previous => "previous",
        }
    }
}

/// How long one model took to score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoringTime {
    /// What the model is to the request.
    pub role: ModelRole,
    /// How long it took.
    pub microseconds: f64,
}

/// How long the parts of a decision took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stages {
    /// Reading the features.
    pub features_us: f64,
    /// Scoring, in every arm that scored.
    pub inference_us: f64,
    /// From the call to the answer.
    pub total_us: f64,
}

/// Which tier answers a request, and all there is to say about why.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the answer")]
pub struct RoutingDecision {
    /// Names the decision towards clients; feedback refers to it.
    pub id: DecisionId,
    /// The tier that answers; where `explored`, the other one than was decided.
    pub tier: Tier,
    /// Whether the rule asks that Powerful stand by for Lightweight's answer.
    pub fallback: bool,
    /// Whose decision counted.
    pub arm: Arm,
    /// The model that decided.
    pub digest: Option<Digest>,
    /// `(p2 - p1) + (1 - p3)`, unrounded; higher means more reason for Powerful.
    pub score: Option<f32>,
    /// Probability that Lightweight is good enough.
    pub confidence: Option<f32>,
    /// `min(p, 1 - p)` of the confidence.
    pub uncertainty: Option<f32>,
    /// Share of the prompt's words that the model does not know; `None` with few words, and for a model without words.
    pub novelty: Option<f32>,
    /// The answers to "is Lightweight good enough" that cannot be ruled out; `None` for a model without such sets.
    pub set: Option<ConformalSet>,
    /// How many of the request's tags the model knows; `None` without tags.
    pub known_tags: Option<usize>,
    /// Whether the engine could not say anything about this request.
    pub abstained: bool,
    /// Code of the reason, as the engine writes it.
    pub reason: &'static str,
    /// Whether a model classified the request; `false` is "failed open to Powerful".
    pub classified: bool,
    /// Whether it goes to the other tier than was decided, to learn about that one.
    pub explored: bool,
    /// What is needed to audit the answer; `None` where it is not to be audited.
    pub audit: Option<Box<AuditedDecision>>,
    /// How long each model took that scored.
    pub scoring: [Option<ScoringTime>; 2],
    /// How long it took.
    pub latency: Stages,
}
