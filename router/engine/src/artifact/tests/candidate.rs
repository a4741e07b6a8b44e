//! The candidate network of an artifact.

use super::*;
use crate::candidate::network::CandidateNetwork;

fn parts() -> ModelParts {
    ModelParts { candidate: Some(testing::candidate(7)), ..testing::parts(7) }
}

fn artifact() -> Vec<u8> {
    write(&parts(), &testing::metadata("1.0.0", 7), Precision::F32).expect("must write")
}

fn file() -> File {
    File::of(&artifact())
}

fn names() -> Vec<String> {
    let names: Vec<String> =
        file().tensors.into_keys().filter(|name| name.starts_with("candidate.")).collect();
    assert_eq!(names.len(), 10);
    names
}

#[test]
fn a_candidate_network_is_optional_and_costs_under_four_kilobytes() {
    let bytes = artifact();
    assert_eq!(read(&bytes).expect("must read").0, parts());
    let model = Model::from_bytes(&bytes).expect("must load");
    assert_eq!(model.candidates(), Some(&CandidateNetwork::new(&testing::candidate(7))));
    assert_eq!(File::new().load().expect("must load").candidates(), None);
    assert!(bytes.len() < WHOLE.len() + 4096, "{} and {} bytes", bytes.len(), WHOLE.len());
}

#[test]
fn it_is_written_the_same_each_time_and_in_f32_whatever_the_precision() {
    assert_eq!(artifact(), artifact());
    let small = write(&parts(), &testing::metadata("1.0.0", 7), Precision::Int8).expect("must write");
    assert_eq!(read(&small).expect("must read").0.candidate, parts().candidate);
}

#[test]
fn every_tensor_of_it_must_be_there_with_its_dtype_its_shape_and_finite_numbers() {
    for removed in names() {
        let error = file().without_tensor(&removed).error();
        assert!(matches!(error, LoadError::TensorMissing { name } if name == removed));
        let mut typed = file();
        typed.tensors.get_mut(&removed).expect("must be there").0 = "I32".to_owned();
        assert!(matches!(typed.error(), LoadError::TensorDtype { name, .. } if name == removed));
        let mut shaped = file();
        shaped.tensors.get_mut(&removed).expect("must be there").1.push(1);
        assert!(matches!(shaped.error(), LoadError::TensorShape { name, .. } if name == removed));
        for number in [f32::NAN, f32::INFINITY] {
            let error = file().with_number(&removed, 0, number).error();
            assert!(matches!(error, LoadError::NotFinite { name, index: 0 } if name == removed));
        }
    }
}

#[test]
fn its_deviations_must_be_positive() {
    for number in [0.0, -1.0] {
        let error = file().with_number("candidate.input.std", 3, number).error();
        assert!(matches!(error, LoadError::NotPositive { name: "candidate.input.std", index: 3 }));
    }
}

#[test]
fn tensors_and_metadata_come_together() {
    let mut alone = file();
    alone.metadata.remove("candidate");
    assert!(matches!(alone.error(), LoadError::MetadataMissing { key: "candidate" }));
    let mut said = File::new();
    said.metadata.insert("candidate".to_owned(), file().metadata["candidate"].clone());
    assert!(matches!(said.error(), LoadError::TensorMissing { name: "candidate.input.mean" }));
}

#[test]
fn a_network_for_other_signals_is_refused() {
    let other = "0".repeat(64);
    let error = file().with_json("candidate", |value| value["signals"] = json!(other)).error();
    assert!(matches!(error, LoadError::Signals { .. }), "{error}");
    let error = file().with_json("candidate", |value| value["signals"] = json!("none")).error();
    assert!(matches!(error, LoadError::MetadataValue { key: "candidate", .. }));
}

#[test]
fn a_changed_weight_is_caught_by_the_known_answers_of_the_network() {
    for name in &names() {
        let error = file().with_number(name, 0, 1.25).error();
        assert!(matches!(error, LoadError::KnownCandidate { .. }), "{name}: {error}");
    }
    let changed =
        |number: Value| file().with_json("candidate", |value| value["known_answers"][7][1] = number).error();
    assert!(matches!(changed(json!(0.5)), LoadError::KnownCandidate { index: 7, head: 1, .. }));
    // Infinite in f32, and infinite is close to infinite.
    assert!(matches!(changed(json!(1e300)), LoadError::MetadataJson { key: "candidate", .. }));
}
