//! Every write to the API server but the Lease's: only while the Lease is held, counted, and each in one way.
//!
//! Objects are made with POST, so that a name taken by somebody else is never taken over, and changed by server-side
//! apply. Fields of a POST belong to an `Update` manager, which would keep them when a later apply leaves them out;
//! the first change therefore hands them to the `Apply` manager of the same name.

use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{leader::Leadership, metrics::Metrics};

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The Lease is not held.
    #[error("must hold the Lease to write")]
    NotLeading,
    /// The object has another version than was looked at, or there is one where none was.
    #[error("the {kind} changed meanwhile")]
    Conflict {
        /// Its kind.
        kind: String,
    },
    /// An object cannot be written as JSON.
    #[error("failed to write an object as JSON")]
    Json(#[from] serde_json::Error),
    /// The API server refused or did not answer.
    #[error("failed to {verb} {kind} '{name}'")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// An object to be written.
#[derive(Clone, Debug)]
pub struct Wished {
    resource: ApiResource,
    namespace: String,
    name: String,
    manager: &'static str,
    value: Value,
}

impl Wished {
    /// An object of a kind that is known, to be written in the name of `manager`.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn new<K>(object: &K, manager: &'static str) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let value = serde_json::to_value(object)?;
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        Ok(Self { resource: ApiResource::erase::<K>(&()), namespace, name, manager, value })
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        &self.resource.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Writes. Cloning shares the client.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
}

impl Writer {
    /// Writes while `leadership` allows it.
    pub fn new(client: Client, leadership: Leadership, metrics: Metrics) -> Self {
        Self { client, leadership, metrics }
    }

    /// Makes an object.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where there is one of its name already.
    pub async fn create(&self, wished: &Wished) -> Result<(), WriteError> {
        let parameters = PostParams { field_manager: Some(wished.manager.to_owned()), dry_run: false };
        let object: DynamicObject = serde_json::from_value(wished.value.clone())?;
        self.ask()?;
        let made = self.api(wished).create(&parameters, &object).await;
        self.done("create", wished, made).map(drop)
    }

    /// Brings an object to what is wished for. `live` is what it is now: another object of the same name is left
    /// alone.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the object is another one by now.
    pub async fn apply(&self, wished: &Wished, live: &Value) -> Result<(), WriteError> {
        let api = self.api(wished);
        if let Some(patch) = hand_over(live, wished.manager) {
            self.ask()?;
            let patched = api.patch(&wished.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            self.done("apply", wished, patched)?;
        }
        let mut value = wished.value.clone();
        // A uid in the patch is a precondition.
        if let (Some(uid), Some(metadata)) =
            (live.pointer("/metadata/uid"), value.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.insert("uid".to_owned(), uid.clone());
        }
        self.ask()?;
        let parameters = PatchParams::apply(wished.manager).force();
        let mut patched = api.patch(&wished.name, &parameters, &Patch::Apply(&value)).await;
        if matches!(&patched, Err(kube::Error::Api(status)) if status.is_invalid()) {
            // Where somebody changed the field by which a list's elements are told apart, such as a port's number, an
            // apply would leave both elements. A merge patch replaces lists whole.
            self.ask()?;
            let parameters =
                PatchParams { field_manager: Some(wished.manager.to_owned()), ..PatchParams::default() };
            patched = api.patch(&wished.name, &parameters, &Patch::Merge(&value)).await;
        }
        self.done("apply", wished, patched).map(drop)
    }

    /// Replaces an object as a whole, guarded by the version that was looked at.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where it has another version by now.
    pub async fn replace(&self, wished: &Wished, version: &str) -> Result<(), WriteError> {
        let mut object: DynamicObject = serde_json::from_value(wished.value.clone())?;
        object.metadata.resource_version = Some(version.to_owned());
        let parameters = PostParams { field_manager: Some(wished.manager.to_owned()), dry_run: false };
        self.ask()?;
        let replaced = self.api(wished).replace(&wished.name, &parameters, &object).await;
        self.done("update", wished, replaced).map(drop)
    }

    /// Writes a status, whole. The uid is a precondition.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the object is another one by now.
    pub async fn status<K, S>(&self, object: &K, status: &S) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
        S: Serialize,
    {
        let resource = ApiResource::erase::<K>(&());
        let value = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": object.name_any(), "uid": object.uid() },
            "status": status,
        });
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let wished = Wished { resource, namespace, name, manager: "tiny-dancer/status", value };
        self.ask()?;
        let parameters = PatchParams::apply(wished.manager).force();
        let patched =
            self.api(&wished).patch_status(&wished.name, &parameters, &Patch::Apply(&wished.value)).await;
        self.done("status", &wished, patched).map(drop)
    }

    fn ask(&self) -> Result<(), WriteError> {
        if self.leadership.may_write() { Ok(()) } else { Err(WriteError::NotLeading) }
    }

    fn api(&self, wished: &Wished) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &wished.namespace, &wished.resource)
    }

    fn done<T>(&self, verb: &'static str, wished: &Wished, result: kube::Result<T>) -> Result<T, WriteError> {
        let kind = wished.kind().to_owned();
        match result {
            Ok(written) => {
                self.metrics.wrote(&kind, verb);
                tracing::debug!(kind, name = wished.name, verb, "written");
                Ok(written)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Err(WriteError::Conflict { kind })
            }
            Err(source) => {
                Err(WriteError::Api { verb, kind, name: wished.name.clone(), source: Box::new(source) })
            }
        }
    }
}

