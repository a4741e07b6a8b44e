//! Step one: everything a plan may look at, read here and nowhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
};
use serde_json::Value;
use time::OffsetDateTime;
use tinydancer_crds::{
    Digest, ModelName, RouterModel, RoutingPolicy, ValidPolicy, routing_policy::KeyReference, valid,
};
use tinydancer_plan::{
    Artifact, LiveChild, Observed, ObservedModel, ObservedRecord, PolicyInput, Record, SecretState,
    build::{MODEL_FILE, Names},
};
use tinydancer_protocol::PolicyIdentity;
use tokio::time::Instant;

use crate::{
    artifacts::verify,
    credentials::{self, UpstreamKeys},
    routers::Router,
};

use super::{controller::PolicyWorld, kept::Key, pods};

/// Why a policy could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server did not give something.
    #[error("failed to read {what}")]
    Api {
        /// What was read.
        what: &'static str,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object has neither name nor uid.
    #[error("the policy must have a uid")]
    Identity,
}

/// What was seen: what the plan may know, and beside it what only the shell needs.
pub(super) struct Observation {
    /// What the plan may know.
    pub observed: Observed,
    /// The objects under the fleet's names as the API server gave them, by kind and name.
    pub live: HashMap<(String, String), Value>,
    /// Secret with the certificate.
    pub tls: Option<Secret>,
    /// Secret with the keys.
    pub credentials: Option<Secret>,
    /// Keys of the upstreams.
    pub upstream_keys: UpstreamKeys,
    /// Where each pod is called, by the uid of the pod.
    pub routers: BTreeMap<String, Router>,
    /// Whether an artifact is being fetched: then it is worth looking again soon.
    pub is_fetching: bool,
}

/// The policy as the plan takes it, its spec checked.
///
/// # Errors
/// Where the object has no identity, which the API server does not let happen.
pub(super) fn input(policy: &RoutingPolicy) -> Result<PolicyInput, ObserveError> {
    let uid = policy.uid().ok_or(ObserveError::Identity)?;
    let namespace = policy.namespace().ok_or(ObserveError::Identity)?;
    Ok(PolicyInput {
        identity: PolicyIdentity { namespace, name: policy.name_any(), uid },
        generation: policy.metadata.generation.unwrap_or_default(),
        being_deleted: policy.metadata.deletion_timestamp.is_some(),
        spec: valid::validate(policy),
        commands: valid::commands(policy),
    })
}

/// Looks at everything around a policy.
///
/// # Errors
/// Where the API server does not give something: a plan made on half a view could do harm.
pub(super) async fn observe(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    input: &PolicyInput,
) -> Result<Observation, ObserveError> {
    let PolicyIdentity { namespace, name, uid } = &input.identity;
    let names = Names::of(name);
    let look = Look { world, namespace, names, uid };
    let valid = input.spec.as_ref().ok();
    let references = valid.map(|valid| valid.fleet.key_files()).unwrap_or_default();
    let references = references.into_iter().map(|(file, key)| (file, key.reference)).collect();
    world.filled().await;
    let (record, live, tls, keys_secret, upstream_keys) = futures::try_join!(
        look.record(),
        look.children(),
        look.secret(names.tls()),
        look.secret(names.credentials()),
        look.upstream_keys(&references),
    )?;
    let (models, is_fetching) = look.models(valid, &record).await?;
    let pods = world.watched().pods(namespace, name);
    let (pods, routers) = pods::hear(world, &input.identity, &pods).await;
    let tls_state = look.tls_state(name, tls.as_ref());
    let observed = Observed {
        available: look.available(&models, &record),
        record,
        models,
        status: policy.status.clone().unwrap_or_default(),
        children: live.iter().map(|((kind, name), object)| look.child(kind, name, object)).collect(),
        tls: tls_state,
        credentials: credentials::state(keys_secret.as_ref(), uid, &upstream_keys),
        missing_api_keys: upstream_keys.missing.clone(),
        pods,
        settings: world.settings.clone(),
    };
    Ok(Observation { observed, live, tls, credentials: keys_secret, upstream_keys, routers, is_fetching })
}

/// One look at one policy.
struct Look<'look> {
    world: &'look PolicyWorld,
    namespace: &'look str,
    names: Names<'look>,
    uid: &'look str,
}

