//! Candidates with their prices, and the frontier of routing among pairs as text.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use tinydancer_trainer::data::{Graded, LIGHTWEIGHT, POWERFUL};
use tinydancer_trainer::scoreboard::{Candidate, Frontier, Point};

/// Reads `NAME=PRICE` or, for the two that rows may hold dollars of, `NAME`.
pub(super) fn candidates(texts: &[String], graded: &[Graded]) -> anyhow::Result<Vec<Candidate>> {
    ensure!(texts.len() >= 2, "--candidates must name at least two models");
    let candidates: Vec<Candidate> =
        texts.iter().map(|text| candidate(text, graded)).collect::<anyhow::Result<_>>()?;
    for candidate in &candidates {
        let name = &candidate.name;
        ensure!(
            graded.iter().any(|graded| graded.quality(name).is_some()),
            "no row grades the candidate {name}"
        );
        let same = candidates.iter().filter(|other| other.name == *name).count();
        ensure!(same == 1, "--candidates names {name} more than once");
    }
    Ok(candidates)
}

fn candidate(text: &str, graded: &[Graded]) -> anyhow::Result<Candidate> {
    let (name, price) = match text.split_once('=') {
        Some((name, price)) => {
            let wrong = || format!("the price of {name} must be a number of at least 0, not {price}");
            let price: f64 = price.parse().with_context(wrong)?;
            ensure!(price >= 0.0 && price.is_finite(), wrong());
            (name, price)
        }
        None => (text, recorded(text, graded)?),
    };
    Ok(Candidate { name: name.to_owned(), price })
}

/// The mean of what was recorded.
fn recorded(name: &str, graded: &[Graded]) -> anyhow::Result<f64> {
    let place = [LIGHTWEIGHT, POWERFUL].iter().position(|known| *known == name);
    let dollars: Vec<f64> = graded
        .iter()
        .filter_map(|graded| graded.dollars.zip(place).map(|(dollars, place)| dollars[place]))
        .collect();
    ensure!(!dollars.is_empty(), "no row holds what a call to {name} cost: give its price as {name}=PRICE");
    Ok(dollars.iter().sum::<f64>() / dollars.len() as f64)
}

/// One line for each stretch of the frontier on which the same two models are routed between.
pub(super) fn render(frontier: &Frontier, candidates: &[Candidate]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, frontier, candidates);
    text
}

fn write(out: &mut String, frontier: &Frontier, candidates: &[Candidate]) -> std::fmt::Result {
    writeln!(
        out,
        "{} rows graded for all {} candidates, {} pairs in which the dearer is better; qualities out-of-fold",
        frontier.rows,
        candidates.len(),
        frontier.pairs
    )?;
    writeln!(
        out,
        "\n{:<36} {:<20} {:<24} {:<16}",
        "between", "calls to the dearer", "cost of a call", "quality"
    )?;
    let same = |one: &Point, other: &Point| one.cheaper == other.cheaper && one.dearer == other.dearer;
    for stretch in frontier.points.chunk_by(same) {
        if let (Some(first), Some(last)) = (stretch.first(), stretch.last()) {
            line(out, first, last)?;
        }
    }
    Ok(())
}

fn line(out: &mut String, first: &Point, last: &Point) -> std::fmt::Result {
    writeln!(
        out,
        "{:<36} {:<20} {:<24} {:<16}",
        format!("{} and {}", first.cheaper, first.dearer),
        format!("{:.0} % to {:.0} %", 100.0 * first.share, 100.0 * last.share),
        format!("{:.4} to {:.4}", first.cost, last.cost),
        format!("{:.3} to {:.3}", first.quality, last.quality),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(dollars: Option<[f64; 2]>) -> Graded {
        let qualities = [("cheap", 0.0), ("powerful", 1.0), ("third", 0.5)];
        Graded {
            place: 0,
            task: String::new(),
            subject: String::new(),
            prompt: String::new(),
            qualities: qualities.map(|(model, quality)| (model.to_owned(), quality)).into(),
            dollars,
        }
    }

    fn read(texts: &[&str], rows: &[Graded]) -> anyhow::Result<Vec<Candidate>> {
        candidates(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), rows)
    }

    #[test]
    fn prices_are_given_or_recorded() {
        let rows = [graded(Some([0.1, 2.0])), graded(None), graded(Some([0.3, 4.0]))];
        let read = read(&["cheap", "powerful", "third=1.5"], &rows).unwrap();
        let prices: Vec<f64> = read.iter().map(|candidate| candidate.price).collect();
        assert!((prices[0] - 0.2).abs() < 1e-12 && prices[1..] == [3.0, 1.5]);
    }

    #[test]
    fn what_is_wrong_with_a_candidate_is_said() {
        for (texts, complaint) in [
            (&["cheap=1"][..], "at least two"),
            (&["cheap", "powerful=2"], "cheap=PRICE"),
            (&["third", "powerful=2"], "third=PRICE"),
            (&["cheap=-1", "powerful=2"], "price of cheap"),
            (&["cheap=x", "powerful=2"], "price of cheap"),
            (&["fourth=1", "powerful=2"], "no row grades the candidate fourth"),
            (&["third=1", "third=2"], "more than once"),
        ] {
            let error = read(texts, &[graded(None)]).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
