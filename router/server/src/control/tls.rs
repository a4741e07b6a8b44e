//! Certificates of the control port, read again when their files change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// Certificates of whoever may be trusted; two while a CA is replaced.
const CA: &str = "ca.crt";
/// This router's certificate.
const CERTIFICATE: &str = "tls.crt";
/// The key to it.
const KEY: &str = "tls.key";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file holds no PEM of the right kind.
    #[error("{path} must hold PEM of the right kind: {source}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in a file.
    #[error("{path} must hold a certificate", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or a CA is none.
    #[error("failed to set up TLS from the certificates")]
    Setup(#[from] rustls::Error),
    /// No verifier could be made from the CA.
    #[error("failed to set up the check of client certificates")]
    Verifier(#[from] VerifierBuilderError),
}

/// The configurations that new connections get.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfigs {
    /// For connections that come in.
    pub(crate) server: Arc<ServerConfig>,
    /// For connections to other pods of the fleet.
    pub(crate) client: Arc<ClientConfig>,
}

/// The bytes the configurations were made from, to see whether they changed.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The folder with the certificates and what was made of it last.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    current: ArcSwap<(Files, TlsConfigs)>,
}

impl Certificates {
    /// Reads the folder.
    ///
    /// # Errors
    /// If it does not hold `ca.crt`, `tls.crt` and `tls.key` that fit together.
    pub fn read(folder: &Path) -> Result<Self, TlsError> {
        let files = Files::read(folder)?;
        let configs = files.configs(folder)?;
        Ok(Self { folder: folder.to_owned(), current: ArcSwap::from_pointee((files, configs)) })
    }

    /// What new connections get.
    pub(crate) fn configs(&self) -> TlsConfigs {
        self.current.load().1.clone()
    }

    /// Reads the folder again; says whether something changed.
    ///
    /// # Errors
    /// If it cannot be used now; what was read before stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.folder)?;
        if self.current.load().0 == files {
            return Ok(false);
        }
        let configs = files.configs(&self.folder)?;
        self.current.store(Arc::new((files, configs)));
        Ok(true)
    }
}

impl Files {
    fn read(folder: &Path) -> Result<Self, TlsError> {
        let read = |name| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| TlsError::File { path, source })
        };
        Ok(Self { ca: read(CA)?, certificate: read(CERTIFICATE)?, key: read(KEY)? })
    }

    fn configs(&self, folder: &Path) -> Result<TlsConfigs, TlsError> {
        let pem = |name| move |source| TlsError::Pem { path: folder.join(name), source };
        let certificates = |name, bytes: &[u8]| -> Result<Vec<CertificateDer<'static>>, TlsError> {
            let found: Vec<_> =
                CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(pem(name))?;
            if found.is_empty() { Err(TlsError::Empty { path: folder.join(name) }) } else { Ok(found) }
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA, &self.ca)? {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(pem(KEY))?;
        let provider = Arc::new(ring::default_provider());
        Ok(TlsConfigs {
            server: Arc::new(server(&provider, &roots, chain.clone(), key.clone_key())?),
            client: Arc::new(client(&provider, &roots, chain, key)?),
        })
    }
}

/// TLS 1.3 only, a client certificate always, and no resumption: each connection shows its certificate anew.
fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
