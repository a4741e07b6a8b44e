//! Opening a database file, whatever it holds.

use std::fs::{File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{HistoryError, code};
use crate::schema;

/// Only the router's own user may read what is remembered.
const MODE: u32 = 0o600;
/// How long a statement waits for another connection's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many files that were set aside are kept.
const SET_ASIDE_KEPT: u32 = 3;
/// Pages of a new file. A decision takes some 400 bytes: in larger pages a row takes less of the processor's time (a third
/// less than in SQLite's 4 KiB), but a single feedback writes more bytes. An old file keeps its own.
const PAGE_BYTES: u32 = 8 << 10;
/// The log is cut back to this after a checkpoint.
const LOG_BYTES: u32 = 16 << 20;

/// What was found where the history should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    Fresh,
    /// The history goes on.
    Existing,
    /// What was there cannot be used; it lies beside, and a fresh one was begun.
    SetAside {
        /// Where it lies now.
        path: PathBuf,
        /// Why.
        cause: SetAsideCause,
    },
}

/// Why a file was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetAsideCause {
    /// Not an SQLite database.
    NotADatabase,
    /// An SQLite database, but not a history, or one that somebody changed.
    Foreign,
    /// Damaged.
    Corrupt,
}

impl std::fmt::Display for SetAsideCause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NotADatabase => "not a database",
            Self::Foreign => "not a history of this program",
            Self::Corrupt => "damaged",
        })
    }
}

/// Why a step of opening did not succeed.
enum Obstacle {
    Unusable(SetAsideCause),
    Error(HistoryError),
}

impl From<HistoryError> for Obstacle {
    fn from(error: HistoryError) -> Self {
        Self::Error(error)
    }
}

impl Obstacle {
    fn database(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |error| match (&error, code(&error)) {
            (_, Some(ErrorCode::NotADatabase)) => Self::Unusable(SetAsideCause::NotADatabase),
            // A value that is no text where SQLite's own tables hold texts.
            (_, Some(ErrorCode::DatabaseCorrupt))
            | (
                rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..),
                _,
            ) => Self::Unusable(SetAsideCause::Corrupt),
            _ => Self::Error(HistoryError::database(step)(error)),
        }
    }

    fn migration(error: rusqlite_migration::Error) -> Self {
        match error {
            // The statements are fixed: SQLite only refuses one if the file's tables are not those its version promises.
            rusqlite_migration::Error::RusqliteError { err, .. }
                if code(&err) == Some(ErrorCode::Unknown) =>
            {
                Self::Unusable(SetAsideCause::Foreign)
            }
            rusqlite_migration::Error::RusqliteError { err, .. } => Self::database("migrate history")(err),
            other => Self::Error(HistoryError::Migration(Arc::new(other))),
        }
    }
}

/// A writable database with the newest schema.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) opened: Opened,
    /// Held as long as the database is open: the file has one writer.
    _lock: File,
}

/// Opens the file, sets it aside if it cannot be used, and brings it up to date.
pub(crate) fn open(path: &Path, check_budget: Duration) -> Result<Database, HistoryError> {
    let lock = lock(path)?;
    let (connection, opened) = match open_as_is(path, check_budget) {
        Ok(found) => found,
        Err(Obstacle::Error(error)) => return Err(error),
        Err(Obstacle::Unusable(cause)) => {
            let aside = set_aside(path)?;
            match open_as_is(path, check_budget) {
                Ok((connection, _)) => (connection, Opened::SetAside { path: aside, cause }),
                Err(Obstacle::Error(error)) => return Err(error),
                Err(Obstacle::Unusable(_)) => return Err(unreadable_volume(path)),
            }
        }
    };
    Ok(Database { connection, opened, _lock: lock })
}

/// A connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, HistoryError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(HistoryError::database("open history for reading"))?;
    harden(&connection).map_err(HistoryError::database("set up history for reading"))?;
    Ok(connection)
}

/// A connection that cannot write, to a file that need not be ours. Takes no lock and changes nothing.
pub(crate) fn open_archive(path: &Path) -> Result<Connection, HistoryError> {
    std::fs::metadata(path).map_err(HistoryError::file("look at history", path))?;
    archive(path).map_err(|obstacle| match obstacle {
        Obstacle::Unusable(cause) => HistoryError::NotAHistory { path: path.to_path_buf(), cause },
        Obstacle::Error(error) => error,
    })
}

fn archive(path: &Path) -> Result<Connection, Obstacle> {
    let connection = open_reader(path)?;
    let (application, version) = identity(&connection)?;
    if application != schema::APPLICATION_ID {
        return Err(Obstacle::Unusable(SetAsideCause::Foreign));
    }
    if version != i64::from(schema::VERSION) {
        let path = path.to_path_buf();
        return Err(HistoryError::OtherSchema { path, found: version, known: schema::VERSION }.into());
    }
    if !schema::is_ours(&connection).map_err(Obstacle::database("read the schema of history"))? {
        return Err(Obstacle::Unusable(SetAsideCause::Foreign));
    }
    Ok(connection)
}

