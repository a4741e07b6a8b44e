//! Fits the network to samples: minibatches, `AdamW` with strong decay, early stopping on rows of its own.

use tinydancer_engine::evidence::{INPUTS, SOURCES, Source};

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
    /// How often the evidence of the embedding is hidden; 0 where no row has one.
    pub hide_embedding: f64,
    /// The learning rate at the start; it falls to a tenth along a cosine.
    pub rate: f64,
    /// How strongly matrices are shrunk.
    pub decay: f64,
    /// The most epochs.
    pub epochs: usize,
    /// By what logits are divided before they are compared with the targets; 1 for labels.
    pub temperature: f64,
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
    let mut seen = Vec::with_capacity(SOURCES);
    for row in batch {
        let hide_ngrams = random.uniform() < stage.hide_ngrams;
        let hide_tags = random.uniform() < stage.hide_tags;
        // Nothing is drawn where there is nothing to hide.
        let hide_embedding = stage.hide_embedding > 0.0 && random.uniform() < stage.hide_embedding;
        let sample = &samples[*row];
        seen.clear();
        seen.extend(visible(before_embedding(&sample.steps, hide_embedding), hide_ngrams, hide_tags));
        parameters.accumulate_gradient(sample, &seen, stage.temperature, &mut gradient);
    }
    for slope in &mut gradient {
        *slope /= batch.len() as f64;
    }
    gradient
}

/// The mean loss over the evidence a request may come with.
fn stopping_loss(parameters: &Parameters, samples: &[Sample], rows: &[usize], stage: Stage) -> f64 {
    let mean = |hide_tags, hide_embedding| {
        let losses = rows.iter().map(|row| {
            let sample = &samples[*row];
            let seen = visible(before_embedding(&sample.steps, hide_embedding), false, hide_tags);
            parameters.loss(sample, seen, stage.temperature)
        });
        losses.sum::<f64>() / rows.len().max(1) as f64
    };
    weighted(stage.hide_embedding, |hide_embedding| {
        weighted(stage.hide_tags, |hide_tags| mean(hide_tags, hide_embedding))
    })
}

/// The mean of both cases, of which the true one has this share; a case that never happens is not computed.
fn weighted(share: f64, of: impl Fn(bool) -> f64) -> f64 {
    match share {
        0.0 => of(false),
        1.0 => of(true),
        share => share * of(true) + (1.0 - share) * of(false),
    }
}

/// The steps that are not hidden.
pub fn visible(
    steps: &[[f64; INPUTS]],
    hide_ngrams: bool,
    hide_tags: bool,
) -> impl Iterator<Item = &[f64; INPUTS]> + Clone {
    let hidden = move |step: &&[f64; INPUTS]| {
        hide_ngrams && is_of(step, Source::Ngram) || hide_tags && is_of(step, Source::Tag)
    };
    steps.iter().filter(move |step| !hidden(step))
}

/// The steps without those of the embedding, which are the last ones, if they are hidden.
pub fn before_embedding(steps: &[[f64; INPUTS]], hide: bool) -> &[[f64; INPUTS]] {
    let first = steps.iter().position(|step| is_of(step, Source::Prototype) || is_of(step, Source::ReadOut));
    &steps[..first.filter(|_| hide).unwrap_or(steps.len())]
}

fn is_of(step: &[f64; INPUTS], source: Source) -> bool {
    step[INPUTS - SOURCES + source as usize] > 0.0
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::evidence::Evidence;

    use super::*;

    fn steps() -> Vec<[f64; INPUTS]> {
        [Source::Ngram, Source::Tag, Source::Prototype, Source::ReadOut]
            .map(|source| {
                Evidence { source, value: 0.5, good_enough: 0.5, weight: 1.0 }.input().map(f64::from)
            })
            .to_vec()
    }

    #[test]
    fn what_is_hidden_is_not_seen() {
        let steps = steps();
        let seen = |steps, hide_ngrams, hide_tags| -> Vec<[f64; INPUTS]> {
            visible(steps, hide_ngrams, hide_tags).copied().collect()
        };
        assert_eq!(seen(&steps, false, false), steps);
        assert_eq!(seen(&steps, false, true), [steps[0], steps[2], steps[3]]);
        assert_eq!(seen(&steps, true, false), steps[1..]);
        assert_eq!(seen(&steps, true, true), steps[2..]);
        assert_eq!(seen(&steps[..1], false, true), steps[..1]);
        assert_eq!(before_embedding(&steps, true), &steps[..2]);
        assert_eq!(before_embedding(&steps, false), &steps[..]);
        assert_eq!(before_embedding(&steps[..1], true), &steps[..1]);
        assert!(before_embedding(&steps[3..], true).is_empty());
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
        let stage = Stage {
            hide_tags: 1.0,
            hide_ngrams: 0.03,
            hide_embedding: 0.0,
            rate: 0.01,
            decay: 0.3,
            epochs: 60,
            temperature: 1.0,
        };
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
