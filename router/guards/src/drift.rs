//! Whether what comes in still looks like what a model was made for.

use serde::{Deserialize, Serialize};

use crate::betting::{Moments, Null, Shape, log_growth};

/// Shares below this count as this, so that an empty bin is no infinite change.
const SMALLEST_SHARE: f64 = 1e-4;

/// Population stability index of two lists of shares over the same bins: `sum (b - a) ln(b / a)`. By custom below 0.1 is
/// little and above 0.25 much; it is shown and decides nothing.
pub fn psi(reference: &[f64], seen: &[f64]) -> f64 {
    let parts = reference.iter().zip(seen).map(|(reference, seen)| {
        let (reference, seen) = (reference.max(SMALLEST_SHARE), seen.max(SMALLEST_SHARE));
        (seen - reference) * (seen / reference).ln()
    });
    parts.sum()
}

/// Requests between two false alarms, at least in the mean, if the mean stays just at the margin.
pub const RUN_LENGTH: f64 = 1e6;

/// A test, after every request, of whether the mean of a number between 0 and 1 has left a reference by more than a
/// margin. An e-detector of the CUSUM kind (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential
/// change detection", 2022): a bet on each direction that starts anew whenever it has lost its stake, so that a long good
/// time does not delay the alarm; the mean time to a false alarm is at least [`RUN_LENGTH`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InputDrift {
    above: Side,
    below: Side,
    /// Numbers seen.
    observations: u64,
    sum: f64,
}

/// Where the mean went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drift {
    /// Above the reference and its margin.
    Above,
    /// Below them.
    Below,
}

/// The bet on one direction: sums since it last began.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Side {
    observations: u64,
    sum: f64,
    sum_of_squares: f64,
    log_wealth: f64,
    /// The largest it ever was: an alarm stays.
    largest: f64,
}

impl InputDrift {
    /// Takes a number between 0 and 1; anything else is left out.
    pub fn observe(&mut self, value: f64, reference: f64, margin: f64) {
        if !(0.0..=1.0).contains(&value) {
            return;
        }
        self.observations += 1;
        self.sum += value;
        // The bets want a range that is symmetric about 0.
        let (value, reference) = (value - 0.5, reference - 0.5);
        self.above.bet(value, Null::AtMost(reference + margin));
        self.below.bet(value, Null::AtLeast(reference - margin));
    }

    /// Whether the mean has left, and where to; it stays so until the test begins anew.
    pub fn drift(&self) -> Option<Drift> {
        // Two directions share the false alarms.
        let limit = (2.0 * RUN_LENGTH).ln();
        let sides = [(self.above, Drift::Above), (self.below, Drift::Below)];
        sides.into_iter().find(|(side, _)| side.largest >= limit).map(|(_, drift)| drift)
    }

    /// Mean of all numbers, and how many; none before the first.
    pub fn mean(&self) -> Option<(f64, u64)> {
        (self.observations > 0).then(|| (self.sum / self.observations as f64, self.observations))
    }
}

impl Side {
    fn bet(&mut self, value: f64, null: Null) {
        let moments =
            Moments { observations: self.observations, sum: self.sum, sum_of_squares: self.sum_of_squares };
        self.log_wealth += log_growth(&moments, Shape::Symmetric { half_range: 0.5 }, null, value);
        self.largest = self.largest.max(self.log_wealth);
        self.observations += 1;
        self.sum += value;
        self.sum_of_squares += value * value;
        let excess = match null {
            Null::AtMost(mean) => self.sum - self.observations as f64 * mean,
            Null::AtLeast(mean) => self.observations as f64 * mean - self.sum,
        };
        if self.log_wealth < 0.0 || (self.log_wealth <= 0.0 && excess <= 0.0) {
            *self = Self { largest: self.largest, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests;
