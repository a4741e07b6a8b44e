//! The threshold that the stable model decides by, kept to the policy's promise by what audits found over the whole fleet.
//!
//! A threshold belongs to one model, one promise, and the LLMs and grader whose answers and grades it was found from. It changes only while nothing is on trial and nothing is watched, only
//! once the audited requests have grown by a quarter, and it is in the record before any pod hears of it. The record's count
//! of audited requests never falls: pods that are away, or an operator that has not heard of all of them yet, make the
//! sums smaller, and smaller sums change nothing.

pub(crate) mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tinydancer_crds::{Digest, routing_policy::CalibrationState, valid::DecisionRule};
use tinydancer_guards::risk::{CoverageCounts, upper_bound};
use tinydancer_protocol::{AssignedModel, CalibrationSums, OnlineCalibration, RegretObserved, parties};

use crate::{
    observed::ObservedPod,
    record::{Record, push_bounded},
    rollout::Rollout,
};

/// Audited requests below which the artifact's own threshold is the better guess.
pub(crate) const LEAST_PAIRS: u64 = 200;
/// Growth below which too little is new, however few there were.
const LEAST_GROWTH: u64 = 10;
/// Chance that a threshold loses more than was promised although the audits say otherwise.
pub(crate) const DELTA: f64 = 0.05;
/// The threshold that sends everything to Powerful: no score is lower.
const NOWHERE: f32 = -1.0;
/// Models whose threshold is remembered; the one that was touched longest ago goes.
const CALIBRATIONS_LIMIT: usize = 8;

/// What audits said about one model under one promise when that was looked at last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelCalibration {
    /// The model.
    pub digest: Digest,
    /// The promise, in thousandths.
    pub permille: u16,
    /// Between whom it holds.
    pub parties: Digest,
    /// Audited requests then.
    pub pairs: u64,
    /// What the decisions on them had lost.
    pub observed: RegretObserved,
    /// How often the model's sets held the truth.
    pub coverage: CoverageCounts,
    /// How often they should, in thousandths; not known of an older pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_promised_permille: Option<u16>,
    /// What follows from them.
    pub threshold: Threshold,
    /// Since when that follows.
    pub since: Timestamp,
}

/// What decides which scores are Lightweight's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Threshold {
    /// The artifact's: too few requests were audited for another one.
    Artifact,
    /// The largest score by which the audited requests keep the promise.
    Kept(f32),
    /// There is none: everything goes to Powerful.
    Nowhere,
}

/// A promise that is to be kept: which model, what, and about whose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) digest: Digest,
    pub(crate) permille: u16,
    pub(crate) parties: Digest,
}

impl Promise {
    /// The promise that audits check of this model; `None` without audits, model or a promised risk.
    fn of(record: &Record, model: Option<&AssignedModel>) -> Option<Self> {
        let configuration = &record.assignment.configuration;
        configuration.audit.as_ref()?;
        let DecisionRule::Risk { permille } = configuration.decision else { return None };
        Some(Self { digest: model?.digest, permille: permille.get(), parties: parties(configuration) })
    }

    /// That of the model that is trusted.
    pub(crate) fn stable(record: &Record) -> Option<Self> {
        Self::of(record, record.stable.as_ref().map(|stable| &stable.model))
    }

    /// As a fraction of the quality scale.
    pub(crate) fn fraction(self) -> f64 {
        fraction(self.permille)
    }

    /// What is recorded about it.
    pub(crate) fn recorded(self, record: &Record) -> Option<&ModelCalibration> {
        record.calibrations.iter().find(|entry| {
            (entry.digest, entry.permille, entry.parties) == (self.digest, self.permille, self.parties)
        })
    }
}

impl ModelCalibration {
    /// What pods are told.
    fn online(&self) -> Option<OnlineCalibration> {
        let lambda = match self.threshold {
            Threshold::Artifact => return None,
            Threshold::Kept(lambda) => lambda,
            Threshold::Nowhere => NOWHERE,
        };
        Some(OnlineCalibration { digest: self.digest, lambda, permille: self.permille, pairs: self.pairs })
    }
}

/// What audits say about the stable model as far as this operator has heard, for the metrics: it moves with every pair,
/// where status and record stand still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audited {
    /// Promised mean loss, 0 to 1.
    pub promised: f64,
    /// Audited requests that the model scored.
    pub pairs: u64,
    /// What the decisions that were made lost on them.
    pub observed: RegretObserved,
    /// How often the model's sets held the truth.
    pub coverage: CoverageCounts,
    /// How often they should, 0 to 1; not known of an older pod.
    pub coverage_promised: Option<f64>,
    /// The threshold that is told to the pods; `None` where the artifact's holds.
    pub lambda: Option<f32>,
}

