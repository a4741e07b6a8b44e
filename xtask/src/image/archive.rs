//! Image archives in the format of `docker save`, which containerd, kind, k3d
//! and Docker all load. The same content gives the same bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Whom the programs run as: nobody that any system knows.
const USER: u32 = 65_532;

/// A file of an image.
pub(crate) struct Item {
    path: String,
    mode: u32,
    content: Vec<u8>,
}

impl Item {
    /// A program at `path`, relative to the image's root.
    pub(crate) fn program(path: &str, content: Vec<u8>) -> Self {
        Self { path: path.to_owned(), mode: 0o755, content }
    }
}

/// An image from scratch: one layer of files and what is run.
pub(crate) struct Image<'a> {
    pub(crate) reference: &'a str,
    pub(crate) entry_point: &'a str,
    pub(crate) items: &'a [Item],
}

impl Image<'_> {
    /// Writes the archive and gives the image's digest (`sha256:` and the hex
    /// digest of its configuration, which is what container tools call its id).
    pub(crate) fn write(&self, archive: &Path) -> Result<String> {
        let (bytes, digest) = self.bytes()?;
        // Renamed when complete, so that no one loads half an archive.
        let unfinished = archive.with_extension("unfinished");
        fs::write(&unfinished, bytes)
            .and_then(|()| fs::rename(&unfinished, archive))
            .with_context(|| format!("failed to write {}", archive.display()))?;
        Ok(digest)
    }

    fn bytes(&self) -> Result<(Vec<u8>, String)> {
        let layer =
            tar_of(self.items.iter().map(|item| (item.path.as_str(), item.mode, item.content.as_slice())))?;
        let configuration = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Entrypoint": [self.entry_point], "User": format!("{USER}:{USER}") },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
        })
        .to_string();
        let digest = sha256(configuration.as_bytes());
        let configuration_file = format!("{digest}.json");
        let manifest =
            json!([{ "Config": configuration_file, "RepoTags": [self.reference], "Layers": ["layer.tar"] }])
                .to_string();
        let bytes = tar_of([
            (configuration_file.as_str(), 0o644, configuration.as_bytes()),
            ("layer.tar", 0o644, layer.as_slice()),
            ("manifest.json", 0o644, manifest.as_bytes()),
        ])?;
        Ok((bytes, format!("sha256:{digest}")))
    }
}

/// A tar of files in the order of their paths, with nothing in it that changes
/// from one build to the next.
fn tar_of<'a>(files: impl IntoIterator<Item = (&'a str, u32, &'a [u8])>) -> Result<Vec<u8>> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable();
    let mut builder = Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).with_context(|| format!("failed to add {path}"))?;
    }
    Ok(builder.into_inner()?)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn image(items: &[Item]) -> (Vec<u8>, String) {
        Image { reference: "localhost/x:dev", entry_point: "/b", items }.bytes().unwrap()
    }

    #[test]
    fn the_same_files_in_any_order_give_the_same_bytes() {
        let (a, b) = (|| Item::program("a", vec![1]), || Item::program("b", vec![2, 3]));
        assert_eq!(image(&[a(), b()]), image(&[b(), a()]));
        assert_ne!(image(&[a()]).1, image(&[b()]).1);
    }

    #[test]
    fn the_manifest_names_the_configuration_and_the_layer_that_are_there() {
        let (bytes, digest) = image(&[Item::program("b", vec![2, 3])]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut files = std::collections::BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let configuration = manifest[0]["Config"].as_str().unwrap();
        assert_eq!(digest, format!("sha256:{}", configuration.trim_end_matches(".json")));
        let configuration: serde_json::Value = serde_json::from_slice(&files[configuration]).unwrap();
        assert_eq!(configuration["config"]["User"], "65532:65532");
        assert_eq!(
            configuration["rootfs"]["diff_ids"][0].as_str().unwrap(),
            format!("sha256:{}", sha256(&files["layer.tar"]))
        );
    }
}
