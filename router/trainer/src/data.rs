//! Training data: a file of JSON lines, plain or compressed with zstd. The format is written down in
//! `docs/training.md`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tinydancer_engine::Digest;

/// The longest line that is read, bytes.
const LINE_LIMIT: u64 = 1 << 20;
/// Fewer rows than this cannot fill the folds.
pub const FEWEST_ROWS: usize = 60;
/// The file looked for when a directory is named.
const FILE_NAMES: [&str; 2] = ["prompts.jsonl.zst", "prompts.jsonl"];

/// One prompt that both models have answered, with the graded quality of both answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where the prompt comes from; the tag `task`. May be empty.
    pub task: String,
    /// What it is about; the tag `subject`. May be empty.
    pub subject: String,
    /// The text as it was sent.
    pub prompt: String,
    /// Quality of the answer of the Lightweight model, 0 to 1.
    pub lightweight: f64,
    /// Quality of the answer of the Powerful model, 0 to 1.
    pub powerful: f64,
}

impl Row {
    /// What is gained by asking the Powerful model, -1 to 1.
    pub fn gain(&self) -> f64 {
        self.powerful - self.lightweight
    }

    /// Whether the Lightweight answer was no worse.
    pub fn good_enough(&self) -> bool {
        self.lightweight >= self.powerful
    }

    /// The three targets of the heads: Lightweight right, Powerful right, Lightweight good enough.
    pub fn targets(&self) -> [f64; 3] {
        [self.lightweight, self.powerful, f64::from(u8::from(self.good_enough()))]
    }

    /// The tags a request with this prompt would carry; empty ones are left out.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        [("task", self.task.as_str()), ("subject", self.subject.as_str())]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
    }
}

/// A row with what is known of further models that answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct Graded {
    /// The row.
    pub row: Row,
    /// Quality of the answers of other models by name, 0 to 1.
    pub others: BTreeMap<String, f64>,
    /// What the calls to Lightweight and Powerful cost, dollars, where both were recorded.
    pub dollars: Option<[f64; 2]>,
}

/// Which rows of a file are used.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these splits; all when empty.
    pub splits: Vec<String>,
    /// Only these tasks; all when empty.
    pub tasks: Vec<String>,
}

impl Selection {
    fn admits(&self, line: &Line) -> bool {
        (self.splits.is_empty() || self.splits.contains(&line.split))
            && (self.tasks.is_empty() || self.tasks.contains(&line.task))
    }
}

/// Why data could not be loaded. No message carries a prompt.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file or directory could not be read.
    #[error("failed to read {path}")]
    Read {
        /// What was asked for.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A directory without a data file.
    #[error("failed to find prompts.jsonl.zst or prompts.jsonl in {0}; name the file itself")]
    NoFile(PathBuf),
    /// A line that is not of the documented format.
    #[error(
        "{path} line {line} must be a row with prompt, q_cheap and q_powerful as in docs/training.md ({problem})"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The first line is 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Too little to train on.
    #[error("{path} must give at least {FEWEST_ROWS} rows after --split and --tasks, not {rows}")]
    TooFewRows {
        /// The file.
        path: PathBuf,
        /// How many there are.
        rows: usize,
    },
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    split: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    subject: String,
    prompt: String,
    q_cheap: f64,
    q_powerful: f64,
    #[serde(default)]
    q_other: BTreeMap<String, Option<f64>>,
    usd_cheap: Option<f64>,
    usd_powerful: Option<f64>,
}

/// Reads the rows that `selection` admits, in the order of the file.
///
/// # Errors
/// Names the file and the line; a line longer than 1 MiB, a quality outside 0 to 1 and fewer than
/// [`FEWEST_ROWS`] rows are refused.
pub fn load(path: &Path, selection: &Selection) -> Result<Vec<Row>, DataError> {
    Ok(load_graded(path, selection)?.into_iter().map(|graded| graded.row).collect())
}

/// Reads the rows that `selection` admits with the grades of further models.
///
/// # Errors
/// As [`load`].
pub fn load_graded(path: &Path, selection: &Selection) -> Result<Vec<Graded>, DataError> {
    let path = resolve(path)?;
    let file = File::open(&path).map_err(|source| read_error(&path, source))?;
    let rows = if path.extension().is_some_and(|extension| extension == "zst") {
        let decoder = zstd::Decoder::new(file).map_err(|source| read_error(&path, source))?;
        read_rows(&path, BufReader::new(decoder), selection)?
    } else {
        read_rows(&path, BufReader::new(file), selection)?
    };
    if rows.len() < FEWEST_ROWS {
        return Err(DataError::TooFewRows { path, rows: rows.len() });
    }
    Ok(rows)
}

/// sha256 over the rows in order: for each the task, subject and prompt, each ended by a NUL byte, then both qualities
/// as little-endian f64. This is the `data` entry of an artifact.
pub fn digest(rows: &[Row]) -> Digest {
    let mut bytes = Vec::new();
    for row in rows {
        for text in [&row.task, &row.subject, &row.prompt] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        bytes.extend(row.lightweight.to_le_bytes());
        bytes.extend(row.powerful.to_le_bytes());
    }
    Digest::of(&bytes)
}

fn read_error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Read { path: path.to_owned(), source }
}

fn resolve(path: &Path) -> Result<PathBuf, DataError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    FILE_NAMES
        .iter()
        .map(|name| path.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| DataError::NoFile(path.to_owned()))
}

