//! Texts with the logits a model must give, computed again wherever it is loaded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LoadError;
use crate::features::{Features, ngram::fnv1a};
use crate::model::Model;
use crate::network::HEADS;

/// Known answers an artifact has at least.
pub const LEAST: usize = 8;
/// How far a logit may be off, absolute and relative. Differences of the last bits between
/// processors are far smaller; a wrong weight or feature is far larger.
const TOLERANCE: f32 = 1e-4;

/// A text, with tags, to compute a known answer for. Written for this purpose, never a training prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The text.
    pub text: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// A text, and the uncalibrated logits and the novelty the model gives for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownAnswer {
    /// The text.
    pub text: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The logit of each head.
    pub logits: [f32; HEADS],
    /// The novelty, if the model says any.
    pub novelty: Option<f32>,
}

impl KnownAnswer {
    /// What the model says to a probe now.
    pub(crate) fn compute(model: &Model, index: usize, probe: &Probe) -> Self {
        let Probe { text, tags } = probe.clone();
        let features = features(model, index, &text, pairs(&tags));
        Self { logits: model.logits(&features), novelty: model.novelty(&features), text, tags }
    }
}

fn pairs(tags: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// What is read from a probe. For a model that reads embeddings, every other one comes with an embedding.
pub(super) fn features<'a>(
    model: &Model,
    index: usize,
    text: &str,
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Features {
    let mut features = Features::extract(text, tags);
    if let Some(space) = model.embedding_space().filter(|_| index % 2 == 1) {
        // It has a direction for any number of dimensions: if not, there would be no step.
        let numbers: Vec<f32> = made_up_numbers(index).take(space.dimensions).collect();
        let _ = features.set_embedding(&numbers);
    }
    features
}

/// Numbers of -1 to 1 in place of an embedder or of signals: the lowest 16 bits of FNV-1a 64 over two u32 in
/// little endian, the place of the known answer and that of the number, less 32,767.5, over 32,768.
pub(super) fn made_up_numbers(index: usize) -> impl Iterator<Item = f32> {
    (0..u32::MAX).map(move |place| {
        let key = [index as u32, place].map(u32::to_le_bytes);
        let hash = fnv1a(key.into_iter().flatten()) as u16;
        (f32::from(hash) - 32_767.5) / 32_768.0
    })
}

/// Computes every known answer of a model.
pub(crate) fn check(model: &Model) -> Result<(), LoadError> {
    for (index, answer) in model.metadata().known_answers.iter().enumerate() {
        let features = features(model, index, &answer.text, pairs(&answer.tags));
        for (head, (&expected, found)) in answer.logits.iter().zip(model.logits(&features)).enumerate() {
            if !is_close(found, expected) {
                return Err(LoadError::KnownAnswer { index, head, expected, found });
            }
        }
        let (expected, found) = (answer.novelty, model.novelty(&features));
        let same = match (expected, found) {
            (Some(expected), Some(found)) => is_close(found, expected),
            _ => expected == found,
        };
        if !same {
            return Err(LoadError::KnownNovelty { index, expected, found });
        }
    }
    Ok(())
}

/// A number that is none is close to nothing.
pub(super) fn is_close(found: f32, expected: f32) -> bool {
    (found - expected).abs() <= TOLERANCE + TOLERANCE * expected.abs()
}
