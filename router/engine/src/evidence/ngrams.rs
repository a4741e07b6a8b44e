//! Scores of hashed n-grams.

use super::{Evidence, EvidenceSource, Source, TierScores};
use crate::artifact::NgramParts;
use crate::features::{Features, NGRAM_BUCKETS};

/// Both n-gram tables, side by side by bucket.
#[derive(Debug, Clone)]
pub struct NgramTables {
    /// Lightweight and Powerful of each bucket, [`NGRAM_BUCKETS`] long.
    buckets: Box<[[i8; 2]]>,
    scale: [f32; 2],
    offset: [f32; 2],
}

impl NgramTables {
    /// Prepares these tables; entries that are missing count as 0.
    pub fn new(parts: &NgramParts) -> Self {
        let mut buckets = vec![[0; 2]; NGRAM_BUCKETS].into_boxed_slice();
        let pairs = parts.lightweight.iter().zip(&parts.powerful);
        for (bucket, (&lightweight, &powerful)) in buckets.iter_mut().zip(pairs) {
            *bucket = [lightweight, powerful];
        }
        Self { buckets, scale: parts.scale, offset: parts.offset }
    }

    /// The evidence of these distinct buckets; none without an n-gram.
    fn of(&self, found: &[u16]) -> Option<Evidence> {
        if found.is_empty() {
            return None;
        }
        let mut sums = [0_i32; 2];
        for &bucket in found {
            let [lightweight, powerful] = self.buckets.get(usize::from(bucket)).copied().unwrap_or_default();
            sums[0] += i32::from(lightweight);
            sums[1] += i32::from(powerful);
        }
        let root = (found.len() as f32).sqrt();
        let score = |tier: usize| self.offset[tier] + self.scale[tier] * (sums[tier] as f32) / root;
        Some(Evidence::of_ngrams(TierScores { lightweight: score(0), powerful: score(1) }, found.len()))
    }
}

impl EvidenceSource for NgramTables {
    fn source(&self) -> Source {
        Source::Ngram
    }

    fn evidence(&self, features: &Features) -> Option<Evidence> {
        self.of(features.ngrams())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ngram_score_is_the_sum_over_distinct_buckets_divided_by_the_root_of_their_number() {
        let mut parts = NgramParts {
            lightweight: vec![0; NGRAM_BUCKETS],
            powerful: vec![0; NGRAM_BUCKETS],
            scale: [0.5, 0.25],
            offset: [1.0, -1.0],
            sparse: false,
        };
        (parts.lightweight[7], parts.lightweight[16_383]) = (100, -128);
        parts.powerful[9] = 127;
        let tables = NgramTables::new(&parts);
        assert_eq!(tables.of(&[]), None);
        let evidence = tables.of(&[7, 9, 11, 16_383]).expect("must be there");
        let scores = TierScores { lightweight: 1.0 + 0.5 * -28.0 / 2.0, powerful: -1.0 + 0.25 * 127.0 / 2.0 };
        assert_eq!(evidence, Evidence::of_ngrams(scores, 4));
    }
}
