//! The n-gram scores: two sparse logistic regressions over hashed buckets, P(Lightweight right) and P(Powerful
//! right), fitted by dual coordinate ascent (Shalev-Shwartz and Zhang, arXiv 1209.1873), which needs no step size.

use libm::exp;
use tinydancer_engine::features::NGRAM_BUCKETS;

use crate::random::Random;

mod sparse;

/// Buckets of a table.
pub const BUCKETS: usize = NGRAM_BUCKETS;
/// Tables: Lightweight, Powerful.
pub const TABLES: usize = 2;
/// Passes over the rows; the dual gap is far below what moves a ranking by then.
const PASSES: usize = 12;
/// Newton steps for one coordinate; bounded, since the equation is monotone and the start is close.
const NEWTON_STEPS: usize = 25;

/// Two linear models over the same buckets. A text has the value `1 / sqrt(n)` in each of its n distinct buckets.
#[derive(Debug, Clone)]
pub struct NGramModel {
    /// One weight a bucket for each table.
    weights: Vec<[f32; TABLES]>,
    offsets: [f64; TABLES],
    /// Whether few weights are other than 0.
    sparse: bool,
}

/// A table as the artifact keeps it: `offset + scale * sum(weights[bucket]) / sqrt(n)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// One byte a bucket.
    pub weights: Vec<i8>,
    /// What a byte of one is worth.
    pub scale: f32,
    /// The score of a text whose buckets are all zero.
    pub offset: f32,
}

impl NGramModel {
    /// Fits both models. `buckets` and `targets` (0 to 1) are one entry a row; `strength` is the weight of a row's
    /// loss against half the squared norm of the weights (C of liblinear).
    pub fn fit(buckets: &[&[u16]], targets: &[[f64; TABLES]], strength: f64, random: &mut Random) -> Self {
        Self::fit_whole(buckets, targets, strength, random).0
    }

    /// As [`NGramModel::fit`], with the dual variables.
    fn fit_whole(
        buckets: &[&[u16]],
        targets: &[[f64; TABLES]],
        strength: f64,
        random: &mut Random,
    ) -> (Self, Vec<[f64; TABLES]>) {
        let mut model = Self { weights: vec![[0.0; TABLES]; BUCKETS], offsets: [0.0; TABLES], sparse: false };
        // The dual variables: what each row is predicted at the optimum. Starting at its target is a weight of zero.
        let mut duals = targets.to_vec();
        let mut order: Vec<usize> = (0..buckets.len()).collect();
        for _ in 0..PASSES {
            random.shuffle(&mut order);
            for row in &order {
                model.visit(buckets[*row], &mut duals[*row], strength);
            }
        }
        (model, duals)
    }

    /// Whether it was made to have few weights other than 0.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Makes one row's dual variables optimal with those of all others fixed.
    fn visit(&mut self, buckets: &[u16], duals: &mut [f64; TABLES], strength: f64) {
        let scores = self.scores(buckets);
        // Each row has one constant feature besides the buckets, whose squares add up to one.
        let curvature = strength * if buckets.is_empty() { 1.0 } else { 2.0 };
        let mut changes = [0.0; TABLES];
        for table in 0..TABLES {
            let dual = solve(scores[table], duals[table], curvature);
            changes[table] = strength * (duals[table] - dual);
            duals[table] = dual;
            self.offsets[table] += changes[table];
        }
        let norm = (buckets.len().max(1) as f64).sqrt();
        let steps = changes.map(|change| (change / norm) as f32);
        for bucket in buckets {
            let weights = &mut self.weights[usize::from(*bucket)];
            weights[0] += steps[0];
            weights[1] += steps[1];
        }
    }

    /// The scores (logits) of a text's distinct buckets.
    pub fn scores(&self, buckets: &[u16]) -> [f64; TABLES] {
        let mut sums = [0.0_f32; TABLES];
        for bucket in buckets {
            let weights = self.weights[usize::from(*bucket)];
            sums[0] += weights[0];
            sums[1] += weights[1];
        }
        let norm = (buckets.len().max(1) as f64).sqrt();
        [self.offsets[0] + f64::from(sums[0]) / norm, self.offsets[1] + f64::from(sums[1]) / norm]
    }

