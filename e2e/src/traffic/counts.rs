//! What came back.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// Error texts that are kept for people.
const KEPT_ERRORS: usize = 5;

/// What a client has sent and what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were answered with 200, streams to their last event.
    pub answered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Requests that were not sent, because too many were still under way.
    pub skipped: u64,
    /// Answers by tier.
    pub by_tier: BTreeMap<String, u64>,
    /// Answers by arm.
    pub by_arm: BTreeMap<String, u64>,
    /// Answers by the first twelve digits of the digest that decided; a dash where no model did.
    pub by_digest: BTreeMap<String, u64>,
    /// Answers that no model decided.
    pub unclassified: u64,
    /// Feedback that was acknowledged.
    pub feedback_acknowledged: u64,
    /// Feedback that was not.
    pub feedback_failed: u64,
    /// The first errors, shortened.
    pub errors: Vec<String>,
}

#[derive(Default)]
pub(super) struct Counter(Mutex<Counts>);

impl Counter {
    pub(super) fn with(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
    }

    pub(super) fn failure(&self, error: &str) {
        self.with(|counts| {
            counts.failed += 1;
            if counts.errors.len() < KEPT_ERRORS {
                counts.errors.push(error.chars().take(300).collect());
            }
        });
    }

    pub(super) fn read(&self) -> Counts {
        self.lock().clone()
    }

    pub(super) fn reset(&self) {
        *self.lock() = Counts::default();
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
