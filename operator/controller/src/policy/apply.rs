//! Step four: carries a plan out. The record first; where it is refused, nothing of the rest is done.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::ResourceExt as _;
use serde_json::Value;
use time::OffsetDateTime;
use tinydancer_crds::RoutingPolicy;
use tinydancer_plan::{
    Action, Child, Commit, CredentialsRequest, Plan, PodReference, TlsRequest, audited, build::MODEL_FILE,
};
use tinydancer_protocol::PolicyIdentity;

use crate::{
    certificates::CertificateError,
    credentials,
    routers::Router,
    writer::{Wished, WriteError, differs},
};

use super::{controller::PolicyWorld, kept::Key, observe::Observation, pods::CONCURRENT_CALLS, trail};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server did not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The plan needs bytes that are not at hand any more.
    #[error("failed to find the bytes of the model in memory: it is fetched again")]
    Bytes,
}

/// Carries out record, status and events. What is committed is told even where the status is not taken.
///
/// # Errors
/// Where the record or the status is not taken; the policy is to be looked at again.
pub(super) async fn commit(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    identity: &PolicyIdentity,
    observation: &Observation,
    plan: &Plan,
) -> Result<(), ApplyError> {
    if let Some(Commit { object, replaces, .. }) = &plan.commit {
        let wished = Wished::new(object, "tiny-dancer/record").map_err(WriteError::Json)?;
        match replaces {
            Some(version) => world.writer.replace(&wished, version).await?,
            None => world.writer.create(&wished).await?,
        }
    }
    let shown = if differs(&plan.status, &observation.observed.status) {
        world.writer.status(policy, &plan.status).await
    } else {
        Ok(())
    };
    trail::tell(world, policy, identity, &observation.observed.record, plan).await;
    world.metrics.rollouts.show(identity, plan.status.rollout.as_ref());
    let record = trail::current(&observation.observed.record, plan);
    let audited = record.and_then(|record| audited(record, &observation.observed.pods));
    world.metrics.calibration.show(identity, audited);
    if let Some(record) = record {
        trail::tell_notices(world, policy, identity, record).await;
    }
    Ok(shown?)
}

