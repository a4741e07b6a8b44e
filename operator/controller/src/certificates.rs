//! Who is who on the control ports: the authority of this installation, the operator's own certificate, and one
//! certificate for each fleet. docs/reference/control-protocol.md says what is in them.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::PostParams};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};
use tinydancer_protocol::{OPERATOR_URI, router_server_name, router_uri};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

/// Secret of the authority, in the operator's namespace.
pub const AUTHORITY_SECRET: &str = "tiny-dancer-ca";
/// Certificates, the first of which signs and all of which are trusted.
const AUTHORITY_CERTIFICATES: &str = "ca.crt";
/// Key of the first certificate.
const AUTHORITY_KEY: &str = "ca.key";

/// Life of the authority.
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// Life of a fleet's certificate.
const ROUTER_LIFE: Duration = Duration::days(30);
/// Life of the operator's own certificate.
const OPERATOR_LIFE: Duration = Duration::days(7);
/// How far clocks may be apart.
const SKEW: Duration = Duration::hours(1);

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The API server refused the authority's Secret.
    #[error("failed to read or make Secret '{AUTHORITY_SECRET}'")]
    Api(#[source] Box<kube::Error>),
    /// The Secret lacks a key or holds something else.
    #[error("Secret '{AUTHORITY_SECRET}' must have '{AUTHORITY_CERTIFICATES}' and '{AUTHORITY_KEY}' as PEM")]
    Authority,
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Make(#[from] rcgen::Error),
    /// Certificates in PEM could not be read.
    #[error("failed to read a certificate")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// TLS does not take a certificate.
    #[error("failed to use a certificate")]
    Tls(#[from] rustls::Error),
}

impl From<kube::Error> for CertificateError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificate.
    pub certificate: String,
    /// Key (PKCS #8).
    pub key: String,
}

/// The authority that signs.
#[derive(Clone)]
pub struct Authority {
    bundle: String,
    key: String,
}

/// TLS of the operator towards routers, with a number that changes when the certificate does.
#[derive(Clone)]
pub struct OperatorTls {
    /// Configuration with client certificate and trusted authorities.
    pub config: ClientConfig,
    /// Rises with every new certificate.
    pub serial: u64,
}

/// The installation's certificates. Cloning shares them.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    authority: Authority,
    operator: Mutex<Option<(OffsetDateTime, OperatorTls)>>,
}

