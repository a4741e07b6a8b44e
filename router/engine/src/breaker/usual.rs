//! What is usual of an upstream, for thresholds that adapt to it.

use std::time::Duration;

use super::window::Counts;

/// After this time a request counts half.
const HALF_LIFE: Duration = Duration::from_hours(1);
/// Requests before which nothing is usual.
const LEAST: f64 = 100.0;
/// How many times the usual share of failures is too high.
const FACTOR: f64 = 3.0;
/// Standard deviations of a one-sided 97.5 % bound.
const DEVIATIONS: f64 = 1.96;

/// Requests and failures of the last hours, the older the less.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usual {
    requests: f64,
    failures: f64,
    until: Duration,
}

impl Usual {
    /// Counts what ended by `now`, which does not go back.
    pub(crate) fn count(&mut self, requests: u64, failures: u64, now: Duration) {
        let half_lives = now.saturating_sub(self.until).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let kept = (-half_lives).exp2();
        self.requests = self.requests * kept + requests as f64;
        self.failures = self.failures * kept + failures as f64;
        self.until = now;
    }

    /// Whether so many recent failures are surely more than `floor` and more than three times what was usual before.
    pub(crate) fn is_exceeded_by(&self, recent: Counts, floor: f64) -> bool {
        at_least(recent) > floor.max(FACTOR * self.share_before(recent))
    }

    /// The share of failures before the recent requests, which are among those that it has counted.
    fn share_before(&self, recent: Counts) -> f64 {
        let requests = self.requests - f64::from(recent.requests);
        if requests < LEAST {
            return 0.0;
        }
        (self.failures - f64::from(recent.failures)).max(0.0) / requests
    }
}

/// The lower bound of the share of failures (Wilson 1927, the score interval).
fn at_least(counts: Counts) -> f64 {
    if counts.requests == 0 {
        return 0.0;
    }
    let requests = f64::from(counts.requests);
    let share = f64::from(counts.failures) / requests;
    let square = DEVIATIONS * DEVIATIONS / requests;
    let margin = (share * (1.0 - share) * square + square * square / 4.0).sqrt();
    (share + square / 2.0 - margin) / (1.0 + square)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u32, failures: u32) -> Counts {
        Counts { requests, failures }
    }

    #[test]
    fn the_bound_is_that_of_the_score_interval() {
        // 10 of 100: 0.05523 (Newcombe 1998, method 3, to five digits).
        assert!((at_least(counts(100, 10)) - 0.05523).abs() < 1e-5);
        assert!(at_least(counts(7, 0)).abs() < 1e-12 && at_least(counts(0, 0)).abs() < 1e-12);
        assert!(at_least(counts(7, 7)) < 1.0);
    }

    #[test]
    fn what_is_usual_leaves_the_recent_out_and_fades_with_the_hours() {
        let mut usual = Usual::default();
        usual.count(10_000, 1000, Duration::ZERO);
        usual.count(100, 90, Duration::ZERO);
        assert!((usual.share_before(counts(100, 90)) - 0.1).abs() < 1e-9);
        usual.count(10_000, 0, 10 * HALF_LIFE);
        assert!(usual.share_before(counts(0, 0)) < 0.001);
        usual.count(0, 0, 20 * HALF_LIFE);
        assert!(usual.share_before(counts(0, 0)) < f64::EPSILON, "too little is left to be usual");
    }
}
