//! A pod that keeps to the control protocol, and what its requests show.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tinydancer_crds::Digest;
use tinydancer_guards::{Arm, BasisPoints, Evidence, GuardSettings, Observation};
use tinydancer_plan::ObservedPod;
use tinydancer_protocol::{
    Assignment, CalibrationSums, DriftSums, EvidenceOwner, EvidencePhase, LoadedModel, ModelState,
    PROTOCOL_VERSION, Refusal, RefusalReason, Report, StepProgress, Trial, TrialEvidence, TrialStage, Trip,
    accept,
};
use uuid::Uuid;

use super::LEASE_SECONDS;

/// What the requests of a pod show about the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    Harmless,
    OverConfident,
    Failing,
}

#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) incarnation: Uuid,
    pub(crate) ready: bool,
    pub(crate) reachable: bool,
    pub(crate) refuses: BTreeSet<Digest>,
    pub(crate) held: Option<Assignment>,
    pub(crate) models: BTreeSet<Digest>,
    pub(crate) serves: Option<Digest>,
    /// Of whom about which digest.
    pub(super) evidence: Option<(EvidenceOwner, Digest, Evidence)>,
    pub(crate) step: StepProgress,
    /// Buckets of each arm in its reports, where not those of its requests.
    pub(crate) buckets: Option<(u32, u32)>,
    pub(super) epoch_since: Timestamp,
    pub(crate) lease_until: Timestamp,
    pub(crate) trips: Vec<Trip>,
    /// What audits found, on its volume.
    pub(crate) audited: Vec<CalibrationSums>,
    pub(crate) drift: Option<DriftSums>,
    // What the operator remembers of it.
    pub(crate) seen: Option<Report>,
    pub(super) refusal: Option<Refusal>,
    pub(crate) heard: Timestamp,
}

impl Pod {
    pub(super) fn observed(&self, now: Timestamp) -> ObservedPod {
        ObservedPod {
            name: self.name.clone(),
            uid: self.uid.clone(),
            ready: self.ready,
            report: self.seen.clone(),
            silent_for: Duration::try_from(now.duration_since(self.heard)).unwrap(),
            refusal: self.refusal.clone(),
        }
    }

    pub(super) fn take(&mut self, offered: &Assignment, now: Timestamp) {
        if let Err(refused) = accept(self.held.as_ref(), offered) {
            let epoch = self.held.as_ref().map_or(0, |held| held.epoch);
            self.refusal =
                Some(Refusal { reason: RefusalReason::StaleEpoch, message: refused.to_string(), epoch });
            return;
        }
        if self.held.as_ref().map(|held| held.epoch) != Some(offered.epoch) {
            self.step = StepProgress::default();
            self.epoch_since = now;
        }
        self.held = Some(offered.clone());
        self.lease_until = now + SignedDuration::from_secs(i64::from(LEASE_SECONDS));
        let phase = if offered.watch.is_some() { EvidencePhase::Watch } else { EvidencePhase::Trial };
        let owner = self.compared().map(|(digest, attempt)| {
            let owner = EvidenceOwner {
                phase,
                policy_uid: offered.policy.uid.clone(),
                attempt,
                configuration_digest: offered.configuration.digest(),
                incarnation: self.incarnation,
            };
            (owner, digest)
        });
        if let Some((owner, digest)) = owner {
            let held = self.evidence.as_ref().map(|(owner, digest, _)| (owner, *digest));
            if held != Some((&owner, digest)) {
                self.evidence = Some((owner, digest, Evidence::new(GuardSettings::default())));
            }
        }
        self.choose();
        self.refusal = None;
        self.heard = now;
        self.seen = Some(self.report(now));
    }

    /// The model whose evidence is gathered, and its attempt.
    pub(crate) fn compared(&self) -> Option<(Digest, u64)> {
        let held = self.held.as_ref()?;
        match (&held.trial, &held.watch, &held.stable) {
            (Some(trial), _, _) => Some((trial.model.digest, trial.attempt)),
            (None, Some(watch), Some(stable)) => Some((stable.digest, watch.attempt)),
            _ => None,
        }
    }

    /// Whom the requests go to that no candidate has: the stable model, or once it tripped in the watch the one before.
    pub(super) fn choose(&mut self) {
        let Some(held) = &self.held else { return };
        let Some(stable) = &held.stable else {
            self.serves = None;
            return;
        };
        let wanted = match &held.watch {
            Some(watch) if self.has_tripped(stable.digest, watch.attempt) => watch.previous.digest,
            _ => stable.digest,
        };
        if self.models.contains(&wanted) {
            self.serves = Some(wanted);
        }
    }

    pub(super) fn has_tripped(&self, digest: Digest, attempt: u64) -> bool {
        self.trips.iter().any(|trip| trip.digest == digest && trip.attempt == attempt)
    }

