//! A breaker that threads share, and the right to a call that it gives.

use std::sync::PoisonError;
use std::sync::atomic::{self, Ordering};
use std::time::Duration;

use super::core::{Core, Period};
use super::successes::Successes;
use super::sync::{Arc, AtomicU64, Mutex, MutexGuard};
use super::window::Ruler;
use super::{Outcome, Settings, Snapshot};

/// A circuit breaker. Clones share one state.
#[derive(Debug, Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What `core` decided last. Written only by who holds `core`.
    published: Published,
    successes: Successes,
    core: Mutex<Core>,
}

/// The word of a [`Period`], apart from everything that is written more often.
#[derive(Debug)]
#[repr(align(128))]
struct Published(AtomicU64);

/// Whether a call may be made.
#[derive(Debug)]
pub enum Admission {
    /// It may; the permit goes back with its outcome.
    Admit(Permit),
    /// It may not.
    Refuse {
        /// When asking again may help.
        retry_after: Duration,
    },
}

/// The right to make one call. Dropped without an outcome (the client went away, the call was
/// never made, the failure was the request's own) it counts as nothing and gives a probe back.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing about the upstream"]
pub struct Permit(Right);

#[derive(Debug)]
enum Right {
    /// One of any number while it is closed: nothing to give back.
    Call(Period),
    Probe(Probe),
}

/// One of the probes.
#[derive(Debug)]
struct Probe {
    shared: Arc<Shared>,
    period: Period,
    spent: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        static BREAKERS: atomic::AtomicU64 = atomic::AtomicU64::new(0);
        let period = Period::first(BREAKERS.fetch_add(1, Ordering::Relaxed));
        let shared = Shared {
            published: Published(AtomicU64::new(period.to_word())),
            successes: Successes::new(Ruler::new(settings.window), period),
            core: Mutex::new(Core::new(settings, period)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Asks to make a call at `now`, the time since some fixed start.
    #[inline]
    pub fn admit(&self, now: Duration) -> Admission {
        let period = self.shared.period();
        if period.is_closed() {
            return Admission::Admit(Permit(Right::Call(period)));
        }
        self.admit_probe(now)
    }

    /// Whether [`Breaker::admit`] would say yes. Changes nothing and takes no probe.
    #[inline]
    pub fn admits(&self, now: Duration) -> bool {
        self.shared.period().is_closed() || self.snapshot(now).admits
    }

    /// Takes the outcome of a call that it admitted, at `now`; a permit of another breaker says
    /// nothing. `jitter` is any random number; it spreads the time for which the breaker opens,
    /// should it open now.
    #[inline]
    pub fn record(&self, permit: Permit, outcome: Outcome, now: Duration, jitter: u64) {
        match (permit.0, outcome) {
            (Right::Call(period), Outcome::Success) => {
                self.shared.successes.count(now, || self.shared.period() == period);
            }
            (Right::Call(period), Outcome::Failure) => {
                self.shared.finish(period, outcome, now, jitter);
            }
            (Right::Probe(mut probe), _) => {
                probe.spent = self.shared.finish(probe.period, outcome, now, jitter);
            }
        }
    }

    /// The state at `now`. Changes nothing and takes no probe.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let core = self.shared.lock();
        core.snapshot(now, &self.shared.successes.peek(now))
    }

    #[cold]
    fn admit_probe(&self, now: Duration) -> Admission {
        let mut core = self.shared.lock();
        let admitted = core.admit(now);
        self.shared.publish(&core);
        match admitted {
            Ok(period) if period.is_closed() => Admission::Admit(Permit(Right::Call(period))),
            Ok(period) => {
                let shared = Arc::clone(&self.shared);
                Admission::Admit(Permit(Right::Probe(Probe { shared, period, spent: false })))
            }
            Err(retry_after) => Admission::Refuse { retry_after },
        }
    }
}

impl Shared {
    #[inline]
    fn period(&self) -> Period {
        Period::of_word(self.published.0.load(Ordering::Acquire))
    }

    /// Takes an outcome, unless its period is over; says whether it did.
    #[cold]
    fn finish(&self, period: Period, outcome: Outcome, now: Duration, jitter: u64) -> bool {
        let mut core = self.lock();
        if core.period() != period {
            return false;
        }
        if period.is_closed() {
            core.succeeded(&self.successes.take(now), now);
        }
        core.record(outcome, now, jitter);
        self.publish(&core);
        true
    }

    /// Tells all threads what `core`, which the caller holds, has decided.
    fn publish(&self, core: &Core) {
        let period = core.period();
        if period == self.period() {
            return;
        }
        if period.is_closed() {
            self.successes.begin(period);
        }
        self.published.0.store(period.to_word(), Ordering::Release);
    }

    /// The state is whole after every step, so a thread that panicked elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        let mut core = self.shared.lock();
        if core.period() == self.period {
            core.abandon();
        }
    }
}
