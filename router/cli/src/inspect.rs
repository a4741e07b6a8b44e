//! `tiny-dancer inspect`.

use std::path::PathBuf;

use clap::Args;
use tinydancer_engine::artifact;

use crate::files;

/// Check an artifact as a router would and print what it says about itself.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The artifact.
    file: PathBuf,
}

impl Inspect {
    /// Loads with every check; a file that a router would refuse is an error here too.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (bytes, model) = files::read_model(&self.file)?;
        let (parts, metadata) = artifact::read(&bytes)?;
        println!("name           {}", metadata.name);
        println!("version        {}", metadata.version);
        println!("digest         {}", model.digest());
        println!(
            "parent         {}",
            metadata.parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string())
        );
        println!("bytes          {} of at most {}", bytes.len(), artifact::MOST_BYTES);
        println!("evidence       {}", evidence(&parts));
        println!("data           {}", metadata.data);
        println!("seed           {}", metadata.seed);
        println!(
            "uncertainty    {:.4} (mean on its own calibration data)",
            metadata.reference.mean_uncertainty
        );
        println!("calibration    {} rows", metadata.calibration.samples);
        for row in &metadata.calibration.risk {
            let share = metadata.reference.escalation_share(row.permille);
            println!(
                "  risk {:>4}    lambda {:+.4}, {:>5.1} % to Powerful",
                row.permille,
                row.lambda,
                share * 100.0
            );
        }
        println!("known answers  {} of {} agree", metadata.known_answers.len(), metadata.known_answers.len());
        Ok(())
    }
}

fn evidence(parts: &artifact::ModelParts) -> String {
    let ngrams = parts.ngrams.iter().map(|_| "n-grams".to_owned());
    let tags = parts.tags.iter().map(|tags| format!("{} tags", tags.buckets.len()));
    let sources: Vec<String> = ngrams.chain(tags).collect();
    if sources.is_empty() { "statistics only".to_owned() } else { sources.join(", ") }
}
