//! The handle.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tinydancer_guards::Evidence;

use crate::error::HistoryError;
use crate::open::{self, Opened};
use crate::pair::{self, Pair, PairSums};
use crate::queue::{Acknowledge, Entry, Message, Write};
use crate::read;
use crate::record::{Decision, EvidenceOwner, Feedback, Forward, Outcome, StateKey, Totals, Trip};
use crate::writer::{Shared, Writer};

/// Places in the queue that decisions, outcomes and audits cannot take.
const RESERVED: usize = 1_024;

/// Bounds of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long decisions, feedback and audits are kept.
    pub retention: Duration,
    /// The file stays below this. Leave room on the volume for the log (some 20 MB) and a file that was set aside.
    pub max_bytes: u64,
    /// How many decisions, outcomes and audits may wait for the writer.
    pub queue: usize,
    /// How long the check of the file may take on opening.
    pub check_budget: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(30 * 24),
            max_bytes: 512 << 20,
            queue: 8_192,
            check_budget: Duration::from_secs(2),
        }
    }
}

/// An open history. Share it in an `Arc`; dropping the last one writes what is queued.
///
/// Methods that record decisions, outcomes, audits and feedback return at once. The others say in their first line if they wait for the
/// disk: call those from a thread that may block.
pub struct History {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
    queue: usize,
    reader: Mutex<Connection>,
    writer: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
}

impl std::fmt::Debug for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("History").field("path", &self.path).finish_non_exhaustive()
    }
}

impl History {
    /// Opens or creates the file and starts the writer. A file that cannot be used is set aside, which [`Opened`] tells.
    ///
    /// # Errors
    /// If the folder cannot be used, another process has the file, or a newer release wrote it.
    pub fn open(path: &Path, options: &Options) -> Result<(Self, Opened), HistoryError> {
        let database = open::open(path, options.check_budget)?;
        let opened = database.opened.clone();
        if let Opened::SetAside { path, cause } = &opened {
            tracing::error!(%cause, path = %path.display(), "history could not be used; it was set aside and a fresh one begun");
        }
        limit(&database.connection, options.max_bytes)
            .map_err(HistoryError::database("bound the size of history"))?;
        let reader = Mutex::new(open::open_reader(path)?);
        let (messages, receiver) = sync_channel(options.queue + RESERVED);
        let shared = Arc::new(Shared::default());
        let writer = start(Writer {
            database,
            messages: receiver,
            shared: Arc::clone(&shared),
            retention: options.retention,
        })
        .map_err(HistoryError::file("start the writer of", path))?;
        let writer = Mutex::new(Some(writer));
        Ok((
            Self { messages, shared, queue: options.queue, reader, writer, path: path.to_path_buf() },
            opened,
        ))
    }

    /// Queues a decision. If the queue is full it is dropped and counted; `false` says so.
    pub fn record_decision(&self, decision: Decision) -> bool {
        self.queue_or_drop(Write::Decision(Box::new(decision)))
    }

    /// Queues how the upstream answered, as [`Self::record_decision`].
    pub fn record_outcome(&self, outcome: Outcome) -> bool {
        self.queue_or_drop(Write::Outcome(outcome))
    }

