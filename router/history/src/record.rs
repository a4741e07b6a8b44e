//! What is remembered.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinydancer_guards::{Arm, TripCause};

/// A word in SQL, one a variant.
macro_rules! stored_as_word {
    ($name:ident { $($variant:ident),+ }) => {
        impl $name {
            /// The word it is stored and written as.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_str()? {
                    $(stringify!($variant) => Ok(Self::$variant),)+
                    _ => Err(FromSqlError::InvalidType),
                }
            }
        }
    };
}

/// The tier a request was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// Cheap and fast.
    Lightweight,
    /// Strong and dear.
    Powerful,
}
stored_as_word!(Tier { Lightweight, Powerful });

/// How good the routing was, as somebody saw it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackOutcome {
    /// The answer was right for the request.
    Good,
    /// A stronger model was needed.
    Underpowered,
    /// A cheaper model would have done.
    Overpowered,
    /// There was no usable answer.
    Failed,
}
stored_as_word!(FeedbackOutcome { Good, Underpowered, Overpowered, Failed });

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackSource {
    /// A person.
    User,
    /// A model that grades answers.
    Judge,
    /// The calling program.
    Client,
    /// A check of the answer, such as a test suite.
    Verifier,
}
stored_as_word!(FeedbackSource { User, Judge, Client, Verifier });

/// One routing decision. Holds numbers and names of the policy only, never a text of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Unique; a second record with the same id is ignored.
    pub id: String,
    /// Seconds since 1970.
    pub at: u64,
    /// Whose decision counted.
    pub arm: Arm,
    /// Digest of the model that decided; `None` if there was none (Powerful only).
    pub digest: Option<String>,
    /// Where the request went.
    pub tier: Tier,
    /// Name of the chosen candidate in the policy.
    pub upstream: Option<String>,
    /// The ranking number; higher is more reason for Powerful.
    pub score: Option<f32>,
    /// `min(p3, 1 - p3)`.
    pub uncertainty: Option<f32>,
    /// Probability that Lightweight is good enough.
    pub good_enough: Option<f32>,
    /// The statistics of the prompt, as the engine computes them.
    pub statistics: Vec<f32>,
    /// What the other model said, where one looked on.
    pub shadow: Option<Shadow>,
    /// With which probability the tier was taken: 1 where nothing was left to chance.
    pub propensity: f32,
    /// Whether the tier is another than the one decided on, to see what comes of it.
    pub explored: bool,
}

/// What the model whose decision did not count said about the same request.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// Its digest.
    pub digest: String,
    /// Its ranking number; `None` after a fault.
    pub score: Option<f32>,
    /// Its uncertainty; `None` after a fault.
    pub uncertainty: Option<f32>,
}

/// How the upstream answered. For a decision that is not stored it is ignored; so is a second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of which decision.
    pub decision_id: String,
    /// Whether there was an answer (availability, not quality).
    pub succeeded: bool,
    /// Until the answer was complete.
    pub latency_ms: u64,
    /// Tokens of the prompt, where the upstream said so.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, where the upstream said so.
    pub completion_tokens: Option<u64>,
    /// Millionths of a dollar, by the policy's prices.
    pub cost_micro_dollars: Option<u64>,
}

/// Makes a repeated feedback the same feedback. The caller's own key is not kept, only a hash of it with the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// From the key the caller gave for this decision.
    pub fn new(decision_id: &str, caller_key: &str) -> Self {
        Self::hash(&[decision_id.as_bytes(), b"key", caller_key.as_bytes()])
    }

    /// For a caller that gave none: the same content is the same feedback.
    pub fn of_content(
        decision_id: &str,
        outcome: FeedbackOutcome,
        score: Option<f64>,
        source: FeedbackSource,
    ) -> Self {
        let score = score.map_or([0; 9], |score| {
            let mut bytes = [1; 9];
            bytes[1..].copy_from_slice(&score.to_le_bytes());
            bytes
        });
        Self::hash(&[
            decision_id.as_bytes(),
            b"content",
            outcome.as_str().as_bytes(),
            &score,
            source.as_str().as_bytes(),
        ])
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    fn hash(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hex::encode(&hasher.finalize()[..16]))
    }
}

/// What somebody says about one decision. There is one for each decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    /// Of which decision; it need not be stored any more.
    pub decision_id: String,
    /// The same key again is the same feedback and succeeds; another key is refused.
    pub idempotency_key: IdempotencyKey,
    /// How good the routing was.
    pub outcome: FeedbackOutcome,
    /// Quality of the answer, 0 to 1.
    pub score: Option<f64>,
    /// Who says so.
    pub source: FeedbackSource,
    /// Seconds since 1970.
    pub at: u64,
}

/// Feedback on its way to the pod that made the decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Names it to [`crate::History::forward_delivered`].
    pub sequence: i64,
    /// The pod the decision belongs to.
    pub owner: String,
    /// The feedback.
    pub feedback: Feedback,
}

/// Which of an attempt's two tests evidence belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvidencePhase {
    /// The candidate beside the stable model.
    Trial,
    /// The promoted model beside the one that served before.
    Watch,
}
stored_as_word!(EvidencePhase { Trial, Watch });

/// Whose evidence it is. Evidence of another attempt, configuration, incarnation or phase is other evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvidenceOwner {
    /// uid of the `RoutingPolicy`.
    pub policy_uid: String,
    /// The attempt of the trial.
    pub attempt: u64,
    /// Digest of candidates, decision and guards.
    pub configuration_digest: String,
    /// The pod's incarnation.
    pub incarnation: String,
    /// Which of the attempt's tests.
    pub phase: EvidencePhase,
}

/// A model that this pod took out of service by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// Digest of the model.
    pub digest: String,
    /// In which attempt; a later attempt may try again.
    pub attempt: u64,
    /// Why.
    pub cause: TripCause,
    /// Seconds since 1970.
    pub at: u64,
}

/// Small values of which there is one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateKey {
    /// The assignment that was accepted last, as JSON.
    Assignment,
    /// Which incarnation this volume is in.
    Incarnation,
    /// The key that tags are hashed with.
    TagKey,
}
stored_as_word!(StateKey { Assignment, Incarnation, TagKey });

/// Running sums over all decisions ever stored, for one arm and tier. Retention does not lower them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Whose decisions.
    pub arm: Arm,
    /// Where they went.
    pub tier: Tier,
    /// How many.
    pub decisions: u64,
    /// Answered by the upstream.
    pub succeeded: u64,
    /// Not answered.
    pub failed: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Millionths of a dollar.
    pub cost_micro_dollars: u64,
}

/// The word an arm is stored as.
pub(crate) const fn arm_word(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => "Stable",
        Arm::Candidate => "Candidate",
    }
}

/// The arm of a stored word.
pub(crate) fn arm_of(word: &str) -> Result<Arm, FromSqlError> {
    match word {
        "Stable" => Ok(Arm::Stable),
        "Candidate" => Ok(Arm::Candidate),
        _ => Err(FromSqlError::InvalidType),
    }
}
