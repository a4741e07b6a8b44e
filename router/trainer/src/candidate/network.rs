//! The candidate network as training sees it: back-propagation through time over the calls of a trace, with a branch
//! at each decision.

use tinydancer_engine::candidate::network::{CandidateWeights, HEADS, HIDDEN, INPUTS};

use super::beta;
use super::trace::{Event, Normalisation, Target, Trace};
use crate::calibrate::logistic_loss;
use crate::cell::{self, add_scaled, dot, fill};
use crate::compress::Matrix;
use crate::ngram::logistic;
use crate::random::Random;

type Cell = cell::Cell<INPUTS, HIDDEN>;
type State = [f64; HIDDEN];

const CELL: Cell = Cell::at(0);
const HEAD_WEIGHT: usize = Cell::PARAMETERS;
const HEAD_BIAS: usize = HEAD_WEIGHT + HEADS * HIDDEN;

/// Numbers that are trained.
pub const PARAMETERS: usize = HEAD_BIAS + HEADS;
/// What the logarithm of a density counts beside the log loss of a success.
const QUALITY_SHARE: f64 = 0.1;

/// What a network remembers between the calls: everything, or less, to see what that is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The whole cell.
    Recurrent,
    /// The state is carried by the gates alone: U is 0.
    GatesOnly,
    /// The state is 0 at each decision.
    Nothing,
}

/// Parameters of a candidate network, row by row as in the artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    values: Vec<f64>,
    memory: Memory,
}

impl Parameters {
    /// Random start: `EdgeML`'s for the cell, the head of success at the mean of the targets.
    pub fn random(mean: f64, memory: Memory, random: &mut Random) -> Self {
        let mut values = vec![0.0; PARAMETERS];
        CELL.fill(&mut values, random);
        fill(&mut values[HEAD_WEIGHT..HEAD_BIAS], 0.1, random);
        let mean = mean.clamp(0.01, 0.99);
        values[HEAD_BIAS] = libm::log(mean / (1.0 - mean));
        let mut parameters = Self { values, memory };
        parameters.forget();
        parameters
    }

    /// Which parameters weight decay shrinks: matrices.
    pub fn decayed() -> Vec<bool> {
        let matrices = [CELL.w()..CELL.bias_gate(), HEAD_WEIGHT..HEAD_BIAS];
        (0..PARAMETERS).map(|index| matrices.iter().any(|matrix| matrix.contains(&index))).collect()
    }

    /// W and U, which may be held sparse or of low rank.
    pub fn matrices() -> Vec<Matrix> {
        let w = Matrix { place: CELL.w()..CELL.u(), columns: INPUTS };
        vec![w, Matrix { place: CELL.u()..CELL.bias_gate(), columns: HIDDEN }]
    }

    /// The numbers, for the optimiser; what the network has no memory for is 0 again afterwards.
    pub fn change(&mut self, change: impl FnOnce(&mut [f64])) {
        change(&mut self.values);
        self.forget();
    }

    fn forget(&mut self) {
        if self.memory == Memory::GatesOnly {
            self.values[CELL.u()..CELL.bias_gate()].fill(0.0);
        }
    }

    /// The weights in the form of the engine.
    pub fn weights(&self, Normalisation { mean, std }: Normalisation) -> CandidateWeights {
        CandidateWeights {
            input_mean: mean,
            input_std: std,
            cell: CELL.weights(&self.values),
            head_weight: cell::matrix(&self.values, HEAD_WEIGHT),
            head_bias: cell::vector(&self.values, HEAD_BIAS),
        }
    }

    /// What the heads say at each decision of a trace whose inputs are scaled.
    pub fn heads_along(&self, trace: &Trace) -> Vec<([f64; HEADS], Target)> {
        let mut state = [0.0; HIDDEN];
        let mut said = Vec::new();
        for event in &trace.events {
            match event {
                Event::Call(step) => {
                    if self.memory != Memory::Nothing {
                        state = CELL.step(&self.values, &state, step).state;
                    }
                }
                Event::Decision { steps, target } => {
                    let last =
                        steps.iter().fold(state, |state, step| CELL.step(&self.values, &state, step).state);
                    said.push((self.heads(&last), *target));
                }
            }
        }
        said
    }

    /// The losses of all decisions of a trace, added up.
    pub fn loss(&self, trace: &Trace) -> f64 {
        self.heads_along(trace).iter().map(|(heads, target)| loss(*heads, target)).sum()
    }

    /// Adds the gradient of [`Parameters::loss`] to `gradient`, which is laid out as the parameters.
    pub fn accumulate_gradient(&self, trace: &Trace, gradient: &mut [f64]) {
        let mut states = vec![[0.0; HIDDEN]];
        let mut kept: Vec<(&[f64; INPUTS], cell::Step<HIDDEN>)> = Vec::new();
        // The slope of the losses of all decisions taken from a state.
        let mut branches = vec![[0.0; HIDDEN]];
        for event in &trace.events {
            let now = states.len() - 1;
            match event {
                Event::Call(input) if self.memory != Memory::Nothing => {
                    let step = CELL.step(&self.values, &states[now], input);
                    states.push(step.state);
                    kept.push((input, step));
                    branches.push([0.0; HIDDEN]);
                }
                Event::Call(_) => {}
                Event::Decision { steps, target } => {
                    let slope = self.decision_backward(&states[now], steps, target, gradient);
                    add_scaled(&mut branches[now], 1.0, &slope);
                }
            }
        }
        let mut slope = [0.0; HIDDEN];
        for (index, (input, step)) in kept.iter().enumerate().rev() {
            add_scaled(&mut slope, 1.0, &branches[index + 1]);
            slope = CELL.backward(&self.values, &slope, step, &states[index], input, gradient);
        }
    }

