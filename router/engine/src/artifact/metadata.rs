//! What an artifact says about itself.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::candidate::CandidateMetadata;
use super::error::{Cause, excerpt};
use super::{FORMAT, KnownAnswer, LEAST_KNOWN_ANSWERS, LoadError, ModelParts, Probe};
use crate::calibration::{Calibration, ConformalSets, Reference};
use crate::digest::Digest;
use crate::embedding::{EmbeddingSpace, MOST_DIMENSIONS};
use crate::novelty::NoveltyLimit;
use crate::schema;

/// Longest name and version.
const LONGEST_NAME: usize = 128;
/// How far the shares of all scores may be off 1.
const WHOLE_TOLERANCE: f32 = 1e-3;

/// What a loaded artifact says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// What the model calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How logits become probabilities and decisions.
    pub calibration: Calibration,
    /// What the model did on its own calibration data.
    pub reference: Reference,
    /// When a prompt is too new to be judged by its words.
    pub novelty: Option<NoveltyLimit>,
    /// The embeddings the model reads.
    pub embedding: Option<EmbeddingSpace>,
    /// Which signals its candidate network reads, and what it must say.
    pub candidate: Option<CandidateMetadata>,
    /// Sha256 of the training rows in order.
    pub data: Digest,
    /// The seed of the training run.
    pub seed: u64,
    /// The model it was made from.
    pub parent: Option<Digest>,
    /// Texts and the logits they must give.
    pub known_answers: Vec<KnownAnswer>,
}

/// What training says about a model; the known answers are computed when it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataParts {
    /// What the model calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How logits become probabilities and decisions.
    pub calibration: Calibration,
    /// What the model did on its own calibration data.
    pub reference: Reference,
    /// Sha256 of the training rows in order.
    pub data: Digest,
    /// The seed of the training run.
    pub seed: u64,
    /// The model it was made from.
    pub parent: Option<Digest>,
    /// Texts to compute known answers for, at least [`LEAST_KNOWN_ANSWERS`].
    pub probes: Vec<Probe>,
}

impl Metadata {
    /// Reads the metadata map of a container and checks every rule that needs no weights.
    pub(crate) fn read(map: &HashMap<String, String>) -> Result<Self, LoadError> {
        let text = |key| map.get(key).map(String::as_str).ok_or(LoadError::MetadataMissing { key });
        let format = text("format")?;
        if format != FORMAT {
            return Err(LoadError::Format { found: excerpt(format) });
        }
        let found = digest_hex("schema", text("schema")?)?;
        let expected = schema::digest();
        if found != expected {
            return Err(LoadError::Schema { found, expected });
        }
        let metadata = Self {
            name: name("name", text("name")?)?,
            version: name("version", text("version")?)?,
            calibration: json("calibration", text("calibration")?)?,
            reference: json("reference", text("reference")?)?,
            novelty: map.get("novelty").map(|text| json("novelty", text)).transpose()?,
            embedding: map.get("embedding").map(|text| json("embedding", text)).transpose()?,
            candidate: map.get("candidate").map(|text| json("candidate", text)).transpose()?,
            data: digest_hex("data", text("data")?)?,
            seed: text("seed")?.parse().map_err(|_| value("seed", "must be a whole number"))?,
            parent: parent(map)?,
            known_answers: json("known_answers", text("known_answers")?)?,
        };
        metadata.check()?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), LoadError> {
        check_calibration(&self.calibration)?;
        check_reference(&self.reference)?;
        if self.novelty.is_some_and(|limit| limit.limit_permille > 1000) {
            return Err(value("novelty", "limit_permille must be at most 1000"));
        }
        self.embedding.as_ref().map_or(Ok(()), check_embedding)?;
        self.candidate.as_ref().map_or(Ok(()), CandidateMetadata::check_form)?;
        if self.known_answers.len() < LEAST_KNOWN_ANSWERS {
            return Err(LoadError::TooFewKnownAnswers { found: self.known_answers.len() });
        }
        if self.known_answers.iter().flat_map(|answer| answer.logits).any(|logit| !logit.is_finite()) {
            return Err(value("known_answers", "logits must be finite"));
        }
        Ok(())
    }

    /// The metadata map of a container, in a fixed order.
    pub(crate) fn to_entries(&self) -> Result<Vec<(&'static str, String)>, serde_json::Error> {
        let mut entries = vec![
            ("format", FORMAT.to_owned()),
            ("name", self.name.clone()),
            ("version", self.version.clone()),
            ("schema", schema::digest().to_hex()),
            ("calibration", serde_json::to_string(&self.calibration)?),
            ("reference", serde_json::to_string(&self.reference)?),
        ];
        if let Some(novelty) = &self.novelty {
            entries.push(("novelty", serde_json::to_string(novelty)?));
        }
        if let Some(embedding) = &self.embedding {
            entries.push(("embedding", serde_json::to_string(embedding)?));
        }
        if let Some(candidate) = &self.candidate {
            entries.push(("candidate", serde_json::to_string(candidate)?));
        }
        entries.extend([("data", self.data.to_hex()), ("seed", self.seed.to_string())]);
        entries.extend(self.parent.map(|parent| ("parent", parent.to_string())));
        entries.push(("known_answers", serde_json::to_string(&self.known_answers)?));
        Ok(entries)
    }
}

