//! The messages that operator and router exchange on the control port, as docs/reference/control-protocol.md writes
//! them down. Types and pure rules only.

mod assignment;
mod calibration;
mod guard_settings;
mod report;

pub use assignment::{
    AcceptError, AssignedModel, Assignment, PolicyIdentity, Trial, TrialStage, Watch, accept,
};
pub use calibration::{
    CalibrationSums, DRIFT_MARGIN, DriftInput, DriftSums, DriftTest, OnlineCalibration, RegretObserved,
    parties,
};
pub use guard_settings::guard_settings;
pub use report::{
    EvidenceOwner, EvidencePhase, LoadedModel, ModelState, Refusal, RefusalReason, Replay, Report,
    StepProgress, TrialEvidence, Trip, UpstreamReport,
};

/// Version of the messages; a peer that speaks another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Path of the assignment: `PUT` sends one and is answered with a [`Report`]; `GET` asks for the report alone.
pub const ASSIGNMENT_PATH: &str = "/v1/assignment";
/// Path under which model bytes are put: `/v1/models/<digest>`.
pub const MODELS_PATH: &str = "/v1/models";
/// Path on which a router takes over feedback that another pod of its fleet accepted.
pub const PEER_FEEDBACK_PATH: &str = "/v1/peer/feedback";

/// Name of the operator in its client certificate's URI.
pub const OPERATOR_URI: &str = "tinydancer://operator";

/// URI in a router's certificate.
pub fn router_uri(namespace: &str, policy: &str) -> String {
    format!("tinydancer://{namespace}/{policy}")
}

/// DNS name in a router's certificate, and the server name every connection to a router's control port asks for.
pub fn router_server_name(namespace: &str, policy: &str) -> String {
    format!("{policy}.{namespace}.routers.tinydancer.dev")
}
