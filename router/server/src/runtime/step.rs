//! What happened since an epoch was accepted.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tinydancer_guards::{Arm, Bucket, BucketsSeen};
use tinydancer_protocol::StepProgress;

use super::{beside::millis, lock::lock};

/// Counts of one epoch.
#[derive(Debug)]
pub(crate) struct Step {
    accepted: Duration,
    candidate_decisions: AtomicU64,
    stable_decisions: AtomicU64,
    pairs: AtomicU64,
    buckets: Mutex<BucketsSeen>,
}

impl Step {
    pub(crate) fn starting(accepted: Duration) -> Self {
        Self {
            accepted,
            candidate_decisions: AtomicU64::new(0),
            stable_decisions: AtomicU64::new(0),
            pairs: AtomicU64::new(0),
            buckets: Mutex::default(),
        }
    }

    /// One more decision of this arm.
    pub(crate) fn count_decision(&self, arm: Arm) {
        let counter = match arm {
            Arm::Candidate => &self.candidate_decisions,
            Arm::Stable => &self.stable_decisions,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One more request that both models scored.
    pub(crate) fn count_pair(&self) {
        self.pairs.fetch_add(1, Ordering::Relaxed);
    }

    /// A request of this bucket was decided by this arm, at the weight of this epoch.
    pub(crate) fn see(&self, bucket: Bucket, arm: Arm) {
        lock(&self.buckets).see(bucket, arm);
    }

    pub(crate) fn progress(&self, now: Duration) -> StepProgress {
        let buckets = lock(&self.buckets);
        StepProgress {
            elapsed_millis: millis(now.saturating_sub(self.accepted)),
            candidate_decisions: self.candidate_decisions.load(Ordering::Relaxed),
            stable_decisions: self.stable_decisions.load(Ordering::Relaxed),
            pairs: self.pairs.load(Ordering::Relaxed),
            candidate_buckets: buckets.count(Arm::Candidate),
            stable_buckets: buckets.count(Arm::Stable),
        }
    }
}
