//! The deciding heart of a router: the models, the trial, the evidence and what is kept of it all.
//!
//! [`Runtime`] is shared behind an `Arc`. Deciding reads one immutable snapshot, touches no disk and waits for nobody but
//! the few instructions that add an observation to the evidence.

mod arms;
mod audits;
mod beside;
mod boot;
mod clock;
mod decide;
mod decision;
mod decision_id;
mod draw;
mod drift;
mod feedback;
mod held;
mod keeper;
mod keys;
mod ledger;
mod lock;
mod model;
mod model_file;
mod models;
mod opinions;
mod own_embedding;
mod replay;
mod report;
mod step;
mod sums;
mod transition;
mod trips;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use arc_swap::ArcSwap;
use tinydancer_crds::{
    Configuration, Digest,
    valid::{BreakerSettings, DecisionRule, GuardMargins, Permille},
};
use tinydancer_engine::{
    embedding::{EmbeddingSpace, MOST_DIMENSIONS},
    token_table::TokenTable,
};
use tinydancer_history::{Feedback as FeedbackRecord, Forward, History, HistoryError, Outcome};
use tinydancer_protocol::UpstreamReport;
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

pub use audits::{AuditedDecision, Grades};
pub use beside::WatchState;
pub use boot::{BOOT_ASSIGNMENT, BOOT_MODEL};
pub use clock::{Clock, MonotonicClock};
pub use decision::{Arm, DecisionInput, ModelRole, RoutingDecision, ScoringTime, Stages};
pub use decision_id::{DecisionId, DecisionIdError, DecisionKey};
pub use feedback::{
    Feedback, FeedbackAccepted, FeedbackError, FeedbackOutcome, FeedbackSource, UpstreamOutcome,
};
pub use keys::{KeyError, read_key, read_or_make_key};
pub use model::ModelError;
pub use model_file::ModelFileError;
pub(crate) use model_file::read as read_model;
pub use own_embedding::OtherSpace;
pub use replay::ReplayError;
pub use transition::{AssignError, PutModelError};

use arms::Arms;
use keys::DecisionKeys;
use model::LoadedModel;
use sums::Sums;
use trips::Trips;

/// What a router that runs alone calls itself.
const ALONE: &str = "local";

/// Which pod this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the policy whose fleet it belongs to.
    pub policy: String,
}

/// From what a pod starts.
#[derive(Debug, Clone)]
pub struct PodOptions {
    /// Which pod this is.
    pub identity: Identity,
    /// Folder with [`BOOT_ASSIGNMENT`] and [`BOOT_MODEL`].
    pub boot_folder: PathBuf,
    /// File with the fleet's decision key; read again when it changes.
    pub key_file: PathBuf,
}

/// Why a pod cannot start. Everything else it starts without.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Decisions could not be named.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The trips of an earlier life cannot be read, and a bad model might go live again.
    #[error("failed to read the history: {0}")]
    History(#[from] HistoryError),
}

/// Whether requests can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready {
        /// Whether a model classifies them; without one everything goes to Powerful.
        classified: bool,
    },
    /// Not yet, and what is waited for.
    Waiting(&'static str),
}

type UpstreamReports = Box<dyn Fn() -> Vec<UpstreamReport> + Send + Sync>;