/// `None` where nothing is audited or nothing was heard of it.
pub fn audited(record: &Record, pods: &[ObservedPod]) -> Option<Audited> {
    let promise = Promise::stable(record)?;
    let sums = merged(record, pods, promise.digest).filter(|sums| sums.pairs > 0)?;
    Some(Audited {
        promised: promise.fraction(),
        pairs: sums.pairs,
        observed: sums.observed,
        coverage: sums.coverage,
        coverage_promised: sums.coverage_promised_permille.map(fraction),
        lambda: promise.recorded(record).and_then(ModelCalibration::online).map(|online| online.lambda),
    })
}

/// Mean of what was lost, and its upper bound at 95 %; `None` where the model decided no audited request.
pub fn mean_loss(observed: RegretObserved) -> Option<(f64, f64)> {
    let mean = observed.regret / observed.pairs as f64;
    (observed.pairs > 0).then(|| (mean, upper_bound(observed.pairs, observed.regret, DELTA)))
}

/// What pods are told to decide by with this model as the stable one: found once, it is taken up again whenever the model
/// comes back.
pub(crate) fn told(record: &Record, stable: Option<&AssignedModel>) -> Option<OnlineCalibration> {
    Promise::of(record, stable)?.recorded(record)?.online()
}

/// Takes in what the audits say, where it is time to.
pub(crate) fn renew(record: &mut Record, pods: &[ObservedPod], now: Timestamp) {
    let Some(promise) = Promise::stable(record) else { return };
    let Some(sums) = merged(record, pods, promise.digest) else { return };
    let Some(next) = calibrate(promise, promise.recorded(record), &sums, record.rollout, now) else { return };
    record.calibrations.retain(|entry| entry.digest != promise.digest);
    push_bounded(&mut record.calibrations, next, CALIBRATIONS_LIMIT);
}

/// What the sums of all pods lead to; `None` is "it stays as it is".
pub(crate) fn calibrate(
    promise: Promise,
    last: Option<&ModelCalibration>,
    sums: &CalibrationSums,
    rollout: Rollout,
    now: Timestamp,
) -> Option<ModelCalibration> {
    if is_frozen(rollout) || !has_grown(last.map_or(0, |last| last.pairs), sums.pairs) {
        return None;
    }
    let threshold = if sums.pairs < LEAST_PAIRS {
        Threshold::Artifact
    } else {
        // One that no audited request is below is none: what it would let through was never seen.
        let lambda = sums.regret.lambda(promise.fraction(), DELTA);
        let lambda = lambda.filter(|lambda| sums.regret.pairs_at(*lambda) > 0);
        lambda.map_or(Threshold::Nowhere, Threshold::Kept)
    };
    let stands = last.filter(|last| last.threshold == threshold);
    Some(ModelCalibration {
        digest: promise.digest,
        permille: promise.permille,
        parties: promise.parties,
        pairs: sums.pairs,
        observed: sums.observed,
        coverage: sums.coverage,
        coverage_promised_permille: sums.coverage_promised_permille,
        threshold,
        since: stands.map_or(now, |last| last.since),
    })
}

/// Thousandths as a fraction.
fn fraction(permille: u16) -> f64 {
    f64::from(permille) / 1000.0
}

/// Whether enough is new: few writes, and few looks at a bound that holds for one.
fn has_grown(before: u64, pairs: u64) -> bool {
    let suffices = before < LEAST_PAIRS && pairs >= LEAST_PAIRS;
    suffices || pairs >= before.saturating_add((before / 4).max(LEAST_GROWTH))
}

/// Whether a comparison of two models runs, which a threshold that moves would disturb.
const fn is_frozen(rollout: Rollout) -> bool {
    rollout.is_followed()
}

/// Where the calibration is, and what is recorded about it; `None` where nothing is promised or audited.
pub(crate) fn state(record: &Record) -> Option<(CalibrationState, Promise, Option<&ModelCalibration>)> {
    let promise = Promise::stable(record)?;
    let recorded = promise.recorded(record);
    let state = match recorded.map_or(Threshold::Artifact, |recorded| recorded.threshold) {
        _ if is_frozen(record.rollout) => CalibrationState::Frozen,
        Threshold::Artifact => CalibrationState::Collecting,
        Threshold::Kept(_) => CalibrationState::Calibrated,
        Threshold::Nowhere => CalibrationState::PromiseUnmet,
    };
    Some((state, promise, recorded))
}

/// The sums of all pods about this model. A pod that has not taken the configuration yet may speak of other LLMs' answers,
/// and one whose numbers no counting gives says nothing.
fn merged(record: &Record, pods: &[ObservedPod], digest: Digest) -> Option<CalibrationSums> {
    let configuration = record.assignment.configuration.digest();
    let reports = pods.iter().filter_map(|pod| pod.report.as_ref());
    let reports = reports.filter(|report| report.configuration_digest == Some(configuration));
    let sums = reports.flat_map(|report| &report.calibration).filter(|sums| sums.digest == digest);
    sums.filter(|sums| sums.is_sound()).fold(None, |all: Option<CalibrationSums>, sums| match all {
        None => Some(sums.clone()),
        Some(mut all) => {
            all.merge(sums);
            Some(all)
        }
    })
}

#[cfg(test)]
mod tests;
