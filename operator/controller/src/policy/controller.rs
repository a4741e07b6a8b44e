//! The loop: one policy at a time through the five steps, each look bounded in time, failures backed off per object.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    jiff::Timestamp,
};
use kube::{
    Client, Resource as _, ResourceExt as _,
    api::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{Action, Config},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tinydancer_crds::{RouterModel, RoutingPolicy};
use tinydancer_plan::{Settings, plan};
use tokio::sync::watch;

use crate::{
    artifacts::Artifacts,
    certificates::Certificates,
    events::Events,
    leader::Leadership,
    looks::{Failures, GuardedModel, GuardedPolicy, unreadable},
    metrics::Metrics,
    routers::Routers,
    scope::Scope,
    sources::sources,
    writer::{WriteError, Writer},
};

use super::{
    apply::{self, ApplyError},
    kept::Kept,
    memory::Memory,
    observe::{self, ObserveError},
    watched::Watched,
};

/// Time one look at one policy may take, with everything that follows from it.
const LOOK_TIME: Duration = Duration::from_secs(15);
/// Wait while an artifact is being fetched.
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// Policies that are looked at at the same time.
const CONCURRENT_LOOKS: u16 = 32;
/// Triggers closer together than this are one.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What the objects of fleets are told from others by.
const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=tiny-dancer-operator";
/// Label with the name of the policy.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Everything the loop works with.
pub struct PolicyWorld {
    /// Reads.
    pub client: Client,
    /// Whether anything may be written or sent.
    pub leadership: Leadership,
    /// Writes.
    pub writer: Writer,
    /// Tells.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// Model bytes.
    pub artifacts: Artifacts,
    /// Who is who on the control ports.
    pub certificates: Certificates,
    /// Calls.
    pub routers: Routers,
    /// What plans depend on.
    pub settings: Settings,
    models: Store<GuardedModel>,
    watched: Watched,
    memory: Mutex<Memory>,
    kept: Mutex<Kept>,
    failures: Failures,
}

/// What a [`PolicyWorld`] is made from.
pub struct PolicyParts {
    /// Reads.
    pub client: Client,
    /// Whether anything may be written or sent.
    pub leadership: Leadership,
    /// Counts.
    pub metrics: Metrics,
    /// Tells.
    pub events: Events,
    /// Writes.
    pub writer: Writer,
    /// Model bytes.
    pub artifacts: Artifacts,
    /// Who is who on the control ports.
    pub certificates: Certificates,
    /// What plans depend on.
    pub settings: Settings,
}

/// Why a look at a policy came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It took too long.
    #[error("the look at the policy must end within {} seconds", LOOK_TIME.as_secs())]
    Timeout,
    /// Something could not be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Something could not be done.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl ReconcileError {
    /// For the metric: who has to do something about it.
    fn class(&self) -> &'static str {
        match self {
            Self::Apply(ApplyError::Write(WriteError::NotLeading)) => "standby",
            Self::Apply(ApplyError::Write(WriteError::Conflict { .. })) => "conflict",
            Self::Apply(ApplyError::Write(WriteError::Api { source, .. }))
            | Self::Observe(ObserveError::Api { source, .. }) => match source.as_ref() {
                kube::Error::Api(status) if status.is_forbidden() => "forbidden",
                kube::Error::Api(status) if status.is_invalid() => "invalid",
                _ => "transient",
            },
            Self::Timeout => "timeout",
            _ => "internal",
        }
    }
}

impl PolicyWorld {
    fn new(parts: PolicyParts, models: Store<GuardedModel>, watched: Watched) -> Self {
        let PolicyParts { client, leadership, metrics, events, writer, artifacts, certificates, settings } =
            parts;
        Self {
            routers: Routers::new(certificates.clone(), metrics.clone()),
            client,
            leadership,
            writer,
            events,
            metrics,
            artifacts,
            certificates,
            settings,
            models,
            watched,
            memory: Mutex::default(),
            kept: Mutex::default(),
            failures: Failures::default(),
        }
    }

    /// The RouterModels of a namespace that can be read.
    pub(super) fn models_of(&self, namespace: &str) -> Vec<RouterModel> {
        let all = self.models.state();
        let readable = all.iter().filter_map(|model| model.0.as_ref().ok());
        readable.filter(|model| model.namespace().as_deref() == Some(namespace)).cloned().collect()
    }

    /// Returns once every watch has told what was there at first: a plan made on half a view could do harm.
    pub(super) async fn filled(&self) {
        // A writer that is gone means that the loop ends.
        let _ = self.models.wait_until_ready().await;
        self.watched.filled().await;
    }

    /// What the watches over fleets tell.
    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets policies that are gone.
    fn keep_policies(&self, is_there: impl Fn(&str) -> bool) {
        self.memory().keep_policies(&is_there);
        self.kept().keep_policies(&is_there);
        self.metrics.rollouts.keep(&is_there);
        self.metrics.calibration.keep(&is_there);
    }
}

