//! A model that was verified and is loaded.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use tinydancer_crds::Digest;
use tinydancer_engine::{Features, LoadError, Model, Score, artifact};
use tinydancer_protocol::DriftSums;

use super::{drift::Seen, lock::lock, replay::ReplayError};

/// A running mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// `None` before the first value.
    pub(crate) fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Why bytes are not the model they should be.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// They are larger than any artifact.
    #[error("an artifact must have at most {} bytes", artifact::MOST_BYTES)]
    TooLarge,
    /// They are other bytes.
    #[error("the bytes must have digest {wanted}, they have {found}: put them under their own digest")]
    DigestMismatch {
        /// The digest they were given under.
        wanted: Digest,
        /// The digest they have.
        found: Digest,
    },
    /// They are no artifact that can run here.
    #[error("failed to load the artifact: {0}")]
    Artifact(#[from] LoadError),
    /// They fail on requests that this pod had before.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// The engine failed on a request: an error, a number that is not finite, or a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault;

/// A verified model.
#[derive(Debug)]
pub(crate) struct LoadedModel {
    digest: Digest,
    model: Model,
    seen: Mutex<Seen>,
}

impl LoadedModel {
    /// Checks size, digest, shape, known answers and that ordinary requests are scored. Nothing serves before that.
    pub(crate) fn load(wanted: Digest, bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > artifact::MOST_BYTES {
            return Err(ModelError::TooLarge);
        }
        let found = Digest::of(bytes);
        if found != wanted {
            return Err(ModelError::DigestMismatch { wanted, found });
        }
        let model = Model::from_bytes(bytes)?;
        // The engine took it after it had read the weights: bytes that changed in between are none that anybody named.
        if model.digest().to_hex() != found.hex() {
            return Err(ModelError::DigestMismatch { wanted, found: Digest::of(bytes) });
        }
        Ok(Self { digest: found, model, seen: Mutex::default() })
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn engine(&self) -> &Model {
        &self.model
    }

    /// Whether an embedding has as many numbers as the model reads, or the model reads none.
    pub(crate) fn reads(&self, embedding: &[f32]) -> bool {
        self.model.embedding_space().is_none_or(|space| space.dimensions == embedding.len())
    }

    /// Scores; whatever goes wrong inside stays inside.
    pub(crate) fn score(&self, features: &Features) -> Result<Score, Fault> {
        match catch_unwind(AssertUnwindSafe(|| self.model.score(features))) {
            Ok(Ok(score)) => Ok(score),
            Ok(Err(_)) | Err(_) => Err(Fault),
        }
    }

    /// Remembers a request that this model scored as the stable one.
    pub(crate) fn count(&self, score: &Score) {
        lock(&self.seen).count(score, &self.model);
    }

    /// Whether those requests look as in training.
    pub(crate) fn drift(&self) -> Option<DriftSums> {
        let seen = *lock(&self.seen);
        seen.report(self.digest, &self.model)
    }

    /// Mean uncertainty of those requests, and how many there were.
    pub(crate) fn mean_uncertainty(&self) -> Option<(f64, u64)> {
        lock(&self.seen).mean_uncertainty()
    }
}
