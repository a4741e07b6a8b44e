//! `tiny-dancer inspect`.

use std::path::PathBuf;

use clap::Args;
use tinydancer_engine::artifact::{self, Metadata, ModelParts, NoveltyParts};

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
        println!("novelty        {}", novelty(&parts, &metadata));
        println!(
            "uncertainty    {:.4} (mean on its own calibration data)",
            metadata.reference.mean_uncertainty
        );
        print_calibration(&metadata);
        println!("known answers  {} of {} agree", metadata.known_answers.len(), metadata.known_answers.len());
        Ok(())
    }
}

/// What keeps which promise, row by row.
fn print_calibration(metadata: &Metadata) {
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
    for row in &metadata.calibration.sets {
        let [good_enough, not_good_enough] = row.samples;
        println!(
            "  sets {:>4}    good enough where p3 >= {:.4} ({good_enough} rows), not where p3 <= {:.4} \
             ({not_good_enough} rows)",
            row.coverage_permille, row.good_enough, row.not_good_enough
        );
    }
}

fn evidence(parts: &ModelParts) -> String {
    let ngrams = parts.ngrams.iter().map(|_| "n-grams".to_owned());
    let tags = parts.tags.iter().map(|tags| format!("{} tags", tags.buckets.len()));
    let embedding = parts.embedding.iter().flat_map(|embedding| {
        let space = format!("of {} ({} numbers)", embedding.space.name, embedding.space.dimensions);
        let cells = embedding.prototypes.iter().map(|cells| format!("{} prototypes", cells.scale.len()));
        let linear = embedding.read_out.iter().map(|_| "a linear read-out".to_owned());
        cells.chain(linear).map(|source| format!("{source} {space}")).collect::<Vec<_>>()
    });
    let sources: Vec<String> = ngrams.chain(tags).chain(embedding).collect();
    if sources.is_empty() { "statistics only".to_owned() } else { sources.join(", ") }
}

/// What makes a prompt too new, and how often one was.
fn novelty(parts: &ModelParts, metadata: &Metadata) -> String {
    let words = parts.novelty.as_ref().map(|NoveltyParts { filter, limit }| {
        // The chance that four bits are set which another word has set.
        let mistaken = filter.load().powi(4) * 100.0;
        format!(
            "novel above {:.1} % unseen words; it knows {} words, takes {mistaken:.1} % of others for known, saw {:.1} % \
             unseen on its own calibration data",
            f32::from(limit.limit_permille) / 10.0,
            limit.words,
            metadata.reference.mean_novelty * 100.0
        )
    });
    let similarity = parts
        .embedding
        .as_ref()
        .filter(|embedding| embedding.prototypes.is_some())
        .map(|embedding| format!("novel below similarity {:.3}", embedding.space.least_similarity));
    let limits: Vec<String> = words.into_iter().chain(similarity).collect();
    if limits.is_empty() { "not told: no words and no prototypes".to_owned() } else { limits.join("; ") }
}
