//! Counts of the recent past, in a ring of buckets that expire by themselves.

use std::time::Duration;

/// Buckets of a window.
const BUCKETS: usize = 10;

/// Requests and failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u32,
    pub(crate) failures: u32,
}

/// A ring of buckets, each as wide as a tenth of the window.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    bucket_nanoseconds: u64,
    ring: [Bucket; BUCKETS],
}

/// Counts of one tenth, numbered from the start of time.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    number: u64,
    counts: Counts,
}

impl Window {
    pub(crate) fn new(width: Duration) -> Self {
        let bucket_nanoseconds = (nanoseconds(width) / BUCKETS as u64).max(1);
        Self { bucket_nanoseconds, ring: [Bucket::default(); BUCKETS] }
    }

    /// Counts one finished call. Time does not go back between calls.
    pub(crate) fn count(&mut self, failed: bool, now: Duration) {
        let number = self.number(now);
        let bucket = &mut self.ring[(number % BUCKETS as u64) as usize];
        if bucket.number != number {
            *bucket = Bucket { number, counts: Counts::default() };
        }
        bucket.counts.requests = bucket.counts.requests.saturating_add(1);
        bucket.counts.failures = bucket.counts.failures.saturating_add(u32::from(failed));
    }

    /// The counts of the last window before `now`.
    pub(crate) fn counts(&self, now: Duration) -> Counts {
        let number = self.number(now);
        let recent = self.ring.iter().filter(|bucket| bucket.number + BUCKETS as u64 > number);
        recent.fold(Counts::default(), |sum, bucket| Counts {
            requests: sum.requests.saturating_add(bucket.counts.requests),
            failures: sum.failures.saturating_add(bucket.counts.failures),
        })
    }

    fn number(&self, now: Duration) -> u64 {
        nanoseconds(now) / self.bucket_nanoseconds
    }
}

/// Enough for 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let mut window = Window::new(seconds(10));
        window.count(true, seconds(3));
        window.count(false, seconds(12));
        assert_eq!(window.counts(seconds(12)), Counts { requests: 2, failures: 1 });
        assert_eq!(window.counts(seconds(13)), Counts { requests: 1, failures: 0 });
        assert_eq!(window.counts(seconds(10_000)), Counts::default());
    }

    #[test]
    fn a_bucket_is_used_again_without_its_old_counts() {
        let mut window = Window::new(seconds(10));
        window.count(true, seconds(3));
        window.count(false, seconds(13));
        assert_eq!(window.counts(seconds(13)), Counts { requests: 1, failures: 0 });
    }
}
