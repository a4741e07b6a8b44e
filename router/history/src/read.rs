//! What is read back. Nothing here can write.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tinydancer_guards::{Evidence, TripCause};

use crate::apply::integer;
use crate::error::HistoryError;
use crate::record::{
    Decision, EvidenceOwner, Feedback, Forward, IdempotencyKey, Outcome, Shadow, StateKey, Totals, Trip,
    arm_of,
};

pub(crate) fn state(connection: &Connection, key: StateKey) -> Result<Option<Vec<u8>>, HistoryError> {
    connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
        .map_err(HistoryError::database("read stored state"))
}

pub(crate) fn model(connection: &Connection, digest: &str) -> Result<Option<Vec<u8>>, HistoryError> {
    connection
        .prepare_cached("SELECT bytes FROM models WHERE digest = ?1")
        .and_then(|mut statement| statement.query_row([digest], |row| row.get(0)).optional())
        .map_err(HistoryError::database("read a stored model"))
}

pub(crate) fn model_digests(connection: &Connection) -> Result<Vec<String>, HistoryError> {
    connection
        .prepare_cached("SELECT digest FROM models ORDER BY digest")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(HistoryError::database("read the stored models"))
}

pub(crate) fn evidence(
    connection: &Connection,
    owner: &EvidenceOwner,
) -> Result<Option<Evidence>, HistoryError> {
    let stored: Option<String> = connection
        .prepare_cached(
            "SELECT evidence FROM trial_evidence
             WHERE policy_uid = ?1 AND attempt = ?2 AND configuration_digest = ?3 AND incarnation = ?4 AND phase = ?5",
        )
        .and_then(|mut statement| {
            let owner = params![
                owner.policy_uid,
                integer(owner.attempt),
                owner.configuration_digest,
                owner.incarnation,
                owner.phase
            ];
            statement.query_row(owner, |row| row.get(0)).optional()
        })
        .map_err(HistoryError::database("read stored evidence"))?;
    stored
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|source| HistoryError::Stored { what: "evidence", source: Arc::new(source) })
}

pub(crate) fn trips(connection: &Connection) -> Result<Vec<Trip>, HistoryError> {
    connection
        .prepare_cached("SELECT digest, attempt, cause, at FROM trips ORDER BY at, digest")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok(Trip {
                        digest: row.get(0)?,
                        attempt: row.get(1)?,
                        cause: TripCause::from_str(row.get_ref(2)?.as_str()?)
                            .map_err(|_| FromSqlError::InvalidType)?,
                        at: row.get(3)?,
                    })
                })?
                .collect()
        })
        .map_err(HistoryError::database("read stored trips"))
}

pub(crate) fn forwards(connection: &Connection, limit: u32) -> Result<Vec<Forward>, HistoryError> {
    connection
        .prepare_cached(
            "SELECT decision_id, idempotency_key, outcome, score, source, at, sequence, owner
             FROM outbox ORDER BY sequence LIMIT ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_map([limit], |row| {
                    Ok(Forward { sequence: row.get(6)?, owner: row.get(7)?, feedback: feedback_of(row)? })
                })?
                .collect()
        })
        .map_err(HistoryError::database("read feedback that waits for its owner"))
}

pub(crate) fn forwards_waiting(connection: &Connection) -> Result<u64, HistoryError> {
    connection
        .prepare_cached("SELECT count(*) FROM outbox")
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
        .map(i64::unsigned_abs)
        .map_err(HistoryError::database("count feedback that waits for its owner"))
}

pub(crate) fn feedback(connection: &Connection, decision_id: &str) -> Result<Option<Feedback>, HistoryError> {
    connection
        .prepare_cached(
            "SELECT decision_id, idempotency_key, outcome, score, source, at FROM feedback WHERE decision_id = ?1",
        )
        .and_then(|mut statement| statement.query_row([decision_id], feedback_of).optional())
        .map_err(HistoryError::database("read stored feedback"))
}

fn feedback_of(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    Ok(Feedback {
        decision_id: row.get(0)?,
        idempotency_key: IdempotencyKey::stored(row.get(1)?),
        outcome: row.get(2)?,
        score: row.get(3)?,
        source: row.get(4)?,
        at: row.get(5)?,
    })
}

