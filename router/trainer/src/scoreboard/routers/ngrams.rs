//! Logistic regression on hashed n-grams alone.

use super::{Fold, Judged, Router, RouterError};
use crate::ngram::{NGramModel, logistic};
use crate::random::Random;

/// C of both regressions, the one of the artifact's tables.
const STRENGTH: f64 = 3.0;

/// The trainer's own n-gram model without anything around it.
pub(in crate::scoreboard) struct NGrams;

impl Router for NGrams {
    fn name(&self) -> String {
        "n-gram regression".to_owned()
    }

    fn about(&self) -> String {
        "two logistic regressions over hashed n-grams: P(Powerful right) - P(Lightweight right)".to_owned()
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        let examples = fold.corpus.examples;
        let buckets: Vec<&[u16]> = fold.known.iter().map(|row| &examples[*row].buckets[..]).collect();
        let targets: Vec<[f64; 2]> = fold
            .known
            .iter()
            .map(|row| {
                let [lightweight, powerful, _] = examples[*row].targets;
                [lightweight, powerful]
            })
            .collect();
        let mut random = Random::stream(fold.seed, 400 + fold.index as u64);
        let model = NGramModel::fit(&buckets, &targets, STRENGTH, &mut random);
        fold.progress.advance(self.units());
        let judged = fold.tested.iter().map(|row| {
            let [lightweight, powerful] = model.scores(&examples[*row].buckets).map(logistic);
            Judged::score(powerful - lightweight)
        });
        Ok(judged.collect())
    }
}
