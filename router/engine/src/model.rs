//! A model that may run: read from an artifact, every check passed.

use crate::artifact::{self, LoadError, Metadata, ModelParts, NgramParts, TagParts};
use crate::calibration::Reference;
use crate::decision::{Decision, DecisionRule, Score, decide};
use crate::digest::Digest;
use crate::evidence::{Evidence, NgramScores, TagCounts};
use crate::features::{Features, NGRAM_BUCKETS};
use crate::network::{HEADS, Network};
use crate::uncertainty;

/// A verified model. Immutable; share it behind an `Arc`.
#[derive(Debug, Clone)]
pub struct Model {
    digest: Digest,
    metadata: Metadata,
    network: Network,
    ngrams: Option<NgramTables>,
    tags: Option<TagParts>,
}

/// A model failed on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// A logit is infinite or no number.
    #[error("the logit of head {head} must be finite")]
    NonFinite {
        /// The first head it happened to.
        head: usize,
    },
}

impl Model {
    /// Reads an artifact, checks it whole and computes its known answers.
    ///
    /// # Errors
    /// [`LoadError`], one variant a rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let (parts, metadata) = artifact::read(bytes)?;
        let model = Self { digest: Digest::of(bytes), ..Self::unchecked(&parts, metadata) };
        artifact::check_known_answers(&model)?;
        Ok(model)
    }

    /// A model without a file: enough to compute the known answers of one that is being written.
    pub(crate) fn unchecked(parts: &ModelParts, metadata: Metadata) -> Self {
        Self {
            digest: Digest::of(&[]),
            metadata,
            network: Network::new(&parts.network),
            ngrams: parts.ngrams.as_ref().map(NgramTables::new),
            tags: parts.tags.clone(),
        }
    }

    /// The sha256 of the artifact.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the artifact says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the model did on its own calibration data.
    pub fn reference(&self) -> &Reference {
        &self.metadata.reference
    }

    /// The uncalibrated logits; not finite if extreme weights meet an extreme prompt.
    pub fn logits(&self, features: &Features) -> [f32; HEADS] {
        let ngrams = self.ngrams.as_ref().and_then(|tables| tables.evidence(features.ngrams()));
        let tags = self.tags.as_ref().and_then(|tags| tag_evidence(tags, features.tags()));
        self.network.logits(features.statistics(), ngrams.into_iter().chain(tags))
    }

    /// Scores a request. Allocates nothing.
    ///
    /// # Errors
    /// [`ScoreError::NonFinite`] if a logit is infinite or no number.
    pub fn score(&self, features: &Features) -> Result<Score, ScoreError> {
        let logits = self.logits(features);
        if let Some(head) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(ScoreError::NonFinite { head });
        }
        let [lightweight_right, powerful_right, good_enough] =
            self.metadata.calibration.probabilities(logits);
        Ok(Score {
            lightweight_right,
            powerful_right,
            good_enough,
            score: (powerful_right - lightweight_right) + (1.0 - good_enough),
            uncertainty: uncertainty::of(good_enough),
        })
    }

    /// Decides by a rule on a score that this model gave.
    pub fn decide(&self, score: &Score, rule: &DecisionRule) -> Decision {
        decide(score, rule, &self.metadata.calibration)
    }
}

/// Both n-gram tables, side by side by bucket.
#[derive(Debug, Clone)]
struct NgramTables {
    /// Lightweight and Powerful of each bucket, [`NGRAM_BUCKETS`] long.
    buckets: Box<[[i8; 2]]>,
    scale: [f32; 2],
    offset: [f32; 2],
}

impl NgramTables {
    fn new(parts: &NgramParts) -> Self {
        let mut buckets = vec![[0; 2]; NGRAM_BUCKETS].into_boxed_slice();
        let pairs = parts.lightweight.iter().zip(&parts.powerful);
        for (bucket, (&lightweight, &powerful)) in buckets.iter_mut().zip(pairs) {
            *bucket = [lightweight, powerful];
        }
        Self { buckets, scale: parts.scale, offset: parts.offset }
    }

    /// The evidence of these distinct buckets; none without an n-gram.
    fn evidence(&self, found: &[u16]) -> Option<Evidence> {
        if found.is_empty() {
            return None;
        }
        let mut sums = [0_i32; 2];
        for &bucket in found {
            let [lightweight, powerful] = self.buckets[usize::from(bucket)];
            sums[0] += i32::from(lightweight);
            sums[1] += i32::from(powerful);
        }
        let root = (found.len() as f32).sqrt();
        let score = |tier: usize| self.offset[tier] + self.scale[tier] * (sums[tier] as f32) / root;
        Some(Evidence::of_ngrams(NgramScores { lightweight: score(0), powerful: score(1) }, found.len()))
    }
}

/// The evidence of the tags that the model has counted; none if it knows none of them.
fn tag_evidence(tags: &TagParts, found: &[u64]) -> Option<Evidence> {
    let mut total = TagCounts::default();
    let mut known = false;
    for bucket in found {
        let Ok(index) = tags.buckets.binary_search(bucket) else { continue };
        let Some(&[requests, gain, good_enough]) = tags.counts.get(index) else { continue };
        total += TagCounts { requests, gain, good_enough };
        known = true;
    }
    known.then(|| Evidence::of_tags(total, tags.overall, tags.prior))
}

#[cfg(test)]
mod tests;
