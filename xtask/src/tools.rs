//! The programs that the tasks need, and how they get onto the machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;

use crate::command;
use crate::unavailable::Unavailable;
use crate::workspace::Workspace;

/// A program and the Debian package that holds it.
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

/// What a cluster runs or is set up with.
pub(crate) const FOR_CLUSTER: &[Tool] = &[
    tool("containerd", "containerd"),
    tool("containerd-shim-runc-v2", "containerd"),
    tool("ctr", "containerd"),
    tool("runc", "runc"),
    tool("ptp", "containernetworking-plugins"),
    tool("nft", "nftables"),
    tool("ip", "iproute2"),
    tool("nsenter", "util-linux"),
    tool("unshare", "util-linux"),
    tool("setsid", "util-linux"),
    tool("mount", "mount"),
    tool("musl-gcc", "musl-tools"),
];

/// What static binaries are built with.
pub(crate) const FOR_IMAGES: &[Tool] = &[tool("musl-gcc", "musl-tools")];

/// Where programs are looked for beside PATH: a user's PATH often lacks the
/// system folders, and CNI plugins lie in folders of their own.
const MORE_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin", "/usr/local/go/bin"];

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// Finds a program on the PATH and in the system's folders.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Makes sure that the tools are there. What is missing is installed if this
/// is Debian and the user is root; otherwise the error says what to install.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let packages = packages_of(&missing(tools));
    if packages.is_empty() {
        return Ok(());
    }
    if Uid::effective().is_root() && Path::new("/etc/debian_version").exists() {
        println!("  installing from Debian: {}", packages.join(" "));
        if install(&packages).is_err() {
            command::output(Command::new("apt-get").arg("update"))?;
            install(&packages)?;
        }
    }
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    Err(Unavailable::NoTools { programs: programs.join(", "), packages: packages_of(&missing).join(" ") }
        .into())
}

fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools.iter().filter(|tool| find(tool.program).is_none()).collect()
}

fn packages_of(tools: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = tools.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn install(packages: &[&str]) -> Result<()> {
    command::output(
        Command::new("apt-get")
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null()),
    )?;
    Ok(())
}

/// Makes sure that Rust can build for a target; a rustup that installs nothing by itself is asked to.
pub(crate) fn ensure_target(workspace: &Workspace, target: &str) -> Result<()> {
    let in_checkout = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(workspace.root());
        command
    };
    let sysroot = command::output(in_checkout("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(target).exists() {
        return Ok(());
    }
    println!("  rustup target add {target}");
    command::output(in_checkout("rustup").args(["target", "add", target]))
        .with_context(|| format!("Rust must be able to build for {target}: rustup target add {target}"))?;
    Ok(())
}

/// Refuses to go on if the disk that `folder` lies on has too little room.
pub(crate) fn ensure_space(folder: &Path, needed_mib: u64) -> Result<()> {
    let disk = statvfs(folder)?;
    let free_mib = disk.blocks_available() * disk.fragment_size() / (1024 * 1024);
    if free_mib >= needed_mib {
        return Ok(());
    }
    Err(Unavailable::NoSpace { path: folder.to_path_buf(), needed_mib, free_mib }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_holds_two_missing_programs_is_named_once() {
        let tools = [
            tool("no-such-a", "zeta"),
            tool("no-such-b", "zeta"),
            tool("no-such-c", "alpha"),
            tool("sh", "dash"),
        ];
        assert_eq!(packages_of(&missing(&tools)), ["alpha", "zeta"]);
    }

    #[test]
    fn a_full_disk_is_named_with_what_is_needed() {
        let error = ensure_space(Path::new("/"), u64::MAX).unwrap_err();
        assert!(error.downcast_ref::<Unavailable>().is_some());
        assert!(ensure_space(Path::new("/"), 0).is_ok());
    }
}
