//! What is forgotten: decisions, feedback and audits that are too old, and the oldest decisions when the file grows too
//! large. An audit is small and was paid for, so it only goes by age.

use rusqlite::Connection;

/// Rows deleted in one transaction, so that no commit waits long behind retention.
const CHUNK: u32 = 500;
/// Pages given back to the file system at a time.
const PAGES: u32 = 128;
/// Deleting starts when this share of the size bound is in use, in percent.
const HIGH_WATER_PERCENT: u64 = 90;

/// Deletes one chunk of what is older than `cutoff` (seconds since 1970) and, if the file is nearly at its bound, one chunk
/// of the oldest whatever their age. Returns whether there may be more.
pub(crate) fn forget(connection: &Connection, cutoff: i64) -> rusqlite::Result<bool> {
    let mut old = 0;
    for table in ["decisions", "feedback", "pairs"] {
        old += delete_oldest(connection, table, cutoff)?;
    }
    let crowded = if is_crowded(connection)? { delete_oldest(connection, "decisions", i64::MAX)? } else { 0 };
    if old + crowded > 0 {
        give_back(connection)?;
    }
    Ok(old + crowded >= CHUNK as usize)
}

/// Cuts free pages off the file. SQLite does one page a step, so every row must be asked for.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Makes room at once, after a write found none.
pub(crate) fn make_room(connection: &Connection) -> rusqlite::Result<()> {
    delete_oldest(connection, "decisions", i64::MAX).map(|_| ())
}

/// The table's name is one of a few constants.
fn delete_oldest(connection: &Connection, table: &'static str, cutoff: i64) -> rusqlite::Result<usize> {
    let oldest = format!(
        "DELETE FROM {table} WHERE at < ?1
            AND sequence IN (SELECT sequence FROM {table} ORDER BY sequence LIMIT {CHUNK})"
    );
    connection.prepare_cached(&oldest)?.execute([cutoff])
}

fn is_crowded(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, u64>(0));
    let used = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
    Ok(used * 100 > number("PRAGMA max_page_count")? * HIGH_WATER_PERCENT)
}
