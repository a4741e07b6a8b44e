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
    temperature: 1.0,
};
const WITH_TAGS: Stage = Stage { hide_tags: HIDE_TAGS, ..WITHOUT_TAGS };
/// What is learned has no noise, so little holds the weights back. Each way to see a row is a sample of its own.
const STUDENT: Stage = Stage { hide_tags: 0.0, decay: 0.05, epochs: 15, ..WITHOUT_TAGS };

/// The network for these samples; `means` are those of the targets. With `tags` it answers well with and without
/// tags; if rows have embeddings, with and without one. At a `temperature` T the logits of teachers and student are
/// divided by T before they are compared, and the loss is times T squared, so that its slopes keep their size.
pub fn network(
    samples: &[Sample],
    means: [f64; 3],
    tags: bool,
    temperature: f64,
    random: &mut Random,
) -> Parameters {
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
        .flat_map(|hidden| {
            samples.iter().map(|sample| lesson(sample, hidden, &teachers, temperature)).collect::<Vec<_>>()
        })
        .collect();
    let Some(start) = teachers.into_iter().next() else { return Parameters::random(means, random) };
    learn(&lessons, start, Stage { temperature, ..STUDENT }, random)
}

/// A row as it is seen, tags or embedding hidden or not, with what the teachers say about it.
fn lesson(
    sample: &Sample,
    (hide_tags, hide_embedding): (bool, bool),
    teachers: &[Parameters],
    temperature: f64,
) -> Sample {
    let steps: Vec<_> =
        visible(before_embedding(&sample.steps, hide_embedding), false, hide_tags).copied().collect();
    let mut targets = [0.0; 3];
    for teacher in teachers {
        let logits = teacher.logits(&sample.statistics, &steps);
        for (target, logit) in targets.iter_mut().zip(logits) {
            *target += logit / teachers.len() as f64;
        }
    }
    Sample {
        statistics: sample.statistics,
        steps,
        targets: targets.map(|logit| logistic(logit / temperature)),
    }
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
        let lesson = lesson(&sample, (true, true), &teachers, 1.0);
        assert_eq!(lesson.steps, sample.steps[..1]);
        assert!((lesson.targets[1] - logistic(f64::midpoint(said[0], said[1]))).abs() < 1e-12);
    }

    #[test]
    fn at_a_higher_temperature_a_lesson_is_softer_and_the_student_another() {
        let mut random = Random::stream(3, 9);
        let samples: Vec<Sample> = (0..200)
            .map(|_| {
                let statistics: [f64; 15] = std::array::from_fn(|_| random.normal());
                let right = f64::from(u8::from(statistics[0] > 0.0));
                Sample { statistics, steps: Vec::new(), targets: [right, 1.0, right] }
            })
            .collect();
        let teachers = [Parameters::random([0.2; 3], &mut random)];
        let at = |temperature| lesson(&samples[0], (true, true), &teachers, temperature).targets;
        let logits = teachers[0].logits(&samples[0].statistics, []);
        assert_eq!(at(4.0), logits.map(|logit| logistic(logit / 4.0)));
        assert!(at(4.0).iter().zip(at(1.0)).all(|(soft, plain)| (soft - 0.5).abs() < (plain - 0.5).abs()));
        let student =
            |temperature| network(&samples, [0.5, 0.9, 0.5], false, temperature, &mut Random::stream(1, 1));
        assert_eq!(student(1.0), student(1.0));
        assert_ne!(student(1.0), student(4.0));
    }
}
