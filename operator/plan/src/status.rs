//! The status: a projection of the record, so that it can be lost.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    RoutingPolicyStatus,
    conditions::reasons,
    routing_policy::{
        GuardStatus, ModelEntry, ModelIdentity, RolloutState, RolloutStatus, ShapeStatus, Verdict,
        WatchStatus,
    },
    valid::ApprovedStep,
};
use tinydancer_guards::Shapes;
use tinydancer_protocol::AssignedModel;

use crate::{
    calibration,
    explain::{decimals, interval},
    record::{Record, StableModel, TrialRecord},
    rollout::{CanaryStep, Cause, Halt, PauseReason, Rollout, Seen, sample_ratio},
};

/// Fills in everything that the record says.
pub(crate) fn project(record: &Record, status: &mut RoutingPolicyStatus) {
    status.stable = record.stable.as_ref().map(|stable| identity(&stable.model));
    let seen = record.trial.as_ref().map(Seen::of);
    let trial = record.trial.as_ref().zip(seen.as_ref());
    status.rollout = rollout(record, trial);
    status.models = models(record, trial);
    status.quarantined = record.quarantine.iter().map(|entry| entry.digest.to_string()).collect();
    status.history.clone_from(&record.history);
    status.calibration = calibration::words::status(record);
}

pub(crate) fn identity(model: &AssignedModel) -> ModelIdentity {
    ModelIdentity {
        name: model.name.clone(),
        version: model.version.clone(),
        digest: model.digest.to_string(),
    }
}

fn rollout(record: &Record, trial: Option<(&TrialRecord, &Seen)>) -> Option<RolloutStatus> {
    let epoch = number(record.assignment.epoch);
    if let Some((trial, seen)) = trial {
        return Some(RolloutStatus {
            model: identity(&trial.model),
            state: record.rollout.shown(),
            reason: trial.reason.clone(),
            message: Some(trial.message.clone()),
            attempt: number(trial.attempt),
            epoch,
            step: step(trial, record.rollout),
            weight_percent: i32::from(record.rollout.weight_percent()),
            verdict: trial_verdict(seen, record),
            approval: awaited(trial, record.rollout).map(|step| step.to_string()),
            watch: watch(trial, record),
            sample_ratio: sample_ratio(record).map(|ratio| decimals(ratio.chance())),
            shape: shape(&seen.evidence.shapes),
            pairs: number(seen.evidence.pairs),
            guards: guards(seen),
            since: Time(trial.since),
        });
    }
    record.stable.as_ref().map(|stable| RolloutStatus {
        model: identity(&stable.model),
        state: RolloutState::Stable,
        reason: reasons::PROMOTED.to_owned(),
        message: Some(stable.message.clone()),
        attempt: number(stable.attempt),
        epoch,
        step: None,
        weight_percent: 100,
        verdict: stable.verdict,
        approval: None,
        watch: None,
        sample_ratio: None,
        shape: None,
        pairs: number(stable.pairs),
        guards: Vec::new(),
        since: Time(stable.since),
    })
}

/// In the watch the verdict by which the model was promoted stands until another is found.
fn trial_verdict(seen: &Seen, record: &Record) -> Option<Verdict> {
    match (record.rollout, &record.stable) {
        (Rollout::Watching, Some(promoted)) => promoted.verdict,
        _ => verdict(seen, record.rollout),
    }
}

/// What somebody has to approve.
pub(crate) fn awaited(trial: &TrialRecord, rollout: Rollout) -> Option<ApprovedStep> {
    let Rollout::Paused { reason: PauseReason::AwaitingApproval, at } = rollout else { return None };
    Some(at.to_approve(trial.attempt, trial.steps))
}

fn watch(trial: &TrialRecord, record: &Record) -> Option<WatchStatus> {
    record.armed().map(|previous| WatchStatus {
        previous: identity(&previous.model),
        seconds: number(trial.watch_seconds),
    })
}

/// `None` before anything was compared.
fn shape(shapes: &Shapes) -> Option<ShapeStatus> {
    let shown = |quantile: &dyn Fn(f64) -> Option<f64>| {
        let values: Option<Vec<String>> =
            [0.5, 0.9, 0.99].into_iter().map(|share| quantile(share).map(decimals)).collect();
        values.map_or_else(|| "none".to_owned(), |values| values.join(", "))
    };
    let microseconds = |nanoseconds: f64| nanoseconds / 1000.0;
    Some(ShapeStatus {
        population_stability_index: decimals(shapes.population_stability_index()?),
        kolmogorov_smirnov: decimals(shapes.kolmogorov_smirnov()?),
        candidate_uncertainty: shown(&|share| shapes.candidate.quantile(share)),
        stable_uncertainty: shown(&|share| shapes.stable.quantile(share)),
        candidate_microseconds: shown(&|share| {
            shapes.candidate_nanoseconds.quantile(share).map(microseconds)
        }),
        stable_microseconds: shown(&|share| shapes.stable_nanoseconds.quantile(share).map(microseconds)),
    })
}

/// Stable first, then the trial or what the watch leads back to, then those that had their turn, newest first.
fn models(record: &Record, trial: Option<(&TrialRecord, &Seen)>) -> Vec<ModelEntry> {
    let stable = record.stable.as_ref().map(|stable| stable_entry(stable, record));
    let trial = trial.map(|(trial, seen)| match record.armed() {
        Some(previous) => armed_entry(previous, trial),
        None => trial_entry(trial, seen, record.rollout),
    });
    let past = record.past.iter().rev().cloned();
    let mut entries: Vec<ModelEntry> = Vec::new();
    for entry in stable.into_iter().chain(trial).chain(past) {
        if !entries.iter().any(|other| other.digest == entry.digest) {
            entries.push(entry);
        }
    }
    entries
}

