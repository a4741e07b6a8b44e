//! What the operator tells a router.

use serde::{Deserialize, Serialize};
use tinydancer_crds::{Configuration, Digest};
use tinydancer_guards::{ApplicableGuards, BasisPoints};

use crate::{OnlineCalibration, PROTOCOL_VERSION};

/// Everything a router is to do, whole; there are no partial assignments.
///
/// The same message is the boot file in a fleet's ConfigMap, then without a trial: a pod boots with the stable
/// model only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// [`PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// The policy that this fleet belongs to.
    pub policy: PolicyIdentity,
    /// Number of this assignment; every change of content comes with a larger one.
    pub epoch: u64,
    /// Candidates, decision, breaker and guard margins.
    pub configuration: Configuration,
    /// The model that is trusted; without one everything goes to the Powerful tier.
    pub stable: Option<AssignedModel>,
    /// The model on trial.
    pub trial: Option<Trial>,
    /// The watch over a stable model that was promoted lately; never beside a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// The stable model's threshold, where audits have found one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<OnlineCalibration>,
}

/// A policy beyond doubt: the uid tells a deleted policy from its successor of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyIdentity {
    /// Namespace of the policy.
    pub namespace: String,
    /// Name of the policy.
    pub name: String,
    /// Kubernetes uid of the policy.
    pub uid: String,
}

/// A model by digest; name and version are for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedModel {
    /// Name of the RouterModel.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub digest: Digest,
}

/// A model on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The candidate.
    pub model: AssignedModel,
    /// Number of the trial in this policy.
    pub attempt: u64,
    /// What the router does with the candidate.
    pub stage: TrialStage,
    /// Share of requests the candidate decides; zero outside [`TrialStage::Canary`].
    pub weight: BasisPoints,
    /// Seconds for which the weight holds after each assignment, on the router's own monotonic clock.
    pub lease_seconds: u32,
    /// The guards that can be judged in this trial.
    pub guards: ApplicableGuards,
}

/// The watch after a promotion: the stable model is still compared with the one that served before, and a router that
/// finds harm goes back to it by itself. It has no lease: the stable model is never leased, and neither is the way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The model that served before: loaded, scored on every request, deciding none until the stable one trips.
    pub previous: AssignedModel,
    /// Number of the trial that the stable model was promoted by.
    pub attempt: u64,
    /// The guards that can be judged.
    pub guards: ApplicableGuards,
}

/// What a router does with the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialStage {
    /// Loads and tests it; scores nothing.
    Staging,
    /// Scores every request with it; the stable model decides.
    Shadow,
    /// Scores every request with both; the candidate decides its share.
    Canary,
}

/// Why an assignment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The sender speaks another protocol.
    #[error(
        "`protocolVersion` must be {PROTOCOL_VERSION}, not {0}: operator and routers must be of one release line"
    )]
    ProtocolVersion(u32),
    /// The assignment is older than the one that holds.
    #[error("`epoch` must not be less than {held}, not {offered}: a newer assignment holds")]
    Stale {
        /// Epoch that holds.
        held: u64,
        /// Epoch that came.
        offered: u64,
    },
    /// The epoch that holds came again with other content.
    #[error("`epoch` {0} holds already with other content: a change needs a larger epoch")]
    Conflict(u64),
    /// The candidate has weight outside a canary.
    #[error("`trial.weight` must be 0 in stage '{0:?}'")]
    Weight(TrialStage),
    /// A router compares two models at a time.
    #[error("`watch` must not be there beside `trial`")]
    WatchBesideTrial,
    /// There is nothing to watch.
    #[error("`watch` needs a `stable` model, another than `watch.previous`")]
    NothingToWatch,
}

