//! A decision in f64, one candidate after the other, straight from the formulas: what the fast forms are held to.

use std::time::Duration;

use super::ranker::{Known, Overlap, RankerWeights, Roles};
use crate::fastgrnn::CellWeights;

/// A candidate as it was registered.
#[derive(Debug, Clone)]
pub(super) struct Plain<const I: usize, const H: usize> {
    pub(super) embedding: Vec<f32>,
    pub(super) tags: Vec<u64>,
    pub(super) known: Known<I, H>,
}

/// The cosine; 0 where one has no length.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths > 0.0 { dot(one, other) / lengths } else { 0.0 }
}

fn overlap(kind: Overlap, request: &[u64], candidate: &[u64]) -> f64 {
    let both = request.iter().filter(|tag| candidate.contains(tag)).count();
    let either = match kind {
        Overlap::Jaccard => request.len() + candidate.len() - both,
        Overlap::ShareOfRequest => request.len(),
    };
    if both == 0 { 0.0 } else { both as f64 / either as f64 }
}

/// The heads of one candidate for a request.
pub(super) fn heads<const I: usize, const H: usize, const N: usize>(
    weights: &RankerWeights<I, H, N>,
    candidate: &Plain<I, H>,
    (embedding, tags, signals): (&[f32], &[u64], &[f32; I]),
    now: Duration,
) -> [f64; N] {
    let mut input: [f64; I] =
        std::array::from_fn(|i| f64::from(signals[i]) + f64::from(candidate.known.signals[i]));
    let seconds = candidate.known.last_call.map(|at| now.saturating_sub(at).as_secs_f64());
    input[weights.roles.similarity] = cosine(embedding, &candidate.embedding);
    input[weights.roles.recency] =
        seconds.map_or(0.0, |seconds| (-seconds / weights.half_life.as_secs_f64()).exp2());
    input[weights.roles.overlap] = overlap(weights.overlap, tags, &candidate.tags);
    if let Some(gap) = weights.roles.gap {
        input[gap] = seconds.map_or(0.0, f64::ln_1p);
    }
    step(weights, &input, &candidate.known.state)
}

/// The heads after a step with these inputs.
pub(super) fn step<const I: usize, const H: usize, const N: usize>(
    weights: &RankerWeights<I, H, N>,
    input: &[f64; I],
    state: &[f32; H],
) -> [f64; N] {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let state = state.map(f64::from);
    let cell = &weights.cell;
    let after: [f64; H] = std::array::from_fn(|unit| {
        let sums = (0..I).map(|i| {
            let normalised = (input[i] - f64::from(weights.input_mean[i])) / f64::from(weights.input_std[i]);
            f64::from(cell.w[unit][i]) * normalised
        });
        let sum = sums.sum::<f64>()
            + cell.u[unit].iter().zip(state).map(|(weight, hidden)| f64::from(*weight) * hidden).sum::<f64>();
        let gate = sigmoid(sum + f64::from(cell.bias_gate[unit]));
        let update = (sum + f64::from(cell.bias_update[unit])).tanh();
        let kept = sigmoid(f64::from(cell.zeta)) * (1.0 - gate) + sigmoid(f64::from(cell.nu));
        gate * state[unit] + kept * update
    });
    std::array::from_fn(|head| {
        let weight = weights.head_weight[head].iter().zip(after);
        f64::from(weights.head_bias[head])
            + weight.map(|(weight, hidden)| f64::from(*weight) * hidden).sum::<f64>()
    })
}

/// Numbers that are the same for a seed.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    /// Between minus one and one.
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    pub(super) fn row<const M: usize>(&mut self) -> [f32; M] {
        std::array::from_fn(|_| self.next())
    }

    pub(super) fn weights<const I: usize, const H: usize, const N: usize>(
        &mut self,
        roles: Roles,
        overlap: Overlap,
    ) -> RankerWeights<I, H, N> {
        RankerWeights {
            input_mean: self.row(),
            input_std: std::array::from_fn(|_| 1.5 + self.next()),
            cell: CellWeights {
                w: std::array::from_fn(|_| self.row()),
                u: std::array::from_fn(|_| self.row()),
                bias_gate: self.row(),
                bias_update: self.row(),
                zeta: self.next(),
                nu: -4.0 * self.next(),
            },
            head_weight: std::array::from_fn(|_| self.row()),
            head_bias: self.row(),
            roles,
            half_life: Duration::from_hours(6),
            overlap,
        }
    }

    pub(super) fn embedding(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| self.next()).collect()
    }
}

/// The inputs of the candidate network that are made.
pub(super) const CANDIDATE: Roles = Roles { similarity: 0, gap: Some(5), recency: 6, overlap: 9 };
