//! `tiny-dancer train`.

use std::path::PathBuf;

use clap::Args;
use tinydancer_engine::Digest;
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::train::{Naming, train};

use crate::files;
use crate::selection::{Making, Rows, progress};

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
        let rows = self.rows.load()?;
        let naming = Naming { name: self.name, version: self.version, parent };
        let (bytes, fitted) = train(&rows, recipe, naming, &progress("train", Recipe::units()))?;
        files::write(&self.out, &bytes)?;
        println!("{}", self.out.display());
        println!("  rows         {}", rows.len());
        println!("  bytes        {}", bytes.len());
        println!("  uncertainty  {:.4} (mean, out-of-fold)", fitted.uncertainty);
        println!("  digest       {}", Digest::of(&bytes));
        Ok(())
    }
}
