//! The keys of the upstreams and of the grader: files `upstream.<candidate>` and `grader.key` in one folder, read again while
//! the router runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tinydancer_crds::valid::GRADER_KEY_FILE;

const PREFIX: &str = "upstream.";
/// How often the folder is read.
const REREAD: Duration = Duration::from_secs(1);
/// Bytes of the longest key file that is read.
const LONGEST_KEY: u64 = 16 * 1024;

/// Ready-made `authorization` headers. Requests read the last known state; the disk is read by
/// [`Credentials::follow`].
pub struct Credentials {
    folder: Option<PathBuf>,
    headers: ArcSwap<Headers>,
}

#[derive(Default, PartialEq)]
struct Headers {
    candidates: BTreeMap<String, HeaderValue>,
    grader: Option<HeaderValue>,
}

impl Credentials {
    /// Reads the folder once; without a folder there are no keys.
    pub fn open(folder: Option<&Path>) -> Arc<Self> {
        let credentials = Self { folder: folder.map(Path::to_owned), headers: ArcSwap::default() };
        credentials.read();
        Arc::new(credentials)
    }

    /// The header with a candidate's key.
    pub fn header(&self, candidate: &str) -> Option<HeaderValue> {
        self.headers.load().candidates.get(candidate).cloned()
    }

    /// The header with the grader's key.
    pub fn grader(&self) -> Option<HeaderValue> {
        self.headers.load().grader.clone()
    }

    /// Whether a candidate's key is there.
    pub fn has(&self, candidate: &str) -> bool {
        self.headers.load().candidates.contains_key(candidate)
    }

    /// Reads the folder again every second, for ever: Kubernetes replaces the files of a Secret while the pod runs.
    pub async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REREAD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.folder.is_some() {
            ticks.tick().await;
            let credentials = Arc::clone(&self);
            // A panic in there would be a defect that the next tick may survive.
            let _ = tokio::task::spawn_blocking(move || credentials.read()).await;
        }
    }

    fn read(&self) {
        let Some(folder) = &self.folder else { return };
        match read_folder(folder) {
            Ok(found) if found == **self.headers.load() => {}
            Ok(found) => self.headers.store(Arc::new(found)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "failed to read the credentials: the last keys hold");
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn read_folder(folder: &Path) -> std::io::Result<Headers> {
    let mut headers = Headers::default();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let candidate = name.strip_prefix(PREFIX);
        let is_key = candidate.is_some() || name == GRADER_KEY_FILE;
        if !is_key || std::fs::metadata(entry.path())?.len() > LONGEST_KEY {
            continue;
        }
        let Some(header) = bearer(&std::fs::read(entry.path())?) else { continue };
        match candidate {
            Some(candidate) => {
                headers.candidates.insert(candidate.to_owned(), header);
            }
            None => headers.grader = Some(header),
        }
    }
    Ok(headers)
}

/// `Bearer <key>`; `None` for an empty key or one that no header can carry.
fn bearer(file: &[u8]) -> Option<HeaderValue> {
    let key = file.trim_ascii();
    if key.is_empty() {
        return None;
    }
    let mut header = HeaderValue::from_bytes(&[b"Bearer ", key].concat()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_its_line_break_and_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(Some(folder.path()));
        assert!(!credentials.has("small"));
        for key in ["first\n", "second"] {
            std::fs::write(folder.path().join("upstream.small"), key).unwrap();
            credentials.read();
            let header = credentials.header("small").unwrap();
            assert_eq!(header.as_bytes(), format!("Bearer {}", key.trim()).as_bytes());
            assert_eq!(format!("{header:?}"), "Sensitive");
        }
        std::fs::remove_file(folder.path().join("upstream.small")).unwrap();
        credentials.read();
        assert!(!credentials.has("small"));
    }

    #[test]
    fn the_graders_key_is_no_candidates() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("grader.key"), "secret").unwrap();
        std::fs::write(folder.path().join("feedback.key"), [7; 32]).unwrap();
        let credentials = Credentials::open(Some(folder.path()));
        assert_eq!(credentials.grader().unwrap().as_bytes(), b"Bearer secret");
        assert!(credentials.headers.load().candidates.is_empty());
    }

    #[test]
    fn an_empty_file_or_one_of_several_lines_is_no_key() {
        for file in [&b""[..], b" \n", b"one\ntwo"] {
            assert_eq!(bearer(file), None);
        }
    }
}
