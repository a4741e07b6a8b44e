//! What waits for the writer.

use crate::error::HistoryError;
use crate::pair::{Pair, PairSums};
use crate::record::{Decision, EvidenceOwner, Feedback, Outcome, StateKey, Trip};

/// Told once the write is on disk, or that it will not be. Runs on the writer's thread: it must only pass the news on.
pub(crate) type Acknowledge = Box<dyn FnOnce(Result<(), HistoryError>) + Send>;

/// One thing to write.
pub(crate) enum Write {
    Decision(Box<Decision>),
    Outcome(Outcome),
    Pair {
        pair: Box<Pair>,
        sums: Vec<PairSums>,
    },
    Feedback(Feedback),
    Forward {
        owner: String,
        feedback: Feedback,
    },
    ForwardDelivered {
        sequence: i64,
    },
    Evidence {
        owner: EvidenceOwner,
        evidence: String,
    },
    Trip(Trip),
    ClearTrips {
        digest: String,
    },
    State {
        key: StateKey,
        value: Vec<u8>,
    },
    Model {
        digest: String,
        bytes: Vec<u8>,
    },
    KeepModels {
        digests: Vec<String>,
    },
    /// Nothing; its acknowledgement says that everything before it was written.
    Flush,
}

impl Write {
    /// Decisions, outcomes and audits may be lost with the power; nobody waits for them.
    pub(crate) fn is_urgent(&self) -> bool {
        !matches!(self, Self::Decision(_) | Self::Outcome(_) | Self::Pair { .. })
    }
}

/// A write and who waits for it.
pub(crate) struct Entry {
    pub(crate) write: Write,
    pub(crate) acknowledge: Option<Acknowledge>,
}

/// What the writer's channel carries.
pub(crate) enum Message {
    Entry(Entry),
    /// Write what is queued, then end.
    Stop,
}
