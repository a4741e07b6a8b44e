//! The rules of one state, learned from the answers: a list of which the first that holds is taken.

use tinydancer_plan::{Rollout, rollout::Transition};

use crate::{
    facts::{Cube, Facts},
    oracle::Oracle,
};

/// If the signals lie in the cube, and no earlier rule holds, this is what happens.
pub(crate) struct Rule {
    /// When.
    pub(crate) when: Cube,
    /// What.
    pub(crate) transition: Transition,
    /// When, in words.
    pub(crate) words: String,
}

/// A combination (of values that make no difference to each other) and what the rule says to it.
type Answer = (Facts, Option<Transition>);

/// The rules of this state, such that together they give every answer back.
pub(crate) fn learn(oracle: &Oracle, state: Rollout, samples: &[Facts]) -> Result<Vec<Rule>, String> {
    let mut open = oracle.ask_all(state, &oracle.classes(state, samples));
    let mut rules = Vec::new();
    while open.iter().any(|(_, answer)| answer.is_some()) {
        let (when, transition) = one_condition(oracle, &open)
            .or_else(|| fewest_conditions(oracle, &open))
            .ok_or_else(|| format!("{state:?}: the answers must follow rules"))?;
        open.retain(|(facts, _)| !when.holds(*facts));
        rules.push(Rule { when, transition, words: oracle.words(when) });
    }
    for facts in samples {
        let told = rules.iter().find(|rule| rule.when.holds(*facts)).map(|rule| rule.transition);
        if told != oracle.ask(state, *facts) {
            return Err(format!(
                "{state:?}: a signal that matters was overlooked: {}",
                oracle.words(facts.alone())
            ));
        }
    }
    Ok(rules)
}

/// A rule with a single condition: whatever else is so, these values of one signal lead there.
fn one_condition(oracle: &Oracle, open: &[Answer]) -> Option<(Cube, Transition)> {
    // Each bit's only answer so far; `None` for none yet, `Some(None)` for "stays" or for several.
    let mut only: [Option<Option<Transition>>; 64] = [None; 64];
    for (facts, answer) in open {
        for bit in facts.bits() {
            let Some(only) = only.get_mut(bit) else { continue };
            *only = Some(match *only {
                None => *answer,
                Some(before) if before == *answer => before,
                Some(_) => None,
            });
        }
    }
    let leads = |bit: u64| only.get(bit.trailing_zeros() as usize).copied().flatten().flatten();
    (0..oracle.count()).find_map(|signal| {
        let bits = oracle.bits(signal);
        let transition = bits.iter().find_map(|bit| leads(*bit))?;
        let values: u64 = bits.into_iter().filter(|bit| leads(*bit) == Some(transition)).sum();
        Some((Cube(!oracle.mask(signal) | values), transition))
    })
}

/// The rule with the fewest conditions among those that can stand next.
fn fewest_conditions(oracle: &Oracle, open: &[Answer]) -> Option<(Cube, Transition)> {
    let mut outcomes: Vec<Transition> = Vec::new();
    for transition in open.iter().filter_map(|(_, answer)| *answer) {
        if !outcomes.contains(&transition) {
            outcomes.push(transition);
        }
    }
    let simplest =
        |rules: Vec<(Cube, Transition)>| rules.into_iter().min_by_key(|(cube, _)| oracle.conditions(*cube));
    let rules = |within: u64| outcomes.iter().filter_map(move |outcome| rule(oracle, open, *outcome, within));
    // Where one outcome has several causes, one of them is told at a time.
    simplest(rules(u64::MAX).collect()).or_else(|| {
        let values = (0..oracle.count()).flat_map(|signal| {
            let others = !oracle.mask(signal);
            oracle.bits(signal).into_iter().map(move |bit| others | bit)
        });
        simplest(values.flat_map(|within| rules(within).collect::<Vec<_>>()).collect())
    })
}

/// The widest cube around this outcome's combinations (of those within these bits) that holds no other outcome.
fn rule(oracle: &Oracle, open: &[Answer], outcome: Transition, within: u64) -> Option<(Cube, Transition)> {
    let belongs = |(facts, answer): &&Answer| *answer == Some(outcome) && facts.0 & within == facts.0;
    let mut cube = Cube::around(open.iter().filter(belongs).map(|(facts, _)| *facts));
    let is_pure =
        |cube: Cube| open.iter().all(|(facts, answer)| *answer == Some(outcome) || !cube.holds(*facts));
    if cube.0 == 0 || !is_pure(cube) {
        return None;
    }
    // Conditions that all is well are dropped first, where the earlier rules allow it.
    let mut signals: Vec<usize> = (0..oracle.count()).collect();
    signals.sort_by_key(|signal| cube.0 & oracle.smooth().0 & oracle.mask(*signal) == 0);
    for signal in signals {
        let wider = Cube(cube.0 | oracle.mask(signal));
        if is_pure(wider) {
            cube = wider;
        }
    }
    Some((cube, outcome))
}
