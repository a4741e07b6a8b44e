//! N-gram models with few weights other than 0, in the three phases of `FastGRNN` (arXiv 1901.02358): fitted whole;
//! which weights stay chosen anew between passes; and fitted to the end with those.
//!
//! The dual variables say what every weight would be, those that are 0 too, so a weight may come back.

use super::{BUCKETS, NGramModel, PASSES, TABLES, solve};
use crate::compress::Support;
use crate::random::Random;

/// How often what stays is chosen.
const CHOICES: usize = 4;
/// Passes between two choices.
const PASSES_BETWEEN: usize = 3;

/// The rows of a fit.
struct Rows<'a> {
    buckets: &'a [&'a [u16]],
    targets: &'a [[f64; TABLES]],
    strength: f64,
}

impl NGramModel {
    /// As [`NGramModel::fit`], with at most `share` (rounded up) of each table's weights other than 0.
    pub fn fit_sparse(
        buckets: &[&[u16]],
        targets: &[[f64; TABLES]],
        strength: f64,
        share: f64,
        random: &mut Random,
    ) -> Self {
        let (mut model, mut duals) = Self::fit_whole(buckets, targets, strength, random);
        model.sparse = true;
        let rows = Rows { buckets, targets, strength };
        let mut order: Vec<usize> = (0..buckets.len()).collect();
        for choice in 0..CHOICES {
            let kept = model.choose(&rows, &duals, share);
            let last = choice + 1 == CHOICES;
            for _ in 0..if last { PASSES } else { PASSES_BETWEEN } {
                random.shuffle(&mut order);
                for row in &order {
                    model.visit_kept(&rows, *row, &mut duals[*row], &kept);
                }
            }
        }
        model
    }

    /// Chooses what stays of what every weight would be, and makes the rest 0.
    fn choose(&mut self, rows: &Rows<'_>, duals: &[[f64; TABLES]], share: f64) -> Vec<[bool; TABLES]> {
        // One table after the other.
        let mut weights = vec![0.0; TABLES * BUCKETS];
        for (row, (buckets, targets)) in rows.buckets.iter().zip(rows.targets).enumerate() {
            let norm = (buckets.len().max(1) as f64).sqrt();
            for table in 0..TABLES {
                let part = rows.strength * (targets[table] - duals[row][table]) / norm;
                for bucket in *buckets {
                    weights[table * BUCKETS + usize::from(*bucket)] += part;
                }
            }
        }
        let places = (0..TABLES).map(|table| table * BUCKETS..(table + 1) * BUCKETS);
        Support::largest(&weights, places, share).keep(&mut weights);
        let of = |bucket: usize| [0, 1].map(|table: usize| weights[table * BUCKETS + bucket]);
        self.weights = (0..BUCKETS).map(|bucket| of(bucket).map(|weight| weight as f32)).collect();
        (0..BUCKETS).map(|bucket| of(bucket).map(|weight| weight != 0.0)).collect()
    }

    /// Makes one row's dual variables optimal with those of all others and the weights that are 0 fixed.
    fn visit_kept(
        &mut self,
        rows: &Rows<'_>,
        row: usize,
        duals: &mut [f64; TABLES],
        kept: &[[bool; TABLES]],
    ) {
        let buckets = rows.buckets[row];
        let scores = self.scores(buckets);
        let count = buckets.len().max(1) as f64;
        for table in 0..TABLES {
            let stay =
                buckets.iter().map(|bucket| usize::from(*bucket)).filter(|bucket| kept[*bucket][table]);
            let curvature = rows.strength * (1.0 + stay.clone().count() as f64 / count);
            let dual = solve(scores[table], duals[table], curvature);
            let change = rows.strength * (duals[table] - dual);
            duals[table] = dual;
            self.offsets[table] += change;
            for bucket in stay {
                self.weights[bucket][table] += (change / count.sqrt()) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ngram::{logistic, tests::rows};

    fn counted(model: &NGramModel) -> [usize; TABLES] {
        [0, 1].map(|table| model.weights.iter().filter(|weights| weights[table] != 0.0).count())
    }

    fn fit(share: f64) -> (NGramModel, Vec<Vec<u16>>, Vec<[f64; 2]>) {
        let (buckets, mut targets) = rows(600);
        for (row, targets) in targets.iter_mut().enumerate() {
            targets[1] = f64::from(u8::from(row % 3 > 0));
        }
        let views: Vec<&[u16]> = buckets.iter().map(Vec::as_slice).collect();
        let model = NGramModel::fit_sparse(&views, &targets, 2.0, share, &mut Random::stream(1, 1));
        (model, buckets, targets)
    }

    #[test]
    fn exactly_so_many_weights_stay_and_the_signal_is_among_them() {
        for (share, count) in [(0.2, 3277), (0.01, 164), (0.0, 0)] {
            let (model, ..) = fit(share);
            assert_eq!(counted(&model), [count; 2], "{share}");
            let gap = model.scores(&[9])[0] - model.scores(&[7])[0];
            assert!(if count > 0 { gap > 1.0 } else { gap == 0.0 }, "{share}: {gap}");
        }
    }

    #[test]
    fn at_the_end_the_gradient_of_what_stays_is_zero() {
        let (model, buckets, targets) = fit(0.01);
        for table in 0..TABLES {
            let mut offset = model.offsets[table];
            let mut slopes: Vec<f64> =
                model.weights.iter().map(|weights| f64::from(weights[table])).collect();
            for (buckets, targets) in buckets.iter().zip(&targets) {
                let error = 2.0 * (logistic(model.scores(buckets)[table]) - targets[table]);
                offset += error;
                for bucket in buckets {
                    slopes[usize::from(*bucket)] += error / (buckets.len() as f64).sqrt();
                }
            }
            assert!(offset.abs() < 0.05, "{offset}");
            for (weights, slope) in model.weights.iter().zip(slopes) {
                assert!(weights[table] == 0.0 || slope.abs() < 0.02, "{slope}");
            }
        }
    }
}
