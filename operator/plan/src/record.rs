//! The record: what must survive, in a ConfigMap without owner. It is the authority; status is its projection.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use serde::{Deserialize, Serialize};
use tinydancer_crds::{
    Digest,
    routing_policy::{ModelEntry, TransitionEntry, Verdict},
    valid::GuardMargins,
};
use tinydancer_guards::ApplicableGuards;
use tinydancer_protocol::{AssignedModel, Assignment, EvidencePhase};

use crate::{
    calibration::ModelCalibration,
    drift::DriftFound,
    rollout::{EvidenceBank, Rollout},
};

/// Version of the record's form that this operator writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// Key of the ConfigMap's data that holds the record.
pub const RECORD_KEY: &str = "record.json";

/// Entries of `history` that are kept.
pub(crate) const HISTORY_LIMIT: usize = 10;
/// Digests that are kept in quarantine; the oldest goes.
pub(crate) const QUARANTINE_LIMIT: usize = 32;
/// Retry tokens that are remembered; the oldest goes.
pub(crate) const TOKEN_LIMIT: usize = 32;
/// Models that had their turn and are still shown: with stable and candidate sixteen.
pub(crate) const PAST_LIMIT: usize = 14;

/// Everything about one policy that must survive the operator, its status and a rebuilt cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// What the pods are told, with its epoch.
    pub assignment: Assignment,
    /// What the pods boot with: the same without a trial. Its epoch is never that of another content.
    pub boot: Assignment,
    /// What the pod template is made from; it waits while a trial runs.
    pub template: TemplateInputs,
    /// The model that is trusted.
    pub stable: Option<StableModel>,
    /// The model that was trusted before; armed in [`Rollout::Watching`].
    pub previous: Option<StableModel>,
    /// Where the trial is.
    pub rollout: Rollout,
    /// The model on trial, watched or last tried; `None` exactly in [`Rollout::Stable`].
    pub trial: Option<TrialRecord>,
    /// Number of the last trial.
    pub attempt: u64,
    /// Digests that get no traffic, oldest first.
    pub quarantine: Vec<Quarantine>,
    /// Retry tokens that act no more, oldest first.
    pub spent_tokens: Vec<String>,
    /// Models that had their turn, oldest first.
    pub past: Vec<ModelEntry>,
    /// The last transitions, oldest first.
    pub history: Vec<TransitionEntry>,
    /// What audits said about models that were stable, the one that was touched last at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<ModelCalibration>,
    /// Requests do not look to the stable model as in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftFound>,
}

/// The trusted model and how it became that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StableModel {
    /// Which.
    pub model: AssignedModel,
    /// The trial it was promoted by.
    pub attempt: u64,
    /// The verdict then; `None` where the spec vouched for it.
    pub verdict: Option<Verdict>,
    /// Mean uncertainty when it was last compared.
    pub uncertainty: Option<f64>,
    /// Pairs it was promoted by.
    pub pairs: u64,
    /// Since when it is trusted.
    pub since: Timestamp,
    /// How it became that, for people.
    pub message: String,
}

/// A model on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialRecord {
    /// Which.
    pub model: AssignedModel,
    /// Number of the trial.
    pub attempt: u64,
    /// Which of the attempt's two tests the evidence belongs to.
    pub phase: EvidencePhase,
    /// The guards that can be judged.
    pub guards: ApplicableGuards,
    /// The limits under which the evidence is gathered.
    pub margins: GuardMargins,
    /// What the pods saw.
    pub evidence: EvidenceBank,
    /// Steps of the canary when the spec was last read.
    pub steps: u32,
    /// Seconds of the watch when the spec was last read.
    pub watch_seconds: u64,
    /// When the state was entered.
    pub since: Timestamp,
    /// Why it was entered, one of [`tinydancer_crds::conditions::reasons`].
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// How long the step has taken.
    pub clock: StepClock,
}

/// The time that counts towards a step's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepClock {
    /// Milliseconds that count so far.
    pub counted_millis: u64,
    /// Up to when time was counted or left out.
    pub until: Timestamp,
}

/// A digest that was rolled back for cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// Which.
    pub digest: Digest,
    /// The trial that ended so.
    pub attempt: u64,
    /// Why, one of [`tinydancer_crds::conditions::reasons`].
    pub reason: String,
    /// The retry token that stood on the policy then: it does not lift this.
    pub token: Option<String>,
}

