//! Iterative hard thresholding (Jin, Yuan, Feng and Yan, arXiv 1607.05423), as `FastGRNN` is trained with it: which
//! numbers of a matrix stay is chosen by their size, from time to time while it learns, and then no more.

use std::ops::Range;

/// A third of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every number may change.
    Dense,
    /// Which numbers stay is chosen anew from time to time and kept in between.
    Thresholding,
    /// The numbers that stayed go on learning.
    Frozen,
}

impl Phase {
    /// Of epoch `epoch` (from 0) of `epochs`: three equal thirds.
    pub fn of(epoch: usize, epochs: usize) -> Self {
        match 3 * epoch / epochs.max(1) {
            0 => Self::Dense,
            1 => Self::Thresholding,
            _ => Self::Frozen,
        }
    }
}

/// Which numbers stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    places: Vec<Range<usize>>,
    /// Positions that stay, ascending.
    kept: Vec<usize>,
}

impl Support {
    /// The largest numbers of each place, `share` of it rounded up; of equal ones the first.
    pub fn largest(values: &[f64], places: impl Iterator<Item = Range<usize>>, share: f64) -> Self {
        let places: Vec<Range<usize>> = places.collect();
        let mut kept = Vec::new();
        for place in &places {
            let mut order: Vec<usize> = place.clone().collect();
            order.sort_by(|one, other| values[*other].abs().total_cmp(&values[*one].abs()));
            order.truncate((share * place.len() as f64).ceil() as usize);
            kept.extend(order);
        }
        kept.sort_unstable();
        Self { places, kept }
    }

    /// Makes every other number of the places 0.
    pub fn keep(&self, values: &mut [f64]) {
        for position in self.places.iter().cloned().flatten() {
            if self.kept.binary_search(&position).is_err() {
                values[position] = 0.0;
            }
        }
    }

    /// How many stay.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none stays.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::{Constraint, Keeper, Matrix, THRESHOLD_EVERY};
    use crate::random::Random;

    const SIZE: usize = 60;

    fn keeper(share: f64) -> Keeper {
        Keeper::new(Constraint::Sparse(share), vec![Matrix { place: 10..10 + SIZE, columns: 6 }])
    }

    fn support(values: &[f64]) -> Vec<usize> {
        (10..10 + SIZE).filter(|position| values[*position] != 0.0).collect()
    }

    /// What stays after each of `epochs` epochs of `batches` batches, every number drawn anew before each.
    fn supports(epochs: usize, batches: usize) -> Vec<Vec<usize>> {
        let (mut random, mut keeper) = (Random::stream(1, 1), keeper(0.25));
        let mut values = vec![1.0; 10 + SIZE + 5];
        let mut seen = Vec::new();
        for epoch in 0..epochs {
            for _ in 0..batches {
                for value in &mut values {
                    *value = random.normal();
                }
                keeper.hold(&mut values, epoch, epochs);
                seen.push(support(&values));
            }
        }
        assert!(
            values[..10].iter().chain(&values[10 + SIZE..]).all(|value| *value != 0.0),
            "others are free"
        );
        seen
    }

    #[test]
    fn the_thirds_are_dense_then_chosen_every_fifteen_batches_then_frozen() {
        let seen = supports(9, 20);
        let (dense, rest) = seen.split_at(60);
        assert!(dense.iter().all(|support| support.len() == SIZE));
        assert!(rest.iter().all(|support| support.len() == 15), "a quarter of 60 exactly");
        let (chosen, frozen) = rest.split_at(60);
        for (batch, pair) in chosen.windows(2).enumerate() {
            assert_eq!(pair[0] != pair[1], (batch + 1) % THRESHOLD_EVERY == 0, "batch {batch}");
        }
        assert!(frozen.iter().all(|support| *support == chosen[59]), "never chosen again");
    }

    #[test]
    fn of_equal_numbers_the_first_stay() {
        let mut values = vec![1.0; 10 + SIZE];
        Support::largest(&values, std::iter::once(10..10 + SIZE), 0.05).keep(&mut values);
        assert_eq!(support(&values), [10, 11, 12]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_goes_is_larger_than_what_stays(
            before in prop::collection::vec(-9.0_f64..9.0, 1..80), share in 0.0_f64..1.0,
        ) {
            let mut values = before.clone();
            let support = Support::largest(&before, std::iter::once(0..before.len()), share);
            support.keep(&mut values);
            prop_assert_eq!(support.len(), (share * before.len() as f64).ceil() as usize);
            let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
            for (position, value) in before.iter().enumerate() {
                if support.kept.contains(&position) {
                    prop_assert_eq!(values[position], *value);
                    least = least.min(value.abs());
                } else {
                    prop_assert_eq!(values[position], 0.0);
                    most = most.max(value.abs());
                }
            }
            prop_assert!(support.is_empty() || most <= least);
        }
    }
}
