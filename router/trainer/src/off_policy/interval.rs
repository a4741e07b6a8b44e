//! Intervals by the bootstrap over rows.
//!
//! Not empirical Bernstein bounds: those need the range of a term, which is one over the smallest propensity, and are many
//! times too wide at the shares of exploration that people can afford; nor do they know a ratio as SNIPS is one. What
//! the bootstrap cannot know is a rare row that the log happens not to hold: see `disagreements_taken`.

use serde::Serialize;

use crate::random::Random;

/// Bootstrap samples behind an interval.
pub(super) const RESAMPLES: usize = 1000;
/// The purpose of the stream of random numbers.
const PURPOSE: u64 = 21;

/// A figure with its 95 % bootstrap interval (percentiles).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure on the rows themselves.
    pub value: f64,
    /// 2.5 % of the resampled figures are below.
    pub low: f64,
    /// 2.5 % of the resampled figures are above.
    pub high: f64,
}

/// Figures that are functions of the means of some terms of each row. All of them are taken on the same samples.
pub(super) fn bootstrap<const TERMS: usize, const FIGURES: usize>(
    rows: &[[f64; TERMS]],
    resamples: usize,
    seed: u64,
    figures: impl Fn([f64; TERMS]) -> [f64; FIGURES],
) -> [Estimate; FIGURES] {
    let value = figures(mean(rows.iter(), rows.len()));
    let mut random = Random::stream(seed, PURPOSE);
    let resampled: Vec<[f64; FIGURES]> = (0..resamples)
        .map(|_| {
            let drawn = (0..rows.len()).map(|_| &rows[random.below(rows.len())]);
            figures(mean(drawn, rows.len()))
        })
        .collect();
    std::array::from_fn(|figure| {
        // A sample in which a ratio has no denominator says nothing about it.
        let sorted = resampled.iter().map(|figures| figures[figure]).filter(|figure| figure.is_finite());
        estimate(value[figure], sorted.collect())
    })
}

fn estimate(value: f64, mut resampled: Vec<f64>) -> Estimate {
    resampled.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let position = (share * resampled.len().saturating_sub(1) as f64).round() as usize;
        resampled.get(position).copied().unwrap_or(value)
    };
    Estimate { value, low: at(0.025), high: at(0.975) }
}

fn mean<'a, const TERMS: usize>(rows: impl Iterator<Item = &'a [f64; TERMS]>, count: usize) -> [f64; TERMS] {
    let mut sums = [0.0; TERMS];
    for row in rows {
        for (sum, term) in sums.iter_mut().zip(row) {
            *sum += term;
        }
    }
    sums.map(|sum| sum / count as f64)
}
