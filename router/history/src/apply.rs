//! Each write as SQL. Parameters are always bound.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, ToSql, Transaction, params};
use tinydancer_guards::Arm;

use crate::error::HistoryError;
use crate::pair;
use crate::queue::Write;
use crate::record::{Decision, EvidenceOwner, Feedback, Outcome, Tier, Totals, Trip, arm_of, arm_word};

/// Evidence of closed incarnations and attempts is of no use once newer ones fill this.
const EVIDENCE_KEPT: u32 = 16;

/// The batch's share of the running totals; written once a batch.
#[derive(Default)]
pub(crate) struct Sums(HashMap<(Arm, Tier), Totals>);

impl Sums {
    fn of(&mut self, arm: Arm, tier: Tier) -> &mut Totals {
        self.0.entry((arm, tier)).or_insert(Totals {
            arm,
            tier,
            decisions: 0,
            succeeded: 0,
            failed: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            cost_micro_dollars: 0,
        })
    }

    /// Adds the batch to what is stored.
    pub(crate) fn store(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO totals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (arm, tier) DO UPDATE SET
                decisions = decisions + excluded.decisions,
                succeeded = succeeded + excluded.succeeded,
                failed = failed + excluded.failed,
                prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                completion_tokens = completion_tokens + excluded.completion_tokens,
                cost_micro_dollars = cost_micro_dollars + excluded.cost_micro_dollars",
        )?;
        for totals in self.0.values() {
            statement.execute(params![
                arm_word(totals.arm),
                totals.tier,
                integer(totals.decisions),
                integer(totals.succeeded),
                integer(totals.failed),
                integer(totals.prompt_tokens),
                integer(totals.completion_tokens),
                integer(totals.cost_micro_dollars),
            ])?;
        }
        Ok(())
    }
}

/// The answer to one write: refused for its content, or done. An SQL error ends the whole batch.
pub(crate) type Answer = Result<(), HistoryError>;

/// Writes one entry inside the batch's transaction.
pub(crate) fn apply(
    transaction: &Transaction<'_>,
    write: &Write,
    sums: &mut Sums,
) -> rusqlite::Result<Answer> {
    match write {
        Write::Decision(decision) => insert_decision(transaction, decision, sums)?,
        Write::Outcome(outcome) => update_outcome(transaction, outcome, sums)?,
        Write::Pair { pair, sums } => pair::insert(transaction, pair, sums)?,
        Write::Feedback(feedback) => return insert_feedback(transaction, None, feedback),
        Write::Forward { owner, feedback } => return insert_feedback(transaction, Some(owner), feedback),
        Write::ForwardDelivered { sequence } => {
            transaction.prepare_cached("DELETE FROM outbox WHERE sequence = ?1")?.execute([sequence])?;
        }
        Write::Evidence { owner, evidence } => upsert_evidence(transaction, owner, evidence)?,
        Write::Trip(trip) => upsert_trip(transaction, trip)?,
        Write::ClearTrips { digest } => {
            transaction.prepare_cached("DELETE FROM trips WHERE digest = ?1")?.execute([digest])?;
        }
        Write::State { key, value } => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)")?
                .execute(params![key, value])?;
        }
        Write::Model { digest, bytes } => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO models (digest, bytes) VALUES (?1, ?2)")?
                .execute(params![digest, bytes])?;
        }
        Write::KeepModels { digests } => keep_models(transaction, digests)?,
        Write::Flush => {}
    }
    Ok(Ok(()))
}

fn insert_decision(
    transaction: &Transaction<'_>,
    decision: &Decision,
    sums: &mut Sums,
) -> rusqlite::Result<()> {
    let statistics: Vec<u8> = decision.statistics.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shadow = decision.shadow.as_ref();
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO decisions (id, at, arm, digest, tier, upstream, score, uncertainty, good_enough, statistics,
                shadow_digest, shadow_score, shadow_uncertainty, propensity, explored)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            decision.id,
            integer(decision.at),
            arm_word(decision.arm),
            decision.digest,
            decision.tier,
            decision.upstream,
            decision.score,
            decision.uncertainty,
            decision.good_enough,
            statistics,
            shadow.map(|shadow| &shadow.digest),
            shadow.and_then(|shadow| shadow.score),
            shadow.and_then(|shadow| shadow.uncertainty),
            decision.propensity,
            decision.explored,
        ])?;
    sums.of(decision.arm, decision.tier).decisions += inserted as u64;
    Ok(())
}

