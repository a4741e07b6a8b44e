//! Which rows are tested together: random folds, or folds of whole topics.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::Row;
use crate::random::Random;

/// How rows are dealt into outer folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// At random, as even as can be.
    Random,
    /// All rows with one value of this tag in the same fold. A task with only one value of the tag, and rows without
    /// the tag, are known to every fold and tested in none: to leave them out would leave out the task.
    LeaveOut(String),
}

/// Why rows could not be dealt.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// Too few topics.
    #[error(
        "the tag {tag} must have at least {folds} values in tasks with more than one value to leave out, not {values}"
    )]
    TooFewValues {
        /// The tag.
        tag: String,
        /// Folds asked for.
        folds: usize,
        /// Values found.
        values: usize,
    },
}

/// The outer fold of each row; none for a row that is never tested.
pub(super) type Folds = Vec<Option<usize>>;

impl Partition {
    /// Deals rows into `folds` folds.
    ///
    /// # Errors
    /// If there are fewer topics than folds.
    pub(super) fn deal(
        &self,
        rows: &[Row],
        folds: usize,
        random: &mut Random,
    ) -> Result<Folds, PartitionError> {
        match self {
            Self::Random => {
                let mut dealt: Folds = (0..rows.len()).map(|row| Some(row % folds)).collect();
                random.shuffle(&mut dealt);
                Ok(dealt)
            }
            Self::LeaveOut(tag) => by_topic(rows, tag, folds, random),
        }
    }
}

fn value<'a>(row: &'a Row, tag: &str) -> Option<&'a str> {
    row.tags().find(|(name, _)| *name == tag).map(|(_, value)| value)
}

fn by_topic(rows: &[Row], tag: &str, folds: usize, random: &mut Random) -> Result<Folds, PartitionError> {
    let mut by_task: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        // The values of the tag `task` itself are topics of one body of rows.
        let task = if tag == "task" { "" } else { row.task.as_str() };
        by_task.entry(task).or_default().extend(value(row, tag));
    }
    let mut topics: Vec<&str> = by_task
        .into_values()
        .filter(|values| values.len() > 1)
        .flatten()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if topics.len() < folds {
        return Err(PartitionError::TooFewValues { tag: tag.to_owned(), folds, values: topics.len() });
    }
    random.shuffle(&mut topics);
    let mut sizes = vec![0_usize; folds];
    let mut fold_of: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in topics {
        // The first of the smallest folds, so that they end about even.
        let fold = (0..folds).min_by_key(|fold| sizes[*fold]).unwrap_or(0);
        sizes[fold] += rows.iter().filter(|row| value(row, tag) == Some(topic)).count();
        fold_of.insert(topic, fold);
    }
    Ok(rows.iter().map(|row| value(row, tag).and_then(|topic| fold_of.get(topic).copied())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        (0..300)
            .map(|index| {
                let (task, subject) = match index % 3 {
                    0 => ("one".to_owned(), "only".to_owned()),
                    1 => ("many".to_owned(), format!("topic {}", index % 20)),
                    _ => (String::new(), String::new()),
                };
                Row { task, subject, prompt: String::new(), lightweight: 0.0, powerful: 1.0 }
            })
            .collect()
    }

    #[test]
    fn whole_topics_are_left_out_and_whole_tasks_are_not() {
        let rows = rows();
        let dealt = Partition::LeaveOut("subject".into()).deal(&rows, 5, &mut Random::stream(1, 1)).unwrap();
        let mut fold_of = BTreeMap::new();
        for (row, fold) in rows.iter().zip(&dealt) {
            assert_eq!(fold.is_some(), row.task == "many");
            assert_eq!(fold_of.entry(&row.subject).or_insert(*fold), fold, "a topic is in one fold");
        }
        for fold in 0..5 {
            assert!(dealt.contains(&Some(fold)));
        }
    }

    #[test]
    fn the_tag_task_leaves_out_whole_tasks() {
        let rows = rows();
        let dealt = Partition::LeaveOut("task".into()).deal(&rows, 2, &mut Random::stream(1, 1)).unwrap();
        assert!(rows.iter().zip(&dealt).all(|(row, fold)| fold.is_some() != row.task.is_empty()));
    }

    #[test]
    fn too_few_topics_are_refused_with_their_number() {
        let partition = Partition::LeaveOut("team".into());
        let error = partition.deal(&rows(), 5, &mut Random::stream(1, 1)).unwrap_err().to_string();
        assert!(error.contains("team") && error.contains("not 0"), "{error}");
    }

    #[test]
    fn random_folds_are_even() {
        let dealt = Partition::Random.deal(&rows(), 7, &mut Random::stream(1, 1)).unwrap();
        for fold in 0..7 {
            assert!((42..=43).contains(&dealt.iter().filter(|own| **own == Some(fold)).count()));
        }
    }
}