/// Whether `offered` may replace `held`. The same assignment again is taken: it renews the candidate's lease.
///
/// # Errors
/// Why it may not.
pub fn accept(held: Option<&Assignment>, offered: &Assignment) -> Result<(), AcceptError> {
    if offered.protocol_version != PROTOCOL_VERSION {
        return Err(AcceptError::ProtocolVersion(offered.protocol_version));
    }
    if let Some(trial) = &offered.trial
        && trial.stage != TrialStage::Canary
        && trial.weight != BasisPoints::ZERO
    {
        return Err(AcceptError::Weight(trial.stage));
    }
    if let Some(watch) = &offered.watch {
        if offered.trial.is_some() {
            return Err(AcceptError::WatchBesideTrial);
        }
        if offered.stable.as_ref().is_none_or(|stable| stable.digest == watch.previous.digest) {
            return Err(AcceptError::NothingToWatch);
        }
    }
    match held {
        // A policy that was deleted and made again starts to count anew.
        Some(held) if held.policy.uid != offered.policy.uid => Ok(()),
        Some(held) if offered.epoch < held.epoch => {
            Err(AcceptError::Stale { held: held.epoch, offered: offered.epoch })
        }
        Some(held) if offered.epoch == held.epoch && held != offered => {
            Err(AcceptError::Conflict(held.epoch))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(epoch: u64) -> Assignment {
        let policy: tinydancer_crds::RoutingPolicy =
            tinydancer_crds::yaml::from_str(include_str!("../../../crds/tests/fixtures/policy.yaml"))
                .unwrap();
        Assignment {
            protocol_version: PROTOCOL_VERSION,
            policy: PolicyIdentity { namespace: "a".into(), name: "support".into(), uid: "u1".into() },
            epoch,
            configuration: tinydancer_crds::valid::validate(&policy).unwrap().configuration,
            stable: None,
            trial: None,
            watch: None,
            calibration: None,
        }
    }

    fn model(content: &str) -> AssignedModel {
        AssignedModel {
            name: content.into(),
            version: "1.0.0".into(),
            digest: Digest::of(content.as_bytes()),
        }
    }

    fn trial() -> Trial {
        Trial {
            model: model("candidate"),
            attempt: 2,
            stage: TrialStage::Shadow,
            weight: BasisPoints::ZERO,
            lease_seconds: 10,
            guards: ApplicableGuards::all(),
        }
    }

    fn watched(epoch: u64) -> Assignment {
        let watch = Watch { previous: model("previous"), attempt: 1, guards: ApplicableGuards::watch() };
        Assignment { stable: Some(model("stable")), watch: Some(watch), ..assignment(epoch) }
    }

    #[test]
    fn a_watch_is_taken_over_a_stable_model_and_another_previous_one() {
        assert_eq!(accept(None, &watched(4)), Ok(()));
        let nothing_promoted = Assignment { stable: None, ..watched(4) };
        assert_eq!(accept(None, &nothing_promoted), Err(AcceptError::NothingToWatch));
        let itself = Assignment { stable: Some(model("previous")), ..watched(4) };
        assert_eq!(accept(None, &itself), Err(AcceptError::NothingToWatch));
    }

    #[test]
    fn a_watch_beside_a_trial_is_refused_whatever_holds() {
        let both = Assignment { trial: Some(trial()), ..watched(5) };
        assert_eq!(accept(None, &both), Err(AcceptError::WatchBesideTrial));
        assert_eq!(accept(Some(&watched(4)), &both), Err(AcceptError::WatchBesideTrial));
    }

    #[test]
    fn a_watch_begins_and_ends_with_a_larger_epoch_only() {
        let settled = Assignment { watch: None, ..watched(4) };
        assert_eq!(accept(Some(&settled), &watched(4)), Err(AcceptError::Conflict(4)));
        assert_eq!(accept(Some(&settled), &watched(5)), Ok(()));
        assert_eq!(
            accept(Some(&watched(5)), &Assignment { epoch: 5, ..settled.clone() }),
            Err(AcceptError::Conflict(5))
        );
        assert_eq!(accept(Some(&watched(5)), &Assignment { epoch: 6, ..settled }), Ok(()));
    }

    #[test]
    fn a_weight_outside_a_canary_is_refused() {
        for stage in [TrialStage::Staging, TrialStage::Shadow, TrialStage::Canary] {
            let trial = Trial { stage, weight: BasisPoints::from_percent(5), ..trial() };
            let wanted = if stage == TrialStage::Canary { Ok(()) } else { Err(AcceptError::Weight(stage)) };
            assert_eq!(accept(None, &Assignment { trial: Some(trial), ..assignment(1) }), wanted);
        }
    }

    #[test]
    fn the_same_assignment_again_is_taken_and_another_of_the_same_epoch_is_not() {
        let held = assignment(4);
        assert_eq!(accept(Some(&held), &held), Ok(()));
        let mut other = held.clone();
        other.configuration.retention_days += 1;
        assert_eq!(accept(Some(&held), &other), Err(AcceptError::Conflict(4)));
        other.epoch = 5;
        assert_eq!(accept(Some(&held), &other), Ok(()));
    }

    #[test]
    fn an_older_assignment_is_refused_unless_the_policy_is_another() {
        let held = assignment(4);
        assert_eq!(accept(Some(&held), &assignment(3)), Err(AcceptError::Stale { held: 4, offered: 3 }));
        let mut successor = assignment(1);
        successor.policy.uid = "u2".into();
        assert_eq!(accept(Some(&held), &successor), Ok(()));
    }

    #[test]
    fn an_assignment_reads_back_as_it_was_written() {
        let lambda = 0.1_f32 + 0.2;
        let found = OnlineCalibration { digest: Digest::of(b"a"), lambda, permille: 50, pairs: 812 };
        let calibrated = Assignment { calibration: Some(found), ..assignment(7) };
        let tried = Assignment { trial: Some(trial()), ..assignment(7) };
        for sent in [assignment(7), watched(7), tried, calibrated] {
            let text = serde_json::to_string(&sent).unwrap();
            assert_eq!(serde_json::from_str::<Assignment>(&text).unwrap(), sent);
        }
        let without = serde_json::to_value(assignment(7)).unwrap();
        for field in ["watch", "calibration"] {
            assert_eq!(without.get(field), None, "a router that does not know it reads the rest");
        }
    }
}
