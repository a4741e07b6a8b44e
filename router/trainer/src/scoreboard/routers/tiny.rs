//! The `FastGRNN` 5-8-1 of the seed, for one step from a state of zero: what it comes to where every request is judged
//! by itself. Without a state before it, the recurrent weights have nothing to multiply.

use crate::adamw::AdamW;
use crate::ngram::logistic;
use crate::random::Random;

/// Inputs.
pub(super) const FEATURES: usize = 5;
const HIDDEN: usize = 8;
const W: usize = 0;
const BIAS_GATE: usize = W + HIDDEN * FEATURES;
const BIAS_UPDATE: usize = BIAS_GATE + HIDDEN;
const ZETA: usize = BIAS_UPDATE + HIDDEN;
const NU: usize = ZETA + 1;
const OUT: usize = NU + 1;
const OUT_BIAS: usize = OUT + HIDDEN;
const PARAMETERS: usize = OUT_BIAS + 1;

const EPOCHS: usize = 40;
const BATCH: usize = 128;
const RATE: f64 = 0.01;
const WEIGHT_DECAY: f64 = 0.01;

/// A trained network with the normalisation of its inputs.
pub(super) struct TinyNetwork {
    mean: [f64; FEATURES],
    deviation: [f64; FEATURES],
    parameters: Vec<f64>,
}

impl TinyNetwork {
    /// Fits `P(target)` by the logistic loss.
    pub(super) fn fit(inputs: &[[f64; FEATURES]], targets: &[f64], random: &mut Random) -> Self {
        let count = inputs.len().max(1) as f64;
        let mean: [f64; FEATURES] =
            std::array::from_fn(|index| inputs.iter().map(|input| input[index]).sum::<f64>() / count);
        let deviation = std::array::from_fn(|index| {
            let squares = inputs.iter().map(|input| (input[index] - mean[index]).powi(2)).sum::<f64>();
            let deviation = (squares / count).sqrt();
            if deviation > 1e-9 { deviation } else { 1.0 }
        });
        let mut parameters: Vec<f64> = (0..PARAMETERS).map(|_| 0.3 * random.normal()).collect();
        parameters[BIAS_GATE..ZETA].fill(0.0);
        (parameters[ZETA], parameters[NU]) = (1.0, -4.0);
        let rate = targets.iter().sum::<f64>() / count;
        parameters[OUT_BIAS] = (rate.clamp(0.01, 0.99) / (1.0 - rate.clamp(0.01, 0.99))).ln();
        let mut network = Self { mean, deviation, parameters };
        network.learn(inputs, targets, random);
        network
    }

    fn learn(&mut self, inputs: &[[f64; FEATURES]], targets: &[f64], random: &mut Random) {
        let inputs: Vec<[f64; FEATURES]> = inputs.iter().map(|input| self.normalised(*input)).collect();
        let decayed = (0..PARAMETERS).map(|index| !(BIAS_GATE..OUT).contains(&index)).collect();
        let mut optimiser = AdamW::new(decayed, WEIGHT_DECAY);
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        for epoch in 0..EPOCHS {
            random.shuffle(&mut order);
            let rate = RATE * (1.0 - 0.9 * epoch as f64 / EPOCHS as f64);
            for batch in order.chunks(BATCH) {
                let mut gradient = vec![0.0; PARAMETERS];
                for row in batch {
                    self.accumulate_gradient(&inputs[*row], targets[*row], &mut gradient);
                }
                for slope in &mut gradient {
                    *slope /= batch.len() as f64;
                }
                optimiser.step(&mut self.parameters, &gradient, rate);
            }
        }
    }

    /// The probability of the target.
    pub(super) fn probability(&self, input: [f64; FEATURES]) -> f64 {
        logistic(self.logit(&self.normalised(input)))
    }

