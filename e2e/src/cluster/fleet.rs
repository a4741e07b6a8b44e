//! A namespace with an operator of its own, two upstreams, a steady client, models and a policy.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Pod},
    },
};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde_json::{Value, json};
use tinydancer_crds::{
    Digest, RouterModel, RoutingPolicy,
    router_model::{RouterModelSpec, SignatureSpec, SourceSpec},
    routing_policy::{KeyReference, RolloutState},
    yaml,
};

use super::{Cluster, MANAGER, eventually};
use crate::traffic::{Counts, Wish};

/// Time that a cluster of two busy cores may take for a step that needs a few seconds.
pub const PATIENCE: Duration = Duration::from_mins(2);
const PARTS: &str = include_str!("../../manifests/parts.yaml");
const POLICY: &str = include_str!("../../manifests/policy.yaml");
const OPERATOR: &str = "tiny-dancer-operator";

/// What a fleet starts with.
#[derive(Clone, Debug)]
pub struct FleetWish {
    /// Part of the namespace's name.
    pub name: &'static str,
    /// Models that exist from the start.
    pub models: &'static [&'static str],
    /// Requests a second once the fleet is ready.
    pub rate_per_second: u32,
    /// Changes of the policy, as a merge patch.
    pub policy: Value,
}

/// The bytes of a model as it is kept in the repository.
///
/// # Errors
/// Where the file cannot be read.
pub fn model_bytes(name: &str) -> Result<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../models/{name}.safetensors"));
    std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// A fleet in a namespace of its own.
pub struct Fleet {
    /// The cluster it runs on.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
}

impl Fleet {
    /// Starts everything, waits until the fleet serves, and lets the client send.
    ///
    /// # Errors
    /// What went wrong first.
    pub async fn start(cluster: Cluster, wish: FleetWish) -> Result<Self> {
        let namespace = format!("e2e-{}-{:04x}", wish.name, rand::random::<u16>());
        cluster.make_namespace(&namespace).await?;
        let fleet = Self { cluster, namespace };
        fleet.apply_operator().await?;
        fleet.cluster.apply(PARTS, &fleet.namespace).await?;
        for name in wish.models {
            fleet.add_model(name, &model_bytes(name)?, None).await?;
        }
        fleet.apply_policy(&wish.policy).await?;
        fleet.open(wish.rate_per_second).await?;
        Ok(fleet)
    }

