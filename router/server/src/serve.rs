//! Runs a router: its data port, what follows configuration and keys, and the signal to stop.

use std::{io, sync::Arc};

use tinydancer_history::History;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    arguments::Serve,
    data::{self, DataPlane},
    metrics::Metrics,
    runtime::Runtime,
    upstream::{Client, ClientError, Credentials, Upstreams},
};

/// What a router decides with and remembers in.
#[derive(Debug)]
pub struct Router {
    /// Decides.
    pub runtime: Arc<Runtime>,
    /// Remembers.
    pub history: Arc<History>,
    /// Name of the policy.
    pub policy: String,
}

/// Why a router does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port cannot be had.
    #[error("failed to listen on {address}: {source}; another address can be given with `--listen`")]
    Listen {
        /// The address.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("failed to receive signals: {0}")]
    Signals(io::Error),
    /// No upstream can be called.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Serves the data port until SIGTERM or Ctrl-C, then ends open requests and closes the history.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve(router: Router, arguments: &Serve) -> Result<(), ServeError> {
    let Router { runtime, history, policy } = router;
    let limits = arguments.limits();
    let credentials = Credentials::open(arguments.credentials());
    let upstreams = Arc::new(Upstreams::new(&runtime.configuration(), Arc::clone(&credentials)));
    let reported = Arc::clone(&upstreams);
    runtime.report_upstreams(move || reported.report());
    let client = Client::new(limits.answer)?;
    let address = arguments.listen();
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|source| ServeError::Listen { address: address.clone(), source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    tokio::spawn(Arc::clone(&upstreams).follow(runtime.configuration_changes()));
    tokio::spawn(credentials.follow());
    tokio::spawn(runtime.keep());
    let metrics = Arc::new(Metrics::new());
    let plane = DataPlane::new(Arc::clone(&runtime), history, upstreams, client, metrics, limits, policy);
    tracing::info!(%address, "serving");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    data::serve(listener, Arc::new(plane), stop).await;
    // A failure in there is logged by the history itself; the process ends all the same.
    let _ = tokio::task::spawn_blocking(move || runtime.close()).await;
    Ok(())
}
