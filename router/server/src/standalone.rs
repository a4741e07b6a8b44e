//! A router that runs alone, from the manifest a cluster would take.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tinydancer_crds::{Problem, RoutingPolicy, ValidPolicy, valid::validate, yaml};
use tinydancer_history::{History, HistoryError};

use crate::{
    arguments::Serve,
    history,
    runtime::{KeyError, ModelError, ModelFileError, Runtime, read_model, read_or_make_key},
    serve::Router,
};

const HISTORY_FILE: &str = "history.db";
const KEY_FILE: &str = "feedback.key";

/// Why a router cannot run alone.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// A file is not there or cannot be read.
    #[error("failed to read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The manifest is no RoutingPolicy.
    #[error("{path} must be a RoutingPolicy: {source}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: yaml::YamlError,
    },
    /// The policy has fields that cannot be right.
    #[error("{path} is not valid:{list}", path = path.display(), list = list(problems))]
    Policy {
        /// The file.
        path: PathBuf,
        /// Every problem.
        problems: Vec<Problem>,
    },
    /// The artifact is not there or is none.
    #[error("failed to read {path}: {source}", path = path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ModelFileError,
    },
    /// The artifact cannot be run.
    #[error("{path} cannot be used: {source}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ModelError,
    },
    /// There is no place for the history.
    #[error("`--data` must be given: neither XDG_STATE_HOME nor HOME says where the history may go")]
    NoStateFolder,
    /// The folder for the history cannot be made.
    #[error("failed to make the folder {path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The history cannot be opened.
    #[error("{0}; another folder can be given with `--data`")]
    History(#[from] HistoryError),
    /// Decisions cannot be named.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Reads manifest and model and opens the history.
///
/// # Errors
/// [`StandaloneError`], naming the file and what is wrong with it.
pub fn prepare(arguments: &Serve, policy_file: &Path) -> Result<Router, StandaloneError> {
    let policy = read_policy(policy_file)?;
    let folder = match &arguments.data {
        Some(folder) => folder.clone(),
        None => state_folder()?.join(policy.name.as_str()),
    };
    fs::create_dir_all(&folder).map_err(|source| StandaloneError::Folder { path: folder.clone(), source })?;
    let history = history::open(
        &folder.join(HISTORY_FILE),
        arguments.history_bytes,
        policy.configuration.retention_days,
    )?;
    let key = read_or_make_key(&folder.join(KEY_FILE))?;
    let runtime = runtime(arguments.model.as_deref(), &policy, &history, key)?;
    tracing::info!(policy = %policy.name, data = %folder.display(), "runs alone");
    Ok(Router { runtime, history, policy: policy.name.to_string(), fleet: None })
}

fn runtime(
    model: Option<&Path>,
    policy: &ValidPolicy,
    history: &Arc<History>,
    key: [u8; 32],
) -> Result<Arc<Runtime>, StandaloneError> {
    let bytes = model.map(read_artifact).transpose()?;
    let configuration = policy.configuration.clone();
    Runtime::standalone(configuration, bytes.as_deref(), Arc::clone(history), key)
        .map_err(|source| StandaloneError::Model { path: model.unwrap_or(Path::new("")).to_owned(), source })
}

/// Reads and checks a manifest.
///
/// # Errors
/// [`StandaloneError`] with every problem.
pub fn read_policy(path: &Path) -> Result<ValidPolicy, StandaloneError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let policy: RoutingPolicy = yaml::from_str(&text)
        .map_err(|source| StandaloneError::Manifest { path: path.to_owned(), source })?;
    validate(&policy).map_err(|problems| StandaloneError::Policy { path: path.to_owned(), problems })
}

fn read(path: &Path) -> Result<Vec<u8>, StandaloneError> {
    fs::read(path).map_err(|source| StandaloneError::Read { path: path.to_owned(), source })
}

fn read_artifact(path: &Path) -> Result<Vec<u8>, StandaloneError> {
    read_model(path).map_err(|source| StandaloneError::ModelFile { path: path.to_owned(), source })
}

/// Where a user's programs keep their state (XDG Base Directory Specification).
fn state_folder() -> Result<PathBuf, StandaloneError> {
    let folder = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state.map(|state| state.join("tiny-dancer")).ok_or(StandaloneError::NoStateFolder)
}

fn list(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut list, problem| {
        // Writing to a string cannot fail.
        let _ = write!(list, "\n  {problem}");
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_manifest_is_named_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let good = include_str!("../../../crds/tests/fixtures/policy.yaml");
        fs::write(
            &path,
            good.replace("http://small", "ftp://small").replace("permille: 50", "permille: 5000"),
        )
        .unwrap();
        let message = read_policy(&path).unwrap_err().to_string();
        for part in ["policy.yaml is not valid", "spec.candidates[0].endpoint", "spec.decision.risk.permille"]
        {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn bug_15_a_model_without_end_is_refused_by_name_and_not_read() {
        let message = read_artifact(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(message, "failed to read /dev/zero: an artifact must have at most 184320 bytes");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let message = read_policy(Path::new("/does/not/exist.yaml")).unwrap_err().to_string();
        assert!(message.contains("/does/not/exist.yaml"), "{message}");
    }
}
