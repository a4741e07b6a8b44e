//! Calls that succeeded while a breaker is closed, counted by each thread at its own place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Period;
use super::sync::{AtomicU64, PLACES, place};
use super::window::{BUCKETS, Counts, Ruler, Window};

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
struct Place([AtomicU64; BUCKETS]);

impl Successes {
    pub(super) fn new(ruler: Ruler, period: Period) -> Self {
        let place = || Place(std::array::from_fn(|_| AtomicU64::new(Tally::none_of(period).0)));
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
        let bucket = &self.places[place()].0[(number % BUCKETS as u64) as usize];
        let mut seen = bucket.load(Ordering::Acquire);
        while still_its_period() {
            let counted = Tally(seen).with_one_more(number).0;
            match bucket.compare_exchange_weak(seen, counted, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// All that were counted since they were last taken.
    pub(super) fn take(&self, now: Duration) -> Window {
        self.sum(now, |bucket| {
            let some = Tally(bucket.load(Ordering::Relaxed)).count() > 0;
            Tally(if some { bucket.fetch_and(!Tally::COUNT, Ordering::Relaxed) } else { 0 })
        })
    }

    /// The same, left where they are.
    pub(super) fn peek(&self, now: Duration) -> Window {
        self.sum(now, |bucket| Tally(bucket.load(Ordering::Relaxed)))
    }

    fn sum(&self, now: Duration, read: impl Fn(&AtomicU64) -> Tally) -> Window {
        let latest = self.ruler.number(now);
        let mut window = Window::new(self.ruler);
        for tally in self.places.iter().flat_map(|place| &place.0).map(read) {
            if tally.count() > 0 {
                window.add(tally.number(latest), Counts { requests: tally.count(), failures: 0 });
            }
        }
        window
    }

    /// Begins a period. What threads are still about to count for an earlier one comes to nothing.
    pub(super) fn begin(&self, period: Period) {
        for bucket in self.places.iter().flat_map(|place| &place.0) {
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
