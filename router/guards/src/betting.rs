//! One-sided tests by betting on bounded observations.
//!
//! Under H0 "the conditional mean of x in `[low, high]` is at most m", the wealth `prod (1 + lambda_t (x_t - m))` is a
//! supermartingale for every bet `lambda_t` in `[0, 1/(m - low)]` that depends on the past only. By Ville's inequality it
//! ever reaches `1/alpha` with probability at most alpha, whenever one looks. The bet decides only the power: it is the
//! predictable plug-in of Waudby-Smith and Ramdas (2024, section B.3, "approximate GRAPA"), clipped.

/// Bets stay below this share of the largest one, so that one observation costs at most `ln 2` of log-wealth. The source
/// proposes 1/2 or 3/4; on rare observations far from the rest (a flip in twenty requests, all in one direction) the
/// plug-in bets too much, and with 3/4 the wealth hardly grows however harmless the model is.
const CLIP: f64 = 0.5;

/// Observations that agree with the null, put before the real ones: the first bets are small.
const PRIOR_OBSERVATIONS: f64 = 10.0;

/// The smallest distance between null and lower bound that a bet is computed with.
const SMALLEST_RANGE: f64 = 1e-3;

/// Sums of the observations so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Moments {
    /// How many.
    pub(crate) observations: u64,
    /// Their sum.
    pub(crate) sum: f64,
    /// The sum of their squares.
    pub(crate) sum_of_squares: f64,
}

impl Moments {
    /// The sum of squared deviations from the mean; never negative.
    pub(crate) fn squared_deviations(&self) -> f64 {
        if self.observations == 0 {
            return 0.0;
        }
        (self.sum_of_squares - self.sum * self.sum / self.observations as f64).max(0.0)
    }
}

/// What the observations look like; chooses the bet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// 0 or 1: the variance under the null is known.
    Binary,
    /// Any value between `-half_range` and `half_range`; the variance is learned.
    Symmetric {
        /// Half the width of the range.
        half_range: f64,
    },
}

/// Which mean the null hypothesis claims.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Null {
    /// The mean is at most this.
    AtMost(f64),
    /// The mean is at least this.
    AtLeast(f64),
}

/// What the natural logarithm of the wealth gains by this observation, given the observations before it.
pub(crate) fn log_growth(past: &Moments, shape: Shape, null: Null, observation: f64) -> f64 {
    let (low, high) = match shape {
        Shape::Binary => (0.0, 1.0),
        Shape::Symmetric { half_range } => (-half_range, half_range),
    };
    // "At least" is "at most" in a mirror.
    let (mean, low, high, sum, observation) = match null {
        Null::AtMost(mean) => (mean, low, high, past.sum, observation),
        Null::AtLeast(mean) => (-mean, -high, -low, -past.sum, -observation),
    };
    let count = past.observations as f64;
    let excess = (sum - count * mean) / (count + PRIOR_OBSERVATIONS);
    if excess <= 0.0 {
        // Nothing is staked, and about half of all tests always stand so: no logarithm is due.
        return 0.0;
    }
    let spread = match shape {
        // Kelly's bet for two outcomes.
        Shape::Binary => (mean - low) * (high - mean),
        Shape::Symmetric { half_range } => {
            let prior = half_range * half_range / 4.0;
            (prior + past.squared_deviations()) / (count + 1.0) + excess * excess
        }
    };
    let largest = CLIP / (mean - low).max(SMALLEST_RANGE);
    let bet = (excess / spread).min(largest);
    (bet * (observation - mean)).ln_1p()
}

#[cfg(test)]
mod tests;
