//! The status: a projection of the record, so that it can be lost.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    RoutingPolicyStatus,
    conditions::reasons,
    routing_policy::{GuardStatus, ModelEntry, ModelIdentity, RolloutState, RolloutStatus, Verdict},
};
use tinydancer_protocol::AssignedModel;

use crate::{
    explain::{decimals, interval},
    record::{Record, StableModel, TrialRecord},
    rollout::{CanaryStep, Cause, Halt, Rollout, judgement},
};

/// Fills in everything that the record says.
pub(crate) fn project(record: &Record, status: &mut RoutingPolicyStatus) {
    status.stable = record.stable.as_ref().map(|stable| identity(&stable.model));
    status.rollout = rollout(record);
    status.models = models(record);
    status.quarantined = record.quarantine.iter().map(|entry| entry.digest.to_string()).collect();
    status.history.clone_from(&record.history);
}

fn identity(model: &AssignedModel) -> ModelIdentity {
    ModelIdentity {
        name: model.name.clone(),
        version: model.version.clone(),
        digest: model.digest.to_string(),
    }
}

fn rollout(record: &Record) -> Option<RolloutStatus> {
    let epoch = number(record.assignment.epoch);
    if let Some(trial) = &record.trial {
        return Some(RolloutStatus {
            model: identity(&trial.model),
            state: record.rollout.shown(),
            reason: trial.reason.clone(),
            message: Some(trial.message.clone()),
            attempt: number(trial.attempt),
            epoch,
            step: step(trial, record.rollout),
            weight_percent: i32::from(record.rollout.weight_percent()),
            verdict: verdict(trial, record.rollout),
            approval: None,
            watch: None,
            sample_ratio: None,
            shape: None,
            pairs: number(trial.evidence.merged().pairs),
            guards: guards(trial),
            since: Time(trial.since),
        });
    }
    record.stable.as_ref().map(|stable| RolloutStatus {
        model: identity(&stable.model),
        state: RolloutState::Stable,
        reason: reasons::PROMOTED.to_owned(),
        message: None,
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

/// Stable first, then the trial, then those that had their turn, newest first.
fn models(record: &Record) -> Vec<ModelEntry> {
    let trial = record.trial.as_ref().map(|trial| trial_entry(trial, record.rollout));
    let stable = record.stable.as_ref().map(|stable| stable_entry(stable, record));
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
    let compared = record.trial.as_ref().and_then(|trial| trial.evidence.uncertainty().stable_mean());
    ModelEntry {
        digest: stable.model.digest.to_string(),
        name: stable.model.name.clone(),
        state: RolloutState::Stable,
        step: None,
        weight_percent: 100 - i32::from(record.rollout.weight_percent()),
        verdict: stable.verdict,
        uncertainty: compared.or(stable.uncertainty).map(decimals),
        reason: reasons::PROMOTED.to_owned(),
        message: None,
        since: Time(stable.since),
    }
}

/// The model on trial, or last tried, as this policy sees it.
pub(crate) fn trial_entry(trial: &TrialRecord, rollout: Rollout) -> ModelEntry {
    ModelEntry {
        digest: trial.model.digest.to_string(),
        name: trial.model.name.clone(),
        state: rollout.shown(),
        step: step(trial, rollout),
        weight_percent: i32::from(rollout.weight_percent()),
        verdict: verdict(trial, rollout),
        uncertainty: trial.evidence.uncertainty().candidate_mean().map(decimals),
        reason: trial.reason.clone(),
        message: Some(trial.message.clone()),
        since: Time(trial.since),
    }
}

/// What is shown as the verdict: nothing before there can be evidence, Fail where a pod's own guard has spoken.
pub(crate) fn verdict(trial: &TrialRecord, rollout: Rollout) -> Option<Verdict> {
    let tripped = Cause::PodTripped;
    match rollout {
        Rollout::RollingBack { cause } | Rollout::RolledBack { cause } if cause == tripped => {
            Some(Verdict::Fail)
        }
        Rollout::Staging { .. } => None,
        Rollout::Shadow | Rollout::Canary(_) | Rollout::Paused { .. } => {
            Some(judgement(trial).map_or(Verdict::Inconclusive, |judgement| shown(judgement.verdict)))
        }
        _ => judgement(trial).map(|judgement| shown(judgement.verdict)),
    }
}

const fn shown(verdict: tinydancer_guards::Verdict) -> Verdict {
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

fn guards(trial: &TrialRecord) -> Vec<GuardStatus> {
    let Some(judgement) = judgement(trial) else { return Vec::new() };
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

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
