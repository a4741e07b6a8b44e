//! When a breaker opens and for how long.

use std::time::Duration;

/// Settings of a breaker. A zero where at least one is needed is read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failures within the window that opens it, in thousandths.
    pub failure_rate_permille: u16,
    /// Whether the share must also be far above what is usual of the upstream: then it opens when the lower bound of the share
    /// within the window is more than `failure_rate_permille` and more than three times the share of the last hours.
    pub adaptive: bool,
    /// Requests the window must have for the share to count.
    pub minimum_requests: u32,
    /// How far back the share looks.
    pub window: Duration,
    /// How long it stays open the first time.
    pub open_seconds: u32,
    /// How long it stays open at most.
    pub max_open_seconds: u32,
    /// Calls admitted to try the upstream; all must succeed to close it.
    pub half_open_probes: u32,
}

impl Default for Settings {
    /// The defaults of a policy.
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_rate_permille: 500,
            adaptive: false,
            minimum_requests: 20,
            window: Duration::from_secs(10),
            open_seconds: 5,
            max_open_seconds: 300,
            half_open_probes: 3,
        }
    }
}

impl Settings {
    /// How long to stay open when it opens for the `attempt`th time in a row, counted from 0: doubled
    /// each time up to the most, then somewhere in the upper half of that, so that a fleet does not
    /// probe in step.
    pub(crate) fn open_for(&self, attempt: u32, jitter: u64) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        let seconds = self.open_seconds.max(1).saturating_mul(factor).min(self.max_open_seconds.max(1));
        let half = Duration::from_secs(u64::from(seconds)) / 2;
        half + half.mul_f64(jitter as f64 / u64::MAX as f64)
    }
}
