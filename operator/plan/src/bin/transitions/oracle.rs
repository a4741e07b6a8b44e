//! The rule, asked with combinations of signals.

use std::{cell::RefCell, collections::BTreeSet};

use tinydancer_plan::{
    Rollout,
    rollout::{Signals, Transition, step},
};

use crate::{
    facts::{Cube, Facts},
    signals::{Signal, all, base},
};

/// Combinations drawn at random, each state, in search of signals that matter.
const DRAWS: usize = 1500;

/// One signal's place among the bits.
struct Place {
    signal: Signal,
    shift: u32,
}

/// Values of one signal that make no difference to each other.
pub(crate) struct Class {
    /// Index of one of them.
    value: usize,
    /// The bits of all of them.
    bits: u64,
}

impl Place {
    fn give(&self, signals: &mut Signals, value: usize) {
        if let Some(value) = self.signal.values.get(value) {
            (value.set)(signals);
        }
    }

    /// The classes of values that gave the same answers.
    fn classes(&self, answers: &[Vec<Option<Transition>>]) -> Vec<Class> {
        let mut classes: Vec<Class> = Vec::new();
        for (value, answer) in answers.iter().enumerate() {
            let bit = 1 << (self.shift as usize + value);
            match classes.iter_mut().find(|class| answers.get(class.value) == Some(answer)) {
                Some(class) => class.bits |= bit,
                None => classes.push(Class { value, bits: bit }),
            }
        }
        classes
    }
}

/// Answers for combinations of signals.
pub(crate) struct Oracle {
    places: Vec<Place>,
    /// Filled anew for each question.
    asked: RefCell<Signals>,
}

impl Oracle {
    pub(crate) fn new() -> Result<Self, String> {
        let mut shift = 0;
        let mut places = Vec::new();
        for signal in all() {
            let values = u32::try_from(signal.values.len()).map_err(|error| error.to_string())?;
            places.push(Place { signal, shift });
            shift += values;
        }
        let oracle = Self { places, asked: RefCell::new(base()) };
        oracle.check_fields()?;
        (shift <= u64::BITS).then_some(oracle).ok_or_else(|| "signals must have at most 64 values".to_owned())
    }

    /// A signal that the rule looks at and the page does not would make the page wrong in silence.
    fn check_fields(&self) -> Result<(), String> {
        let value = serde_json::to_value(base()).map_err(|error| error.to_string())?;
        let fields: BTreeSet<&str> =
            value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let told: BTreeSet<&str> = self.places.iter().map(|place| place.signal.field).collect();
        if fields == told {
            Ok(())
        } else {
            Err(format!("the signals told must be {fields:?}, not {told:?}"))
        }
    }

    /// How many signals there are.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// The bits of one signal's values.
    pub(crate) fn bits(&self, signal: usize) -> Vec<u64> {
        self.places.get(signal).map_or_else(Vec::new, |place| {
            (place.shift..).zip(&place.signal.values).map(|(bit, _)| 1 << bit).collect()
        })
    }

    /// All bits of one signal.
    pub(crate) fn mask(&self, signal: usize) -> u64 {
        self.bits(signal).into_iter().sum()
    }

    /// What the rule says.
    pub(crate) fn ask(&self, state: Rollout, facts: Facts) -> Option<Transition> {
        let mut signals = self.asked.borrow_mut();
        self.fill(&mut signals, facts);
        step(state, &signals)
    }

    fn fill(&self, signals: &mut Signals, facts: Facts) {
        for place in &self.places {
            place.give(signals, (facts.0 >> place.shift).trailing_zeros() as usize);
        }
    }

    /// What the rule says to every combination of values of which one in each class is taken.
    pub(crate) fn ask_all(&self, state: Rollout, classes: &[Vec<Class>]) -> Vec<(Facts, Option<Transition>)> {
        let mut answers = Vec::new();
        self.ask_from(state, classes, Facts(0), &mut self.asked.borrow_mut(), &mut answers);
        answers
    }

    fn ask_from(
        &self,
        state: Rollout,
        classes: &[Vec<Class>],
        facts: Facts,
        signals: &mut Signals,
        answers: &mut Vec<(Facts, Option<Transition>)>,
    ) {
        let Some((first, rest)) = classes.split_first() else {
            answers.push((facts, step(state, signals)));
            return;
        };
        let Some(place) = self.places.get(self.places.len() - classes.len()) else { return };
        for class in first {
            place.give(signals, class.value);
            self.ask_from(state, rest, Facts(facts.0 | class.bits), signals, answers);
        }
    }

    /// A trial that goes well.
    pub(crate) fn smooth(&self) -> Facts {
        Facts(self.places.iter().map(|place| 1 << place.shift).sum())
    }

    /// The same combination with another value of one signal.
    pub(crate) fn changed(&self, facts: Facts, signal: usize, bit: u64) -> Facts {
        Facts(facts.0 & !self.mask(signal) | bit)
    }

    /// The values of each signal, those together that make no difference to each other in this state.
    pub(crate) fn classes(&self, state: Rollout, samples: &[Facts]) -> Vec<Vec<Class>> {
        let mut signals = self.asked.borrow_mut();
        let mut answers: Vec<Vec<Vec<_>>> = self
            .places
            .iter()
            .map(|place| place.signal.values.iter().map(|_| Vec::new()).collect())
            .collect();
        for facts in samples {
            self.fill(&mut signals, *facts);
            for (place, answers) in self.places.iter().zip(&mut answers) {
                for (value, answers) in answers.iter_mut().enumerate() {
                    place.give(&mut signals, value);
                    answers.push(step(state, &signals));
                }
                place.give(&mut signals, (facts.0 >> place.shift).trailing_zeros() as usize);
            }
        }
        self.places.iter().zip(&answers).map(|(place, answers)| place.classes(answers)).collect()
    }

    /// How many conditions a cube has, then which.
    pub(crate) fn conditions(&self, cube: Cube) -> (usize, u64) {
        let limited = (0..self.count()).filter(|signal| self.mask(*signal) & !cube.0 != 0);
        (limited.count(), cube.0)
    }

    /// The conditions of a cube, one signal after the other.
    pub(crate) fn words(&self, cube: Cube) -> String {
        let limited = self.places.iter().enumerate().filter(|(index, _)| self.mask(*index) & !cube.0 != 0);
        let told = limited.map(|(index, place)| {
            let bits = self.bits(index);
            let allowed =
                bits.iter().enumerate().filter(|(_, bit)| **bit & cube.0 != 0).map(|(value, _)| value);
            place.signal.words(allowed.collect())
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Combinations that differ from a smooth trial in at most two signals, then some drawn at random.
    pub(crate) fn samples(&self) -> Vec<Facts> {
        let single = |facts: Facts| {
            (0..self.count())
                .flat_map(|signal| self.bits(signal).into_iter().map(move |bit| (signal, bit)))
                .map(move |(signal, bit)| self.changed(facts, signal, bit))
                .collect::<Vec<_>>()
        };
        let mut samples: BTreeSet<Facts> = single(self.smooth()).into_iter().flat_map(single).collect();
        let mut state = 0_u64;
        for _ in 0..DRAWS {
            let facts = (0..self.count()).fold(self.smooth(), |facts, signal| {
                let bits = self.bits(signal);
                let drawn = splitmix(&mut state) as usize % (2 * bits.len());
                bits.get(drawn).map_or(facts, |bit| self.changed(facts, signal, *bit))
            });
            samples.insert(facts);
        }
        samples.into_iter().collect()
    }
}

/// Steele, Lea and Flood's `SplitMix64`: the same numbers in every run.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut number = *state;
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
