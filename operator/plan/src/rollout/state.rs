//! Where a trial can be, with everything that only that state has.

use serde::{Deserialize, Serialize};
use tinydancer_crds::{conditions::reasons, routing_policy::RolloutState, valid::ApprovedStep};
use tinydancer_guards::BasisPoints;
use tinydancer_protocol::TrialStage;

/// Where the rollout of a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state")]
pub enum Rollout {
    /// No trial; the stable model, if there is one, decides everything.
    Stable,
    /// Every pod fetches, verifies and tests the model.
    Staging {
        /// Whether the spec vouches for it: then it is trusted once every pod has it.
        trusted: bool,
    },
    /// Scored on every request, deciding none.
    Shadow,
    /// Deciding a share of the requests.
    Canary(CanaryStep),
    /// Becoming the stable model on every pod.
    Promoting,
    /// The stable model on every pod; the one that served before is still loaded and scored, and the guards lead back to it.
    Watching,
    /// Waiting without growing.
    Paused {
        /// For what.
        reason: PauseReason,
        /// Where it goes on.
        at: Halt,
    },
    /// Being taken out of traffic for this cause.
    RollingBack {
        /// Why.
        cause: Cause,
    },
    /// Out of traffic everywhere.
    RolledBack {
        /// Why.
        cause: Cause,
    },
    /// Being taken out of traffic because another model is wished for.
    Superseded,
}

/// One step of a canary. The weight is fixed when the step begins: later changes of the spec act from the next step on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CanaryStep {
    /// Index of the step, from 0.
    pub step: u32,
    /// Percent of the requests.
    pub weight: u8,
}

/// Where a paused trial goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Halt {
    /// In the shadow.
    Shadow,
    /// In this step.
    Canary(CanaryStep),
}

/// What a paused trial waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PauseReason {
    /// For `spec.paused` to go; keeps the weight it has.
    Policy,
    /// For somebody to approve what comes next; keeps the weight it has.
    AwaitingApproval,
    /// For any pod to report; without weight.
    Blind,
    /// For enough harmless evidence; without weight.
    InsufficientData,
}

/// Why a candidate is taken out of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A guard crossed its limit.
    GuardCrossed,
    /// A pod tripped it by itself.
    PodTripped,
    /// A pod refuses to load it.
    CandidateRefused,
    /// Somebody asked for it.
    Aborted,
    /// The spec names the stable model again; in the watch, the one that served before.
    Reverted,
    /// A step took too long and the policy asks for it.
    DeadlineExceeded,
}

impl Cause {
    /// The reason shown in conditions and events.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GuardCrossed => reasons::GUARD_CROSSED,
            Self::PodTripped => reasons::POD_TRIPPED,
            Self::CandidateRefused => reasons::CANDIDATE_REFUSED,
            Self::Aborted => reasons::ABORTED,
            Self::Reverted => reasons::REVERTED,
            Self::DeadlineExceeded => reasons::DEADLINE_EXCEEDED,
        }
    }

    /// Whether the digest then needs a retry token to be tried again. A revert is no judgement, and slowness is no
    /// harm.
    pub const fn quarantines(self) -> bool {
        match self {
            Self::GuardCrossed | Self::PodTripped | Self::CandidateRefused | Self::Aborted => true,
            Self::Reverted | Self::DeadlineExceeded => false,
        }
    }
}

impl PauseReason {
    /// Whether the candidate keeps the share it has: nothing speaks against it.
    pub const fn keeps_weight(self) -> bool {
        match self {
            Self::Policy | Self::AwaitingApproval => true,
            Self::Blind | Self::InsufficientData => false,
        }
    }

    /// The reason shown in conditions and events.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Policy => reasons::PAUSED,
            Self::AwaitingApproval => reasons::AWAITING_APPROVAL,
            Self::Blind => reasons::BLIND,
            Self::InsufficientData => reasons::INSUFFICIENT_DATA,
        }
    }
}

impl Halt {
    /// The state in which the trial goes on.
    pub const fn resumed(self) -> Rollout {
        match self {
            Self::Shadow => Rollout::Shadow,
            Self::Canary(step) => Rollout::Canary(step),
        }
    }

    /// What somebody has to approve for exposure to grow from here, in a trial of so many steps.
    pub(crate) fn to_approve(self, attempt: u64, steps: u32) -> ApprovedStep {
        let next = self.next_step();
        ApprovedStep { attempt, step: (next < steps).then_some(next) }
    }

    /// Index of the canary step that comes next.
    pub const fn next_step(self) -> u32 {
        match self {
            Self::Shadow => 0,
            Self::Canary(current) => current.step.saturating_add(1),
        }
    }
}

impl Rollout {
    /// The state as it is shown: in the watch the model is the trusted one.
    pub const fn shown(self) -> RolloutState {
        match self {
            Self::Stable | Self::Watching => RolloutState::Stable,
            Self::Staging { .. } => RolloutState::Staging,
            Self::Shadow => RolloutState::Shadow,
            Self::Canary(_) => RolloutState::Canary,
            Self::Promoting => RolloutState::Promoting,
            Self::Paused { .. } => RolloutState::Paused,
            Self::RollingBack { .. } => RolloutState::RollingBack,
            Self::RolledBack { .. } => RolloutState::RolledBack,
            Self::Superseded => RolloutState::Superseded,
        }
    }

    /// Whether a trial is under way: the pod template waits, and the policy is reconciling.
    pub const fn is_under_way(self) -> bool {
        !matches!(self, Self::Stable | Self::Watching | Self::RolledBack { .. })
    }

    /// Whether pods are asked at the short interval, because what they say may move the rollout.
    pub const fn is_followed(self) -> bool {
        !matches!(self, Self::Stable | Self::RolledBack { .. })
    }

    /// Where the trial is or goes on, in the states in which its exposure can grow.
    pub const fn halt(self) -> Option<Halt> {
        match self {
            Self::Shadow => Some(Halt::Shadow),
            Self::Canary(step) => Some(Halt::Canary(step)),
            Self::Paused { at, .. } => Some(at),
            Self::Stable
            | Self::Staging { .. }
            | Self::Promoting
            | Self::Watching
            | Self::RollingBack { .. }
            | Self::RolledBack { .. }
            | Self::Superseded => None,
        }
    }

    /// The canary step whose share the candidate decides.
    const fn live_step(self) -> Option<CanaryStep> {
        match self {
            Self::Canary(step) => Some(step),
            Self::Paused { reason, at: Halt::Canary(step) } if reason.keeps_weight() => Some(step),
            _ => None,
        }
    }

    /// What pods do with the candidate, and the share it decides; `None` where they are told nothing of it.
    pub const fn exposure(self) -> Option<(TrialStage, BasisPoints)> {
        if let Some(step) = self.live_step() {
            return Some((TrialStage::Canary, BasisPoints::from_percent(step.weight)));
        }
        match self {
            Self::Staging { .. } => Some((TrialStage::Staging, BasisPoints::ZERO)),
            Self::Shadow | Self::Canary(_) | Self::Paused { .. } => {
                Some((TrialStage::Shadow, BasisPoints::ZERO))
            }
            Self::Stable
            | Self::Promoting
            | Self::Watching
            | Self::RollingBack { .. }
            | Self::RolledBack { .. }
            | Self::Superseded => None,
        }
    }

    /// Percent of the requests that the model on trial, promoted or watched decides.
    pub const fn weight_percent(self) -> u8 {
        match (self, self.live_step()) {
            (_, Some(step)) => step.weight,
            (Self::Promoting | Self::Watching, None) => 100,
            _ => 0,
        }
    }
}
