//! Evidence that outlives reports: the last word of every process that gathers it, and the sum of those that ended.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tinydancer_guards::{EvidenceSnapshot, merge};
use tinydancer_protocol::{EvidenceOwner, TrialEvidence};
use uuid::Uuid;

use crate::{observed::ObservedPod, record::push_bounded};

/// Processes that ended and whose late reports are recognised; the oldest goes.
const CLOSED_LIMIT: usize = 256;

/// The evidence of one attempt under one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceBank {
    /// Processes that may still report, by incarnation.
    pub open: BTreeMap<Uuid, OpenEvidence>,
    /// The sum of those that ended.
    pub banked: EvidenceSnapshot,
    /// Their uncertainty.
    pub banked_uncertainty: UncertaintySum,
    /// What those that ended did at the current epoch.
    pub banked_step: StepCount,
    /// Incarnations that were banked: a late report of theirs counts for nothing.
    pub closed: Vec<Uuid>,
}

/// The last word of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenEvidence {
    /// Uid of its pod.
    pub pod_uid: String,
    /// Its streams.
    pub snapshot: EvidenceSnapshot,
    /// Its uncertainty.
    pub uncertainty: UncertaintySum,
    /// Epoch that held there.
    pub epoch: u64,
    /// What it did at that epoch.
    pub step: StepCount,
}

/// Sums of uncertainty over pairs, so that means can be taken over processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UncertaintySum {
    /// Of the candidate.
    pub candidate: f64,
    /// Of the stable model on the same requests.
    pub stable: f64,
    /// Pairs with both.
    pub pairs: u64,
}

/// What happened in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepCount {
    /// Requests the candidate decided.
    pub candidate_decisions: u64,
    /// Requests both scored.
    pub pairs: u64,
}
