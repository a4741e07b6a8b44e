//! Which prompts are too new to be judged: how many of their words no training row had.

use tinydancer_engine::novelty::{NoveltyLimit, WordFilter};

use crate::corpus::Example;
use crate::folds::FOLDS;

/// The share of prompts like the training rows that may count as new.
const NEW_SHARE: f64 = 0.03;

/// The words of the training rows, and what rows say that were not among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Novelty {
    /// Words of every row.
    pub filter: WordFilter,
    /// When a prompt is new.
    pub limit: NoveltyLimit,
    /// Of each row by the words of the other folds; nothing for a row of too few words.
    pub out_of_fold: Vec<Option<f32>>,
}

impl Novelty {
    /// Reads the words of the examples; the limit is one that few rows exceed by the words of the other folds.
    pub fn fit(examples: &[Example], folds: &[usize]) -> Self {
        let filter_without = |fold: usize| {
            let kept = examples.iter().zip(folds).filter(|(_, other)| **other != fold);
            let mut filter = WordFilter::default();
            filter.extend(kept.flat_map(|(example, _)| example.words.iter().copied()));
            filter
        };
        let filters: Vec<WordFilter> = (0..FOLDS).map(filter_without).collect();
        let out_of_fold: Vec<Option<f32>> = examples
            .iter()
            .zip(folds)
            .map(|(example, fold)| filters[*fold].novelty(&example.words))
            .collect();
        let mut words: Vec<u64> = examples.iter().flat_map(|example| example.words.iter().copied()).collect();
        words.sort_unstable();
        words.dedup();
        let mut filter = WordFilter::default();
        filter.extend(words.iter().copied());
        let limit = NoveltyLimit { words: words.len() as u64, limit_permille: limit_permille(&out_of_fold) };
        Self { filter, limit, out_of_fold }
    }

    /// Whether each row is too new by the words of the other folds.
    pub fn is_new(&self) -> Vec<bool> {
        self.out_of_fold
            .iter()
            .map(|novelty| novelty.is_some_and(|novelty| self.limit.is_exceeded_by(novelty)))
            .collect()
    }

    /// Mean over the rows that have one.
    pub fn mean(&self) -> f64 {
        let known: Vec<f64> = self.out_of_fold.iter().flatten().map(|novelty| f64::from(*novelty)).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

/// The least thousandths that at most [`NEW_SHARE`] of the rows exceed.
fn limit_permille(out_of_fold: &[Option<f32>]) -> u16 {
    let mut known: Vec<f32> = out_of_fold.iter().flatten().copied().collect();
    known.sort_by(f32::total_cmp);
    let beyond = (known.len() as f64 * NEW_SHARE) as usize;
    let largest = known.len().checked_sub(beyond + 1).and_then(|place| known.get(place));
    largest.map_or(1000, |largest| (1000.0 * f64::from(*largest)).ceil().min(1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(words: Vec<u64>) -> Example {
        let (buckets, tags, embedding) = (vec![], vec![], vec![]);
        Example { statistics: [0.0; 15], buckets, words, tags, embedding, targets: [1.0; 3], gain: 0.0 }
    }

    #[test]
    fn a_row_does_not_know_its_own_words_and_few_rows_are_new() {
        let mut examples: Vec<Example> = (0..200).map(|row| example(vec![1, 2, 3, 4, 100 + row])).collect();
        examples.extend((0..4).map(|row| example(vec![1000 + row, 2000 + row, 3000 + row, 4])));
        let folds: Vec<usize> = (0..204).map(|row| row % FOLDS).collect();
        let novelty = Novelty::fit(&examples, &folds);
        assert_eq!(novelty.limit, NoveltyLimit { words: 216, limit_permille: 201 });
        assert_eq!((novelty.out_of_fold[0], novelty.out_of_fold[203]), (Some(0.2), Some(0.75)));
        assert_eq!(novelty.is_new().iter().filter(|new| **new).count(), 4);
        assert_eq!(novelty.filter.novelty(&examples[0].words), Some(0.0));
    }

    #[test]
    fn rows_of_few_words_are_never_new() {
        let novelty = Novelty::fit(&[example(vec![1]), example(vec![2])], &[0, 1]);
        assert_eq!((novelty.limit.limit_permille, novelty.is_new()), (1000, vec![false; 2]));
    }
}
