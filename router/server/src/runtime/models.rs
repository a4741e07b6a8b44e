//! The models in memory, and what became of each.

use std::{collections::BTreeMap, sync::Arc};

use tinydancer_crds::Digest;
use tinydancer_history::History;
use tinydancer_protocol::{LoadedModel as ReportedModel, ModelState, Replay};

use super::{
    model::{LoadedModel, ModelError},
    replay::replay,
};

/// A model and what became of it. One that is in no list is missing.
#[derive(Debug, Clone)]
enum Entry {
    Verified { model: Arc<LoadedModel>, replay: Option<Replay> },
    Refused(String),
}

/// The models in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models(BTreeMap<Digest, Entry>);

impl Models {
    pub(crate) fn verified(&self, digest: Digest) -> Option<&Arc<LoadedModel>> {
        match self.0.get(&digest) {
            Some(Entry::Verified { model, .. }) => Some(model),
            Some(Entry::Refused(_)) | None => None,
        }
    }

    /// Takes a model that may serve.
    pub(crate) fn insert(&mut self, model: LoadedModel) {
        self.0.insert(model.digest(), Entry::Verified { model: Arc::new(model), replay: None });
    }

    /// Takes a model no more.
    pub(crate) fn refuse(&mut self, digest: Digest, error: &ModelError) {
        self.0.insert(digest, Entry::Refused(error.to_string()));
    }

    pub(crate) fn retain(&mut self, keep: &[Digest]) {
        self.0.retain(|digest, _| keep.contains(digest));
    }

    /// Waits for the disk. Loads a model from the volume unless it is there. Bytes that no longer are what they were count as
    /// missing: the operator puts them again.
    pub(crate) fn load(&mut self, digest: Digest, history: &History) {
        if self.0.contains_key(&digest) {
            return;
        }
        match history.load_model(&digest.to_string()) {
            Ok(Some(bytes)) => match LoadedModel::load(digest, &bytes) {
                Ok(model) => self.insert(model),
                Err(error @ ModelError::Artifact(_)) => {
                    tracing::error!(%digest, %error, "a model on the volume cannot run here");
                    self.refuse(digest, &error);
                }
                Err(error) => tracing::error!(%digest, %error, "a model on the volume is damaged"),
            },
            Ok(None) => {}
            Err(error) => tracing::error!(%digest, %error, "failed to read a model from the volume"),
        }
    }

    /// Waits for the disk. Lets a model that is there score this pod's past, once; one that fails on it is refused.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn rehearse(&mut self, digest: Digest, history: &History) -> Result<(), ModelError> {
        let Some(Entry::Verified { model, replay: done @ None }) = self.0.get_mut(&digest) else {
            return Ok(());
        };
        match replay(model, history) {
            Ok(replay) => *done = Some(replay),
            Err(error) => {
                tracing::error!(%digest, %error, "the candidate is refused before it has any traffic");
                let error = ModelError::Replay(error);
                self.refuse(digest, &error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// What became of these models.
    pub(crate) fn states(&self, digests: &[Digest]) -> Vec<ReportedModel> {
        let state = |digest| match self.0.get(digest) {
            Some(Entry::Verified { replay, .. }) => (ModelState::Verified, *replay),
            Some(Entry::Refused(error)) => (ModelState::Refused(error.clone()), None),
            None => (ModelState::Missing, None),
        };
        let reported = |digest| {
            let (state, replay) = state(digest);
            ReportedModel { digest: *digest, state, replay }
        };
        digests.iter().map(reported).collect()
    }
}
