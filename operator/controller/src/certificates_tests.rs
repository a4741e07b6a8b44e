use std::sync::Arc;

use rustls::{
    ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
};
use rustls_pki_types::{ServerName, UnixTime};

use super::*;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn certificates() -> Certificates {
    provider();
    Certificates::new(Authority::make(now()).unwrap())
}

/// Whether a client that trusts `bundle` takes `certificate` for `name`.
fn is_taken(bundle: &str, certificate: &str, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn a_fleets_certificate_is_taken_under_its_own_name_and_no_other() {
    let certificates = certificates();
    let identity = certificates.router("team", "support", now()).unwrap();
    let taken = |namespace, policy| {
        is_taken(certificates.bundle(), &identity.certificate, &router_server_name(namespace, policy))
    };
    assert!(taken("team", "support"));
    assert!(!taken("team", "sales"));
    assert!(!taken("other", "support"));
}

#[test]
fn a_certificate_of_another_installation_is_not_taken() {
    let (ours, theirs) = (certificates(), certificates());
    let identity = theirs.router("team", "support", now()).unwrap();
    assert!(!is_taken(ours.bundle(), &identity.certificate, &router_server_name("team", "support")));
    assert!(!ours.holds(identity.certificate.as_bytes(), "team", "support", now()));
}

#[test]
fn a_certificate_is_made_anew_after_two_thirds_of_its_life() {
    let certificates = certificates();
    let identity = certificates.router("team", "support", now()).unwrap();
    let holds = |days| {
        certificates.holds(identity.certificate.as_bytes(), "team", "support", now() + Duration::days(days))
    };
    assert!(holds(0));
    assert!(holds(19));
    assert!(!holds(21));
}

#[test]
fn a_certificate_of_another_policy_or_garbage_does_not_hold() {
    let certificates = certificates();
    let identity = certificates.router("team", "support", now()).unwrap();
    assert!(!certificates.holds(identity.certificate.as_bytes(), "team", "sales", now()));
    assert!(!certificates.holds(b"-----BEGIN CERTIFICATE-----", "team", "support", now()));
    assert!(!certificates.holds(b"", "team", "support", now()));
}

#[test]
fn the_operators_certificate_is_kept_until_two_thirds_of_its_life() {
    let certificates = certificates();
    let serial = |days| certificates.operator(now() + Duration::days(days)).unwrap().serial;
    assert_eq!([serial(0), serial(4), serial(5), serial(6)], [1, 1, 2, 2]);
}

#[test]
fn an_authority_reads_back_from_its_secret_and_a_foreign_secret_is_refused() {
    provider();
    let authority = Authority::make(now()).unwrap();
    let written = authority.secret();
    let data = written.string_data.iter().flatten();
    let data =
        data.map(|(key, text)| (key.clone(), k8s_openapi::ByteString(text.clone().into_bytes()))).collect();
    let stored = Secret { data: Some(data), ..Secret::default() };
    assert_eq!(Authority::read(&stored).unwrap().bundle, authority.bundle);
    assert!(matches!(Authority::read(&Secret::default()), Err(CertificateError::Authority)));
}

/// A server that asks for the operator's certificate, as a router does.
pub(crate) fn router_server(certificates: &Certificates, namespace: &str, policy: &str) -> ServerConfig {
    let identity = certificates.router(namespace, policy, now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificates.bundle().as_bytes()).unwrap()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
