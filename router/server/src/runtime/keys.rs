//! The file with the key under which decisions are named.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::decision_id::{DecisionId, DecisionIdError, DecisionKey};

/// Bytes of the key.
const BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("failed to {step} the decision key {path}", path = path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the decision key {path} must have {BYTES} bytes, it has {found}: remove it or write random ones", path = path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: usize,
    },
}

/// The keys that count: decisions are named with the current one, names under the one before are still read.
#[derive(Debug)]
pub(crate) struct DecisionKeys {
    bytes: [u8; BYTES],
    current: DecisionKey,
    previous: Option<DecisionKey>,
}

impl DecisionKeys {
    pub(crate) fn new(bytes: [u8; BYTES]) -> Self {
        Self { bytes, current: DecisionKey::new(&bytes), previous: None }
    }

    pub(crate) fn current(&self) -> &DecisionKey {
        &self.current
    }

    pub(crate) fn read(&self, name: &str) -> Result<DecisionId, DecisionIdError> {
        let read = self.current.read(name);
        match (&read, &self.previous) {
            (Err(_), Some(previous)) => previous.read(name),
            _ => read,
        }
    }

    /// These keys after a rotation to other bytes; `None` if they are the same.
    pub(crate) fn rotated(&self, bytes: [u8; BYTES]) -> Option<Self> {
        (bytes != self.bytes).then(|| Self { previous: Some(self.current.clone()), ..Self::new(bytes) })
    }
}

/// Reads a key.
///
/// # Errors
/// If there is none.
pub fn read_key(path: &Path) -> Result<[u8; BYTES], KeyError> {
    let bytes = fs::read(path).map_err(file("read", path))?;
    bytes.try_into().map_err(|bytes: Vec<u8>| KeyError::Length { path: path.to_owned(), found: bytes.len() })
}

/// Reads a key, or makes one that only this user may read. For a router that runs alone.
///
/// # Errors
/// If neither is possible.
pub fn read_or_make_key(path: &Path) -> Result<[u8; BYTES], KeyError> {
    match read_key(path) {
        Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    let key: [u8; BYTES] = rand::random();
    // Written aside and linked into place: nobody ever reads half a key, and of two routers that start at once one wins.
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut open| open.write_all(&key).and_then(|()| open.sync_all()))
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(file("make", path))?;
    read_key(path)
}

fn file(step: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File { step, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Arm;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decision.key");
        let made = read_or_make_key(&path).unwrap();
        assert_eq!(read_or_make_key(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_another_length_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decision.key");
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(read_or_make_key(&path), Err(KeyError::Length { found: 31, .. })));
    }

    #[test]
    fn names_given_before_a_rotation_are_still_read() {
        let keys = DecisionKeys::new([1; BYTES]);
        let name = keys.current().name("pod-0", Arm::Stable, None, uuid::Uuid::now_v7());
        assert!(keys.rotated([1; BYTES]).is_none());
        let rotated = keys.rotated([2; BYTES]).unwrap();
        assert_eq!(rotated.read(name.as_str()), Ok(name));
    }
}
