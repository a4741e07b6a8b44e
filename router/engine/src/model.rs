//! A model that may run: read from an artifact, every check passed.

use crate::artifact::{self, LoadError, Metadata, ModelParts};
use crate::calibration::Reference;
use crate::candidate::network::CandidateNetwork;
use crate::decision::{Decision, DecisionRule, Score, decide};
use crate::digest::Digest;
use crate::embedding::EmbeddingSpace;
use crate::evidence::{Evidence, EvidenceSource, Nearest, NgramTables, Prototypes, ReadOut, TagTable};
use crate::features::Features;
use crate::network::{HEADS, Network};
use crate::novelty::WordFilter;
use crate::uncertainty;

/// A verified model. Immutable; share it behind an `Arc`.
#[derive(Debug, Clone)]
pub struct Model {
    digest: Digest,
    metadata: Metadata,
    network: Network,
    ngrams: Option<NgramTables>,
    tags: Option<TagTable>,
    prototypes: Option<Prototypes>,
    read_out: Option<ReadOut>,
    words: Option<WordFilter>,
    candidates: Option<CandidateNetwork>,
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
    /// The embedding supplied is of another space.
    #[error("an embedding for this model must have {expected} numbers, this one has {found}")]
    Dimensions {
        /// Numbers of the embeddings it was made with.
        expected: usize,
        /// Numbers of the embedding supplied.
        found: usize,
    },
}

impl Model {
    /// Reads an artifact, checks it whole, computes its known answers and scores a batch of fixed requests.
    ///
    /// # Errors
    /// [`LoadError`], one variant a rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let (parts, metadata) = artifact::read(bytes)?;
        let model = Self { digest: Digest::of(bytes), ..Self::unchecked(&parts, metadata) };
        artifact::check_known_answers(&model)?;
        artifact::check_probe_batch(&model)?;
        Ok(model)
    }

    /// A model without a file: enough to compute the known answers of one that is being written.
    pub(crate) fn unchecked(parts: &ModelParts, metadata: Metadata) -> Self {
        let embedding = parts.embedding.as_ref();
        let dimensions = embedding.map_or(0, |embedding| embedding.space.dimensions);
        let prototypes = embedding.and_then(|embedding| embedding.prototypes.as_ref());
        let read_out = embedding.and_then(|embedding| embedding.read_out.as_ref());
        Self {
            digest: Digest::of(&[]),
            metadata,
            network: Network::new(&parts.network),
            ngrams: parts.ngrams.as_ref().map(NgramTables::new),
            tags: parts.tags.as_ref().map(TagTable::new),
            prototypes: prototypes.map(|prototypes| Prototypes::new(prototypes, dimensions)),
            read_out: read_out.map(|read_out| ReadOut::new(read_out, dimensions)),
            words: parts.novelty.as_ref().map(|novelty| novelty.filter.clone()),
            candidates: parts.candidate.as_ref().map(CandidateNetwork::new),
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

    /// The embeddings the model reads; nothing if it reads none, and then one that is supplied changes
    /// nothing.
    pub fn embedding_space(&self) -> Option<&EmbeddingSpace> {
        self.metadata.embedding.as_ref()
    }

    /// The network that judges candidates by their calls, if the model has one.
    pub fn candidates(&self) -> Option<&CandidateNetwork> {
        self.candidates.as_ref()
    }

    /// How many of the request's tags the model has counted.
    pub fn known_tags(&self, features: &Features) -> usize {
        self.tags.as_ref().map_or(0, |tags| tags.known(features))
    }

    /// The share of the prompt's distinct words that the model has never seen, 0 to 1; nothing without a
    /// filter or under four distinct words.
    pub fn novelty(&self, features: &Features) -> Option<f32> {
        self.words.as_ref()?.novelty(features.words())
    }

    /// The uncalibrated logits; not finite if extreme weights meet an extreme prompt.
    pub fn logits(&self, features: &Features) -> [f32; HEADS] {
        self.logits_near(features, self.nearest(features).as_ref())
    }

    /// The cells that the embedding is near to: they say something of quality and of novelty.
    fn nearest(&self, features: &Features) -> Option<Nearest> {
        self.prototypes.as_ref()?.nearest(features)
    }

    /// What the model looks up makes the steps, in this order.
    fn logits_near(&self, features: &Features, nearest: Option<&Nearest>) -> [f32; HEADS] {
        fn said(source: Option<&impl EvidenceSource>, features: &Features) -> Option<Evidence> {
            source?.evidence(features)
        }
        let evidence = [
            said(self.ngrams.as_ref(), features),
            said(self.tags.as_ref(), features),
            self.prototypes.as_ref().zip(nearest).and_then(|(prototypes, near)| prototypes.evidence_of(near)),
            said(self.read_out.as_ref(), features),
        ];
        self.network.logits(features.statistics(), evidence.into_iter().flatten())
    }

    /// Scores a request. Allocates nothing.
    ///
    /// # Errors
    /// [`ScoreError`] if the embedding supplied is of another space than the model's, or if a logit is
    /// infinite or no number.
    pub fn score(&self, features: &Features) -> Result<Score, ScoreError> {
        self.check_embedding(features)?;
        let nearest = self.nearest(features);
        let logits = self.logits_near(features, nearest.as_ref());
        if let Some(head) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(ScoreError::NonFinite { head });
        }
        let calibration = &self.metadata.calibration;
        let [lightweight_right, powerful_right, good_enough] = calibration.probabilities(logits);
        let novelty = self.novelty(features);
        Ok(Score {
            lightweight_right,
            powerful_right,
            good_enough,
            score: (powerful_right - lightweight_right) + (1.0 - good_enough),
            uncertainty: uncertainty::of(good_enough),
            novelty,
            novel: self.is_novel(novelty, nearest.as_ref()),
            set: calibration.sets.first().map(|sets| sets.at(good_enough)),
        })
    }

    fn check_embedding(&self, features: &Features) -> Result<(), ScoreError> {
        let (Some(space), Some(embedding)) = (self.embedding_space(), features.embedding()) else {
            return Ok(());
        };
        if embedding.len() == space.dimensions {
            Ok(())
        } else {
            Err(ScoreError::Dimensions { expected: space.dimensions, found: embedding.len() })
        }
    }

    /// Too many unseen words, or an embedding that is too far from every prototype.
    fn is_novel(&self, novelty: Option<f32>, nearest: Option<&Nearest>) -> bool {
        let limit = self.metadata.novelty;
        let strange = limit.zip(novelty).is_some_and(|(limit, novelty)| limit.is_exceeded_by(novelty));
        let far = self.embedding_space().zip(nearest.and_then(Nearest::similarity));
        strange || far.is_some_and(|(space, similarity)| similarity < space.least_similarity)
    }

    /// Decides by a rule on a score that this model gave.
    pub fn decide(&self, score: &Score, rule: &DecisionRule) -> Decision {
        decide(score, rule, &self.metadata.calibration)
    }
}

#[cfg(test)]
mod tests;
