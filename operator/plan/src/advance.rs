//! Writes a transition into the record.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    conditions::reasons,
    routing_policy::{TransitionEntry, TransitionEvidence},
};
use tinydancer_guards::ApplicableGuards;
use tinydancer_protocol::{AssignedModel, EvidencePhase};

use crate::{
    record::{
        HISTORY_LIMIT, PAST_LIMIT, QUARANTINE_LIMIT, Quarantine, Record, StableModel, StepClock, TOKEN_LIMIT,
        TrialRecord, push_bounded,
    },
    rollout::{Cause, EvidenceBank, PauseReason, Rollout, Seen, Transition},
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
    /// The numbers behind it.
    pub(crate) evidence: Option<TransitionEvidence>,
    /// The time.
    pub(crate) now: Timestamp,
}

/// Carries the record over to the transition's state.
pub(crate) fn advance(record: &mut Record, transition: Transition, circumstances: &Circumstances<'_>) {
    let from = record.rollout;
    let before = subject(record);
    match transition.to {
        Rollout::Staging { .. } => {
            let Some(target) = circumstances.target else { return };
            begin_trial(record, target, circumstances);
        }
        Rollout::Stable if from == Rollout::Promoting => {
            promote(record, circumstances);
            record.trial = None;
            retire_previous(record, circumstances.now);
        }
        Rollout::Stable if from == Rollout::Watching => end_watch(record, circumstances.now),
        Rollout::Stable => put_aside(record),
        Rollout::Watching if from == Rollout::Promoting => {
            promote(record, circumstances);
            begin_watch(record);
        }
        Rollout::RollingBack { cause } => {
            if from == Rollout::Watching {
                record.stable = record.previous.take();
            }
            condemn(record, cause, circumstances.token);
        }
        Rollout::Shadow
        | Rollout::Canary(_)
        | Rollout::Promoting
        | Rollout::Watching
        | Rollout::Paused { .. }
        | Rollout::RolledBack { .. }
        | Rollout::Superseded => {}
    }
    record.rollout = transition.to;
    enter(record, from, transition, circumstances);
    note(record, before, transition, circumstances);
}

/// Whom a transition is about.
fn subject(record: &Record) -> Option<(AssignedModel, u64)> {
    record.trial.as_ref().map(|trial| (trial.model.clone(), trial.attempt))
}

/// Keeps a digest that was rolled back for cause from being tried again.
fn condemn(record: &mut Record, cause: Cause, token: Option<&str>) {
    if let Some(trial) = record.trial.as_ref().filter(|_| cause.quarantines()) {
        let entry = Quarantine {
            digest: trial.model.digest,
            attempt: trial.attempt,
            reason: cause.reason().to_owned(),
            token: token.map(str::to_owned),
        };
        record.quarantine.retain(|other| other.digest != entry.digest);
        push_bounded(&mut record.quarantine, entry, QUARANTINE_LIMIT);
    }
    // A token that stood there before cannot have been meant for this.
    spend(record, token);
}

fn begin_trial(record: &mut Record, target: &AssignedModel, circumstances: &Circumstances<'_>) {
    let again = record.trial.as_ref().is_some_and(|trial| trial.model.digest == target.digest);
    if again || record.is_quarantined(target.digest) {
        spend(record, circumstances.token);
    }
    if record.rollout == Rollout::Watching {
        end_watch(record, circumstances.now);
    } else {
        put_aside(record);
    }
    record.quarantine.retain(|entry| entry.digest != target.digest);
    forget(record, target);
    record.attempt = record.attempt.saturating_add(1);
    let guards =
        if record.stable.is_some() { ApplicableGuards::all() } else { ApplicableGuards::first_model() };
    let guards = record.with_labels(guards);
    record.trial = Some(TrialRecord {
        model: target.clone(),
        attempt: record.attempt,
        phase: EvidencePhase::Trial,
        guards,
        margins: record.assignment.configuration.guards,
        evidence: EvidenceBank::default(),
        steps: 0,
        watch_seconds: 0,
        since: circumstances.now,
        reason: String::new(),
        message: String::new(),
        clock: StepClock::started(circumstances.now),
    });
}

