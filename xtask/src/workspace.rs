//! The checkout that the command works on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The checkout and where it builds to.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the checkout this program was started from. `cargo xtask` names it
    /// at run time, so that a checkout that was moved is still found.
    pub(crate) fn discover() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask crate must lie in the checkout")?;
        let root = root
            .canonicalize()
            .with_context(|| format!("failed to find the checkout at {}", root.display()))?;
        Ok(Self { root })
    }

    /// The checkout's folder, without symbolic links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo, in the checkout, as this program was started by it.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        cargo
    }

    /// Where cargo builds to.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |folder| self.root.join(folder))
    }
}

/// A digest over the names and contents of a folder's files, to tell whether
/// what was built from them is still current. Folders inside are left out.
pub(crate) fn fingerprint(folder: &Path) -> Result<String> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    };
    let files = read().with_context(|| format!("failed to list {}", folder.display()))?;
    let mut digest = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default();
        digest.update(name.as_encoded_bytes());
        digest.update([0]);
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
    }
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_follows_names_and_contents_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.go"), "one").unwrap();
        let first = fingerprint(folder.path()).unwrap();
        assert_eq!(first, fingerprint(folder.path()).unwrap());

        fs::write(folder.path().join("a.go"), "two").unwrap();
        let changed = fingerprint(folder.path()).unwrap();
        assert_ne!(first, changed);

        fs::rename(folder.path().join("a.go"), folder.path().join("b.go")).unwrap();
        assert_ne!(changed, fingerprint(folder.path()).unwrap());
    }
}
