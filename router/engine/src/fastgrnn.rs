//! The `FastGRNN` cell (Kusupati et al., arXiv 1901.02358), with the names of `EdgeML`.
//!
//! ```text
//! a_t = W x_t + U h_(t-1)
//! z_t = sigmoid(a_t + bias_gate)
//! c_t = tanh(a_t + bias_update)
//! h_t = z_t * h_(t-1) + (sigmoid(zeta) * (1 - z_t) + sigmoid(nu)) * c_t
//! ```
#![allow(clippy::inline_always, reason = "a step is compiled for each level of the processor")]

mod low_rank;

pub use low_rank::{LowRankCell, LowRankWeights};

use crate::numerics::{sigmoid, tanh};

/// The weights of a cell with `I` inputs and `H` hidden units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellWeights<const I: usize, const H: usize> {
    /// Input weights, shared by gate and update; row `j` belongs to hidden unit `j`.
    pub w: [[f32; I]; H],
    /// Recurrent weights, shared by gate and update.
    pub u: [[f32; H]; H],
    /// Bias of the gate.
    pub bias_gate: [f32; H],
    /// Bias of the update.
    pub bias_update: [f32; H],
    /// Scale of the update, before the sigmoid.
    pub zeta: f32,
    /// Translation of the update, before the sigmoid.
    pub nu: f32,
}

/// A cell that is ready to run.
///
/// Weights are kept by input, so that a step goes over all hidden units at once; every sum is
/// taken in one fixed order (inputs, then state).
#[derive(Debug, Clone, PartialEq)]
pub struct Cell<const I: usize, const H: usize> {
    w_by_input: [[f32; H]; I],
    u_by_input: [[f32; H]; H],
    bias_gate: [f32; H],
    bias_update: [f32; H],
    zeta: f32,
    nu: f32,
}

impl<const I: usize, const H: usize> Cell<I, H> {
    /// Prepares these weights.
    pub fn new(weights: &CellWeights<I, H>) -> Self {
        Self {
            w_by_input: transposed(&weights.w),
            u_by_input: transposed(&weights.u),
            bias_gate: weights.bias_gate,
            bias_update: weights.bias_update,
            zeta: sigmoid(weights.zeta),
            nu: sigmoid(weights.nu),
        }
    }

    /// One step: `state` goes from `h_(t-1)` to `h_t`.
    #[inline(always)]
    pub fn step(&self, input: &[f32; I], state: &mut [f32; H]) {
        let mut sums = [0.0; H];
        accumulate(&mut sums, &self.w_by_input, input);
        accumulate(&mut sums, &self.u_by_input, state);
        finish(&sums, [&self.bias_gate, &self.bias_update], [self.zeta, self.nu], state);
    }
}

/// From the sums `a_t` to the new state: both biases, and zeta and nu after their sigmoid.
#[inline(always)]
fn finish<const H: usize>(
    sums: &[f32; H],
    [bias_gate, bias_update]: [&[f32; H]; 2],
    [zeta, nu]: [f32; 2],
    state: &mut [f32; H],
) {
    let (mut gates, mut updates) = (*sums, *sums);
    for (gate, bias) in gates.iter_mut().zip(bias_gate) {
        *gate = sigmoid(*gate + bias);
    }
    for (update, bias) in updates.iter_mut().zip(bias_update) {
        *update = tanh(*update + bias);
    }
    for ((hidden, gate), update) in state.iter_mut().zip(gates).zip(updates) {
        *hidden = gate * *hidden + (zeta * (1.0 - gate) + nu) * update;
    }
}

/// Adds `column * value` for each column and value to the sums.
#[inline(always)]
pub(crate) fn accumulate<const N: usize, const H: usize>(
    sums: &mut [f32; H],
    columns: &[[f32; H]; N],
    values: &[f32; N],
) {
    for (column, value) in columns.iter().zip(values) {
        for (sum, weight) in sums.iter_mut().zip(column) {
            *sum += weight * value;
        }
    }
}

/// Columns of a matrix given by rows.
pub(crate) fn transposed<const N: usize, const M: usize>(rows: &[[f32; N]; M]) -> [[f32; M]; N] {
    let mut columns = [[0.0; M]; N];
    for (index, row) in rows.iter().enumerate() {
        for (column, &weight) in columns.iter_mut().zip(row) {
            column[index] = weight;
        }
    }
    columns
}

#[cfg(test)]
mod tests;
