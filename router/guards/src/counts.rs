//! Counts by a small number: kept side by side, so that counting is one addition, and written as a map of those that
//! are not 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts of the numbers below `LIMIT`. The last count that is kept is never 0, so equal counts are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u16, u64>", into = "BTreeMap<u16, u64>")]
pub(crate) struct Counts<const LIMIT: usize>(Vec<u64>);

/// A count of a number that is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("counted number must be below {limit}, not {number}")]
pub(crate) struct CountsError {
    number: u16,
    limit: usize,
}

impl<const LIMIT: usize> Counts<LIMIT> {
    /// Counts this number so many times more; a number above the limit counts as the largest.
    pub(crate) fn add(&mut self, number: usize, times: u64) {
        let number = number.min(LIMIT - 1);
        if times > 0 && number >= self.0.len() {
            self.0.resize(number + 1, 0);
        }
        if let Some(count) = self.0.get_mut(number) {
            *count = count.saturating_add(times);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (number, times) in other.iter() {
            self.add(number, times);
        }
    }

    /// Each number with its count, in order, from 0 to the last that was counted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().enumerate()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The first number up to which at least this share of the counts lies; `None` without any.
    pub(crate) fn quantile(&self, share: f64) -> Option<usize> {
        let wanted = (share.clamp(0.0, 1.0) * self.total() as f64).ceil().max(1.0) as u64;
        let mut seen: u64 = 0;
        self.iter().find_map(|(number, count)| {
            seen = seen.saturating_add(count);
            (seen >= wanted).then_some(number)
        })
    }
}

impl<const LIMIT: usize> TryFrom<BTreeMap<u16, u64>> for Counts<LIMIT> {
    type Error = CountsError;

    fn try_from(map: BTreeMap<u16, u64>) -> Result<Self, CountsError> {
        let mut counts = Self::default();
        for (number, times) in map {
            if usize::from(number) >= LIMIT {
                return Err(CountsError { number, limit: LIMIT });
            }
            counts.add(usize::from(number), times);
        }
        Ok(counts)
    }
}

impl<const LIMIT: usize> From<Counts<LIMIT>> for BTreeMap<u16, u64> {
    fn from(counts: Counts<LIMIT>) -> Self {
        let some = counts.iter().filter(|(_, times)| *times > 0);
        some.map(|(number, times)| (number as u16, times)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_as_a_map_of_what_was_counted() {
        let mut counts = Counts::<50>::default();
        for number in [7, 3, 7, 90] {
            counts.add(number, 1);
        }
        let written = serde_json::to_string(&counts).unwrap();
        assert_eq!(written, r#"{"3":1,"7":2,"49":1}"#);
        assert_eq!(serde_json::from_str::<Counts<50>>(&written).unwrap(), counts);
    }

    #[test]
    fn a_number_beyond_the_limit_is_refused_before_memory_is_taken_for_it() {
        let error = serde_json::from_str::<Counts<50>>(r#"{"50":1}"#).unwrap_err().to_string();
        assert!(error.contains("must be below 50, not 50"), "{error}");
    }

    #[test]
    fn a_count_of_nothing_leaves_no_trace() {
        assert_eq!(serde_json::from_str::<Counts<50>>(r#"{"9":0}"#).unwrap(), Counts::default());
    }

    #[test]
    fn endless_counts_stay_at_the_end() {
        let mut counts = Counts::<4>::default();
        counts.add(1, u64::MAX);
        counts.add(2, u64::MAX);
        counts.merge(&counts.clone());
        assert_eq!((counts.total(), counts.quantile(0.5)), (u64::MAX, Some(1)));
    }
}
