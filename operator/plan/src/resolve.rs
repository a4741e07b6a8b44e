//! From the names in the spec to the model that should run.

use std::collections::BTreeMap;

use tinydancer_crds::{ModelName, Problem, ValidPolicy, conditions::reasons, valid::Trust};
use tinydancer_protocol::AssignedModel;

use crate::{
    observed::{Artifact, ObservedModel, SignatureCheck},
    record::Record,
    rollout::Wish,
};

/// The model the fleet should come to next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// There is none that could be used, and why not.
    Unusable(Problem),
    /// The artifact is still being looked at.
    Pending(Problem),
    /// This one.
    Model {
        model: AssignedModel,
        /// Whether the spec vouches for it.
        trusted: bool,
    },
}

/// Finds it: without anything recorded as stable the spec's `stable` unless that is quarantined, else its `model`. A model that runs already, or is
/// on trial, needs no artifact any more: the digest decides.
pub(crate) fn target(
    policy: &ValidPolicy,
    record: &Record,
    models: &BTreeMap<ModelName, ObservedModel>,
) -> Target {
    let is_quarantined =
        |name: &ModelName| models.get(name).is_some_and(|model| record.is_quarantined(model.digest));
    let (name, field, trusted) = match (&policy.stable, &record.stable) {
        // One that was rolled back here is vouched for in vain: another wish does not wait for it.
        (Some(stable), None) if *stable == policy.model || !is_quarantined(stable) => {
            (stable, "spec.stable.name", true)
        }
        _ => (&policy.model, "spec.model.name", false),
    };
    let Some(observed) = models.get(name) else {
        return Target::Unusable(not_found(name, field, record));
    };
    if let Some(problem) = distrusted(name, field, observed, &policy.trust) {
        return Target::Unusable(problem);
    }
    let model = AssignedModel {
        name: name.as_str().to_owned(),
        version: observed.version.clone(),
        digest: observed.digest,
    };
    let in_use = record.stable.as_ref().is_some_and(|stable| stable.model.digest == model.digest)
        || record.trial.as_ref().is_some_and(|trial| trial.model.digest == model.digest)
        || record.armed().is_some_and(|previous| previous.model.digest == model.digest);
    match &observed.artifact {
        Artifact::Verified => Target::Model { model, trusted },
        _ if in_use => Target::Model { model, trusted },
        Artifact::Pending => Target::Pending(Problem {
            field: field.to_owned(),
            message: format!("names '{name}', whose artifact is being fetched"),
            reason: reasons::ARTIFACT_PENDING,
        }),
        Artifact::Failed { reason, message } => Target::Unusable(Problem {
            field: field.to_owned(),
            message: format!("names '{name}', whose artifact cannot be used: {message}"),
            reason,
        }),
    }
}

/// What the target is to the recorded rollout.
pub(crate) fn wish(target: &Target, record: &Record) -> Wish {
    let Target::Model { model, trusted } = target else { return Wish::Unknown };
    let trusted = *trusted;
    if record.stable.as_ref().is_some_and(|stable| stable.model.digest == model.digest) {
        Wish::Stable
    } else if record.trial.as_ref().is_some_and(|trial| trial.model.digest == model.digest) {
        Wish::Trial { trusted }
    } else if record.armed().is_some_and(|previous| previous.model.digest == model.digest) {
        Wish::Previous
    } else {
        Wish::Other { quarantined: record.is_quarantined(model.digest), trusted }
    }
}

/// Models that serve although their RouterModel is gone.
pub(crate) fn deleted_in_use(
    record: &Record,
    models: &BTreeMap<ModelName, ObservedModel>,
) -> Option<Problem> {
    let stable = record.stable.as_ref().map(|stable| &stable.model);
    let trial = record.trial.as_ref().filter(|_| record.rollout.is_under_way()).map(|trial| &trial.model);
    let gone = |model: &&AssignedModel| !models.values().any(|observed| observed.digest == model.digest);
    stable.into_iter().chain(trial).find(gone).map(|model| Problem {
        field: "spec.model.name".to_owned(),
        message: format!(
            "has '{}' in use, whose RouterModel was deleted: serving goes on; create it again or name another",
            model.name
        ),
        reason: reasons::MODEL_DELETED_IN_USE,
    })
}

fn not_found(name: &ModelName, field: &str, record: &Record) -> Problem {
    let known =
        record.stable.iter().map(|stable| &stable.model).chain(record.trial.iter().map(|trial| &trial.model));
    let in_use = known.into_iter().any(|model| model.name == name.as_str());
    let (reason, state) = if in_use {
        (reasons::MODEL_DELETED_IN_USE, "which was deleted while in use: serving goes on;")
    } else {
        (reasons::MODEL_NOT_FOUND, "which does not exist in this namespace:")
    };
    Problem {
        field: field.to_owned(),
        message: format!("names the RouterModel '{name}', {state} create it or name another"),
        reason,
    }
}

fn distrusted(name: &ModelName, field: &str, observed: &ObservedModel, trust: &Trust) -> Option<Problem> {
    let (reason, message) = match &observed.signature {
        SignatureCheck::Valid => return None,
        SignatureCheck::Invalid => (
            reasons::SIGNATURE_INVALID,
            "whose signature does not fit its digest and version: sign it again".to_owned(),
        ),
        SignatureCheck::Missing | SignatureCheck::UnknownKey(_) if !trust.require_signature => return None,
        SignatureCheck::Missing => (
            reasons::SIGNATURE_MISSING,
            "which is not signed, and `spec.trust.requireSignature` is true: sign it".to_owned(),
        ),
        SignatureCheck::UnknownKey(why) => {
            (reasons::UNKNOWN_KEY, format!("whose key cannot be used: {why}; add it to `spec.trust.keys`"))
        }
    };
    Some(Problem { field: field.to_owned(), message: format!("names '{name}', {message}"), reason })
}
