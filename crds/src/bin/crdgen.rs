//! Prints one custom resource definition as YAML: `crdgen routingpolicies` or `crdgen routermodels`.

use std::process::ExitCode;

use kube::CustomResourceExt as _;
use tinydancer_crds::{RouterModel, RoutingPolicy, yaml};

fn main() -> ExitCode {
    let crd = match std::env::args().nth(1).as_deref() {
        Some("routingpolicies") => RoutingPolicy::crd(),
        Some("routermodels") => RouterModel::crd(),
        _ => {
            eprintln!("usage: crdgen routingpolicies|routermodels");
            return ExitCode::from(2);
        }
    };
    match yaml::to_string(&crd) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
