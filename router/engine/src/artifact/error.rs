//! Why a file is no model.

use std::fmt::Display;

use safetensors::Dtype;

use super::{FORMAT, LEAST_KNOWN_ANSWERS, MOST_BYTES};
use crate::digest::Digest;

/// Characters of a foreign text that an error repeats.
const EXCERPT: usize = 64;
/// Characters of a parser's message, which may repeat foreign text too.
const CAUSE: usize = 200;

/// What a parser said, cut and without control characters: it may quote the file, and errors end up
/// in a resource's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    pub(crate) fn of(error: &impl Display) -> Self {
        let text = error.to_string();
        Self(text.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).take(CAUSE).collect())
    }
}

/// The start of a text from a file, for an error.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

/// Why a loader refuses a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is larger than an artifact may be.
    #[error("the artifact must have at most {MOST_BYTES} bytes, this one has {bytes}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The file is no safetensors container.
    #[error("failed to read the artifact as safetensors")]
    Container(#[source] Cause),
    /// A metadata key is missing.
    #[error("metadata `{key}` must be present")]
    MetadataMissing {
        /// The key.
        key: &'static str,
    },
    /// The JSON of a metadata key does not parse.
    #[error("failed to read metadata `{key}` as JSON")]
    MetadataJson {
        /// The key.
        key: &'static str,
        /// Where and why.
        #[source]
        source: Cause,
    },
    /// The value of a metadata key breaks a rule.
    #[error("metadata `{key}`: {rule}")]
    MetadataValue {
        /// The key.
        key: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// The file is of another format.
    #[error("the artifact's format must be `{FORMAT}`, this one says {found:?}")]
    Format {
        /// What it says, at most 64 characters of it.
        found: String,
    },
    /// The model was trained on features of another meaning.
    #[error("the model was made for feature schema {found}, this engine has {expected}; train it again")]
    Schema {
        /// The model's.
        found: Digest,
        /// The engine's.
        expected: Digest,
    },
    /// The candidate network was trained on signals of another meaning.
    #[error("the candidate network was made for signals {found}, this engine has {expected}; train it again")]
    Signals {
        /// The network's.
        found: Digest,
        /// The engine's.
        expected: Digest,
    },
    /// A tensor is missing.
    #[error("tensor `{name}` must be present")]
    TensorMissing {
        /// Its name.
        name: &'static str,
    },
    /// There is a tensor that the format does not know.
    #[error("tensor {name:?} is not known to this format")]
    TensorUnknown {
        /// Its name, at most 64 characters of it.
        name: String,
    },
    /// A tensor has the wrong type of numbers.
    #[error("tensor `{name}` must be {expected:?}, this one is {found:?}")]
    TensorDtype {
        /// Its name.
        name: &'static str,
        /// The type in the file.
        found: Dtype,
        /// The type it must have.
        expected: Dtype,
    },
    /// A tensor has the wrong shape.
    #[error("tensor `{name}` must have shape {expected}, this one has {found}")]
    TensorShape {
        /// Its name.
        name: &'static str,
        /// The shape in the file.
        found: String,
        /// The shape it must have.
        expected: String,
    },
    /// A weight is infinite or no number.
    #[error("tensor `{name}` must be finite, number {index} is not")]
    NotFinite {
        /// The tensor.
        name: &'static str,
        /// Which of its numbers.
        index: usize,
    },
    /// A number that something is divided by is not positive.
    #[error("tensor `{name}` must be positive, number {index} is not")]
    NotPositive {
        /// The tensor.
        name: &'static str,
        /// Which of its numbers.
        index: usize,
    },
    /// Tag buckets are not strictly ascending.
    #[error("tensor `tag.buckets` must ascend strictly, number {index} does not")]
    TagsNotAscending {
        /// The first that does not.
        index: usize,
    },
    /// A centre of a cell has no direction.
    #[error("tensor `prototype.centres` must have a number other than 0 in each row, row {index} has none")]
    ZeroCentre {
        /// Which row.
        index: usize,
    },
    /// There are too few known answers.
    #[error("an artifact must have at least {LEAST_KNOWN_ANSWERS} known answers, this one has {found}")]
    TooFewKnownAnswers {
        /// How many there are.
        found: usize,
    },
    /// The novelty of a known answer came out different.
    #[error("known answer {index}: the artifact says novelty {expected:?}, this engine computes {found:?}")]
    KnownNovelty {
        /// Which known answer.
        index: usize,
        /// The novelty in the artifact.
        expected: Option<f32>,
        /// The novelty computed.
        found: Option<f32>,
    },
    /// A known answer of the candidate network came out different.
    #[error(
        "known answer {index} of the candidate network, head {head}: the artifact says {expected}, this engine \
         computes {found}"
    )]
    KnownCandidate {
        /// Which known answer.
        index: usize,
        /// Which head.
        head: usize,
        /// The number in the artifact.
        expected: f32,
        /// The number computed.
        found: f32,
    },
    /// A known answer came out different.
    #[error("known answer {index}, head {head}: the artifact says {expected}, this engine computes {found}")]
    KnownAnswer {
        /// Which known answer.
        index: usize,
        /// Which head.
        head: usize,
        /// The logit in the artifact.
        expected: f32,
        /// The logit computed.
        found: f32,
    },
    /// The model yields no number for a request that any model must be able to score.
    #[error("request {index} of the engine's own must get a finite score, this model fails on it")]
    Unscored {
        /// Which request.
        index: usize,
    },
}

/// Why no artifact could be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A list of weights has the wrong length.
    #[error("`{name}` must have {expected} entries, this one has {found}")]
    Length {
        /// Which list.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// The metadata could not be written as JSON.
    #[error("failed to write the metadata as JSON")]
    Json(#[from] serde_json::Error),
    /// The loader would refuse the artifact.
    #[error("failed to make an artifact that loads")]
    Refused(#[from] LoadError),
}
