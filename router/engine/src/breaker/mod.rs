//! A circuit breaker for one upstream.
//!
//! It opens after failures in a row or on a failure rate with a minimum of requests, stays open
//! for an exponentially growing time with jitter, then admits exactly the probes and closes only
//! when all of them succeed. Time and random numbers are handed in. Reading its state changes
//! nothing.
//!
//! While it is closed, a call costs one load of a word that nobody writes, and its success one
//! count at a place of the thread's own. A failure and everything that is not closed go through
//! the state machine of `core`, one at a time; the word says what that machine decided.

#[cfg(test)]
mod against_core;
mod core;
#[cfg(test)]
mod interleavings;
mod settings;
mod shared;
mod successes;
mod sync;
#[cfg(test)]
mod tests;
mod usual;
mod window;

pub use self::core::Snapshot;
pub use self::settings::Settings;
pub use self::shared::{Admission, Breaker, Permit};

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
