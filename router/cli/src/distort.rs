//! `tiny-dancer distort`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tinydancer_engine::Digest;
use tinydancer_trainer::distort::{Distortion, distort};

use crate::files;

/// Make a model that is BROKEN ON PURPOSE, for rollback drills.
///
/// The result loads and answers its known answers like any other model, so that only a canary can find out. Never
/// give it traffic that matters.
#[derive(Args)]
pub(crate) struct Distort {
    /// What to break.
    #[arg(value_enum)]
    kind: Kind,
    /// A sound artifact.
    input: PathBuf,
    /// Where the broken one goes.
    output: PathBuf,
    /// Its version.
    #[arg(long)]
    version: String,
    /// What it calls itself; the name of the sound one if not given.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Doubles the logits of the heads and keeps calibration and reference: the model is far too sure of itself.
    Overconfident,
    /// Makes the logits infinite for prompts of more than 2,000 characters, and leaves others nearly as they were.
    Overflow,
}

impl Distort {
    /// Writes the broken model and prints its digest.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (bytes, model) = files::read_model(&self.input)?;
        let name = self.name.unwrap_or_else(|| model.metadata().name.clone());
        let kind = match self.kind {
            Kind::Overconfident => Distortion::Overconfident,
            Kind::Overflow => Distortion::Overflow,
        };
        let broken = distort(&bytes, kind, &name, &self.version)?;
        files::write(&self.output, &broken)?;
        println!("{} (broken on purpose)", self.output.display());
        println!("  bytes   {}", broken.len());
        println!("  digest  {}", Digest::of(&broken));
        Ok(())
    }
}
