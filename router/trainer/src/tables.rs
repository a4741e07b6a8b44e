//! The tables evidence is read from, and evidence that has not seen its own row.

use tinydancer_engine::evidence::{Evidence, INPUTS, TierScores};

use crate::corpus::Example;
use crate::embedding::EmbeddingTables;
use crate::fit::Recipe;
use crate::folds::{LeftOut, parallel};
use crate::learn::before_embedding;
use crate::ngram::NGramModel;
use crate::progress::Progress;
use crate::random::Random;
use crate::tags::TagTable;

/// C of the n-gram models; chosen by out-of-fold loss.
const NGRAM_STRENGTH: f64 = 6.0;
/// How often a row that is tested comes without its embedding: calibration and thresholds are those of both kinds.
const TESTED_WITHOUT: f64 = 0.5;

/// What a model has counted and fitted about texts, tags and embeddings.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Both n-gram models.
    pub ngram: NGramModel,
    /// Tag counts, for a model that reads tags.
    pub tags: Option<TagTable>,
    /// Of embeddings, where rows have them.
    pub embedding: Option<EmbeddingTables>,
}

impl Tables {
    /// Fits on these examples; `kept` is the share of each n-gram table's weights that stay, all without it.
    pub fn fit<'a>(
        examples: impl Iterator<Item = &'a Example> + Clone,
        tags: bool,
        kept: Option<f64>,
        random: &mut Random,
    ) -> Self {
        let buckets: Vec<&[u16]> = examples.clone().map(|example| &example.buckets[..]).collect();
        let targets: Vec<[f64; 2]> =
            examples.clone().map(|example| [example.targets[0], example.targets[1]]).collect();
        let outcomes =
            examples.clone().map(|example| (&example.tags[..], example.gain, example.targets[2] > 0.5));
        Self {
            ngram: match kept {
                Some(kept) => NGramModel::fit_sparse(&buckets, &targets, NGRAM_STRENGTH, kept, random),
                None => NGramModel::fit(&buckets, &targets, NGRAM_STRENGTH, random),
            },
            tags: tags.then(|| TagTable::fit(outcomes)),
            embedding: EmbeddingTables::fit(examples, random),
        }
    }

    /// The inputs of the cell for one example: n-grams, tags, embedding, each if there is evidence.
    pub fn steps(&self, example: &Example) -> Vec<[f64; INPUTS]> {
        let ngrams = (!example.buckets.is_empty()).then(|| {
            let [lightweight, powerful] = self.ngram.scores(&example.buckets).map(|score| score as f32);
            Evidence::of_ngrams(TierScores { lightweight, powerful }, example.buckets.len())
        });
        let tags = self.tags.as_ref().and_then(|tags| tags.evidence(&example.tags));
        let embedding = self.embedding.iter().flat_map(|tables| tables.evidence(&example.embedding));
        ngrams
            .into_iter()
            .chain(tags)
            .chain(embedding)
            .map(|evidence| evidence.input().map(f64::from))
            .collect()
    }
}

/// Tables fitted without nothing, without each fold, and without each pair of folds. A network that is tested on one
/// fold is trained on evidence that has seen neither that fold nor the row itself.
pub struct CrossFitted<'a> {
    examples: &'a [Example],
    folds: &'a [usize],
    /// In the order of [`LeftOut::all`].
    fits: Vec<Tables>,
}

impl<'a> CrossFitted<'a> {
    /// Fits all tables, on the recipe's threads.
    pub fn fit(examples: &'a [Example], folds: &'a [usize], recipe: Recipe, progress: &Progress) -> Self {
        let all = LeftOut::all();
        let mut fits = parallel(all.len(), recipe.threads, |index| {
            let kept = examples
                .iter()
                .zip(folds)
                .filter(|(_, fold)| !all[index].contains(**fold))
                .map(|(kept, _)| kept);
            let mut random = Random::stream(recipe.seed, 100 + index as u64);
            let tables = Tables::fit(kept, recipe.tags, recipe.ngrams_kept, &mut random);
            progress.advance(1);
            tables
        });
        let similarities: Vec<f32> = examples
            .iter()
            .zip(folds)
            .filter_map(|(example, own)| {
                let without = fits[LeftOut::folds(*own, *own).position()].embedding.as_ref()?;
                without.similarity(&example.embedding)
            })
            .collect();
        if let Some(tables) = &mut fits[LeftOut::NOTHING.position()].embedding {
            tables.limit(similarities);
        }
        Self { examples, folds, fits }
    }

    /// The tables fitted without these folds.
    pub fn without(&self, left_out: LeftOut) -> &Tables {
        &self.fits[left_out.position()]
    }

    /// The evidence of row `row` for a network that will be tested on `tested`: from tables that have seen neither
    /// that fold nor the row's own. Some of the rows that are tested come without that of their embedding.
    pub fn steps(&self, row: usize, tested: Option<usize>) -> Vec<[f64; INPUTS]> {
        let own = self.folds[row];
        let mut steps = self.without(LeftOut::folds(own, tested.unwrap_or(own))).steps(&self.examples[row]);
        let without = tested == Some(own) && Random::stream(row as u64, 300).uniform() < TESTED_WITHOUT;
        steps.truncate(before_embedding(&steps, without).len());
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folds::{FOLDS, assign};

    fn examples(count: usize) -> Vec<Example> {
        let mut random = Random::stream(11, 11);
        (0..count)
            .map(|_| {
                let right = f64::from(u8::from(random.uniform() < 0.5));
                Example {
                    statistics: [0.0; 15],
                    buckets: (0..20).map(|_| random.below(60) as u16).collect(),
                    words: Vec::new(),
                    tags: vec![random.below(3) as u64],
                    embedding: [random.normal(), random.normal()].map(|number| number as f32).to_vec(),
                    targets: [right, 1.0, right],
                    gain: 1.0 - right,
                }
            })
            .collect()
    }

    fn evidence(examples: &[Example], folds: &[usize], tested: Option<usize>) -> Vec<Vec<[f64; INPUTS]>> {
        let recipe = Recipe { tags: true, seed: 1, threads: 2, ngrams_kept: None, temperature: 1.0 };
        let tables = CrossFitted::fit(examples, folds, recipe, &Progress::silent());
        (0..examples.len()).map(|row| tables.steps(row, tested)).collect()
    }

    #[test]
    fn no_label_of_a_fold_reaches_the_evidence_of_its_rows_or_of_the_network_tested_on_it() {
        let examples = examples(100);
        let folds = assign(100, &mut Random::stream(1, 1));
        let untested = evidence(&examples, &folds, None);
        for fold in [0, FOLDS - 1] {
            let tested = evidence(&examples, &folds, Some(fold));
            let mut turned = examples.clone();
            for (example, _) in turned.iter_mut().zip(&folds).filter(|(_, own)| **own == fold) {
                example.targets = [1.0 - example.targets[0], 0.0, 1.0 - example.targets[2]];
                example.gain = -example.gain;
            }
            assert_eq!(evidence(&turned, &folds, Some(fold)), tested);
            for (row, steps) in evidence(&turned, &folds, None).iter().enumerate() {
                assert_eq!(*steps == untested[row], folds[row] == fold, "row {row}");
            }
        }
    }
}
