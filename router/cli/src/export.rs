//! `tiny-dancer export`.

pub(crate) mod row;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use tinydancer_history::Archive;

use row::{ExportedRow, Header};

/// Write the decisions of a router's history, with what became of them, as JSON lines without any text of a request. The
/// router may be running; its file is only read.
#[derive(Args)]
pub(crate) struct Export {
    /// The history.db on a router's volume.
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// Where the rows go; `-` prints them.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only decisions made at this time or later, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

impl Export {
    /// Reads, writes and says how much it was.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let archive = Archive::open(&self.history)?;
        let rows = if self.out == Path::new("-") {
            self.write(&archive, std::io::stdout().lock())
        } else {
            self.write_file(&archive)
        }?;
        eprintln!("{} decisions, {} of them audited", rows.decisions, rows.audited);
        let lost = archive.pairs_without_decision()?;
        if lost > 0 {
            eprintln!("{lost} audits are left out: their decisions are not kept any more");
        }
        Ok(())
    }

    /// Into a file beside the target that is then renamed, so that nobody ever reads half a file.
    fn write_file(&self, archive: &Archive) -> anyhow::Result<Written> {
        let failed = || format!("failed to write {}", self.out.display());
        let mut partial = self.out.as_os_str().to_owned();
        partial.push(".partial");
        let written = self.write(archive, File::create(&partial).with_context(failed)?)?;
        std::fs::rename(&partial, &self.out).with_context(failed)?;
        Ok(written)
    }

    fn write(&self, archive: &Archive, file: impl Write) -> anyhow::Result<Written> {
        let failed = || format!("failed to write {}", self.out.display());
        let mut file = BufWriter::new(file);
        let mut line = |value: String| writeln!(file, "{value}").with_context(failed);
        line(serde_json::to_string(&Header::ours())?)?;
        let mut written = Written::default();
        let since = self.since.map_or(0, |since| u64::try_from(since.as_second()).unwrap_or(0));
        for record in archive.records(since) {
            let row = ExportedRow::from(record?);
            written.decisions += 1;
            written.audited += usize::from(row.audit.is_some());
            line(serde_json::to_string(&row)?)?;
        }
        file.flush().with_context(failed)?;
        Ok(written)
    }
}

#[derive(Default)]
struct Written {
    decisions: usize,
    audited: usize,
}
