//! The weights of a model as plain numbers: what training fills and a file carries.

use crate::network::NetworkWeights;

/// All weights of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParts {
    /// The tier network.
    pub network: NetworkWeights,
    /// The n-gram tables, if the model has any.
    pub ngrams: Option<NgramParts>,
    /// The counted tags, if the model has any.
    pub tags: Option<TagParts>,
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
