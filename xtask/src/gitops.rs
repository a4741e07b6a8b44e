//! What GitOps tools make of the resources: the program of e2e/argocd, which runs Argo CD's own code, and the one file
//! of config/argocd that Argo CD wants in another form than the folders have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::access::ClusterAccess;
use crate::command;
use crate::go::{self, Program};
use crate::step::Step;
use crate::workspace::Workspace;

const PROGRAM: Program<'_> = Program {
    sources: "e2e/argocd",
    binary: "gitops/argocd",
    title: "Argo CD's code (Go; 3 minutes the first time)",
    flags: "-s -w",
};

/// The folders of the policy's actions, one an action.
const ACTIONS: &str = "config/argocd/resource_customizations/routing.tinydancer.dev/RoutingPolicy/actions";

/// Runs the scripts of config/argocd over their fixtures.
pub(crate) fn fixtures(workspace: &Workspace) -> Result<()> {
    let binary = go::ensure(workspace, &PROGRAM)?;
    let step = Step::start("health checks and actions for Argo CD, kstatus for Flux");
    command::show(Command::new(binary).arg("fixtures").arg(workspace.root()))?;
    step.done();
    Ok(())
}

/// Syncs a fleet to the cluster with Argo CD's engine; the CRDs and the images must be there.
pub(crate) fn sync(workspace: &Workspace, cluster: &ClusterAccess) -> Result<()> {
    let binary = go::ensure(workspace, &PROGRAM)?;
    let step = Step::start("a fleet under GitOps");
    let mut sync = Command::new(binary);
    sync.arg("sync").arg(workspace.root());
    cluster.point(workspace, &mut sync)?;
    command::show(&mut sync)?;
    step.done();
    Ok(())
}

/// The actions of RoutingPolicies as Argo CD's ConfigMap has them: one YAML text of all scripts.
pub(crate) fn actions(workspace: &Workspace) -> Result<String> {
    let folder = workspace.root().join(ACTIONS);
    let mut text =
        "# Generated from the folders of the actions: cargo xtask generate\ndiscovery.lua: |\n".to_owned();
    text.push_str(&block(&folder.join("discovery.lua"), "  ")?);
    text.push_str("definitions:\n");
    let scripts = scripts(&folder)?;
    ensure!(!scripts.is_empty(), "{} must hold actions", folder.display());
    for (name, script) in scripts {
        text.extend(["- name: ", &name, "\n  action.lua: |\n"]);
        text.push_str(&block(&script, "    ")?);
    }
    Ok(text)
}

/// Each action and its script, in the order of their names.
fn scripts(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))? {
        let entry = entry?;
        let script = entry.path().join("action.lua");
        if script.is_file() {
            scripts.push((entry.file_name().to_string_lossy().into_owned(), script));
        }
    }
    scripts.sort();
    Ok(scripts)
}

/// A file as the lines of a YAML block.
fn block(path: &Path, indent: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let lines =
        text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") });
    Ok(lines.collect())
}
