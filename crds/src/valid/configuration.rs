//! What a router needs to know to decide and to send: travels in the assignment, identified by its digest.

use serde::{Deserialize, Serialize};

use crate::{names::Digest, routing_policy::Tier};

/// Thousandths, 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Permille(u16);

impl Permille {
    /// A share in thousandths; `None` above 1000.
    pub const fn new(value: u16) -> Option<Self> {
        if value <= 1000 { Some(Self(value)) } else { None }
    }

    /// Thousandths.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl TryFrom<u16> for Permille {
    type Error = String;

    fn try_from(value: u16) -> Result<Self, Self::Error> {
        Self::new(value).ok_or_else(|| format!("must be 0 to 1000 thousandths, not {value}"))
    }
}

impl From<Permille> for u16 {
    fn from(value: Permille) -> Self {
        value.0
    }
}

/// Millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MicroDollars(pub u64);

/// What a candidate costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Price of a million input tokens.
    pub input_per_million_tokens: MicroDollars,
    /// Price of a million output tokens.
    pub output_per_million_tokens: MicroDollars,
}

/// One LLM requests may be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Name, unique in the policy.
    pub name: String,
    /// Tier it serves.
    pub tier: Tier,
    /// Base URL of its OpenAI-compatible API, without a trailing slash.
    pub endpoint: String,
    /// The model's name there.
    pub model: String,
    /// What it costs.
    pub cost: Cost,
    /// Whether a key must be sent; the key itself is a file named after the candidate, never part of this.
    pub api_key: bool,
}

/// How a score becomes a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DecisionRule {
    /// By the loss of quality that is acceptable.
    Risk {
        /// Mean loss against always-Powerful.
        permille: Permille,
    },
    /// By the confidence that Lightweight is good enough.
    Thresholds {
        /// From here on: Lightweight.
        confidence: Permille,
        /// From here on: Lightweight with Powerful as fallback.
        fallback: Permille,
    },
}

/// When an upstream is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failures in the window that opens it.
    pub failure_rate: Permille,
    /// Whether it must also be far above what is usual of the upstream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub adaptive: bool,
    /// Requests in the window below which the share says nothing.
    pub minimum_requests: u32,
    /// First open time.
    pub open_seconds: u32,
    /// Longest open time.
    pub max_open_seconds: u32,
    /// Probes that must all succeed.
    pub half_open_probes: u32,
}

/// Limits a candidate may not cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardMargins {
    /// Largest change of mean uncertainty.
    pub uncertainty: Permille,
    /// Largest change of the share sent to Powerful.
    pub escalation: Permille,
    /// Largest share of requests that cannot be scored.
    pub error_rate: Permille,
    /// Largest share of requests that are decided otherwise.
    pub flip_rate: Permille,
    /// Microseconds that scoring a request may take.
    pub latency_budget_microseconds: u32,
    /// Largest share of requests that may take longer where they do not with stable.
    pub slow_rate: Permille,
    /// How much more often the candidate's requests may fail upstream.
    pub upstream: Permille,
    /// Chance over a whole attempt that a harmless model is rolled back.
    pub alpha: Permille,
}

/// Requests that both tiers answer and a grader compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Share of the routed chat requests; more than 0.
    pub permille: Permille,
    /// Who grades.
    pub grader: Grader,
}

/// Who grades the answers of both tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grader {
    /// Address that conversation and answers are posted to.
    pub endpoint: String,
    /// Seconds that a grade may take.
    pub timeout_seconds: u32,
    /// Whether a key must be sent; the key itself is the file [`GRADER_KEY_FILE`], never part of this.
    pub api_key: bool,
}

/// Name of the grader's key among a fleet's credentials.
pub const GRADER_KEY_FILE: &str = "grader.key";

/// Everything a router is told about its policy, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// LLMs, sorted by name.
    pub candidates: Vec<Candidate>,
    /// How a score becomes a tier.
    pub decision: DecisionRule,
    /// When an upstream is left alone.
    pub breaker: BreakerSettings,
    /// Limits a candidate may not cross.
    pub guards: GuardMargins,
    /// Days that decisions are kept.
    pub retention_days: u32,
    /// Requests that both tiers answer; `None` without any.
    // What a policy does not ask for is not written: its digest is the one it had before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Thousandths of the routed requests that go to the other tier than was decided, 0 to 200.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub explore_permille: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Configuration {
    /// sha256 of the canonical JSON: what pods acknowledge.
    pub fn digest(&self) -> Digest {
        // Plain structs of strings and integers always serialise; the fields come in the order of declaration.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
