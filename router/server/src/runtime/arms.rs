//! What decides right now: one immutable snapshot, replaced as a whole.

use std::{sync::Arc, time::Duration};

use tinydancer_crds::{Configuration, Digest, valid::DecisionRule as ConfiguredRule};
use tinydancer_engine::DecisionRule;
use tinydancer_guards::BasisPoints;

use super::{
    beside::{Beside, Lease, WatchState},
    held::{HeldAssignment, named_digests},
    ledger::Ledger,
    model::LoadedModel,
    models::Models,
    step::Step,
};

/// The models that score, by which rule they decide, and the assignment that says so.
#[derive(Debug, Clone)]
pub(crate) struct Arms {
    /// `None` for a router that runs alone, and before the first assignment.
    pub(crate) held: Option<HeldAssignment>,
    /// `None` before the first assignment.
    pub(crate) configuration: Option<Arc<Configuration>>,
    pub(crate) models: Models,
    /// The model that serves unless it tripped in a watch: [`Arms::serving`] knows. Not the assigned one as long as that is
    /// not verified here.
    pub(crate) stable: Option<Arc<LoadedModel>>,
    /// The model that served before.
    pub(crate) previous: Option<Digest>,
    /// The model that scores beside the stable one.
    pub(crate) beside: Option<Beside>,
    /// The memory of the trial or watch that holds, whether its models score or not.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Runs since the last accepted assignment of that trial.
    pub(crate) lease: Option<Arc<Lease>>,
    pub(crate) step: Arc<Step>,
}

impl Arms {
    /// Nothing is known yet.
    pub(crate) fn empty(now: Duration) -> Self {
        Self {
            held: None,
            configuration: None,
            models: Models::default(),
            stable: None,
            previous: None,
            beside: None,
            ledger: None,
            lease: None,
            step: Arc::new(Step::starting(now)),
        }
    }

    /// The model that serves at this moment. A promoted model that tripped in its watch never does: the one before it
    /// serves, and if that is not here, none.
    pub(crate) fn serving(&self) -> Option<&Arc<LoadedModel>> {
        match &self.beside {
            Some(Beside::Watch(watch)) if watch.is_left() => watch.previous.as_ref(),
            _ => self.stable.as_ref(),
        }
    }

    /// Whether a promoted model is watched, and whether it was left.
    pub(crate) fn watch_state(&self) -> WatchState {
        match &self.beside {
            Some(Beside::Watch(watch)) if watch.is_left() => WatchState::Left,
            Some(Beside::Watch(_)) => WatchState::Watching,
            Some(Beside::Trial(_)) | None => WatchState::None,
        }
    }

    /// The rule that a model decides by. A threshold that audits have found holds for the model it was found for, while the
    /// promise is the one it keeps.
    pub(crate) fn rule(&self, digest: Digest) -> DecisionRule {
        let configured = self
            .configuration
            .as_ref()
            .map_or(DecisionRule::Risk { permille: 0 }, |configuration| rule(configuration));
        let calibration = self.held.as_ref().and_then(|held| held.assignment.calibration);
        match (configured, calibration) {
            (DecisionRule::Risk { permille }, Some(found))
                if found.digest == digest && found.permille == permille =>
            {
                DecisionRule::Score { lambda: found.lambda }
            }
            _ => configured,
        }
    }

    /// Thousandths of the requests that are sent to the other tier than was decided.
    pub(crate) fn explore_permille(&self) -> u16 {
        self.configuration.as_ref().map_or(0, |configuration| configuration.explore_permille)
    }

    /// Thousandths of the requests whose answers are audited.
    pub(crate) fn audit_permille(&self) -> u16 {
        let audit = self.configuration.as_ref().and_then(|configuration| configuration.audit.as_ref());
        audit.map_or(0, |audit| audit.permille.get())
    }

    /// Models of the assignment, the one that serves and the one that served before.
    pub(crate) fn worth_keeping(&self) -> Vec<Digest> {
        let mut keep = self.held.as_ref().map(|held| named_digests(&held.assignment)).unwrap_or_default();
        keep.extend(self.stable.as_ref().map(|model| model.digest()));
        keep.extend(self.previous);
        keep
    }

    /// Share of requests that the candidate decides at this moment.
    pub(crate) fn effective_weight(&self, now: Duration) -> BasisPoints {
        match &self.beside {
            Some(Beside::Trial(trial)) => trial.effective_weight(now),
            Some(Beside::Watch(_)) | None => BasisPoints::ZERO,
        }
    }
}

/// The rule as the engine takes it.
fn rule(configuration: &Configuration) -> DecisionRule {
    match configuration.decision {
        ConfiguredRule::Risk { permille } => DecisionRule::Risk { permille: permille.get() },
        ConfiguredRule::Thresholds { confidence, fallback } => DecisionRule::Thresholds {
            confidence_permille: confidence.get(),
            fallback_permille: fallback.get(),
        },
    }
}
