//! The schema and how older ones become it.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// `PRAGMA application_id` of our files: the letters TDHI.
pub(crate) const APPLICATION_ID: i64 = 0x5444_4849;

/// Every migration ever released, in order; none is ever changed.
const TEXTS: [&str; 3] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
];

/// The version after all migrations.
pub(crate) const VERSION: u32 = TEXTS.len() as u32;

/// Brings a database up to date, each migration in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    Migrations::new(TEXTS.into_iter().map(M::up).collect()).to_latest(connection)
}

/// Whether tables, indexes, views and triggers are exactly ours. A stranger's trigger would run on our writes.
pub(crate) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let pattern = Connection::open_in_memory()?;
    for migration in TEXTS {
        pattern.execute_batch(migration)?;
    }
    Ok(definition(connection)? == definition(&pattern)?)
}

fn definition(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_lead_from_nothing_to_our_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(!is_ours(&connection).unwrap());
        migrate(&mut connection).unwrap();
        assert!(is_ours(&connection).unwrap());
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("PRAGMA application_id"), APPLICATION_ID);
        assert_eq!(number("PRAGMA user_version"), i64::from(VERSION));
    }

    #[test]
    fn evidence_of_before_there_were_watches_is_of_a_trial() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TEXTS[0]).unwrap();
        connection
            .execute_batch("INSERT INTO trial_evidence VALUES (7, 'uid', 3, 'sha256:1', 'pod', '{}')")
            .unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        migrate(&mut connection).unwrap();
        assert!(is_ours(&connection).unwrap());
        let row = connection.query_row(
            "SELECT sequence, attempt, phase, evidence FROM trial_evidence",
            [],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                ))
            },
        );
        assert_eq!(row.unwrap(), (7, 3, "Trial".to_owned(), "{}".to_owned()));
    }

    #[test]
    fn what_was_decided_before_there_was_exploration_stays() {
        let mut connection = Connection::open_in_memory().unwrap();
        for text in &TEXTS[..2] {
            connection.execute_batch(text).unwrap();
        }
        connection
            .execute_batch(
                "INSERT INTO decisions (id, at, arm, tier, statistics) VALUES ('d-1', 5, 'Stable', 'Powerful', x'')",
            )
            .unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        migrate(&mut connection).unwrap();
        assert!(is_ours(&connection).unwrap());
        let decided = crate::read::recent_decisions(&connection, 9).unwrap();
        assert_eq!((decided.len(), decided[0].id.as_str()), (1, "d-1"));
        assert_eq!((decided[0].propensity, decided[0].explored), (1.0, false));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        assert!(is_ours(&connection).unwrap());
    }
}
