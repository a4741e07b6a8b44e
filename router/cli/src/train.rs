//! `tiny-dancer train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tinydancer_engine::Digest;
use tinydancer_engine::artifact::Precision;
use tinydancer_trainer::data::Paired;
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::train::{Naming, train};

use crate::files;
use crate::selection::{Making, Rows, progress};

/// How the network's weights are kept.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Weights {
    /// Four bytes each.
    F32,
    /// A byte each, with a scale a row.
    Int8,
}

/// Train a model on graded prompts and write its artifact.
#[derive(Args)]
pub(crate) struct Train {
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    making: Making,
    /// What the model calls itself.
    #[arg(long)]
    name: String,
    /// Its version, such as 1.4.0.
    #[arg(long)]
    version: String,
    /// The model this one follows; its digest is kept in the artifact.
    #[arg(long, value_name = "FILE")]
    parent: Option<PathBuf>,
    /// How the network's weights are kept; tables are bytes in either case.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Weights,
    /// A folder for networks that are finished: the same command goes on from there after it was stopped.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Where the artifact goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Train {
    /// Trains, writes, and prints what came out.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = self.making.recipe()?;
        let parent =
            self.parent.as_deref().map(files::read_model).transpose()?.map(|(_, model)| model.digest());
        let Paired { rows, places, left_out } = self.rows.load()?;
        let embeddings = self.making.embedder.load(&rows, &places)?;
        let precision = match self.precision {
            Weights::F32 => Precision::F32,
            Weights::Int8 => Precision::Int8,
        };
        let naming = Naming { name: self.name, version: self.version, parent, precision };
        let progress = progress("train", Recipe::units());
        let (bytes, fitted) =
            train(&rows, embeddings.as_ref(), recipe, naming, self.resume.as_deref(), &progress)?;
        files::write(&self.out, &bytes)?;
        println!("{}", self.out.display());
        println!("  rows         {}", rows.len());
        if left_out > 0 {
            println!("  left out     {left_out} ({})", self.rows.lack());
        }
        println!("  bytes        {}", bytes.len());
        println!("  uncertainty  {:.4} (mean, out-of-fold)", fitted.uncertainty);
        println!("  digest       {}", Digest::of(&bytes));
        Ok(())
    }
}
