//! Who is on the other side of a connection, by the URI in the verified certificate.

use rustls_pki_types::CertificateDer;
use tinydancer_protocol::{OPERATOR_URI, router_uri};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use crate::runtime::Identity;

/// Whoever showed a certificate that the CA signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The operator.
    Operator,
    /// A router of the same policy.
    Router,
    /// Anybody else, such as a router of another policy.
    Stranger,
}

impl Peer {
    /// From the certificate a connection was made with. A certificate with several URIs is nobody's: who may speak for two
    /// speaks for none.
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>, own: &Identity) -> Self {
        let uris =
            certificates.and_then(<[_]>::first).map(|certificate| uris(certificate)).unwrap_or_default();
        match uris.as_slice() {
            [uri] if uri == OPERATOR_URI => Self::Operator,
            [uri] if *uri == router_uri(&own.namespace, &own.policy) => Self::Router,
            _ => Self::Stranger,
        }
    }
}

fn uris(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let names = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.flatten().filter_map(uri).collect()
}
