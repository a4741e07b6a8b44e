//! The schema and how older ones become it.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::error::HistoryError;

/// `PRAGMA application_id` of our files: the letters TDHI.
pub(crate) const APPLICATION_ID: i64 = 0x5444_4849;

/// Every migration ever released, in order; none is ever changed.
const MIGRATIONS: &[M<'static>] = &[M::up(include_str!("migrations/0001.sql"))];

/// The version after all migrations.
pub(crate) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings a database up to date, each migration in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    Migrations::from_slice(MIGRATIONS).to_latest(connection)
}

/// Whether tables, indexes, views and triggers are exactly ours. A stranger's trigger would run on our writes.
pub(crate) fn is_ours(connection: &Connection) -> Result<bool, HistoryError> {
    let mut pattern =
        Connection::open_in_memory().map_err(HistoryError::database("open a database in memory"))?;
    migrate(&mut pattern).map_err(|source| HistoryError::Migration(source.into()))?;
    Ok(definition(connection)? == definition(&pattern)?)
}

fn definition(connection: &Connection) -> Result<Vec<(String, String, Option<String>)>, HistoryError> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })
        .map_err(HistoryError::database("read the schema of history"))
}
