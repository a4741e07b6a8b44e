//! What an audit found: both models answered one request, and a grader said what each answer was worth.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::apply::{integer, keep_newest};
use crate::error::HistoryError;
use crate::record::Tier;

/// Sums of digests that nobody has added to for so long are of no use.
const SUMS_KEPT: u32 = 16;

/// One audited request.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Of which decision; a second pair of the same decision is ignored, and its sums with it.
    pub decision_id: String,
    /// Seconds since 1970.
    pub at: u64,
    /// What the model said whose decision counted.
    pub decided: Scored,
    /// The tier that was taken.
    pub tier: Tier,
    /// With which probability it was taken.
    pub propensity: f32,
    /// Quality of Lightweight's answer, 0 to 1.
    pub lightweight: f32,
    /// Quality of Powerful's answer, 0 to 1.
    pub powerful: f32,
    /// What the model said that looked on, where one did.
    pub beside: Option<Scored>,
}

/// What a model said about an audited request.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Its digest.
    pub digest: String,
    /// Its ranking number; higher is more reason for Powerful.
    pub score: f32,
    /// Its probability that Lightweight is good enough.
    pub good_enough: f32,
    /// Its conformal set, if it makes one.
    pub set: Option<LabelSet>,
}

/// The labels that a model did not rule out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSet {
    /// Lightweight is good enough.
    pub good_enough: bool,
    /// It is not.
    pub not_good_enough: bool,
}

/// The sums over all pairs that one model scored, as the caller wrote them: history does not look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSums {
    /// Digest of the model.
    pub digest: String,
    /// The sums, as JSON.
    pub sums: String,
}

impl Pair {
    /// Whether every number can be stored and read back as what it says. One that cannot would end the whole batch.
    pub(crate) fn is_sound(&self) -> bool {
        let scored = |scored: &Scored| scored.score.is_finite() && scored.good_enough.is_finite();
        let share = |number: f32| (0.0..=1.0).contains(&number);
        scored(&self.decided)
            && self.beside.as_ref().is_none_or(scored)
            && share(self.propensity)
            && share(self.lightweight)
            && share(self.powerful)
    }
}

/// Writes the pair and the sums that it is part of.
pub(crate) fn insert(transaction: &Transaction<'_>, pair: &Pair, sums: &[PairSums]) -> rusqlite::Result<()> {
    let beside = pair.beside.as_ref();
    let [good_enough, not_good_enough] = labels(Some(&pair.decided));
    let [beside_good_enough, beside_not_good_enough] = labels(beside);
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO pairs (decision_id, at, digest, score, good_enough, set_good_enough, set_not_good_enough, tier,
                propensity, lightweight, powerful, beside_digest, beside_score, beside_good_enough,
                beside_set_good_enough, beside_set_not_good_enough)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT (decision_id) DO NOTHING",
        )?
        .execute(params![
            pair.decision_id,
            integer(pair.at),
            pair.decided.digest,
            pair.decided.score,
            pair.decided.good_enough,
            good_enough,
            not_good_enough,
            pair.tier,
            pair.propensity,
            pair.lightweight,
            pair.powerful,
            beside.map(|beside| &beside.digest),
            beside.map(|beside| beside.score),
            beside.map(|beside| beside.good_enough),
            beside_good_enough,
            beside_not_good_enough,
        ])?;
    if inserted == 1 { store_sums(transaction, sums) } else { Ok(()) }
}

fn labels(scored: Option<&Scored>) -> [Option<bool>; 2] {
    let set = scored.and_then(|scored| scored.set);
    [set.map(|set| set.good_enough), set.map(|set| set.not_good_enough)]
}

fn store_sums(transaction: &Transaction<'_>, sums: &[PairSums]) -> rusqlite::Result<()> {
    // Replacing gives a row the newest sequence: the oldest are those that nobody adds to.
    let mut replace =
        transaction.prepare_cached("INSERT OR REPLACE INTO pair_sums (digest, sums) VALUES (?1, ?2)")?;
    for PairSums { digest, sums } in sums {
        replace.execute([digest, sums])?;
    }
    keep_newest(transaction, "pair_sums", SUMS_KEPT)
}

/// All sums, those written last at the end.
pub(crate) fn read_sums(connection: &Connection) -> Result<Vec<PairSums>, HistoryError> {
    connection
        .prepare_cached("SELECT digest, sums FROM pair_sums ORDER BY sequence")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok(PairSums { digest: row.get(0)?, sums: row.get(1)? }))?.collect()
        })
        .map_err(HistoryError::database("read the sums of audits"))
}

/// The newest pairs, newest first.
pub(crate) fn read(connection: &Connection, limit: u32) -> Result<Vec<Pair>, HistoryError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM pairs ORDER BY sequence DESC LIMIT ?1"))
        .and_then(|mut statement| statement.query_map([limit], pair_of)?.collect())
        .map_err(HistoryError::database("read audits"))
}

/// The pair of one decision.
pub(crate) fn of_decision(connection: &Connection, decision_id: &str) -> Result<Option<Pair>, HistoryError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM pairs WHERE decision_id = ?1"))
        .and_then(|mut statement| statement.query_row([decision_id], pair_of).optional())
        .map_err(HistoryError::database("read an audit"))
}

/// How many pairs have lost their decision.
pub(crate) fn count_without_decision(connection: &Connection) -> Result<u64, HistoryError> {
    connection
        .prepare_cached("SELECT count(*) FROM pairs WHERE decision_id NOT IN (SELECT id FROM decisions)")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(HistoryError::database("count audits"))
}

/// In the order of [`pair_of`].
const COLUMNS: &str = "decision_id, at, tier, propensity, lightweight, powerful,
    digest, score, good_enough, set_good_enough, set_not_good_enough,
    beside_digest, beside_score, beside_good_enough, beside_set_good_enough, beside_set_not_good_enough";

fn pair_of(row: &Row<'_>) -> rusqlite::Result<Pair> {
    let is_beside = row.get::<_, Option<String>>(11)?.is_some();
    Ok(Pair {
        decision_id: row.get(0)?,
        at: row.get(1)?,
        tier: row.get(2)?,
        propensity: row.get(3)?,
        lightweight: row.get(4)?,
        powerful: row.get(5)?,
        decided: scored_of(row, 6)?,
        beside: is_beside.then(|| scored_of(row, 11)).transpose()?,
    })
}

/// From five columns: digest, score, probability and the two labels.
fn scored_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Scored> {
    let labels: [Option<bool>; 2] = [row.get(first + 3)?, row.get(first + 4)?];
    let set = match labels {
        [Some(good_enough), Some(not_good_enough)] => Some(LabelSet { good_enough, not_good_enough }),
        _ => None,
    };
    Ok(Scored { digest: row.get(first)?, score: row.get(first + 1)?, good_enough: row.get(first + 2)?, set })
}
