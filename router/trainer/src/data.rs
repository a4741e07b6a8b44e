//! Training data: a file of JSON lines, plain or compressed with zstd. The format is written down in
//! `docs/training.md`.

use std::collections::{BTreeMap, BTreeSet};
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
/// The model that `q_cheap` grades.
pub const LIGHTWEIGHT: &str = "cheap";
/// The model that `q_powerful` grades.
pub const POWERFUL: &str = "powerful";

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

/// A prompt with the graded qualities of the models that answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct Graded {
    /// Its place among the rows of the file, from 0, whatever is selected.
    pub place: usize,
    /// As in [`Row`].
    pub task: String,
    /// As in [`Row`].
    pub subject: String,
    /// As in [`Row`].
    pub prompt: String,
    /// Quality of each model's answer by the model's name, 0 to 1; a model without a grade is not there.
    pub qualities: BTreeMap<String, f64>,
    /// What the calls to [`LIGHTWEIGHT`] and [`POWERFUL`] cost, dollars, where both were recorded.
    pub dollars: Option<[f64; 2]>,
}

impl Graded {
    /// The quality of this model's answer.
    pub fn quality(&self, model: &str) -> Option<f64> {
        self.qualities.get(model).copied()
    }

    /// The row of two of the models; none where either has no grade.
    pub fn between(&self, lightweight: &str, powerful: &str) -> Option<Row> {
        Some(Row {
            lightweight: self.quality(lightweight)?,
            powerful: self.quality(powerful)?,
            task: self.task.clone(),
            subject: self.subject.clone(),
            prompt: self.prompt.clone(),
        })
    }
}

/// Between which two of the graded models is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name of the cheap one.
    pub lightweight: String,
    /// The name of the strong one.
    pub powerful: String,
}

impl Default for Pair {
    fn default() -> Self {
        Self { lightweight: LIGHTWEIGHT.to_owned(), powerful: POWERFUL.to_owned() }
    }
}

/// The rows that grade both models of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// The place of each among all rows of the file, from 0.
    pub places: Vec<usize>,
    /// How many more were admitted that lack a grade of either model.
    pub left_out: usize,
}

/// Which rows of a file are used.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these splits; all when empty.
    pub splits: Vec<String>,
    /// Only these tasks; all when empty.
    pub tasks: Vec<String>,
    /// Between which models.
    pub pair: Pair,
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
        "{path} line {line} must be a row with a prompt and graded qualities as in docs/training.md ({problem})"
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
    #[error(
        "{path} must give at least {FEWEST_ROWS} rows after --split and --tasks that grade both {lightweight} and \
         {powerful}, not {rows}; {left_out} more lack one of the two grades (choose models with --lightweight and \
         --powerful; graded are: {graded})"
    )]
    TooFewRows {
        /// The file.
        path: PathBuf,
        /// How many there are.
        rows: usize,
        /// The name of the Lightweight model.
        lightweight: String,
        /// The name of the Powerful model.
        powerful: String,
        /// Rows without a grade of either.
        left_out: usize,
        /// The models that rows grade, joined by commas.
        graded: String,
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
    q_cheap: Option<f64>,
    q_powerful: Option<f64>,
    #[serde(default)]
    q_other: BTreeMap<String, Option<f64>>,
    usd_cheap: Option<f64>,
    usd_powerful: Option<f64>,
}

/// Reads the rows that `selection` admits and that grade both models of its pair, in the order of the file.
///
/// # Errors
/// As [`load_graded`], and for fewer than [`FEWEST_ROWS`] rows.
pub fn load(path: &Path, selection: &Selection) -> Result<Paired, DataError> {
    let graded = load_graded(path, selection)?;
    let Pair { lightweight, powerful } = &selection.pair;
    let both = graded.iter().filter_map(|one| Some((one.between(lightweight, powerful)?, one.place)));
    let (rows, places): (Vec<Row>, Vec<usize>) = both.unzip();
    let left_out = graded.len() - rows.len();
    if rows.len() < FEWEST_ROWS {
        let names: BTreeSet<&str> =
            graded.iter().flat_map(|one| one.qualities.keys().map(String::as_str)).collect();
        return Err(DataError::TooFewRows {
            path: path.to_owned(),
            rows: rows.len(),
            lightweight: lightweight.clone(),
            powerful: powerful.clone(),
            left_out,
            graded: names.into_iter().collect::<Vec<_>>().join(", "),
        });
    }
    Ok(Paired { rows, places, left_out })
}

/// Reads the rows that `selection` admits with the grades of all models.
///
/// # Errors
/// Names the file and the line; a line longer than 1 MiB, a quality outside 0 to 1 and a row without any grade are
/// refused.
pub fn load_graded(path: &Path, selection: &Selection) -> Result<Vec<Graded>, DataError> {
    let path = resolve(path)?;
    let file = File::open(&path).map_err(|source| read_error(&path, source))?;
    if path.extension().is_some_and(|extension| extension == "zst") {
        let decoder = zstd::Decoder::new(file).map_err(|source| read_error(&path, source))?;
        read_rows(&path, BufReader::new(decoder), selection)
    } else {
        read_rows(&path, BufReader::new(file), selection)
    }
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
    let mut place = 0;
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
            rows.push(parsed.graded(place));
        }
        place += 1;
    }
    Ok(rows)
}

