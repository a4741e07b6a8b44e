//! Calls that succeeded while a breaker is closed, counted by each thread at its own place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Period;
use super::sync::{AtomicU64, PLACES, place};
use super::window::{BUCKETS, Counts, Ruler, Taken, Window};

/// Successes of the recent past that the state machine has not taken yet.
#[derive(Debug)]
pub(super) struct Successes {
    ruler: Ruler,
    places: [Place; PLACES],
}

/// The buckets of the threads of one place, as [`Tally`] packs them. No two places share a cache
/// line, nor a pair of lines that is fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Place {
    buckets: [AtomicU64; BUCKETS],
    /// What was counted in buckets that have begun anew since.
    earlier: AtomicU64,
}

impl Successes {
    pub(super) fn new(ruler: Ruler, period: Period) -> Self {
        let bucket = |_| AtomicU64::new(Tally::none_of(period).0);
        let place = || Place { buckets: std::array::from_fn(bucket), earlier: AtomicU64::new(0) };
        Self { ruler, places: std::array::from_fn(|_| place()) }
    }

    /// Counts one call, unless its period is over.
    ///
    /// The bucket is read before the period. If the bucket is of a later period, reading it has
    /// shown the end of this one; if it is of this one and begins anew in between, the exchange
    /// fails.
    #[inline]
    pub(super) fn count(&self, now: Duration, still_its_period: impl Fn() -> bool) {
        let number = self.ruler.number(now);
        let place = &self.places[place()];
        let bucket = &place.buckets[(number % BUCKETS as u64) as usize];
        let mut seen = bucket.load(Ordering::Acquire);
        while still_its_period() {
            let counted = Tally(seen).with_one_more(number);
            match bucket.compare_exchange_weak(seen, counted.0, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) if counted.count() > 1 => return,
                Ok(_) => {
                    place.earlier.fetch_add(u64::from(Tally(seen).count()), Ordering::Relaxed);
                    return;
                }
                Err(other) => seen = other,
            }
        }
    }

    /// All that were counted since they were last taken.
    pub(super) fn take(&self, now: Duration) -> Taken {
        self.sum(now, |word, these| {
            let some = word.load(Ordering::Relaxed) & these > 0;
            if some { word.fetch_and(!these, Ordering::Relaxed) } else { 0 }
        })
    }

    /// The same, left where they are.
    pub(super) fn peek(&self, now: Duration) -> Taken {
        self.sum(now, |word, _| word.load(Ordering::Relaxed))
    }

    /// What `read` gives of each word, whose counts are in these bits of it.
    fn sum(&self, now: Duration, read: impl Fn(&AtomicU64, u64) -> u64) -> Taken {
        let latest = self.ruler.number(now);
        let mut taken = Taken { recent: Window::new(self.ruler), all: 0 };
        for place in &self.places {
            for bucket in &place.buckets {
                let tally = Tally(read(bucket, Tally::COUNT));
                if tally.count() > 0 {
                    taken.all += u64::from(tally.count());
                    let counts = Counts { requests: tally.count(), failures: 0 };
                    taken.recent.add(tally.number(latest), counts);
                }
            }
            taken.all += read(&place.earlier, u64::MAX);
        }
        taken
    }

    /// Begins a period. What threads are still about to count for an earlier one comes to nothing.
    pub(super) fn begin(&self, period: Period) {
        for bucket in self.places.iter().flat_map(|place| &place.buckets) {
            bucket.swap(Tally::none_of(period).0, Ordering::Release);
        }
    }
}

/// The successes of one bucket at one place in one word: 8 bits that the period ends with, 32 of the
/// bucket's number (136 years of seconds), 24 of the count, which stops there.
#[derive(Debug, Clone, Copy)]
struct Tally(u64);

impl Tally {
    const COUNT: u64 = (1 << 24) - 1;
    /// The lowest bit of a period says no more than that it is closed.
    const PERIOD: u64 = 0xff << 56;

    fn count(self) -> u32 {
        (self.0 & Self::COUNT) as u32
    }

    /// The bucket's whole number, less than half of what 32 bits hold away from `latest`.
    fn number(self, latest: u64) -> u64 {
        latest.saturating_add_signed(i64::from(self.ahead_of(latest)))
    }

    fn ahead_of(self, number: u64) -> i32 {
        ((self.0 >> 24) as u32).wrapping_sub(number as u32).cast_signed()
    }

    /// A thread that comes too late for its bucket counts in the one that has taken its place.
    #[inline]
    fn with_one_more(self, number: u64) -> Self {
        if self.count() == 0 || self.ahead_of(number) < 0 {
            Self(self.0 & Self::PERIOD | u64::from(number as u32) << 24 | 1)
        } else {
            Self(self.0 + u64::from(self.0 & Self::COUNT != Self::COUNT))
        }
    }

    fn none_of(period: Period) -> Self {
        Self(period.to_word() << 55 & Self::PERIOD)
    }
}
