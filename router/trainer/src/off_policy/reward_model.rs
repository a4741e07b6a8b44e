//! The reward that a tier is expected to bring, by ridge regression of the logged rewards on what was known before the
//! decision. One regression a tier, and each row is judged by those that were fitted without its fold.

use tinydancer_engine::Tier;

use super::{Logged, TIERS};
use crate::random::Random;

/// Parts that the rows are dealt into.
const FOLDS: usize = 5;
/// Weight of the squared coefficients, in rows: columns are standardised first.
const RIDGE: f64 = 1.0;
/// A column that varies less is constant.
const LEAST_DEVIATION: f64 = 1e-9;
/// The purpose of the stream of random numbers.
const PURPOSE: u64 = 22;

/// Of each row, the expected reward of Lightweight and of Powerful, 0 to 1.
pub(super) fn expected_rewards(rows: &[&Logged], seed: u64) -> Vec<[f64; 2]> {
    let mut random = Random::stream(seed, PURPOSE);
    let folds: Vec<usize> = rows.iter().map(|_| random.below(FOLDS)).collect();
    let models: Vec<[Regression; 2]> = (0..FOLDS)
        .map(|fold| {
            let known = rows.iter().zip(&folds).filter(|(_, other)| **other != fold).map(|(row, _)| *row);
            TIERS.map(|tier| Regression::fit(known.clone(), tier))
        })
        .collect();
    rows.iter()
        .zip(&folds)
        .map(|(row, fold)| models[*fold].each_ref().map(|model| model.predict(&row.context)))
        .collect()
}

/// A linear regression on centred columns.
struct Regression {
    mean_reward: f64,
    means: Vec<f64>,
    /// Per unit of the column.
    coefficients: Vec<f64>,
}

impl Regression {
    /// Of the rewards of the rows that took a tier; the mean of all where none did.
    fn fit<'a>(known: impl Iterator<Item = &'a Logged> + Clone, tier: Tier) -> Self {
        let taken: Vec<&Logged> = known.clone().filter(|row| row.taken == tier).collect();
        if taken.is_empty() {
            let rewards: Vec<f64> = known.map(|row| row.reward).collect();
            return Self { mean_reward: mean(&rewards), means: Vec::new(), coefficients: Vec::new() };
        }
        let columns = taken[0].context.len();
        let column = |index: usize| taken.iter().map(|row| row.context[index]).collect::<Vec<f64>>();
        let means: Vec<f64> = (0..columns).map(|index| mean(&column(index))).collect();
        let deviations: Vec<f64> =
            (0..columns).map(|index| deviation(&column(index), means[index])).collect();
        let mean_reward = mean(&taken.iter().map(|row| row.reward).collect::<Vec<_>>());
        let mut normal = vec![vec![0.0; columns + 1]; columns];
        for row in &taken {
            let scaled: Vec<f64> =
                (0..columns).map(|index| (row.context[index] - means[index]) / deviations[index]).collect();
            for (line, one) in normal.iter_mut().zip(&scaled) {
                for (sum, other) in line.iter_mut().zip(scaled.iter().chain([&(row.reward - mean_reward)])) {
                    *sum += one * other;
                }
            }
        }
        for (index, line) in normal.iter_mut().enumerate() {
            line[index] += RIDGE;
        }
        let mut coefficients = solve(normal);
        for (coefficient, deviation) in coefficients.iter_mut().zip(&deviations) {
            *coefficient /= deviation;
        }
        Self { mean_reward, means, coefficients }
    }

    fn predict(&self, context: &[f64]) -> f64 {
        let columns = context.iter().zip(&self.means).zip(&self.coefficients);
        let sum: f64 = columns.map(|((value, mean), coefficient)| (value - mean) * coefficient).sum();
        (self.mean_reward + sum).clamp(0.0, 1.0)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation; 1 for a column that does not vary.
fn deviation(values: &[f64], mean: f64) -> f64 {
    let variance =
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64;
    if variance.sqrt() > LEAST_DEVIATION { variance.sqrt() } else { 1.0 }
}

/// Solves linear equations with a symmetric positive definite matrix, the right side in the last column, by elimination:
/// such a matrix needs no pivots.
fn solve(mut lines: Vec<Vec<f64>>) -> Vec<f64> {
    let count = lines.len();
    for pivot in 0..count {
        let (above, below) = lines.split_at_mut(pivot + 1);
        let pivot_line = &above[pivot];
        for line in below {
            let factor = line[pivot] / pivot_line[pivot];
            for (value, of_pivot) in line.iter_mut().zip(pivot_line).skip(pivot) {
                *value -= factor * of_pivot;
            }
        }
    }
    let mut solution = vec![0.0; count];
    for index in (0..count).rev() {
        let known: f64 = (index + 1..count).map(|other| lines[index][other] * solution[other]).sum();
        solution[index] = (lines[index][count] - known) / lines[index][index];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(context: Vec<f64>, taken: Tier, reward: f64) -> Logged {
        Logged { context, taken, propensity: 0.5, reward, lightweight: 1.0 }
    }

    #[test]
    fn equations_of_a_case_worked_by_hand() {
        // 4x + 2y = 10 and 2x + 3y = 9: x = 1.5, y = 2.
        let solution = solve(vec![vec![4.0, 2.0, 10.0], vec![2.0, 3.0, 9.0]]);
        assert!((solution[0] - 1.5).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12, "{solution:?}");
    }

    #[test]
    fn a_linear_reward_of_each_tier_is_found() {
        let rows: Vec<Logged> = (0..4_000)
            .map(|index| {
                let (x, y) = (f64::from(index % 40) / 40.0, f64::from(index % 7));
                let taken = if index % 2 == 0 { Tier::Lightweight } else { Tier::Powerful };
                let reward = if taken == Tier::Lightweight { 0.8 - 0.5 * x } else { 0.3 + 0.1 * y };
                row(vec![x, y, 1.0], taken, reward)
            })
            .collect();
        let expected = expected_rewards(&rows.iter().collect::<Vec<_>>(), 1);
        for (row, [lightweight, powerful]) in rows.iter().zip(expected) {
            assert!((lightweight - (0.8 - 0.5 * row.context[0])).abs() < 0.01, "{row:?}: {lightweight}");
            assert!((powerful - (0.3 + 0.1 * row.context[1])).abs() < 0.01, "{row:?}: {powerful}");
        }
    }

    #[test]
    fn a_tier_that_was_never_taken_is_expected_to_bring_the_mean() {
        let rows: Vec<Logged> =
            (0..50).map(|index| row(vec![f64::from(index)], Tier::Powerful, f64::from(index % 2))).collect();
        for [lightweight, _] in expected_rewards(&rows.iter().collect::<Vec<_>>(), 1) {
            assert!((lightweight - 0.5).abs() < 0.1, "{lightweight}");
        }
    }
}