    /// Waits until the fleet is Ready and its Service leads to it, then counts anew and lets the client send.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn open(&self, rate_per_second: u32) -> Result<()> {
        self.wait_for_ready().await?;
        // A Service is programmed into the node a moment after its pods are Ready; that moment is nobody's failure.
        self.send(Wish { rate_per_second: 5, ..self.wish() }).await?;
        eventually("the Service leads to the fleet", PATIENCE, || async {
            let counts = self.counts().await?;
            ensure!(counts.answered >= 5, "{counts:?}");
            Ok(())
        })
        .await?;
        self.send(Wish { rate_per_second, ..self.wish() }).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.reset_counts().await
    }

    async fn apply_operator(&self) -> Result<()> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/e2e/operator-namespaced.yaml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}: `cargo xtask test` renders it", path.display()))?;
        self.cluster.apply(&text.replace("tiny-dancer-system", &self.namespace), &self.namespace).await
    }

    /// Applies the tests' policy with changes.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn apply_policy(&self, changes: &Value) -> Result<()> {
        let mut policy: Value = yaml::from_str(POLICY)?;
        merge(&mut policy, changes);
        self.cluster.apply_object(&serde_json::from_value(policy)?, &self.namespace).await.map(|_| ())
    }

    /// Adds a RouterModel with its artifact in a ConfigMap.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn add_model(
        &self,
        name: &str,
        bytes: &[u8],
        signature: Option<SignatureSpec>,
    ) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.add_model_as(name, bytes, &digest.to_string(), signature).await?;
        Ok(digest)
    }

    /// Adds a RouterModel that may claim another digest than its artifact has.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn add_model_as(
        &self,
        name: &str,
        bytes: &[u8],
        digest: &str,
        signature: Option<SignatureSpec>,
    ) -> Result<()> {
        let parameters = PatchParams::apply(MANAGER).force();
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            binary_data: Some([("model.safetensors".to_owned(), ByteString(bytes.to_vec()))].into()),
            ..ConfigMap::default()
        };
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        maps.patch(name, &parameters, &Patch::Apply(&map)).await?;
        let key = KeyReference { name: name.to_owned(), key: "model.safetensors".to_owned() };
        let spec = RouterModelSpec {
            version: VERSIONS
                .iter()
                .find(|known| known.0 == name)
                .map_or("9.0.0", |known| known.1)
                .to_owned(),
            digest: digest.to_owned(),
            source: SourceSpec { config_map: Some(key), https: None },
            signature,
        };
        let model = RouterModel::new(name, spec);
        self.models().patch(name, &parameters, &Patch::Apply(&model)).await?;
        Ok(())
    }

    /// The fleet's client wish: where to send, nothing yet.
    pub fn wish(&self) -> Wish {
        Wish { target: "http://support".to_owned(), ..Wish::default() }
    }

    /// Tells the client what to send.
    ///
    /// # Errors
    /// Where the client does not answer in time.
    pub async fn send(&self, wish: Wish) -> Result<()> {
        eventually("the client takes a wish", PATIENCE, || {
            self.cluster.put_to_pod(&self.namespace, "client", "wish", &wish)
        })
        .await
    }

    /// What came back so far.
    ///
    /// # Errors
    /// Where the client does not answer.
    pub async fn counts(&self) -> Result<Counts> {
        self.cluster.get_from_pod(&self.namespace, "client", "counts").await
    }

    /// Starts counting anew.
    ///
    /// # Errors
    /// Where the client does not answer.
    pub async fn reset_counts(&self) -> Result<()> {
        self.cluster
            .ask_pod(&self.namespace, "client", http::Method::DELETE, "counts", Vec::new())
            .await
            .map(|_| ())
    }

    /// RoutingPolicies of the namespace.
    pub fn policies(&self) -> Api<RoutingPolicy> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// RouterModels of the namespace.
    pub fn models(&self) -> Api<RouterModel> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// The policy as it is.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn policy(&self) -> Result<RoutingPolicy> {
        Ok(self.policies().get("support").await?)
    }

    /// Names the model that the fleet should run, as a Git commit would.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn name_model(&self, name: &str) -> Result<()> {
        self.change_policy(&json!({ "spec": { "model": { "name": name } } })).await
    }

    /// Changes the policy by a merge patch.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn change_policy(&self, changes: &Value) -> Result<()> {
        self.policies().patch("support", &PatchParams::default(), &Patch::Merge(changes)).await?;
        Ok(())
    }

    /// Waits until the fleet serves with its stable model.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_for_ready(&self) -> Result<()> {
        eventually("the policy is Ready", PATIENCE, || async {
            let status = self.policy().await?.status.unwrap_or_default();
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            match ready {
                Some(condition) if condition.status == "True" => Ok(()),
                Some(condition) => bail!("{}: {}", condition.reason, condition.message),
                None => bail!("no condition Ready"),
            }
        })
        .await
    }

    /// Waits until a condition of a policy says this, and gives its message.
    ///
    /// # Errors
    /// When it does not in time; the message shows the last one seen.
    pub async fn wait_for_condition(
        &self,
        policy: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        eventually(&format!("{type_} of {policy} is {status}: {reason}"), PATIENCE, || async {
            let seen = self.policies().get(policy).await?.status.unwrap_or_default();
            let condition = seen.conditions.into_iter().find(|condition| condition.type_ == type_);
            match condition {
                Some(found) if found.status == status && found.reason == reason => Ok(found.message),
                other => bail!("{other:?}"),
            }
        })
        .await
    }

    /// Waits until a model is in a state, by the policy's status.
    ///
    /// # Errors
    /// When it is not in time; the message shows the rollout.
    pub async fn wait_for_state(&self, model: &str, state: RolloutState) -> Result<()> {
        eventually(&format!("{model} is {state:?}"), PATIENCE, || async {
            let status = self.policy().await?.status.unwrap_or_default();
            match status.models.iter().find(|entry| entry.name == model) {
                Some(entry) if entry.state == state => Ok(()),
                _ => bail!("rollout {:?}", status.rollout),
            }
        })
        .await
    }

    /// Sets how many operators run; where none is wished, ends them as a lost node would and waits until none is left.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn scale_operator(&self, replicas: i32) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let scale = json!({ "spec": { "replicas": replicas } });
        api.patch(OPERATOR, &PatchParams::default(), &Patch::Merge(&scale)).await?;
        if replicas > 0 {
            return Ok(());
        }
        eventually("no operator is left", PATIENCE, || async {
            self.kill_operator().await?;
            let pods = self.cluster.pods(&self.namespace, OPERATOR_LABEL).await?;
            ensure!(pods.is_empty(), "{} left", pods.len());
            Ok(())
        })
        .await
    }

    /// Has the operator look at trials less often, so that the lease of a candidate lasts five times as long, and waits
    /// until it does.
    ///
    /// # Errors
    /// What the API server says, or when no operator is in time.
    pub async fn look_every(&self, seconds: u32) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let mut deployment = serde_json::to_value(api.get(OPERATOR).await?)?;
        let containers = &mut deployment["spec"]["template"]["spec"]["containers"];
        let arguments = containers[0]["args"].as_array_mut().context("the operator has arguments")?;
        arguments.push(json!(format!("--poll-seconds-active={seconds}")));
        let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        self.another_operator(async {
            api.patch(OPERATOR, &PatchParams::default(), &Patch::Merge(&change)).await.map(|_| ())?;
            Ok(())
        })
        .await
    }

    /// Kills the operator as a lost node would; its Deployment starts another.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn kill_operator(&self) -> Result<()> {
        for pod in self.cluster.pods(&self.namespace, OPERATOR_LABEL).await? {
            self.cluster.kill_pod(&self.namespace, pod.metadata.name.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Kills the operator and waits until another one holds its Lease.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn replace_operator(&self) -> Result<()> {
        self.another_operator(self.kill_operator()).await
    }

    async fn another_operator(&self, change: impl Future<Output = Result<()>>) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let holder = || async {
            let spec = leases.get(OPERATOR).await?.spec.unwrap_or_default();
            anyhow::Ok(spec.holder_identity.unwrap_or_default())
        };
        let before = holder().await?;
        change.await?;
        eventually("another operator holds the Lease", PATIENCE, || async {
            let now = holder().await?;
            ensure!(!now.is_empty() && now != before, "held by '{now}'");
            Ok(())
        })
        .await
    }

    /// What the operator measures, as text.
    ///
    /// # Errors
    /// Where there is not one operator, or it does not answer.
    pub async fn operator_metrics(&self) -> Result<String> {
        let pods = self.cluster.pods(&self.namespace, OPERATOR_LABEL).await?;
        ensure!(pods.len() == 1, "{} operators", pods.len());
        let pod = pods.into_iter().find_map(|pod| pod.metadata.name).unwrap_or_default();
        self.cluster.ask_pod(&self.namespace, &pod, http::Method::GET, "metrics", Vec::new()).await
    }

    /// Names of the router pods.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn routers(&self) -> Result<Vec<String>> {
        let pods = self.cluster.pods(&self.namespace, ROUTER_LABEL).await?;
        Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
    }

    /// What a router measures under this name, added up over its labels; of those whose text holds `label`.
    ///
    /// # Errors
    /// Where the pod does not answer or does not measure it.
    pub async fn router_metric(&self, router: &str, name: &str, label: &str) -> Result<f64> {
        let text =
            self.cluster.ask_pod(&self.namespace, router, http::Method::GET, "metrics", vec![]).await?;
        let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let series = series.filter(|line| line.contains(label));
        let values = series.filter_map(|line| line.rsplit(' ').next()).map(str::parse::<f64>);
        let values = values.collect::<Result<Vec<_>, _>>().context("not a number")?;
        ensure!(!values.is_empty(), "{router} does not measure {name}");
        Ok(values.into_iter().sum())
    }

    /// Waits until a router pod is Ready, whatever the operator says.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for_router(&self, name: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        eventually(&format!("pod {name} is Ready"), PATIENCE, || async {
            let conditions =
                pods.get(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|found| found.type_ == "Ready" && found.status == "True");
            ensure!(ready, "{conditions:?}");
            Ok(())
        })
        .await
    }

    /// Runs kubectl in the fleet's namespace as a person would, and gives what it printed.
    ///
    /// # Errors
    /// Where it fails; the message has what it printed.
    pub async fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new("kubectl");
        command.args(words).args(["--namespace", &self.namespace]);
        let output = command.output().await.context("failed to start kubectl")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "kubectl {}: {out}{err}", words.join(" "));
        Ok(out.into_owned())
    }

    /// Ends everything.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn stop(self) -> Result<()> {
        self.cluster.delete_namespace(&self.namespace).await
    }
}

const OPERATOR_LABEL: &str = "app.kubernetes.io/name=tiny-dancer-operator";
const ROUTER_LABEL: &str = "app.kubernetes.io/name=tiny-dancer-router";
const VERSIONS: &[(&str, &str)] =
    &[("support-v1", "1.4.0"), ("support-v2", "2.0.0"), ("support-v3", "2.1.0"), ("support-v4", "2.2.0")];

/// JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *target = changes.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().map(|object| object.remove(key));
        } else {
            merge(&mut target[key.as_str()], change);
        }
    }
}
