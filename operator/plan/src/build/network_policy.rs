//! Who may reach the pods: anybody on the data port, the operator and the fleet itself on the control port. Where they
//! may go is not limited: upstreams are anywhere.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use tinydancer_protocol::PolicyIdentity;

use super::{
    meta::{self, Names},
    pod::{CONTROL_PORT, HTTP_PORT},
};
use crate::observed::Settings;

/// Label that the API server sets on every namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn build(identity: &PolicyIdentity, settings: &Settings) -> NetworkPolicy {
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([(NAMESPACE_LABEL.to_owned(), settings.operator_namespace.clone())].into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let fleet = NetworkPolicyPeer {
        pod_selector: Some(meta::label_selector(&identity.name)),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicy {
        metadata: meta::owned(identity, Names::of(&identity.name).router()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::label_selector(&identity.name)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule { ports: Some(vec![port(HTTP_PORT)]), from: None },
                NetworkPolicyIngressRule {
                    ports: Some(vec![port(CONTROL_PORT)]),
                    from: Some(vec![operator, fleet]),
                },
            ]),
            egress: None,
        }),
    }
}

fn port(port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(port)), protocol: Some("TCP".to_owned()), end_port: None }
}
