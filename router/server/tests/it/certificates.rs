//! A certificate authority for tests, and folders as a Secret mounts them.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use tempfile::TempDir;
use tinydancer_protocol::{OPERATOR_URI, router_server_name, router_uri};

/// A CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and the key to it, as PEM.
pub(crate) struct Identified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn operator(&self) -> Identified {
        self.issue(Vec::new(), &[OPERATOR_URI])
    }

    /// A router of this policy in the namespace `demo`.
    pub(crate) fn router(&self, policy: &str) -> Identified {
        self.issue(vec![router_server_name("demo", policy)], &[&router_uri("demo", policy)])
    }

    pub(crate) fn issue(&self, names: Vec<String>, uris: &[&str]) -> Identified {
        let mut params = CertificateParams::new(names).unwrap();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identified { certificate, key: key.serialize_pem() }
    }
}

/// Writes what the Secret of a router holds.
pub(crate) fn write(folder: &Path, authority: &str, own: &Identified) {
    fs::write(folder.join("ca.crt"), authority).unwrap();
    fs::write(folder.join("tls.crt"), &own.certificate).unwrap();
    fs::write(folder.join("tls.key"), &own.key).unwrap();
}

/// A folder as a router of the policy `support` mounts it.
pub(crate) fn mounted(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &authority.pem, &authority.router("support"));
    folder
}