fn read_rows(path: &Path, mut reader: impl BufRead, selection: &Selection) -> Result<Vec<Graded>, DataError> {
    let mut rows = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut text)
            .map_err(|source| read_error(path, source))?;
        if read == 0 {
            break;
        }
        let refuse = |problem: String| DataError::Line { path: path.to_owned(), line, problem };
        if read as u64 == LINE_LIMIT && text.last() != Some(&b'\n') {
            return Err(refuse("longer than 1 MiB".to_owned()));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let parsed = parse(&text).map_err(refuse)?;
        if selection.admits(&parsed) {
            rows.push(Graded {
                row: Row {
                    task: parsed.task,
                    subject: parsed.subject,
                    prompt: parsed.prompt,
                    lightweight: parsed.q_cheap,
                    powerful: parsed.q_powerful,
                },
                others: parsed
                    .q_other
                    .into_iter()
                    .filter_map(|(name, quality)| Some((name, quality?)))
                    .collect(),
                dollars: parsed.usd_cheap.zip(parsed.usd_powerful).map(|(cheap, powerful)| [cheap, powerful]),
            });
        }
    }
    Ok(rows)
}

fn parse(text: &[u8]) -> Result<Line, String> {
    // The error of serde_json may quote the value it met, so only its kind and column are passed on.
    let line: Line = serde_json::from_slice(text)
        .map_err(|error| format!("{:?} error at column {}", error.classify(), error.column()))?;
    let both = [("q_cheap", line.q_cheap), ("q_powerful", line.q_powerful)];
    for (name, quality) in
        both.into_iter().chain(line.q_other.values().flatten().map(|quality| ("q_other", *quality)))
    {
        if !(0.0..=1.0).contains(&quality) {
            return Err(format!("{name} must be within 0 and 1"));
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(index: usize, split: &str, task: &str) -> String {
        format!(
            r#"{{"id":"x","split":"{split}","task":"{task}","subject":"","prompt":"p{index}","q_cheap":0.0,"q_powerful":1.0}}"#
        )
    }

    fn text(rows: usize) -> String {
        (0..rows)
            .map(|index| line(index, if index % 2 == 0 { "train" } else { "val" }, "made") + "\n")
            .collect()
    }

    fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = directory.join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_rows() {
        let directory = tempfile::tempdir().unwrap();
        let plain = write(directory.path(), "a.jsonl", text(80).as_bytes());
        let packed = zstd::encode_all(text(80).as_bytes(), 1).unwrap();
        write(directory.path(), "prompts.jsonl.zst", &packed);
        let all = Selection::default();
        let rows = load(&plain, &all).unwrap();
        assert_eq!(rows.len(), 80);
        assert_eq!(rows, load(directory.path(), &all).unwrap());
        assert_eq!(rows[3].targets(), [0.0, 1.0, 0.0]);
        assert_eq!(rows[3].tags().collect::<Vec<_>>(), [("task", "made")]);
    }

    #[test]
    fn further_models_and_their_grades_are_read_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let priced = r#"{"prompt":"p","q_cheap":0,"q_powerful":1,"q_other":{"third":0.5,"not graded":null},"usd_cheap":0.1,"usd_powerful":2}"#;
        let path = write(directory.path(), "a.jsonl", format!("{}{priced}\n", text(60)).as_bytes());
        let rows = load_graded(&path, &Selection::default()).unwrap();
        assert_eq!((rows[60].others.len(), rows[60].others["third"]), (1, 0.5));
        assert_eq!(rows[60].dollars, Some([0.1, 2.0]));
        assert!(rows[0].others.is_empty() && rows[0].dollars.is_none());
        let path = write(directory.path(), "b.jsonl", priced.replace("0.5", "5").as_bytes());
        assert!(load(&path, &Selection::default()).unwrap_err().to_string().contains("q_other"));
    }

    #[test]
    fn a_selection_keeps_only_its_splits_and_tasks() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "a.jsonl", text(160).as_bytes());
        let train = Selection { splits: vec!["train".into()], tasks: vec!["made".into()] };
        assert_eq!(load(&path, &train).unwrap().len(), 80);
        let none = Selection { splits: vec![], tasks: vec!["other".into()] };
        assert!(matches!(load(&path, &none), Err(DataError::TooFewRows { rows: 0, .. })));
    }

    #[test]
    fn a_bad_line_is_named_and_its_prompt_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let bad = text(70) + r#"{"prompt": "my secret", "q_cheap": "my secret", "q_powerful": 1}"#;
        let path = write(directory.path(), "a.jsonl", bad.as_bytes());
        let message = load(&path, &Selection::default()).unwrap_err().to_string();
        assert!(message.contains("line 71") && !message.contains("secret"), "{message}");
        let outside = text(1) + r#"{"prompt": "", "q_cheap": 1.5, "q_powerful": 1}"#;
        let path = write(directory.path(), "b.jsonl", outside.as_bytes());
        let message = load(&path, &Selection::default()).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("q_cheap"), "{message}");
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "a.jsonl", &vec![b'x'; 3 << 20]);
        assert!(matches!(load(&path, &Selection::default()), Err(DataError::Line { line: 1, .. })));
    }

    #[test]
    fn the_digest_moves_with_any_field_and_with_the_order() {
        let row = Row {
            task: "a".into(),
            subject: "b".into(),
            prompt: "c".into(),
            lightweight: 0.0,
            powerful: 1.0,
        };
        let shifted = Row { task: "ab".into(), subject: String::new(), ..row.clone() };
        let graded = Row { lightweight: 0.5, ..row.clone() };
        let base = digest(&[row.clone(), graded.clone()]);
        assert_ne!(base, digest(&[graded.clone(), row.clone()]));
        assert_ne!(base, digest(&[shifted, graded]));
        assert_ne!(base, digest(&[row.clone(), row]));
    }
}
