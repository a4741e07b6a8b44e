//! What a router answers.

use serde::{Deserialize, Serialize};
use tinydancer_crds::Digest;
use tinydancer_guards::{BasisPoints, EvidenceSnapshot, TripCause};
use uuid::Uuid;

use crate::{CalibrationSums, DriftSums};

/// What a router is and has seen, whole; a lost report costs nothing, because the next one says everything again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`crate::PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// Name of the pod.
    pub pod: String,
    /// New with every start of the process.
    pub incarnation: Uuid,
    /// Uid of the policy whose assignment holds; `None` before the first one.
    pub policy_uid: Option<String>,
    /// Epoch that holds.
    pub epoch: u64,
    /// Digest of the configuration that holds.
    pub configuration_digest: Option<Digest>,
    /// Digest of the model that serves as stable.
    pub stable: Option<Digest>,
    /// Whether requests are classified by a model at all.
    pub classified: bool,
    /// Models of the assignment and what became of them here.
    pub models: Vec<LoadedModel>,
    /// Share of requests that the candidate decides right now: 0 after the lease ended or the digest tripped.
    pub effective_weight: BasisPoints,
    /// Milliseconds until the candidate's lease ends; `None` without a candidate.
    pub lease_remaining_millis: Option<u64>,
    /// The current epoch alone.
    pub step: StepProgress,
    /// Evidence about the candidate on trial.
    pub evidence: Option<TrialEvidence>,
    /// Mean uncertainty of the requests the stable model scored since the process started, and how many.
    pub stable_uncertainty: Option<(f64, u64)>,
    /// Digests this pod has taken out of traffic by itself; they stay until an attempt with a larger number.
    pub trips: Vec<Trip>,
    /// Each LLM and how it does.
    pub upstreams: Vec<UpstreamReport>,
    /// Whether the history can be written.
    pub history_writable: bool,
    /// What audits found about each model that this pod remembers, one entry a digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<CalibrationSums>,
    /// Whether requests look as in training; `None` where the stable model's artifact does not say how that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSums>,
}

/// A model of the assignment and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedModel {
    /// Its digest.
    pub digest: Digest,
    /// What became of it.
    pub state: ModelState,
    /// What came of scoring decisions of this pod's past with it, before any traffic; `None` where that was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// A pod's own past scored with a model that has not served here yet. Past requests are known by their statistics alone,
/// never by their text, so this finds models that break on this pod's traffic; it is no evidence about their quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Decisions scored again.
    pub decisions: u64,
    /// Of them, those on which the model failed.
    pub faults: u64,
}

/// What became of a model in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "error")]
pub enum ModelState {
    /// The pod does not have its bytes: put them to `/v1/models/<digest>`.
    Missing,
    /// Digest, shape and known answers are right; it can score.
    Verified,
    /// The pod refuses it, and why.
    Refused(String),
}

/// What happened since the current epoch was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepProgress {
    /// Milliseconds on the pod's monotonic clock.
    pub elapsed_millis: u64,
    /// Requests the candidate decided.
    pub candidate_decisions: u64,
    /// Requests the stable model decided.
    pub stable_decisions: u64,
    /// Requests both scored.
    pub pairs: u64,
    /// Different buckets that the candidate decided for, at the weight of this epoch.
    #[serde(default)]
    pub candidate_buckets: u32,
    /// Different buckets that the stable model decided for.
    #[serde(default)]
    pub stable_buckets: u32,
}

/// To whom evidence belongs. Anything else than this exact owner is other evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceOwner {
    /// Uid of the policy.
    pub policy_uid: String,
    /// Number of the trial.
    pub attempt: u64,
    /// Configuration under which it was gathered.
    pub configuration_digest: Digest,
    /// Process that gathered it.
    pub incarnation: Uuid,
    /// Which of the attempt's two tests it belongs to.
    #[serde(default)]
    pub phase: EvidencePhase,
}

/// The tests of an attempt; each has evidence of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EvidencePhase {
    /// The candidate beside the stable model.
    #[default]
    Trial,
    /// The promoted model beside the one that served before.
    Watch,
}

/// Evidence of one process. A repeated report replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialEvidence {
    /// To whom it belongs.
    pub owner: EvidenceOwner,
    /// The model that it is about: a record that was restored counts attempts again.
    pub digest: Digest,
    /// The streams of every guard.
    pub snapshot: EvidenceSnapshot,
    /// Mean uncertainty of the candidate over all pairs.
    pub candidate_uncertainty: Option<f64>,
    /// Mean uncertainty of the stable model over the same pairs.
    pub stable_uncertainty: Option<f64>,
}

/// A digest that a pod took out of traffic by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trip {
    /// The digest.
    pub digest: Digest,
    /// Trial in which it happened.
    pub attempt: u64,
    /// Why.
    pub cause: TripCause,
}

/// One LLM as a router sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamReport {
    /// Name of the candidate.
    pub name: String,
    /// State of its breaker: `Closed`, `Open` or `HalfOpen`.
    pub breaker: String,
    /// Whether a key that must be sent is there.
    pub key_present: bool,
}

/// Body of an answer that is not 200: what is wrong, and what holds instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// For programs.
    pub reason: RefusalReason,
    /// For people.
    pub message: String,
    /// Epoch that holds here.
    pub epoch: u64,
}

/// Why the control port refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// Not a message of this protocol.
    Malformed,
    /// A newer assignment holds.
    StaleEpoch,
    /// The epoch holds with other content.
    EpochConflict,
    /// The message is for another policy than the certificate.
    WrongPolicy,
    /// The certificate does not allow this.
    Forbidden,
    /// The bytes do not have the digest they were put under.
    DigestMismatch,
    /// The bytes are not an artifact this router can run.
    ArtifactInvalid,
    /// The body is too large.
    TooLarge,
    /// The pod cannot keep it right now.
    Unavailable,
}