impl Certificates {
    /// Reads the authority, or makes it where there is none. Of two replicas that make one at the same moment the
    /// second reads the first one's.
    ///
    /// # Errors
    /// Where the Secret can neither be read nor made, or holds something else.
    pub async fn read_or_make(client: &Client, namespace: &str) -> Result<Self, CertificateError> {
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        if let Some(secret) = secrets.get_opt(AUTHORITY_SECRET).await? {
            return Authority::read(&secret).map(Self::new);
        }
        let authority = Authority::make(OffsetDateTime::now_utc())?;
        match secrets.create(&PostParams::default(), &authority.secret()).await {
            Ok(_) => Ok(Self::new(authority)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                Authority::read(&secrets.get(AUTHORITY_SECRET).await?).map(Self::new)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Signs with this authority.
    pub fn new(authority: Authority) -> Self {
        Self(Arc::new(Shared { authority, operator: Mutex::new(None) }))
    }

    /// The authority's certificates as PEM: what a router trusts.
    pub fn bundle(&self) -> &str {
        &self.0.authority.bundle
    }

    /// Whether a fleet's certificate is its own, by this authority, and has more than a third of its life left.
    pub fn holds(&self, certificate: &[u8], namespace: &str, policy: &str, now: OffsetDateTime) -> bool {
        self.0.authority.vouches_for(certificate, namespace, policy, now)
    }

    /// A new certificate for a fleet.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn router(
        &self,
        namespace: &str,
        policy: &str,
        now: OffsetDateTime,
    ) -> Result<Identity, CertificateError> {
        let names = [
            SanType::DnsName(router_server_name(namespace, policy).try_into()?),
            SanType::URI(router_uri(namespace, policy).try_into()?),
        ];
        // Routers call each other as well.
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.0.authority.sign("tiny-dancer-router", names.into(), &usages, now, ROUTER_LIFE)
    }

    /// TLS for calls to routers; the certificate behind it is made anew in time.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn operator(&self, now: OffsetDateTime) -> Result<OperatorTls, CertificateError> {
        let mut standing = self.0.operator.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((renew_at, tls)) = &*standing
            && now < *renew_at
        {
            return Ok(tls.clone());
        }
        let serial = standing.as_ref().map_or(1, |(_, tls)| tls.serial + 1);
        let names = vec![SanType::URI(OPERATOR_URI.try_into()?)];
        let usages = [ExtendedKeyUsagePurpose::ClientAuth];
        let identity = self.0.authority.sign("tiny-dancer-operator", names, &usages, now, OPERATOR_LIFE)?;
        let config = client_config(self.bundle(), &identity)?;
        let tls = OperatorTls { config, serial };
        *standing = Some((now + OPERATOR_LIFE * 2 / 3, tls.clone()));
        Ok(tls)
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(now: OffsetDateTime) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("tiny-dancer control authority");
        params.not_before = now - SKEW;
        params.not_after = now + AUTHORITY_LIFE;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { bundle: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    fn read(secret: &Secret) -> Result<Self, CertificateError> {
        let data = secret.data.as_ref().ok_or(CertificateError::Authority)?;
        let text = |key: &str| {
            let bytes = data.get(key).ok_or(CertificateError::Authority)?;
            String::from_utf8(bytes.0.clone()).map_err(|_| CertificateError::Authority)
        };
        let authority = Self { bundle: text(AUTHORITY_CERTIFICATES)?, key: text(AUTHORITY_KEY)? };
        authority.issuer().map_err(|_| CertificateError::Authority)?;
        Ok(authority)
    }

    fn secret(&self) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(AUTHORITY_SECRET.to_owned());
        secret.metadata.labels = Some(
            [
                ("app.kubernetes.io/part-of", "tiny-dancer"),
                ("app.kubernetes.io/managed-by", "tiny-dancer-operator"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        );
        secret.string_data = Some(
            [(AUTHORITY_CERTIFICATES, &self.bundle), (AUTHORITY_KEY, &self.key)]
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .into(),
        );
        secret
    }

    /// The first certificate of the bundle signs.
    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, CertificateError> {
        let first = CertificateDer::from_pem_slice(self.bundle.as_bytes())?;
        Ok(Issuer::from_ca_cert_der(&first, KeyPair::from_pem(&self.key)?)?)
    }

    fn sign(
        &self,
        name: &str,
        names: Vec<SanType>,
        usages: &[ExtendedKeyUsagePurpose],
        now: OffsetDateTime,
        life: Duration,
    ) -> Result<Identity, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.subject_alt_names = names;
        params.not_before = now - SKEW;
        params.not_after = now + life;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn vouches_for(&self, certificate: &[u8], namespace: &str, policy: &str, now: OffsetDateTime) -> bool {
        let (Ok(der), Ok(authority)) = (
            CertificateDer::from_pem_slice(certificate),
            CertificateDer::from_pem_slice(self.bundle.as_bytes()),
        ) else {
            return false;
        };
        let (Ok((_, leaf)), Ok((_, authority))) =
            (X509Certificate::from_der(&der), X509Certificate::from_der(&authority))
        else {
            return false;
        };
        let (uri, dns) = (router_uri(namespace, policy), router_server_name(namespace, policy));
        let names = leaf.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
        let named = names.is_some_and(|names| {
            names.iter().any(|name| matches!(name, GeneralName::URI(found) if *found == uri))
                && names.iter().any(|name| matches!(name, GeneralName::DNSName(found) if *found == dns))
        });
        let left = leaf.validity().not_after.timestamp() - now.unix_timestamp();
        named
            && left > ROUTER_LIFE.whole_seconds() / 3
            && leaf.verify_signature(Some(authority.public_key())).is_ok()
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn client_config(bundle: &str, identity: &Identity) -> Result<ClientConfig, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate?)?;
    }
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    Ok(ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?)
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
pub(crate) mod tests;
