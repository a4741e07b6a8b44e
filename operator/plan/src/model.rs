//! The status of a RouterModel: what it is in each policy, and what its artifact is.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tinydancer_crds::{
    RouterModel, RouterModelStatus, RoutingPolicy,
    conditions::{self, Wish, reasons, types},
    router_model::{ArtifactState, PolicyRollout},
    routing_policy::{RolloutState, TransitionEntry},
};

use crate::observed::Artifact;

/// Policies that the list has room for.
const MOST_ROLLOUTS: usize = 32;

/// Derives the whole status; to be written only where it is not equal to the one that stands. `policies` are all
/// policies of the model's namespace, in any order.
pub fn model_status<'policy>(
    model: &RouterModel,
    artifact: &Artifact,
    policies: impl IntoIterator<Item = &'policy RoutingPolicy>,
    now: Timestamp,
) -> RouterModelStatus {
    let policies: Vec<&RoutingPolicy> = policies.into_iter().collect();
    let mut rollouts: Vec<PolicyRollout> =
        policies.iter().filter_map(|policy| rollout(model, policy)).collect();
    rollouts.sort_by(|left, right| (rank(left.state), &left.policy).cmp(&(rank(right.state), &right.policy)));
    let standing = model.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let generation = model.metadata.generation;
    let names_it = |policy: &&&RoutingPolicy| Some(&policy.spec.model.name) == model.metadata.name.as_ref();
    let wishing = policies.iter().filter(names_it).filter_map(|policy| policy.metadata.name.as_deref());
    let wishes = wishes(artifact, &rollouts, &wishing.collect());
    let shown = rollouts.first().cloned();
    let artifact_state = match artifact {
        Artifact::Pending => ArtifactState::Pending,
        Artifact::Verified => ArtifactState::Verified,
        Artifact::Failed { .. } => ArtifactState::Failed,
    };
    let total = i32::try_from(rollouts.len()).unwrap_or(i32::MAX);
    rollouts.truncate(MOST_ROLLOUTS);
    // A list map is compared in its own order.
    rollouts.sort_by(|left, right| left.policy.cmp(&right.policy));
    RouterModelStatus {
        observed_generation: generation,
        conditions: conditions::merge(standing, &wishes, generation, now),
        artifact: Some(artifact_state),
        state: Some(
            shown
                .as_ref()
                .map_or_else(|| format!("{artifact_state:?}"), |shown| format!("{:?}", shown.state)),
        ),
        policy: shown.as_ref().map(|shown| shown.policy.clone()),
        step: shown.as_ref().and_then(|shown| shown.step.clone()),
        weight_percent: shown.as_ref().map(|shown| shown.weight_percent),
        verdict: shown.as_ref().and_then(|shown| shown.verdict),
        uncertainty: shown.and_then(|shown| shown.uncertainty),
        rollouts,
        rollouts_total: total,
    }
}

/// What the model is in a policy: the entries of its digest, because the digest decides and a name may be another's.
fn rollout(model: &RouterModel, policy: &RoutingPolicy) -> Option<PolicyRollout> {
    let status = policy.status.as_ref()?;
    let entry = status.models.iter().find(|entry| entry.digest == model.spec.digest)?;
    let is_its_own = |transition: &&TransitionEntry| transition.digest == model.spec.digest;
    Some(PolicyRollout {
        policy: policy.metadata.name.clone().unwrap_or_default(),
        state: entry.state,
        reason: entry.reason.clone(),
        message: entry.message.clone(),
        history: status.history.iter().filter(is_its_own).cloned().collect(),
        step: entry.step.clone(),
        weight_percent: entry.weight_percent,
        verdict: entry.verdict,
        uncertainty: entry.uncertainty.clone(),
    })
}

/// The fixed order in which states are shown: what moves or needs somebody comes first.
fn rank(state: RolloutState) -> u8 {
    match state {
        RolloutState::RollingBack => 0,
        RolloutState::Paused => 1,
        RolloutState::Promoting => 2,
        RolloutState::Canary => 3,
        RolloutState::Shadow => 4,
        RolloutState::Staging => 5,
        RolloutState::Stable => 6,
        RolloutState::RolledBack => 7,
        RolloutState::Superseded => 8,
    }
}

/// What the policies do with the model, sorted by what matters.
struct Uses<'a> {
    all: &'a [PolicyRollout],
    stable: Vec<&'a PolicyRollout>,
    moving: Option<&'a PolicyRollout>,
    rolled_back: Option<&'a PolicyRollout>,
    /// Rolled back in a policy that still names it: somebody has to act.
    refused: Option<&'a PolicyRollout>,
}

impl<'a> Uses<'a> {
    fn of(all: &'a [PolicyRollout], wishing: &BTreeSet<&str>) -> Self {
        let first = |state| all.iter().find(|rollout| rollout.state == state);
        Self {
            all,
            stable: all.iter().filter(|rollout| rollout.state == RolloutState::Stable).collect(),
            moving: all.iter().find(|rollout| is_moving(rollout.state)),
            rolled_back: first(RolloutState::RolledBack).or_else(|| first(RolloutState::RollingBack)),
            refused: all.iter().find(|rollout| {
                rollout.state == RolloutState::RolledBack && wishing.contains(rollout.policy.as_str())
            }),
        }
    }
}

