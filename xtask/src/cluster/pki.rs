//! The cluster's certificates and the credentials of its components. All of
//! it is made anew at each start and goes with the cluster.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::layout::{Layout, NODE_ADDRESS, NODE_NAME};

/// The API server's address for everything inside the namespace.
const INSIDE: &str = "https://127.0.0.1:6443";

/// The components that talk to the API server: file name, user, group.
const USERS: &[(&str, &str, &str)] = &[
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("kubelet", "system:node:node1", "system:nodes"),
];

/// The first address of the service range, which is the API server's Service.
const API_SERVICE: &str = "10.96.0.1";

/// Makes all keys, certificates and kubeconfig files. `port` is the loopback
/// port that the host reaches the API server at.
pub(crate) fn create(layout: &Layout, port: u16) -> Result<()> {
    let authority = authority()?;
    let authority_pem = authority.pem();
    write(&layout.pki("ca.crt"), &authority_pem)?;
    write(&layout.pki("ca.key"), &authority.key().serialize_pem())?;

    let tokens = KeyPair::generate()?;
    write(&layout.pki("service-accounts.key"), &tokens.serialize_pem())?;
    write(&layout.pki("service-accounts.pub"), &tokens.public_key_pem())?;

    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        API_SERVICE,
        NODE_ADDRESS,
    ];
    issue(&authority, "kube-apiserver", "", &names)?.save(layout, "apiserver")?;

    for (file, user, group) in USERS {
        // The kubelet's certificate also serves its own port.
        let names: &[&str] = if *file == "kubelet" { &[NODE_NAME, NODE_ADDRESS, "127.0.0.1"] } else { &[] };
        let leaf = issue(&authority, user, group, names)?;
        leaf.save(layout, file)?;
        let inside = kubeconfig(INSIDE, "local", &authority_pem, &leaf);
        write(&layout.component_kubeconfig(file), &inside)?;
        if *file == "admin" {
            let server = format!("https://127.0.0.1:{port}");
            write(&layout.kubeconfig(), &kubeconfig(&server, layout.identity(), &authority_pem, &leaf))?;
            hand_over(&layout.kubeconfig())?;
        }
    }
    Ok(())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "tinydancer-local-cluster");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

/// A certificate and its key, in PEM.
struct Leaf {
    certificate: String,
    key: String,
}

impl Leaf {
    fn save(&self, layout: &Layout, name: &str) -> Result<()> {
        write(&layout.pki(&format!("{name}.crt")), &self.certificate)?;
        write(&layout.pki(&format!("{name}.key")), &self.key)
    }
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, user: &str, group: &str, names: &[&str]) -> Result<Leaf> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    if !group.is_empty() {
        parameters.distinguished_name.push(DnType::OrganizationName, group);
    }
    parameters.distinguished_name.push(DnType::CommonName, user);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, authority)?;
    Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn kubeconfig(server: &str, name: &str, authority: &str, leaf: &Leaf) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {}
users:
- name: {name}
  user:
    client-certificate-data: {}
    client-key-data: {}
contexts:
- name: {name}
  context: {{ cluster: {name}, user: {name} }}
current-context: {name}
",
        BASE64_STANDARD.encode(authority),
        BASE64_STANDARD.encode(&leaf.certificate),
        BASE64_STANDARD.encode(&leaf.key),
    )
}

/// Gives a file to the user who called sudo, if somebody did.
fn hand_over(path: &Path) -> Result<()> {
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    if let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("failed to hand {} over", path.display()))?;
    }
    Ok(())
}

/// Writes a file that only its owner may read.
fn write(path: &Path, content: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}
