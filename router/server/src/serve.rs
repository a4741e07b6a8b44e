//! Runs a router: its ports, what follows configuration and keys, and the signal to stop.

use std::{io, sync::Arc};

use tinydancer_history::History;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};

use crate::{
    arguments::Serve,
    control::{Certificates, Control, Forwarder},
    data::{self, DataPlane, Limits},
    metrics::Metrics,
    runtime::{Identity, Runtime},
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
    /// The fleet around it; none for a router that runs alone.
    pub fleet: Option<Fleet>,
}

/// What a pod needs to talk to the operator and the other pods.
#[derive(Debug)]
pub struct Fleet {
    /// Which pod this is.
    pub identity: Identity,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// Under which every pod has its name.
    pub peer_domain: String,
}

/// Why a router does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port cannot be had.
    #[error("failed to listen on {address}: {source}; another address can be given with `{option}`")]
    Listen {
        /// The address.
        address: String,
        /// The argument that says so.
        option: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The port has no address.
    #[error("failed to learn the address of the data port: {0}")]
    Address(io::Error),
    /// Signals cannot be received.
    #[error("failed to receive signals: {0}")]
    Signals(io::Error),
    /// No upstream can be called.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The other pods cannot be named.
    #[error("failed to make a server name of namespace and policy: {0}")]
    ServerName(#[from] rustls_pki_types::InvalidDnsNameError),
}

/// Serves until SIGTERM or Ctrl-C, then ends open requests and closes the history.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve(router: Router, arguments: &Serve) -> Result<(), ServeError> {
    let Router { runtime, history, policy, fleet } = router;
    let listener = listen(arguments.listen(), "--listen").await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let plane = plane(&runtime, history, policy, arguments.limits(), arguments)?;
    let control = match fleet {
        Some(fleet) => Some(join_fleet(fleet, &runtime, arguments).await?),
        None => None,
    };
    tokio::spawn(runtime.keep());
    let address = listener.local_addr().map_err(ServeError::Address)?;
    tracing::info!(%address, "serving");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    data::serve(listener, plane, stop).await;
    if let Some((stop, control)) = control {
        // The port may have ended by itself; then nobody listens.
        let _ = stop.send(());
        let _ = control.await;
    }
    // A failure in there is logged by the history itself; the process ends all the same.
    let _ = tokio::task::spawn_blocking(move || runtime.close()).await;
    Ok(())
}

/// The data plane, and beside it what follows configuration and keys.
fn plane(
    runtime: &Arc<Runtime>,
    history: Arc<History>,
    policy: String,
    limits: Limits,
    arguments: &Serve,
) -> Result<Arc<DataPlane>, ClientError> {
    let client = Client::new(limits.held_back)?;
    let credentials = Credentials::open(arguments.credentials());
    let upstreams = Arc::new(Upstreams::new(&runtime.configuration(), Arc::clone(&credentials)));
    let reported = Arc::clone(&upstreams);
    runtime.report_upstreams(move || reported.report());
    tokio::spawn(Arc::clone(&upstreams).follow(runtime.configuration_changes()));
    tokio::spawn(credentials.follow());
    let metrics = Arc::new(Metrics::new());
    let plane = DataPlane::new(Arc::clone(runtime), history, upstreams, client, metrics, limits, policy);
    Ok(Arc::new(plane))
}

/// Opens the control port and begins to pass feedback on.
async fn join_fleet(
    fleet: Fleet,
    runtime: &Arc<Runtime>,
    arguments: &Serve,
) -> Result<(oneshot::Sender<()>, JoinHandle<()>), ServeError> {
    let Fleet { identity, certificates, peer_domain } = fleet;
    let listener = listen(arguments.control_listen.to_string(), "--control-listen").await?;
    let port = arguments.control_listen.port();
    let address = move |pod: &str| format!("{pod}.{peer_domain}:{port}");
    let forwarder = Forwarder::new(Arc::clone(runtime), Arc::clone(&certificates), &identity, address)?;
    tokio::spawn(forwarder.run());
    let (stop, stopped) = oneshot::channel();
    let control = Control { identity, certificates, runtime: Arc::clone(runtime) };
    let serving = tokio::spawn(control.serve(listener, async {
        // A sender that is gone means the process ends.
        let _ = stopped.await;
    }));
    Ok((stop, serving))
}

async fn listen(address: String, option: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(&address).await.map_err(|source| ServeError::Listen { address, option, source })
}