    fn normalised(&self, input: [f64; FEATURES]) -> [f64; FEATURES] {
        std::array::from_fn(|index| (input[index] - self.mean[index]) / self.deviation[index])
    }

    fn unit(&self, input: &[f64; FEATURES], unit: usize) -> (f64, f64) {
        let weights = &self.parameters[W + unit * FEATURES..][..FEATURES];
        let sum: f64 = weights.iter().zip(input).map(|(weight, value)| weight * value).sum();
        let gate = logistic(sum + self.parameters[BIAS_GATE + unit]);
        (gate, (sum + self.parameters[BIAS_UPDATE + unit]).tanh())
    }

    fn logit(&self, input: &[f64; FEATURES]) -> f64 {
        let (zeta, nu) = (logistic(self.parameters[ZETA]), logistic(self.parameters[NU]));
        let state = (0..HIDDEN).map(|unit| {
            let (gate, update) = self.unit(input, unit);
            self.parameters[OUT + unit] * (zeta * (1.0 - gate) + nu) * update
        });
        state.sum::<f64>() + self.parameters[OUT_BIAS]
    }

    /// Adds the gradient of the logistic loss.
    fn accumulate_gradient(&self, input: &[f64; FEATURES], target: f64, gradient: &mut [f64]) {
        let error = logistic(self.logit(input)) - target;
        let (zeta, nu) = (logistic(self.parameters[ZETA]), logistic(self.parameters[NU]));
        gradient[OUT_BIAS] += error;
        for unit in 0..HIDDEN {
            let (gate, update) = self.unit(input, unit);
            let scale = zeta * (1.0 - gate) + nu;
            gradient[OUT + unit] += error * scale * update;
            let slope = error * self.parameters[OUT + unit];
            gradient[ZETA] += slope * update * (1.0 - gate) * zeta * (1.0 - zeta);
            gradient[NU] += slope * update * nu * (1.0 - nu);
            let by_gate = -slope * update * zeta * gate * (1.0 - gate);
            let by_update = slope * scale * (1.0 - update * update);
            gradient[BIAS_GATE + unit] += by_gate;
            gradient[BIAS_UPDATE + unit] += by_update;
            for (index, value) in input.iter().enumerate() {
                gradient[W + unit * FEATURES + index] += (by_gate + by_update) * value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::logistic_loss;

    fn network(random: &mut Random) -> TinyNetwork {
        let parameters = (0..PARAMETERS).map(|_| random.normal()).collect();
        TinyNetwork { mean: [0.0; FEATURES], deviation: [1.0; FEATURES], parameters }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut random = Random::stream(8, 8);
        let mut network = network(&mut random);
        let input: [f64; FEATURES] = std::array::from_fn(|_| random.normal());
        let mut gradient = vec![0.0; PARAMETERS];
        network.accumulate_gradient(&input, 0.3, &mut gradient);
        for (index, analytic) in gradient.into_iter().enumerate() {
            let mut loss_at = |step: f64| {
                network.parameters[index] += step;
                let loss = logistic_loss(network.logit(&input), 0.3);
                network.parameters[index] -= step;
                loss
            };
            let slope = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
            assert!((slope - analytic).abs() < 1e-7, "{index}: {slope} {analytic}");
        }
    }

    #[test]
    fn a_bend_in_one_feature_is_learned_and_constant_features_do_no_harm() {
        let mut random = Random::stream(9, 9);
        let inputs: Vec<[f64; FEATURES]> = (0..2000).map(|_| [random.normal(), 3.0, 0.0, 0.0, 1.0]).collect();
        let targets: Vec<f64> = inputs.iter().map(|input| f64::from(u8::from(input[0] > 0.5))).collect();
        let network = TinyNetwork::fit(&inputs, &targets, &mut random);
        let right = inputs
            .iter()
            .zip(&targets)
            .filter(|(input, target)| (network.probability(**input) > 0.5) == (**target > 0.5));
        assert!(right.count() > 1900);
    }
}
