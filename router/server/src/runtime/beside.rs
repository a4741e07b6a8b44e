//! The model that scores beside the stable one, in a trial or in the watch after a promotion.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tinydancer_guards::{BasisPoints, BucketSalt};
use tinydancer_protocol::TrialStage;

use super::{held::HeldAssignment, ledger::Ledger, model::LoadedModel, models::Models};

/// A second model. There is never more than one: the protocol allows a trial or a watch.
#[derive(Debug, Clone)]
pub(crate) enum Beside {
    /// It may become the stable one.
    Trial(TrialArm),
    /// It was the stable one, and may be it again.
    Watch(WatchArm),
}

impl Beside {
    /// What an assignment asks for, of the models that are there; none beside another stable model than the assigned one,
    /// because the evidence would be about something else.
    pub(crate) fn of(
        held: &HeldAssignment,
        models: &Models,
        stable: Option<&Arc<LoadedModel>>,
        lease: Option<&Arc<Lease>>,
        ledger: Option<&Arc<Ledger>>,
    ) -> Option<Self> {
        let assigned = held.assignment.stable.as_ref().map(|model| model.digest);
        if stable.map(|model| model.digest()) != assigned {
            return None;
        }
        let ledger = Arc::clone(ledger?);
        if let Some(watch) = &held.assignment.watch {
            let previous = models.verified(watch.previous.digest).cloned();
            return Some(Self::Watch(WatchArm { previous, ledger }));
        }
        let trial = held.live_trial().filter(|trial| trial.stage != TrialStage::Staging)?;
        Some(Self::Trial(TrialArm {
            candidate: Arc::clone(models.verified(trial.model.digest)?),
            salt: BucketSalt::new(&trial.model.digest.to_string()),
            weight: if trial.stage == TrialStage::Canary { trial.weight } else { BasisPoints::ZERO },
            lease: Arc::clone(lease?),
            ledger,
        }))
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

/// The model before the promoted one. It scores every request, and decides those that the promoted one leaves.
#[derive(Debug, Clone)]
pub(crate) struct WatchArm {
    /// `None` as long as it is not verified here.
    pub(crate) previous: Option<Arc<LoadedModel>>,
    /// The promoted model's.
    pub(crate) ledger: Arc<Ledger>,
}

impl WatchArm {
    /// Whether the promoted model is out of traffic.
    pub(crate) fn is_left(&self) -> bool {
        self.ledger.is_tripped()
    }
}

/// The watch after a promotion, as this pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchState {
    /// There is none.
    None,
    /// The promoted model serves, and is compared with the one before it.
    Watching,
    /// The promoted model tripped; the one before it serves.
    Left,
}

impl WatchState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::None, Self::Watching, Self::Left];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Watching => "watching",
            Self::Left => "left",
        }
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

/// Milliseconds of a duration, as far as 64 bits reach.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
