//! Condition types and reasons, each a constant, documented in docs/reference/conditions.md.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// Condition types.
pub mod types {
    /// The object does what its spec asks; of a policy it speaks of the stable fleet only.
    pub const READY: &str = "Ready";
    /// Work towards the spec is under way (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Work cannot go on until somebody changes something (kstatus).
    pub const STALLED: &str = "Stalled";
    /// The models that the policy names exist, are verified and trusted.
    pub const MODEL_RESOLVED: &str = "ModelResolved";
    /// As many router pods as asked are ready.
    pub const FLEET_AVAILABLE: &str = "FleetAvailable";
    /// The model on trial shows no harm.
    pub const CANDIDATE_HEALTHY: &str = "CandidateHealthy";
    /// The threshold on the score is kept by audited requests; only where there are audits and a promise.
    pub const ONLINE_CALIBRATION: &str = "OnlineCalibration";
    /// Requests look as they did where the stable model was trained; only where its artifact says how that was.
    pub const INPUTS_AS_TRAINED: &str = "InputsAsTrained";
    /// The artifact was fetched and is what the spec says.
    pub const VERIFIED: &str = "Verified";
    /// Every policy that tried this model has promoted it.
    pub const PROMOTED: &str = "Promoted";
    /// A policy has rolled this model back.
    pub const ROLLED_BACK: &str = "RolledBack";

    /// Every type, for the documentation test.
    pub const ALL: &[&str] = &[
        READY,
        RECONCILING,
        STALLED,
        MODEL_RESOLVED,
        FLEET_AVAILABLE,
        CANDIDATE_HEALTHY,
        ONLINE_CALIBRATION,
        INPUTS_AS_TRAINED,
        VERIFIED,
        PROMOTED,
        ROLLED_BACK,
    ];
}

