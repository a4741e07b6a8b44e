//! What is read from a request: one extractor, used to train and to serve.
//!
//! Features do not depend on a model, so they are extracted once and scored by every arm.

pub(crate) mod ngram;
pub(crate) mod statistics;
pub(crate) mod tags;
pub(crate) mod words;

pub use ngram::BUCKETS as NGRAM_BUCKETS;
pub use statistics::{COUNT as STATISTICS, NAMES as STATISTIC_NAMES};
pub use tags::bucket as tag_bucket;

use crate::embedding::{self, EmbeddingError};

/// The features of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    statistics: [f32; STATISTICS],
    ngrams: ngram::Ngrams,
    words: words::DistinctWords,
    tags: Vec<u64>,
    /// Of length 1; empty where none was supplied.
    embedding: Vec<f32>,
}

impl Features {
    /// Reads the features of a prompt and of the request's tags (key and value).
    pub fn extract<'a>(text: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut features = Self::default();
        features.extract_into(text, tags);
        features
    }

    /// Of a request of which nothing but the statistics is left: no n-gram, word or tag.
    pub fn of_statistics(statistics: [f32; STATISTICS]) -> Self {
        Self { statistics, ..Self::default() }
    }

    /// As [`Features::extract`], into buffers that are already there: after the first few
    /// requests it allocates nothing. The embedding of the request before is gone.
    pub fn extract_into<'a>(&mut self, text: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.words.clear();
        self.statistics = statistics::of(text, &mut self.words);
        self.ngrams.read(self.words.hashes());
        self.tags.clear();
        self.tags.extend(tags.into_iter().map(|(key, value)| tags::bucket(key, value)));
        self.tags.sort_unstable();
        self.tags.dedup();
        self.embedding.clear();
    }

    /// Adds the embedding that came with the request; only its direction counts. Without one, or after an
    /// error, the request has none.
    ///
    /// # Errors
    /// [`EmbeddingError`] for numbers that have no direction.
    pub fn set_embedding(&mut self, embedding: &[f32]) -> Result<(), EmbeddingError> {
        embedding::keep(embedding, &mut self.embedding)
    }

    /// The prompt statistics, not normalised, in the order of [`STATISTIC_NAMES`]. Always finite.
    pub fn statistics(&self) -> &[f32; STATISTICS] {
        &self.statistics
    }

    /// The distinct buckets of [`Features::words`], in the order they first occur: n-grams of one word.
    pub fn ngrams(&self) -> &[u16] {
        self.ngrams.buckets()
    }

    /// The hashes of the distinct words (ASCII lower case) among the first 512, in the order they first
    /// occur.
    pub fn words(&self) -> &[u64] {
        self.words.hashes()
    }

    /// The embedding that was supplied, scaled to length 1.
    pub fn embedding(&self) -> Option<&[f32]> {
        (!self.embedding.is_empty()).then_some(&self.embedding[..])
    }

    /// The distinct buckets of the tags, ascending.
    pub fn tags(&self) -> &[u64] {
        &self.tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_text_has_finite_statistics_and_distinct_buckets(text in any::<String>()) {
            let features = Features::extract(&text, []);
            prop_assert!(features.statistics().iter().all(|value| value.is_finite()));
            let mut buckets = features.ngrams().to_vec();
            buckets.sort_unstable();
            buckets.dedup();
            prop_assert_eq!(buckets.len(), features.ngrams().len());
        }

        #[test]
        fn buffers_used_before_change_nothing(first in any::<String>(), second in any::<String>()) {
            let mut reused = Features::extract(&first, [("task", "first")]);
            reused.set_embedding(&[1.0]).expect("must be an embedding");
            reused.extract_into(&second, [("task", "second")]);
            prop_assert_eq!(reused, Features::extract(&second, [("task", "second")]));
        }
    }

    #[test]
    fn an_empty_prompt_has_every_statistic_zero_and_no_ngram() {
        let features = Features::extract("", []);
        assert_eq!(features.statistics(), &[0.0; STATISTICS]);
        assert!(features.ngrams().is_empty());
        assert!(features.tags().is_empty());
    }

    #[test]
    fn features_of_statistics_have_no_other_evidence() {
        let whole = Features::extract("Solve x + 2 = 5.", [("a", "1")]);
        let left = Features::of_statistics(*whole.statistics());
        assert_eq!(left.statistics(), whole.statistics());
        assert!(left.ngrams().is_empty() && left.tags().is_empty() && left.words().is_empty());
    }

    #[test]
    fn a_tag_counts_once_and_the_order_of_tags_means_nothing() {
        let once = Features::extract("x", [("a", "1"), ("b", "2")]);
        let twice = Features::extract("x", [("b", "2"), ("a", "1"), ("b", "2")]);
        assert_eq!(once, twice);
        assert_eq!(once.tags().len(), 2);
    }
}