    /// Queues what an audit found, as [`Self::record_decision`]. `sums` are those of every model that scored the request,
    /// this pair included: they replace what is stored of these models, in the same transaction. A pair with a number that
    /// is not finite, or a quality outside 0 to 1, is dropped too.
    pub fn record_pair(&self, pair: Pair, sums: Vec<PairSums>) -> bool {
        let is_sound = pair.is_sound();
        if !is_sound {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_sound && self.queue_or_drop(Write::Pair { pair: Box::new(pair), sums })
    }

    /// Queues feedback on a decision of this pod and calls back once it is on disk, or refused:
    /// [`HistoryError::AlreadyGiven`] if there is other feedback for the decision, [`HistoryError::Busy`],
    /// [`HistoryError::Full`]. The same feedback again succeeds. The callback runs on the writer's thread.
    pub fn record_feedback(
        &self,
        feedback: Feedback,
        acknowledge: impl FnOnce(Result<(), HistoryError>) + Send + 'static,
    ) {
        self.queue_urgent(Write::Feedback(feedback), Box::new(acknowledge));
    }

    /// Queues feedback on a decision of another pod, to be passed on; answers as [`Self::record_feedback`].
    pub fn record_forward(
        &self,
        owner: String,
        feedback: Feedback,
        acknowledge: impl FnOnce(Result<(), HistoryError>) + Send + 'static,
    ) {
        self.queue_urgent(Write::Forward { owner, feedback }, Box::new(acknowledge));
    }

    /// Waits for the disk. Feedback that waits for its owner, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pending_forwards(&self, limit: u32) -> Result<Vec<Forward>, HistoryError> {
        self.read(|connection| read::forwards(connection, limit))
    }