/// Reasons of conditions and events.
pub mod reasons {
    macro_rules! reasons {
        ($($(#[$doc:meta])* $constant:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $constant: &str = $text;)*
            /// Every reason, for the documentation test.
            pub const ALL: &[&str] = &[$($text),*];
        };
    }
    reasons! {
        /// Everything asked for is there.
        SETTLED = "Settled";
        /// A trial is under way.
        ROLLOUT_IN_PROGRESS = "RolloutInProgress";
        /// Router pods are starting or being replaced.
        FLEET_PROGRESSING = "FleetProgressing";
        /// A field of the spec is wrong although the schema took it.
        INVALID_SPEC = "InvalidSpec";
        /// The RouterModel named does not exist.
        MODEL_NOT_FOUND = "ModelNotFound";
        /// The RouterModel named was deleted while a fleet uses its digest.
        MODEL_DELETED_IN_USE = "ModelDeletedInUse";
        /// The bytes fetched do not have the digest the spec names.
        DIGEST_MISMATCH = "DigestMismatch";
        /// The artifact could not be fetched.
        FETCH_FAILED = "FetchFailed";
        /// The artifact was fetched but a loader refuses it.
        ARTIFACT_INVALID = "ArtifactInvalid";
        /// The signature does not fit the digest, version and key.
        SIGNATURE_INVALID = "SignatureInvalid";
        /// The policy requires a signature and the model has none.
        SIGNATURE_MISSING = "SignatureMissing";
        /// The model is signed with a key the policy does not trust or that cannot be read.
        UNKNOWN_KEY = "UnknownKey";
        /// No candidate serves one of the two tiers.
        NO_CANDIDATE_OF_TIER = "NoCandidateOfTier";
        /// The secret with an upstream's key does not exist or lacks the key.
        API_KEY_NOT_FOUND = "ApiKeyNotFound";
        /// An object of a name the fleet needs belongs to somebody else.
        NAME_TAKEN = "NameTaken";
        /// The rollout record exists and cannot be read: nothing is changed.
        RECORD_UNREADABLE = "RecordUnreadable";
        /// The digest was rolled back before and needs a retry token.
        QUARANTINED = "Quarantined";
        /// The artifact is what the spec says.
        ARTIFACT_VERIFIED = "ArtifactVerified";
        /// The artifact has not been looked at yet.
        ARTIFACT_PENDING = "ArtifactPending";
        /// No policy uses the model.
        NOT_IN_USE = "NotInUse";
        /// No model serves; everything goes to the Powerful tier.
        POWERFUL_ONLY = "PowerfulOnly";
        /// A trial began: the artifact is handed to every pod.
        TRIAL_STARTED = "TrialStarted";
        /// Every pod loaded and tested the candidate; it is scored in the shadow of the stable model.
        SHADOW_STARTED = "ShadowStarted";
        /// The candidate takes its first or a larger share of traffic.
        CANARY_STEP_STARTED = "CanaryStepStarted";
        /// The last step passed; the candidate becomes stable on every pod.
        PROMOTING = "Promoting";
        /// The candidate is the stable model on every pod.
        PROMOTED = "Promoted";
        /// A guard crossed its limit.
        GUARD_CROSSED = "GuardCrossed";
        /// A pod tripped the candidate by itself.
        POD_TRIPPED = "PodTripped";
        /// Somebody aborted the trial.
        ABORTED = "Aborted";
        /// The step did not finish in time and the policy asks for a roll-back.
        DEADLINE_EXCEEDED = "DeadlineExceeded";
        /// A pod refused the candidate.
        CANDIDATE_REFUSED = "CandidateRefused";
        /// No pod serves the candidate any more.
        ROLLED_BACK = "RolledBack";
        /// Another model was wished for while this one was on trial.
        SUPERSEDED = "Superseded";
        /// No pod has the superseded candidate any more: the next trial may begin.
        RELEASED = "Released";
        /// The spec names the stable model again: the trial ends without quarantine.
        REVERTED = "Reverted";
        /// The configuration changed during the trial; the evidence starts again.
        CONFIGURATION_CHANGED = "ConfigurationChanged";
        /// Growth of exposure is stopped by the policy.
        PAUSED = "Paused";
        /// No evidence arrived for too long; the candidate waits without traffic.
        BLIND = "Blind";
        /// The step's deadline passed without a verdict; the candidate waits without traffic.
        INSUFFICIENT_DATA = "InsufficientData";
        /// Growth of exposure goes on.
        RESUMED = "Resumed";
        /// The next step is allowed by the evidence and waits for somebody to approve it.
        AWAITING_APPROVAL = "AwaitingApproval";
        /// Somebody approved the next step.
        APPROVED = "Approved";
        /// The watch after promotion is over: the model that served before is let go.
        WATCH_ENDED = "WatchEnded";
        /// Requests are not split between the arms as the weight says: the trial holds.
        SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch";
        /// Somebody promoted the candidate by hand.
        PROMOTED_BY_HAND = "PromotedByHand";
        /// A pod's history cannot be written.
        HISTORY_DEGRADED = "HistoryDegraded";
        /// No harm was found so far.
        NO_HARM_FOUND = "NoHarmFound";
        /// Too few requests were audited: the threshold is the artifact's.
        COLLECTING = "Collecting";
        /// The threshold is the largest by which audited requests keep the promise.
        CALIBRATED = "Calibrated";
        /// The threshold stands while a model is on trial or watched.
        FROZEN = "Frozen";
        /// No threshold keeps the promise on audited requests: everything goes to the Powerful tier.
        PROMISE_UNMET = "PromiseUnmet";
        /// Requests do not look as they did where the model was trained.
        DRIFTED = "Drifted";
        /// Nothing speaks against requests looking as they did where the model was trained.
        NO_DRIFT_FOUND = "NoDriftFound";
    }
}

/// One condition as the operator wishes it; the transition time is filled in by [`merge`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Wish {
    /// One of [`types`].
    pub type_: &'static str,
    /// `Some(true)` is True, `Some(false)` is False, `None` is Unknown.
    pub status: Option<bool>,
    /// One of [`reasons`].
    pub reason: &'static str,
    /// For people: what is so, and what to do about it.
    pub message: String,
}

/// Folds wishes into the conditions that stand: a transition time moves only where the status changes, and types
/// that are not wished for any more go.
pub fn merge(
    standing: &[Condition],
    wishes: &[Wish],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    wishes
        .iter()
        .map(|wish| {
            let status = match wish.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let since = standing
                .iter()
                .find(|condition| condition.type_ == wish.type_ && condition.status == status)
                .map_or(Time(now), |condition| condition.last_transition_time.clone());
            Condition {
                type_: wish.type_.to_owned(),
                status: status.to_owned(),
                reason: wish.reason.to_owned(),
                message: wish.message.clone(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(status: Option<bool>, message: &str) -> Wish {
        Wish { type_: types::READY, status, reason: reasons::SETTLED, message: message.into() }
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let first = merge(&[], &[wish(Some(true), "a")], Some(1), Timestamp::UNIX_EPOCH);
        let later: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let same = merge(&first, &[wish(Some(true), "b")], Some(2), later);
        assert_eq!(same[0].last_transition_time, first[0].last_transition_time);
        assert_eq!(same[0].message, "b");
        let changed = merge(&same, &[wish(None, "c")], Some(2), later);
        assert_eq!(changed[0].status, "Unknown");
        assert_eq!(changed[0].last_transition_time, Time(later));
    }
}
