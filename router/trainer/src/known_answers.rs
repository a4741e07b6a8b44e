//! The texts whose logits every artifact carries, so that whoever loads it can see that it computes the same numbers.
//! Written for this purpose: none is a training prompt.

use std::collections::BTreeMap;

use tinydancer_engine::artifact::Probe;

/// Texts without tags: none at all, too short for an n-gram, talk, code, mathematics, choices, blanks, other scripts.
const TEXTS: [&str; 11] = [
    "",
    "ok",
    "Where is my parcel? It should have come on Tuesday.",
    "Please shorten this note to one friendly sentence: the office stays closed on Friday because the heating is \
     being repaired, so nobody should come in.",
    "Write a python function that returns the list of even numbers of an int array.\nassert evens([1, 2, 4]) == [2, 4]",
    "A baker sells 14 loaves at 3.50 each and 9 rolls at 0.60 each. He pays 12 % of it as rent. What is left?",
    "Solve 3x^2 - 12x + 9 = 0 and say which root is larger: x < 2 or x > 2?",
    "Which gas do plants take in by day?\nA. oxygen\nB. carbon dioxide\nC. helium\nD. neon\nAnswer:",
    "The judge did not speak, nor did she look up; nobody could say whether ____ or ____ had won.",
    "WHY DOES IT SAY ERROR 502?? I have not changed anything, I cannot log in, and the status page is green!!!",
    "Für die Gäste: ¿cuánto cuesta el menú? ∀x ∈ ℝ: x² ≥ 0 — 東京は何時ですか",
];

/// Said twice over and more, this is a text of which only both ends are read.
const PARAGRAPH: &str = "The ferry leaves at 7:40 and again at 16:15, unless the wind is above 60 km/h. Tickets are \
    kept for ten minutes; after that they go to whoever waits at the pier. Dogs travel free, bicycles cost 4 coins.\n";
/// More than 2,000 characters.
const REPEATS: usize = 13;

/// Tags for two more probes; a model that does not know them ignores them.
const TAGGED: [(&str, &[(&str, &str)]); 2] = [
    ("How many days are there between 3 March and 19 May?", &[("task", "gsm8k"), ("subject", "gsm8k")]),
    (
        "What does a notary do?\nA. bake\nB. certify\nC. sing\nD. sail",
        &[("task", "mmlu"), ("subject", "professional_law")],
    ),
];

/// Every probe, in the order of the artifact.
pub fn probes() -> Vec<Probe> {
    let plain = TEXTS.iter().map(|text| probe(text, &[]));
    let long = probe(&PARAGRAPH.repeat(REPEATS), &[]);
    plain.chain([long]).chain(TAGGED.iter().map(|(text, tags)| probe(text, tags))).collect()
}

fn probe(text: &str, tags: &[(&str, &str)]) -> Probe {
    let tags: BTreeMap<String, String> =
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Probe { text: text.to_owned(), tags }
}

#[cfg(test)]
mod tests {
    use tinydancer_engine::Features;
    use tinydancer_engine::artifact::LEAST_KNOWN_ANSWERS;
    use tinydancer_engine::features::STATISTICS;

    use super::*;

    #[test]
    fn the_probes_move_every_statistic_and_read_both_windows() {
        let probes = probes();
        assert!(probes.len() >= LEAST_KNOWN_ANSWERS + 2, "the long ones may be left out of a broken model");
        let features: Vec<Features> = probes.iter().map(|probe| Features::extract(&probe.text, [])).collect();
        for index in 0..STATISTICS {
            let first = features[0].statistics()[index];
            assert!(
                features.iter().any(|features| (features.statistics()[index] - first).abs() > 0.0),
                "{index}"
            );
        }
        assert!(features.iter().any(|features| features.ngrams().is_empty()));
        assert!(probes.iter().any(|probe| probe.text.chars().count() > 2000 && probe.text.len() > 2048));
        assert!(probes.iter().any(|probe| !probe.tags.is_empty()));
    }
}
