//! When a replica may write: a pure rule over what it has seen of the Lease and over its own monotonic clock.
//!
//! No clock is compared with another machine's. A holder counts as gone when this replica has seen no renewal for a
//! whole lease on its own clock; the holder itself stops writing a margin earlier, counted from the moment it *began*
//! its last successful renewal. Clocks may be hours apart or jump; only their rates matter, and the margin covers
//! rates that differ by a third.

use std::time::Duration;

/// Time since this process started, on its monotonic clock.
pub(super) type Moment = Duration;

/// The times of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Without a renewal for this long, others may take the Lease.
    pub lease: Duration,
    /// How often the holder renews.
    pub renew: Duration,
    /// How much earlier than the others the holder believes it lost the Lease.
    pub margin: Duration,
}

impl Timing {
    /// Fifteen seconds, renewed every two, given up after ten.
    pub(super) const DEFAULT: Self = Self {
        lease: Duration::from_secs(15),
        renew: Duration::from_secs(2),
        margin: Duration::from_secs(5),
    };
}

/// What a read of the Lease showed: everything a holder changes with a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it; empty after a release.
    pub holder: String,
    /// The renew time as text; never compared with a clock, only with itself.
    pub renewed: String,
    /// How often it changed hands.
    pub transitions: i32,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the Lease, holding it.
    Create,
    /// Write oneself into it, guarded by the version that was read.
    Take,
    /// Renew it, guarded by the version that was read.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// One replica's view of the Lease.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    identity: String,
    timing: Timing,
    observed: Option<(Seen, Moment)>,
    began: Option<Moment>,
}

impl Rule {
    /// A replica that has seen nothing yet. `identity` must be new with every start of the process: a successor may
    /// not mistake its predecessor's Lease for its own.
    pub(super) fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, observed: None, began: None }
    }

    /// Takes in what a read showed (`None`: no Lease) and says what to do.
    pub(super) fn observe(&mut self, seen: Option<Seen>, now: Moment) -> Step {
        let Some(seen) = seen else {
            self.observed = None;
            self.began = None;
            return Step::Create;
        };
        let mine = seen.holder == self.identity;
        let free = seen.holder.is_empty();
        let since = match &self.observed {
            Some((standing, since)) if *standing == seen => *since,
            _ => now,
        };
        self.observed = Some((seen, since));
        if mine {
            return Step::Renew;
        }
        self.began = None;
        let expired = now.saturating_sub(since) >= self.timing.lease;
        if free || expired { Step::Take } else { Step::Wait }
    }

    /// A write that began at `began` succeeded and left the Lease as `seen`.
    pub(super) fn wrote(&mut self, seen: Seen, began: Moment) {
        self.observed = Some((seen, began));
        self.began = Some(began);
    }

    /// The moment from which on this replica must not write; `None` if it does not hold the Lease.
    pub(super) fn holds_until(&self) -> Option<Moment> {
        self.began.map(|began| began + self.timing.lease.saturating_sub(self.timing.margin))
    }

    /// Whether this replica may write now.
    #[cfg(test)]
    fn may_write(&self, now: Moment) -> bool {
        self.holds_until().is_some_and(|end| now < end)
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
