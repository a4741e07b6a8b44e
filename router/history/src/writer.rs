//! The one thread that writes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::TransactionBehavior;

use crate::apply::{Answer, Sums, apply};
use crate::error::HistoryError;
use crate::open::Database;
use crate::queue::{Entry, Message, Write};
use crate::retention;

/// Writes in one transaction at most: some ten milliseconds of work, which a feedback that comes meanwhile waits for.
const BATCH: usize = 2_048;
/// How long decisions wait for company when nobody waits for them.
const LINGER: Duration = Duration::from_millis(20);
/// How often old records are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_mins(1);

/// What the writer tells the others.
#[derive(Default)]
pub(crate) struct Shared {
    /// Decisions, outcomes and audits in the queue.
    pub(crate) queued: AtomicUsize,
    /// Decisions, outcomes and audits that were never stored.
    pub(crate) dropped: AtomicU64,
    /// Transactions.
    pub(crate) commits: AtomicU64,
    /// Why the last batch failed; `None` once one succeeds.
    pub(crate) degraded: Mutex<Option<HistoryError>>,
}

pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) messages: Receiver<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) retention: Duration,
}

impl Writer {
    /// Runs until it is told to stop or nobody can tell it anything any more.
    pub(crate) fn run(mut self) {
        let mut next_retention = Instant::now();
        loop {
            let wait = next_retention.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(wait) {
                Ok(Message::Entry(first)) => {
                    let (batch, stop) = self.gather(first);
                    self.write(batch);
                    if stop {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_retention {
                let more = self.forget();
                next_retention = Instant::now() + if more { Duration::ZERO } else { RETENTION_INTERVAL };
            }
        }
        if let Err(error) = self.database.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!(%error, "failed to fold the log of history into its file; the next start will");
        }
    }

    /// Everything that is queued, up to a bound; waits a little for more while nobody waits for an answer.
    fn gather(&self, first: Entry) -> (Vec<Entry>, bool) {
        let mut urgent = first.write.is_urgent();
        let mut batch = vec![first];
        let deadline = Instant::now() + LINGER;
        while batch.len() < BATCH {
            let wait =
                if urgent { Duration::ZERO } else { deadline.saturating_duration_since(Instant::now()) };
            match self.messages.recv_timeout(wait) {
                Ok(Message::Entry(entry)) => {
                    urgent |= entry.write.is_urgent();
                    batch.push(entry);
                }
                Err(RecvTimeoutError::Timeout) => break,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return (batch, true),
            }
        }
        (batch, false)
    }

    /// One transaction; everybody hears how it ended.
    fn write(&mut self, batch: Vec<Entry>) {
        let passing = batch.iter().filter(|entry| !entry.write.is_urgent()).count();
        self.shared.queued.fetch_sub(passing, Ordering::Relaxed);
        if batch.iter().all(|entry| matches!(entry.write, Write::Flush)) {
            // Nothing to write, so nothing is learned about the volume.
            batch
                .into_iter()
                .filter_map(|entry| entry.acknowledge)
                .for_each(|acknowledge| acknowledge(Ok(())));
            return;
        }
        let answers = self.commit(&batch).or_else(|error| {
            if !matches!(error, HistoryError::Full) {
                return Err(error);
            }
            retention::make_room(&self.database.connection)
                .map_err(HistoryError::database("make room in history"))?;
            self.commit(&batch)
        });
        match answers {
            Ok(answers) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.report(None);
                for (entry, answer) in batch.into_iter().zip(answers) {
                    if let Some(acknowledge) = entry.acknowledge {
                        acknowledge(answer);
                    }
                }
            }
            Err(error) => {
                self.shared.dropped.fetch_add(passing as u64, Ordering::Relaxed);
                self.report(Some(error.clone()));
                for acknowledge in batch.into_iter().filter_map(|entry| entry.acknowledge) {
                    acknowledge(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&mut self, batch: &[Entry]) -> Result<Vec<Answer>, HistoryError> {
        let mut run = || {
            let transaction =
                self.database.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut sums = Sums::default();
            let answers = batch
                .iter()
                .map(|entry| apply(&transaction, &entry.write, &mut sums))
                .collect::<rusqlite::Result<Vec<_>>>()?;
            sums.store(&transaction)?;
            transaction.commit()?;
            Ok(answers)
        };
        run().map_err(HistoryError::database("write history"))
    }

    /// Says once that history went bad, and once that it is well again.
    fn report(&self, now: Option<HistoryError>) {
        let mut degraded = self.shared.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*degraded, &now) {
            (None, Some(error)) => {
                let reason = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, reason, "history is degraded: decisions are dropped and feedback is refused");
            }
            (Some(_), None) => tracing::info!("history is well again"),
            _ => {}
        }
        *degraded = now;
    }

    fn forget(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let cutoff = i64::try_from(now.saturating_sub(self.retention).as_secs()).unwrap_or(i64::MAX);
        retention::forget(&self.database.connection, cutoff).unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to remove old records from history");
            false
        })
    }
}