/// Trusts the model on trial; the one that was trusted becomes the previous one.
fn promote(record: &mut Record, circumstances: &Circumstances<'_>) {
    let Some(trial) = record.trial.clone() else { return };
    forget(record, &trial.model);
    let (uncertainty, seen) = (trial.evidence.uncertainty(), Seen::of(&trial));
    let stable = StableModel {
        attempt: trial.attempt,
        verdict: status::verdict(&seen, Rollout::Promoting),
        uncertainty: uncertainty.candidate_mean(),
        pairs: seen.evidence.pairs,
        since: circumstances.now,
        message: circumstances.message.clone(),
        model: trial.model,
    };
    record.previous = record
        .stable
        .replace(stable)
        .map(|old| StableModel { uncertainty: uncertainty.stable_mean().or(old.uncertainty), ..old });
}

/// The second test of the attempt begins, with evidence of its own.
fn begin_watch(record: &mut Record) {
    let guards = record.with_labels(ApplicableGuards::watch());
    let Some(trial) = record.trial.as_mut() else { return };
    trial.phase = EvidencePhase::Watch;
    trial.guards = guards;
    trial.evidence = EvidenceBank::default();
}

/// Lets the model go that served before; the promoted one is trusted without reserve.
fn end_watch(record: &mut Record, now: Timestamp) {
    let mean = record.trial.take().and_then(|trial| trial.evidence.uncertainty().candidate_mean());
    if let (Some(stable), Some(_)) = (record.stable.as_mut(), mean) {
        stable.uncertainty = mean;
    }
    retire_previous(record, now);
}

/// What became of the model that was trusted before stays to be seen.
fn retire_previous(record: &mut Record, now: Timestamp) {
    let Some(previous) = &record.previous else { return };
    let successor = record.stable.as_ref().map_or("another model", |stable| stable.model.name.as_str());
    let message = format!("{}: {successor} took its place", previous.model.name);
    let entry = status::superseded_entry(previous, message, now);
    push_bounded(&mut record.past, entry, PAST_LIMIT);
}

/// Takes the last trial out of the way; what became of its model stays to be seen.
fn put_aside(record: &mut Record) {
    let Some(trial) = record.trial.take() else { return };
    let mean = trial.evidence.uncertainty().stable_mean();
    if let (Some(stable), Some(_)) = (record.stable.as_mut(), mean) {
        stable.uncertainty = mean;
    }
    let entry = status::trial_entry(&trial, &Seen::of(&trial), record.rollout);
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
    let Some(trial) = record.trial.as_mut() else { return };
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
}

/// Writes the transition into the history of the model that it is about.
fn note(
    record: &mut Record,
    before: Option<(AssignedModel, u64)>,
    transition: Transition,
    circumstances: &Circumstances<'_>,
) {
    let Some((model, attempt)) = subject(record).or(before) else { return };
    let entry = TransitionEntry {
        time: Time(circumstances.now),
        digest: model.digest.to_string(),
        name: model.name,
        attempt: i64::try_from(attempt).unwrap_or(i64::MAX),
        state: transition.to.shown(),
        reason: transition.reason.to_owned(),
        message: circumstances.message.clone(),
        evidence: circumstances.evidence.clone(),
    };
    push_bounded(&mut record.history, entry, HISTORY_LIMIT);
}

/// A pause that is not the deadline's stops the clock and does not set it back.
fn keeps_time(from: Rollout, to: Rollout) -> bool {
    let waits = |rollout| match rollout {
        Rollout::Paused { reason, .. } => reason != PauseReason::InsufficientData,
        _ => false,
    };
    waits(to) || (waits(from) && matches!(to, Rollout::Shadow | Rollout::Canary(_)))
}
