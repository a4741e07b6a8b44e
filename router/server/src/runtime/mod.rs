//! The deciding heart of a router: the models, the trial, the evidence and what is kept of it all.
//!
//! [`Runtime`] is shared behind an `Arc`. Deciding reads one immutable snapshot, touches no disk and waits for nobody but
//! the few instructions that add an observation to the evidence.

mod decision;
mod decision_id;
mod feedback;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tinydancer_crds::{Configuration, routing_policy::Tier};
use tokio::sync::watch;
use uuid::Uuid;

pub use decision::{Arm, DecisionInput, RoutingDecision, Stages};
pub use decision_id::{DecisionId, DecisionIdError, DecisionKey};
pub use feedback::{
    Feedback, FeedbackAccepted, FeedbackError, FeedbackOutcome, FeedbackSource, UpstreamOutcome,
};

/// Whether requests can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready {
        /// Whether a model classifies them; without one everything goes to Powerful.
        classified: bool,
    },
    /// Not yet, and what is waited for.
    Waiting(&'static str),
}

/// Decides, counts and remembers. Share it behind an `Arc`; every method may be called from many tasks at once.
#[derive(Debug)]
pub struct Runtime {
    pod: Box<str>,
    key: ArcSwap<DecisionKey>,
    configuration: watch::Sender<Arc<Configuration>>,
}

impl Runtime {
    /// Decides on one request: microseconds, no disk, never an error. Without a model, or if it fails on this request,
    /// the answer is Powerful and `classified` is false.
    pub fn decide(&self, _input: &DecisionInput<'_>) -> RoutingDecision {
        RoutingDecision {
            id: self.key.load().name(&self.pod, Arm::Unclassified, None, Uuid::now_v7()),
            tier: Tier::Powerful,
            fallback: false,
            arm: Arm::Unclassified,
            digest: None,
            score: None,
            confidence: None,
            uncertainty: None,
            abstained: true,
            reason: tinydancer_engine::Reason::NotClassified.as_str(),
            classified: false,
            latency: Stages::default(),
        }
    }

    /// The configuration that holds.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.configuration.borrow().clone()
    }

    /// Tells when another configuration holds.
    pub fn configuration_changes(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.subscribe()
    }

    /// Whether requests can be taken.
    pub fn ready(&self) -> Readiness {
        Readiness::Ready { classified: false }
    }

    /// Keeps what an upstream made of a request. Never waits: under pressure the record is dropped and counted.
    pub fn record_outcome(&self, _id: &DecisionId, _outcome: UpstreamOutcome) {}

    /// Takes feedback; when this returns without an error, no crash loses it any more.
    ///
    /// # Errors
    /// [`FeedbackError`]; then nothing was kept.
    pub async fn feedback(&self, feedback: Feedback) -> Result<FeedbackAccepted, FeedbackError> {
        self.key.load().read(&feedback.decision_id)?;
        Err(FeedbackError::Unavailable("the history is not open".into()))
    }
}
