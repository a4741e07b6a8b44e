//! Reading and writing files whole, with the path in every error.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use tinydancer_engine::Model;

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

/// A model with its bytes; every check of the loader has passed.
pub(crate) fn read_model(path: &Path) -> anyhow::Result<(Vec<u8>, Model)> {
    let bytes = read(path)?;
    let model = Model::from_bytes(&bytes).with_context(|| format!("failed to load {}", path.display()))?;
    Ok((bytes, model))
}

/// Writes beside the target and renames, so that nobody ever reads half a file, after a power cut either.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let failed = || format!("failed to write {}", path.display());
    let mut file = std::fs::File::create(&partial).with_context(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(failed)?;
    std::fs::rename(&partial, path).with_context(failed)
}

/// Creates a file that must not exist yet, with this mode.
pub(crate) fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("failed to create {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("failed to write {}", path.display()))
}
