//! Fits a candidate network to traces: minibatches of whole traces, `AdamW`, gradients of bounded length.

use super::network::{Memory, PARAMETERS, Parameters};
use super::trace::{Event, Trace};
use crate::adamw::AdamW;
use crate::calibrate::logistic_loss;
use crate::compress::{Constraint, Keeper};
use crate::random::Random;

/// Traces of a step of the optimiser.
const BATCH: usize = 8;
/// The longest gradient of a batch: one trace with a cliff does not undo the others.
const LONGEST: f64 = 1.0;

/// How long and how fast a network learns.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// Passes over the traces.
    pub epochs: usize,
    /// The learning rate at the start; it falls to a tenth along a cosine.
    pub rate: f64,
    /// How strongly matrices are shrunk.
    pub decay: f64,
    /// What the network remembers.
    pub memory: Memory,
    /// What W and U may be.
    pub constraint: Constraint,
}

/// Trains a network on traces whose inputs are scaled.
pub fn learn(traces: &[Trace], course: Course, random: &mut Random) -> Parameters {
    let mut parameters = Parameters::random(mean_success(traces), course.memory, random);
    let mut optimiser = AdamW::new(Parameters::decayed(), course.decay);
    let mut keeper = Keeper::new(course.constraint, Parameters::matrices());
    let mut order: Vec<usize> = (0..traces.len()).collect();
    for epoch in 0..course.epochs {
        random.shuffle(&mut order);
        let progress = epoch as f64 / course.epochs as f64;
        let rate = course.rate * (0.1 + 0.45 * (1.0 + libm::cos(std::f64::consts::PI * progress)));
        for batch in order.chunks(BATCH) {
            let gradient = batch_gradient(&parameters, traces, batch);
            parameters.change(|values| {
                optimiser.step(values, &gradient, rate);
                keeper.hold(values, epoch, course.epochs);
            });
        }
    }
    parameters
}

/// The mean log loss of a success over all decisions of traces whose inputs are scaled.
pub fn mean_loss(parameters: &Parameters, traces: &[Trace]) -> f64 {
    let said: Vec<_> = traces.iter().flat_map(|trace| parameters.heads_along(trace)).collect();
    said.iter().map(|(heads, target)| logistic_loss(heads[0], target.success)).sum::<f64>()
        / said.len().max(1) as f64
}

/// The mean gradient over the decisions of a batch.
fn batch_gradient(parameters: &Parameters, traces: &[Trace], batch: &[usize]) -> Vec<f64> {
    let mut gradient = vec![0.0; PARAMETERS];
    let mut decisions = 0;
    for trace in batch {
        parameters.accumulate_gradient(&traces[*trace], &mut gradient);
        decisions += successes(&traces[*trace]).count();
    }
    let one = 1.0 / decisions.max(1) as f64;
    let length = one * gradient.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
    let scale = if length > LONGEST { one * LONGEST / length } else { one };
    for slope in &mut gradient {
        *slope *= scale;
    }
    gradient
}

fn mean_success(traces: &[Trace]) -> f64 {
    let all = traces.iter().flat_map(successes);
    all.clone().sum::<f64>() / all.count().max(1) as f64
}

fn successes(trace: &Trace) -> impl Iterator<Item = f64> + Clone {
    trace.events.iter().filter_map(|event| match event {
        Event::Decision { target, .. } => Some(target.success),
        Event::Call(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::{Normalisation, synthetic};
    use crate::compress::Factors;

    const TRACES: usize = 200;
    const COURSE: Course = Course {
        epochs: 20,
        rate: 0.02,
        decay: 0.01,
        memory: Memory::Recurrent,
        constraint: Constraint::Free,
    };
    const SEEDS: usize = 3;

    /// Trains the network with each memory on synthetic traces and returns the held-out losses.
    fn losses(seed: u64) -> [f64; 3] {
        let (training, held_out) = (synthetic(TRACES, seed), synthetic(TRACES / 2, seed + 1000));
        let normalisation = Normalisation::fit(&training);
        let (training, held_out) = (normalisation.apply(&training), normalisation.apply(&held_out));
        [Memory::Recurrent, Memory::GatesOnly, Memory::Nothing].map(|memory| {
            let course = Course { memory, ..COURSE };
            mean_loss(&learn(&training, course, &mut Random::stream(seed, 5)), &held_out)
        })
    }

    #[test]
    fn the_recurrent_network_beats_one_without_u_and_one_without_a_state_on_synthetic_drift() {
        let all = crate::folds::parallel(SEEDS, 3, |seed| (seed, losses(seed as u64 + 1)));
        for (seed, [recurrent, gates_only, nothing]) in all {
            println!(
                "synthetic traces, seed {seed}: log loss {recurrent:.4} recurrent, {gates_only:.4} with U = 0 \
                 (gap {:.4}), {nothing:.4} with the state at 0 (gap {:.4})",
                gates_only - recurrent,
                nothing - recurrent
            );
            // Each gap was at least half as large again over ten seeds.
            assert!(gates_only - recurrent > 0.03 && nothing - recurrent > 0.05, "seed {seed}");
        }
    }

    #[test]
    fn compressed_networks_keep_their_constraint_and_still_beat_one_without_a_state() {
        let (training, held_out) = (synthetic(TRACES, 1), synthetic(TRACES / 2, 1001));
        let normalisation = Normalisation::fit(&training);
        let (training, held_out) = (normalisation.apply(&training), normalisation.apply(&held_out));
        let constraints = [Constraint::Sparse(0.3), Constraint::LowRank(4)];
        let learned = crate::folds::parallel(2, 2, |index| {
            let course = Course { constraint: constraints[index], ..COURSE };
            learn(&training, course, &mut Random::stream(1, 5))
        });
        let nothing = Course { memory: Memory::Nothing, ..COURSE };
        let nothing = mean_loss(&learn(&training, nothing, &mut Random::stream(1, 5)), &held_out);
        for (parameters, constraint) in learned.iter().zip(constraints) {
            let loss = mean_loss(parameters, &held_out);
            println!(
                "synthetic traces: log loss {loss:.4} with {constraint:?}, {nothing:.4} without a state"
            );
            assert!(loss < nothing - 0.03, "{constraint:?}");
        }
        let numbers = |rows: &[f32]| rows.iter().filter(|number| **number != 0.0).count();
        let sparse = learned[0].weights(normalisation).cell;
        assert_eq!([numbers(sparse.w.as_flattened()), numbers(sparse.u.as_flattened())], [58, 77]);
        let narrow = learned[1].weights(normalisation).cell;
        let wide: Vec<f64> = narrow.u.as_flattened().iter().map(|number| f64::from(*number)).collect();
        let nearest = Factors::nearest(&wide, 16, 4).product();
        assert!(wide.iter().zip(nearest).all(|(one, other)| (one - other).abs() < 1e-6));
    }
}
