//! Time that only goes forward, handed in so that tests can move it.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// A monotonic clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock(Instant);

impl MonotonicClock {
    /// Starts to count here.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
