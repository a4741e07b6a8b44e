//! A circuit breaker for one upstream.
//!
//! It opens after failures in a row or on a failure rate with a minimum of requests, stays open
//! for an exponentially growing time with jitter, then admits exactly the probes and closes only
//! when all of them succeed. Time and random numbers are handed in. Reading its state changes
//! nothing.

mod core;
mod settings;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::core::Core;
pub use self::core::Snapshot;
pub use self::settings::Settings;

/// A circuit breaker. Clones share one state.
#[derive(Debug, Clone)]
pub struct Breaker {
    core: Arc<Mutex<Core>>,
}

/// What a finished call says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Success,
    /// It failed in a way that is its own fault.
    Failure,
}

/// The state as people and metrics see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Every call is admitted.
    Closed,
    /// No call is admitted.
    Open,
    /// Probes are admitted.
    HalfOpen,
}

/// Whether a call may be made.
#[derive(Debug)]
pub enum Admission {
    /// It may; the permit takes its outcome.
    Admit(Permit),
    /// It may not.
    Refuse {
        /// When asking again may help.
        retry_after: Duration,
    },
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        Self { core: Arc::new(Mutex::new(Core::new(settings))) }
    }

    /// Asks to make a call at `now`, the time since some fixed start.
    pub fn admit(&self, now: Duration) -> Admission {
        match self.lock().admit(now) {
            Ok(period) => Admission::Admit(Permit { breaker: self.clone(), period: Some(period) }),
            Err(retry_after) => Admission::Refuse { retry_after },
        }
    }

    /// The state at `now`. Changes nothing and takes no probe.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        self.lock().snapshot(now)
    }

    /// The state is whole after every step, so a thread that panicked elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call. Dropped without an outcome (the client went away, the call was
/// never made, the failure was the request's own) it counts as nothing and gives a probe back.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing about the upstream"]
pub struct Permit {
    breaker: Breaker,
    /// The period in which it was given; taken when the outcome is recorded.
    period: Option<u64>,
}

impl Permit {
    /// Records the outcome of the call at `now`. `jitter` is any random number; it spreads the time
    /// for which the breaker opens, should it open now.
    pub fn record(mut self, outcome: Outcome, now: Duration, jitter: u64) {
        if let Some(period) = self.period.take() {
            self.breaker.lock().record(period, outcome, now, jitter);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(period) = self.period.take() {
            self.breaker.lock().abandon(period);
        }
    }
}