    /// Both tables in bytes, each with the scale that its largest weight asks for.
    pub fn quantise(&self) -> [Quantised; TABLES] {
        [0, 1].map(|table| {
            let largest =
                self.weights.iter().fold(0.0_f32, |largest, weights| largest.max(weights[table].abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            Quantised {
                weights: self.weights.iter().map(|weights| (weights[table] / scale).round() as i8).collect(),
                scale,
                offset: self.offsets[table] as f32,
            }
        })
    }
}

/// The logistic function.
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The dual variable `s` with `s = logistic(z)` and `z + curvature * s = score + curvature * dual`.
pub(crate) fn solve(score: f64, dual: f64, curvature: f64) -> f64 {
    let level = score + curvature * dual;
    // The left side grows by at least one for each unit of z and s is within 0 and 1: the root is bracketed.
    let (mut low, mut high) = (level - curvature, level);
    let mut z = score.clamp(low, high);
    for _ in 0..NEWTON_STEPS {
        let s = logistic(z);
        let excess = z + curvature * s - level;
        if excess.abs() < 1e-9 {
            break;
        }
        if excess > 0.0 {
            high = z;
        } else {
            low = z;
        }
        let newton = z - excess / (1.0 + curvature * s * (1.0 - s));
        z = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
    }
    logistic(z)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn rows(count: usize) -> (Vec<Vec<u16>>, Vec<[f64; 2]>) {
        let mut random = Random::stream(5, 5);
        (0..count)
            .map(|_| {
                let hard = random.uniform() < 0.5;
                let mut buckets: Vec<u16> = (0..30).map(|_| random.below(BUCKETS) as u16).collect();
                buckets.push(if hard { 7 } else { 9 });
                buckets.sort_unstable();
                buckets.dedup();
                let right = random.uniform() < if hard { 0.2 } else { 0.8 };
                (buckets, [f64::from(u8::from(right)), 0.5])
            })
            .unzip()
    }

    fn fit(count: usize, strength: f64) -> (NGramModel, Vec<Vec<u16>>, Vec<[f64; 2]>) {
        let (buckets, targets) = rows(count);
        let views: Vec<&[u16]> = buckets.iter().map(Vec::as_slice).collect();
        let model = NGramModel::fit(&views, &targets, strength, &mut Random::stream(1, 1));
        (model, buckets, targets)
    }

    #[test]
    fn the_solved_coordinate_satisfies_its_equation() {
        for (score, dual, curvature) in
            [(0.0, 0.5, 2.0), (-30.0, 1.0, 0.1), (12.0, 0.0, 200.0), (3.0, 1.0, 1e-6)]
        {
            let s = solve(score, dual, curvature);
            let z = score + curvature * (dual - s);
            assert!((logistic(z) - s).abs() < 1e-6, "{score} {dual} {curvature}: {s}");
        }
    }

    #[test]
    fn at_the_optimum_the_gradient_is_zero() {
        let (model, buckets, targets) = fit(400, 2.0);
        // Gradient of C * sum(loss) + |w|^2 / 2 for the bucket that carries the signal, and for the offset.
        let (mut bucket, mut offset) = (f64::from(model.weights[7][0]), model.offsets[0]);
        for (buckets, targets) in buckets.iter().zip(&targets) {
            let error = 2.0 * (logistic(model.scores(buckets)[0]) - targets[0]);
            offset += error;
            if buckets.contains(&7) {
                bucket += error / (buckets.len() as f64).sqrt();
            }
        }
        assert!(bucket.abs() < 0.02 && offset.abs() < 0.05, "{bucket} {offset}");
    }

    #[test]
    fn the_signal_is_found_and_survives_quantisation() {
        let (model, ..) = fit(2000, 4.0);
        let [lightweight, powerful] = model.quantise();
        assert!(model.scores(&[9])[0] > model.scores(&[7])[0] + 1.0);
        assert!(model.scores(&[9])[1].abs() < 0.05, "an even target has no weights");
        let quantised = f64::from(lightweight.offset + lightweight.scale * f32::from(lightweight.weights[9]));
        assert!((quantised - model.scores(&[9])[0]).abs() < 0.02);
        assert_eq!((lightweight.weights.len(), powerful.weights.len()), (BUCKETS, BUCKETS));
    }

    #[test]
    fn a_text_without_buckets_scores_the_offset() {
        let (model, ..) = fit(100, 1.0);
        assert_eq!(model.scores(&[]), model.offsets);
    }
}
