//! The cell with matrices of low rank: `W = W2 W1` and `U = U2 U1`.
//!
//! A step costs `R (I + H) + 2 S H` products in place of `H I + H H`. That is less where `R < H I / (H + I)` and
//! `S < H / 2`, and worth a form of its own only for many units: with 16 the functions cost more than the products.

use super::{CellWeights, accumulate, finish, transposed};
use crate::numerics::sigmoid;

/// The weights of a cell with `I` inputs and `H` hidden units, `W` of rank `R` and `U` of rank `S`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LowRankWeights<const I: usize, const H: usize, const R: usize, const S: usize> {
    /// From the inputs; `W1` of the paper.
    pub w1: [[f32; I]; R],
    /// To the units; `W2`.
    pub w2: [[f32; R]; H],
    /// From the state; `U1`.
    pub u1: [[f32; H]; S],
    /// To the units; `U2`.
    pub u2: [[f32; S]; H],
    /// Bias of the gate.
    pub bias_gate: [f32; H],
    /// Bias of the update.
    pub bias_update: [f32; H],
    /// Scale of the update, before the sigmoid.
    pub zeta: f32,
    /// Translation of the update, before the sigmoid.
    pub nu: f32,
}

impl<const I: usize, const H: usize, const R: usize, const S: usize> LowRankWeights<I, H, R, S> {
    /// The same cell with its matrices multiplied out, for few units.
    pub fn multiplied(&self) -> CellWeights<I, H> {
        CellWeights {
            w: product(&self.w2, &self.w1),
            u: product(&self.u2, &self.u1),
            bias_gate: self.bias_gate,
            bias_update: self.bias_update,
            zeta: self.zeta,
            nu: self.nu,
        }
    }
}

/// A cell of low rank that is ready to run. Sums are taken in one fixed order, as in [`super::Cell`].
#[derive(Debug, Clone, PartialEq)]
pub struct LowRankCell<const I: usize, const H: usize, const R: usize, const S: usize> {
    w1_by_input: [[f32; R]; I],
    w2_by_input: [[f32; H]; R],
    u1_by_input: [[f32; S]; H],
    u2_by_input: [[f32; H]; S],
    bias_gate: [f32; H],
    bias_update: [f32; H],
    zeta: f32,
    nu: f32,
}

impl<const I: usize, const H: usize, const R: usize, const S: usize> LowRankCell<I, H, R, S> {
    /// Prepares these weights.
    pub fn new(weights: &LowRankWeights<I, H, R, S>) -> Self {
        Self {
            w1_by_input: transposed(&weights.w1),
            w2_by_input: transposed(&weights.w2),
            u1_by_input: transposed(&weights.u1),
            u2_by_input: transposed(&weights.u2),
            bias_gate: weights.bias_gate,
            bias_update: weights.bias_update,
            zeta: sigmoid(weights.zeta),
            nu: sigmoid(weights.nu),
        }
    }

    /// One step: `state` goes from `h_(t-1)` to `h_t`.
    #[inline(always)]
    pub fn step(&self, input: &[f32; I], state: &mut [f32; H]) {
        let (mut narrow_input, mut narrow_state) = ([0.0; R], [0.0; S]);
        accumulate(&mut narrow_input, &self.w1_by_input, input);
        accumulate(&mut narrow_state, &self.u1_by_input, state);
        let mut sums = [0.0; H];
        accumulate(&mut sums, &self.w2_by_input, &narrow_input);
        accumulate(&mut sums, &self.u2_by_input, &narrow_state);
        finish(&sums, [&self.bias_gate, &self.bias_update], [self.zeta, self.nu], state);
    }
}

fn product<const N: usize, const R: usize, const M: usize>(
    left: &[[f32; R]; M],
    right: &[[f32; N]; R],
) -> [[f32; N]; M] {
    left.map(|row| {
        let mut sums = [0.0; N];
        accumulate(&mut sums, right, &row);
        sums
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fastgrnn::Cell;

    /// Numbers of about `size`, the same each time.
    fn matrix<const N: usize, const M: usize>(start: &mut u32, size: f32) -> [[f32; N]; M] {
        [[0.0; N]; M].map(|row| {
            row.map(|_: f32| {
                *start = start.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                size * ((*start >> 8) as f32 / 8_388_608.0 - 1.0)
            })
        })
    }

    fn weights<const I: usize, const H: usize, const R: usize, const S: usize>(
        seed: u32,
    ) -> LowRankWeights<I, H, R, S> {
        let mut next = seed;
        LowRankWeights {
            w1: matrix(&mut next, 0.7),
            w2: matrix(&mut next, 0.7),
            u1: matrix(&mut next, 0.4),
            u2: matrix(&mut next, 0.4),
            bias_gate: matrix::<H, 1>(&mut next, 1.0)[0],
            bias_update: matrix::<H, 1>(&mut next, 1.0)[0],
            zeta: 1.0,
            nu: -4.0,
        }
    }

    fn agrees<const I: usize, const H: usize, const R: usize, const S: usize>(seed: u32) -> f32 {
        let weights = weights::<I, H, R, S>(seed);
        let (narrow, wide) = (LowRankCell::new(&weights), Cell::new(&weights.multiplied()));
        let (mut one, mut other) = ([0.0; H], [0.0; H]);
        let mut next = seed;
        for _ in 0..64 {
            let input = matrix::<I, 1>(&mut next, 1.0)[0];
            narrow.step(&input, &mut one);
            wide.step(&input, &mut other);
        }
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn rank_one_is_the_outer_product() {
        let weights = weights::<3, 4, 1, 1>(3);
        let multiplied = weights.multiplied();
        for unit in 0..4 {
            for input in 0..3 {
                assert_eq!(multiplied.w[unit][input], weights.w2[unit][0] * weights.w1[0][input]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        /// 64 steps; only the order of the sums differs.
        #[test]
        fn the_cell_of_low_rank_is_the_cell_multiplied_out(seed in any::<u32>()) {
            prop_assert!(agrees::<5, 16, 3, 6>(seed) < 2e-5);
            prop_assert!(agrees::<12, 16, 4, 4>(seed) < 2e-5);
            prop_assert!(agrees::<32, 64, 8, 16>(seed) < 2e-5);
        }
    }
}
