//! Fits the network to samples: minibatches, `AdamW` with strong decay, early stopping on rows of its own.

use tinydancer_engine::evidence::INPUTS;

use crate::adamw::AdamW;
use crate::network::{PARAMETERS, Parameters, Sample};
use crate::random::Random;

const BATCH: usize = 128;
/// One row in this many decides when to stop and is not trained on.
const STOPPING_SHARE: usize = 8;
/// Epochs without a better loss before training ends.
const PATIENCE: usize = 12;

/// One stage of training.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// How often tag evidence is hidden: 1 for never seen.
    pub hide_tags: f64,
    /// How often n-gram evidence is hidden.
    pub hide_ngrams: f64,
    /// The learning rate at the start; it falls to a tenth along a cosine.
    pub rate: f64,
    /// How strongly matrices are shrunk.
    pub decay: f64,
    /// The most epochs.
    pub epochs: usize,
}

/// Trains `start` on `samples` and returns the parameters with the least loss on the rows kept for stopping.
pub fn learn(samples: &[Sample], start: Parameters, stage: Stage, random: &mut Random) -> Parameters {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    random.shuffle(&mut order);
    let (stopping, training) = order.split_at_mut(samples.len() / STOPPING_SHARE);
    let mut optimiser = AdamW::new(Parameters::decayed(), stage.decay);
    let mut parameters = start;
    let mut best = (stopping_loss(&parameters, samples, stopping, stage), parameters.clone(), 0);
    for epoch in 0..stage.epochs {
        random.shuffle(training);
        let progress = epoch as f64 / stage.epochs as f64;
        let rate = stage.rate * (0.1 + 0.45 * (1.0 + libm::cos(std::f64::consts::PI * progress)));
        for batch in training.chunks(BATCH) {
            let gradient = batch_gradient(&parameters, samples, batch, stage, random);
            optimiser.step(&mut parameters.0, &gradient, rate);
        }
        let loss = stopping_loss(&parameters, samples, stopping, stage);
        if loss < best.0 {
            best = (loss, parameters.clone(), epoch);
        } else if epoch >= best.2 + PATIENCE {
            break;
        }
    }
    best.1
}

fn batch_gradient(
    parameters: &Parameters,
    samples: &[Sample],
    batch: &[usize],
    stage: Stage,
    random: &mut Random,
) -> Vec<f64> {
    let mut gradient = vec![0.0; PARAMETERS];
    for row in batch {
        let hide_ngrams = random.uniform() < stage.hide_ngrams;
        let hide_tags = random.uniform() < stage.hide_tags;
        let sample = &samples[*row];
        parameters.accumulate_gradient(sample, visible(&sample.steps, hide_ngrams, hide_tags), &mut gradient);
    }
    for slope in &mut gradient {
        *slope /= batch.len() as f64;
    }
    gradient
}

/// The mean loss over the evidence a request may come with.
fn stopping_loss(parameters: &Parameters, samples: &[Sample], rows: &[usize], stage: Stage) -> f64 {
    let mean = |hide_tags| {
        let losses = rows.iter().map(|row| {
            let sample = &samples[*row];
            parameters.loss(sample, visible(&sample.steps, false, hide_tags))
        });
        losses.sum::<f64>() / rows.len().max(1) as f64
    };
    match stage.hide_tags {
        0.0 => mean(false),
        1.0 => mean(true),
        share => share * mean(true) + (1.0 - share) * mean(false),
    }
}

/// The steps that are not hidden; n-grams come before tags.
pub fn visible(steps: &[[f64; INPUTS]], hide_ngrams: bool, hide_tags: bool) -> &[[f64; INPUTS]] {
    let is_tag = |step: &[f64; INPUTS]| step[4] > 0.0;
    let tags_from = steps.iter().position(is_tag).unwrap_or(steps.len());
    let end = if hide_tags { tags_from } else { steps.len() };
    let start = if hide_ngrams { tags_from } else { 0 };
    &steps[start.min(end)..end]
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::evidence::{Evidence, Source};

    use super::*;

    fn steps() -> Vec<[f64; INPUTS]> {
        [Source::Ngram, Source::Tag]
            .map(|source| {
                Evidence { source, value: 0.5, good_enough: 0.5, weight: 1.0 }.input().map(f64::from)
            })
            .to_vec()
    }

    #[test]
    fn what_is_hidden_is_not_seen() {
        let steps = steps();
        assert_eq!(visible(&steps, false, false), &steps[..]);
        assert_eq!(visible(&steps, false, true), &steps[..1]);
        assert_eq!(visible(&steps, true, false), &steps[1..]);
        assert!(visible(&steps, true, true).is_empty());
        assert!(visible(&steps[1..], false, true).is_empty());
        assert_eq!(visible(&steps[..1], false, false), &steps[..1]);
    }

    #[test]
    fn a_rule_in_the_statistics_is_learned_and_the_same_seed_gives_the_same_parameters() {
        let mut random = Random::stream(3, 3);
        let samples: Vec<Sample> = (0..1500)
            .map(|_| {
                let mut statistics = [0.0; 15];
                statistics[2] = random.normal();
                let hard = f64::from(u8::from(statistics[2] > 0.0));
                Sample { statistics, steps: steps()[..1].to_vec(), targets: [1.0 - hard, 1.0, 1.0 - hard] }
            })
            .collect();
        let stage = Stage { hide_tags: 1.0, hide_ngrams: 0.03, rate: 0.01, decay: 0.3, epochs: 60 };
        let run = || {
            let mut random = Random::stream(1, 1);
            let start = Parameters::random([0.5, 0.9, 0.5], &mut random);
            learn(&samples, start, stage, &mut random)
        };
        let learned = run();
        assert_eq!(learned, run());
        let right = samples.iter().filter(|sample| {
            (learned.logits(&sample.statistics, &sample.steps)[2] > 0.0) == (sample.targets[2] > 0.5)
        });
        assert!(right.count() > 1400);
    }
}
