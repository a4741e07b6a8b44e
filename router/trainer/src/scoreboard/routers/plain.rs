//! What anybody has without learning anything, and what nobody can have.

use super::{Fold, Judged, Router, RouterError};
use crate::random::Random;

/// A random number for each prompt.
pub(in crate::scoreboard) struct Chance;

/// The length of the prompt in characters: the longest go to Powerful.
pub(in crate::scoreboard) struct Length;

/// Knows both grades.
pub(in crate::scoreboard) struct Oracle;

impl Router for Chance {
    fn name(&self) -> String {
        "random".to_owned()
    }

    fn about(&self) -> String {
        "one random order a seed; .5 is expected".to_owned()
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        fold.progress.advance(self.units());
        let mut random = Random::stream(fold.seed, 300 + fold.index as u64);
        Ok(fold.tested.iter().map(|_| Judged::score(random.uniform())).collect())
    }
}

impl Router for Length {
    fn name(&self) -> String {
        "prompt length".to_owned()
    }

    fn about(&self) -> String {
        "characters; the longest prompts go to Powerful".to_owned()
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        fold.progress.advance(self.units());
        let length = |row: &usize| Judged::score(fold.corpus.rows[*row].prompt.chars().count() as f64);
        Ok(fold.tested.iter().map(length).collect())
    }
}

impl Router for Oracle {
    fn name(&self) -> String {
        "oracle".to_owned()
    }

    fn about(&self) -> String {
        "ranks by the grades themselves, chance included: no router can be this good".to_owned()
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        fold.progress.advance(self.units());
        Ok(fold.tested.iter().map(|row| Judged::score(fold.corpus.rows[*row].gain())).collect())
    }
}
