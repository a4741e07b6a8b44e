//! The `FastGRNN` cell as training sees it: its parameters in a flat slice, a step with what the backward pass needs,
//! and the backward pass. The networks of the trainer are built of it; the engine runs the same cell in f32.

use libm::tanh;
use tinydancer_engine::fastgrnn::CellWeights;

use crate::ngram::logistic;
use crate::random::Random;

/// A cell with `I` inputs and `H` hidden units whose parameters begin at `start`: W and U by rows, both biases, zeta
/// and nu.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<const I: usize, const H: usize> {
    start: usize,
}

/// What one step computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<const H: usize> {
    gate: [f64; H],
    update: [f64; H],
    pub(crate) state: [f64; H],
}

impl<const I: usize, const H: usize> Cell<I, H> {
    /// Numbers that are trained.
    pub(crate) const PARAMETERS: usize = H * I + H * H + 2 * H + 2;

    pub(crate) const fn at(start: usize) -> Self {
        Self { start }
    }

    /// Where W begins.
    pub(crate) const fn w(self) -> usize {
        self.start
    }

    /// Where U begins, after W.
    pub(crate) const fn u(self) -> usize {
        self.w() + H * I
    }

    /// Where the bias of the gate begins, after the matrices.
    pub(crate) const fn bias_gate(self) -> usize {
        self.u() + H * H
    }

    const fn bias_update(self) -> usize {
        self.bias_gate() + H
    }

    pub(crate) const fn zeta(self) -> usize {
        self.bias_update() + H
    }

    pub(crate) const fn nu(self) -> usize {
        self.zeta() + 1
    }

    /// `EdgeML`'s start.
    pub(crate) fn fill(self, values: &mut [f64], random: &mut Random) {
        fill(&mut values[self.w()..self.bias_gate()], 0.1, random);
        values[self.bias_gate()..self.zeta()].fill(1.0);
        values[self.zeta()] = 1.0;
        values[self.nu()] = -4.0;
    }

    pub(crate) fn step(self, values: &[f64], before: &[f64; H], input: &[f64; I]) -> Step<H> {
        let (zeta, nu) = (logistic(values[self.zeta()]), logistic(values[self.nu()]));
        let mut step = Step { gate: [0.0; H], update: [0.0; H], state: [0.0; H] };
        for unit in 0..H {
            let sum =
                dot(&values[self.w() + unit * I..], input) + dot(&values[self.u() + unit * H..], before);
            let gate = logistic(sum + values[self.bias_gate() + unit]);
            let update = tanh(sum + values[self.bias_update() + unit]);
            step.gate[unit] = gate;
            step.update[unit] = update;
            step.state[unit] = gate * before[unit] + (zeta * (1.0 - gate) + nu) * update;
        }
        step
    }

    /// From the slope by the state after a step to the slope by the state before it; adds the slopes by the
    /// parameters to `gradient`.
    pub(crate) fn backward(
        self,
        values: &[f64],
        slope: &[f64; H],
        step: &Step<H>,
        before: &[f64; H],
        input: &[f64; I],
        gradient: &mut [f64],
    ) -> [f64; H] {
        let (zeta, nu) = (logistic(values[self.zeta()]), logistic(values[self.nu()]));
        let (mut zeta_slope, mut nu_slope) = (0.0, 0.0);
        let mut earlier = [0.0; H];
        for unit in 0..H {
            let (gate, update, slope) = (step.gate[unit], step.update[unit], slope[unit]);
            zeta_slope += slope * (1.0 - gate) * update;
            nu_slope += slope * update;
            let at_gate = slope * (before[unit] - zeta * update) * gate * (1.0 - gate);
            let at_update = slope * (zeta * (1.0 - gate) + nu) * (1.0 - update * update);
            gradient[self.bias_gate() + unit] += at_gate;
            gradient[self.bias_update() + unit] += at_update;
            let at_sum = at_gate + at_update;
            let (input_row, state_row) = (self.w() + unit * I, self.u() + unit * H);
            add_scaled(&mut gradient[input_row..input_row + I], at_sum, input);
            add_scaled(&mut gradient[state_row..state_row + H], at_sum, before);
            earlier[unit] += slope * gate;
            add_scaled(&mut earlier, at_sum, &values[state_row..state_row + H]);
        }
        gradient[self.zeta()] += zeta_slope * zeta * (1.0 - zeta);
        gradient[self.nu()] += nu_slope * nu * (1.0 - nu);
        earlier
    }

    /// The weights in the form of the engine.
    pub(crate) fn weights(self, values: &[f64]) -> CellWeights<I, H> {
        CellWeights {
            w: matrix(values, self.w()),
            u: matrix(values, self.u()),
            bias_gate: vector(values, self.bias_gate()),
            bias_update: vector(values, self.bias_update()),
            zeta: values[self.zeta()] as f32,
            nu: values[self.nu()] as f32,
        }
    }
}

/// Normal numbers with this deviation.
pub(crate) fn fill(values: &mut [f64], deviation: f64, random: &mut Random) {
    for value in values {
        *value = deviation * random.normal();
    }
}

/// The numbers from `start`, for the engine.
pub(crate) fn vector<const N: usize>(values: &[f64], start: usize) -> [f32; N] {
    std::array::from_fn(|index| values[start + index] as f32)
}

/// The rows from `start`, for the engine.
pub(crate) fn matrix<const COLUMNS: usize, const ROWS: usize>(
    values: &[f64],
    start: usize,
) -> [[f32; COLUMNS]; ROWS] {
    std::array::from_fn(|row| vector(values, start + row * COLUMNS))
}

/// The products of `values` with the start of `weights`, added up.
pub(crate) fn dot<const N: usize>(weights: &[f64], values: &[f64; N]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

pub(crate) fn add_scaled(sums: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}
