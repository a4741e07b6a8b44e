//! The project's images: which programs there are and how they are built.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::archive::{Image, Item};
use crate::command;
use crate::step::Step;
use crate::tools;
use crate::workspace::Workspace;

/// Static programs need a C library that can be linked in.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// An image and the program in it.
struct Recipe {
    name: &'static str,
    package: &'static str,
    program: &'static str,
}

const RECIPES: &[Recipe] = &[
    Recipe { name: "router", package: "tinydancer-server", program: "tiny-dancer-router" },
    Recipe { name: "operator", package: "tinydancer-operator", program: "tiny-dancer-operator" },
    Recipe { name: "upstream", package: "tinydancer-e2e", program: "openai-upstream" },
];

/// Programs for the host that are built along, so that their dependencies are compiled once.
const BESIDE: &[(&str, &str)] = &[("tinydancer-e2e", "demo"), ("tinydancer-operator", "kubectl-tinydancer")];

/// An image that was built.
pub(crate) struct Built {
    /// What pods call it.
    pub(crate) reference: String,
    /// Its digest, `sha256:` and hex.
    pub(crate) digest: String,
    /// The file it is in.
    pub(crate) archive: PathBuf,
}

/// Builds all images. Cargo builds only what has changed.
pub(crate) fn build_all(workspace: &Workspace) -> Result<Vec<Built>> {
    let known = programs(workspace)?;
    let (there, missing): (Vec<&Recipe>, Vec<&Recipe>) = RECIPES.iter().partition(|recipe| {
        known.iter().any(|(package, program)| package == recipe.package && program == recipe.program)
    });
    for recipe in missing {
        println!("  no image {}: package {} has no program {}", recipe.name, recipe.package, recipe.program);
    }
    if there.is_empty() {
        return Ok(Vec::new());
    }
    tools::ensure(tools::FOR_IMAGES)?;
    tools::ensure_target(workspace, TARGET)?;
    let step = Step::start("building static programs (release)");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked", "--target", TARGET]);
    for recipe in &there {
        cargo.args(["--package", recipe.package, "--bin", recipe.program]);
    }
    for (package, program) in BESIDE {
        cargo.args(["--package", package, "--bin", program]);
    }
    command::show(&mut cargo)?;
    step.done();
    there.into_iter().map(|recipe| pack(workspace, recipe)).collect()
}

/// Where a program is after [`build_all`].
pub(crate) fn program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target().join(TARGET).join("release").join(name)
}

fn pack(workspace: &Workspace, recipe: &Recipe) -> Result<Built> {
    let program = program(workspace, recipe.program);
    let content = fs::read(&program).with_context(|| format!("failed to read {}", program.display()))?;
    let folder = workspace.target().join("images");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let archive = folder.join(format!("{}.tar", recipe.name));
    let reference = format!("localhost/tiny-dancer/{}:dev", recipe.name);
    let items = [Item::program(recipe.program, content)];
    let entry_point = format!("/{}", recipe.program);
    let digest = Image { reference: &reference, entry_point: &entry_point, items: &items }.write(&archive)?;
    fs::write(folder.join(format!("{}.digest", recipe.name)), &digest)?;
    Ok(Built { reference, digest, archive })
}

/// Every package of the workspace with each of its programs.
fn programs(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let metadata =
        command::output(workspace.cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("failed to read cargo metadata")?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut programs = Vec::new();
    for package in list(&metadata, "packages") {
        for target in list(&package, "targets") {
            if list(&target, "kind").iter().any(|kind| kind == "bin") {
                let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
                programs.push((name(&package), name(&target)));
            }
        }
    }
    Ok(programs)
}
