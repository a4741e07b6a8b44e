//! The control port: TLS 1.3 with certificates on both sides, for the operator and the other routers of the fleet.

mod forward;
mod peer;
mod routes;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::Layer as _;

pub use forward::Forwarder;
pub use tls::{Certificates, TlsError};

use crate::runtime::{Identity, Runtime};
use peer::Peer;

/// Connections at a time: one operator, a standby and the other pods of a fleet.
const CONNECTIONS: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a connection may be quiet; longer than the operator's slow rhythm.
const QUIET_TIME: Duration = Duration::from_secs(90);
/// How often the certificates' files are looked at.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);
/// How long calls that are under way may take once the port closes.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// The control port of one pod.
#[derive(Debug)]
pub struct Control {
    /// Which pod this is.
    pub identity: Identity,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// What the calls act on.
    pub runtime: Arc<Runtime>,
}

impl Control {
    /// Serves until `shutdown` ends, then lets calls that are under way finish.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let router = routes::router(Arc::clone(&self.runtime));
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let open = GracefulShutdown::new();
        let mut reload = interval(RELOAD_PERIOD);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = reload.tick() => self.reload(),
                (stream, from, slot) = accept(&listener, &slots) => {
                    let acceptor = TlsAcceptor::from(self.certificates.configs().server);
                    let connection =
                        connection(stream, from, acceptor, self.identity.clone(), router.clone(), open.watcher());
                    tokio::spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
            }
        }
        drop(listener);
        if timeout(CLOSING_TIME, open.shutdown()).await.is_err() {
            tracing::warn!("calls of the control port were cut off at the end");
        }
    }

    fn reload(&self) {
        let certificates = Arc::clone(&self.certificates);
        tokio::task::spawn_blocking(move || match certificates.reload() {
            Ok(true) => tracing::info!("certificates of the control port were read again"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "certificates cannot be read again; those before stay"),
        });
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a permit.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => return (stream, from, slot),
            Err(error) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!(%error, "failed to accept a connection to the control port");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: TlsAcceptor,
    own: Identity,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let stream = match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "refused a connection to the control port"),
        Err(_) => {
            return tracing::debug!(%from, "a connection to the control port did not finish its handshake");
        }
    };
    let peer = Peer::of(stream.get_ref().1.peer_certificates(), &own);
    let service = TowerToHyperService::new(axum::Extension(peer).layer(router));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(QUIET_TIME);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(16).keep_alive_interval(QUIET_TIME);
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    if let Err(error) = served.await {
        tracing::debug!(%from, %error, "a connection to the control port broke");
    }
}
