//! How many pods may be missing at a time.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tinydancer_protocol::PolicyIdentity;

use super::meta::{self, Names};

pub(super) fn build(identity: &PolicyIdentity) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::owned(identity, Names::of(&identity.name).router()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(meta::label_selector(&identity.name)),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
