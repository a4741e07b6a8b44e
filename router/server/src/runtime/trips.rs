//! Digests that this pod took out of traffic by itself.

use std::collections::BTreeMap;

use tinydancer_crds::Digest;
use tinydancer_guards::TripCause;
use tinydancer_history::Trip as StoredTrip;
use tinydancer_protocol::Trip;

use super::feedback::seconds_since_1970;

/// One trip a digest, and those that are not on the volume yet.
#[derive(Debug, Default)]
pub(crate) struct Trips {
    trips: BTreeMap<Digest, Trip>,
    unsaved: Vec<StoredTrip>,
}

impl Trips {
    /// What the volume remembers.
    pub(crate) fn restored(stored: &[StoredTrip]) -> Self {
        let trips = stored.iter().filter_map(|trip| {
            let digest: Digest = trip.digest.parse().ok()?;
            Some((digest, Trip { digest, attempt: trip.attempt, cause: trip.cause }))
        });
        Self { trips: trips.collect(), unsaved: Vec::new() }
    }

    /// Whether a digest is out of traffic in this attempt.
    pub(crate) fn holds(&self, digest: Digest, attempt: u64) -> bool {
        self.trips.get(&digest).is_some_and(|trip| trip.attempt >= attempt)
    }

    pub(crate) fn add(&mut self, digest: Digest, attempt: u64, cause: TripCause) {
        self.trips.insert(digest, Trip { digest, attempt, cause });
        self.unsaved.push(StoredTrip {
            digest: digest.to_string(),
            attempt,
            cause,
            at: seconds_since_1970(),
        });
    }

    /// Ends what another policy or a larger attempt ends; says which digests are free again.
    pub(crate) fn lift(&mut self, same_policy: bool, trial: Option<(Digest, u64)>) -> Vec<Digest> {
        let ended = |trip: &Trip| {
            !same_policy
                || trial.is_some_and(|(digest, attempt)| trip.digest == digest && trip.attempt < attempt)
        };
        let lifted: Vec<_> = self.trips.values().filter(|trip| ended(trip)).map(|trip| trip.digest).collect();
        self.trips.retain(|digest, _| !lifted.contains(digest));
        self.unsaved.retain(|trip| lifted.iter().all(|digest| trip.digest != digest.to_string()));
        lifted
    }

    pub(crate) fn report(&self) -> Vec<Trip> {
        self.trips.values().cloned().collect()
    }

    /// What must still be written; whoever takes it gives back what could not be.
    pub(crate) fn take_unsaved(&mut self) -> Vec<StoredTrip> {
        std::mem::take(&mut self.unsaved)
    }

    pub(crate) fn give_back(&mut self, trip: StoredTrip) {
        self.unsaved.push(trip);
    }
}
