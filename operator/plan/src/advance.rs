//! Writes a transition into the record.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    conditions::reasons,
    routing_policy::{ModelEntry, RolloutState, TransitionEntry},
};
use tinydancer_guards::ApplicableGuards;
use tinydancer_protocol::AssignedModel;

use crate::{
    explain::decimals,
    record::{
        HISTORY_LIMIT, PAST_LIMIT, QUARANTINE_LIMIT, Quarantine, Record, StableModel, StepClock, TOKEN_LIMIT,
        TrialRecord, push_bounded,
    },
    rollout::{EvidenceBank, PauseReason, Rollout, Transition},
    status,
};

/// What a transition needs to know besides itself.
pub(crate) struct Circumstances<'a> {
    /// The model that a new trial would be about.
    pub(crate) target: Option<&'a AssignedModel>,
    /// The retry annotation.
    pub(crate) token: Option<&'a str>,
    /// The transition for people.
    pub(crate) message: String,
    /// The time.
    pub(crate) now: Timestamp,
}

/// Carries the record over to the transition's state.
pub(crate) fn advance(record: &mut Record, transition: Transition, circumstances: &Circumstances<'_>) {
    let from = record.rollout;
    match transition.to {
        Rollout::Staging { .. } => {
            let Some(target) = circumstances.target else { return };
            begin_trial(record, target, circumstances);
        }
        Rollout::Stable if from == Rollout::Promoting => promote(record, circumstances.now),
        Rollout::Stable => put_aside(record),
        Rollout::RollingBack { cause } => {
            if let Some(trial) = record.trial.as_ref().filter(|_| cause.quarantines()) {
                let entry = Quarantine {
                    digest: trial.model.digest,
                    attempt: trial.attempt,
                    reason: cause.reason().to_owned(),
                    token: circumstances.token.map(str::to_owned),
                };
                record.quarantine.retain(|other| other.digest != entry.digest);
                push_bounded(&mut record.quarantine, entry, QUARANTINE_LIMIT);
            }
            // A token that stood there before cannot have been meant for this.
            spend(record, circumstances.token);
        }
        _ => {}
    }
    record.rollout = transition.to;
    enter(record, from, transition, circumstances);
}

fn begin_trial(record: &mut Record, target: &AssignedModel, circumstances: &Circumstances<'_>) {
    let again = record.trial.as_ref().is_some_and(|trial| trial.model.digest == target.digest);
    if again || record.is_quarantined(target.digest) {
        spend(record, circumstances.token);
    }
    put_aside(record);
    record.quarantine.retain(|entry| entry.digest != target.digest);
    forget(record, target);
    record.attempt = record.attempt.saturating_add(1);
    let guards =
        if record.stable.is_some() { ApplicableGuards::all() } else { ApplicableGuards::first_model() };
    record.trial = Some(TrialRecord {
        model: target.clone(),
        attempt: record.attempt,
        guards,
        margins: record.assignment.configuration.guards,
        evidence: EvidenceBank::default(),
        steps: 0,
        since: circumstances.now,
        reason: String::new(),
        message: String::new(),
        clock: StepClock::started(circumstances.now),
    });
}

fn promote(record: &mut Record, now: Timestamp) {
    let Some(trial) = record.trial.take() else { return };
    forget(record, &trial.model);
    let verdict = status::verdict(&trial, Rollout::Promoting);
    let stable = StableModel {
        attempt: trial.attempt,
        verdict,
        uncertainty: trial.evidence.uncertainty().candidate_mean(),
        pairs: trial.evidence.merged().pairs,
        since: now,
        model: trial.model,
    };
    let replaced = record.stable.replace(stable);
    if let Some(old) = replaced {
        let uncertainty = trial.evidence.uncertainty().stable_mean().or(old.uncertainty);
        let entry = ModelEntry {
            digest: old.model.digest.to_string(),
            name: old.model.name.clone(),
            state: RolloutState::Superseded,
            step: None,
            weight_percent: 0,
            verdict: old.verdict,
            uncertainty: uncertainty.map(decimals),
            reason: reasons::SUPERSEDED.to_owned(),
            message: None,
            since: Time(now),
        };
        push_bounded(&mut record.past, entry, PAST_LIMIT);
        record.previous = Some(old.model);
    }
}

/// Takes the last trial out of the way; what became of its model stays to be seen.
fn put_aside(record: &mut Record) {
    let Some(trial) = record.trial.take() else { return };
    let mean = trial.evidence.uncertainty().stable_mean();
    if let (Some(stable), Some(_)) = (record.stable.as_mut(), mean) {
        stable.uncertainty = mean;
    }
    let entry = status::trial_entry(&trial, record.rollout);
    push_bounded(&mut record.past, entry, PAST_LIMIT);
}

fn forget(record: &mut Record, model: &AssignedModel) {
    let digest = model.digest.to_string();
    record.past.retain(|entry| entry.digest != digest);
}

fn spend(record: &mut Record, token: Option<&str>) {
    if let Some(token) = token.filter(|token| record.is_fresh(token)) {
        push_bounded(&mut record.spent_tokens, token.to_owned(), TOKEN_LIMIT);
    }
}

/// Notes why and when the state was entered.
fn enter(record: &mut Record, from: Rollout, transition: Transition, circumstances: &Circumstances<'_>) {
    let Circumstances { message, now, .. } = circumstances;
    let about = match (&mut record.trial, &record.stable) {
        (Some(trial), _) => {
            if transition.reason == reasons::CONFIGURATION_CHANGED {
                trial.evidence = EvidenceBank::default();
            }
            trial.clock = if keeps_time(from, transition.to) {
                StepClock { until: *now, ..trial.clock }
            } else {
                StepClock::started(*now)
            };
            trial.since = *now;
            // What is rolled back is explained by why, not by the end of it.
            if !matches!(transition.to, Rollout::RolledBack { .. }) {
                transition.reason.clone_into(&mut trial.reason);
                message.clone_into(&mut trial.message);
            }
            Some((trial.model.clone(), trial.attempt))
        }
        (None, Some(stable)) if from == Rollout::Promoting => Some((stable.model.clone(), stable.attempt)),
        (None, _) => None,
    };
    let Some((model, attempt)) = about else { return };
    let entry = TransitionEntry {
        time: Time(*now),
        digest: model.digest.to_string(),
        name: model.name,
        attempt: i64::try_from(attempt).unwrap_or(i64::MAX),
        state: transition.to.shown(),
        reason: transition.reason.to_owned(),
        message: message.clone(),
        evidence: None,
    };
    push_bounded(&mut record.history, entry, HISTORY_LIMIT);
}

/// A pause that is not the deadline's stops the clock and does not set it back.
fn keeps_time(from: Rollout, to: Rollout) -> bool {
    let waits =
        |rollout| matches!(rollout, Rollout::Paused { reason: PauseReason::Policy | PauseReason::Blind, .. });
    waits(to) || (waits(from) && matches!(to, Rollout::Shadow | Rollout::Canary(_)))
}
