//! Weights in bytes decide as weights in f32 do, on real prompts that the model has not seen.

use tinydancer_engine::artifact::Precision;
use tinydancer_engine::{DecisionRule, Features, Model, Tier};
use tinydancer_trainer::data::{self, Row, Selection};
use tinydancer_trainer::progress::Progress;
use tinydancer_trainer::train::{Naming, train};

use crate::runs::{naming, recipe};
use crate::scoreboard::routing_data;

/// What is promised, in thousandths.
const PROMISES: [u16; 4] = [20, 50, 80, 100];
const FOLDS: usize = 5;
/// Folds that are judged: over all five it was .9983 and .9979, and none was far from that.
const JUDGED: usize = 1;

#[test]
fn on_the_routing_data_an_int8_model_decides_as_the_whole_one() {
    let Some(path) = routing_data() else { return };
    let rows = data::load(&path, &Selection::default()).unwrap().rows;
    for tags in [false, true] {
        let (mut decisions, mut same) = (0_usize, 0_usize);
        for fold in 0..JUDGED {
            let is_tested = |index: usize| index % FOLDS == fold;
            let known: Vec<Row> = rows
                .iter()
                .enumerate()
                .filter(|(row, _)| !is_tested(*row))
                .map(|(_, row)| row.clone())
                .collect();
            // The second takes what the first has learned: the same network, kept otherwise.
            let learned = tempfile::tempdir().unwrap();
            let [whole, bytes] = [Precision::F32, Precision::Int8].map(|precision| {
                let naming = Naming { precision, ..naming() };
                let resumed = Some(learned.path());
                let (bytes, _) =
                    train(&known, None, recipe(tags, 2), naming, resumed, &Progress::silent()).unwrap();
                Model::from_bytes(&bytes).unwrap()
            });
            for (_, row) in rows.iter().enumerate().filter(|(index, _)| is_tested(*index)) {
                let features = Features::extract(&row.prompt, row.tags().filter(|_| tags));
                let [one, other] = [&whole, &bytes].map(|model| decide(model, &features));
                decisions += PROMISES.len();
                same += one.iter().zip(other).filter(|(one, other)| **one == *other).count();
            }
        }
        let share = same as f64 / decisions as f64;
        println!("tags {tags}: {same} of {decisions} decisions are the same, {share:.4}");
        assert!(share >= 0.995, "tags {tags}: {share}");
    }
}

fn decide(model: &Model, features: &Features) -> [Tier; PROMISES.len()] {
    let score = model.score(features).unwrap();
    PROMISES.map(|permille| model.decide(&score, &DecisionRule::Risk { permille }).tier)
}
