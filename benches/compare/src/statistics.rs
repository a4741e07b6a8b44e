//! What is told of repeated turns.

use serde::Serialize;

/// The middle of the turns and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Half of the turns were faster.
    pub median: f64,
    /// Three of four turns were slower.
    pub low: f64,
    /// Three of four turns were faster.
    pub high: f64,
}

impl Summary {
    /// Of at least one turn.
    pub fn of(turns: &[f64]) -> Option<Self> {
        Some(Self {
            median: quantile(turns, 0.5)?,
            low: quantile(turns, 0.25)?,
            high: quantile(turns, 0.75)?,
        })
    }

    /// How far the middle half of the turns lies apart, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.high - self.low) / self.median
    }
}

/// The smallest value that at least this share of the values does not exceed.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.0));
        assert_eq!(quantile(&values, 0.99), Some(4.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn one_slow_turn_moves_nothing() {
        let calm = Summary::of(&[10.0; 9]);
        let mut turns = vec![10.0; 8];
        turns.push(1e9);
        assert_eq!(Summary::of(&turns), calm);
    }
}
