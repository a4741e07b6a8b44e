//! A router in a pod of a fleet.

use std::{env, path::PathBuf, sync::Arc};

use tinydancer_history::HistoryError;

use crate::{
    arguments::Serve,
    control::{Certificates, TlsError},
    history,
    runtime::{Identity, MonotonicClock, PodOptions, Runtime, StartError},
    serve::{Fleet, Router},
};

const HISTORY_FILE: &str = "history.db";
const KEY_FILE: &str = "feedback.key";
/// Days that decisions are kept until the pod knows its configuration.
const RETENTION_DAYS: u32 = 30;

/// Why a pod cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The pod does not know who it is.
    #[error("the environment variable {0} must be set in a pod")]
    Environment(&'static str),
    /// A folder was not given.
    #[error("`{0}` must be given in a pod")]
    Folder(&'static str),
    /// The certificates cannot be used.
    #[error("failed to read the certificates in {folder}", folder = folder.display())]
    Certificates {
        /// Their folder.
        folder: PathBuf,
        /// The reason.
        source: TlsError,
    },
    /// The history cannot be opened.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The runtime cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Waits for the disk. Reads what a pod starts from.
///
/// # Errors
/// [`PodError`], naming the folder or variable.
pub fn prepare(arguments: &Serve) -> Result<Router, PodError> {
    let boot_folder = given(arguments.boot.as_ref(), "--boot")?;
    let tls = given(arguments.tls.as_ref(), "--tls")?;
    let credentials = given(arguments.credentials.as_ref(), "--credentials")?;
    let data = given(arguments.data.as_ref(), "--data")?;
    let identity = Identity {
        pod: variable("POD_NAME")?,
        namespace: variable("POD_NAMESPACE")?,
        policy: variable("POLICY_NAME")?,
    };
    let peer_domain = variable("PEER_DOMAIN")?;
    let certificates =
        Certificates::read(&tls).map_err(|source| PodError::Certificates { folder: tls, source })?;
    let history = history::open(&data.join(HISTORY_FILE), arguments.history_bytes, RETENTION_DAYS)?;
    let options =
        PodOptions { identity: identity.clone(), boot_folder, key_file: credentials.join(KEY_FILE) };
    let runtime = Runtime::pod(options, Arc::clone(&history), Arc::new(MonotonicClock::start()))?;
    tracing::info!(pod = %identity.pod, policy = %identity.policy, "starts in a fleet");
    let policy = identity.policy.clone();
    let fleet = Fleet { identity, certificates: Arc::new(certificates), peer_domain };
    Ok(Router { runtime, history, policy, fleet: Some(fleet) })
}

fn given(folder: Option<&PathBuf>, name: &'static str) -> Result<PathBuf, PodError> {
    folder.cloned().ok_or(PodError::Folder(name))
}

fn variable(name: &'static str) -> Result<String, PodError> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or(PodError::Environment(name))
}
