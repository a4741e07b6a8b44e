//! The fleet's objects, one file a kind.

use tinydancer_crds::PolicyName;

/// Key of the boot ConfigMap's `binaryData` that holds the stable model.
pub const MODEL_FILE: &str = "model.safetensors";
/// Key of the boot ConfigMap's `data` that holds the boot assignment.
pub const ASSIGNMENT_FILE: &str = "assignment.json";

/// The names of one fleet's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'policy>(&'policy str);

impl<'policy> Names<'policy> {
    /// The names for the policy of this name.
    pub fn new(policy: &'policy PolicyName) -> Self {
        Self(policy.as_str())
    }

    /// The names for a policy whose name was not checked.
    pub fn of(policy: &'policy str) -> Self {
        Self(policy)
    }

    /// ConfigMap with the rollout record.
    pub fn record(&self) -> String {
        format!("{}-rollout-record", self.0)
    }

    /// StatefulSet, ServiceAccount, PodDisruptionBudget, NetworkPolicy and boot ConfigMap.
    pub fn router(&self) -> String {
        format!("{}-router", self.0)
    }

    /// Headless Service.
    pub fn headless(&self) -> String {
        format!("{}-routers", self.0)
    }

    /// Client Service.
    pub fn client(&self) -> String {
        self.0.to_owned()
    }

    /// Secret with the fleet's certificate.
    pub fn tls(&self) -> String {
        format!("{}-router-tls", self.0)
    }

    /// Secret with the fleet's keys.
    pub fn credentials(&self) -> String {
        format!("{}-router-credentials", self.0)
    }
}
