//! The weights of a model as plain numbers: what training fills and a file carries.

use crate::candidate::network::CandidateWeights;
use crate::embedding::EmbeddingSpace;
use crate::network::NetworkWeights;
use crate::novelty::{NoveltyLimit, WordFilter};

/// All weights of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParts {
    /// The tier network.
    pub network: NetworkWeights,
    /// The n-gram tables, if the model has any.
    pub ngrams: Option<NgramParts>,
    /// The counted tags, if the model has any.
    pub tags: Option<TagParts>,
    /// The words it was made from, if it can tell what is new.
    pub novelty: Option<NoveltyParts>,
    /// What it knows about embeddings, if it reads any.
    pub embedding: Option<EmbeddingParts>,
    /// The network that judges candidates by their calls, if the model has one.
    pub candidate: Option<CandidateWeights>,
}

/// N-gram tables: the score of a tier is `offset + scale * sum(table[bucket]) / sqrt(n)`.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramParts {
    /// Table of "Lightweight answers right", [`crate::features::NGRAM_BUCKETS`] long.
    pub lightweight: Vec<i8>,
    /// Table of "Powerful answers right", as long.
    pub powerful: Vec<i8>,
    /// Scale of Lightweight and Powerful.
    pub scale: [f32; 2],
    /// Offset of Lightweight and Powerful.
    pub offset: [f32; 2],
    /// Whether a file holds only the bytes that are not 0, and where they are.
    pub sparse: bool,
}

/// Counted outcomes of tags.
#[derive(Debug, Clone, PartialEq)]
pub struct TagParts {
    /// Buckets ([`crate::features::tag_bucket`]), strictly ascending, at most
    /// [`super::MOST_TAGS`].
    pub buckets: Vec<u64>,
    /// Of each bucket: requests (at least one), sum of `q_P - q_L`, sum of good enough.
    pub counts: Vec<[f32; 3]>,
    /// Mean of `q_P - q_L` and of good enough over all training rows.
    pub overall: [f32; 2],
    /// Pseudo-counts a tag is shrunk with; positive.
    pub prior: f32,
}

/// What tells a prompt that is new.
#[derive(Debug, Clone, PartialEq)]
pub struct NoveltyParts {
    /// The words of the training rows.
    pub filter: WordFilter,
    /// How many there are, and which share of unseen ones is too many.
    pub limit: NoveltyLimit,
}

/// What a model knows about embeddings; at least one of both.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingParts {
    /// Which embeddings.
    pub space: EmbeddingSpace,
    /// Counted outcomes of cells.
    pub prototypes: Option<PrototypeParts>,
    /// A linear read-out.
    pub read_out: Option<ReadOutParts>,
}

/// Counted outcomes of the cells of a space of embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct PrototypeParts {
    /// Centres, cell by cell, `dimensions` bytes each and none of them all 0; only their direction counts.
    pub centres: Vec<i8>,
    /// What a byte of each centre is worth; positive. At most [`super::MOST_PROTOTYPES`].
    pub scale: Vec<f32>,
    /// Of each cell: requests (at least one), sum of `q_P - q_L`, sum of good enough.
    pub counts: Vec<[f32; 3]>,
    /// Mean of `q_P - q_L` and of good enough over all training rows.
    pub overall: [f32; 2],
    /// Pseudo-counts a cell is shrunk with; positive.
    pub prior: f32,
}

/// Scores linear in the embedding: that of a tier is `offset + scale * weight . embedding`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOutParts {
    /// Weights of "Lightweight answers right", then of "Powerful answers right", `dimensions` each.
    pub weight: Vec<i8>,
    /// Scale of Lightweight and Powerful.
    pub scale: [f32; 2],
    /// Offset of Lightweight and Powerful.
    pub offset: [f32; 2],
}
