//! The outcomes of the nearest known prompts.

use super::{Fold, Judged, Router, RouterError};
use crate::embeddings::Embeddings;
use crate::folds::parallel;

/// Rows that are judged in one piece of work.
const PIECE: usize = 256;

/// The mean outcome of the `k` known prompts with the most similar embeddings, each with the same weight.
pub(in crate::scoreboard) struct Neighbours<'a> {
    /// Of every row.
    pub(in crate::scoreboard) embeddings: &'a Embeddings,
    /// How many.
    pub(in crate::scoreboard) k: usize,
}

impl Router for Neighbours<'_> {
    fn name(&self) -> String {
        format!("kNN, k = {}", self.k)
    }

    fn about(&self) -> String {
        format!("mean outcome of the {} nearest known prompts, by the cosine of the embeddings given", self.k)
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        let pieces: Vec<&[usize]> = fold.tested.chunks(PIECE).collect();
        let judged = parallel(pieces.len(), fold.threads, |piece| {
            pieces[piece].iter().map(|row| self.one(fold, *row)).collect::<Vec<Judged>>()
        });
        fold.progress.advance(self.units());
        Ok(judged.into_iter().flatten().collect())
    }
}

impl Neighbours<'_> {
    fn one(&self, fold: &Fold, row: usize) -> Judged {
        let mut similarities: Vec<(f64, usize)> =
            fold.known.iter().map(|known| (self.embeddings.cosine(row, *known), *known)).collect();
        let k = self.k.min(similarities.len());
        if k < similarities.len() {
            // Rows of equal similarity are taken in the order of the file.
            similarities
                .select_nth_unstable_by(k, |one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        }
        let mean = |outcome: &dyn Fn(usize) -> f64| {
            let mut nearest: Vec<usize> = similarities[..k].iter().map(|(_, known)| *known).collect();
            nearest.sort_unstable();
            nearest.into_iter().map(outcome).sum::<f64>() / k.max(1) as f64
        };
        let rows = fold.corpus.rows;
        Judged {
            score: mean(&|known| rows[known].gain()),
            confidence: Some(mean(&|known| f64::from(u8::from(rows[known].good_enough())))),
            decided: None,
        }
    }
}
