//! `cargo xtask study`: what takes too long for every run, and is written down instead.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::access::{Access, ClusterAccess};
use crate::cluster::{self, ClusterName};
use crate::command;
use crate::image;
use crate::test;
use crate::workspace::Workspace;

/// The local cluster's name, so that a study runs beside a demo that is still up.
const CLUSTER: &str = "study";
/// Where the last output of each part is kept.
const OUTPUT: &str = "docs/studies/output";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    study: Study,
}

#[derive(clap::Subcommand)]
enum Study {
    /// False alarms, power, explored states, the hot path, and a cluster whose pods, operator and API server fail
    Rollouts(Rollouts),
}

#[derive(clap::Args)]
struct Rollouts {
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

/// Runs a study and writes down what each part printed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Study::Rollouts(rollouts) = &arguments.study;
    let folder = workspace.root().join(OUTPUT);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for part in PARTS {
        if rollouts.only.as_ref().is_some_and(|only| !part.name.contains(only)) {
            continue;
        }
        println!("# {}", part.name);
        let started = Instant::now();
        let printed = (part.run)(workspace, rollouts)?;
        let seconds = started.elapsed().as_secs();
        let path = folder.join(format!("{}.txt", part.name));
        fs::write(&path, printed).with_context(|| format!("failed to write {}", path.display()))?;
        println!("written after {seconds} s: {OUTPUT}/{}.txt", part.name);
    }
    Ok(ExitCode::SUCCESS)
}

struct Part {
    name: &'static str,
    run: fn(&Workspace, &Rollouts) -> Result<String>,
}

const PARTS: &[Part] = &[
    Part { name: "simulation", run: simulation },
    Part { name: "exploration", run: exploration },
    Part { name: "hot-path", run: hot_path },
    Part { name: "cluster", run: on_cluster },
];

fn simulation(workspace: &Workspace, arguments: &Rollouts) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--locked", "--quiet", "--package", "tinydancer-cli", "--", "simulate"]);
    cargo.args(["--runs", &arguments.runs.to_string()]);
    shown(&mut cargo)
}

fn exploration(workspace: &Workspace, arguments: &Rollouts) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release", "--locked", "--quiet", "--package", "tinydancer-plan", "--test", "it"]);
    cargo.args(["exploration", "--", "--nocapture"]);
    cargo.env("TINYDANCER_STATES", arguments.states.to_string());
    shown(&mut cargo)
}

fn hot_path(workspace: &Workspace, _: &Rollouts) -> Result<String> {
    shown(workspace.cargo().args(["bench", "--locked", "--quiet", "--package", "tinydancer-benches"]))
}

fn on_cluster(workspace: &Workspace, _: &Rollouts) -> Result<String> {
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

/// Runs a program whose output people see as it comes, and gives it.
fn shown(program: &mut Command) -> Result<String> {
    let mut child = program.stdout(Stdio::piped()).spawn().context("failed to start a part of the study")?;
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().context("the part's output must be there")?).lines() {
        let line = line.context("failed to read a part's output")?;
        println!("{line}");
        printed.push_str(&line);
        printed.push('\n');
    }
    let status = child.wait().context("failed to wait for a part of the study")?;
    ensure!(status.success(), "a part of the study failed ({status}): {}", command::last_lines(&printed, 5));
    Ok(printed)
}
