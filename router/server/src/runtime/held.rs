//! Which assignment holds, and which models are there for it.

use std::{collections::BTreeMap, sync::Arc};

use tinydancer_crds::Digest;
use tinydancer_guards::ApplicableGuards;
use tinydancer_history::History;
use tinydancer_protocol::{
    AcceptError, Assignment, EvidencePhase, LoadedModel as ReportedModel, ModelState, Trial, accept,
};

use super::model::{LoadedModel, ModelError};

/// Where the assignment came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator sent it to this pod once; it is on the volume, whole.
    Accepted,
    /// The boot folder, which never names a trial; a watch it may.
    BootFolder,
}

/// An assignment that holds.
#[derive(Debug, Clone)]
pub(crate) struct HeldAssignment {
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) origin: Origin,
    /// Whether the operator confirmed it to this process; only then is there a trial.
    pub(crate) live: bool,
}

impl HeldAssignment {
    /// The trial, if the operator confirmed it to this process.
    pub(crate) fn live_trial(&self) -> Option<&Trial> {
        self.assignment.trial.as_ref().filter(|_| self.live)
    }

    /// The test that this pod makes: of the trial, or of the watch, which needs nobody's confirmation.
    pub(crate) fn test(&self) -> Option<Test<'_>> {
        let stable = self.assignment.stable.as_ref().map(|model| model.digest);
        if let Some(trial) = self.live_trial() {
            return Some(Test {
                phase: EvidencePhase::Trial,
                attempt: trial.attempt,
                candidate: trial.model.digest,
                reference: stable,
                guards: &trial.guards,
            });
        }
        let watch = self.assignment.watch.as_ref()?;
        Some(Test {
            phase: EvidencePhase::Watch,
            attempt: watch.attempt,
            candidate: stable?,
            reference: Some(watch.previous.digest),
            guards: &watch.guards,
        })
    }

    /// Whether `offered` may take this one's place.
    pub(crate) fn accepts(held: Option<&Self>, offered: &Assignment) -> Result<(), AcceptError> {
        // The boot file leaves the trial out, so the operator's assignment of the same epoch differs from it.
        let held =
            held.filter(|held| held.origin == Origin::Accepted || held.assignment.epoch != offered.epoch);
        accept(held.map(|held| &*held.assignment), offered)
    }
}

/// A model that is compared with another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test<'a> {
    pub(crate) phase: EvidencePhase,
    pub(crate) attempt: u64,
    /// The model on trial, or the promoted one.
    pub(crate) candidate: Digest,
    /// The stable model, or the one before the promoted one; `None` for the first model of a fleet.
    pub(crate) reference: Option<Digest>,
    pub(crate) guards: &'a ApplicableGuards,
}

/// A model and what became of it. One that is in no list is missing.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Verified(Arc<LoadedModel>),
    Refused(String),
}

/// The models in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models(BTreeMap<Digest, Entry>);

impl Models {
    pub(crate) fn verified(&self, digest: Digest) -> Option<&Arc<LoadedModel>> {
        match self.0.get(&digest) {
            Some(Entry::Verified(model)) => Some(model),
            Some(Entry::Refused(_)) | None => None,
        }
    }

    pub(crate) fn insert(&mut self, digest: Digest, entry: Entry) {
        self.0.insert(digest, entry);
    }

    pub(crate) fn retain(&mut self, keep: &[Digest]) {
        self.0.retain(|digest, _| keep.contains(digest));
    }

    /// Loads a model from the volume unless it is there. Bytes that no longer are what they were count as missing: the
    /// operator puts them again.
    pub(crate) fn load(&mut self, digest: Digest, history: &History) {
        if self.0.contains_key(&digest) {
            return;
        }
        match history.load_model(&digest.to_string()) {
            Ok(Some(bytes)) => match LoadedModel::load(digest, &bytes) {
                Ok(model) => self.insert(digest, Entry::Verified(Arc::new(model))),
                Err(error @ ModelError::Artifact(_)) => {
                    tracing::error!(%digest, %error, "a model on the volume cannot run here");
                    self.insert(digest, Entry::Refused(error.to_string()));
                }
                Err(error) => tracing::error!(%digest, %error, "a model on the volume is damaged"),
            },
            Ok(None) => {}
            Err(error) => tracing::error!(%digest, %error, "failed to read a model from the volume"),
        }
    }

    /// What became of these models.
    pub(crate) fn states(&self, digests: &[Digest]) -> Vec<ReportedModel> {
        let state = |digest| match self.0.get(digest) {
            Some(Entry::Verified(_)) => ModelState::Verified,
            Some(Entry::Refused(error)) => ModelState::Refused(error.clone()),
            None => ModelState::Missing,
        };
        digests
            .iter()
            .map(|digest| ReportedModel { digest: *digest, state: state(digest), replay: None })
            .collect()
    }
}

/// The digests that an assignment names, stable first.
pub(crate) fn named_digests(assignment: &Assignment) -> Vec<Digest> {
    let trial = assignment.trial.iter().map(|trial| &trial.model);
    let previous = assignment.watch.iter().map(|watch| &watch.previous);
    let mut digests: Vec<_> =
        assignment.stable.iter().chain(trial).chain(previous).map(|model| model.digest).collect();
    digests.dedup();
    digests
}
