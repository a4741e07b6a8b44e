//! The status of a RouterModel: what it is in each policy, and what its artifact is.

use jiff::Timestamp;
use tinydancer_crds::{
    Digest, RouterModelStatus, RoutingPolicyStatus,
    conditions::{Wish, merge, reasons, types},
    router_model::{ArtifactState, PolicyRollout},
    routing_policy::{ModelEntry, RolloutState},
};

use crate::observed::Artifact;

/// Policies that are listed.
const ROLLOUTS_LIMIT: usize = 32;

/// One RouterModel.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// Its digest.
    pub digest: Digest,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether its bytes are what it says.
    pub artifact: Artifact,
    /// The status it has now.
    pub status: RouterModelStatus,
}

/// Derives the whole status; to be written only where it is not equal to the one that stands. `policies` are all
/// policies of the namespace, by name.
pub fn model_status<'a>(
    model: &ModelInput,
    policies: impl IntoIterator<Item = (&'a str, &'a RoutingPolicyStatus)>,
    now: Timestamp,
) -> RouterModelStatus {
    let digest = model.digest.to_string();
    let mut rollouts: Vec<PolicyRollout> = policies
        .into_iter()
        .filter_map(|(policy, status)| {
            status.models.iter().find(|entry| entry.digest == digest).map(|entry| rollout(policy, entry))
        })
        .collect();
    rollouts.sort_by(|left, right| {
        (attention(left.state), &left.policy).cmp(&(attention(right.state), &right.policy))
    });
    let total = rollouts.len();
    let wishes = conditions(model, &rollouts);
    let first = rollouts.first().cloned();
    rollouts.truncate(ROLLOUTS_LIMIT);
    RouterModelStatus {
        observed_generation: Some(model.generation),
        conditions: merge(&model.status.conditions, &wishes, Some(model.generation), now),
        artifact: Some(artifact(&model.artifact)),
        state: Some(first.as_ref().map_or_else(
            || format!("{:?}", artifact(&model.artifact)),
            |rollout| format!("{:?}", rollout.state),
        )),
        policy: first.as_ref().map(|rollout| rollout.policy.clone()),
        step: first.as_ref().and_then(|rollout| rollout.step.clone()),
        weight_percent: first.as_ref().map(|rollout| rollout.weight_percent),
        verdict: first.as_ref().and_then(|rollout| rollout.verdict),
        uncertainty: first.and_then(|rollout| rollout.uncertainty),
        rollouts,
        rollouts_total: i32::try_from(total).unwrap_or(i32::MAX),
    }
}

/// The fixed order in which states are shown: what moves traffic first, then what waits, then what is at rest, harm
/// before health.
const fn attention(state: RolloutState) -> u8 {
    match state {
        RolloutState::RollingBack => 0,
        RolloutState::Promoting => 1,
        RolloutState::Canary => 2,
        RolloutState::Paused => 3,
        RolloutState::Shadow => 4,
        RolloutState::Staging => 5,
        RolloutState::RolledBack => 6,
        RolloutState::Stable => 7,
        RolloutState::Superseded => 8,
    }
}

fn rollout(policy: &str, entry: &ModelEntry) -> PolicyRollout {
    PolicyRollout {
        policy: policy.to_owned(),
        state: entry.state,
        reason: entry.reason.clone(),
        step: entry.step.clone(),
        weight_percent: entry.weight_percent,
        verdict: entry.verdict,
        uncertainty: entry.uncertainty.clone(),
    }
}

const fn artifact(artifact: &Artifact) -> ArtifactState {
    match artifact {
        Artifact::Pending => ArtifactState::Pending,
        Artifact::Verified => ArtifactState::Verified,
        Artifact::Failed { .. } => ArtifactState::Failed,
    }
}

fn conditions(model: &ModelInput, rollouts: &[PolicyRollout]) -> Vec<Wish> {
    let wish =
        |type_, status, (reason, message): (&'static str, String)| Wish { type_, status, reason, message };
    let (verified, artifact) = verified(&model.artifact);
    let rolled_back = policies(rollouts, |state| state == RolloutState::RolledBack);
    let moving = policies(rollouts, |state| attention(state) < attention(RolloutState::RolledBack));
    let back = (reasons::ROLLED_BACK, format!("rolled back in {rolled_back}"));
    let under_way = (reasons::ROLLOUT_IN_PROGRESS, format!("on trial in {moving}"));
    let settled = || (reasons::SETTLED, "nothing is left to do".to_owned());
    let is_back = !rolled_back.is_empty();
    let is_promoted =
        !rollouts.is_empty() && rollouts.iter().all(|rollout| rollout.state == RolloutState::Stable);

    let (ready, why) = match verified {
        Some(true) if is_back => (Some(false), back.clone()),
        other => (Some(other == Some(true)), artifact.clone()),
    };
    let promoted = if is_promoted {
        (reasons::PROMOTED, "stable in every policy that tried it".to_owned())
    } else if rollouts.is_empty() {
        (reasons::NOT_IN_USE, "no policy has tried it".to_owned())
    } else if !moving.is_empty() {
        under_way.clone()
    } else if is_back {
        back.clone()
    } else {
        (reasons::SUPERSEDED, "another model took its place".to_owned())
    };
    let is_stalled = verified == Some(false) || (is_back && moving.is_empty());
    let reconciling = !is_stalled && (verified.is_none() || !moving.is_empty());
    let progress = if verified.is_none() { artifact.clone() } else { under_way };
    let obstacle = if verified == Some(false) { artifact.clone() } else { back.clone() };
    let not_back = || (reasons::NO_HARM_FOUND, "no policy has rolled it back".to_owned());
    vec![
        wish(types::READY, ready, why),
        wish(types::VERIFIED, verified, artifact),
        wish(types::PROMOTED, Some(is_promoted), promoted),
        wish(types::ROLLED_BACK, Some(is_back), if is_back { back } else { not_back() }),
        wish(types::RECONCILING, Some(reconciling), if reconciling { progress } else { settled() }),
        wish(types::STALLED, Some(is_stalled), if is_stalled { obstacle } else { settled() }),
    ]
}

fn verified(artifact: &Artifact) -> (Option<bool>, (&'static str, String)) {
    match artifact {
        Artifact::Pending => (None, (reasons::ARTIFACT_PENDING, "the artifact is being fetched".to_owned())),
        Artifact::Verified => {
            (Some(true), (reasons::ARTIFACT_VERIFIED, "the artifact is what the spec says".to_owned()))
        }
        Artifact::Failed { reason, message } => (Some(false), (reason, message.clone())),
    }
}

/// The policies in such a state, at most five by name.
fn policies(rollouts: &[PolicyRollout], is_such: impl Fn(RolloutState) -> bool) -> String {
    let names: Vec<&str> = rollouts
        .iter()
        .filter(|rollout| is_such(rollout.state))
        .map(|rollout| rollout.policy.as_str())
        .collect();
    let shown = names.len().min(5);
    let rest = names.len() - shown;
    let listed = names.get(..shown).unwrap_or_default().join(", ");
    if rest > 0 { format!("{listed} and {rest} more") } else { listed }
}
