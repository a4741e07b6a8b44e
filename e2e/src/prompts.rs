//! Prompts written for this project: everyday ones with tags, and long ones.

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
}

const EVERYDAY: &str = include_str!("../prompts/everyday.txt");

/// The texts of a set, always the same in the same order.
pub fn texts(set: PromptSet) -> Vec<String> {
    let everyday = EVERYDAY.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    match set {
        PromptSet::Everyday => everyday.map(str::to_owned).collect(),
        PromptSet::Long => everyday.map(lengthen).collect(),
    }
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
