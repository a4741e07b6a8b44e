//! The parts of a checked policy that only the operator acts on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use serde::Serialize;

use super::GRADER_KEY_FILE;
use crate::routing_policy::{Approval, KeyReference, OnDeadline, OnDelete, TrustedKey};

/// Whose signatures make a model acceptable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Keys, each in a Secret.
    pub keys: Vec<TrustedKey>,
    /// Whether an unsigned model is refused.
    pub require_signature: bool,
}

/// How a new model is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Before any exposure.
    pub shadow: Shadow,
    /// Shares of traffic, never falling; at least one.
    pub steps: Vec<Step>,
    /// Whether promotion waits for somebody to approve it.
    pub promotion: Approval,
    /// Seconds for which the former model stays armed after promotion.
    pub watch_seconds: u64,
    /// Seconds without progress after which a step's deadline has passed.
    pub step_deadline_seconds: u64,
    /// What happens then.
    pub on_deadline: OnDeadline,
}

/// Minimums in the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Pairs scored over all pods.
    pub min_samples: u64,
    /// Seconds.
    pub min_seconds: u64,
}

/// One share of traffic with its own minimums; nothing is left out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Share of traffic, 1 to 100.
    pub weight_percent: u8,
    /// Requests the candidate decides in this step over all pods.
    pub min_samples: u64,
    /// Seconds.
    pub min_seconds: u64,
    /// Whether the step waits for somebody to approve it.
    pub approval: Approval,
}

/// How the pods are run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// Router pods.
    pub replicas: u32,
    /// Image, where not the operator's own choice.
    pub image: Option<String>,
    /// Resources of the container.
    pub resources: Option<ResourceRequirements>,
    /// Labels of usable nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Where each candidate's key is found, by candidate.
    pub api_keys: BTreeMap<String, KeyReference>,
    /// Where the grader's key is found, where audits need one.
    pub grader_key: Option<KeyReference>,
}

/// A key that every router is given as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFile {
    /// Field of the spec that names it.
    pub field: String,
    /// Where it is found.
    pub reference: KeyReference,
}

impl Fleet {
    /// All keys that the spec refers to, by the name of the file a router finds them under.
    pub fn key_files(&self) -> BTreeMap<String, KeyFile> {
        let upstreams = self.api_keys.iter().map(|(candidate, reference)| {
            let field = format!("spec.candidates[{candidate}].apiKeyRef");
            (format!("upstream.{candidate}"), KeyFile { field, reference: reference.clone() })
        });
        let grader = self.grader_key.iter().map(|reference| {
            let field = "spec.audit.grader.apiKeyRef".to_owned();
            (GRADER_KEY_FILE.to_owned(), KeyFile { field, reference: reference.clone() })
        });
        upstreams.chain(grader).collect()
    }
}

/// The fleet's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Size of each volume, as the API server takes it.
    pub size: String,
    /// Class; `None` is the cluster's default.
    pub storage_class_name: Option<String>,
    /// What becomes of it.
    pub on_delete: OnDelete,
}

/// What people asked for by annotation. Each acts once; a value that names another attempt is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    /// Attempt to abort.
    pub abort: Option<u64>,
    /// Attempt to promote.
    pub promote: Option<u64>,
    /// Step that may begin, or promotion.
    pub approve: Option<ApprovedStep>,
    /// Token that lifts a quarantine.
    pub retry: Option<String>,
}

/// What somebody approved. Written `3/2` (step 2 of attempt 3) or `3/promote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovedStep {
    /// Attempt it is about.
    pub attempt: u64,
    /// Index of the canary step from 0; `None` is the promotion.
    pub step: Option<u32>,
}

impl std::fmt::Display for ApprovedStep {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            Some(step) => write!(formatter, "{}/{}", self.attempt, step.saturating_add(1)),
            None => write!(formatter, "{}/promote", self.attempt),
        }
    }
}

/// The value of an approval that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be attempt and step, such as '3/2' or '3/promote', not '{0}'")]
pub struct UnreadableApproval(String);

impl std::str::FromStr for ApprovedStep {
    type Err = UnreadableApproval;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || UnreadableApproval(text.to_owned());
        let (attempt, step) = text.split_once('/').ok_or_else(unreadable)?;
        let attempt = attempt.parse().map_err(|_| unreadable())?;
        if step == "promote" {
            return Ok(Self { attempt, step: None });
        }
        let number: u32 = step.parse().map_err(|_| unreadable())?;
        Ok(Self { attempt, step: Some(number.checked_sub(1).ok_or_else(unreadable)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::ApprovedStep;

    #[test]
    fn an_approval_is_read_as_it_is_written() {
        for approved in [ApprovedStep { attempt: 3, step: Some(1) }, ApprovedStep { attempt: 3, step: None }]
        {
            assert_eq!(approved.to_string().parse(), Ok(approved));
        }
        for text in ["", "3", "3/", "3/0", "/2", "x/2", "3/all"] {
            assert!(text.parse::<ApprovedStep>().is_err(), "{text}");
        }
    }
}
