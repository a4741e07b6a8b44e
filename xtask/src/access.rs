//! Which cluster a task works on: the local one, or one of the user's own.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cluster::{self, Cluster, ClusterName};
use crate::command;
use crate::image::{self, Built};
use crate::step::Step;
use crate::workspace::Workspace;

/// The choice of a cluster on the command line.
#[derive(clap::Args)]
pub(crate) struct Access {
    /// Use the cluster of this kubectl context (kind, k3d or any other) instead of the local one
    #[arg(long)]
    context: Option<String>,
    /// The local cluster's name
    #[arg(long, default_value = cluster::DEFAULT_NAME, conflicts_with = "context")]
    name: ClusterName,
}

impl Access {
    /// The user's cluster of this kubectl context.
    pub(crate) fn of_context(context: &str) -> Result<Self> {
        Ok(Self { context: Some(context.to_owned()), name: cluster::DEFAULT_NAME.parse()? })
    }

    /// The local cluster of this name.
    pub(crate) fn of_local(name: &str) -> Result<Self> {
        Ok(Self { context: None, name: name.parse()? })
    }
}

/// A cluster that images can be loaded into and that kubectl can talk to.
pub(crate) enum ClusterAccess {
    /// Our own, brought up if it was not.
    Local(Cluster),
    /// One of the user's, by its kubectl context.
    Context {
        /// The context's name.
        name: String,
        /// How images get into it.
        loader: Loader,
    },
}

/// How a cluster of the user's is given images; kind and k3d name the context
/// after the cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loader {
    /// `kind load`, into the cluster of this name.
    Kind(String),
    /// `k3d image import`, into the cluster of this name.
    K3d(String),
    /// Not by us.
    Registry,
}

impl Loader {
    fn of(context: &str) -> Self {
        if let Some(cluster) = context.strip_prefix("kind-") {
            Self::Kind(cluster.to_owned())
        } else if let Some(cluster) = context.strip_prefix("k3d-") {
            Self::K3d(cluster.to_owned())
        } else {
            Self::Registry
        }
    }

    /// The command that loads an archive, where there is one.
    fn command(&self, archive: &Path) -> Option<Command> {
        let (program, words, cluster_flag, cluster) = match self {
            Self::Kind(cluster) => ("kind", ["load", "image-archive"], "--name", cluster),
            Self::K3d(cluster) => ("k3d", ["image", "import"], "--cluster", cluster),
            Self::Registry => return None,
        };
        let mut command = Command::new(program);
        command.args(words).arg(archive).args([cluster_flag, cluster]);
        Some(command)
    }
}

impl ClusterAccess {
    /// Brings the local cluster up, or makes sure that the user's answers.
    pub(crate) fn open(workspace: &Workspace, access: &Access) -> Result<Self> {
        let Some(name) = &access.context else {
            return Ok(Self::Local(cluster::up(workspace, &access.name)?));
        };
        let opened = Self::Context { name: name.clone(), loader: Loader::of(name) };
        command::output(opened.kubectl().args(["get", "--raw", "/readyz"])).with_context(|| {
            format!("the cluster of context {name} must answer (kubectl config get-contexts lists them)")
        })?;
        Ok(opened)
    }

    /// kubectl for this cluster, ready for its arguments.
    pub(crate) fn kubectl(&self) -> Command {
        match self {
            Self::Local(cluster) => cluster.kubectl(),
            Self::Context { name, .. } => {
                let mut command = Command::new("kubectl");
                command.args(["--context", name]);
                command
            }
        }
    }

    /// Lets a program that reads `KUBECONFIG` talk to this cluster and no other.
    pub(crate) fn point(&self, workspace: &Workspace, program: &mut Command) -> Result<()> {
        let path = match self {
            Self::Local(cluster) => cluster.kubeconfig(),
            Self::Context { .. } => {
                let text = command::output(self.kubectl().args([
                    "config",
                    "view",
                    "--minify",
                    "--flatten",
                    "--raw",
                ]))?;
                let path = workspace.target().join("e2e/kubeconfig");
                fs::create_dir_all(workspace.target().join("e2e"))
                    .and_then(|()| {
                        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)
                    })
                    .and_then(|mut file| file.write_all(text.as_bytes()))
                    .with_context(|| format!("failed to write {}", path.display()))?;
                path
            }
        };
        program.env("KUBECONFIG", path);
        Ok(())
    }

    /// The process id of the API server, where it is ours to stop.
    pub(crate) fn api_server(&self) -> Option<i32> {
        match self {
            Self::Local(cluster) => cluster.api_server(),
            Self::Context { .. } => None,
        }
    }

    /// Lets a program find `kubectl` for this cluster, and the plug-in beside it, where it looks for programs.
    pub(crate) fn put_kubectl_on_path(&self, workspace: &Workspace, program: &mut Command) -> Result<()> {
        let folder = workspace.target().join("e2e/bin");
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        if let Self::Local(cluster) = self {
            let kubectl = cluster.kubectl();
            let script = format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", kubectl.get_program().display());
            write_program(&folder.join("kubectl"), &script)?;
        }
        let plug_in = image::program(workspace, "kubectl-tinydancer");
        let beside = plug_in.parent().map(Path::to_path_buf).unwrap_or_default();
        let before = std::env::var_os("PATH").unwrap_or_default();
        let folders = [folder, beside].into_iter().chain(std::env::split_paths(&before));
        program.env("PATH", std::env::join_paths(folders).context("failed to make a PATH")?);
        Ok(())
    }

    /// Loads images, leaving out those that the local cluster has already.
    pub(crate) fn load(&self, images: &[Built]) -> Result<()> {
        let step = Step::start("loading images");
        match self {
            Self::Local(cluster) => load_into(cluster, images)?,
            Self::Context { name, loader } => {
                for image in images {
                    let Some(mut command) = loader.command(&image.archive) else {
                        println!(
                            "  context {name} is neither kind's nor k3d's: push {} to where its nodes can pull it",
                            image.reference
                        );
                        continue;
                    };
                    command::output(&mut command)?;
                }
            }
        }
        step.done();
        Ok(())
    }
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// Imports into the local cluster and remembers what it holds.
fn load_into(cluster: &Cluster, images: &[Built]) -> Result<()> {
    let record = cluster.images_record();
    let mut loaded: BTreeMap<String, String> =
        fs::read(&record).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for image in images {
        if loaded.get(&image.reference) != Some(&image.digest) {
            image::import_archive(&cluster.containerd(), &image.archive)?;
            loaded.insert(image.reference.clone(), image.digest.clone());
            fs::write(&record, serde_json::to_vec(&loaded)?)
                .with_context(|| format!("failed to write {}", record.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(context: &str) -> Option<Vec<String>> {
        let command = Loader::of(context).command(Path::new("router.tar"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
        Some(std::iter::once(program).chain(arguments).collect())
    }

    #[test]
    fn a_context_says_how_its_cluster_takes_images() {
        assert_eq!(words("kind-a-b").unwrap().join(" "), "kind load image-archive router.tar --name a-b");
        assert_eq!(words("k3d-dev").unwrap().join(" "), "k3d image import router.tar --cluster dev");
        assert_eq!(words("production"), None);
    }
}
