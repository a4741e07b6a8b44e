//! `cargo xtask demo`: from a clone to a cluster that promotes a good model and rolls a bad one back.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;

use crate::access::{Access, ClusterAccess};
use crate::command;
use crate::image;
use crate::step::Step;
use crate::workspace::Workspace;

/// The local cluster's name, so that the demo stays up while tests run beside it.
pub(crate) const CLUSTER: &str = "demo";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Use the cluster of this kubectl context (kind, k3d or any other) instead of the local one
    #[arg(long)]
    context: Option<String>,
}

/// Builds, installs, and plays the story.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    println!("building (the first time takes a while: a Kubernetes and three Rust programs are compiled)");
    let access = match &arguments.context {
        Some(context) => Access::of_context(context)?,
        None => Access::of_local(CLUSTER)?,
    };
    // Asked first, because what is missing on the machine should be said before the long build.
    let cluster = ClusterAccess::open(workspace, &access)?;
    let images = image::build_all(workspace)?;
    cluster.load(&images)?;
    install(workspace, &cluster)?;
    println!("ready after {} s", started.elapsed().as_secs());

    let mut story = Command::new(image::program(workspace, "demo"));
    cluster.point(workspace, &mut story)?;
    command::show(&mut story)?;
    println!("\nthe whole demo took {} s", started.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}

/// CRDs and operator from config/default; a running operator of an older image is replaced.
fn install(workspace: &Workspace, cluster: &ClusterAccess) -> Result<()> {
    let step = Step::start("kubectl apply --server-side -k config/default");
    let folder = workspace.root().join("config/default");
    command::output(
        cluster.kubectl().args(["apply", "--server-side", "--force-conflicts", "-k"]).arg(folder),
    )?;
    command::output(cluster.kubectl().args([
        "--namespace",
        "tiny-dancer-system",
        "rollout",
        "restart",
        "deployment/tiny-dancer-operator",
    ]))?;
    step.done();
    Ok(())
}
