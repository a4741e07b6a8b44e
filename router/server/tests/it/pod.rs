//! A pod without network: models, assignments, a clock that is moved by hand.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tinydancer_crds::{Configuration, Digest, RoutingPolicy, valid::validate};
use tinydancer_engine::{artifact, testing};
use tinydancer_guards::{ApplicableGuards, BasisPoints};
use tinydancer_history::{History, Options};
use tinydancer_protocol::{
    AssignedModel, Assignment, PROTOCOL_VERSION, PolicyIdentity, Trial, TrialStage, Watch,
};
use tinydancer_server::runtime::{
    BOOT_ASSIGNMENT, BOOT_MODEL, Clock, DecisionInput, Identity, PodOptions, RoutingDecision, Runtime,
};

/// The lease of every trial here, in seconds.
pub(crate) const LEASE: u64 = 10;

/// A clock that stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandClock(Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// What lies on disk for one pod. It outlives the process.
pub(crate) struct Disk {
    folder: TempDir,
    pub(crate) pod: String,
}

impl Disk {
    pub(crate) fn new(pod: &str) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap(), pod: pod.to_owned() };
        fs::create_dir(disk.boot()).unwrap();
        disk.write_key([7; 32]);
        disk
    }

    pub(crate) fn boot(&self) -> PathBuf {
        self.folder.path().join("boot")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("feedback.key")
    }

    pub(crate) fn history_file(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    pub(crate) fn write_key(&self, key: [u8; 32]) {
        fs::write(self.key_file(), key).unwrap();
    }

    pub(crate) fn write_boot(&self, assignment: &Assignment, model: Option<&[u8]>) {
        fs::write(self.boot().join(BOOT_ASSIGNMENT), serde_json::to_vec(assignment).unwrap()).unwrap();
        if let Some(bytes) = model {
            fs::write(self.boot().join(BOOT_MODEL), bytes).unwrap();
        }
    }

    /// Another disk with what a power cut right now would leave of this one.
    pub(crate) fn cut_off(&self) -> Self {
        let copy = Self::new(&self.pod);
        for name in ["history.db", "history.db-wal"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                fs::copy(from, copy.folder.path().join(name)).unwrap();
            }
        }
        copy
    }

    /// Starts the process.
    pub(crate) fn start(&self) -> Pod {
        self.start_with(&Options::default())
    }

    /// Starts the process with other bounds of its history.
    pub(crate) fn start_with(&self, options: &Options) -> Pod {
        let clock = HandClock::default();
        let (history, _) = History::open(&self.history_file(), options).unwrap();
        let history = Arc::new(history);
        let options =
            PodOptions { identity: identity(&self.pod), boot_folder: self.boot(), key_file: self.key_file() };
        let runtime = Runtime::pod(options, Arc::clone(&history), Arc::new(clock.clone())).unwrap();
        Pod { runtime, clock, history }
    }
}

/// A process that runs.
pub(crate) struct Pod {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) clock: HandClock,
    pub(crate) history: Arc<History>,
}

impl Pod {
    /// Decides on a prompt for a key.
    pub(crate) fn decide(&self, text: &str, key: &str) -> RoutingDecision {
        decide(&self.runtime, text, Some(key))
    }

    /// Puts a model and says its digest.
    pub(crate) fn put(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.runtime.put_model(digest, bytes.to_vec()).unwrap();
        digest
    }

    /// The process ends in good order.
    pub(crate) fn stop(self) {
        self.runtime.close();
    }
}

pub(crate) fn decide(runtime: &Runtime, text: &str, key: Option<&str>) -> RoutingDecision {
    let tags = BTreeMap::new();
    runtime.decide(&DecisionInput { text, tags: &tags, embedding: None, sticky_key: key.map(str::as_bytes) })
}

pub(crate) fn identity(pod: &str) -> Identity {
    Identity { pod: pod.to_owned(), namespace: "demo".to_owned(), policy: "support".to_owned() }
}

pub(crate) fn configuration() -> Configuration {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/tests/fixtures/policy.yaml");
    let policy: RoutingPolicy = tinydancer_crds::yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    validate(&policy).unwrap().configuration
}

/// A model that works; the same weights for the same seed.
pub(crate) fn model(version: &str) -> Vec<u8> {
    testing::artifact(version, 1).unwrap()
}

/// A model that loads and answers its known answers, and yields no number for prompts of more than 2,000 characters.
pub(crate) fn faulty_model() -> Vec<u8> {
    const LOG_CHARACTERS: usize = 0;
    const VERY_LONG: usize = 14;
    let mut parts = testing::parts(1);
    for (statistic, weight) in [(LOG_CHARACTERS, -100.0), (VERY_LONG, 100.0)] {
        parts.network.statistics_mean[statistic] = 0.0;
        parts.network.statistics_std[statistic] = 2e-38;
        for row in &mut parts.network.h0_weight {
            row[statistic] = 0.0;
        }
        parts.network.h0_weight[0][statistic] = weight;
    }
    artifact::write(&parts, &testing::metadata("faulty", 1), artifact::Precision::F32).unwrap()
}

pub(crate) fn long_prompt() -> String {
    "a long story ".repeat(200)
}

fn assigned(digest: Digest) -> AssignedModel {
    AssignedModel { name: "model".to_owned(), version: "1".to_owned(), digest }
}

/// An assignment without trial.
pub(crate) fn settled(epoch: u64, stable: Option<Digest>) -> Assignment {
    Assignment {
        protocol_version: PROTOCOL_VERSION,
        policy: PolicyIdentity {
            namespace: "demo".to_owned(),
            name: "support".to_owned(),
            uid: "uid-1".to_owned(),
        },
        epoch,
        configuration: configuration(),
        stable: stable.map(assigned),
        trial: None,
        watch: None,
        calibration: None,
    }
}

/// An assignment with a trial; outside a canary the percentage must be 0.
pub(crate) fn on_trial(
    epoch: u64,
    stable: Option<Digest>,
    candidate: Digest,
    attempt: u64,
    stage: TrialStage,
    percent: u8,
) -> Assignment {
    let guards = if stable.is_some() { ApplicableGuards::all() } else { ApplicableGuards::first_model() };
    let trial = Trial {
        model: assigned(candidate),
        attempt,
        stage,
        weight: BasisPoints::from_percent(percent),
        lease_seconds: u32::try_from(LEASE).unwrap(),
        guards,
    };
    Assignment { trial: Some(trial), ..settled(epoch, stable) }
}

/// An assignment in the watch after a promotion.
pub(crate) fn promoted(epoch: u64, stable: Digest, previous: Digest, attempt: u64) -> Assignment {
    let watch = Watch { previous: assigned(previous), attempt, guards: ApplicableGuards::watch() };
    Assignment { watch: Some(watch), ..settled(epoch, Some(stable)) }
}

/// A pod with a stable model, and a candidate in a canary of so many percent.
pub(crate) fn canary(disk: &Disk, candidate: &[u8], percent: u8) -> (Pod, Assignment) {
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(candidate));
    let assignment = on_trial(2, Some(stable), candidate, 1, TrialStage::Canary, percent);
    pod.runtime.assign(assignment.clone()).unwrap();
    (pod, assignment)
}
