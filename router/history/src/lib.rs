//! What a router remembers on its volume: decisions, outcomes, feedback, audits, a trial's evidence, trips, the accepted
//! assignment and the bytes of its models.
//!
//! One SQLite file, written by one thread that takes whatever is queued into one transaction (group commit, WAL,
//! `synchronous=FULL`). Nothing here waits on the request path: decisions, outcomes and audits are queued or, if the
//! queue is full, dropped and counted; feedback is acknowledged through a callback once it is on disk.
//!
//! No text of a prompt, tag or key is ever stored.

mod apply;
mod archive;
mod error;
mod history;
mod open;
mod pair;
mod queue;
mod read;
mod record;
mod retention;
mod schema;
mod writer;

pub use archive::{Archive, Record, Records};
pub use error::HistoryError;
pub use history::{History, Options};
pub use open::{Opened, SetAsideCause};
pub use pair::{LabelSet, Pair, PairSums, Scored};
pub use record::{
    Decision, EvidenceOwner, EvidencePhase, Feedback, FeedbackOutcome, FeedbackSource, Forward,
    IdempotencyKey, Outcome, Shadow, StateKey, Tier, Totals, Trip,
};
