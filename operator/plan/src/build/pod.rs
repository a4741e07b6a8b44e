//! The pod template. It meets the restricted Pod Security Standard.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
        Lifecycle, LifecycleHandler, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec,
        Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction,
        Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use tinydancer_protocol::PolicyIdentity;

use super::{
    meta::{self, Names},
    quantity,
};
use crate::record::TemplateInputs;

/// Data plane.
pub(super) const HTTP_PORT: i32 = 8080;
/// Operator and peers.
pub(super) const CONTROL_PORT: i32 = 9443;
/// Name of the volume that the StatefulSet claims for each pod.
pub(super) const HISTORY_VOLUME: &str = "history";

const BOOT_FOLDER: &str = "/etc/tiny-dancer/boot";
const TLS_FOLDER: &str = "/etc/tiny-dancer/tls";
const CREDENTIALS_FOLDER: &str = "/etc/tiny-dancer/credentials";
const DATA_FOLDER: &str = "/var/lib/tiny-dancer";
/// User and group of the router's image.
const USER: i64 = 65532;

pub(super) fn template(identity: &PolicyIdentity, inputs: &TemplateInputs, volume: &str) -> PodTemplateSpec {
    let names = Names::of(&identity.name);
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(meta::labels(&identity.name)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(names.router()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(30),
            node_selector: (!inputs.node_selector.is_empty()).then(|| inputs.node_selector.clone()),
            tolerations: (!inputs.tolerations.is_empty()).then(|| inputs.tolerations.clone()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![container(identity, inputs, volume)],
            volumes: Some(vec![
                Volume {
                    name: "boot".to_owned(),
                    // A fleet without a model boots without it.
                    config_map: Some(ConfigMapVolumeSource {
                        name: names.router(),
                        optional: Some(true),
                        ..ConfigMapVolumeSource::default()
                    }),
                    ..Volume::default()
                },
                secret_volume("tls", names.tls()),
                secret_volume("credentials", names.credentials()),
            ]),
            ..PodSpec::default()
        }),
    }
}

fn container(identity: &PolicyIdentity, inputs: &TemplateInputs, volume: &str) -> Container {
    let arguments = [
        "serve",
        "--boot",
        BOOT_FOLDER,
        "--tls",
        TLS_FOLDER,
        "--credentials",
        CREDENTIALS_FOLDER,
        "--data",
        DATA_FOLDER,
    ];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    if let Some(bytes) = quantity::bytes(volume) {
        // The rest is for the write-ahead log, and for a file system's own needs.
        arguments.extend(["--history-bytes".to_owned(), (bytes / 2).to_string()]);
    }
    Container {
        name: "router".to_owned(),
        image: Some(inputs.image.clone()),
        args: Some(arguments),
        env: Some(environment(identity)),
        ports: Some(vec![port("http", HTTP_PORT), port("control", CONTROL_PORT)]),
        resources: Some(inputs.resources.clone().unwrap_or_else(default_resources)),
        startup_probe: Some(Probe {
            failure_threshold: Some(60),
            period_seconds: Some(1),
            ..probe("/startupz")
        }),
        readiness_probe: Some(Probe {
            failure_threshold: Some(2),
            period_seconds: Some(2),
            ..probe("/readyz")
        }),
        liveness_probe: Some(Probe {
            failure_threshold: Some(3),
            period_seconds: Some(10),
            ..probe("/livez")
        }),
        // Endpoints follow a pod's end with a delay; until then it goes on serving.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: 3 }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount("boot", BOOT_FOLDER, true),
            mount("tls", TLS_FOLDER, true),
            mount("credentials", CREDENTIALS_FOLDER, true),
            mount(HISTORY_VOLUME, DATA_FOLDER, false),
        ]),
        ..Container::default()
    }
}

fn environment(identity: &PolicyIdentity) -> Vec<EnvVar> {
    let field = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.to_owned(), api_version: None }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let value =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let domain = format!("{}.{}.svc", Names::of(&identity.name).headless(), identity.namespace);
    vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        value("POLICY_NAME", identity.name.clone()),
        value("PEER_DOMAIN", domain),
    ]
}

fn default_resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "50m"), ("memory", "64Mi")])),
        limits: Some(quantities(&[("memory", "256Mi")])),
        claims: None,
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn secret_volume(name: &str, secret: String) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret), ..SecretVolumeSource::default() }),
        ..Volume::default()
    }
}