    /// The slope of one decision's loss by the state it was taken from.
    fn decision_backward(
        &self,
        from: &State,
        steps: &[[f64; INPUTS]],
        target: &Target,
        gradient: &mut [f64],
    ) -> State {
        let mut trace: Vec<cell::Step<HIDDEN>> = Vec::with_capacity(steps.len());
        for input in steps {
            let before = trace.last().map_or(*from, |step| step.state);
            trace.push(CELL.step(&self.values, &before, input));
        }
        let last = trace.last().map_or(*from, |step| step.state);
        let mut slope = [0.0; HIDDEN];
        for (head, error) in loss_slopes(self.heads(&last), target).into_iter().enumerate() {
            let row = HEAD_WEIGHT + head * HIDDEN;
            gradient[HEAD_BIAS + head] += error;
            add_scaled(&mut gradient[row..row + HIDDEN], error, &last);
            add_scaled(&mut slope, error, &self.values[row..row + HIDDEN]);
        }
        for (index, step) in trace.iter().enumerate().rev() {
            let before = if index == 0 { from } else { &trace[index - 1].state };
            slope = CELL.backward(&self.values, &slope, step, before, &steps[index], gradient);
        }
        slope
    }

    fn heads(&self, state: &State) -> [f64; HEADS] {
        std::array::from_fn(|head| {
            dot(&self.values[HEAD_WEIGHT + head * HIDDEN..], state) + self.values[HEAD_BIAS + head]
        })
    }
}

/// The log loss of the success, and what the quality's density says.
fn loss(heads: [f64; HEADS], target: &Target) -> f64 {
    let quality = target.quality.map_or(0.0, |quality| beta::loss(heads, quality));
    logistic_loss(heads[0], target.success) + QUALITY_SHARE * quality
}

fn loss_slopes(heads: [f64; HEADS], target: &Target) -> [f64; HEADS] {
    let [mean, precision] = target.quality.map_or([0.0; 2], |quality| beta::slopes(heads, quality));
    [logistic(heads[0]) - target.success + QUALITY_SHARE * mean, QUALITY_SHARE * precision]
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::candidate::network::CandidateNetwork;

    use super::*;

    fn parameters(memory: Memory) -> Parameters {
        let mut random = Random::stream(7, 7);
        let mut parameters = Parameters::random(0.7, memory, &mut random);
        // Larger than at the start, so that no part of the gradient is close to zero.
        parameters.change(|values| {
            for value in values {
                *value += 0.4 * random.normal();
            }
        });
        parameters
    }

    /// Calls, decisions before, between and after them, with and without turns and grades.
    fn trace() -> Trace {
        let mut random = Random::stream(8, 8);
        let mut step = || -> [f64; INPUTS] { std::array::from_fn(|_| random.normal()) };
        let graded = Target { success: 1.0, quality: Some(0.8) };
        let failed = Target { success: 0.0, quality: None };
        let events = vec![
            Event::Decision { steps: vec![step()], target: graded },
            Event::Call(step()),
            Event::Call(step()),
            Event::Decision { steps: vec![step(), step(), step()], target: failed },
            Event::Decision { steps: vec![step()], target: Target { success: 0.0, quality: Some(0.1) } },
            Event::Call(step()),
            Event::Decision { steps: vec![step()], target: graded },
            Event::Call(step()),
        ];
        Trace { events }
    }

    #[test]
    fn gradients_through_time_agree_with_finite_differences() {
        for memory in [Memory::Recurrent, Memory::GatesOnly, Memory::Nothing] {
            let (parameters, trace) = (parameters(memory), trace());
            let mut gradient = vec![0.0; PARAMETERS];
            parameters.accumulate_gradient(&trace, &mut gradient);
            for (index, slope) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved.values[index] += by;
                    moved.loss(&trace)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((slope - expected).abs() < 1e-7, "{memory:?} {index}: {slope} {expected}");
            }
            assert!(gradient[CELL.zeta()].abs() > 1e-6 && gradient[HEAD_BIAS + 1].abs() > 1e-6);
        }
    }

    #[test]
    fn the_engine_computes_the_same_heads() {
        let (parameters, trace) = (parameters(Memory::Recurrent), trace());
        let network =
            CandidateNetwork::new(&parameters.weights(Normalisation { mean: [0.0; 12], std: [1.0; 12] }));
        let mut state = [0.0; HIDDEN];
        let mut theirs = Vec::new();
        for event in &trace.events {
            match event {
                Event::Call(step) => network.step(&step.map(|number| number as f32), &mut state),
                Event::Decision { steps, .. } => {
                    let mut branch = state;
                    for step in steps {
                        network.step(&step.map(|number| number as f32), &mut branch);
                    }
                    theirs.push(network.heads(&branch));
                }
            }
        }
        let ours = parameters.heads_along(&trace);
        assert_eq!(ours.len(), theirs.len());
        for ((ours, _), theirs) in ours.iter().zip(theirs) {
            assert!(ours.iter().zip(theirs).all(|(ours, theirs)| (ours - f64::from(theirs)).abs() < 1e-5));
        }
    }
}
