//! A hand on a cluster: apply manifests, read objects, reach pods through the API server.

mod fleet;
mod pods;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery,
};
use tinydancer_crds::yaml;
use tokio::sync::Mutex;

pub use fleet::{Fleet, FleetWish, PATIENCE, merge, model_bytes};

/// Field manager of everything the tests apply.
const MANAGER: &str = "e2e";

type Kinds = BTreeMap<(String, String), (ApiResource, bool)>;

/// A cluster reached with a kubeconfig.
#[derive(Clone)]
pub struct Cluster {
    /// The API server.
    pub client: Client,
    kinds: Arc<Mutex<Kinds>>,
}

impl Cluster {
    /// Connects to the cluster that `KUBECONFIG` names.
    ///
    /// # Errors
    /// Where there is no kubeconfig or it cannot be used.
    pub async fn connect() -> Result<Self> {
        // Only fails where a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.context("failed to use the kubeconfig")?;
        Ok(Self { client, kinds: Arc::default() })
    }

    /// Connects if the tests were given a cluster, and says NOT RUN if not.
    pub async fn for_tests(test: &str) -> Option<Self> {
        if std::env::var_os("TINYDANCER_E2E").is_none() {
            println!("NOT RUN: {test} needs a cluster: `cargo xtask test` brings one up");
            return None;
        }
        match Self::connect().await {
            Ok(cluster) => Some(cluster),
            Err(error) => panic_for_test(&format!("{error:#}")),
        }
    }

    /// Applies every document of a text, by server-side apply.
    ///
    /// # Errors
    /// What the API server says about the first document it refuses.
    pub async fn apply(&self, text: &str, namespace: &str) -> Result<()> {
        for object in yaml::from_multi::<DynamicObject>(text).context("failed to read the manifest")? {
            self.apply_object(&object, namespace).await?;
        }
        Ok(())
    }

    /// Applies one object.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn apply_object(&self, object: &DynamicObject, namespace: &str) -> Result<DynamicObject> {
        let name = object.metadata.name.clone().context("`metadata.name` must be there")?;
        let api = self.api_of(object, namespace).await?;
        let parameters = PatchParams::apply(MANAGER).force();
        Ok(api.patch(&name, &parameters, &Patch::Apply(object)).await?)
    }

    /// Creates one object, strictly validated as kubectl does, and says how the API server refused it, if it did.
    ///
    /// # Errors
    /// Where the API server was not reached.
    pub async fn refusal(
        &self,
        object: &DynamicObject,
        namespace: &str,
        dry_run: bool,
    ) -> Result<Option<String>> {
        let api = self.api_of(object, namespace).await?;
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let uri = format!("{}?fieldManager={MANAGER}&fieldValidation=Strict{dry_run}", api.resource_url());
        self.answer(http::Request::post(uri).body(serde_json::to_vec(object)?)?).await
    }

    /// Replaces one object that exists, and says how the API server refused it, if it did.
    ///
    /// # Errors
    /// Where the API server was not reached.
    pub async fn refusal_to_change(&self, object: &DynamicObject, namespace: &str) -> Result<Option<String>> {
        let api = self.api_of(object, namespace).await?;
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let uri = format!("{}/{name}?fieldManager={MANAGER}", api.resource_url());
        let request = http::Request::patch(uri).header("content-type", "application/merge-patch+json");
        self.answer(request.body(serde_json::to_vec(object)?)?).await
    }

    async fn answer(&self, mut request: http::Request<Vec<u8>>) -> Result<Option<String>> {
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().entry(http::header::CONTENT_TYPE).or_insert(json);
        match self.client.request::<serde_json::Value>(request).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
            Err(error) => Err(error.into()),
        }
    }

    async fn api_of(&self, object: &DynamicObject, namespace: &str) -> Result<Api<DynamicObject>> {
        let types = object.types.clone().context("`apiVersion` and `kind` must be there")?;
        let key = (types.api_version.clone(), types.kind.clone());
        let mut kinds = self.kinds.lock().await;
        let (resource, namespaced) = if let Some(known) = kinds.get(&key) {
            known.clone()
        } else {
            let kind = GroupVersionKind::try_from(&types)?;
            let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind).await?;
            let found = (resource, capabilities.scope == discovery::Scope::Namespaced);
            kinds.insert(key, found.clone());
            found
        };
        Ok(if namespaced {
            let own = object.metadata.namespace.as_deref().unwrap_or(namespace);
            Api::namespaced_with(self.client.clone(), own, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        })
    }

    /// Makes a namespace, restricted as a production one should be.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn make_namespace(&self, name: &str) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let labels = [("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())].into();
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        match api.create(&PostParams::default(), &namespace).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            result => result.map(|_| ()).context("failed to make the namespace"),
        }
    }

    /// Deletes a namespace, if there is one, and waits until nothing of it is left.
    ///
    /// # Errors
    /// What the API server says, or when it is not gone in time.
    pub async fn remove_namespace(&self, name: &str) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        if api.get_opt(name).await?.is_none() {
            return Ok(());
        }
        self.delete_namespace(name).await?;
        eventually(&format!("namespace {name} is gone"), PATIENCE, || async {
            match api.get_opt(name).await? {
                None => Ok(()),
                Some(_) => bail!("it is still there"),
            }
        })
        .await
    }

    /// Deletes a namespace and does not wait for it.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.delete(name, &DeleteParams::default()).await.map(|_| ()).context("failed to delete the namespace")
    }
}

/// Ends a test that was given a cluster it cannot use.
#[expect(clippy::panic, reason = "only tests come here")]
fn panic_for_test(message: &str) -> ! {
    panic!("{message}")
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When there is none in time; the message says what was waited for and the last thing seen.
pub async fn eventually<T, Asking>(what: &str, limit: Duration, mut ask: impl FnMut() -> Asking) -> Result<T>
where
    Asking: Future<Output = Result<T>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if tokio::time::Instant::now() >= deadline => {
                bail!("not in {} s: {what}; last seen: {error:#}", limit.as_secs())
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}
