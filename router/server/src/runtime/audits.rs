//! What is known of a request whose answer is audited, and what the grader said.

use std::sync::Arc;

use tinydancer_crds::{Configuration, Digest, routing_policy::Tier};
use tinydancer_engine::{Tier as EngineTier, calibration::ConformalSet};
use tinydancer_history::{LabelSet, Pair, Scored};

use super::{
    DecisionId, Runtime, decide::stored_tier, feedback::seconds_since_1970, lock::lock, opinions::Opinion,
};

/// How good the answers of both tiers to one request are, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grades {
    lightweight: f32,
    powerful: f32,
}

impl Grades {
    /// `None` where one is not 0 to 1.
    pub fn new(lightweight: f32, powerful: f32) -> Option<Self> {
        let both = [lightweight, powerful].iter().all(|grade| (0.0..=1.0).contains(grade));
        both.then_some(Self { lightweight, powerful })
    }

    /// Of Lightweight's answer.
    pub fn lightweight(self) -> f32 {
        self.lightweight
    }

    /// Of Powerful's answer.
    pub fn powerful(self) -> f32 {
        self.powerful
    }

    /// What is lost with Lightweight.
    pub(super) fn regret(self) -> f64 {
        f64::from((self.powerful - self.lightweight).max(0.0))
    }

    /// Whether Lightweight is at least as good.
    pub(super) fn good_enough(self) -> bool {
        self.lightweight >= self.powerful
    }
}

/// What is kept of a decision until its answer is graded: numbers, no text.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedDecision {
    pub(super) id: DecisionId,
    /// What held when the decision was made.
    pub(super) configuration: Arc<Configuration>,
    /// The tier that was asked, and with which probability it was.
    pub(super) taken: Tier,
    pub(super) propensity: f32,
    pub(super) decided: ModelScore,
    /// What another model said that scored the request as well.
    pub(super) beside: Option<ModelScore>,
}

impl AuditedDecision {
    /// Whether this configuration held when the decision was made.
    pub(crate) fn was_made_under(&self, configuration: &Arc<Configuration>) -> bool {
        Arc::ptr_eq(&self.configuration, configuration)
    }
}

/// What one model said about a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ModelScore {
    pub(super) digest: Digest,
    pub(super) score: f32,
    pub(super) good_enough: f32,
    pub(super) set: Option<ConformalSet>,
    /// How often such sets should hold the truth, in thousandths.
    pub(super) promised: Option<u16>,
    /// The model's rule chose Lightweight.
    pub(super) lightweight: bool,
    /// So new that Powerful answers whatever the threshold.
    pub(super) novel: bool,
}

impl ModelScore {
    pub(super) fn of(opinion: &Opinion<'_>) -> Option<Self> {
        let (score, decision) = opinion.scored?;
        let sets = &opinion.model.engine().metadata().calibration.sets;
        Some(Self {
            digest: opinion.model.digest(),
            score: score.score,
            good_enough: score.good_enough,
            set: score.set,
            promised: sets.first().map(|sets| sets.coverage_permille),
            lightweight: decision.tier == EngineTier::Lightweight,
            novel: score.novel,
        })
    }

    /// Whether the set holds the truth; a model without sets is not asked.
    pub(super) fn covers(&self, grades: Grades) -> Option<bool> {
        self.set.map(|set| if grades.good_enough() { set.good_enough } else { set.not_good_enough })
    }

    fn stored(&self) -> Scored {
        let set = |set: ConformalSet| LabelSet {
            good_enough: set.good_enough,
            not_good_enough: set.not_good_enough,
        };
        Scored {
            digest: self.digest.to_string(),
            score: self.score,
            good_enough: self.good_enough,
            set: self.set.map(set),
        }
    }
}

impl Runtime {
    /// Keeps the grades of an audited request, and adds them to the sums of every model that scored it. Never waits; says
    /// whether the history took them. Sums that it did not take are written with the next pair.
    pub fn record_audit(&self, decision: &AuditedDecision, grades: Grades) -> bool {
        let pair = Pair {
            decision_id: decision.id.to_string(),
            at: seconds_since_1970(),
            decided: decision.decided.stored(),
            tier: stored_tier(decision.taken),
            propensity: decision.propensity,
            lightweight: grades.lightweight,
            powerful: grades.powerful,
            beside: decision.beside.as_ref().map(ModelScore::stored),
        };
        if let Some(ledger) = &self.arms.load().ledger {
            ledger.observe_audit(decision, grades);
        }
        // Queued under the lock, so that larger sums are never overwritten by smaller ones.
        let mut sums = lock(&self.sums);
        let changed = sums.add(decision, grades);
        self.history.record_pair(pair, changed)
    }
}
