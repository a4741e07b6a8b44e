//! Artifacts from web servers, for people the operator does not know.
//!
//! https only; names resolved once and every address judged before the connection, which goes to the address that was
//! judged; at most three redirects, each judged like the first URL; at most 180 KB and ten seconds in all; no proxy
//! from the environment, no credentials, no decompression.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use ipnet::IpNet;
use reqwest::redirect;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use url::{Host, Url};

use super::address::may_connect;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 3;
/// Time for everything: names, redirects, bytes.
const TOTAL_TIME: Duration = Duration::from_secs(10);

/// Why an artifact was not fetched. Messages end up in conditions that tenants read: they say nothing of what an
/// address answered beyond its status.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// Not a URL of the kind that is fetched.
    #[error("must be an https URL with a host and without credentials")]
    Url,
    /// The name has no address.
    #[error("failed to resolve the host's name")]
    Resolve(#[source] std::io::Error),
    /// An address that the operator does not connect to.
    #[error("the host's address must be public: whoever runs the operator can allow a private range by flag")]
    Address,
    /// A redirect too many, or one without a target.
    #[error("must not redirect more than {MOST_REDIRECTS} times, and each time to a URL")]
    Redirects,
    /// Not the answer 200.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// More bytes than an artifact may have.
    #[error("the file must have at most {0} bytes")]
    TooLarge(usize),
    /// The file came compressed.
    #[error("the file must be sent without content encoding")]
    Encoded,
    /// It took too long.
    #[error("the file must arrive within {} seconds", TOTAL_TIME.as_secs())]
    Timeout,
    /// The connection or the transfer failed.
    #[error("failed to fetch the file")]
    Transfer(#[source] reqwest::Error),
}

/// Trust could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of additional authorities cannot be read.
    #[error("failed to read the certificates of `--source-ca-file`")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// One of them is no authority.
    #[error("failed to use the certificates of `--source-ca-file`")]
    Certificate(#[from] rustls::Error),
}

/// Fetches artifacts by https.
#[derive(Clone, Debug)]
pub struct HttpsSource {
    tls: ClientConfig,
    allowed: Arc<[IpNet]>,
    most_bytes: usize,
    total_time: Duration,
}

impl HttpsSource {
    /// Trusts the public authorities and, beside them, those in `extra_authorities` (PEM).
    ///
    /// # Errors
    /// Where the additional ones cannot be used.
    pub fn new(allowed: &[IpNet], extra_authorities: Option<&[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = extra_authorities {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let most_bytes = tinydancer_engine::artifact::MOST_BYTES;
        Ok(Self { tls, allowed: allowed.into(), most_bytes, total_time: TOTAL_TIME })
    }

    /// Fetches a file.
    ///
    /// # Errors
    /// [`HttpsError`], one variant a rule.
    pub async fn fetch(&self, url: &str) -> Result<Bytes, HttpsError> {
        let all = self.follow(Url::parse(url).map_err(|_| HttpsError::Url)?);
        tokio::time::timeout(self.total_time, all).await.map_err(|_| HttpsError::Timeout)?
    }

    async fn follow(&self, mut url: Url) -> Result<Bytes, HttpsError> {
        for _ in 0..=MOST_REDIRECTS {
            let response = self.get(&url).await?;
            let status = response.status();
            if status == StatusCode::OK {
                return self.body(response).await;
            }
            if !status.is_redirection() {
                return Err(HttpsError::Status(status));
            }
            let target = response.headers().get(header::LOCATION).and_then(|target| target.to_str().ok());
            url = target.and_then(|target| url.join(target).ok()).ok_or(HttpsError::Redirects)?;
        }
        Err(HttpsError::Redirects)
    }

    /// One request, to an address that was judged.
    async fn get(&self, url: &Url) -> Result<reqwest::Response, HttpsError> {
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(HttpsError::Url);
        }
        let port = url.port_or_known_default().ok_or(HttpsError::Url)?;
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(0);
        match url.host().ok_or(HttpsError::Url)? {
            // The URL parser has read every spelling of an address (decimal, octal, hexadecimal) into one.
            Host::Ipv4(address) => self.judge(&[IpAddr::V4(address)])?,
            Host::Ipv6(address) => self.judge(&[IpAddr::V6(address)])?,
            Host::Domain(name) => {
                let found = tokio::net::lookup_host((name, port)).await.map_err(HttpsError::Resolve)?;
                let addresses: Vec<SocketAddr> = found.collect();
                self.judge(&addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>())?;
                client = client.resolve_to_addrs(name, &addresses);
            }
        }
        let client = client.build().map_err(HttpsError::Transfer)?;
        client.get(url.clone()).send().await.map_err(|error| HttpsError::Transfer(error.without_url()))
    }

    /// All addresses must be good: a name that has one bad among them is refused whole.
    fn judge(&self, addresses: &[IpAddr]) -> Result<(), HttpsError> {
        let good =
            !addresses.is_empty() && addresses.iter().all(|address| may_connect(*address, &self.allowed));
        if good { Ok(()) } else { Err(HttpsError::Address) }
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Bytes, HttpsError> {
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(HttpsError::Encoded);
        }
        let too_large = || HttpsError::TooLarge(self.most_bytes);
        if response.content_length().is_some_and(|length| length > self.most_bytes as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| HttpsError::Transfer(error.without_url()))?
        {
            if body.len() + chunk.len() > self.most_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

#[cfg(test)]
#[path = "https_tests.rs"]
mod tests;
