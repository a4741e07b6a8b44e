//! Opens the history and says what was found.

use std::{path::Path, sync::Arc, time::Duration};

use tinydancer_history::{History, HistoryError, Opened, Options};

/// Waits for the disk. Opens the history in `path`; one that cannot be used any more is set aside, and a new one begins.
///
/// # Errors
/// Where there is none that can be used.
pub(crate) fn open(path: &Path, max_bytes: u64, retention_days: u32) -> Result<Arc<History>, HistoryError> {
    let retention = Duration::from_hours(24 * u64::from(retention_days));
    let (history, opened) = History::open(path, &Options { retention, max_bytes, ..Options::default() })?;
    match opened {
        Opened::Fresh => tracing::info!(path = %path.display(), "a new history begins"),
        Opened::Existing => {}
        Opened::SetAside { path: aside, cause } => {
            let aside = aside.display();
            tracing::error!(path = %path.display(), %aside, ?cause, "the old history could not be used");
        }
    }
    Ok(Arc::new(history))
}
