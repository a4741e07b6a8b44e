//! Prints `docs/reference/transitions.md`: what leads from one state of a rollout to the next. Everything on the page is
//! found by asking [`tinydancer_plan::rollout::step`]: the states are those it leads to, the rules are learned from its
//! answers and must give every one of them back.

mod facts;
mod oracle;
mod page;
mod rules;
mod signals;

use std::{collections::BTreeSet, process::ExitCode};

use tinydancer_plan::Rollout;

use crate::{oracle::Oracle, rules::Rule};

fn main() -> ExitCode {
    match sections() {
        Ok(sections) => {
            print!("{}", page::page(&sections));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The rules of every state that can be reached, in the order in which states are reached first.
fn sections() -> Result<Vec<(Rollout, Vec<Rule>)>, String> {
    let oracle = Oracle::new()?;
    let samples = oracle.samples();
    let mut sections: Vec<(Rollout, Vec<Rule>)> = Vec::new();
    let mut waiting = vec![Rollout::Stable];
    let mut met: BTreeSet<String> = BTreeSet::new();
    while let Some(state) = waiting.pop() {
        if !met.insert(format!("{state:?}")) {
            continue;
        }
        let rules = rules::learn(&oracle, state, &samples)?;
        waiting.extend(rules.iter().rev().map(|rule| rule.transition.to));
        sections.push((state, rules));
    }
    Ok(sections)
}
