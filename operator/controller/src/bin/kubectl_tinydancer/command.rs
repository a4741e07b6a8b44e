//! From what a policy says to the patch that a command makes of it. Pure.

use serde_json::{Value, json};
use tinydancer_crds::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION, RoutingPolicy,
    conditions::{reasons, types},
    routing_policy::{RolloutState, RolloutStatus},
};

/// What people may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Out of traffic, and into quarantine.
    Abort,
    /// Stable without more evidence.
    Promote,
    /// On to the next step.
    Approve,
    /// Another trial of a model that was rolled back.
    Retry,
    /// No growth.
    Pause,
    /// Growth.
    Resume,
}

/// What follows from a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Change the policy, and say this.
    Change {
        /// The changes as a merge patch, without the version.
        patch: Value,
        /// What was done.
        done: String,
    },
    /// It was asked for already: say so.
    Nothing(String),
}

/// Why a command makes no sense now, and what does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The operator has not looked at the policy.
    #[error("the operator has said nothing of policy '{0}' yet: look whether it runs")]
    Unseen(String),
    /// There is no trial.
    #[error("nothing is on trial: '{model}' is {state:?} ({reason}); {hint}")]
    NoTrial { model: String, state: RolloutState, reason: String, hint: &'static str },
    /// The model has not proven yet that every pod can run it.
    #[error("'{0}' is Staging: it can be promoted when every pod has loaded and tested it")]
    Staging(String),
    /// Of two commands the one that lowers exposure wins.
    #[error("attempt {0} was aborted, and an abort is not taken back: wait for its end, then retry")]
    Aborted(i64),
    /// No step waits.
    #[error("no step waits for approval: '{model}' is {state:?} ({reason})")]
    NotAwaited { model: String, state: RolloutState, reason: String },
    /// The model wished for was not rolled back.
    #[error("'{wished}', which the policy names, was not rolled back here: there is nothing to try again")]
    NotRolledBack { wished: String },
}

/// What the command makes of the policy as it is.
pub(crate) fn decide(command: Command, policy: &RoutingPolicy) -> Result<Decision, Refusal> {
    match command {
        Command::Pause | Command::Resume => Ok(growth(policy, command == Command::Pause)),
        _ => {
            let rollout = policy.status.as_ref().and_then(|status| status.rollout.as_ref());
            let rollout = rollout.ok_or_else(|| Refusal::Unseen(name(policy)))?;
            match command {
                Command::Abort => abort(policy, rollout),
                Command::Promote => promote(policy, rollout),
                Command::Approve => approve(policy, rollout),
                _ => retry(policy, rollout),
            }
        }
    }
}

fn abort(policy: &RoutingPolicy, rollout: &RolloutStatus) -> Result<Decision, Refusal> {
    let (model, attempt) = (&rollout.model.name, rollout.attempt.to_string());
    match rollout.state {
        state if is_under_way(state) => {}
        RolloutState::Stable if rollout.watch.is_some() => {}
        RolloutState::RollingBack => {
            return Ok(Decision::Nothing(format!(
                "'{model}' is being rolled back already ({})",
                rollout.reason
            )));
        }
        RolloutState::Stable => {
            return Err(no_trial(rollout, "to go back to another model, name it in `spec.model`"));
        }
        RolloutState::RolledBack if is_asked(policy, ABORT_ANNOTATION, &attempt) => {
            return Ok(Decision::Nothing(format!("'{model}' was aborted already: no pod serves it")));
        }
        _ => return Err(no_trial(rollout, "no pod serves it")),
    }
    let done = match &rollout.watch {
        Some(watch) => format!("'{}' serves again in place of '{model}'", watch.previous.name),
        None => format!("'{model}' is taken out of traffic and not tried again without a retry"),
    };
    Ok(ask(policy, ABORT_ANNOTATION, &attempt, &done))
}

fn promote(policy: &RoutingPolicy, rollout: &RolloutStatus) -> Result<Decision, Refusal> {
    let model = &rollout.model.name;
    match rollout.state {
        RolloutState::Shadow | RolloutState::Canary | RolloutState::Paused => {}
        RolloutState::Staging => return Err(Refusal::Staging(model.clone())),
        RolloutState::Promoting => {
            return Ok(Decision::Nothing(format!("'{model}' is becoming the stable model already")));
        }
        RolloutState::Stable => {
            return Ok(Decision::Nothing(format!("'{model}' is the stable model already")));
        }
        RolloutState::RollingBack | RolloutState::RolledBack | RolloutState::Superseded => {
            return Err(no_trial(rollout, "kubectl tinydancer retry starts another trial"));
        }
    }
    let attempt = rollout.attempt.to_string();
    if is_asked(policy, ABORT_ANNOTATION, &attempt) {
        return Err(Refusal::Aborted(rollout.attempt));
    }
    let done = format!("'{model}' becomes the stable model on every pod without more evidence; guards go on");
    Ok(ask(policy, PROMOTE_ANNOTATION, &attempt, &done))
}