fn open_as_is(path: &Path, check_budget: Duration) -> Result<(Connection, Opened), Obstacle> {
    let opened = inspect(path, check_budget)?;
    create_private(path)?;
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(Obstacle::database("open history"))?;
    configure(&connection).map_err(Obstacle::database("set up history"))?;
    schema::migrate(&mut connection).map_err(Obstacle::migration)?;
    if !schema::is_ours(&connection).map_err(Obstacle::database("read the schema of history"))? {
        return Err(Obstacle::Unusable(SetAsideCause::Foreign));
    }
    Ok((connection, opened))
}

/// Looks at what is there without changing it.
fn inspect(path: &Path, check_budget: Duration) -> Result<Opened, Obstacle> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Opened::Fresh),
        Err(error) => return Err(HistoryError::file("look at history", path)(error).into()),
        Ok(metadata) if metadata.len() == 0 => return Ok(Opened::Fresh),
        Ok(_) => {}
    }
    let step = "inspect history";
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(Obstacle::database(step))?;
    harden(&connection).map_err(Obstacle::database(step))?;
    let (application, version) = identity(&connection)?;
    if application != schema::APPLICATION_ID {
        // Killed before the first migration was committed: there is nothing in it.
        let empty = application == 0
            && version == 0
            && number(&connection, "SELECT count(*) FROM sqlite_schema")? == 0;
        return if empty { Ok(Opened::Fresh) } else { Err(Obstacle::Unusable(SetAsideCause::Foreign)) };
    }
    let found = u32::try_from(version).map_err(|_| Obstacle::Unusable(SetAsideCause::Corrupt))?;
    if found > schema::VERSION {
        let path = path.to_path_buf();
        return Err(HistoryError::NewerSchema { path, found, known: schema::VERSION }.into());
    }
    check(&connection, check_budget)?;
    Ok(Opened::Existing)
}

/// Whose file it says it is, and its schema version.
fn identity(connection: &Connection) -> Result<(i64, i64), Obstacle> {
    Ok((number(connection, "PRAGMA application_id")?, number(connection, "PRAGMA user_version")?))
}

fn number(connection: &Connection, sql: &str) -> Result<i64, Obstacle> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(Obstacle::database("inspect history"))
}

/// SQLite's own check, as far as it comes in the given time: a router must not wait minutes for a large file.
fn check(connection: &Connection, budget: Duration) -> Result<(), Obstacle> {
    let step = "check history";
    let deadline = Instant::now() + budget;
    connection
        .progress_handler(10_000, Some(move || Instant::now() > deadline))
        .map_err(Obstacle::database(step))?;
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(_) => Err(Obstacle::Unusable(SetAsideCause::Corrupt)),
        Err(error) if code(&error) == Some(ErrorCode::OperationInterrupted) => {
            tracing::info!(
                budget_seconds = budget.as_secs_f64(),
                "history is large; its check was cut short"
            );
            Ok(())
        }
        Err(error) => Err(Obstacle::database(step)(error)),
    }
}

/// No function, view or trigger of a hostile file gets to do anything.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    harden(connection)?;
    // Both must come before the first table, else they say nothing.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An acknowledged feedback survives a power cut. NORMAL would lose the newest commits; group commit pays for FULL.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn create_private(path: &Path) -> Result<(), HistoryError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(path)
        .map_err(HistoryError::file("create history", path))?;
    file.set_permissions(Permissions::from_mode(MODE)).map_err(HistoryError::file("protect history", path))
}

fn lock(path: &Path) -> Result<File, HistoryError> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(&lock_path)
        .map_err(HistoryError::file("create the lock of history", &lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(HistoryError::InUse { path: path.to_path_buf() }),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(HistoryError::file("lock history", &lock_path)(error))
        }
    }
}

/// Renames the file to `<name>.corrupt-<n>`, its log with it, and removes the oldest if there are too many.
fn set_aside(path: &Path) -> Result<PathBuf, HistoryError> {
    let numbered = |number: u32| beside(path, &format!(".corrupt-{number}"));
    let mut number = 1;
    while numbered(number).exists() {
        number += 1;
    }
    if number > SET_ASIDE_KEPT {
        for older in 1..=SET_ASIDE_KEPT {
            remove(&numbered(older))?;
            remove(&beside(&numbered(older), "-wal"))?;
        }
        number = 1;
    }
    let aside = numbered(number);
    rename(path, &aside)?;
    rename(&beside(path, "-wal"), &beside(&aside, "-wal"))?;
    remove(&beside(path, "-shm"))?;
    Ok(aside)
}

fn rename(from: &Path, to: &Path) -> Result<(), HistoryError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(HistoryError::file("set aside", from)(error))
        }
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), HistoryError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(HistoryError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn unreadable_volume(path: &Path) -> HistoryError {
    let source = std::io::Error::other("a database that was just created cannot be read back");
    HistoryError::file("create history", path)(source)
}
