//! `tiny-dancer inspect`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use tinydancer_engine::Model;
use tinydancer_engine::artifact::{self, Metadata, ModelParts, NoveltyParts, Precision};

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
        describe(&bytes, &model, &mut io::stdout().lock())
    }
}

/// What an artifact says about itself, a line each.
fn describe(bytes: &[u8], model: &Model, out: &mut impl Write) -> anyhow::Result<()> {
    let (parts, metadata) = artifact::read(bytes)?;
    let parent = metadata.parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string());
    let weights = match artifact::precision(bytes)? {
        Precision::F32 => "32-bit numbers",
        Precision::Int8 => "bytes, with a scale for each row",
    };
    let answers = metadata.known_answers.len();
    writeln!(out, "name           {}", metadata.name)?;
    writeln!(out, "version        {}", metadata.version)?;
    writeln!(out, "digest         {}", model.digest())?;
    writeln!(out, "parent         {parent}")?;
    writeln!(out, "bytes          {} of at most {}", bytes.len(), artifact::MOST_BYTES)?;
    writeln!(out, "weights        {weights}")?;
    writeln!(out, "evidence       {}", evidence(&parts))?;
    writeln!(out, "data           {}", metadata.data)?;
    writeln!(out, "seed           {}", metadata.seed)?;
    for line in novelty(&parts, &metadata) {
        writeln!(out, "novelty        {line}")?;
    }
    let uncertainty = metadata.reference.mean_uncertainty;
    writeln!(out, "uncertainty    {uncertainty:.4} (mean on its own calibration data)")?;
    calibration(&metadata, out)?;
    writeln!(out, "known answers  {answers} of {answers} agree")?;
    Ok(())
}

/// What keeps which promise, row by row.
fn calibration(metadata: &Metadata, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "calibration    {} rows", metadata.calibration.samples)?;
    for row in &metadata.calibration.risk {
        let share = metadata.reference.escalation_share(row.permille) * 100.0;
        writeln!(out, "  risk {:>4}    lambda {:+.4}, {share:>5.1} % to Powerful", row.permille, row.lambda)?;
    }
    for row in &metadata.calibration.sets {
        let [good, not_good] = row.samples;
        writeln!(
            out,
            "  sets {:>4}    good enough where p3 >= {:.4} ({good} rows), not good enough where p3 <= {:.4} \
             ({not_good} rows)",
            row.coverage_permille, row.good_enough, row.not_good_enough
        )?;
    }
    Ok(())
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
fn novelty(parts: &ModelParts, metadata: &Metadata) -> Vec<String> {
    let words = parts.novelty.as_ref().map(|NoveltyParts { filter, limit }| {
        // The chance that the four bits of a word are all set by others.
        let mistaken = filter.load().powi(4) * 100.0;
        format!(
            "above {:.1} % unseen words a prompt goes to Powerful; {} words seen, {mistaken:.1} % of others taken for \
             seen, {:.1} % unseen on its own calibration data",
            f32::from(limit.limit_permille) / 10.0,
            limit.words,
            metadata.reference.mean_novelty * 100.0
        )
    });
    let spaces = parts.embedding.iter().filter(|embedding| embedding.prototypes.is_some());
    let far = spaces.map(|embedding| {
        let least = embedding.space.least_similarity;
        format!("below similarity {least:.3} to every prototype a prompt goes to Powerful")
    });
    let lines: Vec<String> = words.into_iter().chain(far).collect();
    if lines.is_empty() { vec!["cannot tell: no words and no prototypes".to_owned()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinydancer_engine::testing;

    fn described(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        describe(bytes, &Model::from_bytes(bytes).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn made(change: impl FnOnce(&mut ModelParts), precision: Precision) -> String {
        let mut parts = testing::parts(7);
        change(&mut parts);
        described(&artifact::write(&parts, &testing::metadata("1.0.0", 7), precision).unwrap())
    }

    #[test]
    fn every_part_of_an_artifact_is_named_in_words() {
        let text = made(|parts| parts.embedding = Some(testing::embedding(7)), Precision::Int8);
        for part in [
            "weights        bytes, with a scale for each row",
            "n-grams, 2 tags, 5 prototypes of made-up (12 numbers), a linear read-out of made-up (12 numbers)",
            "above 50.0 % unseen words a prompt goes to Powerful; 10000 words seen, 100.0 % of others taken for seen, \
             5.0 % unseen",
            "below similarity -1.000 to every prototype",
            "sets  900    good enough where p3 >= 0.2500 (700 rows), not good enough where p3 <= 0.7500 (300 rows)",
            "risk   50    lambda +0.1000,  50.0 % to Powerful",
            "known answers  8 of 8 agree",
        ] {
            assert!(text.contains(part), "{part} must be in\n{text}");
        }
    }

    #[test]
    fn a_model_that_cannot_tell_what_is_new_says_so() {
        let text = made(|parts| parts.novelty = None, Precision::F32);
        assert!(
            text.contains("novelty        cannot tell") && text.contains("weights        32-bit"),
            "{text}"
        );
    }
}
