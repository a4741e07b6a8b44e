//! From one snapshot to the next: assignments and model bytes that arrive. Everything here may wait for the disk and is done
//! one at a time; deciding goes on beside it on the snapshot before.

use std::{sync::Arc, time::Duration};

use tinydancer_crds::Digest;
use tinydancer_history::{HistoryError, StateKey};
use tinydancer_protocol::{AcceptError, Assignment, EvidenceOwner, Report};

use super::{
    Runtime,
    arms::Arms,
    beside::{Beside, Lease},
    held::{HeldAssignment, Origin, Test, named_digests},
    ledger::Ledger,
    lock::lock,
    model::{LoadedModel, ModelError},
    step::Step,
};

/// Why an assignment is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// It is for another policy than this pod belongs to.
    #[error("`policy` must be {wanted}, not {offered}")]
    WrongPolicy {
        /// This pod's.
        wanted: String,
        /// The assignment's.
        offered: String,
    },
    /// The protocol does not allow it.
    #[error(transparent)]
    NotAcceptable(#[from] AcceptError),
    /// It cannot be kept, so it does not hold.
    #[error("failed to keep the assignment: {0}")]
    Unavailable(#[from] HistoryError),
}

/// Why model bytes are not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutModelError {
    /// They are not the model they should be, or none that can run here.
    #[error(transparent)]
    Refused(#[from] ModelError),
    /// They cannot be kept.
    #[error("failed to keep the model: {0}")]
    Unavailable(#[from] HistoryError),
}

impl Runtime {
    /// Waits for the disk. Takes an assignment of the operator; once this returns the report, it survives a restart. The same one
    /// again renews the candidate's lease and writes nothing.
    ///
    /// # Errors
    /// [`AssignError`]; what held before holds.
    pub fn assign(&self, offered: Assignment) -> Result<Report, AssignError> {
        {
            let _one_at_a_time = lock(&self.transitions);
            self.check_policy(&offered)?;
            let before = self.arms.load_full();
            HeldAssignment::accepts(before.held.as_ref(), &offered)?;
            match &before.held {
                Some(held) if held.live && *held.assignment == offered => self.renew(&before),
                Some(held) if held.origin == Origin::Accepted && *held.assignment == offered => {
                    self.take(&before, Arc::clone(&held.assignment));
                }
                _ => {
                    let kept = serde_json::to_vec(&offered).unwrap_or_default();
                    self.history.save_state(StateKey::Assignment, kept)?;
                    self.take(&before, Arc::new(offered));
                }
            }
        }
        Ok(self.report())
    }

    /// Waits for the disk. Takes the bytes of a model: checked for size, digest, shape and known answers, those of a candidate
    /// in staging on this pod's past as well, then kept, then loaded.
    ///
    /// # Errors
    /// [`PutModelError`]; then they are not kept.
    pub fn put_model(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), PutModelError> {
        let _one_at_a_time = lock(&self.transitions);
        let before = self.arms.load_full();
        let mut models = before.models.clone();
        let checked = LoadedModel::load(digest, &bytes).and_then(|model| {
            // The same object as before keeps what it has counted.
            if models.verified(digest).is_none() {
                models.insert(model);
            }
            let staged = before.held.as_ref().and_then(HeldAssignment::staged);
            if staged == Some(digest) { models.rehearse(digest, &self.history) } else { Ok(()) }
        });
        match checked {
            Ok(()) if before.models.verified(digest).is_some() => Ok(()),
            Ok(()) => {
                self.history.save_model(digest.to_string(), bytes)?;
                self.publish(self.next(&before, Arms { models, ..(*before).clone() }));
                Ok(())
            }
            Err(error) => {
                let lasting = matches!(error, ModelError::Artifact(_) | ModelError::Replay(_));
                if lasting && before.worth_keeping().contains(&digest) {
                    models.refuse(digest, &error);
                    self.publish(Arms { models, ..(*before).clone() });
                }
                Err(error.into())
            }
        }
    }

    fn check_policy(&self, offered: &Assignment) -> Result<(), AssignError> {
        let Some(identity) = &self.identity else { return Ok(()) };
        if (&offered.policy.namespace, &offered.policy.name) == (&identity.namespace, &identity.policy) {
            return Ok(());
        }
        Err(AssignError::WrongPolicy {
            wanted: format!("{}/{}", identity.namespace, identity.policy),
            offered: format!("{}/{}", offered.policy.namespace, offered.policy.name),
        })
    }

    fn renew(&self, arms: &Arms) {
        if let (Some(lease), Some(deadline)) = (&arms.lease, self.deadline(arms.held.as_ref())) {
            lease.renew(deadline);
        }
    }

    /// Makes a new assignment, or one that was kept over a restart and is now confirmed, the one that holds.
    fn take(&self, before: &Arms, assignment: Arc<Assignment>) {
        let same_policy =
            before.held.as_ref().is_none_or(|held| held.assignment.policy.uid == assignment.policy.uid);
        let mut models = before.models.clone();
        for digest in named_digests(&assignment) {
            models.load(digest, &self.history);
        }
        let held = HeldAssignment { assignment, origin: Origin::Accepted, live: true };
        if let Some(candidate) = held.staged() {
            // The report says why it is refused.
            let _ = models.rehearse(candidate, &self.history);
        }
        self.lift_trips(same_policy, held.test());
        let lease = self.deadline(Some(&held)).map(|deadline| Arc::new(Lease::until(deadline)));
        let step = Arc::new(Step::starting(self.clock.now()));
        let next = Arms { held: Some(held), models, lease, step, ..before.clone() };
        self.publish(self.next(before, next));
        self.prune();
    }

    /// When the lease of the trial ends if it begins now.
    fn deadline(&self, held: Option<&HeldAssignment>) -> Option<Duration> {
        let trial = held?.live_trial()?;
        Some(self.clock.now() + Duration::from_secs(trial.lease_seconds.into()))
    }

    /// Fills in what follows from assignment and models.
    pub(super) fn next(&self, before: &Arms, next: Arms) -> Arms {
        let Some(held) = next.held.clone() else { return next };
        let configuration = match &before.configuration {
            Some(configuration) if **configuration == held.assignment.configuration => {
                Arc::clone(configuration)
            }
            _ => Arc::new(held.assignment.configuration.clone()),
        };
        let ledger = held.test().map(|test| self.ledger(before, &held.assignment, test));
        let stable = stable(before, &next, &held.assignment);
        let beside = Beside::of(&held, &next.models, stable.as_ref(), next.lease.as_ref(), ledger.as_ref());
        let next = Arms { configuration: Some(configuration), stable, beside, ledger, ..next };
        let served = before.serving().map(|model| model.digest());
        let previous = if next.serving().map(|model| model.digest()) == served { None } else { served };
        Arms { previous: previous.or(before.previous), ..next }
    }

    /// The memory of this test: the one there is if it belongs to the same owner and models, else a new one.
    fn ledger(&self, before: &Arms, assignment: &Assignment, test: Test<'_>) -> Arc<Ledger> {
        let owner = EvidenceOwner {
            policy_uid: assignment.policy.uid.clone(),
            attempt: test.attempt,
            configuration_digest: assignment.configuration.digest(),
            incarnation: self.incarnation,
            phase: test.phase,
        };
        match &before.ledger {
            Some(ledger) if ledger.is_of(&owner, test.candidate, test.reference) => Arc::clone(ledger),
            _ => {
                let tripped = lock(&self.trips).holds(test.candidate, test.attempt)
                    || before
                        .ledger
                        .as_ref()
                        .is_some_and(|ledger| ledger.tripped_in(test.candidate, test.attempt));
                let margins = assignment.configuration.guards;
                Arc::new(Ledger::new(owner, test.candidate, test.reference, margins, tripped))
            }
        }
    }

    /// Makes this the snapshot that decides.
    pub(super) fn publish(&self, arms: Arms) {
        let configuration = arms.configuration.clone();
        self.arms.store(Arc::new(arms));
        if let Some(configuration) = configuration {
            self.configuration.send_if_modified(|current| {
                let changed = **current != *configuration;
                *current = configuration;
                changed
            });
        }
    }

    /// Trips end with the policy, and with a test of the digest that has a larger number.
    fn lift_trips(&self, same_policy: bool, test: Option<Test<'_>>) {
        let lifted = lock(&self.trips).lift(same_policy, test.map(|test| (test.candidate, test.attempt)));
        for digest in lifted {
            if let Err(error) = self.history.clear_trip(digest.to_string()) {
                tracing::error!(%digest, %error, "failed to forget a trip; it is back after a restart");
            }
        }
    }

    /// Forgets every model that is not worth keeping. Only with a new assignment: bytes may come before the one that names them.
    fn prune(&self) {
        let arms = self.arms.load_full();
        let keep = arms.worth_keeping();
        let mut models = arms.models.clone();
        models.retain(&keep);
        self.arms.store(Arc::new(Arms { models, ..(*arms).clone() }));
        let digests = keep.iter().map(Digest::to_string).collect();
        if let Err(error) = self.history.delete_models_except(digests) {
            tracing::warn!(%error, "failed to forget models that are no longer used");
        }
    }
}

/// The model that serves as long as it does not trip: the assigned one if it is verified here, else what serves now, else the
/// one that a watch leads back to.
fn stable(before: &Arms, next: &Arms, assignment: &Assignment) -> Option<Arc<LoadedModel>> {
    let assigned = assignment.stable.as_ref()?.digest;
    let watch = assignment.watch.as_ref();
    let previous = watch.and_then(|watch| next.models.verified(watch.previous.digest));
    next.models.verified(assigned).or(before.serving()).or(previous).cloned()
}