/// Decides, counts and remembers. Share it behind an `Arc`; every method may be called from many tasks at once, those that
/// wait for the disk from threads that may block.
pub struct Runtime {
    pod: Box<str>,
    /// `None` for a router that runs alone.
    identity: Option<Identity>,
    incarnation: Uuid,
    clock: Arc<dyn Clock>,
    history: Arc<History>,
    keys: ArcSwap<DecisionKeys>,
    key_file: Option<PathBuf>,
    arms: ArcSwap<Arms>,
    /// Held while one snapshot is made from another.
    transitions: Mutex<()>,
    configuration: watch::Sender<Arc<Configuration>>,
    trips: Mutex<Trips>,
    sums: Mutex<Sums>,
    /// Wakes the keeper.
    tripped: Arc<Notify>,
    /// Wakes whoever passes feedback on.
    forwards: Arc<Notify>,
    upstreams: OnceLock<UpstreamReports>,
    /// Makes embeddings for requests that come without one.
    token_table: OnceLock<TokenTable>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runtime").field("pod", &self.pod).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Waits for the disk. A router that runs alone: this configuration, this model, nobody to change them.
    ///
    /// # Errors
    /// If the bytes are not a model that can run here.
    pub fn standalone(
        configuration: Configuration,
        model: Option<&[u8]>,
        history: Arc<History>,
        key: [u8; 32],
    ) -> Result<Arc<Self>, ModelError> {
        let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::start());
        let load = |bytes| LoadedModel::load(Digest::of(bytes), bytes).map(Arc::new);
        let stable = model.map(load).transpose()?;
        let arms = Arms { configuration: Some(Arc::new(configuration)), stable, ..Arms::empty(clock.now()) };
        let runtime = Self::new(ALONE.to_owned(), history, DecisionKeys::new(key), clock);
        runtime.publish(arms);
        Ok(Arc::new(runtime))
    }

    /// Waits for the disk. A pod of a fleet, from the newer of its volume and the boot folder, with the stable model only.
    ///
    /// # Errors
    /// [`StartError`]. What is wrong with boot folder or stored models is logged and does without.
    pub fn pod(
        options: PodOptions,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let keys = DecisionKeys::new(read_key(&options.key_file)?);
        let mut trips = Trips::restored(&history.trips()?);
        let empty = Arms::empty(clock.now());
        let begun = boot::begin(&options.identity, &options.boot_folder, &history, empty.clone(), &mut trips);
        let pod = options.identity.pod.clone();
        let mut runtime = Self::new(pod, history, keys, clock);
        runtime.identity = Some(options.identity);
        runtime.key_file = Some(options.key_file);
        runtime.trips = Mutex::new(trips);
        let before = Arms { stable: begun.stable.clone(), ..empty };
        runtime.publish(runtime.next(&before, begun));
        Ok(Arc::new(runtime))
    }

    fn new(pod: String, history: Arc<History>, keys: DecisionKeys, clock: Arc<dyn Clock>) -> Self {
        Self {
            pod: pod.into(),
            identity: None,
            incarnation: Uuid::new_v4(),
            arms: ArcSwap::from_pointee(Arms::empty(clock.now())),
            clock,
            keys: ArcSwap::from_pointee(keys),
            key_file: None,
            transitions: Mutex::new(()),
            configuration: watch::Sender::new(Arc::new(nothing_configured())),
            trips: Mutex::default(),
            sums: Mutex::new(restored_sums(&history)),
            tripped: Arc::default(),
            forwards: Arc::default(),
            upstreams: OnceLock::new(),
            token_table: OnceLock::new(),
            history,
        }
    }

    /// Says who can tell about the upstreams in reports; the first to say so counts.
    pub fn report_upstreams(&self, report: impl Fn() -> Vec<UpstreamReport> + Send + Sync + 'static) {
        // A second one would be a second data plane.
        let _ = self.upstreams.set(Box::new(report));
    }

    /// The configuration that holds; without a candidate before the first assignment.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.configuration.borrow().clone()
    }

    /// Tells when another configuration holds.
    pub fn configuration_changes(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.subscribe()
    }

    /// Whether requests can be taken.
    pub fn ready(&self) -> Readiness {
        let arms = self.arms.load();
        if arms.configuration.is_none() {
            return Readiness::Waiting("an assignment: there is none on the volume or in the boot folder");
        }
        Readiness::Ready { classified: arms.serving().is_some() }
    }

    /// Whether an embedding is one that the serving model can read, or takes no notice of. It is set aside, and nobody is blamed,
    /// where another model that scores the same request reads others.
    ///
    /// # Errors
    /// What is wrong with it, in words that go on after its name.
    pub fn check_embedding(&self, embedding: &[f32]) -> Result<(), String> {
        if !(1..=MOST_DIMENSIONS).contains(&embedding.len()) {
            return Err(format!("must have 1 to {MOST_DIMENSIONS} numbers, not {}", embedding.len()));
        }
        if embedding.iter().any(|number| !number.is_finite()) || embedding.iter().all(|number| *number == 0.0)
        {
            return Err("must be finite numbers, not all of them 0".to_owned());
        }
        let arms = self.arms.load();
        let space = arms.serving().and_then(|model| model.engine().embedding_space());
        match space.filter(|space| space.dimensions != embedding.len()) {
            Some(EmbeddingSpace { name, dimensions, .. }) => {
                Err(format!("must have the {dimensions} numbers of {name}, not {}", embedding.len()))
            }
            None => Ok(()),
        }
    }

    /// Whether a promoted model is watched, and whether it was left.
    pub fn watch_state(&self) -> WatchState {
        self.arms.load().watch_state()
    }

    /// Keeps what an upstream made of a request, and adds it to the evidence of a trial that the decision belongs to, unless the
    /// request was `explored`: then no model sent it there. Never waits: under pressure the record is dropped and counted.
    pub fn record_outcome(&self, id: &DecisionId, explored: bool, outcome: UpstreamOutcome) {
        if !explored && let Some(ledger) = &self.arms.load().ledger {
            ledger.observe_outcome(id, !outcome.succeeded);
        }
        self.history.record_outcome(Outcome {
            decision_id: id.as_str().to_owned(),
            succeeded: outcome.succeeded,
            latency_ms: outcome.latency_millis,
            prompt_tokens: outcome.prompt_tokens,
            completion_tokens: outcome.completion_tokens,
            cost_micro_dollars: outcome.cost_micro_dollars,
        });
    }

    /// Takes feedback; when this returns without an error, no crash loses it any more.
    ///
    /// # Errors
    /// [`FeedbackError`]; then nothing new was kept.
    pub async fn feedback(&self, feedback: Feedback) -> Result<FeedbackAccepted, FeedbackError> {
        let id = self.keys.load().read(&feedback.decision_id)?;
        let record = feedback.into_record()?;
        if id.pod() == &*self.pod {
            durable(|acknowledge| self.history.record_feedback(record, acknowledge)).await?;
            return Ok(FeedbackAccepted::Recorded);
        }
        let owner = id.pod().to_owned();
        durable(|acknowledge| self.history.record_forward(owner, record, acknowledge)).await?;
        self.forwards.notify_one();
        Ok(FeedbackAccepted::Forwarding)
    }

    /// Takes feedback on a decision of this pod that another pod accepted. If there is other feedback already, the first one
    /// counts and this one is done with.
    ///
    /// # Errors
    /// [`FeedbackError`]; then the other pod keeps it.
    pub async fn take_over(&self, record: FeedbackRecord) -> Result<(), FeedbackError> {
        let id = self.keys.load().read(&record.decision_id)?;
        feedback::check_score(record.score)?;
        if id.pod() != &*self.pod {
            return Err(FeedbackError::OtherPod);
        }
        match durable(|acknowledge| self.history.record_feedback(record, acknowledge)).await {
            Ok(()) | Err(FeedbackError::AlreadyGiven) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Wakes when there is feedback to pass on.
    pub(crate) fn forwards_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.forwards)
    }

    /// Waits for the disk. Feedback that waits for the pod that decided, oldest first.
    pub(crate) fn pending_forwards(&self, limit: u32) -> Result<Vec<Forward>, HistoryError> {
        self.history.pending_forwards(limit)
    }

    /// Waits for the disk. The pod that decided has it.
    pub(crate) fn forward_delivered(&self, sequence: i64) -> Result<(), HistoryError> {
        self.history.forward_delivered(sequence)
    }

    /// Epoch of the assignment that holds; 0 before the first.
    pub(crate) fn epoch(&self) -> u64 {
        self.arms.load().held.as_ref().map_or(0, |held| held.assignment.epoch)
    }
}