fn stable_entry(stable: &StableModel, record: &Record) -> ModelEntry {
    let uncertainty = record.trial.as_ref().map(|trial| trial.evidence.uncertainty());
    let (share, compared) = match record.rollout {
        Rollout::Watching => (100, uncertainty.and_then(|sum| sum.candidate_mean())),
        rollout => (100 - i32::from(rollout.weight_percent()), uncertainty.and_then(|sum| sum.stable_mean())),
    };
    ModelEntry {
        digest: stable.model.digest.to_string(),
        name: stable.model.name.clone(),
        state: RolloutState::Stable,
        step: None,
        weight_percent: share,
        verdict: stable.verdict,
        uncertainty: compared.or(stable.uncertainty).map(decimals),
        reason: reasons::PROMOTED.to_owned(),
        message: Some(stable.message.clone()),
        since: Time(stable.since),
    }
}

/// The model that served before, while the watch may lead back to it.
fn armed_entry(previous: &StableModel, promoted: &TrialRecord) -> ModelEntry {
    let seconds = i64::try_from(promoted.watch_seconds).unwrap_or(i64::MAX);
    let until = promoted
        .since
        .checked_add(SignedDuration::from_secs(seconds))
        .map_or_else(|_| "the watch ends".to_owned(), |until| until.to_string());
    let message = format!(
        "{}: {} took its place; it stays armed until {until} at least: the guards, an abort or its name in the spec \
         lead back to it at once",
        previous.model.name, promoted.model.name
    );
    let mean = promoted.evidence.uncertainty().stable_mean();
    let previous = StableModel { uncertainty: mean.or(previous.uncertainty), ..previous.clone() };
    superseded_entry(&previous, message, promoted.since)
}

/// A model that was trusted, after another took its place.
pub(crate) fn superseded_entry(previous: &StableModel, message: String, since: Timestamp) -> ModelEntry {
    ModelEntry {
        digest: previous.model.digest.to_string(),
        name: previous.model.name.clone(),
        state: RolloutState::Superseded,
        step: None,
        weight_percent: 0,
        verdict: previous.verdict,
        uncertainty: previous.uncertainty.map(decimals),
        reason: reasons::SUPERSEDED.to_owned(),
        message: Some(message),
        since: Time(since),
    }
}

/// The model on trial, or last tried, as this policy sees it.
pub(crate) fn trial_entry(trial: &TrialRecord, seen: &Seen, rollout: Rollout) -> ModelEntry {
    ModelEntry {
        digest: trial.model.digest.to_string(),
        name: trial.model.name.clone(),
        state: rollout.shown(),
        step: step(trial, rollout),
        weight_percent: i32::from(rollout.weight_percent()),
        verdict: verdict(seen, rollout),
        uncertainty: trial.evidence.uncertainty().candidate_mean().map(decimals),
        reason: trial.reason.clone(),
        message: Some(trial.message.clone()),
        since: Time(trial.since),
    }
}

/// What is shown as the verdict: nothing before there can be evidence, Fail where a pod's own guard has spoken.
pub(crate) fn verdict(seen: &Seen, rollout: Rollout) -> Option<Verdict> {
    let tripped = Cause::PodTripped;
    let judged = seen.judgement.as_ref().map(|judgement| shown(judgement.verdict));
    match rollout {
        Rollout::RollingBack { cause } | Rollout::RolledBack { cause } if cause == tripped => {
            Some(Verdict::Fail)
        }
        Rollout::Staging { .. } => None,
        Rollout::Shadow | Rollout::Canary(_) | Rollout::Paused { .. } => {
            Some(judged.unwrap_or(Verdict::Inconclusive))
        }
        _ => judged,
    }
}

pub(crate) const fn shown(verdict: tinydancer_guards::Verdict) -> Verdict {
    match verdict {
        tinydancer_guards::Verdict::Pass => Verdict::Pass,
        tinydancer_guards::Verdict::Fail => Verdict::Fail,
        tinydancer_guards::Verdict::Inconclusive => Verdict::Inconclusive,
    }
}

fn step(trial: &TrialRecord, rollout: Rollout) -> Option<String> {
    let of = |canary: CanaryStep| Some(format!("{}/{}", canary.step + 1, trial.steps.max(canary.step + 1)));
    match rollout {
        Rollout::Canary(canary) | Rollout::Paused { at: Halt::Canary(canary), .. } => of(canary),
        _ => None,
    }
}

fn guards(seen: &Seen) -> Vec<GuardStatus> {
    let Some(judgement) = &seen.judgement else { return Vec::new() };
    judgement
        .guards
        .iter()
        .map(|guard| GuardStatus {
            name: guard.guard.to_string(),
            verdict: shown(guard.verdict),
            estimate: guard.estimate.map_or_else(|| "none".to_owned(), decimals),
            interval: interval(guard),
            limit: decimals(guard.limit),
            log_e_value: decimals(guard.log_e_value),
            fails_at: decimals(guard.log_e_value_to_fail),
            safe_log_e_value: decimals(guard.safe_log_e_value),
            passes_at: decimals(guard.safe_log_e_value_to_pass),
            samples: number(guard.observations),
        })
        .collect()
}

pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
