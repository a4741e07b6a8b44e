//! The tier network as training sees it: its parameters in one flat slice, the forward pass with what the backward
//! pass needs, and back-propagation through time. The engine runs the same network in f32.

use libm::tanh;
use tinydancer_engine::evidence::INPUTS;
use tinydancer_engine::fastgrnn::CellWeights;
use tinydancer_engine::features::STATISTICS;
use tinydancer_engine::network::{HEADS, HIDDEN, NetworkWeights};

use crate::calibrate::logistic_loss;
use crate::ngram::logistic;
use crate::random::Random;

const H0_WEIGHT: usize = 0;
const H0_BIAS: usize = H0_WEIGHT + HIDDEN * STATISTICS;
const W: usize = H0_BIAS + HIDDEN;
const U: usize = W + HIDDEN * INPUTS;
const BIAS_GATE: usize = U + HIDDEN * HIDDEN;
const BIAS_UPDATE: usize = BIAS_GATE + HIDDEN;
const ZETA: usize = BIAS_UPDATE + HIDDEN;
const NU: usize = ZETA + 1;
const HEAD_WEIGHT: usize = NU + 1;
const HEAD_BIAS: usize = HEAD_WEIGHT + HEADS * HIDDEN;

/// Numbers that are trained.
pub const PARAMETERS: usize = HEAD_BIAS + HEADS;

type State = [f64; HIDDEN];

/// One prompt as the network reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Statistics, normalised.
    pub statistics: [f64; STATISTICS],
    /// Inputs of the cell, one evidence each.
    pub steps: Vec<[f64; INPUTS]>,
    /// What each head should say, 0 to 1.
    pub targets: [f64; HEADS],
}

/// Parameters of a network, row by row as in the artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters(pub Vec<f64>);

impl Parameters {
    /// Random start: `EdgeML`'s for the cell, heads at the means of the targets.
    pub fn random(means: [f64; HEADS], random: &mut Random) -> Self {
        let mut values = vec![0.0; PARAMETERS];
        fill(&mut values[H0_WEIGHT..H0_BIAS], 1.0 / (STATISTICS as f64).sqrt(), random);
        fill(&mut values[W..BIAS_GATE], 0.1, random);
        values[BIAS_GATE..ZETA].fill(1.0);
        values[ZETA] = 1.0;
        values[NU] = -4.0;
        fill(&mut values[HEAD_WEIGHT..HEAD_BIAS], 0.1, random);
        for (bias, mean) in values[HEAD_BIAS..].iter_mut().zip(means) {
            let mean = mean.clamp(0.01, 0.99);
            *bias = libm::log(mean / (1.0 - mean));
        }
        Self(values)
    }

    /// Which parameters weight decay shrinks: matrices, not biases nor the two scalars of the cell.
    pub fn decayed() -> Vec<bool> {
        let matrices = [H0_WEIGHT..H0_BIAS, W..BIAS_GATE, HEAD_WEIGHT..HEAD_BIAS];
        (0..PARAMETERS).map(|index| matrices.iter().any(|matrix| matrix.contains(&index))).collect()
    }

    /// The logits of the heads.
    pub fn logits(&self, statistics: &[f64; STATISTICS], steps: &[[f64; INPUTS]]) -> [f64; HEADS] {
        let mut state = self.initial(statistics);
        for input in steps {
            state = self.step(&state, input).state;
        }
        self.heads(&state)
    }

    /// The mean over the heads of the logistic losses of one sample.
    pub fn loss(&self, sample: &Sample, steps: &[[f64; INPUTS]]) -> f64 {
        let logits = self.logits(&sample.statistics, steps);
        logits.iter().zip(sample.targets).map(|(logit, target)| logistic_loss(*logit, target)).sum::<f64>()
            / HEADS as f64
    }

    /// Adds the gradient of [`Parameters::loss`] to `gradient`, which is laid out as the parameters.
    pub fn accumulate_gradient(&self, sample: &Sample, steps: &[[f64; INPUTS]], gradient: &mut [f64]) {
        let initial = self.initial(&sample.statistics);
        let mut trace: Vec<Step> = Vec::with_capacity(steps.len());
        for input in steps {
            let before = trace.last().map_or(initial, |step| step.state);
            trace.push(self.step(&before, input));
        }
        let last = trace.last().map_or(initial, |step| step.state);
        let mut slope = self.heads_backward(&last, &sample.targets, gradient);
        for (index, step) in trace.iter().enumerate().rev() {
            let before = if index == 0 { &initial } else { &trace[index - 1].state };
            slope = self.step_backward(&slope, step, before, &steps[index], gradient);
        }
        for unit in 0..HIDDEN {
            let inner = slope[unit] * (1.0 - initial[unit] * initial[unit]);
            gradient[H0_BIAS + unit] += inner;
            add_scaled(
                &mut gradient[H0_WEIGHT + unit * STATISTICS..][..STATISTICS],
                inner,
                &sample.statistics,
            );
        }
    }

