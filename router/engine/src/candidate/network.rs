//! The weights of a candidate network, and one step and its heads in the plainest form.

use crate::fastgrnn::{Cell, CellWeights, accumulate, transposed};

/// Inputs of a step. See [`SIGNALS`].
pub const INPUTS: usize = 12;
/// Hidden units.
pub const HIDDEN: usize = 16;
/// Heads: logit of success, logarithm of the precision of that estimate.
pub const HEADS: usize = 2;

/// What the inputs of a step are, in order, before they are normalised. What is not known is 0.
pub const SIGNALS: [&str; INPUTS] = [
    // Cosine of the request's embedding and the centre of what the candidate answered well, -1 to 1.
    "similarity",
    // Cosine of the request's embedding and that of the turn before, -1 to 1.
    "previous_turn",
    // Natural logarithm of one plus the tokens of the prompt.
    "prompt_tokens",
    // Natural logarithm of the candidate's price over the lowest of the candidates.
    "price",
    // Of the last call, or smoothed for a decision: latency over the objective.
    "latency",
    // Natural logarithm of one plus the seconds since the call before.
    "gap",
    // 2^(-seconds since the last call / half-life), 0 to 1.
    "recency",
    // Natural logarithm of one plus the calls so far.
    "frequency",
    // Smoothed share of successes, 0 to 1.
    "success",
    // Overlap of the request's metadata with the candidate's (Jaccard), 0 to 1.
    "overlap",
    // Of the last call: 1 success, -1 failure, 0 none.
    "outcome",
    // 1 for a decision, 0 for a finished call.
    "is_query",
];

/// The weights of a candidate network. Matrices are given by rows, one row an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CandidateWeights {
    /// Mean of each signal.
    pub input_mean: [f32; INPUTS],
    /// Standard deviation of each signal; positive.
    pub input_std: [f32; INPUTS],
    /// The recurrent cell.
    pub cell: CellWeights<INPUTS, HIDDEN>,
    /// State to heads.
    pub head_weight: [[f32; HIDDEN]; HEADS],
    /// Bias of the heads.
    pub head_bias: [f32; HEADS],
}

/// A candidate network that is ready to run: the reference that faster forms must agree with.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateNetwork {
    mean: [f32; INPUTS],
    std: [f32; INPUTS],
    cell: Cell<INPUTS, HIDDEN>,
    head_by_input: [[f32; HEADS]; HIDDEN],
    head_bias: [f32; HEADS],
}

impl CandidateNetwork {
    /// Prepares these weights.
    pub fn new(weights: &CandidateWeights) -> Self {
        Self {
            mean: weights.input_mean,
            std: weights.input_std,
            cell: Cell::new(&weights.cell),
            head_by_input: transposed(&weights.head_weight),
            head_bias: weights.head_bias,
        }
    }

    /// One step with these signals, as [`SIGNALS`] orders them.
    pub fn step(&self, signals: &[f32; INPUTS], state: &mut [f32; HIDDEN]) {
        let mut normalised = *signals;
        for (value, (mean, std)) in normalised.iter_mut().zip(self.mean.iter().zip(&self.std)) {
            *value = (*value - mean) / std;
        }
        self.cell.step(&normalised, state);
    }

    /// The heads on a state.
    pub fn heads(&self, state: &[f32; HIDDEN]) -> [f32; HEADS] {
        let mut heads = self.head_bias;
        accumulate(&mut heads, &self.head_by_input, state);
        heads
    }
}
