//! The pods of a fleet and what is heard from them.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tinydancer_plan::ObservedPod;
use tinydancer_protocol::{PolicyIdentity, Report};

use crate::{
    routers::{Router, RouterError},
    sources::sources,
};

use super::controller::PolicyWorld;

/// Routers that are called at the same time.
pub(super) const CONCURRENT_CALLS: usize = 64;

/// Each pod with what was last heard from it, and where each is called, by uid. One that was never heard is asked.
pub(super) async fn hear(
    world: &PolicyWorld,
    policy: &PolicyIdentity,
    pods: &[Pod],
) -> (Vec<ObservedPod>, BTreeMap<String, Router>) {
    let routers = routers(policy, pods);
    let uids: HashSet<String> = pods.iter().filter_map(kube::ResourceExt::uid).collect();
    world.memory().keep_pods(&policy.uid, &uids);
    let unheard: Vec<_> = routers
        .iter()
        .filter(|(pod, _)| world.memory().pod(&policy.uid, pod, Instant::now()).report.is_none())
        .collect();
    stream::iter(unheard)
        .for_each_concurrent(CONCURRENT_CALLS, |(pod, router)| async move {
            world.heard(&policy.uid, pod, world.routers.report(router).await);
        })
        .await;
    let mut memory = world.memory();
    let observed = pods.iter().filter_map(|pod| {
        let uid = pod.uid()?;
        let heard = memory.pod(&policy.uid, &uid, Instant::now());
        Some(ObservedPod {
            name: pod.name_any(),
            uid,
            ready: is_ready(pod),
            report: heard.report,
            silent_for: heard.since.elapsed(),
            refusal: heard.refusal,
        })
    });
    (observed.collect(), routers)
}

impl PolicyWorld {
    /// Takes in what a router answered.
    pub(super) fn heard(&self, policy: &str, pod: &str, answer: Result<Report, RouterError>) {
        match answer {
            Ok(report) => self.memory().reported(policy, pod, report, Instant::now()),
            Err(RouterError::Refused { refusal, .. }) => {
                tracing::info!(pod, reason = ?refusal.reason, "router refused");
                self.memory().refused(policy, pod, *refusal);
            }
            Err(error) => tracing::debug!(pod, %error, source = sources(&error), "no answer"),
        }
    }
}

fn routers(policy: &PolicyIdentity, pods: &[Pod]) -> BTreeMap<String, Router> {
    let router =
        |address| Router { namespace: policy.namespace.clone(), policy: policy.name.clone(), address };
    pods.iter().filter_map(|pod| Some((pod.uid()?, router(address(pod)?)))).collect()
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
