//! Flags that choose rows and evidence, shared by `train` and `evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tinydancer_trainer::data::{self, Graded, LIGHTWEIGHT, POWERFUL, Pair, Paired, Selection};
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
    /// The graded model that stands for Lightweight: `cheap` (`q_cheap`) or a name in `q_other`.
    #[arg(long, value_name = "NAME", default_value = LIGHTWEIGHT)]
    lightweight: String,
    /// The graded model that stands for Powerful: `powerful` (`q_powerful`) or a name in `q_other`.
    #[arg(long, value_name = "NAME", default_value = POWERFUL)]
    powerful: String,
}

impl Rows {
    /// Reads those that grade both models.
    pub(crate) fn load(&self) -> anyhow::Result<Paired> {
        anyhow::ensure!(
            self.lightweight != self.powerful,
            "--lightweight and --powerful must name two models, not {} twice",
            self.powerful
        );
        Ok(data::load(&self.data, &self.selection())?)
    }

    /// Reads them with the grades of all models.
    pub(crate) fn load_graded(&self) -> anyhow::Result<Vec<Graded>> {
        Ok(data::load_graded(&self.data, &self.selection())?)
    }

    /// Why rows are left out, for people.
    pub(crate) fn lack(&self) -> String {
        format!("no grade of {} or {}", self.lightweight, self.powerful)
    }

    fn selection(&self) -> Selection {
        let pair = Pair { lightweight: self.lightweight.clone(), powerful: self.powerful.clone() };
        Selection { splits: self.split.clone(), tasks: self.tasks.clone(), pair }
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
