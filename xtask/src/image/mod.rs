//! Container images without Docker: static binaries in from-scratch archives.

mod archive;
mod build;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use self::archive::{Image, Item};
use crate::access::{Access, ClusterAccess};
use crate::command;
use crate::tools;
use crate::workspace::{Workspace, fingerprint};

pub(crate) use self::build::{Built, build_all, program};

/// The image that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "localhost/tiny-dancer/pause:dev";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Load the images into the cluster as well
    #[arg(long)]
    load: bool,
    #[command(flatten)]
    access: Access,
}

/// Builds the images and loads them if asked to.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let images = build_all(workspace)?;
    for image in &images {
        println!("{}  {}  {}", image.reference, image.digest, image.archive.display());
    }
    if arguments.load {
        ClusterAccess::open(workspace, &arguments.access)?.load(&images)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the pause image if its source has changed and gives its archive.
pub(crate) fn pause(workspace: &Workspace) -> Result<PathBuf> {
    let sources = workspace.root().join("e2e/cluster/pause");
    let folder = workspace.target().join("cluster");
    let (archive, built_from) = (folder.join("pause.tar"), folder.join("pause.sources"));
    let current = fingerprint(&sources)?;
    if archive.exists() && fs::read_to_string(&built_from).is_ok_and(|built| built == current) {
        return Ok(archive);
    }
    tools::ensure(tools::FOR_IMAGES)?;
    let program = folder.join("pause");
    command::output(
        Command::new("musl-gcc")
            .args(["-static", "-Os", "-s", "-o"])
            .arg(&program)
            .arg(sources.join("pause.c")),
    )?;
    let items = [Item::program("pause", fs::read(&program)?)];
    Image { reference: PAUSE, entry_point: "/pause", items: &items }.write(&archive)?;
    fs::write(&built_from, current)?;
    Ok(archive)
}

/// Puts an archive's image into a containerd of ours.
pub(crate) fn import_archive(socket: &Path, archive: &Path) -> Result<()> {
    let ctr = tools::find("ctr").context("containerd must be installed")?;
    command::output(
        Command::new(ctr)
            .arg("--address")
            .arg(socket)
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive),
    )?;
    Ok(())
}