/// Carries out the actions. One that fails does not keep the others from being tried.
///
/// # Errors
/// The first failure that is not a router's: those are told by what is heard from the pod.
pub(super) async fn act(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    observation: &Observation,
    actions: &[Action],
) -> Result<(), ApplyError> {
    let mut first = Ok(());
    let mut calls: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
    for action in actions {
        let done = match action {
            Action::Create(child) => make(world, policy, child).await,
            Action::Apply(child) => bring(world, policy, observation, child).await,
            Action::EnsureTls(request) => tls(world, policy, observation, request).await,
            Action::EnsureCredentials(request) => keys(world, policy, observation, request).await,
            Action::PutModel { pod, .. } | Action::PutAssignment { pod, .. } => {
                calls.entry(&pod.uid).or_default().push(action);
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(policy = policy.name_any(), namespace = policy.namespace(), %error, "failed to act");
            first = first.and(Err(error));
        }
    }
    let uid = policy.uid().unwrap_or_default();
    stream::iter(calls)
        .for_each_concurrent(CONCURRENT_CALLS, |(pod, actions)| {
            call(world, policy, &uid, observation.routers.get(pod), actions)
        })
        .await;
    first
}

/// The calls to one pod, one after the other.
async fn call(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    uid: &str,
    router: Option<&Router>,
    actions: Vec<&Action>,
) {
    let Some(router) = router else { return };
    for action in actions {
        // Exposure is only ever renewed while the Lease is held.
        if !world.leadership.may_write() {
            return;
        }
        match action {
            Action::PutAssignment { pod, assignment } => {
                world.heard(uid, &pod.uid, world.routers.assign(router, assignment).await);
            }
            Action::PutModel { pod: PodReference { name, .. }, digest } => {
                let Some(bytes) = world.artifacts.bytes(&policy.namespace().unwrap_or_default(), digest)
                else {
                    tracing::warn!(pod = name, "failed to find the bytes of the model in memory");
                    continue;
                };
                if let Err(error) = world.routers.put_model(router, digest, bytes).await {
                    tracing::info!(pod = name, %error, "failed to hand over the model");
                }
            }
            _ => {}
        }
    }
}

async fn make(world: &PolicyWorld, policy: &RoutingPolicy, child: &Child) -> Result<(), ApplyError> {
    write(world, policy, &wished(world, policy, child)?, None).await
}

async fn bring(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    observation: &Observation,
    child: &Child,
) -> Result<(), ApplyError> {
    let wished = wished(world, policy, child)?;
    let live = observation.live.get(&(wished.kind().to_owned(), wished.name().to_owned()));
    write(world, policy, &wished, live).await
}

/// Makes an object or brings the one that is there to what is wished for; it is read afresh in the next look.
async fn write(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    wished: &Wished,
    live: Option<&Value>,
) -> Result<(), ApplyError> {
    let (kind, name) = (wished.kind().to_owned(), wished.name().to_owned());
    world.kept().forget(&Key { policy: policy.uid().unwrap_or_default(), kind, name });
    match live {
        Some(live) => Ok(world.writer.apply(wished, live).await?),
        None => Ok(world.writer.create(wished).await?),
    }
}

/// A child as it is written: the bytes of the boot model put in.
fn wished(world: &PolicyWorld, policy: &RoutingPolicy, child: &Child) -> Result<Wished, ApplyError> {
    let wished = match child {
        Child::ServiceAccount(object) => Wished::new(object, "tiny-dancer/workload"),
        Child::StatefulSet(object) => Wished::new(object.as_ref(), "tiny-dancer/workload"),
        Child::PodDisruptionBudget(object) => Wished::new(object, "tiny-dancer/workload"),
        Child::Service(object) => Wished::new(object.as_ref(), "tiny-dancer/network"),
        Child::NetworkPolicy(object) => Wished::new(object, "tiny-dancer/network"),
        Child::Boot { config_map, model } => {
            let mut object: ConfigMap = config_map.clone();
            if let Some(digest) = model {
                let namespace = policy.namespace().unwrap_or_default();
                let bytes = world.artifacts.bytes(&namespace, digest).ok_or(ApplyError::Bytes)?;
                object.binary_data = Some([(MODEL_FILE.to_owned(), ByteString(bytes.to_vec()))].into());
            }
            Wished::new(&object, "tiny-dancer/boot")
        }
    };
    Ok(wished.map_err(WriteError::Json)?)
}

async fn tls(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    observation: &Observation,
    request: &TlsRequest,
) -> Result<(), ApplyError> {
    let namespace = policy.namespace().unwrap_or_default();
    let identity = world.certificates.router(&namespace, &policy.name_any(), OffsetDateTime::now_utc())?;
    let data = [
        ("ca.crt", world.certificates.bundle().to_owned()),
        ("tls.crt", identity.certificate),
        ("tls.key", identity.key),
    ];
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect();
    let metadata = request.metadata.clone();
    let secret = Secret {
        metadata,
        data: Some(data),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    };
    write_secret(world, policy, &secret, observation.tls.as_ref()).await
}

async fn keys(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    observation: &Observation,
    request: &CredentialsRequest,
) -> Result<(), ApplyError> {
    let live = observation.credentials.as_ref();
    let data = credentials::wished(
        live.and_then(|secret| secret.data.as_ref()),
        &observation.upstream_keys,
        credentials::fresh_key,
    );
    let secret = Secret { metadata: request.metadata.clone(), data: Some(data), ..Secret::default() };
    write_secret(world, policy, &secret, live).await
}

async fn write_secret(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    secret: &Secret,
    live: Option<&Secret>,
) -> Result<(), ApplyError> {
    let wished = Wished::new(secret, "tiny-dancer/secrets").map_err(WriteError::Json)?;
    let live = live.map(serde_json::to_value).transpose().map_err(WriteError::Json)?;
    write(world, policy, &wished, live.as_ref()).await
}
