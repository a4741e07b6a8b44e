//! The cgroup that all pods of a cluster live under, in every hierarchy the
//! machine has (version 1, version 2, or both).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Makes the cgroup `name` at the top of each hierarchy.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        create_in(&hierarchy, &folder)
            .with_context(|| format!("failed to set up the cgroup {}", folder.display()))?;
    }
    Ok(())
}

fn create_in(hierarchy: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Version 1: a cpuset is born empty, and nothing can run in it.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = fs::read_to_string(hierarchy.join(file))
            && !hierarchy.join("cgroup.controllers").exists()
        {
            fs::write(folder.join(file), value.trim())?;
        }
    }
    // Version 2: a controller must be passed down by each level.
    if let Ok(controllers) = fs::read_to_string(hierarchy.join("cgroup.controllers")) {
        for controller in controllers.split_ascii_whitespace() {
            for level in [hierarchy, folder] {
                fs::write(level.join("cgroup.subtree_control"), format!("+{controller}"))?;
            }
        }
    }
    Ok(())
}

/// The ids of all processes in the cgroup and below.
pub(crate) fn processes(name: &str) -> Result<Vec<i32>> {
    let mut processes = Vec::new();
    for folder in folders(name)? {
        // A folder may go while it is read.
        let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        processes.extend(members.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    processes.sort_unstable();
    processes.dedup();
    Ok(processes)
}

/// Removes the cgroup and all below. They must be empty of processes.
pub(crate) fn remove(name: &str) -> Result<()> {
    for folder in folders(name)? {
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("failed to remove the cgroup {}", folder.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The cgroup's folders in all hierarchies, the deepest first.
fn folders(name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        collect(&hierarchy.join(name), &mut found);
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
    found.push(folder.to_path_buf());
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read /proc/self/mounts")?;
    Ok(cgroup_mounts(&mounts))
}

fn cgroup_mounts(mounts: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let folder = fields.nth(1)?;
            matches!(fields.next()?, "cgroup" | "cgroup2").then(|| PathBuf::from(folder))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroup_mounts_are_found() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      tmpfs /sys/fs/cgroup tmpfs rw 0 0\n";
        assert_eq!(
            cgroup_mounts(mounts),
            [PathBuf::from("/sys/fs/cgroup/cpu"), PathBuf::from("/sys/fs/cgroup/unified")]
        );
    }
}