fn approve(policy: &RoutingPolicy, rollout: &RolloutStatus) -> Result<Decision, Refusal> {
    let Some(approval) = &rollout.approval else {
        let before = annotation(policy, APPROVE_ANNOTATION);
        if let Some(before) = before.filter(|value| value.starts_with(&format!("{}/", rollout.attempt))) {
            return Ok(Decision::Nothing(format!(
                "{before} was approved already, and no other step waits for it"
            )));
        }
        return Err(Refusal::NotAwaited {
            model: rollout.model.name.clone(),
            state: rollout.state,
            reason: rollout.reason.clone(),
        });
    };
    let done = match approval.split_once('/') {
        Some((_, "promote")) | None => format!("'{}' becomes the stable model", rollout.model.name),
        Some((_, step)) => format!("'{}' goes on to step {step}", rollout.model.name),
    };
    let done = format!("{done} if its evidence still allows it");
    Ok(ask(policy, APPROVE_ANNOTATION, approval, &done))
}

fn retry(policy: &RoutingPolicy, rollout: &RolloutStatus) -> Result<Decision, Refusal> {
    let wished = &policy.spec.model.name;
    if rollout.model.name == *wished && is_under_way(rollout.state) {
        let (attempt, state) = (rollout.attempt, rollout.state);
        return Ok(Decision::Nothing(format!(
            "'{wished}' is being tried already: attempt {attempt}, {state:?}"
        )));
    }
    let is_rolled_back = rollout.state == RolloutState::RolledBack && rollout.model.name == *wished;
    if !is_rolled_back && !is_quarantined(policy) {
        return Err(Refusal::NotRolledBack { wished: wished.clone() });
    }
    // Every trial raises the epoch, so the token is fresh, and asking twice asks for one trial.
    let token = format!("epoch-{}", rollout.epoch);
    Ok(ask(policy, RETRY_ANNOTATION, &token, &format!("'{wished}' is tried again from the start")))
}

fn growth(policy: &RoutingPolicy, paused: bool) -> Decision {
    let name = name(policy);
    if policy.spec.paused == paused {
        let text = if paused { "is paused already" } else { "is not paused" };
        return Decision::Nothing(format!("policy '{name}' {text}"));
    }
    let effect = if paused { "exposure grows no more; guards go on" } else { "exposure may grow again" };
    let owner = match owner_of_paused(policy) {
        Some(manager) => format!("the field belongs to '{manager}', which may set it back"),
        None => "where Git or another tool applies this policy, it may set the field back".to_owned(),
    };
    Decision::Change {
        patch: json!({ "spec": { "paused": paused } }),
        done: format!(
            "policy '{name}': {effect}\nwarning: {owner}: change `spec.paused` there too, or use abort, promote and \
             approve, which no tool owns"
        ),
    }
}

/// The annotation that asks for it, if it does not stand there yet.
fn ask(policy: &RoutingPolicy, key: &str, value: &str, done: &str) -> Decision {
    if is_asked(policy, key, value) {
        return Decision::Nothing(format!(
            "asked for already ({key}={value}): the operator takes it up with its next look"
        ));
    }
    Decision::Change {
        patch: json!({ "metadata": { "annotations": { key: value } } }),
        done: format!("policy '{}': {done}\nasked for by {key}={value}", name(policy)),
    }
}

fn no_trial(rollout: &RolloutStatus, hint: &'static str) -> Refusal {
    Refusal::NoTrial {
        model: rollout.model.name.clone(),
        state: rollout.state,
        reason: rollout.reason.clone(),
        hint,
    }
}

fn is_quarantined(policy: &RoutingPolicy) -> bool {
    let conditions = policy.status.iter().flat_map(|status| &status.conditions);
    let mut stalled = conditions.filter(|condition| condition.type_ == types::STALLED);
    stalled.any(|condition| condition.status == "True" && condition.reason == reasons::QUARANTINED)
}

/// Who applies `spec.paused`, where that is somebody else than people with this program.
fn owner_of_paused(policy: &RoutingPolicy) -> Option<&String> {
    let owners = policy.metadata.managed_fields.iter().flatten();
    let mut owners = owners.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:paused").is_some())
    });
    owners.find_map(|entry| entry.manager.as_ref().filter(|manager| *manager != crate::change::MANAGER))
}

fn is_under_way(state: RolloutState) -> bool {
    match state {
        RolloutState::Staging
        | RolloutState::Shadow
        | RolloutState::Canary
        | RolloutState::Paused
        | RolloutState::Promoting => true,
        RolloutState::Stable
        | RolloutState::RollingBack
        | RolloutState::RolledBack
        | RolloutState::Superseded => false,
    }
}

fn is_asked(policy: &RoutingPolicy, key: &str, value: &str) -> bool {
    annotation(policy, key).is_some_and(|standing| standing == value)
}

fn annotation<'a>(policy: &'a RoutingPolicy, key: &str) -> Option<&'a String> {
    policy.metadata.annotations.as_ref()?.get(key)
}

fn name(policy: &RoutingPolicy) -> String {
    policy.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
