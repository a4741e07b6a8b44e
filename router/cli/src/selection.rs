//! Flags that choose rows and evidence, shared by `train` and `evaluate`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tinydancer_engine::token_table::TokenTable;
use tinydancer_trainer::data::{self, Graded, LIGHTWEIGHT, POWERFUL, Pair, Paired, Row, Selection};
use tinydancer_trainer::embeddings::Embeddings;
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::progress::Progress;

use crate::files;

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
    /// Counted outcomes of prompts with a similar embedding, and scores linear in it.
    Embedding,
}

impl Evidence {
    /// Refuses evidence that cannot be had: no n-grams, or an embedding that comes from nowhere.
    pub(crate) fn check(kinds: &[Self], embedder: &Embedder) -> anyhow::Result<()> {
        anyhow::ensure!(
            kinds.contains(&Self::Ngram),
            "--evidence must contain ngram: tags or embedding alone say nothing about a prompt without any"
        );
        anyhow::ensure!(
            embedder.is_given() || !kinds.contains(&Self::Embedding),
            "--evidence embedding must come with --embeddings FILE or --token-table DIR"
        );
        Ok(())
    }
}

/// Where the embeddings of the prompts come from.
#[derive(Args)]
pub(crate) struct Embedder {
    /// Embeddings of the prompts (.safetensors, one F16 or F32 tensor; row i belongs to line i of the data file).
    #[arg(long, value_name = "FILE", conflicts_with = "token_table")]
    embeddings: Option<PathBuf>,
    /// What made them, such as all-MiniLM-L6-v2; left out: what the tensor is called.
    #[arg(long, value_name = "NAME", requires = "embeddings")]
    embedding_name: Option<String>,
    /// Folder of a static embedder (model.safetensors with a row a token, vocab.txt with a token a line), which makes
    /// the embeddings.
    #[arg(long, value_name = "DIR")]
    token_table: Option<PathBuf>,
}

impl Embedder {
    /// Whether there are any.
    pub(crate) fn is_given(&self) -> bool {
        self.embeddings.is_some() || self.token_table.is_some()
    }

    /// The embeddings of the rows, which have these places in the data file.
    pub(crate) fn load(&self, rows: &[Row], places: &[usize]) -> anyhow::Result<Option<Embeddings>> {
        if let Some(folder) = &self.token_table {
            let vocabulary = folder.join("vocab.txt");
            let text = std::fs::read_to_string(&vocabulary)
                .with_context(|| format!("failed to read {}", vocabulary.display()))?;
            let table = TokenTable::new(&files::read(&folder.join("model.safetensors"))?, &text)
                .with_context(|| format!("failed to use {}", folder.display()))?;
            return Ok(Some(Embeddings::of_tokens(&table, rows)));
        }
        let name = self.embedding_name.as_deref();
        Ok(self.embeddings.as_deref().map(|path| Embeddings::load(path, places, name)).transpose()?)
    }
}

/// How a model is made.
#[derive(Args)]
pub(crate) struct Making {
    /// Evidence, joined by commas: `ngram`, and with it `tags`, `embedding` or both.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ngram")]
    evidence: Vec<Evidence>,
    #[command(flatten)]
    pub(crate) embedder: Embedder,
    /// Share of the weights of each n-gram table that are 0, at least 0 and less than 1; the artifact then holds only
    /// the others, which makes it smaller. Chosen while the tables are fitted (iterative hard thresholding).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    sparsity: Option<f64>,
    /// How soft the teachers' answers are when several networks become one, from 0.1 to 100: at more than 1 their
    /// smaller differences count more.
    #[arg(long, default_value_t = 1.0, value_parser = temperature)]
    temperature: f64,
    /// The same seed and rows give the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Making {
    /// With as many threads as the machine has.
    pub(crate) fn recipe(&self) -> anyhow::Result<Recipe> {
        Evidence::check(&self.evidence, &self.embedder)?;
        anyhow::ensure!(
            !self.embedder.is_given() || self.evidence.contains(&Evidence::Embedding),
            "--evidence must contain embedding where embeddings are given"
        );
        Ok(Recipe {
            tags: self.evidence.contains(&Evidence::Tags),
            seed: self.seed,
            ngrams_kept: self.sparsity.map(|share| 1.0 - share),
            temperature: self.temperature,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |number| (0.0..1.0).contains(&number), "at least 0 and less than 1")
}

fn temperature(text: &str) -> Result<f64, String> {
    number(text, |number| (0.1..=100.0).contains(&number), "from 0.1 to 100")
}

fn number(text: &str, is_allowed: impl Fn(f64) -> bool, rule: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|_| format!("must be a number {rule}"))?;
    if is_allowed(number) { Ok(number) } else { Err(format!("must be {rule}")) }
}

/// Progress on standard error: one line that moves on a terminal, plain lines elsewhere.
pub(crate) fn progress(label: &str, units: usize) -> Progress {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    Progress::new(Box::new(std::io::stderr()), terminal, label, units)
}
