//! Which assignment holds, and what it asks for.

use std::sync::Arc;

use tinydancer_crds::Digest;
use tinydancer_guards::ApplicableGuards;
use tinydancer_protocol::{AcceptError, Assignment, EvidencePhase, Trial, TrialStage, accept};

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

    /// The candidate that is loaded and checked, and scores nothing yet.
    pub(crate) fn staged(&self) -> Option<Digest> {
        let staged = self.live_trial().filter(|trial| trial.stage == TrialStage::Staging)?;
        Some(staged.model.digest)
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

/// The digests that an assignment names, stable first.
pub(crate) fn named_digests(assignment: &Assignment) -> Vec<Digest> {
    let trial = assignment.trial.iter().map(|trial| &trial.model);
    let previous = assignment.watch.iter().map(|watch| &watch.previous);
    let mut digests: Vec<_> =
        assignment.stable.iter().chain(trial).chain(previous).map(|model| model.digest).collect();
    digests.dedup();
    digests
}