fn update_outcome(transaction: &Transaction<'_>, outcome: &Outcome, sums: &mut Sums) -> rusqlite::Result<()> {
    let updated = transaction
        .prepare_cached(
            "UPDATE decisions SET succeeded = ?2, latency_ms = ?3, prompt_tokens = ?4, completion_tokens = ?5,
                cost_micro_dollars = ?6
             WHERE id = ?1 AND succeeded IS NULL RETURNING arm, tier",
        )?
        .query_row(
            params![
                outcome.decision_id,
                outcome.succeeded,
                integer(outcome.latency_ms),
                outcome.prompt_tokens.map(integer),
                outcome.completion_tokens.map(integer),
                outcome.cost_micro_dollars.map(integer),
            ],
            |row| Ok((arm_of(row.get_ref(0)?.as_str()?)?, row.get::<_, Tier>(1)?)),
        )
        .optional()?;
    if let Some((arm, tier)) = updated {
        let totals = sums.of(arm, tier);
        totals.succeeded += u64::from(outcome.succeeded);
        totals.failed += u64::from(!outcome.succeeded);
        totals.prompt_tokens += outcome.prompt_tokens.unwrap_or(0);
        totals.completion_tokens += outcome.completion_tokens.unwrap_or(0);
        totals.cost_micro_dollars += outcome.cost_micro_dollars.unwrap_or(0);
    }
    Ok(())
}

/// Keeps feedback: on a decision of this pod, or until its owner has it. The same again succeeds.
fn insert_feedback(
    transaction: &Transaction<'_>,
    owner: Option<&str>,
    feedback: &Feedback,
) -> rusqlite::Result<Answer> {
    let (table, owner_column, owner_place) = match owner {
        None => ("feedback", "", ""),
        Some(_) => ("outbox", ", owner", ", ?7"),
    };
    let key = feedback.idempotency_key.as_str();
    let at = integer(feedback.at);
    let mut values: Vec<&dyn ToSql> =
        vec![&feedback.decision_id, &key, &feedback.outcome, &feedback.score, &feedback.source, &at];
    values.extend(owner.as_ref().map(|owner| owner as &dyn ToSql));
    let inserted = transaction
        .prepare_cached(&format!(
            "INSERT INTO {table} (decision_id, idempotency_key, outcome, score, source, at{owner_column})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6{owner_place}) ON CONFLICT (decision_id) DO NOTHING"
        ))?
        .execute(values.as_slice())?;
    if inserted == 1 {
        return Ok(Ok(()));
    }
    let stored = transaction
        .prepare_cached(&format!("SELECT idempotency_key FROM {table} WHERE decision_id = ?1"))?
        .query_row([&feedback.decision_id], |row| row.get::<_, String>(0))?;
    Ok(if stored == key { Ok(()) } else { Err(HistoryError::AlreadyGiven) })
}

fn upsert_evidence(
    transaction: &Transaction<'_>,
    owner: &EvidenceOwner,
    evidence: &str,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO trial_evidence (policy_uid, attempt, configuration_digest, incarnation, phase, evidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (policy_uid, attempt, configuration_digest, incarnation, phase)
             DO UPDATE SET evidence = excluded.evidence",
        )?
        .execute(params![
            owner.policy_uid,
            integer(owner.attempt),
            owner.configuration_digest,
            owner.incarnation,
            owner.phase,
            evidence,
        ])?;
    keep_newest(transaction, "trial_evidence", EVIDENCE_KEPT)
}

/// Deletes all rows of a table but those that were written last.
pub(crate) fn keep_newest(
    transaction: &Transaction<'_>,
    table: &'static str,
    rows: u32,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE sequence NOT IN (SELECT sequence FROM {table} ORDER BY sequence DESC LIMIT ?1)"
        ))?
        .execute([rows])?;
    Ok(())
}

fn upsert_trip(transaction: &Transaction<'_>, trip: &Trip) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO trips (digest, attempt, cause, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (digest) DO UPDATE SET attempt = excluded.attempt, cause = excluded.cause, at = excluded.at
             WHERE excluded.attempt > attempt",
        )?
        .execute(params![trip.digest, integer(trip.attempt), trip.cause.as_str(), integer(trip.at)])?;
    Ok(())
}

fn keep_models(transaction: &Transaction<'_>, digests: &[String]) -> rusqlite::Result<()> {
    let stored: Vec<String> = transaction
        .prepare_cached("SELECT digest FROM models")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = transaction.prepare_cached("DELETE FROM models WHERE digest = ?1")?;
    for digest in stored.iter().filter(|digest| !digests.contains(digest)) {
        delete.execute([digest])?;
    }
    Ok(())
}

/// SQLite's integers are signed.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
