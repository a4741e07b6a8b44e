//! `tiny-dancer evaluate`.

mod figure;
mod frontier;
mod table;

use std::path::PathBuf;

use clap::Args;
use tinydancer_trainer::data::Paired;
use tinydancer_trainer::scoreboard::{
    Embeddings, Partition, Settings, Subject, frontier as measure_frontier, scoreboard, units,
};

use crate::files;
use crate::selection::{Evidence, Rows, progress};

/// Measure how well a model routes, out-of-fold with 95 % bootstrap intervals, beside random, prompt length, n-gram
/// regression, nearest neighbours, the seed's five features and the oracle.
#[derive(Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    rows: Rows,
    /// What the model looks at beside prompt statistics: `ngram` or `ngram,tags`. Left out: both ways if rows have tags.
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
    /// Score the rows with this artifact instead of training in folds. With `--evidence ngram` tags are withheld.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Embeddings of the prompts (.safetensors, one F16 or F32 tensor; row i belongs to line i of the data file), for
    /// the baselines that need them.
    #[arg(long, value_name = "FILE")]
    embeddings: Option<PathBuf>,
    /// What a call to Powerful costs, in calls to Lightweight.
    #[arg(long, default_value_t = 100.0, value_parser = price_ratio)]
    price_ratio: f64,
    /// Models with what a call to each costs, joined by commas, such as `cheap=0.3,powerful=10,third=1.5`, for rows
    /// that grade more than two: the frontier of cost and quality of routing among pairs of them. `cheap`
    /// and `powerful` may stand without a price where rows hold `usd_cheap` and `usd_powerful`.
    #[arg(long, value_name = "NAME=PRICE", value_delimiter = ',', conflicts_with_all = ["model", "embeddings", "svg", "lightweight", "powerful"])]
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
        let embeddings =
            self.embeddings.as_deref().map(|path| Embeddings::load(path, &places)).transpose()?;
        let views = self.views(rows.iter().any(|row| row.tags().next().is_some()))?;
        let subject = match &model {
            Some((_, model)) => Subject::Artifact { model, tags: views.contains(&true) },
            None => Subject::Trained { views: &views },
        };
        let settings = self.settings();
        let progress = progress("evaluate", units(subject, embeddings.as_ref(), &settings));
        let board = scoreboard(&rows, embeddings.as_ref(), subject, &settings, &progress)?;
        print!("{}", table::render(&board));
        if left_out > 0 {
            println!("\n{left_out} more rows are left out: {}.", self.rows.lack());
        }
        if embeddings.is_none() && !self.only {
            println!(
                "\nkNN is left out: give the embeddings of the prompts with --embeddings FILE to see it."
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
        let tags = self.views(tagged)?.contains(&true);
        let settings = Settings { baselines: false, ..self.settings() };
        let pairs = candidates.len() * (candidates.len() - 1) / 2;
        let views = [tags];
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

    /// Whether tags are shown, for each way to look at a prompt that is asked for.
    fn views(&self, tagged: bool) -> anyhow::Result<Vec<bool>> {
        if self.evidence.is_empty() {
            return Ok(if tagged { vec![false, true] } else { vec![false] });
        }
        anyhow::ensure!(
            self.evidence.contains(&Evidence::Ngram),
            "--evidence must contain ngram: tags alone say nothing about a prompt without any"
        );
        Ok(vec![self.evidence.contains(&Evidence::Tags)])
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
