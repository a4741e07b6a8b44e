//! Artifacts in files, never more of one than an artifact may have.
//!
//! The boot folder's is mapped, anybody else's is read. Mapping saves the copy, and pods of a node that boot from the same
//! pages share them; it saves no time: of 61 KB, loading took 0.16 ms mapped and 0.15 ms read, of which reading was 6 us.
//! A map lives only while a model is loaded, because a model keeps its weights elsewhere: nothing on the deciding path can
//! meet a page that is gone.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::Deref,
    path::Path,
};

use memmap2::Mmap;
use tinydancer_engine::artifact::MOST_BYTES;

/// Why a file's bytes are not taken.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// It is not there or cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("a model must be a file")]
    NotAFile,
    /// It is larger than any artifact.
    #[error("an artifact must have at most {MOST_BYTES} bytes")]
    TooLarge,
}

impl ModelFileError {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Read(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The bytes of a model's file where they lie.
#[derive(Debug)]
pub(super) struct MappedModel(Mmap);

impl MappedModel {
    /// Maps a file of the boot folder.
    pub(super) fn open(path: &Path) -> Result<Self, ModelFileError> {
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Err(ModelFileError::NotAFile);
        }
        if metadata.len() > MOST_BYTES as u64 {
            return Err(ModelFileError::TooLarge);
        }
        let file = File::open(path)?;
        // SAFETY: nobody changes the bytes while they are mapped. The boot folder is a ConfigMap, mounted read-only: this
        // process cannot write there, and the kubelet writes a new version beside the old one and renames a link to
        // it, so an open file keeps its bytes until its last map is gone. The digest is taken before and after the
        // weights are read all the same.
        #[expect(unsafe_code, reason = "a map of a file is only as constant as the file: see above")]
        let bytes = unsafe { Mmap::map(&file) }?;
        // Between the two calls another file may have come.
        if bytes.len() > MOST_BYTES { Err(ModelFileError::TooLarge) } else { Ok(Self(bytes)) }
    }
}

impl Deref for MappedModel {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes of a file that a person chose, who may well write into it: a copy.
///
/// # Errors
/// [`ModelFileError`]; of a file that is too large, or a pipe that never ends, no more than an artifact is read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelFileError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES { Err(ModelFileError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_mapped_as_it_is_and_stays_so_when_another_takes_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("model"), folder.path().join("next"));
        std::fs::write(&path, b"one").unwrap();
        let mapped = MappedModel::open(&path).unwrap();
        std::fs::write(&next, b"another").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(&*mapped, b"one");
        assert_eq!(&*MappedModel::open(&path).unwrap(), b"another");
        assert_eq!(read(&path).unwrap(), b"another");
    }

    #[test]
    fn what_is_larger_than_an_artifact_is_refused_before_it_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        // Takes no space on the disk; whoever reads it whole needs a terabyte.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(MappedModel::open(&path), Err(ModelFileError::TooLarge)));
        assert!(matches!(read(&path), Err(ModelFileError::TooLarge)));
        assert!(matches!(read(Path::new("/dev/zero")), Err(ModelFileError::TooLarge)));
        assert!(matches!(MappedModel::open(Path::new("/dev/zero")), Err(ModelFileError::NotAFile)));
        assert!(MappedModel::open(&folder.path().join("none")).unwrap_err().is_not_found());
    }
}
