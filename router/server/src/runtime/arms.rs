//! What decides right now: one immutable snapshot, replaced as a whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tinydancer_crds::{Configuration, Digest, valid::DecisionRule as ConfiguredRule};
use tinydancer_engine::DecisionRule;
use tinydancer_guards::{BasisPoints, BucketSalt};
use tinydancer_protocol::StepProgress;

use super::{
    held::{HeldAssignment, Models, named_digests},
    ledger::Ledger,
    model::LoadedModel,
};

/// The models that score, by which rule they decide, and the assignment that says so.
#[derive(Debug, Clone)]
pub(crate) struct Arms {
    /// `None` for a router that runs alone, and before the first assignment.
    pub(crate) held: Option<HeldAssignment>,
    /// `None` before the first assignment.
    pub(crate) configuration: Option<Arc<Configuration>>,
    pub(crate) models: Models,
    /// The model that serves. Not the assigned one as long as that is not verified here.
    pub(crate) stable: Option<Arc<LoadedModel>>,
    /// The model that served before.
    pub(crate) previous: Option<Digest>,
    /// The candidate, if it scores.
    pub(crate) trial: Option<TrialArm>,
    /// The memory of the trial that holds, whether the candidate scores or not.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Runs since the last accepted assignment of that trial.
    pub(crate) lease: Option<Arc<Lease>>,
    pub(crate) step: Arc<Step>,
}

impl Arms {
    /// Nothing is known yet.
    pub(crate) fn empty(now: Duration) -> Self {
        Self {
            held: None,
            configuration: None,
            models: Models::default(),
            stable: None,
            previous: None,
            trial: None,
            ledger: None,
            lease: None,
            step: Arc::new(Step::starting(now)),
        }
    }

    /// The rule that holds.
    pub(crate) fn rule(&self) -> DecisionRule {
        self.configuration
            .as_ref()
            .map_or(DecisionRule::Risk { permille: 0 }, |configuration| rule(configuration))
    }

    /// Models of the assignment, the one that serves and the one that served before.
    pub(crate) fn worth_keeping(&self) -> Vec<Digest> {
        let mut keep = self.held.as_ref().map(|held| named_digests(&held.assignment)).unwrap_or_default();
        keep.extend(self.stable.as_ref().map(|model| model.digest()));
        keep.extend(self.previous);
        keep
    }

    /// Share of requests that the candidate decides at this moment.
    pub(crate) fn effective_weight(&self, now: Duration) -> BasisPoints {
        self.trial.as_ref().map_or(BasisPoints::ZERO, |trial| trial.effective_weight(now))
    }
}

/// A candidate that scores every request beside the stable model it is compared with.
#[derive(Debug, Clone)]
pub(crate) struct TrialArm {
    pub(crate) candidate: Arc<LoadedModel>,
    pub(crate) salt: BucketSalt,
    /// What was assigned; 0 outside a canary.
    pub(crate) weight: BasisPoints,
    pub(crate) lease: Arc<Lease>,
    pub(crate) ledger: Arc<Ledger>,
}

impl TrialArm {
    /// The assigned weight while the lease is live and the digest has not tripped, else 0.
    pub(crate) fn effective_weight(&self, now: Duration) -> BasisPoints {
        if self.lease.is_live(now) && !self.ledger.is_tripped() { self.weight } else { BasisPoints::ZERO }
    }
}

/// Until when a candidate's weight holds.
#[derive(Debug)]
pub(crate) struct Lease(AtomicU64);

impl Lease {
    pub(crate) fn until(deadline: Duration) -> Self {
        Self(AtomicU64::new(millis(deadline)))
    }

    pub(crate) fn renew(&self, deadline: Duration) {
        self.0.store(millis(deadline), Ordering::Relaxed);
    }

    fn is_live(&self, now: Duration) -> bool {
        self.remaining_millis(now) > 0
    }

    pub(crate) fn remaining_millis(&self, now: Duration) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(millis(now))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What happened since an epoch was accepted.
#[derive(Debug)]
pub(crate) struct Step {
    accepted: Duration,
    pub(crate) candidate_decisions: AtomicU64,
    pub(crate) stable_decisions: AtomicU64,
    pub(crate) pairs: AtomicU64,
}

impl Step {
    pub(crate) fn starting(accepted: Duration) -> Self {
        Self {
            accepted,
            candidate_decisions: AtomicU64::new(0),
            stable_decisions: AtomicU64::new(0),
            pairs: AtomicU64::new(0),
        }
    }

    pub(crate) fn progress(&self, now: Duration) -> StepProgress {
        StepProgress {
            elapsed_millis: millis(now.saturating_sub(self.accepted)),
            candidate_decisions: self.candidate_decisions.load(Ordering::Relaxed),
            stable_decisions: self.stable_decisions.load(Ordering::Relaxed),
            pairs: self.pairs.load(Ordering::Relaxed),
            candidate_buckets: 0,
            stable_buckets: 0,
        }
    }
}

/// The rule as the engine takes it.
fn rule(configuration: &Configuration) -> DecisionRule {
    match configuration.decision {
        ConfiguredRule::Risk { permille } => DecisionRule::Risk { permille: permille.get() },
        ConfiguredRule::Thresholds { confidence, fallback } => DecisionRule::Thresholds {
            confidence_permille: confidence.get(),
            fallback_permille: fallback.get(),
        },
    }
}