    /// The weights in the form of the engine.
    pub fn weights(&self, mean: [f32; STATISTICS], std: [f32; STATISTICS]) -> NetworkWeights {
        NetworkWeights {
            statistics_mean: mean,
            statistics_std: std,
            h0_weight: self.matrix(H0_WEIGHT),
            h0_bias: self.vector(H0_BIAS),
            cell: CellWeights {
                w: self.matrix(W),
                u: self.matrix(U),
                bias_gate: self.vector(BIAS_GATE),
                bias_update: self.vector(BIAS_UPDATE),
                zeta: self.0[ZETA] as f32,
                nu: self.0[NU] as f32,
            },
            head_weight: self.matrix(HEAD_WEIGHT),
            head_bias: self.vector(HEAD_BIAS),
        }
    }

    fn vector<const N: usize>(&self, start: usize) -> [f32; N] {
        std::array::from_fn(|index| self.0[start + index] as f32)
    }

    fn matrix<const COLUMNS: usize, const ROWS: usize>(&self, start: usize) -> [[f32; COLUMNS]; ROWS] {
        std::array::from_fn(|row| self.vector(start + row * COLUMNS))
    }

    fn initial(&self, statistics: &[f64; STATISTICS]) -> State {
        std::array::from_fn(|unit| {
            tanh(dot(&self.0[H0_WEIGHT + unit * STATISTICS..], statistics) + self.0[H0_BIAS + unit])
        })
    }

    fn step(&self, before: &State, input: &[f64; INPUTS]) -> Step {
        let (zeta, nu) = (logistic(self.0[ZETA]), logistic(self.0[NU]));
        let mut step = Step { gate: [0.0; HIDDEN], update: [0.0; HIDDEN], state: [0.0; HIDDEN] };
        for unit in 0..HIDDEN {
            let sum = dot(&self.0[W + unit * INPUTS..], input) + dot(&self.0[U + unit * HIDDEN..], before);
            let gate = logistic(sum + self.0[BIAS_GATE + unit]);
            let update = tanh(sum + self.0[BIAS_UPDATE + unit]);
            step.gate[unit] = gate;
            step.update[unit] = update;
            step.state[unit] = gate * before[unit] + (zeta * (1.0 - gate) + nu) * update;
        }
        step
    }

    fn heads(&self, state: &State) -> [f64; HEADS] {
        std::array::from_fn(|head| {
            dot(&self.0[HEAD_WEIGHT + head * HIDDEN..], state) + self.0[HEAD_BIAS + head]
        })
    }

    /// The slope of the loss by the last state.
    fn heads_backward(&self, state: &State, targets: &[f64; HEADS], gradient: &mut [f64]) -> State {
        let logits = self.heads(state);
        let mut slope = [0.0; HIDDEN];
        for head in 0..HEADS {
            let error = (logistic(logits[head]) - targets[head]) / HEADS as f64;
            let row = HEAD_WEIGHT + head * HIDDEN;
            gradient[HEAD_BIAS + head] += error;
            add_scaled(&mut gradient[row..row + HIDDEN], error, state);
            add_scaled(&mut slope, error, &self.0[row..row + HIDDEN]);
        }
        slope
    }

