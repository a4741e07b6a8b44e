//! Several networks as one: the student learns what its teachers say on average (Hinton, Vinyals and Dean,
//! arXiv 1503.02531). Their mean ranks better than each of them, and the artifact holds only one.

use crate::learn::{Stage, before_embedding, learn, visible};
use crate::network::{Parameters, Sample};
use crate::ngram::logistic;
use crate::random::Random;

/// Networks that are averaged.
const TEACHERS: usize = 4;
/// How often a teacher is shown a row without its tags.
const HIDE_TAGS: f64 = 0.5;
/// How often a teacher is shown a row without its n-grams, so that a text without a word gets a sensible answer.
const HIDE_NGRAMS: f64 = 0.03;
/// How often a teacher is shown a row without its embedding.
const HIDE_EMBEDDING: f64 = 0.5;
const WITHOUT_TAGS: Stage = Stage {
    hide_tags: 1.0,
    hide_ngrams: HIDE_NGRAMS,
    hide_embedding: 0.0,
    rate: 0.01,
    decay: 0.3,
    epochs: 60,
};
const WITH_TAGS: Stage = Stage { hide_tags: HIDE_TAGS, ..WITHOUT_TAGS };
/// What is learned has no noise, so little holds the weights back. Each way to see a row is a sample of its own.
const STUDENT: Stage = Stage { hide_tags: 0.0, decay: 0.05, epochs: 15, ..WITHOUT_TAGS };

/// The network for these samples; `means` are those of the targets. With `tags` it answers well with and without
/// tags; if rows have embeddings, with and without one.
pub fn network(samples: &[Sample], means: [f64; 3], tags: bool, random: &mut Random) -> Parameters {
    let embedded = samples.iter().any(|sample| before_embedding(&sample.steps, true) != sample.steps);
    let stage = Stage {
        hide_embedding: if embedded { HIDE_EMBEDDING } else { 0.0 },
        ..if tags { WITH_TAGS } else { WITHOUT_TAGS }
    };
    let teachers: Vec<Parameters> =
        (0..TEACHERS).map(|_| learn(samples, Parameters::random(means, random), stage, random)).collect();
    let ways = |may_be_seen: bool| if may_be_seen { &[true, false][..] } else { &[true] };
    let hidden =
        ways(tags).iter().flat_map(|tags| ways(embedded).iter().map(|embedding| (*tags, *embedding)));
    let lessons: Vec<Sample> = hidden
        .flat_map(|hidden| samples.iter().map(|sample| lesson(sample, hidden, &teachers)).collect::<Vec<_>>())
        .collect();
    let Some(start) = teachers.into_iter().next() else { return Parameters::random(means, random) };
    learn(&lessons, start, STUDENT, random)
}

/// A row as it is seen, tags or embedding hidden or not, with what the teachers say about it.
fn lesson(sample: &Sample, (hide_tags, hide_embedding): (bool, bool), teachers: &[Parameters]) -> Sample {
    let steps: Vec<_> =
        visible(before_embedding(&sample.steps, hide_embedding), false, hide_tags).copied().collect();
    let mut targets = [0.0; 3];
    for teacher in teachers {
        let logits = teacher.logits(&sample.statistics, &steps);
        for (target, logit) in targets.iter_mut().zip(logits) {
            *target += logit / teachers.len() as f64;
        }
    }
    Sample { statistics: sample.statistics, steps, targets: targets.map(logistic) }
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::evidence::{Evidence, Source};

    use super::*;

    #[test]
    fn a_lesson_says_the_mean_of_the_teachers_about_what_is_seen() {
        let evidence =
            |source| Evidence { source, value: 0.5, good_enough: 0.5, weight: 1.0 }.input().map(f64::from);
        let sample = Sample {
            statistics: [0.5; 15],
            steps: vec![evidence(Source::Ngram), evidence(Source::Tag)],
            targets: [1.0, 0.0, 1.0],
        };
        let mut random = Random::stream(3, 9);
        let teachers = [0.2, 0.7].map(|mean| Parameters::random([mean; 3], &mut random));
        let said =
            teachers.each_ref().map(|teacher| teacher.logits(&sample.statistics, &sample.steps[..1])[1]);
        let lesson = lesson(&sample, (true, true), &teachers);
        assert_eq!(lesson.steps, sample.steps[..1]);
        assert!((lesson.targets[1] - logistic(f64::midpoint(said[0], said[1]))).abs() < 1e-12);
    }
}
