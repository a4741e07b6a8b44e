//! What the watches over fleets tell: the versions of their objects, and their pods.

use std::{collections::HashMap, fmt::Debug};

use futures::{FutureExt as _, Stream, future::BoxFuture};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt,
    api::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tinydancer_plan::build::selector_labels;

use super::kept::Known;

/// The objects of one kind that a watch tells of.
pub(super) trait Versions: Send + Sync {
    /// The resourceVersion of an object.
    fn version(&self, namespace: &str, name: &str) -> Option<String>;
    /// Returns once every object that was there at first is known.
    fn filled(&self) -> BoxFuture<'_, ()>;
}

impl<K> Versions for Store<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn version(&self, namespace: &str, name: &str) -> Option<String> {
        let reference = ObjectRef::<PartialObjectMeta<K>>::new(name).within(namespace);
        self.get(&reference)?.resource_version()
    }

    fn filled(&self) -> BoxFuture<'_, ()> {
        // A writer that is gone means that the loop ends.
        self.wait_until_ready().map(drop).boxed()
    }
}

/// All watches over fleets.
pub(super) struct Watched {
    kinds: HashMap<String, Box<dyn Versions>>,
    pods: Store<Pod>,
}

impl Watched {
    /// Pods alone.
    pub(super) fn new(pods: Store<Pod>) -> Self {
        Self { kinds: HashMap::new(), pods }
    }

    /// Takes in what a watch over one more kind tells.
    pub(super) fn add<K: Resource<DynamicType = ()>>(&mut self, versions: impl Versions + 'static) {
        self.kinds.insert(K::kind(&()).into_owned(), Box::new(versions));
    }

    /// Watches the objects of one more kind by their metadata. The stream has every one that changed.
    pub(super) fn follow<K>(
        &mut self,
        api: Api<PartialObjectMeta<K>>,
        config: watcher::Config,
    ) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        self.add::<K>(store);
        let events = watcher(api, config).modify(|object| object.managed_fields_mut().clear());
        reflector::reflector(writer, events).touched_objects()
    }

    /// What is known of an object.
    pub(super) fn known(&self, kind: &str, namespace: &str, name: &str) -> Known {
        match self.kinds.get(kind) {
            None => Known::Unwatched,
            Some(versions) => versions.version(namespace, name).map_or(Known::Absent, Known::Version),
        }
    }

    /// The pods of a fleet that are not being deleted.
    pub(super) fn pods(&self, namespace: &str, policy: &str) -> Vec<Pod> {
        let labels = selector_labels(policy);
        let is_of_fleet = |pod: &Pod| {
            pod.namespace().as_deref() == Some(namespace)
                && pod.metadata.deletion_timestamp.is_none()
                && labels.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
        };
        let pods = self.pods.state();
        let mut pods: Vec<Pod> =
            pods.iter().filter(|pod| is_of_fleet(pod)).map(|pod| pod.as_ref().clone()).collect();
        pods.sort_by_cached_key(ResourceExt::name_any);
        pods
    }

    /// Returns once every watch has told what was there at first: less than that is half a view.
    pub(super) async fn filled(&self) {
        let _ = self.pods.wait_until_ready().await;
        for versions in self.kinds.values() {
            versions.filled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Service;
    use kube::runtime::reflector::store::Writer;
    use serde_json::json;

    fn seen<K>(writer: &mut Writer<K>, object: serde_json::Value)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + 'static,
    {
        writer.apply_watcher_event(&watcher::Event::Apply(serde_json::from_value(object).unwrap()));
    }

    fn pod(name: &str, namespace: &str, policy: &str) -> serde_json::Value {
        json!({ "metadata": { "name": name, "namespace": namespace, "labels": selector_labels(policy) } })
    }

    #[test]
    fn a_fleet_has_its_own_pods_but_those_that_are_going() {
        let (pods, mut writer) = reflector::store();
        for (name, namespace, policy) in [
            ("b", "team", "support"),
            ("a", "team", "support"),
            ("c", "team", "sales"),
            ("d", "other", "support"),
        ] {
            seen(&mut writer, pod(name, namespace, policy));
        }
        let mut going = pod("e", "team", "support");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        seen(&mut writer, going);
        let names: Vec<_> =
            Watched::new(pods).pods("team", "support").iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_kind_that_is_watched_is_known_by_its_version_or_as_absent() {
        let (services, mut writer) = reflector::store::<PartialObjectMeta<Service>>();
        let metadata = json!({ "name": "support", "namespace": "team", "resourceVersion": "7" });
        seen(&mut writer, json!({ "metadata": metadata }));
        let mut watched = Watched::new(reflector::store().0);
        watched.add::<Service>(services);
        assert_eq!(watched.known("Service", "team", "support"), Known::Version("7".into()));
        assert_eq!(watched.known("Service", "other", "support"), Known::Absent);
        assert_eq!(watched.known("Secret", "team", "support"), Known::Unwatched);
    }
}
