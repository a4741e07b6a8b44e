//! Figures with 95 % bootstrap intervals over rows, and their range over seeds.

use serde::Serialize;

use crate::folds::parallel;
use crate::random::Random;

/// Bootstrap samples behind an interval.
const RESAMPLES: usize = 1000;
/// Streams of random numbers from here on belong to the samples.
const FIRST_STREAM: u64 = 1 << 32;

/// A figure with its 95 % bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// On the rows themselves; the mean over seeds.
    pub value: f64,
    /// 2.5 % of the resampled figures are below.
    pub low: f64,
    /// 2.5 % of the resampled figures are above.
    pub high: f64,
    /// On the rows themselves, for each seed.
    pub seeds: Vec<f64>,
}

impl Figure {
    /// From the values of the seeds and the resampled means over the seeds.
    fn new(seeds: Vec<f64>, mut resampled: Vec<f64>) -> Self {
        let value = seeds.iter().sum::<f64>() / seeds.len().max(1) as f64;
        resampled.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let position = (share * resampled.len().saturating_sub(1) as f64).round() as usize;
            resampled.get(position).copied().unwrap_or(value)
        };
        Self { value, low: at(0.025), high: at(0.975), seeds }
    }

    /// The smallest and the largest value over seeds.
    pub fn range(&self) -> (f64, f64) {
        self.seeds
            .iter()
            .fold((self.value, self.value), |(low, high), seed| (low.min(*seed), high.max(*seed)))
    }
}

/// The samples every figure of the same rows is taken on, so that figures can be compared sample by sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bootstrap {
    /// Rows of a sample.
    pub(super) rows: usize,
    /// How many seeds a figure is the mean of.
    pub(super) seeds: usize,
    /// Threads to work on; the result does not depend on it.
    pub(super) threads: usize,
}

impl Bootstrap {
    /// Takes `figures(seed, copies)` on the rows and on every sample; row `i` counts `copies[i]` times. A sample
    /// without figures is left out; nothing if the rows themselves have none.
    pub(super) fn estimate<const N: usize>(
        &self,
        figures: impl Fn(usize, &[u32]) -> Option<[f64; N]> + Sync,
    ) -> Option<[Figure; N]> {
        let each =
            |copies: &[u32]| (0..self.seeds).map(|seed| figures(seed, copies)).collect::<Option<Vec<_>>>();
        let values = each(&vec![1; self.rows])?;
        let resampled = parallel(RESAMPLES, self.threads, |sample| {
            // The samples belong to the number of rows, not to a seed: they are the same for every router.
            let copies =
                resample(self.rows, &mut Random::stream(self.rows as u64, FIRST_STREAM + sample as u64));
            let seeds = each(&copies)?;
            let mean =
                |index: usize| seeds.iter().map(|figures| figures[index]).sum::<f64>() / seeds.len() as f64;
            Some(std::array::from_fn::<f64, N, _>(mean))
        });
        let resampled: Vec<[f64; N]> = resampled.into_iter().flatten().collect();
        Some(std::array::from_fn(|index| {
            let seeds = values.iter().map(|figures| figures[index]).collect();
            Figure::new(seeds, resampled.iter().map(|figures| figures[index]).collect())
        }))
    }
}

/// How often each of `rows` rows was drawn in one bootstrap sample.
fn resample(rows: usize, random: &mut Random) -> Vec<u32> {
    let mut copies = vec![0; rows];
    for _ in 0..rows {
        copies[random.below(rows)] += 1;
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::metrics::weighted_mean;

    #[test]
    fn an_interval_holds_ninety_five_percent() {
        let figure = Figure::new(vec![0.4, 0.6], (0..=1000).map(|x| f64::from(x) / 1000.0).collect());
        assert!((figure.value - 0.5).abs() < 1e-12);
        assert!((figure.low - 0.025).abs() < 1e-12 && (figure.high - 0.975).abs() < 1e-12);
        assert_eq!(figure.range(), (0.4, 0.6));
    }

    #[test]
    fn a_bootstrap_sample_has_as_many_rows() {
        let copies = resample(1000, &mut Random::stream(9, 9));
        assert_eq!(copies.iter().sum::<u32>(), 1000);
        let left_out = copies.iter().filter(|copies| **copies == 0).count();
        assert!((320..420).contains(&left_out), "about 1/e of the rows are left out, not {left_out}");
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says_on_any_number_of_threads() {
        // 400 rows, half of them 1: the standard error is .025, the interval .5 +- .049.
        let values: Vec<f64> = (0..400).map(|row| f64::from(row % 2)).collect();
        let estimate = |threads| {
            let bootstrap = Bootstrap { rows: 400, seeds: 1, threads };
            let [figure] = bootstrap.estimate(|_, copies| Some([weighted_mean(&values, copies)?])).unwrap();
            figure
        };
        let figure = estimate(1);
        assert!((figure.low - 0.451).abs() < 0.008 && (figure.high - 0.549).abs() < 0.008, "{figure:?}");
        assert_eq!(figure, estimate(3));
    }

    #[test]
    fn rows_without_a_figure_have_none_and_samples_without_one_are_left_out() {
        let bootstrap = Bootstrap { rows: 4, seeds: 2, threads: 1 };
        assert_eq!(bootstrap.estimate::<1>(|_, _| None), None);
        let [figure] = bootstrap.estimate(|_, copies| (copies[0] > 0).then_some([1.0])).unwrap();
        assert_eq!((figure.low, figure.high), (1.0, 1.0));
    }
}