    pub(super) fn model_state(&self, digest: Digest) -> ModelState {
        if self.refuses.contains(&digest) {
            ModelState::Refused("known answer 3 differs".to_owned())
        } else if self.models.contains(&digest) {
            ModelState::Verified
        } else {
            ModelState::Missing
        }
    }

    /// Whether requests may be decided by this trial's candidate here and now.
    pub(crate) fn effective_weight(&self, now: Timestamp) -> BasisPoints {
        let trial = self.held.as_ref().and_then(|held| held.trial.as_ref());
        trial
            .filter(|trial| trial.stage == TrialStage::Canary)
            .filter(|trial| self.models.contains(&trial.model.digest) && now <= self.lease_until)
            .filter(|trial| !self.has_tripped(trial.model.digest, trial.attempt))
            .map_or(BasisPoints::ZERO, |trial| trial.weight)
    }

    /// Requests at this pod, and what they say about the model that is compared with another.
    pub(crate) fn serve(&mut self, requests: u64, traffic: Traffic, now: Timestamp) {
        let weight = u64::from(self.effective_weight(now).get());
        let staging = |trial: &Trial| trial.stage == TrialStage::Staging;
        let is_staging = self.held.as_ref().and_then(|held| held.trial.as_ref()).is_some_and(staging);
        let scores = !is_staging && self.compared().is_some_and(|(digest, _)| self.models.contains(&digest));
        let Some((_, _, evidence)) = self.evidence.as_mut().filter(|_| scores) else { return };
        for request in 0..requests {
            let uncertainty = if traffic == Traffic::OverConfident { (0.05, 0.3) } else { (0.2, 0.2) };
            evidence.observe(&Observation {
                scoring_nanoseconds: Some((20_000, 20_000)),
                fault: traffic == Traffic::Failing,
                uncertainty: Some(uncertainty),
                escalation: Some((false, false)),
            });
            let arm = if request % 100 < weight / 100 { Arm::Candidate } else { Arm::Stable };
            evidence.count_decision(arm);
            self.step.pairs += 1;
            match arm {
                Arm::Candidate => self.step.candidate_decisions += 1,
                Arm::Stable => self.step.stable_decisions += 1,
            }
        }
    }

    /// Every request is of another bucket, until all are seen.
    pub(super) fn even_buckets(&self) -> (u32, u32) {
        let decisions = self.step.candidate_decisions + self.step.stable_decisions;
        let seen = u32::try_from(decisions.min(10_000)).unwrap();
        let weight = self.held.as_ref().and_then(|held| held.trial.as_ref()).map(|trial| trial.weight.get());
        let candidate = seen * u32::from(weight.unwrap_or_default()) / 10_000;
        (candidate, seen - candidate)
    }

    pub(super) fn report(&self, now: Timestamp) -> Report {
        let held = self.held.as_ref().unwrap();
        let elapsed = now.duration_since(self.epoch_since).as_millis();
        let trial = held.trial.as_ref();
        let named = [&held.stable]
            .into_iter()
            .flatten()
            .chain(trial.map(|trial| &trial.model))
            .chain(held.watch.as_ref().map(|watch| &watch.previous))
            .map(|model| model.digest);
        let (candidate_buckets, stable_buckets) = self.buckets.unwrap_or_else(|| self.even_buckets());
        Report {
            protocol_version: PROTOCOL_VERSION,
            pod: self.name.clone(),
            incarnation: self.incarnation,
            policy_uid: Some(held.policy.uid.clone()),
            epoch: held.epoch,
            configuration_digest: Some(held.configuration.digest()),
            stable: self.serves,
            classified: self.serves.is_some(),
            models: named
                .map(|digest| LoadedModel { digest, state: self.model_state(digest), replay: None })
                .collect(),
            effective_weight: self.effective_weight(now),
            lease_remaining_millis: trial.map(|_| 10_000),
            step: StepProgress {
                elapsed_millis: u64::try_from(elapsed).unwrap(),
                candidate_buckets,
                stable_buckets,
                ..self.step
            },
            evidence: self.evidence.as_ref().filter(|_| self.compared().is_some()).map(
                |(owner, digest, evidence)| {
                    let scored = evidence.snapshot().pairs > 0;
                    TrialEvidence {
                        owner: owner.clone(),
                        digest: *digest,
                        snapshot: evidence.snapshot().clone(),
                        candidate_uncertainty: scored.then_some(0.188),
                        stable_uncertainty: scored.then_some(0.191),
                    }
                },
            ),
            stable_uncertainty: None,
            trips: self.trips.clone(),
            upstreams: Vec::new(),
            history_writable: true,
            calibration: self.audited.clone(),
            drift: self.drift.clone(),
        }
    }
}