impl Look<'_> {
    async fn record(&self) -> Result<ObservedRecord, ObserveError> {
        let found = Api::<ConfigMap>::namespaced(self.world.client.clone(), self.namespace)
            .get_opt(&self.names.record())
            .await
            .map_err(api("the rollout record"))?;
        let Some(found) = found else { return Ok(ObservedRecord::Absent) };
        let owned = is_owned(&found.metadata, self.uid, false);
        Ok(match Record::read(&found.data.clone().unwrap_or_default()) {
            Ok(record) => ObservedRecord::Present {
                record: Box::new(record),
                resource_version: found.resource_version().unwrap_or_default(),
                owned,
            },
            Err(error) => ObservedRecord::Broken(error.to_string()),
        })
    }

    async fn children(&self) -> Result<HashMap<(String, String), Value>, ObserveError> {
        let router = self.names.router();
        let wanted = [
            (ApiResource::erase::<ServiceAccount>(&()), router.clone()),
            (ApiResource::erase::<ConfigMap>(&()), router.clone()),
            (ApiResource::erase::<StatefulSet>(&()), router.clone()),
            (ApiResource::erase::<PodDisruptionBudget>(&()), router.clone()),
            (ApiResource::erase::<NetworkPolicy>(&()), router),
            (ApiResource::erase::<Service>(&()), self.names.headless()),
            (ApiResource::erase::<Service>(&()), self.names.client()),
        ];
        let reads = wanted.into_iter().map(|(resource, name)| async move {
            let found = self.object(&resource, &name).await?;
            Ok(found.map(|value| ((resource.kind, name), value)))
        });
        let found: Vec<_> = futures::future::try_join_all(reads).await.map_err(api("the fleet's objects"))?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn secret(&self, name: String) -> Result<Option<Secret>, ObserveError> {
        let read = async {
            let found = self.object(&ApiResource::erase::<Secret>(&()), &name).await?;
            found.map(|value| serde_json::from_value(value).map_err(kube::Error::SerdeError)).transpose()
        };
        read.await.map_err(api("the Secrets of the fleet and those it refers to"))
    }

    async fn upstream_keys(
        &self,
        references: &BTreeMap<String, KeyReference>,
    ) -> Result<UpstreamKeys, ObserveError> {
        let mut secrets = BTreeMap::new();
        for KeyReference { name, .. } in references.values() {
            if !secrets.contains_key(name.as_str()) {
                let secret = self.secret(name.clone()).await?;
                secrets.insert(name.as_str(), secret.and_then(|secret| secret.data).unwrap_or_default());
            }
        }
        Ok(credentials::upstream_keys(references, &secrets))
    }

    /// An object: read, or as it was read where it is known to stand.
    async fn object(&self, resource: &ApiResource, name: &str) -> kube::Result<Option<Value>> {
        let kind = resource.kind.clone();
        let known = self.world.watched().known(&kind, self.namespace, name);
        let key = Key { policy: self.uid.to_owned(), kind, name: name.to_owned() };
        if let Some(object) = self.world.kept().get(&key, &known, Instant::now()) {
            return Ok(Some(object));
        }
        let api = Api::<DynamicObject>::namespaced_with(self.world.client.clone(), self.namespace, resource);
        let Some(found) = api.get_opt(name).await? else { return Ok(None) };
        let mut object = serde_json::to_value(found).map_err(kube::Error::SerdeError)?;
        self.adopt_boot_model(&mut object);
        self.world.kept().put(key, object.clone(), Instant::now());
        Ok(Some(object))
    }

    fn child(&self, kind: &str, name: &str, object: &Value) -> LiveChild {
        let metadata: ObjectMeta = object
            .get("metadata")
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default();
        LiveChild {
            kind: kind.to_owned(),
            name: name.to_owned(),
            owned: is_owned(&metadata, self.uid, true),
            object: object.clone(),
        }
    }

    /// The stable model's bytes are in the fleet's own ConfigMap: they outlive the RouterModel and the operator. They are
    /// taken out of it.
    fn adopt_boot_model(&self, object: &mut Value) {
        let data = object.as_object_mut().and_then(|fields| fields.remove("binaryData"));
        let text = data.as_ref().and_then(|data| data.get(MODEL_FILE)?.as_str());
        let bytes = text.and_then(|text| serde_json::from_value::<k8s_openapi::ByteString>(text.into()).ok());
        if let Some(bytes) = bytes {
            self.world.artifacts.adopt(self.namespace, &Digest::of(&bytes.0), &bytes.0);
        }
    }

    /// The RouterModels that the policy names or whose digest the record names, each with its artifact and signature. What
    /// the record names is fetched whatever is wrong with the spec: a pod may lack its bytes.
    async fn models(
        &self,
        valid: Option<&ValidPolicy>,
        record: &ObservedRecord,
    ) -> Result<(BTreeMap<ModelName, ObservedModel>, bool), ObserveError> {
        let digests = recorded(record);
        let mut seen = BTreeMap::new();
        let mut is_fetching = false;
        for model in self.world.models_of(self.namespace) {
            let Ok(name) = ModelName::try_from(model.name_any()) else { continue };
            let Ok(digest) = model.spec.digest.parse::<Digest>() else { continue };
            let is_named =
                valid.is_some_and(|valid| valid.model == name || valid.stable.as_ref() == Some(&name));
            if !(is_named || digests.contains(&digest)) || model.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let artifact = self.world.artifacts.look(&model).state();
            is_fetching |= artifact == Artifact::Pending;
            let Some(valid) = valid else { continue };
            let signature = self.signature(valid, &model).await?;
            let version = model.spec.version.clone();
            seen.insert(name, ObservedModel { version, digest, artifact, signature });
        }
        Ok((seen, is_fetching))
    }

    async fn signature(
        &self,
        valid: &ValidPolicy,
        model: &RouterModel,
    ) -> Result<tinydancer_plan::SignatureCheck, ObserveError> {
        let named = model.spec.signature.as_ref().map(|signature| signature.key_id.as_str());
        let trusted = valid.trust.keys.iter().find(|key| Some(key.id.as_str()) == named);
        let text = match trusted {
            None => Err(String::new()),
            Some(trusted) => {
                let secret = self.secret(trusted.secret_ref.name.clone()).await?;
                let data = secret.and_then(|secret| secret.data);
                let bytes = data.and_then(|mut data| data.remove(&trusted.secret_ref.key));
                let missing = || {
                    let reference = &trusted.secret_ref;
                    format!("Secret '{}' must exist and have the key '{}'", reference.name, reference.key)
                };
                bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).ok_or_else(missing)
            }
        };
        Ok(verify::signature(&model.spec, &valid.trust, |_| text.clone()))
    }

    /// Digests whose bytes are at hand.
    fn available(
        &self,
        models: &BTreeMap<ModelName, ObservedModel>,
        record: &ObservedRecord,
    ) -> BTreeSet<Digest> {
        let mut digests = recorded(record);
        digests.extend(models.values().map(|model| model.digest));
        digests.retain(|digest| self.world.artifacts.bytes(self.namespace, digest).is_some());
        digests
    }

    fn tls_state(&self, policy: &str, secret: Option<&Secret>) -> SecretState {
        let certificates = &self.world.certificates;
        credentials::owned(secret, self.uid, |data| {
            data.is_some_and(|data| {
                let text = |key: &str| data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
                text("ca.crt") == certificates.bundle().as_bytes()
                    && !text("tls.key").is_empty()
                    && certificates.holds(text("tls.crt"), self.namespace, policy, OffsetDateTime::now_utc())
            })
        })
    }
}

/// The digests a record names.
fn recorded(record: &ObservedRecord) -> BTreeSet<Digest> {
    let ObservedRecord::Present { record, .. } = record else { return BTreeSet::new() };
    let stable = record.stable.as_ref().map(|stable| stable.model.digest);
    let previous = record.previous.as_ref().map(|previous| previous.model.digest);
    let trial = record.trial.as_ref().map(|trial| trial.model.digest);
    stable.into_iter().chain(previous).chain(trial).collect()
}

fn is_owned(metadata: &ObjectMeta, uid: &str, as_controller: bool) -> bool {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == uid && (!as_controller || owner.controller == Some(true)))
}

pub(super) fn api(what: &'static str) -> impl Fn(kube::Error) -> ObserveError {
    move |source| ObserveError::Api { what, source: Box::new(source) }
}