impl Line {
    /// The grades with the names of their fields and of their models.
    fn grades(&self) -> impl Iterator<Item = (&'static str, &str, f64)> {
        let two = [("q_cheap", LIGHTWEIGHT, self.q_cheap), ("q_powerful", POWERFUL, self.q_powerful)];
        let others = self.q_other.iter().map(|(model, quality)| ("q_other", model.as_str(), *quality));
        two.into_iter().chain(others).filter_map(|(field, model, quality)| Some((field, model, quality?)))
    }

    fn graded(self, place: usize) -> Graded {
        Graded {
            place,
            qualities: self.grades().map(|(_, model, quality)| (model.to_owned(), quality)).collect(),
            dollars: self.usd_cheap.zip(self.usd_powerful).map(|(cheap, powerful)| [cheap, powerful]),
            task: self.task,
            subject: self.subject,
            prompt: self.prompt,
        }
    }
}

fn parse(text: &[u8]) -> Result<Line, String> {
    // The error of serde_json may quote the value it met, so only its kind and column are passed on.
    let line: Line = serde_json::from_slice(text)
        .map_err(|error| format!("{:?} error at column {}", error.classify(), error.column()))?;
    if let Some((field, ..)) = line.grades().find(|(_, _, quality)| !(0.0..=1.0).contains(quality)) {
        return Err(format!("{field} must be within 0 and 1"));
    }
    if line.q_other.contains_key(LIGHTWEIGHT) || line.q_other.contains_key(POWERFUL) {
        return Err(format!(
            "{LIGHTWEIGHT} and {POWERFUL} are graded by q_cheap and q_powerful, not in q_other"
        ));
    }
    if line.grades().next().is_none() {
        return Err("no model is graded".to_owned());
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
        let Paired { rows, places, left_out } = load(&plain, &all).unwrap();
        assert_eq!((rows.len(), places, left_out), (80, (0..80).collect(), 0));
        assert_eq!(rows, load(directory.path(), &all).unwrap().rows);
        assert_eq!(rows[3].targets(), [0.0, 1.0, 0.0]);
        assert_eq!(rows[3].tags().collect::<Vec<_>>(), [("task", "made")]);
    }

    #[test]
    fn further_models_and_their_grades_are_read_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let priced = r#"{"prompt":"p","q_cheap":0,"q_powerful":1,"q_other":{"third":0.5,"not graded":null},"usd_cheap":0.1,"usd_powerful":2}"#;
        let path = write(directory.path(), "a.jsonl", format!("{}{priced}\n", text(60)).as_bytes());
        let rows = load_graded(&path, &Selection::default()).unwrap();
        let models: Vec<(&str, f64)> =
            rows[60].qualities.iter().map(|(model, quality)| (model.as_str(), *quality)).collect();
        assert_eq!(models, [("cheap", 0.0), ("powerful", 1.0), ("third", 0.5)]);
        assert_eq!(rows[60].dollars, Some([0.1, 2.0]));
        assert!(rows[0].qualities.len() == 2 && rows[0].dollars.is_none());
        for (row, problem) in [
            (priced.replace("0.5", "5"), "q_other"),
            (r#"{"prompt":"p","q_other":{"third":null}}"#.to_owned(), "no model is graded"),
            (r#"{"prompt":"p","q_other":{"cheap":0.5}}"#.to_owned(), "graded by q_cheap"),
        ] {
            let path = write(directory.path(), "b.jsonl", row.as_bytes());
            let message = load(&path, &Selection::default()).unwrap_err().to_string();
            assert!(message.contains(problem), "{message}");
        }
    }

    #[test]
    fn any_two_graded_models_are_a_pair_and_rows_that_lack_a_grade_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let row = |index: usize| match index % 4 {
            0 => format!("{{\"prompt\":\"p{index}\",\"q_cheap\":1,\"q_other\":{{\"large\":1}}}}\n\n"),
            _ => format!("{{\"prompt\":\"p{index}\",\"q_other\":{{\"small\":0.25,\"large\":1}}}}\n"),
        };
        let path = write(directory.path(), "a.jsonl", (0..80).map(row).collect::<String>().as_bytes());
        let pair = |lightweight: &str, powerful: &str| Selection {
            pair: Pair { lightweight: lightweight.to_owned(), powerful: powerful.to_owned() },
            ..Selection::default()
        };
        let found = load(&path, &pair("small", "large")).unwrap();
        assert_eq!((found.rows.len(), found.left_out), (60, 20));
        assert_eq!((found.rows[3].prompt.as_str(), found.places[3]), ("p5", 5), "blank lines are no rows");
        assert_eq!((found.rows[0].lightweight, found.rows[0].powerful), (0.25, 1.0));
        let message = load(&path, &pair("small", "lrage")).unwrap_err().to_string();
        for part in ["lrage", "not 0; 80 more lack", "graded are: cheap, large, small"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_selection_keeps_only_its_splits_and_tasks() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "a.jsonl", text(160).as_bytes());
        let train =
            Selection { splits: vec!["train".into()], tasks: vec!["made".into()], ..Selection::default() };
        let found = load(&path, &train).unwrap();
        assert_eq!((found.rows.len(), &found.places[..3]), (80, &[0, 2, 4][..]));
        let none = Selection { tasks: vec!["other".into()], ..Selection::default() };
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
