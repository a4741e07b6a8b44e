//! Flags that choose rows and evidence, shared by `train` and `evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tinydancer_trainer::data::{self, Graded, Row, Selection};
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::progress::Progress;

/// Which rows, which evidence, which random numbers.
#[derive(Args)]
pub(crate) struct Rows {
    /// Graded prompts: a file of JSON lines (.jsonl or .jsonl.zst) or a directory with prompts.jsonl(.zst).
    #[arg(long, env = "TINYDANCER_ROUTING_DATA", value_name = "DIR_OR_FILE")]
    data: PathBuf,
    /// Only rows of these splits, joined by `+`, such as `train+val`.
    #[arg(long, value_delimiter = '+')]
    split: Vec<String>,
    /// Only rows of these tasks, joined by commas.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
}

impl Rows {
    /// Reads them.
    pub(crate) fn load(&self) -> anyhow::Result<Vec<Row>> {
        let selection = Selection { splits: self.split.clone(), tasks: self.tasks.clone() };
        Ok(data::load(&self.data, &selection)?)
    }

    /// Reads them with the grades of further models.
    pub(crate) fn load_graded(&self) -> anyhow::Result<Vec<Graded>> {
        let selection = Selection { splits: self.split.clone(), tasks: self.tasks.clone() };
        Ok(data::load_graded(&self.data, &selection)?)
    }

    /// Reads every row of the file, whatever is selected.
    pub(crate) fn load_all(&self) -> anyhow::Result<Vec<Row>> {
        Ok(data::load(&self.data, &Selection::default())?)
    }
}

/// What a model looks at beside the statistics of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Evidence {
    /// Hashed n-grams of the text.
    Ngram,
    /// Counted outcomes of the request's tags.
    Tags,
}

/// How a model is made.
#[derive(Args)]
pub(crate) struct Making {
    /// Evidence, joined by commas: `ngram` or `ngram,tags`.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ngram")]
    evidence: Vec<Evidence>,
    /// The same seed and rows give the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Making {
    /// With as many threads as the machine has.
    pub(crate) fn recipe(&self) -> anyhow::Result<Recipe> {
        anyhow::ensure!(
            self.evidence.contains(&Evidence::Ngram),
            "--evidence must contain ngram: tags alone say nothing about a prompt without any"
        );
        Ok(Recipe {
            tags: self.evidence.contains(&Evidence::Tags),
            seed: self.seed,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

/// Progress on standard error: one line that moves on a terminal, plain lines elsewhere.
pub(crate) fn progress(label: &str, units: usize) -> Progress {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    Progress::new(Box::new(std::io::stderr()), terminal, label, units)
}