impl MetadataParts {
    /// The metadata of a file with these weights and known answers.
    pub(crate) fn with_answers(&self, parts: &ModelParts, known_answers: Vec<KnownAnswer>) -> Metadata {
        Metadata {
            name: self.name.clone(),
            version: self.version.clone(),
            calibration: self.calibration.clone(),
            reference: self.reference.clone(),
            novelty: parts.novelty.as_ref().map(|novelty| novelty.limit),
            embedding: parts.embedding.as_ref().map(|embedding| embedding.space.clone()),
            candidate: parts.candidate.as_ref().map(CandidateMetadata::of),
            data: self.data,
            seed: self.seed,
            parent: self.parent,
            known_answers,
        }
    }
}

fn value(key: &'static str, rule: &'static str) -> LoadError {
    LoadError::MetadataValue { key, rule }
}

fn json<T: DeserializeOwned>(key: &'static str, text: &str) -> Result<T, LoadError> {
    serde_json::from_str(text).map_err(|source| LoadError::MetadataJson { key, source: Cause::of(&source) })
}

fn digest_hex(key: &'static str, text: &str) -> Result<Digest, LoadError> {
    Digest::from_hex(text).map_err(|_| value(key, "must be 64 lower-case hex digits"))
}

fn parent(map: &HashMap<String, String>) -> Result<Option<Digest>, LoadError> {
    let digest = map.get("parent").map(|text| text.parse()).transpose();
    digest.map_err(|_| value("parent", "must be `sha256:` and 64 lower-case hex digits"))
}

/// A name is shown to people and a version is signed as a line: neither may hide anything.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn name(key: &'static str, text: &str) -> Result<String, LoadError> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(value(key, "must be 1 to 128 visible ASCII characters"))
    }
}

fn check_calibration(calibration: &Calibration) -> Result<(), LoadError> {
    let key = "calibration";
    let heads = calibration.heads.iter().flat_map(|head| [head.scale, head.offset]);
    let mut numbers = heads.chain(calibration.risk.iter().map(|row| row.lambda));
    if numbers.any(|number| !number.is_finite()) {
        return Err(value(key, "numbers must be finite"));
    }
    check_permilles(key, calibration.risk.iter().map(|row| row.permille))?;
    if !calibration.risk.is_sorted_by(|row, next| row.lambda <= next.lambda) {
        return Err(value(key, "lambda must not descend"));
    }
    check_sets(key, &calibration.sets)
}

fn check_sets(key: &'static str, sets: &[ConformalSets]) -> Result<(), LoadError> {
    let mut limits = sets.iter().flat_map(|row| [row.good_enough, row.not_good_enough]);
    if limits.any(|limit| !(0.0..=1.0).contains(&limit)) {
        return Err(value(key, "the limits of sets must lie in 0 to 1"));
    }
    check_permilles(key, sets.iter().map(|row| row.coverage_permille))
}

fn check_reference(reference: &Reference) -> Result<(), LoadError> {
    let key = "reference";
    if !(0.0..=0.5).contains(&reference.mean_uncertainty) {
        return Err(value(key, "uncertainty must lie in 0 to 0.5"));
    }
    if reference.escalation.iter().any(|row| !(0.0..=1.0).contains(&row.share)) {
        return Err(value(key, "share must lie in 0 to 1"));
    }
    if !(0.0..=1.0).contains(&reference.mean_novelty) {
        return Err(value(key, "novelty must lie in 0 to 1"));
    }
    if reference.scores.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(value(key, "scores must lie in 0 to 1"));
    }
    let whole = reference.scores.iter().sum::<f32>();
    if whole != 0.0 && (whole - 1.0).abs() > WHOLE_TOLERANCE {
        return Err(value(key, "scores must add up to 1, or be 0 where they were not measured"));
    }
    check_permilles(key, reference.escalation.iter().map(|row| row.permille))
}

fn check_embedding(space: &EmbeddingSpace) -> Result<(), LoadError> {
    let key = "embedding";
    name(key, &space.name)?;
    if !(1..=MOST_DIMENSIONS).contains(&space.dimensions) {
        return Err(value(key, "dimensions must be 1 to 4096"));
    }
    if !(-1.0..=1.0).contains(&space.least_similarity) {
        return Err(value(key, "least_similarity must lie in -1 to 1"));
    }
    Ok(())
}

fn check_permilles(key: &'static str, permilles: impl Iterator<Item = u16> + Clone) -> Result<(), LoadError> {
    if !permilles.clone().is_sorted_by(|permille, next| permille < next) {
        return Err(value(key, "permille must ascend strictly"));
    }
    if permilles.into_iter().any(|permille| permille > 1000) {
        return Err(value(key, "permille must be at most 1000"));
    }
    Ok(())
}