    /// From the slope by the state after a step to the slope by the state before it.
    fn step_backward(
        &self,
        slope: &State,
        step: &Step,
        before: &State,
        input: &[f64; INPUTS],
        gradient: &mut [f64],
    ) -> State {
        let (zeta, nu) = (logistic(self.0[ZETA]), logistic(self.0[NU]));
        let (mut zeta_slope, mut nu_slope) = (0.0, 0.0);
        let mut earlier = [0.0; HIDDEN];
        for unit in 0..HIDDEN {
            let (gate, update, slope) = (step.gate[unit], step.update[unit], slope[unit]);
            zeta_slope += slope * (1.0 - gate) * update;
            nu_slope += slope * update;
            let at_gate = slope * (before[unit] - zeta * update) * gate * (1.0 - gate);
            let at_update = slope * (zeta * (1.0 - gate) + nu) * (1.0 - update * update);
            gradient[BIAS_GATE + unit] += at_gate;
            gradient[BIAS_UPDATE + unit] += at_update;
            let at_sum = at_gate + at_update;
            let (input_row, state_row) = (W + unit * INPUTS, U + unit * HIDDEN);
            add_scaled(&mut gradient[input_row..input_row + INPUTS], at_sum, input);
            add_scaled(&mut gradient[state_row..state_row + HIDDEN], at_sum, before);
            earlier[unit] += slope * gate;
            add_scaled(&mut earlier, at_sum, &self.0[state_row..state_row + HIDDEN]);
        }
        gradient[ZETA] += zeta_slope * zeta * (1.0 - zeta);
        gradient[NU] += nu_slope * nu * (1.0 - nu);
        earlier
    }
}

/// What one step of the cell computed.
struct Step {
    gate: State,
    update: State,
    state: State,
}

fn fill(values: &mut [f64], deviation: f64, random: &mut Random) {
    for value in values {
        *value = deviation * random.normal();
    }
}

/// The products of `values` with the start of `weights`, added up.
fn dot<const N: usize>(weights: &[f64], values: &[f64; N]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

fn add_scaled(sums: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::evidence::{Evidence, Source};
    use tinydancer_engine::network::Network;

    use super::*;

    fn parameters() -> Parameters {
        let mut random = Random::stream(7, 7);
        let mut parameters = Parameters::random([0.3, 0.6, 0.8], &mut random);
        // Larger than at the start, so that no part of the gradient is close to zero.
        for value in &mut parameters.0 {
            *value += 0.4 * random.normal();
        }
        parameters
    }

    fn evidence() -> [Evidence; 2] {
        [
            Evidence { source: Source::Ngram, value: 0.25, good_enough: 0.75, weight: 5.5 },
            Evidence { source: Source::Tag, value: -0.5, good_enough: 0.875, weight: 3.25 },
        ]
    }

    fn sample(steps: usize) -> Sample {
        let mut random = Random::stream(8, 8);
        Sample {
            statistics: std::array::from_fn(|_| random.normal()),
            steps: evidence()[..steps].iter().map(|step| step.input().map(f64::from)).collect(),
            targets: [1.0, 0.25, 0.0],
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for steps in 0..=2 {
            let (parameters, sample) = (parameters(), sample(steps));
            let mut gradient = vec![0.0; PARAMETERS];
            parameters.accumulate_gradient(&sample, &sample.steps, &mut gradient);
            for (index, slope) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved.0[index] += by;
                    moved.loss(&sample, &sample.steps)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let error = (slope - expected).abs();
                assert!(error < 1e-8, "parameter {index} with {steps} steps: {slope} {expected}");
            }
            assert!(steps == 0 || gradient[ZETA].abs() > 1e-6 && gradient[NU].abs() > 1e-6);
        }
    }

    #[test]
    fn the_engine_computes_the_same_logits() {
        let (parameters, sample) = (parameters(), sample(2));
        let network = Network::new(&parameters.weights([0.0; STATISTICS], [1.0; STATISTICS]));
        let theirs = network.logits(&sample.statistics.map(|value| value as f32), evidence());
        let ours = parameters.logits(&sample.statistics, &sample.steps);
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours - f64::from(theirs)).abs() < 1e-5, "{ours} {theirs}");
        }
    }

    #[test]
    fn a_gradient_step_lowers_the_loss() {
        let (mut parameters, sample) = (parameters(), sample(2));
        let before = parameters.loss(&sample, &sample.steps);
        let mut gradient = vec![0.0; PARAMETERS];
        parameters.accumulate_gradient(&sample, &sample.steps, &mut gradient);
        for (value, slope) in parameters.0.iter_mut().zip(&gradient) {
            *value -= 1e-3 * slope;
        }
        assert!(parameters.loss(&sample, &sample.steps) < before);
    }

    #[test]
    fn decay_spares_biases_and_scalars() {
        let decayed = Parameters::decayed();
        assert_eq!(decayed.len(), PARAMETERS);
        assert!(decayed[H0_WEIGHT] && decayed[U] && decayed[HEAD_BIAS - 1]);
        assert!(!decayed[H0_BIAS] && !decayed[ZETA] && !decayed[NU] && !decayed[HEAD_BIAS]);
    }
}
