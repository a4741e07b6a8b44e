//! Passes feedback on to the pods that decided. What is in the outbox stays there until its owner says that it has it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tinydancer_history::{Forward, HistoryError};
use tinydancer_protocol::{PEER_FEEDBACK_PATH, router_server_name};
use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::Certificates;
use crate::runtime::{Identity, Runtime};

/// How many are looked at in one round, oldest first.
const ROUND: u32 = 4_096;
/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_BYTES: usize = 16 << 10;
/// The first wait after a pod could not be reached; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where a pod's control port is, by the pod's name.
type Address = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Passes on what this pod accepted for others.
pub struct Forwarder {
    runtime: Arc<Runtime>,
    certificates: Arc<Certificates>,
    server_name: ServerName<'static>,
    address: Address,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Forwarder").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Why feedback was not passed on this time.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("failed to connect")]
    Connect(#[from] std::io::Error),
    #[error("failed to talk to it")]
    Http(#[from] hyper::Error),
    #[error("failed to write the call")]
    Call(#[from] http::Error),
    #[error("failed to write the feedback as JSON")]
    Json(#[from] serde_json::Error),
    #[error("it must answer 200, not {0}")]
    Status(StatusCode),
    #[error("it must answer within {} s", PATIENCE.as_secs())]
    Time(#[from] tokio::time::error::Elapsed),
    #[error("failed to note it in the history")]
    History(#[from] HistoryError),
    #[error("the work ended in a panic")]
    Work(#[from] tokio::task::JoinError),
}

/// When a pod that could not be reached is tried again.
struct Wait {
    length: Duration,
    until: Instant,
}

impl Forwarder {
    /// For the fleet of this pod; `address` says where a pod's control port is (`host:port`), by the pod's name.
    ///
    /// # Errors
    /// If no server name can be made of namespace and policy.
    pub fn new(
        runtime: Arc<Runtime>,
        certificates: Arc<Certificates>,
        identity: &Identity,
        address: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self, rustls_pki_types::InvalidDnsNameError> {
        let server_name = ServerName::try_from(router_server_name(&identity.namespace, &identity.policy))?;
        Ok(Self { runtime, certificates, server_name, address: Box::new(address) })
    }

    /// Passes on, for ever.
    pub async fn run(self) {
        let changed = self.runtime.forwards_changed();
        let mut waits = BTreeMap::new();
        loop {
            self.round(&mut waits).await;
            let next = waits.values().map(|wait: &Wait| wait.until).min();
            let next = next.unwrap_or_else(|| Instant::now() + LONGEST_WAIT);
            // Whether something new came or a wait is over, the same is done.
            let _ = timeout_at(next, changed.notified()).await;
        }
    }

    async fn round(&self, waits: &mut BTreeMap<String, Wait>) {
        let runtime = Arc::clone(&self.runtime);
        let pending = match spawn_blocking(move || runtime.pending_forwards(ROUND)).await {
            Ok(Ok(pending)) => pending,
            Ok(Err(error)) => {
                return tracing::warn!(%error, "failed to read the feedback that is to be passed on");
            }
            Err(error) => return tracing::error!(%error, "reading the feedback to pass on ended in a panic"),
        };
        let mut by_owner: BTreeMap<String, Vec<Forward>> = BTreeMap::new();
        for forward in pending {
            by_owner.entry(forward.owner.clone()).or_default().push(forward);
        }
        waits.retain(|owner, _| by_owner.contains_key(owner));
        for (owner, forwards) in by_owner {
            if waits.get(&owner).is_some_and(|wait| wait.until > Instant::now()) {
                continue;
            }
            match self.deliver(&owner, &forwards).await {
                Ok(()) => {
                    waits.remove(&owner);
                }
                Err(error) => {
                    let length =
                        waits.get(&owner).map_or(FIRST_WAIT, |wait| (wait.length * 2).min(LONGEST_WAIT));
                    tracing::warn!(pod = owner, %error, "feedback waits for the pod that decided");
                    waits.insert(owner, Wait { length, until: Instant::now() + length });
                }
            }
        }
    }

    /// Passes on what one pod is to have. One that it refuses does not hold up the others, but makes the round a failed one.
    async fn deliver(&self, owner: &str, forwards: &[Forward]) -> Result<(), ForwardError> {
        let mut sender = timeout(PATIENCE, self.connect(owner)).await??;
        let mut refused = Ok(());
        for forward in forwards {
            match timeout(PATIENCE, self.send(&mut sender, forward)).await? {
                Ok(()) => {
                    let (runtime, sequence) = (Arc::clone(&self.runtime), forward.sequence);
                    spawn_blocking(move || runtime.forward_delivered(sequence)).await??;
                }
                Err(error @ ForwardError::Status(_)) => refused = Err(error),
                Err(error) => return Err(error),
            }
        }
        refused
    }

    async fn connect(&self, owner: &str) -> Result<SendRequest<Full<Bytes>>, ForwardError> {
        let stream = TcpStream::connect((self.address)(owner)).await?;
        let connector = TlsConnector::from(self.certificates.configs().client);
        let stream = connector.connect(self.server_name.clone(), stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another pod broke");
            }
        });
        Ok(sender)
    }

    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        forward: &Forward,
    ) -> Result<(), ForwardError> {
        let call = Request::post(PEER_FEEDBACK_PATH)
            .header(header::HOST, self.server_name.to_str().as_ref())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(serde_json::to_vec(&forward.feedback)?)))?;
        sender.ready().await?;
        let answer = sender.send_request(call).await?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again; what it says is the owner's to log.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        if status == StatusCode::OK { Ok(()) } else { Err(ForwardError::Status(status)) }
    }
}
