//! One call to one upstream.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tinydancer_crds::valid::Candidate;

/// Time to reach an upstream.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The longest time clients are told to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// How long a connection is kept for the next request.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Calls upstreams. Follows no redirect and uses no proxy: a key goes to the host the policy names, or nowhere.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    held_back: usize,
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare the client for the upstreams: {0}")]
pub struct ClientError(String);

/// What an upstream answered, up to the point where the client's answer may begin.
#[derive(Debug)]
pub enum Reply {
    /// All of it.
    Whole {
        /// Status.
        status: StatusCode,
        /// Headers.
        headers: HeaderMap,
        /// Body.
        body: Bytes,
    },
    /// The beginning of one that is passed on as it comes: a stream of events, or too large to be held back.
    Begun {
        /// Status.
        status: StatusCode,
        /// Headers.
        headers: HeaderMap,
        /// Whether it is a stream of events.
        events: bool,
        /// The first bytes.
        first: Bytes,
        /// Where the others come from.
        rest: reqwest::Response,
    },
}

impl Reply {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Whole { status, .. } | Self::Begun { status, .. } => *status,
        }
    }
}

/// Why an upstream's answer is of no use. Another one may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It could not be reached.
    Connection,
    /// It did not answer in time.
    Timeout,
    /// It answered with a status that says "not now".
    Status {
        /// The status.
        status: StatusCode,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Its answer broke off.
    Truncated,
}

impl Failure {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Status { status: StatusCode::TOO_MANY_REQUESTS, .. } => "rate_limited",
            Self::Status { .. } => "server_error",
            Self::Truncated => "truncated",
        }
    }

    /// The upstream's status, where there was one.
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(status),
            _ => None,
        }
    }
}

impl Client {
    /// A client that holds answers of at most `held_back` bytes back until they are whole.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(held_back: usize) -> Result<Self, ClientError> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| ClientError(error.to_string()))?;
        Ok(Self { http, held_back })
    }

    /// Sends a chat request and waits for the answer: for its first bytes where it is a stream of events or large, for all of
    /// it otherwise.
    ///
    /// # Errors
    /// Why the answer is of no use; 4xx other than 408 and 429 is an answer.
    pub async fn chat(
        &self,
        candidate: &Candidate,
        key: Option<HeaderValue>,
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply, Failure> {
        self.post(&format!("{}/chat/completions", candidate.endpoint), key, headers, body, within).await
    }

    /// Sends JSON to an address of the policy and waits as [`Client::chat`] does.
    ///
    /// # Errors
    /// As [`Client::chat`].
    pub async fn post(
        &self,
        address: &str,
        key: Option<HeaderValue>,
        mut headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply, Failure> {
        if let Some(key) = key {
            headers.insert(header::AUTHORIZATION, key);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = self.http.post(address).headers(headers).body(body);
        tokio::time::timeout(within, self.answer(request)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Reply, Failure> {
        let mut response = send(request).await.map_err(|error| kind(&error, Failure::Connection))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if is_failure(status) {
            return Err(Failure::Status { status, retry_after: retry_after(&headers) });
        }
        if is_event_stream(&headers) {
            return match response.chunk().await {
                Ok(Some(first)) => Ok(Reply::Begun { status, headers, events: true, first, rest: response }),
                Ok(None) => Err(Failure::Truncated),
                Err(error) => Err(kind(&error, Failure::Truncated)),
            };
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| kind(&error, Failure::Truncated))? {
            body.extend_from_slice(&chunk);
            if body.len() > self.held_back {
                return Ok(Reply::Begun {
                    status,
                    headers,
                    events: false,
                    first: body.freeze(),
                    rest: response,
                });
            }
        }
        Ok(Reply::Whole { status, headers, body: body.freeze() })
    }
}

/// Sends a request; once again where the connection ended before an answer began. That is how a kept connection looks which
/// the upstream closed at the same moment, and says nothing about the upstream.
async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
    let again = request.try_clone();
    match (request.send().await, again) {
        (Err(error), Some(again)) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
            again.send().await
        }
        (result, _) => result,
    }
}

fn kind(error: &reqwest::Error, otherwise: Failure) -> Failure {
    if error.is_timeout() { Failure::Timeout } else { otherwise }
}

fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        || status.is_redirection()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}
