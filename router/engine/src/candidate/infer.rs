//! A network on signals that are already there: one set at once with its units side by side, or many sets at once.
#![allow(clippy::inline_always, reason = "compiled inside each level's own function")]

use super::kernel;
use super::ranker::{Ranker, in_lanes};
use crate::simd::{LANES, Level, Simd, Work};

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// The heads after one step with these signals from this state. For networks of up to [`LANES`] units.
    #[inline]
    pub fn infer(&self, signals: &[f32; I], state: &[f32; H]) -> [f32; N] {
        self.infer_at(Level::best(), signals, state)
    }

    /// The same at a level, for tests and measurements.
    #[inline]
    pub fn infer_at(&self, level: Level, signals: &[f32; I], state: &[f32; H]) -> [f32; N] {
        const { assert!(H <= LANES, "the units must fit into one vector") };
        level.run(One { ranker: self, signals, state })
    }

    /// The heads after one step from 0 with each set of signals; as many are written as both have.
    pub fn infer_batch(&self, signals: &[[f32; I]], heads: &mut [[f32; N]]) {
        self.infer_batch_at(Level::best(), signals, heads);
    }

    /// The same at a level, for tests and measurements.
    pub fn infer_batch_at(&self, level: Level, signals: &[[f32; I]], heads: &mut [[f32; N]]) {
        level.run(Many { ranker: self, signals, heads });
    }
}

struct One<'a, const I: usize, const H: usize, const N: usize> {
    ranker: &'a Ranker<I, H, N>,
    signals: &'a [f32; I],
    state: &'a [f32; H],
}

impl<const I: usize, const H: usize, const N: usize> Work for One<'_, I, H, N> {
    type Output = [f32; N];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; N] {
        let lanes = &self.ranker.by_lane;
        let mut sums = [simd.load(&lanes.constant.0), simd.splat(0.0)];
        for (place, (column, signal)) in lanes.w.iter().zip(self.signals).enumerate() {
            sums[place % 2] = simd.mul_add(simd.load(&column.0), simd.splat(*signal), sums[place % 2]);
        }
        let state = simd.load(&in_lanes(self.state).0);
        if self.state.iter().any(|hidden| *hidden != 0.0) {
            for (place, (column, hidden)) in lanes.u.iter().zip(self.state).enumerate() {
                sums[place % 2] = simd.mul_add(simd.load(&column.0), simd.splat(*hidden), sums[place % 2]);
            }
        }
        let constants = [simd.splat(self.ranker.gain), simd.splat(self.ranker.floor)];
        let sum = simd.add(sums[0], sums[1]);
        let hidden = kernel::step(simd, constants, sum, simd.load(&lanes.ratio.0), Some(state));
        let mut heads = self.ranker.head_bias;
        for (head, weights) in heads.iter_mut().zip(&lanes.heads) {
            *head += simd.sum(simd.mul(hidden, simd.load(&weights.0)));
        }
        heads
    }
}

struct Many<'a, const I: usize, const H: usize, const N: usize> {
    ranker: &'a Ranker<I, H, N>,
    signals: &'a [[f32; I]],
    heads: &'a mut [[f32; N]],
}

impl<const I: usize, const H: usize, const N: usize> Work for Many<'_, I, H, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ranker = self.ranker;
        let constants = [simd.splat(ranker.gain), simd.splat(ranker.floor)];
        for (signals, heads) in self.signals.chunks(LANES).zip(self.heads.chunks_mut(LANES)) {
            let mut columns = [[0.0; LANES]; I];
            for (lane, signals) in signals.iter().enumerate() {
                for (column, signal) in columns.iter_mut().zip(signals) {
                    column[lane] = *signal;
                }
            }
            let mut sums = ranker.head_bias.map(|bias| simd.splat(bias));
            for (unit, weights) in ranker.units.iter().enumerate() {
                let mut sum = simd.splat(ranker.constant[unit]);
                for (column, weights) in columns.iter().zip(&ranker.w_by_input) {
                    sum = simd.mul_add(simd.load(column), simd.splat(weights[unit]), sum);
                }
                let hidden = kernel::step(simd, constants, sum, simd.splat(weights.ratio), None);
                for (head, weight) in sums.iter_mut().zip(weights.heads) {
                    *head = simd.mul_add(hidden, simd.splat(weight), *head);
                }
            }
            for (head, sums) in sums.into_iter().enumerate() {
                for (heads, sum) in heads.iter_mut().zip(simd.store(sums)) {
                    heads[head] = sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::candidate::network::{HIDDEN, INPUTS};
    use crate::candidate::ranker::{FIVE, Overlap, Ranker, RankerWeights};
    use crate::candidate::reference::{CANDIDATE, Numbers, step};
    use crate::simd::Level;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_inference_is_the_formula_at_every_level(seed: u64) {
            let mut numbers = Numbers(seed);
            let weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
            let ranker = Ranker::new(&weights).expect("must be weights");
            let (signals, state) = (numbers.row(), numbers.row());
            let exact = step(&weights, &signals.map(f64::from), &state);
            for level in Level::all() {
                let heads = ranker.infer_at(level, &signals, &state);
                for (head, exact) in heads.iter().zip(exact) {
                    prop_assert!((f64::from(*head) - exact).abs() < 2e-5, "{level:?} {head} {exact}");
                }
            }
        }

        #[test]
        fn a_batch_is_its_members_at_every_level(seed: u64, count in 0_usize..40) {
            let mut numbers = Numbers(seed);
            let weights: RankerWeights<5, 8, 1> = numbers.weights(FIVE, Overlap::Jaccard);
            let ranker = Ranker::new(&weights).expect("must be weights");
            let signals: Vec<[f32; 5]> = (0..count).map(|_| numbers.row()).collect();
            for level in Level::all() {
                let mut heads = vec![[0.0; 1]; count];
                ranker.infer_batch_at(level, &signals, &mut heads);
                for (signals, head) in signals.iter().zip(heads) {
                    let exact = step(&weights, &signals.map(f64::from), &[0.0; 8]);
                    prop_assert!((f64::from(head[0]) - exact[0]).abs() < 1e-5, "{level:?}");
                }
            }
        }
    }
}