/// Whether two statuses differ as the API server would see them: times have whole seconds there.
pub fn differs<S: Serialize>(wished: &S, standing: &S) -> bool {
    match (serde_json::to_value(wished), serde_json::to_value(standing)) {
        (Ok(wished), Ok(standing)) => wished != standing,
        _ => true,
    }
}

/// The patch that hands the fields a POST of `manager` wrote to its apply; `None` where there are none.
fn hand_over(live: &Value, manager: &str) -> Option<Value> {
    let standing = live.pointer("/metadata/managedFields")?.as_array()?;
    let is = |entry: &Value, operation: &str| {
        entry.get("manager").and_then(Value::as_str) == Some(manager)
            && entry.get("operation").and_then(Value::as_str) == Some(operation)
            && entry.get("subresource").and_then(Value::as_str).is_none_or(str::is_empty)
    };
    if !standing.iter().any(|entry| is(entry, "Update")) {
        return None;
    }
    let applied = standing.iter().any(|entry| is(entry, "Apply"));
    let mut entries = standing.clone();
    if applied {
        entries.retain(|entry| !is(entry, "Update"));
    } else {
        for entry in entries.iter_mut().filter(|entry| is(entry, "Update")) {
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("operation".to_owned(), "Apply".into());
            }
        }
    }
    let version = live.pointer("/metadata/resourceVersion")?;
    Some(json!({ "metadata": { "managedFields": entries, "resourceVersion": version } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn live(entries: &Value) -> Value {
        json!({ "metadata": { "resourceVersion": "7", "managedFields": entries } })
    }

    #[test]
    fn a_part_of_a_second_is_no_difference() {
        let at = |text: &str| Time(text.parse().unwrap());
        assert!(!differs(&at("2026-01-01T00:00:00.7Z"), &at("2026-01-01T00:00:00Z")));
        assert!(differs(&at("2026-01-01T00:00:01Z"), &at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn fields_of_the_post_are_handed_to_the_apply_once() {
        let posted = json!([
            { "manager": "tiny-dancer/workload", "operation": "Update", "fieldsV1": { "f:spec": {} } },
            { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status" },
        ]);
        let patch = hand_over(&live(&posted), "tiny-dancer/workload").unwrap();
        assert_eq!(patch["metadata"]["managedFields"][0]["operation"], "Apply");
        assert_eq!(patch["metadata"]["managedFields"][1]["operation"], "Update");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(hand_over(&live(&patch["metadata"]["managedFields"]), "tiny-dancer/workload"), None);
    }
}
