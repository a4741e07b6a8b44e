//! Model bytes: fetched in the background, verified, and kept in memory. Asking never waits.

mod address;
mod cache;
mod config_map;
mod https;
pub mod verify;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use kube::{Client, ResourceExt as _};
use tinydancer_crds::{Digest, RouterModel, conditions::reasons, router_model::SourceSpec};
use tinydancer_engine::Model;

use crate::{
    backoff::Backoff,
    metrics::{CallLabels, Metrics},
};

pub use cache::Artifact;
pub use https::{HttpsSource, TrustError};

use cache::{Cache, Key};

/// Bytes of artifacts in memory; a few hundred models.
const MOST_CACHED_BYTES: usize = 64 << 20;
/// Wait after the first failure, doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest wait.
const LONGEST_RETRY: Duration = Duration::from_mins(2);

/// What is known of a model's artifact right now.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is being fetched; ask again in a moment.
    Pending,
    /// It is what the spec says.
    Verified(Artifact),
    /// It is not to be had, or not what the spec says; it will be tried again.
    Failed(Failure),
}

impl Outcome {
    /// As plans take it: without the bytes.
    pub fn state(&self) -> tinydancer_plan::Artifact {
        match self {
            Self::Pending => tinydancer_plan::Artifact::Pending,
            Self::Verified(_) => tinydancer_plan::Artifact::Verified,
            Self::Failed(Failure { reason, message }) => {
                tinydancer_plan::Artifact::Failed { reason, message: message.clone() }
            }
        }
    }
}

/// Why there is no artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of the documented reasons.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// The artifacts of all models. Cloning shares them.
#[derive(Clone)]
pub struct Artifacts(Arc<Shared>);

struct Shared {
    client: Client,
    https: HttpsSource,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    attempts: HashMap<Source, Attempt>,
    backoff: Backoff<Source>,
}

/// What an attempt is about: another source or digest is another attempt, in every namespace for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    key: Key,
    place: String,
}

#[derive(Clone, Debug)]
enum Attempt {
    Running { last: Option<Failure> },
    Failed { failure: Failure, retry_at: Instant },
}

/// Why a fetch ended without an artifact.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("`spec.digest` {0}")]
    Digest(#[from] tinydancer_crds::names::NameError),
    #[error("`spec.source` must have exactly one of `configMap` and `https`")]
    Source,
    #[error("`spec.source.configMap`: {0}")]
    ConfigMap(#[from] config_map::ConfigMapError),
    #[error("`spec.source.https.url`: {0}")]
    Https(#[from] https::HttpsError),
    #[error(transparent)]
    Verify(#[from] verify::VerifyError),
    #[error("failed to verify the artifact: the check was cut short")]
    CutShort,
}

impl FetchError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Digest(_) | Self::Source => reasons::INVALID_SPEC,
            Self::ConfigMap(_) | Self::Https(_) | Self::CutShort => reasons::FETCH_FAILED,
            Self::Verify(error) => error.reason(),
        }
    }
}

impl Artifacts {
    /// Nothing fetched yet.
    pub fn new(client: Client, https: HttpsSource, metrics: Metrics) -> Self {
        let state = State {
            cache: Cache::new(MOST_CACHED_BYTES),
            attempts: HashMap::new(),
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY),
        };
        Self(Arc::new(Shared { client, https, metrics, state: Mutex::new(state) }))
    }

    /// What is known of the model's artifact. Starts a fetch where one is due.
    pub fn look(&self, model: &RouterModel) -> Outcome {
        let failed = |error: FetchError| Outcome::Failed(failure(&error));
        let namespace = model.namespace().unwrap_or_default();
        let digest = match model.spec.digest.parse() {
            Ok(digest) => digest,
            Err(error) => return failed(FetchError::Digest(error)),
        };
        let Ok(place) = serde_json::to_string(&model.spec.source) else { return failed(FetchError::Source) };
        let source = Source { key: Key { namespace, digest }, place };
        let mut state = self.0.lock();
        if let Some(artifact) = state.cache.get(&source.key) {
            return Outcome::Verified(artifact);
        }
        let last = match state.attempts.get(&source) {
            Some(Attempt::Running { last }) => return last.clone().map_or(Outcome::Pending, Outcome::Failed),
            Some(Attempt::Failed { failure, retry_at }) if Instant::now() < *retry_at => {
                return Outcome::Failed(failure.clone());
            }
            Some(Attempt::Failed { failure, .. }) => Some(failure.clone()),
            None => None,
        };
        state.attempts.insert(source.clone(), Attempt::Running { last: last.clone() });
        drop(state);
        let shared = Arc::clone(&self.0);
        let spec = model.spec.source.clone();
        tokio::spawn(async move { shared.attempt(source, spec).await });
        last.map_or(Outcome::Pending, Outcome::Failed)
    }

    /// The bytes of a digest, if they are held.
    pub fn bytes(&self, namespace: &str, digest: &Digest) -> Option<Bytes> {
        let key = Key { namespace: namespace.to_owned(), digest: *digest };
        self.0.lock().cache.get(&key).map(|artifact| artifact.bytes)
    }

    /// Takes up bytes found elsewhere, such as in a fleet's own ConfigMap, if they are the digest's.
    pub fn adopt(&self, namespace: &str, digest: &Digest, bytes: &[u8]) {
        let key = Key { namespace: namespace.to_owned(), digest: *digest };
        if self.0.lock().cache.get(&key).is_some() {
            return;
        }
        if let Ok(model) = verify::artifact(bytes, digest) {
            let artifact = held(Bytes::copy_from_slice(bytes), *digest, &model);
            self.0.lock().cache.put(key, artifact);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, source: Source, spec: SourceSpec) {
        let outcome = self.fetch(&source.key, &spec).await;
        let call = if spec.https.is_some() { "https" } else { "config_map" };
        let told = outcome.as_ref().map_or_else(FetchError::reason, |_| "success");
        self.metrics.fetches.get_or_create(&CallLabels { call, outcome: told }).inc();
        let mut state = self.lock();
        match outcome {
            Ok(artifact) => {
                state.attempts.remove(&source);
                state.backoff.succeeded(&source);
                state.cache.put(source.key, artifact);
            }
            Err(error) => {
                let wait = state.backoff.failed(source.clone(), rand::random());
                let failure = failure(&error);
                tracing::info!(namespace = source.key.namespace, reason = failure.reason, "no artifact");
                state.attempts.insert(source, Attempt::Failed { failure, retry_at: Instant::now() + wait });
            }
        }
    }

    async fn fetch(&self, key: &Key, source: &SourceSpec) -> Result<Artifact, FetchError> {
        let bytes = match (&source.config_map, &source.https) {
            (Some(reference), None) => config_map::read(&self.client, &key.namespace, reference).await?,
            (None, Some(https)) => self.https.fetch(&https.url).await?,
            _ => return Err(FetchError::Source),
        };
        let digest = key.digest;
        let check = move || verify::artifact(&bytes, &digest).map(|model| held(bytes, digest, &model));
        Ok(tokio::task::spawn_blocking(check).await.map_err(|_| FetchError::CutShort)??)
    }
}

fn held(bytes: Bytes, digest: Digest, model: &Model) -> Artifact {
    Artifact { digest, bytes, reference: model.reference().clone() }
}

fn failure(error: &FetchError) -> Failure {
    Failure { reason: error.reason(), message: error.to_string() }
}
