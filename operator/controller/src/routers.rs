//! The calls to routers' control ports, as docs/reference/control-protocol.md describes them.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use time::OffsetDateTime;
use tinydancer_crds::Digest;
use tinydancer_protocol::{ASSIGNMENT_PATH, Assignment, MODELS_PATH, Refusal, Report, router_server_name};

use crate::{
    certificates::{CertificateError, Certificates},
    metrics::{CallLabels, Metrics},
};

/// Port of the control endpoint.
pub const CONTROL_PORT: u16 = 9443;
/// Time one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read.
const MOST_BYTES: usize = 1 << 20;
/// A client that was not used for this long goes.
const CLIENT_LIFE: Duration = Duration::from_mins(5);

/// One router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Router {
    /// Namespace of its policy.
    pub namespace: String,
    /// Name of its policy.
    pub policy: String,
    /// Its address.
    pub address: IpAddr,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The operator has no certificate to show.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No connection, no trust, or no answer in time.
    #[error("failed to call the router")]
    Call(#[from] reqwest::Error),
    /// The router says no.
    #[error("the router refused ({status}): {}", refusal.message)]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason.
        refusal: Box<Refusal>,
    },
    /// Not an answer of this protocol.
    #[error("the router answered {0} with something else than this protocol's messages")]
    Foreign(StatusCode),
}

impl RouterError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Call(error) if error.is_timeout() => "timeout",
            Self::Call(_) => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Foreign(_) => "foreign",
        }
    }
}

/// Calls routers; keeps a connection to each.
pub struct Routers {
    certificates: Certificates,
    metrics: Metrics,
    port: u16,
    clients: Mutex<HashMap<Router, Kept>>,
}

struct Kept {
    client: reqwest::Client,
    serial: u64,
    used: Instant,
}

impl Routers {
    /// Calls routers with this installation's certificates.
    pub fn new(certificates: Certificates, metrics: Metrics) -> Self {
        Self { certificates, metrics, port: CONTROL_PORT, clients: Mutex::default() }
    }

    /// The same on another port.
    #[cfg(test)]
    fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Asks for a report.
    ///
    /// # Errors
    /// Where none came.
    pub async fn report(&self, router: &Router) -> Result<Report, RouterError> {
        let call =
            async { read(self.request(router, http::Method::GET, ASSIGNMENT_PATH)?.send().await?).await };
        self.counted("report", call.await)
    }

    /// Hands over an assignment and hears the report.
    ///
    /// # Errors
    /// Where the router refused it or did not answer.
    pub async fn assign(&self, router: &Router, assignment: &Assignment) -> Result<Report, RouterError> {
        let call = async {
            read(self.request(router, http::Method::PUT, ASSIGNMENT_PATH)?.json(assignment).send().await?)
                .await
        };
        self.counted("assign", call.await)
    }

    /// Hands over a model's bytes.
    ///
    /// # Errors
    /// Where the router refused them or did not answer.
    pub async fn put_model(&self, router: &Router, digest: &Digest, bytes: Bytes) -> Result<(), RouterError> {
        let call = async {
            let path = format!("{MODELS_PATH}/{digest}");
            let response = self.request(router, http::Method::PUT, &path)?.body(bytes).send().await?;
            if response.status().is_success() { Ok(()) } else { Err(refused(response).await?) }
        };
        self.counted("model", call.await)
    }

    fn counted<T>(&self, call: &'static str, result: Result<T, RouterError>) -> Result<T, RouterError> {
        let outcome = result.as_ref().map_or_else(RouterError::outcome, |_| "success");
        self.metrics.router_calls.get_or_create(&CallLabels { call, outcome }).inc();
        result
    }

    fn request(
        &self,
        router: &Router,
        method: http::Method,
        path: &str,
    ) -> Result<reqwest::RequestBuilder, RouterError> {
        let name = router_server_name(&router.namespace, &router.policy);
        let url = format!("https://{name}:{}{path}", self.port);
        Ok(self.client(router, &name)?.request(method, url))
    }

    /// The client of this router: a connection belongs to one address, so each address has its own.
    fn client(&self, router: &Router, name: &str) -> Result<reqwest::Client, RouterError> {
        let tls = self.certificates.operator(OffsetDateTime::now_utc())?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = clients.get_mut(router)
            && kept.serial == tls.serial
        {
            kept.used = Instant::now();
            return Ok(kept.client.clone());
        }
        clients.retain(|_, kept| kept.used.elapsed() < CLIENT_LIFE);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(name, SocketAddr::new(router.address, self.port))
            .timeout(CALL_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()?;
        let kept = Kept { client: client.clone(), serial: tls.serial, used: Instant::now() };
        clients.insert(router.clone(), kept);
        Ok(client)
    }
}

async fn read(response: reqwest::Response) -> Result<Report, RouterError> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(refused(response).await?);
    }
    let body = body(response).await?;
    serde_json::from_slice(&body).map_err(|_| RouterError::Foreign(status))
}

async fn refused(response: reqwest::Response) -> Result<RouterError, RouterError> {
    let status = response.status();
    let body = body(response).await?;
    Ok(match serde_json::from_slice(&body) {
        Ok(refusal) => RouterError::Refused { status, refusal: Box::new(refusal) },
        Err(_) => RouterError::Foreign(status),
    })
}

/// The body, unless it is larger than any message.
async fn body(mut response: reqwest::Response) -> Result<BytesMut, RouterError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(RouterError::Foreign(response.status()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
#[path = "routers_tests.rs"]
pub(crate) mod tests;
