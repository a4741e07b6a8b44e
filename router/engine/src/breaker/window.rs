//! Counts of the recent past, in a ring of buckets that expire by themselves.

use std::time::Duration;

/// Buckets of a window.
pub(crate) const BUCKETS: usize = 10;

/// The narrowest bucket.
const NARROWEST: Duration = Duration::from_millis(1);

/// Requests and failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u32,
    pub(crate) failures: u32,
}

/// Calls that succeeded and were counted elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Those within the window.
    pub(crate) recent: Window,
    /// All, however long ago.
    pub(crate) all: u64,
}

/// How time is cut into buckets, numbered from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ruler {
    bucket_nanoseconds: u64,
}

impl Ruler {
    /// A tenth of the window a bucket.
    pub(crate) fn new(width: Duration) -> Self {
        Self { bucket_nanoseconds: nanoseconds(width / BUCKETS as u32).max(nanoseconds(NARROWEST)) }
    }

    /// The bucket that `now` is in.
    pub(crate) fn number(self, now: Duration) -> u64 {
        nanoseconds(now) / self.bucket_nanoseconds
    }
}

/// A ring of buckets, each as wide as a tenth of the window.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    ruler: Ruler,
    ring: [Bucket; BUCKETS],
}

/// Counts of one tenth, numbered from the start of time.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    number: u64,
    counts: Counts,
}

impl Window {
    pub(crate) fn new(ruler: Ruler) -> Self {
        Self { ruler, ring: [Bucket::default(); BUCKETS] }
    }

    /// Counts one finished call. Time does not go back between calls.
    pub(crate) fn count(&mut self, failed: bool, now: Duration) {
        self.add(self.ruler.number(now), Counts { requests: 1, failures: u32::from(failed) });
    }

    /// Counts what was counted elsewhere for a bucket; nothing where that is older than the window.
    pub(crate) fn add(&mut self, number: u64, counts: Counts) {
        let bucket = &mut self.ring[(number % BUCKETS as u64) as usize];
        if bucket.number < number {
            *bucket = Bucket { number, counts };
        } else if bucket.number == number {
            bucket.counts = bucket.counts.plus(counts);
        }
    }

    /// Counts what another window has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for bucket in &other.ring {
            self.add(bucket.number, bucket.counts);
        }
    }

    /// The counts of the last window before `now`.
    pub(crate) fn counts(&self, now: Duration) -> Counts {
        let number = self.ruler.number(now);
        let recent = self.ring.iter().filter(|bucket| bucket.number + BUCKETS as u64 > number);
        recent.fold(Counts::default(), |sum, bucket| sum.plus(bucket.counts))
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            failures: self.failures.saturating_add(other.failures),
        }
    }
}

/// Enough for 584 years.
fn nanoseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let mut window = Window::new(Ruler::new(seconds(10)));
        window.count(true, seconds(3));
        window.count(false, seconds(12));
        assert_eq!(window.counts(seconds(12)), Counts { requests: 2, failures: 1 });
        assert_eq!(window.counts(seconds(13)), Counts { requests: 1, failures: 0 });
        assert_eq!(window.counts(seconds(10_000)), Counts::default());
    }

    #[test]
    fn a_bucket_is_used_again_without_its_old_counts() {
        let mut window = Window::new(Ruler::new(seconds(10)));
        window.count(true, seconds(3));
        window.count(false, seconds(13));
        assert_eq!(window.counts(seconds(13)), Counts { requests: 1, failures: 0 });
    }

    #[test]
    fn what_was_counted_elsewhere_counts_where_it_belongs_and_not_at_all_once_it_is_too_old() {
        let mut window = Window::new(Ruler::new(seconds(10)));
        window.count(true, seconds(13));
        for number in [3, 13, 14] {
            window.add(number, Counts { requests: 5, failures: 0 });
        }
        assert_eq!(window.counts(seconds(14)), Counts { requests: 11, failures: 1 });
        assert_eq!(window.counts(seconds(23)), Counts { requests: 5, failures: 0 });
    }
}
