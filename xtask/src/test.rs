//! `cargo xtask test`: everything that must hold, for people and for CI.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::access::{Access, ClusterAccess};
use crate::cluster::{self, ClusterName};
use crate::command;
use crate::generate;
use crate::gitops;
use crate::image;
use crate::instructions;
use crate::step::Step;
use crate::unavailable::Unavailable;
use crate::workspace::Workspace;

/// The local cluster's name, so that tests run beside a demo that is still up.
const CLUSTER: &str = "test";

/// Fleets that run at once: each has an operator, two routers, two upstreams and a client, on two cores.
const FLEETS_AT_ONCE: &str = "4";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out what needs a cluster, and succeed without it
    #[arg(long)]
    without_cluster: bool,
    /// Use the cluster of this kubectl context (kind, k3d or any other) instead of the local one
    #[arg(long, conflicts_with = "without_cluster")]
    context: Option<String>,
    /// Leave the local cluster up afterwards
    #[arg(long)]
    keep_cluster: bool,
    /// Run only the behaviours on the cluster whose name contains this
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

/// Runs the whole test.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    if arguments.only.is_none() {
        without_cluster(workspace)?;
    }
    if arguments.without_cluster {
        println!("NOT RUN: manifests on the API server and end-to-end tests (--without-cluster)");
    } else {
        match on_cluster(workspace, arguments) {
            Err(error) if error.downcast_ref::<Unavailable>().is_some() => {
                println!("NOT RUN: manifests on the API server and end-to-end tests: {error}");
                println!("(--without-cluster leaves them out and succeeds)");
                return Ok(ExitCode::FAILURE);
            }
            outcome => outcome?,
        }
    }
    println!("all tests passed in {} s", started.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}

/// Format, lints, the tests of every crate, generated files, and instructions counted.
fn without_cluster(workspace: &Workspace) -> Result<()> {
    let cargo = |title: &str, words: &[&str]| -> Result<()> {
        let step = Step::start(title);
        command::show(workspace.cargo().args(words))?;
        step.done();
        Ok(())
    };
    cargo("format", &["fmt", "--all", "--", "--check"])?;
    cargo(
        "lints",
        &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"],
    )?;
    cargo(
        "tests of every crate",
        &["test", "--workspace", "--exclude", "tinydancer-e2e", "--locked", "--quiet"],
    )?;
    let step = Step::start("generated files");
    generate::check(workspace)?;
    step.done();
    instructions::run(workspace, false)?;
    match gitops::fixtures(workspace) {
        Err(error) if error.downcast_ref::<Unavailable>().is_some() => {
            println!("NOT RUN: health checks and actions for Argo CD: {error}");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Brings a cluster up, runs the behaviours on it, and takes it down again.
fn on_cluster(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let access = match &arguments.context {
        Some(context) => Access::of_context(context)?,
        None => Access::of_local(CLUSTER)?,
    };
    let cluster = ClusterAccess::open(workspace, &access)?;
    let outcome = behaviours(workspace, &cluster, arguments);
    if arguments.context.is_none() && !arguments.keep_cluster {
        let name: ClusterName = CLUSTER.parse()?;
        cluster::down(workspace, &name)?;
    }
    outcome
}

fn behaviours(workspace: &Workspace, cluster: &ClusterAccess, arguments: &Arguments) -> Result<()> {
    cluster.load(&image::build_all(workspace)?)?;
    install(workspace, cluster)?;
    let step = Step::start("behaviours on the cluster");
    let mut tests = workspace.cargo();
    tests.args(["test", "--package", "tinydancer-e2e", "--lib", "--bins", "--test", "it", "--locked", "--"]);
    tests.args(["--test-threads", FLEETS_AT_ONCE]);
    tests.args(arguments.only.iter());
    tests.env("TINYDANCER_E2E", "1");
    cluster.point(workspace, &mut tests)?;
    cluster.put_kubectl_on_path(workspace, &mut tests)?;
    command::show(&mut tests)?;
    step.done();
    if arguments.only.as_deref().is_none_or(|part| "gitops".contains(part)) {
        gitops::sync(workspace, cluster)?;
    }
    Ok(())
}

/// The resource definitions on the cluster, and the operator that each fleet gets, ready to be applied.
pub(crate) fn install(workspace: &Workspace, cluster: &ClusterAccess) -> Result<()> {
    let step = Step::start("installing the resources");
    let crds = workspace.root().join("config/crd");
    command::output(cluster.kubectl().args(["apply", "--server-side", "-k"]).arg(crds))?;
    let operator =
        command::output(cluster.kubectl().arg("kustomize").arg(workspace.root().join("config/namespaced")))?;
    let folder = workspace.target().join("e2e");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    fs::write(folder.join("operator-namespaced.yaml"), operator)?;
    step.done();
    Ok(())
}
