//! `tiny-dancer evaluate`.

mod figure;
mod frontier;
mod table;

use std::path::PathBuf;

use clap::Args;
use tinydancer_engine::Model;
use tinydancer_trainer::data::Paired;
use tinydancer_trainer::embeddings::Embeddings;
use tinydancer_trainer::scoreboard::{
    Partition, Settings, Subject, View, frontier as measure_frontier, scoreboard, units,
};

use crate::files;
use crate::selection::{Embedder, Evidence, Rows, progress};

/// Measure how well a model routes, out-of-fold with 95 % bootstrap intervals, beside random, prompt length, n-gram
/// regression, nearest neighbours, the seed's five features and the oracle.
#[derive(Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    rows: Rows,
    /// What the model looks at beside prompt statistics: `ngram`, and with it `tags`, `embedding` or both. Left out:
    /// without and with tags if rows have any; embeddings are for the baselines and for a `--model` that reads them.
    #[arg(long, value_enum, value_delimiter = ',')]
    evidence: Vec<Evidence>,
    /// Seeds, joined by commas; each deals the folds and trains anew.
    #[arg(long, value_delimiter = ',', default_value = "1", visible_alias = "seed")]
    seeds: Vec<u64>,
    /// Outer folds: each row is asked about by models that were made without its fold.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=50))]
    folds: u8,
    /// Fold by the values of this tag, such as `subject`: no row is asked about by a model that has seen its topic.
    #[arg(long, value_name = "TAG")]
    leave_out: Option<String>,
    /// Score the rows with this artifact instead of training in folds. What `--evidence` does not
    /// name is withheld.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    embedder: Embedder,
    /// What a call to Powerful costs, in calls to Lightweight.
    #[arg(long, default_value_t = 100.0, value_parser = price_ratio)]
    price_ratio: f64,
    /// Models with what a call to each costs, joined by commas, such as `cheap=0.3,powerful=10,third=1.5`, for rows
    /// that grade more than two: the frontier of cost and quality of routing among pairs of them. `cheap`
    /// and `powerful` may stand without a price where rows hold `usd_cheap` and `usd_powerful`.
    #[arg(long, value_name = "NAME=PRICE", value_delimiter = ',', conflicts_with_all = ["model", "embeddings", "token_table", "svg", "lightweight", "powerful"])]
    candidates: Vec<String>,
    /// Leave the baselines out.
    #[arg(long)]
    only: bool,
    /// Write every figure to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw quality over the share of Powerful calls into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What a call to Powerful costs, in calls to Lightweight.
pub(crate) fn price_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio >= 1.0 && ratio.is_finite() => Ok(ratio),
        _ => Err("must be a number of at least 1".to_owned()),
    }
}

impl Evaluate {
    /// Evaluates and prints.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if !self.candidates.is_empty() {
            return self.among_candidates();
        }
        let model = self.model.as_deref().map(files::read_model).transpose()?;
        let Paired { rows, places, left_out } = self.rows.load()?;
        let embeddings = self.embedder.load(&rows, &places)?;
        let views = self.views(rows.iter().any(|row| row.tags().next().is_some()))?;
        let subject = match &model {
            Some((_, model)) => {
                let view = self.view_of(model, &views, embeddings.as_ref())?;
                Subject::Artifact { model, view }
            }
            None => Subject::Trained { views: &views },
        };
        let settings = self.settings();
        let progress = progress("evaluate", units(subject, embeddings.as_ref(), &settings));
        let board = scoreboard(&rows, embeddings.as_ref(), subject, &settings, &progress)?;
        print!("{}", table::render(&board));
        if left_out > 0 {
            println!("\nleft out: {left_out} ({})", self.rows.lack());
        }
        if embeddings.is_none() && !self.only {
            println!(
                "\nkNN is left out: give the embeddings of the prompts with --embeddings FILE or --token-table DIR to see it."
            );
        }
        if let Some(path) = &self.json {
            files::write(path, format!("{}\n", serde_json::to_string_pretty(&board)?).as_bytes())?;
        }
        if let Some(path) = &self.svg {
            files::write(path, figure::draw(&board).as_bytes())?;
        }
        Ok(())
    }

    /// The frontier of routing among pairs.
    fn among_candidates(&self) -> anyhow::Result<()> {
        let graded = self.rows.load_graded()?;
        let candidates = frontier::candidates(&self.candidates, &graded)?;
        let tagged = graded.iter().any(|graded| !graded.task.is_empty() || !graded.subject.is_empty());
        let tags = self.views(tagged)?.iter().any(|view| view.tags);
        let settings = Settings { baselines: false, ..self.settings() };
        let pairs = candidates.len() * (candidates.len() - 1) / 2;
        let views = [View { tags, embedding: false }];
        let progress =
            progress("evaluate", pairs * units(Subject::Trained { views: &views }, None, &settings));
        let found = measure_frontier(&graded, &candidates, tags, &settings, &progress)?;
        print!("{}", frontier::render(&found, &candidates));
        if let Some(path) = &self.json {
            files::write(path, format!("{}\n", serde_json::to_string_pretty(&found)?).as_bytes())?;
        }
        Ok(())
    }

    fn settings(&self) -> Settings {
        Settings {
            seeds: self.seeds.clone(),
            folds: usize::from(self.folds),
            partition: self.leave_out.clone().map_or(Partition::Random, Partition::LeaveOut),
            price_ratio: self.price_ratio,
            baselines: !self.only,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The ways to look at a prompt that are asked for.
    fn views(&self, tagged: bool) -> anyhow::Result<Vec<View>> {
        let view = |tags| View { tags, embedding: self.evidence.contains(&Evidence::Embedding) };
        if self.evidence.is_empty() {
            let tags: &[bool] = if tagged { &[false, true] } else { &[false] };
            return Ok(tags.iter().copied().map(view).collect());
        }
        Evidence::check(&self.evidence, &self.embedder)?;
        Ok(vec![view(self.evidence.contains(&Evidence::Tags))])
    }

    /// What an artifact is shown: all there is, unless less is asked for. Embeddings must be those it was made with.
    fn view_of(
        &self,
        model: &Model,
        views: &[View],
        embeddings: Option<&Embeddings>,
    ) -> anyhow::Result<View> {
        let asked_for = self.evidence.is_empty() || self.evidence.contains(&Evidence::Embedding);
        let read = model.embedding_space().zip(embeddings).filter(|_| asked_for);
        if let Some((space, embeddings)) = read {
            anyhow::ensure!(
                (space.name.as_str(), space.dimensions) == (embeddings.name(), embeddings.dimensions()),
                "the model reads embeddings of {} ({} numbers), not of {} ({}): give those, name them with \
                 --embedding-name, or withhold them with --evidence ngram",
                space.name,
                space.dimensions,
                embeddings.name(),
                embeddings.dimensions()
            );
        }
        Ok(View { tags: views.iter().any(|view| view.tags), embedding: read.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_ratio_below_one_is_refused() {
        assert_eq!(price_ratio("16.7"), Ok(16.7));
        for text in ["0.5", "nan", "inf", "x"] {
            assert!(price_ratio(text).is_err(), "{text}");
        }
    }
}
