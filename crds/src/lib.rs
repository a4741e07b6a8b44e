//! The two resources of `routing.tinydancer.dev/v1alpha1`, what makes them valid, and the checked type that
//! operator and router share.
//!
//! Needs no client: types, schema, rules and pure validation only.

#![allow(unreachable_pub, reason = "the KubeSchema derive puts a public helper into a function")]
#![allow(clippy::duplicated_attributes, reason = "every printer column has a type")]

pub mod conditions;
pub mod names;
pub mod router_model;
pub mod routing_policy;
pub mod valid;
pub mod yaml;

pub use names::{Digest, ModelName, PolicyName};
pub use router_model::{RouterModel, RouterModelSpec, RouterModelStatus};
pub use routing_policy::{RoutingPolicy, RoutingPolicySpec, RoutingPolicyStatus};
pub use valid::{Configuration, Problem, ValidPolicy};

/// API group of both resources.
pub const GROUP: &str = "routing.tinydancer.dev";
/// Served and stored version.
pub const VERSION: &str = "v1alpha1";

/// Annotation that aborts a trial; its value is the attempt to abort.
pub const ABORT_ANNOTATION: &str = "routing.tinydancer.dev/abort";
/// Annotation that promotes a trial at once; its value is the attempt to promote.
pub const PROMOTE_ANNOTATION: &str = "routing.tinydancer.dev/promote";
/// Annotation that approves a step which waits for it; its value is what `status.rollout.approval` says, such as `3/2`.
pub const APPROVE_ANNOTATION: &str = "routing.tinydancer.dev/approve";
/// Annotation that lifts the quarantine of the wished model once; its value is a token that was not used before.
pub const RETRY_ANNOTATION: &str = "routing.tinydancer.dev/retry";
