//! What can go wrong, and what to do about it.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::open::SetAsideCause;

/// Why something was not remembered. Cheap to clone: a failed batch answers everybody who waits for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The queue is full; the caller may try again.
    #[error("history queue is full; try again later")]
    Busy,
    /// The writer has ended.
    #[error("history is closed")]
    Closed,
    /// No space on the volume, or the database has reached its size bound. Heals when space returns.
    #[error("history is full; free space on its volume or raise spec.history.size")]
    Full,
    /// There is another feedback for this decision.
    #[error("decision already has feedback with another idempotency key")]
    AlreadyGiven,
    /// The file was written by a newer release. Nothing was changed.
    #[error("history {path} has schema version {found}, this release knows up to {known}; run the newer release or remove the file", path = path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this release knows.
        known: u32,
    },
    /// The file is to be read as a history and is none. Nothing was changed.
    #[error("{path} is {cause}; name the history.db of a router's volume", path = path.display())]
    NotAHistory {
        /// The file.
        path: PathBuf,
        /// What it is.
        cause: SetAsideCause,
    },
    /// The file is only to be read, and has the schema of another release. Nothing was changed.
    #[error("history {path} has schema version {found}, this release reads version {known}; use the release of its router, or start the router of this release on it", path = path.display())]
    OtherSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this release reads.
        known: u32,
    },
    /// Another process has the file open.
    #[error("history {path} is in use by another process", path = path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file or its folder could not be read or written.
    #[error("failed to {step} {path}", path = path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// SQLite refused.
    #[error("failed to {step}")]
    Database {
        /// What was being done.
        step: &'static str,
        /// The reason.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The schema could not be brought up to date.
    #[error("failed to migrate history")]
    Migration(#[source] Arc<rusqlite_migration::Error>),
    /// A stored value could not be read back.
    #[error("failed to read stored {what}")]
    Stored {
        /// Which value.
        what: &'static str,
        /// The reason.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A value could not be written as JSON.
    #[error("failed to write {what} as JSON")]
    Unwritable {
        /// Which value.
        what: &'static str,
        /// The reason.
        #[source]
        source: Arc<serde_json::Error>,
    },
}

impl HistoryError {
    /// From what SQLite said while doing `step` ("failed to ...").
    pub(crate) fn database(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match code(&source) {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Database { step, source: Arc::new(source) },
        }
    }

    pub(crate) fn file(step: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { step, path, source: Arc::new(source) }
    }
}

/// SQLite's own code, also of a statement that it refused to prepare.
pub(crate) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        _ => error.sqlite_error_code(),
    }
}
