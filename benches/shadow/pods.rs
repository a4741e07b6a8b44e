//! Pods that differ in nothing but what is compared with the serving model.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow};
use tinydancer_crds::{Configuration, Digest, RoutingPolicy, valid::validate};
use tinydancer_guards::{ApplicableGuards, BasisPoints};
use tinydancer_history::{History, Options};
use tinydancer_protocol::{
    AssignedModel, Assignment, PROTOCOL_VERSION, PolicyIdentity, Trial, TrialStage, Watch,
};
use tinydancer_server::runtime::{Identity, MonotonicClock, PodOptions, Runtime};

use crate::in_checkout;

/// Long enough for the whole run.
const LEASE_SECONDS: u32 = 3600;

/// A router without network.
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) runtime: Arc<Runtime>,
}

/// What is compared with the serving model.
enum Beside {
    Nothing,
    Trial(TrialStage, u8),
    Previous,
}

/// The pods, the one without a second model first.
pub(crate) fn all(folder: &Path) -> Result<Vec<Pod>> {
    [
        ("no second model", Beside::Nothing),
        ("candidate in Shadow", Beside::Trial(TrialStage::Shadow, 0)),
        ("candidate in Canary at 50 percent", Beside::Trial(TrialStage::Canary, 50)),
        ("promoted, the one before is watched", Beside::Previous),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (name, beside))| {
        Ok(Pod { name, runtime: runtime(&folder.join(number.to_string()), &beside)? })
    })
    .collect()
}

/// Where the shipped models are.
pub(crate) fn models() -> PathBuf {
    in_checkout("models")
}

fn runtime(folder: &Path, beside: &Beside) -> Result<Arc<Runtime>> {
    fs::create_dir_all(folder.join("boot"))?;
    let key_file = folder.join("feedback.key");
    fs::write(&key_file, [7; 32])?;
    let (history, _) = History::open(&folder.join("history.db"), &Options::default())?;
    let identity = Identity { pod: "support-0".into(), namespace: "demo".into(), policy: "support".into() };
    let options = PodOptions { identity, boot_folder: folder.join("boot"), key_file };
    let runtime = Runtime::pod(options, Arc::new(history), Arc::new(MonotonicClock::start()))?;
    let (old, new) = (put(&runtime, "support-v1")?, put(&runtime, "support-v2")?);
    runtime.assign(assignment(beside, old, new)?)?;
    Ok(runtime)
}

fn put(runtime: &Runtime, name: &str) -> Result<AssignedModel> {
    let path = models().join(format!("{name}.safetensors"));
    let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let digest = Digest::of(&bytes);
    runtime.put_model(digest, bytes)?;
    Ok(AssignedModel { name: name.to_owned(), version: "1".to_owned(), digest })
}

fn assignment(beside: &Beside, old: AssignedModel, new: AssignedModel) -> Result<Assignment> {
    let mut assignment = Assignment {
        protocol_version: PROTOCOL_VERSION,
        policy: PolicyIdentity { namespace: "demo".into(), name: "support".into(), uid: "uid-1".into() },
        epoch: 1,
        configuration: configuration()?,
        stable: Some(old.clone()),
        trial: None,
        watch: None,
        calibration: None,
    };
    match beside {
        Beside::Nothing => {}
        Beside::Trial(stage, percent) => {
            assignment.trial = Some(Trial {
                model: new,
                attempt: 1,
                stage: *stage,
                weight: BasisPoints::from_percent(*percent),
                lease_seconds: LEASE_SECONDS,
                guards: ApplicableGuards::all(),
            });
        }
        Beside::Previous => {
            assignment.stable = Some(new);
            assignment.watch = Some(Watch { previous: old, attempt: 1, guards: ApplicableGuards::watch() });
        }
    }
    Ok(assignment)
}

fn configuration() -> Result<Configuration> {
    let text = fs::read_to_string(in_checkout("crds/tests/fixtures/policy.yaml"))?;
    let policy: RoutingPolicy = tinydancer_crds::yaml::from_str(&text)?;
    let valid = validate(&policy).map_err(|problems| anyhow!("the policy must be valid: {problems:?}"))?;
    Ok(valid.configuration)
}
