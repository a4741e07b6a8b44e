//! The tier network as training sees it: its parameters in one flat slice, the forward pass with what the backward
//! pass needs, and back-propagation through time. The engine runs the same network in f32.

use libm::tanh;
use tinydancer_engine::evidence::INPUTS;
use tinydancer_engine::features::STATISTICS;
use tinydancer_engine::network::{HEADS, HIDDEN, NetworkWeights};

use crate::calibrate::logistic_loss;
use crate::cell::{self, add_scaled, dot, fill};
use crate::ngram::logistic;
use crate::random::Random;

const H0_WEIGHT: usize = 0;
const H0_BIAS: usize = H0_WEIGHT + HIDDEN * STATISTICS;
const CELL: Cell = Cell::at(H0_BIAS + HIDDEN);
const HEAD_WEIGHT: usize = CELL.w() + Cell::PARAMETERS;
const HEAD_BIAS: usize = HEAD_WEIGHT + HEADS * HIDDEN;

/// Numbers that are trained.
pub const PARAMETERS: usize = HEAD_BIAS + HEADS;

type Cell = cell::Cell<INPUTS, HIDDEN>;
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
        CELL.fill(&mut values, random);
        fill(&mut values[HEAD_WEIGHT..HEAD_BIAS], 0.1, random);
        for (bias, mean) in values[HEAD_BIAS..].iter_mut().zip(means) {
            let mean = mean.clamp(0.01, 0.99);
            *bias = libm::log(mean / (1.0 - mean));
        }
        Self(values)
    }

    /// Which parameters weight decay shrinks: matrices, not biases nor the two scalars of the cell.
    pub fn decayed() -> Vec<bool> {
        let matrices = [H0_WEIGHT..H0_BIAS, CELL.w()..CELL.bias_gate(), HEAD_WEIGHT..HEAD_BIAS];
        (0..PARAMETERS).map(|index| matrices.iter().any(|matrix| matrix.contains(&index))).collect()
    }

    /// The logits of the heads.
    pub fn logits<'a>(
        &self,
        statistics: &[f64; STATISTICS],
        steps: impl IntoIterator<Item = &'a [f64; INPUTS]>,
    ) -> [f64; HEADS] {
        let mut state = self.initial(statistics);
        for input in steps {
            state = CELL.step(&self.0, &state, input).state;
        }
        self.heads(&state)
    }

    /// The mean over the heads of the logistic losses of one sample, of logits that are divided by the temperature T,
    /// times T squared (Hinton, Vinyals and Dean, arXiv 1503.02531): its slope by a logit is
    /// `T (logistic(logit / T) - target)`. At 1 it is the plain loss.
    pub fn loss<'a>(
        &self,
        sample: &Sample,
        steps: impl IntoIterator<Item = &'a [f64; INPUTS]>,
        temperature: f64,
    ) -> f64 {
        let logits = self.logits(&sample.statistics, steps);
        let losses = logits.iter().zip(sample.targets);
        losses.map(|(logit, target)| logistic_loss(*logit / temperature, target)).sum::<f64>() / HEADS as f64
            * temperature
            * temperature
    }

    /// Adds the gradient of [`Parameters::loss`] to `gradient`, which is laid out as the parameters.
    pub fn accumulate_gradient(
        &self,
        sample: &Sample,
        steps: &[[f64; INPUTS]],
        temperature: f64,
        gradient: &mut [f64],
    ) {
        let initial = self.initial(&sample.statistics);
        let mut trace: Vec<cell::Step<HIDDEN>> = Vec::with_capacity(steps.len());
        for input in steps {
            let before = trace.last().map_or(initial, |step| step.state);
            trace.push(CELL.step(&self.0, &before, input));
        }
        let last = trace.last().map_or(initial, |step| step.state);
        let mut slope = self.heads_backward(&last, &sample.targets, temperature, gradient);
        for (index, step) in trace.iter().enumerate().rev() {
            let before = if index == 0 { &initial } else { &trace[index - 1].state };
            slope = CELL.backward(&self.0, &slope, step, before, &steps[index], gradient);
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
            h0_weight: cell::matrix(&self.0, H0_WEIGHT),
            h0_bias: cell::vector(&self.0, H0_BIAS),
            cell: CELL.weights(&self.0),
            head_weight: cell::matrix(&self.0, HEAD_WEIGHT),
            head_bias: cell::vector(&self.0, HEAD_BIAS),
        }
    }

    fn initial(&self, statistics: &[f64; STATISTICS]) -> State {
        std::array::from_fn(|unit| {
            tanh(dot(&self.0[H0_WEIGHT + unit * STATISTICS..], statistics) + self.0[H0_BIAS + unit])
        })
    }

    fn heads(&self, state: &State) -> [f64; HEADS] {
        std::array::from_fn(|head| {
            dot(&self.0[HEAD_WEIGHT + head * HIDDEN..], state) + self.0[HEAD_BIAS + head]
        })
    }

    /// The slope of the loss by the last state.
    fn heads_backward(
        &self,
        state: &State,
        targets: &[f64; HEADS],
        temperature: f64,
        gradient: &mut [f64],
    ) -> State {
        let logits = self.heads(state);
        let mut slope = [0.0; HIDDEN];
        for head in 0..HEADS {
            let error = temperature * (logistic(logits[head] / temperature) - targets[head]) / HEADS as f64;
            let row = HEAD_WEIGHT + head * HIDDEN;
            gradient[HEAD_BIAS + head] += error;
            add_scaled(&mut gradient[row..row + HIDDEN], error, state);
            add_scaled(&mut slope, error, &self.0[row..row + HIDDEN]);
        }
        slope
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
            parameters.accumulate_gradient(&sample, &sample.steps, 1.0, &mut gradient);
            for (index, slope) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved.0[index] += by;
                    moved.loss(&sample, &sample.steps, 1.0)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let error = (slope - expected).abs();
                assert!(error < 1e-8, "parameter {index} with {steps} steps: {slope} {expected}");
            }
            assert!(steps == 0 || gradient[CELL.zeta()].abs() > 1e-6 && gradient[CELL.nu()].abs() > 1e-6);
        }
    }

    #[test]
    fn the_gradient_at_a_temperature_is_that_of_the_loss_and_of_the_formula() {
        let (parameters, sample) = (parameters(), sample(2));
        let gradient = |temperature| {
            let mut gradient = vec![0.0; PARAMETERS];
            parameters.accumulate_gradient(&sample, &sample.steps, temperature, &mut gradient);
            gradient
        };
        let logits = parameters.logits(&sample.statistics, &sample.steps);
        for temperature in [0.5, 3.0] {
            for (index, slope) in gradient(temperature).iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved.0[index] += by;
                    moved.loss(&sample, &sample.steps, temperature)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (slope - expected).abs() < 1e-8,
                    "parameter {index} at {temperature}: {slope} {expected}"
                );
            }
            for (head, logit) in logits.iter().enumerate() {
                let formula = temperature * (logistic(logit / temperature) - sample.targets[head]) / 3.0;
                assert!((gradient(temperature)[HEAD_BIAS + head] - formula).abs() < 1e-12);
            }
            assert_ne!(gradient(temperature), gradient(1.0));
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
        let before = parameters.loss(&sample, &sample.steps, 1.0);
        let mut gradient = vec![0.0; PARAMETERS];
        parameters.accumulate_gradient(&sample, &sample.steps, 1.0, &mut gradient);
        for (value, slope) in parameters.0.iter_mut().zip(&gradient) {
            *value -= 1e-3 * slope;
        }
        assert!(parameters.loss(&sample, &sample.steps, 1.0) < before);
    }

    #[test]
    fn decay_spares_biases_and_scalars() {
        let decayed = Parameters::decayed();
        assert_eq!(decayed.len(), PARAMETERS);
        assert!(decayed[H0_WEIGHT] && decayed[CELL.u()] && decayed[HEAD_BIAS - 1]);
        assert!(!decayed[H0_BIAS] && !decayed[CELL.zeta()] && !decayed[CELL.nu()] && !decayed[HEAD_BIAS]);
    }
}
