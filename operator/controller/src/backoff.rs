//! Growing delays per object, back to the first one after a success. kube's own error policy keeps no state.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// Delays that double from `first` to `most`.
#[derive(Debug)]
pub struct Backoff<K> {
    first: Duration,
    most: Duration,
    failures: HashMap<K, u32>,
}

impl<K: Eq + Hash> Backoff<K> {
    /// No failures yet.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: HashMap::new() }
    }

    /// Notes a failure and says how long to wait. `jitter` in 0 to 1 takes up to a half off, so that objects that
    /// failed together do not come back together.
    pub fn failed(&mut self, key: K, jitter: f64) -> Duration {
        let failures = self.failures.entry(key).or_insert(0);
        let doublings = *failures;
        *failures = failures.saturating_add(1);
        let whole = self
            .first
            .saturating_mul(1_u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX))
            .min(self.most);
        whole.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
    }

    /// Forgets the failures of an object that succeeded or is gone.
    pub fn succeeded(&mut self, key: &K) {
        self.failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff<&'static str> {
        Backoff::new(Duration::from_secs(1), Duration::from_mins(1))
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = backoff();
        let seconds: Vec<_> = (0..9).map(|_| backoff.failed("a", 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_thousand_failures_stay_at_the_longest() {
        let mut backoff = backoff();
        let last = (0..1000).map(|_| backoff.failed("a", 0.0)).last();
        assert_eq!(last, Some(Duration::from_mins(1)));
    }

    #[test]
    fn a_success_starts_anew_and_objects_do_not_share_failures() {
        let mut backoff = backoff();
        backoff.failed("a", 0.0);
        backoff.failed("a", 0.0);
        assert_eq!(backoff.failed("b", 0.0), Duration::from_secs(1));
        backoff.succeeded(&"a");
        assert_eq!(backoff.failed("a", 0.0), Duration::from_secs(1));
    }

    #[test]
    fn jitter_takes_at_most_a_half() {
        assert_eq!(backoff().failed("a", 1.0), Duration::from_millis(500));
        assert_eq!(backoff().failed("a", 7.0), Duration::from_millis(500));
    }
}
