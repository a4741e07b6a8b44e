//! What happens beside the requests: each second, and at once after a trip.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tinydancer_guards::TripCause;
use tinydancer_history::{EvidenceOwner as StoredOwner, EvidencePhase as StoredPhase};
use tinydancer_protocol::EvidencePhase;
use tokio::{sync::Notify, time::timeout};

use super::{Runtime, keys::read_key, ledger::Ledger, lock::lock};

const PERIOD: Duration = Duration::from_secs(1);
/// Rounds of the keeper after which it looks at the key.
const KEY_ROUNDS: u32 = 10;

impl Runtime {
    /// Keeps trips and evidence until the runtime is gone. Run it beside whatever serves.
    pub fn keep(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let tripped = Arc::clone(&self.tripped);
        keep(Arc::downgrade(self), tripped)
    }

    /// Waits for the disk. Writes what is not written yet and closes the history; for the end of the process.
    pub fn close(&self) {
        self.tick();
        self.history.close();
    }

    /// Waits for the disk. What the keeper does each second: judges the trial or the watch by this pod's evidence alone, which may
    /// only lower exposure or lead back; keeps trips and evidence.
    pub fn tick(&self) {
        let arms = self.arms.load_full();
        if let (Some(ledger), Some(held)) = (&arms.ledger, &arms.held)
            && let Some(test) = held.test()
            && let Some(cause) = ledger.judge_alone(test.guards)
        {
            self.trip(ledger, cause);
        }
        self.save_trips();
        if let Some(ledger) = &arms.ledger {
            self.save_evidence(ledger);
        }
    }

    /// Takes a digest out of this pod's traffic; since the ledger says so, it has no request already.
    pub(super) fn trip(&self, ledger: &Ledger, cause: TripCause) {
        let (digest, attempt) = (ledger.digest(), ledger.owner().attempt);
        match ledger.owner().phase {
            EvidencePhase::Trial => {
                tracing::error!(%digest, attempt, %cause, "the model on trial was taken out of traffic by this pod");
            }
            EvidencePhase::Watch => {
                tracing::error!(%digest, attempt, %cause, "the promoted model was taken out of traffic by this pod; the one before it serves");
            }
        }
        lock(&self.trips).add(ledger.digest(), attempt, cause);
        self.tripped.notify_one();
    }

    fn save_trips(&self) {
        let unsaved = lock(&self.trips).take_unsaved();
        for trip in unsaved {
            if let Err(error) = self.history.record_trip(trip.clone()) {
                tracing::error!(%error, "failed to keep a trip; trying again");
                lock(&self.trips).give_back(trip);
            }
        }
    }

    fn save_evidence(&self, ledger: &Ledger) {
        let Some(evidence) = ledger.unkept() else { return };
        let owner = ledger.owner();
        let stored = StoredOwner {
            policy_uid: owner.policy_uid.clone(),
            attempt: owner.attempt,
            configuration_digest: owner.configuration_digest.to_string(),
            incarnation: owner.incarnation.to_string(),
            phase: match owner.phase {
                EvidencePhase::Trial => StoredPhase::Trial,
                EvidencePhase::Watch => StoredPhase::Watch,
            },
        };
        match self.history.save_evidence(stored, &evidence) {
            Ok(()) => ledger.is_kept(&evidence),
            // Each second again, and the report says that the history cannot be written.
            Err(error) => tracing::debug!(%error, "failed to keep the trial's evidence"),
        }
    }

    /// Waits for the disk. Reads the key of the fleet again if it changed.
    fn reload_key(&self) {
        let Some(path) = &self.key_file else { return };
        match read_key(path) {
            Ok(bytes) => {
                if let Some(keys) = self.keys.load().rotated(bytes) {
                    self.keys.store(Arc::new(keys));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the decision key cannot be read again; the one before stays");
            }
        }
    }
}

async fn keep(runtime: Weak<Runtime>, tripped: Arc<Notify>) {
    for round in (0..KEY_ROUNDS).cycle() {
        // Whether a second passed or something tripped, the same is done.
        let _ = timeout(PERIOD, tripped.notified()).await;
        let Some(runtime) = runtime.upgrade() else { return };
        let work = move || {
            runtime.tick();
            if round == 0 {
                runtime.reload_key();
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "keeping trips and evidence failed");
        }
    }
}
