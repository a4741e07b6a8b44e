//! The two Services: one names each pod, one is for clients.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tinydancer_protocol::PolicyIdentity;

use super::{
    meta::{self, Names, selector_labels},
    pod::{CONTROL_PORT, HTTP_PORT},
};

/// Gives each pod a name, also one that is not ready: feedback finds its owner by it.
pub(super) fn headless(identity: &PolicyIdentity) -> Service {
    Service {
        metadata: meta::owned(identity, Names::of(&identity.name).headless()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(selector_labels(&identity.name)),
            ports: Some(vec![port("http", HTTP_PORT, "http"), port("control", CONTROL_PORT, "control")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Where clients send their requests.
pub(super) fn client(identity: &PolicyIdentity) -> Service {
    Service {
        metadata: meta::owned(identity, Names::of(&identity.name).client()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector_labels(&identity.name)),
            ports: Some(vec![port("http", 80, "http")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(name: &str, port: i32, target: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(target.to_owned())),
        ..ServicePort::default()
    }
}