    /// Waits for the disk. How much feedback waits for its owner.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn forwards_waiting(&self) -> Result<u64, HistoryError> {
        self.read(read::forwards_waiting)
    }

    /// Waits for the disk. The owner has it (or refused it for good): it need not be sent again.
    ///
    /// # Errors
    /// If it could not be written; the feedback will be sent again, which is harmless.
    pub fn forward_delivered(&self, sequence: i64) -> Result<(), HistoryError> {
        self.write(Write::ForwardDelivered { sequence })
    }

    /// Waits for the disk. The feedback on a decision of this pod.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn feedback(&self, decision_id: &str) -> Result<Option<Feedback>, HistoryError> {
        self.read(|connection| read::feedback(connection, decision_id))
    }

    /// Waits for the disk. Keeps a trial's evidence in place of its owner's last; of other owners the newest few stay.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn save_evidence(&self, owner: EvidenceOwner, evidence: &Evidence) -> Result<(), HistoryError> {
        let evidence = serde_json::to_string(evidence)
            .map_err(|source| HistoryError::Unwritable { what: "evidence", source: Arc::new(source) })?;
        self.write(Write::Evidence { owner, evidence })
    }

    /// Waits for the disk. The evidence of exactly this owner.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load_evidence(&self, owner: &EvidenceOwner) -> Result<Option<Evidence>, HistoryError> {
        self.read(|connection| read::evidence(connection, owner))
    }

    /// Waits for the disk. Keeps a trip; of one digest the one with the largest attempt, and of that the first.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn record_trip(&self, trip: Trip) -> Result<(), HistoryError> {
        self.write(Write::Trip(trip))
    }

    /// Waits for the disk. All trips, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn trips(&self) -> Result<Vec<Trip>, HistoryError> {
        self.read(read::trips)
    }

    /// Waits for the disk. Forgets the trip of a digest.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn clear_trip(&self, digest: String) -> Result<(), HistoryError> {
        self.write(Write::ClearTrips { digest })
    }

    /// Waits for the disk. Keeps a value in place of the last.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn save_state(&self, key: StateKey, value: Vec<u8>) -> Result<(), HistoryError> {
        self.write(Write::State { key, value })
    }

    /// Waits for the disk. The value that was kept last.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn load_state(&self, key: StateKey) -> Result<Option<Vec<u8>>, HistoryError> {
        self.read(|connection| read::state(connection, key))
    }

    /// Waits for the disk. Keeps the bytes of a model; the caller has verified them.
    ///
    /// # Errors
    /// If they could not be written.
    pub fn save_model(&self, digest: String, bytes: Vec<u8>) -> Result<(), HistoryError> {
        self.write(Write::Model { digest, bytes })
    }

    /// Waits for the disk. The bytes of a model; verify them again, the volume is not trusted.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn load_model(&self, digest: &str) -> Result<Option<Vec<u8>>, HistoryError> {
        self.read(|connection| read::model(connection, digest))
    }

    /// Waits for the disk. Digests of the models that are kept.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn model_digests(&self) -> Result<Vec<String>, HistoryError> {
        self.read(read::model_digests)
    }

    /// Waits for the disk. Forgets every model but these.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn delete_models_except(&self, digests: Vec<String>) -> Result<(), HistoryError> {
        self.write(Write::KeepModels { digests })
    }

    /// Waits for the disk. The running sums by arm and tier.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn totals(&self) -> Result<Vec<Totals>, HistoryError> {
        self.read(read::totals)
    }

    /// Waits for the disk. The newest decisions, newest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn recent_decisions(&self, limit: u32) -> Result<Vec<Decision>, HistoryError> {
        self.read(|connection| read::recent_decisions(connection, limit))
    }

    /// Waits for the disk. The newest audits, newest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pairs(&self, limit: u32) -> Result<Vec<Pair>, HistoryError> {
        self.read(|connection| pair::read(connection, limit))
    }

    /// Waits for the disk. The sums of audits by model as they were recorded last, those of the newest audit at the end;
    /// of models beyond the sixteen that were added to last there are none. Retention does not lower them.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pair_sums(&self) -> Result<Vec<PairSums>, HistoryError> {
        self.read(pair::read_sums)
    }

    /// Decisions, outcomes and audits that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Transactions since the start.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Why nothing is remembered at the moment; `None` while all is well.
    pub fn degraded(&self) -> Option<HistoryError> {
        self.shared.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the disk: everything that was queued before has been written, or has failed.
    ///
    /// # Errors
    /// If the newest of it could not be written, or the writer has ended.
    pub fn flush(&self) -> Result<(), HistoryError> {
        self.write(Write::Flush)
    }

    /// Waits for the disk: writes what is queued and ends the writer. Everything afterwards is refused.
    pub fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // Refused only by a writer that has ended already.
            let _ = self.messages.send(Message::Stop);
            if writer.join().is_err() {
                tracing::error!("the writer of history ended in a panic");
            }
        }
    }

    fn queue_or_drop(&self, write: Write) -> bool {
        let waiting = self.shared.queued.fetch_add(1, Ordering::Relaxed);
        let queued = waiting < self.queue
            && self.messages.try_send(Message::Entry(Entry { write, acknowledge: None })).is_ok();
        if !queued {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }

    fn queue_urgent(&self, write: Write, acknowledge: Acknowledge) {
        let entry = Entry { write, acknowledge: Some(acknowledge) };
        let (message, error) = match self.messages.try_send(Message::Entry(entry)) {
            Ok(()) => return,
            Err(TrySendError::Full(message)) => (message, HistoryError::Busy),
            Err(TrySendError::Disconnected(message)) => (message, HistoryError::Closed),
        };
        if let Message::Entry(Entry { acknowledge: Some(acknowledge), .. }) = message {
            acknowledge(Err(error));
        }
    }

    /// Queues, waiting for a place, and waits for the answer.
    fn write(&self, write: Write) -> Result<(), HistoryError> {
        let (answer, answered): (SyncSender<_>, Receiver<_>) = sync_channel(1);
        let acknowledge: Acknowledge = Box::new(move |result| {
            // Refused only if nobody waits any more.
            let _ = answer.send(result);
        });
        self.messages
            .send(Message::Entry(Entry { write, acknowledge: Some(acknowledge) }))
            .map_err(|_| HistoryError::Closed)?;
        answered.recv().map_err(|_| HistoryError::Closed)?
    }

    fn read<Value>(
        &self,
        query: impl FnOnce(&Connection) -> Result<Value, HistoryError>,
    ) -> Result<Value, HistoryError> {
        query(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.close();
    }
}

fn start(writer: Writer) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("history".to_owned()).spawn(move || writer.run())
}

fn limit(connection: &Connection, max_bytes: u64) -> rusqlite::Result<()> {
    let page_size: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    connection.query_row(&format!("PRAGMA max_page_count = {}", max_bytes / page_size.max(1)), [], |_| Ok(()))
}
