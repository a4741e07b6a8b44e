//! The seed's router: five features of a candidate in a `FastGRNN` 5-8-1.

use super::tiny::{FEATURES, TinyNetwork};
use super::{Fold, Judged, Router, RouterError};
use crate::embeddings::Embeddings;
use crate::random::Random;

/// Semantic similarity, recency, frequency, success rate and metadata overlap of the Lightweight candidate.
///
/// With one candidate a tier, frequency and success rate are the same for every prompt, and graded rows have no time,
/// so recency is as well: three of the five features are constant and cannot rank. What is left is the similarity of
/// the prompt to the centroid of those Lightweight answered right and, where requests carry tags, the share of the
/// request's tags on which Lightweight did better than its own mean.
pub(in crate::scoreboard) struct FiveFeatures<'a> {
    /// Of every row; without them similarity is taken over hashed n-grams.
    pub(in crate::scoreboard) embeddings: Option<&'a Embeddings>,
    /// Whether metadata overlap is counted from tags.
    pub(in crate::scoreboard) tags: bool,
}

impl Router for FiveFeatures<'_> {
    fn name(&self) -> String {
        format!("five features, {}", if self.tags { "text + tags" } else { "text" })
    }

    fn about(&self) -> String {
        let over = if self.embeddings.is_some() {
            "the embeddings given"
        } else {
            "hashed n-grams, no embeddings given"
        };
        let constant = if self.tags { "three of five constant" } else { "four of five constant" };
        format!("the seed's features in a trained FastGRNN 5-8-1; similarity over {over}; {constant}")
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        let similarity = Similarity::fit(fold, self.embeddings);
        let tags = LikedTags::fit(fold);
        let features = |row: usize| {
            let overlap = if self.tags { tags.overlap(&fold.corpus.examples[row].tags) } else { 0.0 };
            // Recency, frequency and success rate are the same for every row.
            [similarity.of(row), 0.0, 0.0, 0.0, overlap]
        };
        let inputs: Vec<[f64; FEATURES]> = fold.known.iter().map(|row| features(*row)).collect();
        let targets: Vec<f64> = fold.known.iter().map(|row| fold.corpus.examples[*row].targets[2]).collect();
        let network =
            TinyNetwork::fit(&inputs, &targets, &mut Random::stream(fold.seed, 500 + fold.index as u64));
        fold.progress.advance(self.units());
        let judged = fold.tested.iter().map(|row| {
            let good_enough = network.probability(features(*row));
            Judged { score: 1.0 - good_enough, confidence: Some(good_enough), decided: None }
        });
        Ok(judged.collect())
    }
}

/// Similarity to the centroid of the prompts that Lightweight answered right.
struct Similarity<'a> {
    fold: &'a Fold<'a>,
    embeddings: Option<&'a Embeddings>,
    centroid: Vec<f64>,
}

impl<'a> Similarity<'a> {
    fn fit(fold: &'a Fold<'a>, embeddings: Option<&'a Embeddings>) -> Self {
        let size = embeddings.map_or(usize::from(u16::MAX) + 1, Embeddings::dimensions);
        let mut similarity = Self { fold, embeddings, centroid: vec![0.0; size] };
        let mut sum = vec![0.0; size];
        for row in fold.known {
            let quality = fold.corpus.examples[*row].targets[0];
            similarity.each(*row, |index, value| sum[index] += quality * value);
        }
        let norm = sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        similarity.centroid = sum.into_iter().map(|value| value / norm).collect();
        similarity
    }

    fn of(&self, row: usize) -> f64 {
        let mut sum = 0.0;
        self.each(row, |index, value| sum += self.centroid[index] * value);
        sum
    }

    /// The components of a row's unit vector.
    fn each(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        if let Some(embeddings) = self.embeddings {
            for (index, value) in embeddings.row(row).iter().enumerate() {
                visit(index, f64::from(*value));
            }
        } else {
            let buckets = &self.fold.corpus.examples[row].buckets;
            let value = 1.0 / (buckets.len().max(1) as f64).sqrt();
            for bucket in buckets {
                visit(usize::from(*bucket), value);
            }
        }
    }
}

/// The tags on which Lightweight did better than its own mean, as metadata of the candidate.
struct LikedTags(Vec<u64>);

impl LikedTags {
    fn fit(fold: &Fold) -> Self {
        let mut counts: std::collections::BTreeMap<u64, (f64, f64)> = std::collections::BTreeMap::new();
        let mut all = (0.0, 0.0);
        for row in fold.known {
            let example = &fold.corpus.examples[*row];
            all = (all.0 + 1.0, all.1 + example.targets[2]);
            for tag in &example.tags {
                let count = counts.entry(*tag).or_default();
                *count = (count.0 + 1.0, count.1 + example.targets[2]);
            }
        }
        let mean = all.1 / f64::max(all.0, 1.0);
        Self(
            counts.into_iter().filter(|(_, (rows, right))| right / rows > mean).map(|(tag, _)| tag).collect(),
        )
    }

    /// The share of the tags that are liked.
    fn overlap(&self, tags: &[u64]) -> f64 {
        let liked = tags.iter().filter(|tag| self.0.binary_search(tag).is_ok()).count();
        liked as f64 / tags.len().max(1) as f64
    }
}
