//! The fleet's objects, one file a kind. What they are made from is the policy, the record's template inputs and the
//! operator's namespace, and nothing else: another operator version makes the same pods.

mod config_map;
mod meta;
mod network_policy;
mod pod;
mod pod_disruption_budget;
mod quantity;
mod secret;
mod service;
mod stateful_set;

use k8s_openapi::api::core::v1::ServiceAccount;
use tinydancer_crds::ValidPolicy;
use tinydancer_protocol::PolicyIdentity;

pub use config_map::{ASSIGNMENT_FILE, MODEL_FILE};
pub(crate) use config_map::{MODEL_ANNOTATION, bare_boot, record_object};
pub use meta::{Names, selector, selector_labels};
pub(crate) use secret::{credentials, tls};

use crate::{observed::Settings, plan::Child, record::Record};

/// The objects of a fleet but its Secrets, in the order in which they are made: the pods come last, because they need
/// the others.
pub(crate) fn children(
    identity: &PolicyIdentity,
    valid: &ValidPolicy,
    record: &Record,
    settings: &Settings,
) -> Vec<Child> {
    vec![
        Child::ServiceAccount(service_account(identity)),
        Child::NetworkPolicy(network_policy::build(identity, settings)),
        Child::Service(Box::new(service::headless(identity))),
        Child::Service(Box::new(service::client(identity))),
        config_map::boot(identity, record),
        Child::PodDisruptionBudget(pod_disruption_budget::build(identity)),
        Child::StatefulSet(Box::new(stateful_set::build(identity, valid, &record.template))),
    ]
}

/// Routers ask the API server for nothing, so they get no token.
fn service_account(identity: &PolicyIdentity) -> ServiceAccount {
    ServiceAccount {
        metadata: meta::owned(identity, Names::of(&identity.name).router()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
