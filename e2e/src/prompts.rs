//! Prompts written for this project: everyday ones with tags, long ones, and ones in another language.

use serde::{Deserialize, Serialize};

/// Which prompts a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PromptSet {
    /// Short questions of support, code, writing and sums.
    #[default]
    Everyday,
    /// The same, each made longer than 2,000 characters.
    Long,
    /// Everyday questions in German.
    German,
}

const EVERYDAY: &str = include_str!("../prompts/everyday.txt");
const GERMAN: &str = include_str!("../prompts/german.txt");

/// The texts of a set, always the same in the same order.
pub fn texts(set: PromptSet) -> Vec<String> {
    match set {
        PromptSet::Everyday => lines(EVERYDAY).map(str::to_owned).collect(),
        PromptSet::Long => lines(EVERYDAY).map(lengthen).collect(),
        PromptSet::German => lines(GERMAN).map(str::to_owned).collect(),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

fn lengthen(text: &str) -> String {
    let mut long = String::from(text);
    while long.len() <= 2500 {
        long.push_str(" Here is the same again with all the details I have noted down so far: ");
        long.push_str(text);
    }
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_prompts_are_longer_than_2000_characters_and_everyday_ones_are_not() {
        assert!(texts(PromptSet::Long).iter().all(|text| text.chars().count() > 2000));
        assert!(texts(PromptSet::Everyday).iter().all(|text| text.chars().count() < 600));
        assert!(texts(PromptSet::Everyday).len() >= 100);
    }
}