fn wishes(artifact: &Artifact, rollouts: &[PolicyRollout], wishing: &BTreeSet<&str>) -> Vec<Wish> {
    let uses = Uses::of(rollouts, wishing);
    let verified = verified(artifact);
    let ready = match artifact {
        Artifact::Verified => ready(&uses),
        _ => Wish { type_: types::READY, status: Some(false), ..verified.clone() },
    };
    let stalled = match artifact {
        Artifact::Failed { .. } => Wish { type_: types::STALLED, status: Some(true), ..verified.clone() },
        Artifact::Verified if uses.refused.is_some() && uses.moving.is_none() => {
            Wish { type_: types::STALLED, status: Some(true), ..ready.clone() }
        }
        _ => wish(types::STALLED, Some(false), ready.reason, "nothing is in the way"),
    };
    let reconciling = match (artifact, uses.moving) {
        (Artifact::Pending, _) => Wish { type_: types::RECONCILING, status: Some(true), ..verified.clone() },
        (Artifact::Verified, Some(rollout)) => {
            wish(types::RECONCILING, Some(true), reasons::ROLLOUT_IN_PROGRESS, &told(rollout))
        }
        _ => wish(types::RECONCILING, Some(false), ready.reason, "nothing is under way"),
    };
    vec![ready, verified, promoted(&uses), rolled_back(&uses), reconciling, stalled]
}

fn verified(artifact: &Artifact) -> Wish {
    match artifact {
        Artifact::Pending => {
            wish(types::VERIFIED, None, reasons::ARTIFACT_PENDING, "the artifact is being fetched")
        }
        Artifact::Verified => wish(
            types::VERIFIED,
            Some(true),
            reasons::ARTIFACT_VERIFIED,
            "digest, shape and known answers are as the spec and the artifact say",
        ),
        Artifact::Failed { reason, message } => wish(types::VERIFIED, Some(false), reason, message),
    }
}

fn promoted(uses: &Uses<'_>) -> Wish {
    let (all, stable) = (uses.all.len(), uses.stable.len());
    if all == 0 {
        return wish(types::PROMOTED, Some(false), reasons::NOT_IN_USE, "no policy has tried the model");
    }
    let reason = match uses.moving {
        _ if all == stable => reasons::PROMOTED,
        Some(_) => reasons::ROLLOUT_IN_PROGRESS,
        None => reasons::SETTLED,
    };
    let count = format!("stable in {stable} of {all} policies");
    let message =
        uses.stable.first().map_or_else(|| count.clone(), |first| format!("{count}; {}", told(first)));
    wish(types::PROMOTED, Some(all == stable), reason, &message)
}

fn rolled_back(uses: &Uses<'_>) -> Wish {
    match uses.rolled_back {
        Some(rollout) => wish(types::ROLLED_BACK, Some(true), reasons::ROLLED_BACK, &told(rollout)),
        None => {
            wish(types::ROLLED_BACK, Some(false), reasons::NO_HARM_FOUND, "no policy rolled the model back")
        }
    }
}

fn ready(uses: &Uses<'_>) -> Wish {
    if let Some(rollout) = uses.refused {
        return wish(types::READY, Some(false), reasons::ROLLED_BACK, &told(rollout));
    }
    if let Some(rollout) = uses.moving {
        let message = format!("verified; {}", told(rollout));
        return wish(types::READY, Some(true), reasons::ROLLOUT_IN_PROGRESS, &message);
    }
    match (uses.all.first(), uses.stable.len()) {
        (None, _) => wish(types::READY, Some(true), reasons::NOT_IN_USE, "verified; no policy uses it"),
        // No policy names it any more: its artifact is as good as ever, and nobody has to act.
        (Some(_), 0) if uses.rolled_back.is_some() => {
            let told = uses.rolled_back.map(told).unwrap_or_default();
            wish(types::READY, Some(true), reasons::ROLLED_BACK, &format!("verified; {told}"))
        }
        (Some(rollout), 0) => {
            let message = format!("verified; {}", told(rollout));
            wish(types::READY, Some(true), reasons::SUPERSEDED, &message)
        }
        (Some(_), stable) => {
            let message = format!("the stable model of {stable} policies");
            wish(types::READY, Some(true), reasons::SETTLED, &message)
        }
    }
}

/// One policy's own words: what the model is there, why, and by what numbers.
fn told(rollout: &PolicyRollout) -> String {
    let place = rollout.step.as_ref().map(|step| format!(", step {step}")).unwrap_or_default();
    let what = format!("policy '{}': {:?}{place}, {}", rollout.policy, rollout.state, rollout.reason);
    match &rollout.message {
        Some(message) => format!("{what}: {message}"),
        None => what,
    }
}

fn is_moving(state: RolloutState) -> bool {
    match state {
        RolloutState::Staging
        | RolloutState::Shadow
        | RolloutState::Canary
        | RolloutState::Promoting
        | RolloutState::Paused
        | RolloutState::RollingBack => true,
        RolloutState::Stable | RolloutState::RolledBack | RolloutState::Superseded => false,
    }
}

fn wish(type_: &'static str, status: Option<bool>, reason: &'static str, message: &str) -> Wish {
    Wish { type_, status, reason, message: message.to_owned() }
}
