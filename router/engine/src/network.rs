//! The tier network: initial state from the statistics, one cell step an evidence, three heads.

#![allow(clippy::inline_always, reason = "compiled for each level of the processor")]

use crate::evidence::{Evidence, INPUTS};
use crate::fastgrnn::{Cell, CellWeights, accumulate, transposed};
use crate::features::STATISTICS;
use crate::numerics::tanh;
use crate::simd::{Level, Simd, Work};

/// Hidden units.
pub const HIDDEN: usize = 16;
/// Heads: Lightweight answers right, Powerful answers right, Lightweight is good enough.
pub const HEADS: usize = 3;

/// The weights of a tier network. Matrices are given by rows, one row an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkWeights {
    /// Mean of each statistic.
    pub statistics_mean: [f32; STATISTICS],
    /// Standard deviation of each statistic; positive.
    pub statistics_std: [f32; STATISTICS],
    /// Statistics to initial state.
    pub h0_weight: [[f32; STATISTICS]; HIDDEN],
    /// Bias of the initial state.
    pub h0_bias: [f32; HIDDEN],
    /// The recurrent cell.
    pub cell: CellWeights<INPUTS, HIDDEN>,
    /// State to logits.
    pub head_weight: [[f32; HIDDEN]; HEADS],
    /// Bias of the logits.
    pub head_bias: [f32; HEADS],
}

/// A tier network that is ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    mean: [f32; STATISTICS],
    std: [f32; STATISTICS],
    h0_by_input: [[f32; HIDDEN]; STATISTICS],
    h0_bias: [f32; HIDDEN],
    cell: Cell<INPUTS, HIDDEN>,
    head_by_input: [[f32; HEADS]; HIDDEN],
    head_bias: [f32; HEADS],
}

impl Network {
    /// Prepares these weights.
    pub fn new(weights: &NetworkWeights) -> Self {
        Self {
            mean: weights.statistics_mean,
            std: weights.statistics_std,
            h0_by_input: transposed(&weights.h0_weight),
            h0_bias: weights.h0_bias,
            cell: Cell::new(&weights.cell),
            head_by_input: transposed(&weights.head_weight),
            head_bias: weights.head_bias,
        }
    }

    /// The uncalibrated logits of the heads. A network with extreme weights may yield numbers
    /// that are not finite; nothing is clipped.
    ///
    /// The best level of the processor does it; each gives the same bits, for none fuses or reorders.
    pub fn logits(
        &self,
        statistics: &[f32; STATISTICS],
        evidence: impl IntoIterator<Item = Evidence>,
    ) -> [f32; HEADS] {
        self.logits_at(Level::best(), statistics, evidence)
    }

    /// The same at a level, for tests and measurements.
    pub fn logits_at(
        &self,
        level: Level,
        statistics: &[f32; STATISTICS],
        evidence: impl IntoIterator<Item = Evidence>,
    ) -> [f32; HEADS] {
        level.run(Logits { network: self, statistics, evidence })
    }

    #[inline(always)]
    fn initial_state(&self, statistics: &[f32; STATISTICS]) -> [f32; HIDDEN] {
        let mut normalised = *statistics;
        for (value, (mean, std)) in normalised.iter_mut().zip(self.mean.iter().zip(&self.std)) {
            *value = (*value - mean) / std;
        }
        let mut state = self.h0_bias;
        accumulate(&mut state, &self.h0_by_input, &normalised);
        for hidden in &mut state {
            *hidden = tanh(*hidden);
        }
        state
    }
}

struct Logits<'a, E> {
    network: &'a Network,
    statistics: &'a [f32; STATISTICS],
    evidence: E,
}

impl<E: IntoIterator<Item = Evidence>> Work for Logits<'_, E> {
    type Output = [f32; HEADS];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [f32; HEADS] {
        let network = self.network;
        let mut state = network.initial_state(self.statistics);
        for step in self.evidence {
            network.cell.step(&step.input(), &mut state);
        }
        let mut logits = network.head_bias;
        accumulate(&mut logits, &network.head_by_input, &state);
        logits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::TierScores;
    use crate::testing;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_level_gives_the_same_bits(
            seed: u64,
            statistics: [f32; STATISTICS],
            scores in prop::collection::vec((-1e3_f32..1e3, -30.0_f32..30.0, 0_usize..1000), 0..8),
        ) {
            let network = Network::new(&testing::parts(seed).network);
            let evidence = scores.iter().map(|&(lightweight, powerful, found)| {
                Evidence::of_ngrams(TierScores { lightweight, powerful }, found)
            });
            let bits = |level| network.logits_at(level, &statistics, evidence.clone()).map(f32::to_bits);
            for level in Level::all() {
                prop_assert_eq!(bits(level), bits(Level::all()[0]));
            }
        }
    }
}
