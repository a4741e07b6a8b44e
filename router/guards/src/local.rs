//! The pod's own emergency brake for a model whose engine fails. It needs no operator and no other model.

use serde::{Deserialize, Serialize};

use crate::betting::{Moments, Null, Shape, log_growth};
use crate::guard::GuardName;

/// Faults in a row that trip at once: death.
const CONSECUTIVE_FAULTS: u32 = 5;
/// The share of faults that a sick model exceeds.
const FAULT_RATE: f64 = 0.01;
/// The chance that a model below that share is ever tripped.
const ALPHA: f64 = 1e-3;

/// Why a pod took a model out of service by itself. Written as one word: `ConsecutiveFaults`, `FaultRate` or a guard's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TripCause {
    /// Five faults in a row.
    ConsecutiveFaults,
    /// More than one fault in a hundred, with a false alarm chance of one in a thousand.
    FaultRate,
    /// A guard that this pod judged alone.
    #[serde(untagged)]
    Guard(GuardName),
}

impl TripCause {
    /// The word serde writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFaults => "ConsecutiveFaults",
            Self::FaultRate => "FaultRate",
            Self::Guard(guard) => guard.as_str(),
        }
    }
}

/// A word that names no cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trip cause must be ConsecutiveFaults, FaultRate or the name of a guard, not {0:?}")]
pub struct UnknownTripCause(String);

impl std::str::FromStr for TripCause {
    type Err = UnknownTripCause;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::ConsecutiveFaults, Self::FaultRate]
            .into_iter()
            .chain(GuardName::ALL.map(Self::Guard))
            .find(|cause| cause.as_str() == word)
            .ok_or_else(|| UnknownTripCause(word.to_owned()))
    }
}

impl std::fmt::Display for TripCause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Watches one digest's faults. Death is seen by a run of faults, sickness by an e-process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LocalTrip {
    consecutive: u32,
    past: Moments,
    log_wealth: f64,
    cause: Option<TripCause>,
}

impl LocalTrip {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one scoring; says why the digest is out of service, from the scoring on that shows it.
    pub fn observe(&mut self, fault: bool) -> Option<TripCause> {
        let value = f64::from(u8::from(fault));
        self.log_wealth += log_growth(&self.past, Shape::Binary, Null::AtMost(FAULT_RATE), value);
        self.past.observations = self.past.observations.saturating_add(1);
        self.past.sum += value;
        self.past.sum_of_squares += value;
        self.consecutive = if fault { self.consecutive.saturating_add(1) } else { 0 };
        if self.cause.is_none() {
            if self.consecutive >= CONSECUTIVE_FAULTS {
                self.cause = Some(TripCause::ConsecutiveFaults);
            } else if self.log_wealth >= (1.0 / ALPHA).ln() {
                self.cause = Some(TripCause::FaultRate);
            }
        }
        self.cause
    }

    /// Why the digest is out of service; sticky.
    pub fn cause(&self) -> Option<TripCause> {
        self.cause
    }
}

#[cfg(test)]
mod tests;
