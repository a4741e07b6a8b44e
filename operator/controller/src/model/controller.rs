//! The loop over RouterModels: looks at the artifact, reads what policies say, writes status. It reads no object
//! besides those it watches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, Resource as _, ResourceExt as _,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{Action, Config},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tinydancer_crds::{RouterModel, conditions::types, router_model::ArtifactState};
use tinydancer_plan::{Artifact, model_status};
use tokio::sync::watch;

use crate::{
    artifacts::Artifacts,
    events::{Events, Happening},
    leader::Leadership,
    looks::{Failures, GuardedModel, GuardedPolicy, unreadable},
    metrics::Metrics,
    scope::Scope,
    sources::sources,
    writer::{WriteError, Writer, differs},
};

/// Time one look may take.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Wait while the artifact is being fetched.
const FETCH_WAIT: Duration = Duration::from_millis(300);
/// Wait until an artifact that failed is asked for again; the fetch itself backs off.
const FAILED_WAIT: Duration = Duration::from_secs(2);
/// Wait when nothing is to be done.
const SETTLED_WAIT: Duration = Duration::from_mins(5);

/// What the loop works with.
pub struct ModelParts {
    /// Watches.
    pub client: Client,
    /// Whether anything may be written.
    pub leadership: Leadership,
    /// Counts.
    pub metrics: Metrics,
    /// Tells.
    pub events: Events,
    /// Writes.
    pub writer: Writer,
    /// Model bytes.
    pub artifacts: Artifacts,
}

struct World {
    parts: ModelParts,
    policies: Store<GuardedPolicy>,
    failures: Failures,
}

/// Why a look at a model came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It took too long.
    #[error("the look at the model must end within {} seconds", LOOK_TIME.as_secs())]
    Timeout,
    /// The status was not taken.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Runs until `stop` changes.
pub async fn run(parts: ModelParts, scope: Scope, mut stop: watch::Receiver<bool>) {
    let client = parts.client.clone();
    let config = watcher::Config::default().any_semantic();
    let controller = Controller::new(scope.api::<GuardedModel>(&client), config.clone());
    let models = controller.store();
    let (policies, writer) = reflector::store();
    let touched =
        reflector::reflector(writer, watcher(scope.api::<GuardedPolicy>(&client), config)).touched_objects();
    let gained = parts.leadership.gained();
    controller
        .watches_stream(touched, move |policy| in_namespace(&models, &policy))
        .reconcile_all_on(gained)
        .with_config(Config::default().concurrency(16).debounce(Duration::from_millis(100)))
        .graceful_shutdown_on(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, back_off, Arc::new(World { parts, policies, failures: Failures::default() }))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A policy may have come to speak of any model of its namespace, or have stopped to.
fn in_namespace(models: &Store<GuardedModel>, policy: &GuardedPolicy) -> Vec<ObjectRef<GuardedModel>> {
    let namespace = policy.namespace();
    let all = models.state();
    let here = all.iter().filter(|model| model.namespace() == namespace);
    here.map(|model| ObjectRef::from_obj(model.as_ref())).collect()
}

async fn reconcile(model: Arc<GuardedModel>, world: Arc<World>) -> Result<Action, ReconcileError> {
    if !world.parts.leadership.may_write() {
        return Ok(Action::await_change());
    }
    let began = Instant::now();
    let looked = match &model.0 {
        Ok(model) => {
            tokio::time::timeout(LOOK_TIME, look(&world, model)).await.unwrap_or(Err(ReconcileError::Timeout))
        }
        Err(invalid) => {
            world.parts.events.tell(&model.object_ref(&()), unreadable("model", &invalid.error)).await;
            Ok(Action::await_change())
        }
    };
    let outcome = looked.as_ref().map_or_else(|_| "failed", |_| "success");
    world.parts.metrics.reconciled("model", outcome, began.elapsed());
    if looked.is_ok() {
        world.failures.succeeded(model.as_ref());
    }
    looked
}

async fn look(world: &World, model: &RouterModel) -> Result<Action, ReconcileError> {
    if model.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let artifact = world.parts.artifacts.look(model).state();
    let namespace = model.namespace();
    let policies = world.policies.state();
    let here = policies
        .iter()
        .filter_map(|policy| policy.0.as_ref().ok())
        .filter(|policy| policy.namespace() == namespace);
    let standing = model.status.clone().unwrap_or_default();
    if artifact == Artifact::Pending && is_judged(model) {
        return Ok(Action::requeue(FETCH_WAIT));
    }
    let wished = model_status(model, &artifact, here, Timestamp::now());
    if differs(&wished, &standing) {
        world.parts.writer.status(model, &wished).await?;
        if wished.artifact != standing.artifact && wished.artifact != Some(ArtifactState::Pending) {
            let verified = wished.conditions.iter().find(|condition| condition.type_ == types::VERIFIED);
            let happening = Happening {
                warning: wished.artifact == Some(ArtifactState::Failed),
                reason: verified.map(|condition| condition.reason.clone()).unwrap_or_default(),
                message: verified.map(|condition| condition.message.clone()).unwrap_or_default(),
                action: "Verify",
                related: None,
                occasion: None,
            };
            world.parts.events.tell(&model.object_ref(&()), happening).await;
        }
    }
    Ok(Action::requeue(match artifact {
        Artifact::Pending => FETCH_WAIT,
        Artifact::Failed { .. } => FAILED_WAIT,
        Artifact::Verified => SETTLED_WAIT,
    }))
}

/// Whether the artifact was judged before, by another replica or another start: that stands until it is judged again.
fn is_judged(model: &RouterModel) -> bool {
    let Some(status) = &model.status else { return false };
    status.observed_generation == model.metadata.generation
        && matches!(status.artifact, Some(ArtifactState::Verified | ArtifactState::Failed))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn back_off(model: Arc<GuardedModel>, error: &ReconcileError, world: Arc<World>) -> Action {
    if matches!(error, ReconcileError::Write(WriteError::NotLeading)) {
        return Action::await_change();
    }
    let wait = world.failures.failed(model.as_ref());
    let (namespace, name) = (model.namespace(), model.name_any());
    let source = sources(error);
    tracing::warn!(namespace, model = name, %error, source, ?wait, "failed to look at a model");
    Action::requeue(wait)
}
