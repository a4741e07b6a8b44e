//! From a fitted model to the bytes of its artifact.

use tinydancer_engine::artifact::{
    MetadataParts, ModelParts, NgramParts, NoveltyParts, Precision, TagParts, WriteError, write,
};
use tinydancer_engine::calibration::{ConformalSets, EscalationShare, HeadCalibration, RiskThreshold};
use tinydancer_engine::{Calibration, Digest, Reference};

use crate::fit::Fitted;
use crate::known_answers::probes;
use crate::sets::SetLimits;
use crate::tables::Tables;
use crate::tags::{PRIOR, TagTable};

/// What an artifact says about where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// What the model calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of the training rows.
    pub data: Digest,
    /// The seed of the run.
    pub seed: u64,
    /// The model it was made from.
    pub parent: Option<Digest>,
    /// What made the embeddings; empty for a model that reads none.
    pub embedder: String,
}

/// Writes the artifact with weights in f32; the writer loads it again before it hands it out.
///
/// # Errors
/// If the loader would refuse it, as for a name that is not visible ASCII.
pub fn assemble(fitted: &Fitted, identity: Identity) -> Result<Vec<u8>, WriteError> {
    assemble_in(fitted, identity, Precision::F32)
}

/// As [`assemble`], with the network's weights kept as `precision` says.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_in(fitted: &Fitted, identity: Identity, precision: Precision) -> Result<Vec<u8>, WriteError> {
    let parts = ModelParts {
        network: fitted.parameters.weights(fitted.normalisation.mean, fitted.normalisation.std),
        ngrams: Some(ngrams(&fitted.tables)),
        tags: fitted.tables.tags.as_ref().map(tags),
        novelty: Some(NoveltyParts { filter: fitted.novelty.filter.clone(), limit: fitted.novelty.limit }),
        embedding: fitted.tables.embedding.as_ref().map(|tables| tables.parts(identity.embedder)),
        candidate: None,
    };
    let metadata = MetadataParts {
        name: identity.name,
        version: identity.version,
        calibration: calibration(fitted),
        reference: reference(fitted),
        data: identity.data,
        seed: identity.seed,
        parent: identity.parent,
        probes: probes(),
    };
    write(&parts, &metadata, precision)
}

fn ngrams(tables: &Tables) -> NgramParts {
    let [lightweight, powerful] = tables.ngram.quantise();
    NgramParts {
        scale: [lightweight.scale, powerful.scale],
        offset: [lightweight.offset, powerful.offset],
        lightweight: lightweight.weights,
        powerful: powerful.weights,
        sparse: tables.ngram.is_sparse(),
    }
}

fn tags(table: &TagTable) -> TagParts {
    TagParts {
        buckets: table.counts.keys().copied().collect(),
        counts: table
            .counts
            .values()
            .map(|counts| [counts.requests, counts.gain, counts.good_enough])
            .collect(),
        overall: table.overall,
        prior: PRIOR,
    }
}

fn calibration(fitted: &Fitted) -> Calibration {
    let row = |threshold: &crate::fit::Threshold| RiskThreshold {
        permille: threshold.permille,
        lambda: threshold.lambda as f32,
    };
    Calibration {
        heads: fitted
            .calibration
            .map(|platt| HeadCalibration { scale: platt.scale as f32, offset: platt.offset as f32 }),
        risk: fitted.thresholds.iter().map(row).collect(),
        sets: fitted.sets.iter().map(sets).collect(),
        samples: fitted.samples as u64,
    }
}

fn sets(limits: &SetLimits) -> ConformalSets {
    ConformalSets {
        coverage_permille: limits.permille,
        good_enough: limits.good_enough as f32,
        not_good_enough: limits.not_good_enough as f32,
        samples: limits.samples.map(|samples| samples as u64),
    }
}

fn reference(fitted: &Fitted) -> Reference {
    let row = |threshold: &crate::fit::Threshold| EscalationShare {
        permille: threshold.permille,
        share: threshold.escalation as f32,
    };
    Reference {
        mean_uncertainty: fitted.uncertainty as f32,
        mean_novelty: fitted.novelty.mean() as f32,
        scores: fitted.scores.map(|share| share as f32),
        escalation: fitted.thresholds.iter().map(row).collect(),
        samples: fitted.samples as u64,
    }
}