pub(crate) fn totals(connection: &Connection) -> Result<Vec<Totals>, HistoryError> {
    connection
        .prepare_cached("SELECT * FROM totals ORDER BY arm, tier")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok(Totals {
                        arm: arm_of(row.get_ref(0)?.as_str()?)?,
                        tier: row.get(1)?,
                        decisions: row.get(2)?,
                        succeeded: row.get(3)?,
                        failed: row.get(4)?,
                        prompt_tokens: row.get(5)?,
                        completion_tokens: row.get(6)?,
                        cost_micro_dollars: row.get(7)?,
                    })
                })?
                .collect()
        })
        .map_err(HistoryError::database("read the running totals"))
}

pub(crate) fn recent_decisions(connection: &Connection, limit: u32) -> Result<Vec<Decision>, HistoryError> {
    connection
        .prepare_cached(
            "SELECT id, at, arm, digest, tier, upstream, score, uncertainty, good_enough, statistics,
                shadow_digest, shadow_score, shadow_uncertainty, propensity, explored
             FROM decisions ORDER BY sequence DESC LIMIT ?1",
        )
        .and_then(|mut statement| statement.query_map([limit], decision_of)?.collect())
        .map_err(HistoryError::database("read recent decisions"))
}

/// The first decisions after a sequence that were made at `since` or later, in order, each with its sequence.
pub(crate) fn decisions_after(
    connection: &Connection,
    sequence: i64,
    since: u64,
    limit: u32,
) -> Result<Vec<(i64, Decision, Option<Outcome>)>, HistoryError> {
    connection
        .prepare_cached(
            "SELECT id, at, arm, digest, tier, upstream, score, uncertainty, good_enough, statistics,
                shadow_digest, shadow_score, shadow_uncertainty, propensity, explored,
                sequence, succeeded, latency_ms, prompt_tokens, completion_tokens, cost_micro_dollars
             FROM decisions WHERE sequence > ?1 AND at >= ?2 ORDER BY sequence LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![sequence, integer(since), limit], |row| {
                    let decision = decision_of(row)?;
                    let outcome = outcome_of(row, &decision.id)?;
                    Ok((row.get(15)?, decision, outcome))
                })?
                .collect()
        })
        .map_err(HistoryError::database("read decisions"))
}

fn outcome_of(row: &Row<'_>, decision_id: &str) -> rusqlite::Result<Option<Outcome>> {
    let Some(succeeded) = row.get(16)? else { return Ok(None) };
    Ok(Some(Outcome {
        decision_id: decision_id.to_owned(),
        succeeded,
        latency_ms: row.get(17)?,
        prompt_tokens: row.get(18)?,
        completion_tokens: row.get(19)?,
        cost_micro_dollars: row.get(20)?,
    }))
}

fn decision_of(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let statistics = statistics_of(row.get_ref(9)?.as_blob()?)?;
    let shadow_digest: Option<String> = row.get(10)?;
    let shadow = shadow_digest
        .map(|digest| {
            Ok::<_, rusqlite::Error>(Shadow { digest, score: row.get(11)?, uncertainty: row.get(12)? })
        })
        .transpose()?;
    Ok(Decision {
        id: row.get(0)?,
        at: row.get(1)?,
        arm: arm_of(row.get_ref(2)?.as_str()?)?,
        digest: row.get(3)?,
        tier: row.get(4)?,
        upstream: row.get(5)?,
        score: row.get(6)?,
        uncertainty: row.get(7)?,
        good_enough: row.get(8)?,
        statistics,
        shadow,
        // Null: decided before there was exploration.
        propensity: row.get::<_, Option<f32>>(13)?.unwrap_or(1.0),
        explored: row.get::<_, Option<bool>>(14)?.unwrap_or(false),
    })
}

fn statistics_of(bytes: &[u8]) -> rusqlite::Result<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(numbers.iter().copied().map(f32::from_le_bytes).collect());
    }
    let cause = format!("statistics must be whole numbers of four bytes, not {} bytes", bytes.len());
    Err(rusqlite::Error::FromSqlConversionFailure(9, Type::Blob, cause.into()))
}
