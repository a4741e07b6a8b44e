//! All that is remembered about each decision, read from the file of a router that may be running.

use std::path::Path;
use std::vec;

use rusqlite::Connection;

use crate::error::HistoryError;
use crate::open;
use crate::pair::{self, Pair};
use crate::read;
use crate::record::{Decision, Feedback, Outcome};

/// Decisions read at a time. Between two pages no snapshot is held, so the log of a running router can be folded in.
const PAGE: u32 = 500;

/// A decision and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The decision.
    pub decision: Decision,
    /// How the upstream answered, if that is known.
    pub outcome: Option<Outcome>,
    /// What somebody said about it.
    pub feedback: Option<Feedback>,
    /// What its audit found.
    pub pair: Option<Pair>,
}

/// A history that is only read. It takes no lock: the router that owns the file goes on.
#[derive(Debug)]
pub struct Archive {
    connection: Connection,
}

impl Archive {
    /// Opens the file without changing it. A history in use needs its log beside it; of one that was closed, a folder that
    /// cannot be written makes SQLite refuse, as it needs a place for the index of the log.
    ///
    /// # Errors
    /// If there is no such file, it is no history, or it has the schema of another release.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        open::open_archive(path).map(|connection| Self { connection })
    }

    /// The decisions made at `since` (seconds since 1970) or later, oldest first. What a running router forgets or learns
    /// meanwhile may be missing.
    pub fn records(&self, since: u64) -> Records<'_> {
        Records { archive: self, since, after: 0, page: Vec::new().into_iter() }
    }

    /// How many audits are kept whose decision is not.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pairs_without_decision(&self) -> Result<u64, HistoryError> {
        pair::count_without_decision(&self.connection)
    }

    fn record(&self, decision: Decision, outcome: Option<Outcome>) -> Result<Record, HistoryError> {
        let feedback = read::feedback(&self.connection, &decision.id)?;
        let pair = pair::of_decision(&self.connection, &decision.id)?;
        Ok(Record { decision, outcome, feedback, pair })
    }
}

/// The records of an [`Archive`], in pages; it ends after an error.
#[derive(Debug)]
pub struct Records<'a> {
    archive: &'a Archive,
    since: u64,
    /// The sequence of the last decision that was read.
    after: i64,
    page: vec::IntoIter<(i64, Decision, Option<Outcome>)>,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match read::decisions_after(&self.archive.connection, self.after, self.since, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(self.end(error))),
            }
        }
        let (sequence, decision, outcome) = self.page.next()?;
        self.after = sequence;
        Some(self.archive.record(decision, outcome).map_err(|error| self.end(error)))
    }
}

impl Records<'_> {
    fn end(&mut self, error: HistoryError) -> HistoryError {
        self.page = Vec::new().into_iter();
        self.after = i64::MAX;
        error
    }
}