/// Everything the pod template depends on besides the policy's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateInputs {
    /// Image of the router.
    pub image: String,
    /// Resources of its container, where the policy names any.
    pub resources: Option<ResourceRequirements>,
    /// Labels of usable nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The ConfigMap is not a record.
    #[error(
        "`data['{RECORD_KEY}']` must hold the rollout record: the ConfigMap is not this operator's; rename or delete it"
    )]
    KeyMissing,
    /// It was written by another operator version.
    #[error(
        "`version` must be {RECORD_VERSION}, not {0}: use the operator that wrote the record, or upgrade this one"
    )]
    Version(u64),
    /// It does not have the form.
    #[error(
        "failed to read the rollout record: restore it from a backup, or delete it to start from `spec.stable`"
    )]
    Malformed(#[source] serde_json::Error),
    /// State and trial contradict each other.
    #[error(
        "`trial` must be there exactly if `rollout` is not 'Stable', and `stable` and `previous` if it is 'Watching': \
         restore the record from a backup"
    )]
    Inconsistent,
}

impl Record {
    /// Reads the data of the record's ConfigMap.
    ///
    /// # Errors
    /// Where it is not a record that this operator can use; nothing may be written then.
    pub fn read(data: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let text = data.get(RECORD_KEY).ok_or(RecordError::KeyMissing)?;
        let value: serde_json::Value = serde_json::from_str(text).map_err(RecordError::Malformed)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(RECORD_VERSION) => {}
            other => return Err(RecordError::Version(other.unwrap_or_default())),
        }
        let record: Self = serde_json::from_value(value).map_err(RecordError::Malformed)?;
        let is_watched = record.rollout == Rollout::Watching;
        if record.trial.is_some() == (record.rollout == Rollout::Stable)
            || (is_watched && (record.stable.is_none() || record.previous.is_none()))
        {
            return Err(RecordError::Inconsistent);
        }
        Ok(record)
    }

    /// The model that the watch leads back to.
    pub fn armed(&self) -> Option<&StableModel> {
        self.previous.as_ref().filter(|_| self.rollout == Rollout::Watching)
    }

    /// These guards, and those that need labels where requests are audited.
    pub(crate) fn with_labels(&self, guards: ApplicableGuards) -> ApplicableGuards {
        if self.assignment.configuration.audit.is_some() { guards.with_labels() } else { guards }
    }

    /// Whether this digest gets no traffic without a retry token.
    pub fn is_quarantined(&self, digest: Digest) -> bool {
        self.quarantine.iter().any(|entry| entry.digest == digest)
    }

    /// Whether this retry token has not acted yet.
    pub fn is_fresh(&self, token: &str) -> bool {
        !self.spent_tokens.iter().any(|spent| spent == token)
    }
}

/// Appends and drops the oldest beyond the limit.
pub(crate) fn push_bounded<T>(list: &mut Vec<T>, item: T, limit: usize) {
    list.push(item);
    if list.len() > limit {
        list.drain(..list.len() - limit);
    }
}

/// Evidence and time are written to the record this often while a trial runs; status moves with it.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// The same in the watch, which lasts long and hardly ever finds anything.
const WATCH_REFRESH_INTERVAL: Duration = Duration::from_mins(1);

impl StepClock {
    /// A clock that begins now.
    pub(crate) fn started(now: Timestamp) -> Self {
        Self { counted_millis: 0, until: now }
    }

    /// What has counted up to now. A longer gap than two refreshes was an operator that did not run: it does not
    /// count.
    pub(crate) fn at(self, now: Timestamp, counts: bool) -> Duration {
        let gap = Duration::try_from(now.duration_since(self.until)).unwrap_or_default();
        let added = if counts { gap.min(2 * REFRESH_INTERVAL) } else { Duration::ZERO };
        Duration::from_millis(self.counted_millis) + added
    }

    /// The clock moved on to now.
    pub(crate) fn moved(self, now: Timestamp, counts: bool) -> Self {
        let millis = self.at(now, counts).as_millis();
        Self { counted_millis: u64::try_from(millis).unwrap_or(u64::MAX), until: now.max(self.until) }
    }

    /// Whether it is time to write evidence and time down.
    pub(crate) fn is_due(self, phase: EvidencePhase, now: Timestamp) -> bool {
        let interval = match phase {
            EvidencePhase::Trial => REFRESH_INTERVAL,
            EvidencePhase::Watch => WATCH_REFRESH_INTERVAL,
        };
        Duration::try_from(now.duration_since(self.until)).is_ok_and(|gap| gap >= interval)
    }
}
