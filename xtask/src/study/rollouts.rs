//! Rollouts: false alarms, power, explored states, the hot path, and a cluster whose parts fail.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::{Part, run_parts, shown};
use crate::access::{Access, ClusterAccess};
use crate::cluster::{self, ClusterName};
use crate::image;
use crate::test;
use crate::workspace::Workspace;

/// The local cluster's name, so that a study runs beside a demo that is still up.
const CLUSTER: &str = "study";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Runs of each simulated scenario
    #[arg(long, default_value_t = 1000)]
    runs: u32,
    /// States that the exploration visits at least
    #[arg(long, default_value_t = 1_000_000)]
    states: u64,
    /// Run only the part whose name contains this
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

pub(super) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    run_parts(workspace, PARTS, arguments, arguments.only.as_deref())
}

const PARTS: &[Part<Arguments>] = &[
    Part { name: "simulation", run: simulation },
    Part { name: "exploration", run: exploration },
    Part { name: "hot-path", run: hot_path },
    Part { name: "cluster", run: on_cluster },
];

fn simulation(workspace: &Workspace, arguments: &Arguments) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--locked", "--quiet", "--package", "tinydancer-cli", "--", "simulate"]);
    cargo.args(["--runs", &arguments.runs.to_string()]);
    shown(&mut cargo)
}

fn exploration(workspace: &Workspace, arguments: &Arguments) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release", "--locked", "--quiet", "--package", "tinydancer-plan", "--test", "it"]);
    cargo.args(["exploration", "--", "--nocapture"]);
    cargo.env("TINYDANCER_STATES", arguments.states.to_string());
    shown(&mut cargo)
}

fn hot_path(workspace: &Workspace, _: &Arguments) -> Result<String> {
    shown(workspace.cargo().args(["bench", "--locked", "--quiet", "--package", "tinydancer-benches"]))
}

fn on_cluster(workspace: &Workspace, _: &Arguments) -> Result<String> {
    let cluster = ClusterAccess::open(workspace, &Access::of_local(CLUSTER)?)?;
    let outcome = measured_on(workspace, &cluster);
    let name: ClusterName = CLUSTER.parse()?;
    cluster::down(workspace, &name)?;
    let printed = outcome?;
    let measured: Vec<&str> =
        printed.lines().filter_map(|line| Some(line.split_once("MEASURED ")?.1)).collect();
    ensure!(!measured.is_empty(), "the studies on the cluster must print what they measured");
    Ok(measured.join("\n") + "\n")
}

fn measured_on(workspace: &Workspace, cluster: &ClusterAccess) -> Result<String> {
    cluster.load(&image::build_all(workspace)?)?;
    test::install(workspace, cluster)?;
    let mut tests = workspace.cargo();
    tests.args(["test", "--package", "tinydancer-e2e", "--test", "study", "--locked", "--"]);
    tests.args(["--nocapture", "--test-threads", "1"]);
    tests.env("TINYDANCER_E2E", "1");
    if let Some(process) = cluster.api_server() {
        tests.env("TINYDANCER_API_SERVER_PID", process.to_string());
    }
    cluster.point(workspace, &mut tests)?;
    cluster.put_kubectl_on_path(workspace, &mut tests)?;
    shown(&mut tests)
}
