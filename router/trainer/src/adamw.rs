//! `AdamW` (Loshchilov and Hutter, arXiv 1711.05101) on a flat slice of parameters.

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimiser's memory for one set of parameters.
#[derive(Debug, Clone)]
pub struct AdamW {
    first: Vec<f64>,
    second: Vec<f64>,
    /// The decays to the power of the steps so far, by repeated products: the same bits everywhere.
    first_power: f64,
    second_power: f64,
    weight_decay: f64,
    decayed: Vec<bool>,
}

impl AdamW {
    /// An optimiser that shrinks the parameters marked in `decayed` by `rate * weight_decay` a step.
    pub fn new(decayed: Vec<bool>, weight_decay: f64) -> Self {
        Self {
            first: vec![0.0; decayed.len()],
            second: vec![0.0; decayed.len()],
            first_power: 1.0,
            second_power: 1.0,
            weight_decay,
            decayed,
        }
    }

    /// Moves `parameters` one step against `gradient` at learning rate `rate`.
    pub fn step(&mut self, parameters: &mut [f64], gradient: &[f64], rate: f64) {
        self.first_power *= FIRST_DECAY;
        self.second_power *= SECOND_DECAY;
        let (first_bias, second_bias) = (1.0 - self.first_power, 1.0 - self.second_power);
        let moments = self.first.iter_mut().zip(&mut self.second).zip(&self.decayed);
        for ((parameter, slope), ((first, second), decayed)) in
            parameters.iter_mut().zip(gradient).zip(moments)
        {
            *first = FIRST_DECAY * *first + (1.0 - FIRST_DECAY) * slope;
            *second = SECOND_DECAY * *second + (1.0 - SECOND_DECAY) * slope * slope;
            if *decayed {
                *parameter -= rate * self.weight_decay * *parameter;
            }
            *parameter -= rate * (*first / first_bias) / ((*second / second_bias).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate_whatever_the_size_of_the_gradient() {
        let mut parameters = [1.0, 1.0];
        AdamW::new(vec![false, false], 0.3).step(&mut parameters, &[1e-3, -40.0], 0.01);
        assert!((parameters[0] - 0.99).abs() < 1e-6 && (parameters[1] - 1.01).abs() < 1e-6);
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient_and_spares_unmarked_parameters() {
        let mut parameters = [1.0, 1.0];
        AdamW::new(vec![true, false], 0.3).step(&mut parameters, &[0.0, 0.0], 0.01);
        assert!((parameters[0] - 0.997).abs() < 1e-12 && parameters[1] == 1.0);
    }

    #[test]
    fn a_quadratic_is_minimised() {
        let mut parameters = [5.0];
        let mut optimiser = AdamW::new(vec![false], 0.0);
        for _ in 0..2000 {
            let gradient = [2.0 * (parameters[0] - 3.0)];
            optimiser.step(&mut parameters, &gradient, 0.01);
        }
        assert!((parameters[0] - 3.0_f64).abs() < 1e-3);
    }
}
