//! What the controller needs to know to make the fleet's Secrets; their contents never pass through a plan.

use tinydancer_crds::ValidPolicy;
use tinydancer_protocol::{PolicyIdentity, router_server_name, router_uri};

use super::meta::{self, Names};
use crate::plan::{CredentialsRequest, TlsRequest};

pub(crate) fn tls(identity: &PolicyIdentity) -> TlsRequest {
    TlsRequest {
        metadata: meta::owned(identity, Names::of(&identity.name).tls()),
        server_name: router_server_name(&identity.namespace, &identity.name),
        uri: router_uri(&identity.namespace, &identity.name),
    }
}

pub(crate) fn credentials(identity: &PolicyIdentity, valid: &ValidPolicy) -> CredentialsRequest {
    CredentialsRequest {
        metadata: meta::owned(identity, Names::of(&identity.name).credentials()),
        keys: valid.fleet.key_files().into_iter().map(|(file, key)| (file, key.reference)).collect(),
    }
}
