//! The page.

use std::fmt::Write;

use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_plan::{
    Rollout,
    rollout::{Halt, PauseReason},
};

use crate::{rules::Rule, signals::WEIGHTS};

const HEAD: &str = "\
# Transitions of a rollout

<!-- Printed by the program `transitions` of tinydancer-plan; write it with `cargo xtask generate`. -->

What leads from one state to the next. The page is made from the answers of the rule itself
(`operator/plan/src/rollout/step.rs`), asked with every combination of the signals that matter, so it says what the
operator does. In each state the rows are tried from the top, and **the first whose conditions all hold is taken**; if none
does, the rollout stays where it is. A signal that a row does not mention does not matter to it.

- *Candidate*: the model on trial or, where none is, the one last tried. A *third* model is neither that nor the stable one.
- *Vouches*: `spec.stable` names it and nothing else is trusted yet.
- *Pods that count*: those that are Ready and whose lease may still hold; at least one.
- *Share*: the part of the requests that the candidate decides from then on.
- *Reason*: what the event, `status.history` and the metric say; [conditions.md](conditions.md) explains each.
";

/// Rows that so many sections begin with are told once.
const REPEATED: usize = 4;

/// States that have the same rows, and these.
struct Section {
    titles: Vec<String>,
    rows: Vec<String>,
}

/// The whole page.
pub(crate) fn page(learned: &[(Rollout, Vec<Rule>)]) -> String {
    let sections = sections(learned);
    let shared = shared(&sections);
    let mut page = HEAD.to_owned();
    table(
        &mut page,
        "What ends a trial",
        "First in most states in which a candidate is worked on:\n\n",
        &shared,
        1,
    );
    for section in &sections {
        let heading = section.titles.join("; ");
        match section.rows.strip_prefix(shared.as_slice()) {
            Some(rows) if !shared.is_empty() => {
                let first = format!(
                    "First rows 1 to {} of [what ends a trial](#what-ends-a-trial), then:\n\n",
                    shared.len()
                );
                table(&mut page, &heading, &first, rows, shared.len() + 1);
            }
            _ => table(&mut page, &heading, "", &section.rows, 1),
        }
    }
    page
}

fn table(page: &mut String, heading: &str, before: &str, rows: &[String], first: usize) {
    // Writing to a string does not fail.
    let _ =
        write!(page, "\n## {heading}\n\n{before}| | when | to | share | reason |\n|---|---|---|---|---|\n");
    for (number, row) in (first..).zip(rows) {
        let _ = writeln!(page, "| {number} | {row} |");
    }
}

fn sections(learned: &[(Rollout, Vec<Rule>)]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (state, rules) in learned {
        let rows: Vec<String> = rules.iter().map(|rule| row(*state, rule)).collect();
        let same =
            sections.iter_mut().find(|section| section.rows == rows && belongs(&section.titles, *state));
        match same {
            Some(section) if section.titles.contains(&title(*state)) => {}
            Some(section) => section.titles.push(title(*state)),
            None => sections.push(Section { titles: vec![title(*state)], rows }),
        }
    }
    sections.sort_by_key(|section| section.titles.first().map_or(usize::MAX, |title| place(title)));
    sections
}

/// The rows that most is saved by telling them once.
fn shared(sections: &[Section]) -> Vec<String> {
    let saved = |rows: &[String]| {
        let sharing = sections.iter().filter(|section| section.rows.starts_with(rows)).count();
        if sharing < REPEATED { 0 } else { sharing * rows.len() }
    };
    let prefixes = sections
        .iter()
        .flat_map(|section| (1..=section.rows.len()).filter_map(|end| section.rows.get(..end)));
    prefixes.max_by_key(|rows| saved(rows)).filter(|rows| saved(rows) > 0).unwrap_or_default().to_vec()
}

fn row(from: Rollout, rule: &Rule) -> String {
    let to = rule.transition.to;
    format!("{} | {} | {} | `{}` |", rule.words, target(from, to), share(from, to), rule.transition.reason)
        .trim_end_matches(" |")
        .to_owned()
}

/// States of one kind share a section where their rules are the same.
fn belongs(titles: &[String], state: Rollout) -> bool {
    titles.first().is_some_and(|title| title.split([' ', ',']).next() == Some(kind(state).as_str()))
}

/// The name of the state without what it carries.
fn kind(state: Rollout) -> String {
    format!("{state:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn title(state: Rollout) -> String {
    let kind = kind(state);
    match state {
        Rollout::Staging { trusted: true } => format!("{kind}, vouched for by `spec.stable`"),
        Rollout::Canary(canary) if canary.step as usize + 1 == WEIGHTS.len() => format!("{kind}, last step"),
        Rollout::Canary(_) => format!("{kind}, another step follows"),
        Rollout::Paused { reason, at: Halt::Shadow } => format!("{kind} in Shadow: {}", waits_for(reason)),
        Rollout::Paused { reason, at: Halt::Canary(_) } => format!("{kind} in Canary: {}", waits_for(reason)),
        _ => kind,
    }
}

fn waits_for(reason: PauseReason) -> String {
    format!("`{}`", reason.reason())
}

/// The next state, as seen from the one before.
fn target(from: Rollout, to: Rollout) -> String {
    match (from, to) {
        (Rollout::Canary(before), Rollout::Canary(after)) if before.step != after.step => {
            "Canary, next step".to_owned()
        }
        (Rollout::Shadow, Rollout::Canary(_)) => "Canary, first step".to_owned(),
        (_, Rollout::Canary(_)) => "Canary, the same step".to_owned(),
        (_, Rollout::Staging { trusted: true }) => title(to),
        _ => kind(to),
    }
}

/// The candidate's share after a transition.
fn share(from: Rollout, to: Rollout) -> &'static str {
    match (from.weight_percent(), to.weight_percent()) {
        _ if to.shown() == RolloutState::Stable => "",
        (_, 100) => "all",
        (_, 0) => "none",
        (before, after) if before == after => "as before",
        _ => "the step's",
    }
}

/// Where a section stands on the page: as a rollout goes.
fn place(title: &str) -> usize {
    const ORDER: [&str; 10] = [
        "Stable",
        "Staging",
        "Shadow",
        "Canary",
        "Promoting",
        "Watching",
        "Paused",
        "RollingBack",
        "RolledBack",
        "Superseded",
    ];
    ORDER.iter().position(|kind| title.starts_with(kind)).unwrap_or(ORDER.len())
}
