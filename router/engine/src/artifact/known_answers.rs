//! Texts with the logits a model must give, computed again wherever it is loaded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LoadError;
use crate::features::Features;
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

/// A text and the uncalibrated logits the model gives for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownAnswer {
    /// The text.
    pub text: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The logit of each head.
    pub logits: [f32; HEADS],
}

impl KnownAnswer {
    /// What the model says to a probe now.
    pub(crate) fn compute(model: &Model, probe: &Probe) -> Self {
        let Probe { text, tags } = probe.clone();
        let logits = logits(model, &text, &tags);
        Self { text, tags, logits }
    }
}

fn logits(model: &Model, text: &str, tags: &BTreeMap<String, String>) -> [f32; HEADS] {
    model.logits(&Features::extract(text, tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
}

/// Computes every known answer of a model.
pub(crate) fn check(model: &Model) -> Result<(), LoadError> {
    for (index, answer) in model.metadata().known_answers.iter().enumerate() {
        let found = logits(model, &answer.text, &answer.tags);
        for (head, (&expected, found)) in answer.logits.iter().zip(found).enumerate() {
            // A NaN fails this comparison too.
            let close = (found - expected).abs() <= TOLERANCE + TOLERANCE * expected.abs();
            if !close {
                return Err(LoadError::KnownAnswer { index, head, expected, found });
            }
        }
    }
    Ok(())
}
