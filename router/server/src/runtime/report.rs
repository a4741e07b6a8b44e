//! Everything this pod is and has seen, in the protocol's words.

use tinydancer_protocol::{PROTOCOL_VERSION, Report, parties};

use super::{Runtime, held::named_digests, lock::lock};

impl Runtime {
    /// The report. One consistent snapshot; waits for nothing.
    pub fn report(&self) -> Report {
        let arms = self.arms.load_full();
        let now = self.clock.now();
        let serving = arms.serving();
        let assignment = arms.held.as_ref().map(|held| &held.assignment);
        let named = assignment.map(|assignment| named_digests(assignment)).unwrap_or_default();
        // A router that runs alone has no assignment.
        let remembered =
            serving.map(|model| model.digest()).into_iter().chain(named.iter().copied()).collect::<Vec<_>>();
        let calibration = arms
            .configuration
            .as_ref()
            .map(|configuration| lock(&self.sums).of(parties(configuration), &remembered));
        Report {
            protocol_version: PROTOCOL_VERSION,
            pod: self.pod.to_string(),
            incarnation: self.incarnation,
            policy_uid: assignment.map(|assignment| assignment.policy.uid.clone()),
            epoch: assignment.map_or(0, |assignment| assignment.epoch),
            configuration_digest: arms.configuration.as_ref().map(|configuration| configuration.digest()),
            stable: serving.map(|model| model.digest()),
            classified: serving.is_some(),
            models: arms.models.states(&named),
            effective_weight: arms.effective_weight(now),
            lease_remaining_millis: arms.lease.as_ref().map(|lease| lease.remaining_millis(now)),
            step: arms.step.progress(now),
            evidence: arms.ledger.as_ref().map(|ledger| ledger.report()),
            stable_uncertainty: serving.and_then(|model| model.mean_uncertainty()),
            trips: lock(&self.trips).report(),
            upstreams: self.upstreams.get().map(|report| report()).unwrap_or_default(),
            history_writable: self.history.degraded().is_none(),
            calibration: calibration.unwrap_or_default(),
            drift: serving.and_then(|model| model.drift()),
        }
    }
}