/// Runs until `stop` changes.
pub async fn run(parts: PolicyParts, scope: Scope, mut stop: watch::Receiver<bool>) {
    let client = parts.client.clone();
    let config = watcher::Config::default().any_semantic();
    let children = watcher::Config::default().labels(MANAGED_SELECTOR);
    let controller = Controller::new(scope.api::<GuardedPolicy>(&client), config.clone());
    let policies = controller.store();
    let (models, writer) = reflector::store();
    // The store is filled before the trigger passes, so that a look never sees less than what triggered it.
    let touched =
        reflector::reflector(writer, watcher(scope.api::<GuardedModel>(&client), config)).touched_objects();
    let (pods, writer) = reflector::store();
    let touched_pods = reflector::reflector(
        writer,
        watcher(scope.api::<Pod>(&client), children.clone()).modify(|pod| {
            // Address and readiness are all that is looked at.
            pod.managed_fields_mut().clear();
            pod.spec = None;
        }),
    )
    .touched_objects();
    let mut watched = Watched::new(pods);
    let stateful_sets =
        watched.follow(scope.api::<PartialObjectMeta<StatefulSet>>(&client), children.clone());
    let services = watched.follow(scope.api::<PartialObjectMeta<Service>>(&client), children.clone());
    let accounts = watched.follow(scope.api::<PartialObjectMeta<ServiceAccount>>(&client), children.clone());
    let budgets =
        watched.follow(scope.api::<PartialObjectMeta<PodDisruptionBudget>>(&client), children.clone());
    let networks = watched.follow(scope.api::<PartialObjectMeta<NetworkPolicy>>(&client), children);
    let world = Arc::new(PolicyWorld::new(parts, models, watched));
    let known = policies.clone();
    let gained = world.leadership.gained();
    let forget = policies.clone();
    controller
        .owns_stream(stateful_sets)
        .owns_stream(services)
        .owns_stream(accounts)
        .owns_stream(budgets)
        .owns_stream(networks)
        .watches_stream(touched_pods, |pod| policy_of(&pod))
        .watches_stream(touched, move |model| naming(&known, &model))
        .reconcile_all_on(gained)
        .with_config(Config::default().concurrency(CONCURRENT_LOOKS).debounce(DEBOUNCE))
        .graceful_shutdown_on(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, back_off, Arc::clone(&world))
        .for_each(|_| {
            let uids: std::collections::HashSet<_> =
                forget.state().iter().filter_map(|policy| policy.uid()).collect();
            world.keep_policies(|uid| uids.contains(uid));
            std::future::ready(())
        })
        .await;
}

/// The policy whose fleet a pod is of.
fn policy_of(pod: &Pod) -> Option<ObjectRef<GuardedPolicy>> {
    let policy = pod.labels().get(INSTANCE_LABEL)?;
    Some(ObjectRef::new(policy).within(&pod.namespace()?))
}

/// The policies that name a model, or did when they were last looked at.
fn naming(policies: &Store<GuardedPolicy>, model: &GuardedModel) -> Vec<ObjectRef<GuardedPolicy>> {
    let (name, namespace) = (model.name_any(), model.namespace());
    let names = |policy: &RoutingPolicy| {
        let shown = policy.status.iter().flat_map(|status| &status.models).any(|entry| entry.name == name);
        shown
            || policy.spec.model.name == name
            || policy.spec.stable.as_ref().is_some_and(|stable| stable.name == name)
    };
    let all = policies.state();
    let here = all.iter().filter(|policy| policy.namespace() == namespace);
    here.filter(|policy| policy.0.as_ref().is_ok_and(names))
        .map(|policy| ObjectRef::from_obj(policy.as_ref()))
        .collect()
}

async fn reconcile(policy: Arc<GuardedPolicy>, world: Arc<PolicyWorld>) -> Result<Action, ReconcileError> {
    if !world.leadership.may_write() {
        // Gaining the Lease triggers every policy.
        return Ok(Action::await_change());
    }
    let began = Instant::now();
    let looked = match &policy.0 {
        Ok(policy) => tokio::time::timeout(LOOK_TIME, look(&world, policy))
            .await
            .unwrap_or(Err(ReconcileError::Timeout)),
        Err(invalid) => {
            world.events.tell(&policy.object_ref(&()), unreadable("policy", &invalid.error)).await;
            Ok(Action::await_change())
        }
    };
    let outcome = looked.as_ref().map_or_else(ReconcileError::class, |_| "success");
    world.metrics.reconciled("policy", outcome, began.elapsed());
    if looked.is_ok() {
        world.failures.succeeded(policy.as_ref());
    }
    looked
}

/// The five steps.
async fn look(world: &PolicyWorld, policy: &RoutingPolicy) -> Result<Action, ReconcileError> {
    let input = observe::input(policy)?;
    if input.being_deleted {
        return Ok(Action::await_change());
    }
    // On the heap: what is read at once is a large future.
    let observation = Box::pin(observe::observe(world, policy, &input)).await?;
    let plan = plan(&input, &observation.observed, Timestamp::now());
    apply::commit(world, policy, &input.identity, &observation, &plan).await?;
    let acted = apply::act(world, policy, &observation, &plan.actions).await;
    let wake = if world.memory().take_alarm(&input.identity.uid) {
        Duration::ZERO
    } else if observation.is_fetching {
        plan.wake.min(FETCH_WAIT)
    } else {
        plan.wake
    };
    match acted {
        Ok(()) => Ok(Action::requeue(wake)),
        // The pods must go on hearing from the operator, whatever one object of the fleet is refused for.
        Err(error) if wake <= world.settings.poll_interval => {
            tracing::warn!(policy = policy.name_any(), namespace = policy.namespace(), %error, "not everything was done");
            Ok(Action::requeue(wake))
        }
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn back_off(policy: Arc<GuardedPolicy>, error: &ReconcileError, world: Arc<PolicyWorld>) -> Action {
    if error.class() == "standby" {
        return Action::await_change();
    }
    let wait = world.failures.failed(policy.as_ref());
    let (namespace, name) = (policy.namespace(), policy.name_any());
    let source = sources(error);
    tracing::warn!(namespace, policy = name, class = error.class(), %error, source, ?wait, "failed to look at a policy");
    Action::requeue(wait)
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