/// Hands a write its callback and waits for the call.
async fn durable(
    write: impl FnOnce(Box<dyn FnOnce(Result<(), HistoryError>) + Send>),
) -> Result<(), FeedbackError> {
    let (answer, answered) = oneshot::channel();
    write(Box::new(move |result| {
        // Refused only if the client has gone, which changes nothing about what is kept.
        let _ = answer.send(result);
    }));
    Ok(answered.await.unwrap_or(Err(HistoryError::Closed))?)
}

/// What holds before anything was assigned: nothing can be served with it.
const fn nothing_configured() -> Configuration {
    const ZERO: Permille = Permille::new(0).unwrap();
    Configuration {
        candidates: Vec::new(),
        decision: DecisionRule::Risk { permille: ZERO },
        breaker: BreakerSettings {
            consecutive_failures: 1,
            failure_rate: ZERO,
            adaptive: false,
            minimum_requests: 1,
            open_seconds: 1,
            max_open_seconds: 1,
            half_open_probes: 1,
        },
        guards: GuardMargins {
            uncertainty: ZERO,
            escalation: ZERO,
            error_rate: ZERO,
            flip_rate: ZERO,
            latency_budget_microseconds: 0,
            slow_rate: ZERO,
            upstream: ZERO,
            alpha: ZERO,
        },
        retention_days: 1,
        audit: None,
        explore_permille: 0,
    }
}

/// What audits of earlier lives of this volume have found.
fn restored_sums(history: &History) -> Sums {
    match history.pair_sums() {
        Ok(stored) => Sums::restored(&stored),
        Err(error) => {
            tracing::error!(%error, "failed to read the sums of past audits; they begin anew");
            Sums::default()
        }
    }
}
