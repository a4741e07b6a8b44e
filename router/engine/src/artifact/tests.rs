//! One test a rule of the format.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::*;
use crate::features::Features;
use crate::{Model, schema, testing};

mod candidate;
mod earlier_system;
mod embedding;
mod precision;
mod sparse;

/// An artifact taken apart, so that a test can spoil one thing and put it together again.
struct File {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, (String, Vec<usize>, Vec<u8>)>,
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| testing::artifact("1.0.0", 7).expect("must write"));

impl File {
    fn new() -> Self {
        Self::of(&WHOLE)
    }

    fn of(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).expect("must read");
        let metadata = header.metadata().clone().expect("must have metadata").into_iter().collect();
        let tensors = SafeTensors::deserialize(bytes).expect("must read");
        let tensors = tensors.iter().map(|(name, tensor)| {
            let parts = (format!("{:?}", tensor.dtype()), tensor.shape().to_vec(), tensor.data().to_vec());
            (name.to_owned(), parts)
        });
        Self { metadata, tensors: tensors.collect() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = json!({ "__metadata__": self.metadata });
        let mut data = Vec::<u8>::new();
        for (name, (dtype, shape, bytes)) in &self.tensors {
            let start = data.len();
            data.extend(bytes);
            header[name] = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()] });
        }
        let header = header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        file.extend(data);
        file
    }

    fn load(&self) -> Result<Model, LoadError> {
        Model::from_bytes(&self.bytes())
    }

    fn error(&self) -> LoadError {
        self.load().expect_err("must be refused")
    }

    fn without_tensor(mut self, name: &str) -> Self {
        self.tensors.remove(name).expect("must have been there");
        self
    }

    fn with_number(mut self, name: &str, index: usize, number: f32) -> Self {
        let data = &mut self.tensors.get_mut(name).expect("must be there").2;
        data[4 * index..4 * index + 4].copy_from_slice(&number.to_le_bytes());
        self
    }

    fn with_metadata(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    fn with_json(self, key: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::from_str(&self.metadata[key]).expect("must be JSON");
        change(&mut value);
        self.with_metadata(key, value.to_string())
    }
}

#[test]
fn a_whole_artifact_loads_and_says_what_was_written() {
    let bytes = testing::artifact("1.0.0", 7).expect("must write");
    let (parts, metadata) = read(&bytes).expect("must read");
    assert_eq!(parts, testing::parts(7));
    let written = testing::metadata("1.0.0", 7);
    assert_eq!(metadata.calibration, written.calibration);
    assert_eq!(metadata.reference, written.reference);
    assert_eq!((metadata.version.as_str(), metadata.seed), ("1.0.0", 7));
    let model = Model::from_bytes(&bytes).expect("must load");
    assert_eq!(model.digest(), crate::Digest::of(&bytes));
    assert!(File::new().load().is_ok(), "the helper of these tests must keep the file whole");
}

#[test]
fn an_artifact_is_the_same_bytes_each_time_and_keeps_the_limit() {
    let first = testing::artifact("1.0.0", 7).expect("must write");
    assert_eq!(first, testing::artifact("1.0.0", 7).expect("must write"));
    assert_ne!(first, testing::artifact("1.0.0", 8).expect("must write"));
    assert!(first.len() <= MOST_BYTES, "{} bytes", first.len());
}

#[test]
fn a_parent_is_kept() {
    let mut metadata = testing::metadata("1.0.1", 7);
    metadata.parent = Some(crate::Digest::of(b"parent"));
    let bytes = write(&testing::parts(7), &metadata, Precision::F32).expect("must write");
    assert_eq!(read(&bytes).expect("must read").1.parent, metadata.parent);
}

#[test]
fn tables_tags_and_filter_are_optional() {
    let mut parts = testing::parts(7);
    (parts.ngrams, parts.tags, parts.novelty) = (None, None, None);
    let bytes = write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write");
    assert_eq!(read(&bytes).expect("must read").0, parts);
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let error = Model::from_bytes(&vec![0; MOST_BYTES + 1]).expect_err("must be refused");
    assert!(matches!(error, LoadError::TooLarge { bytes } if bytes == MOST_BYTES + 1));
}

#[test]
fn what_is_not_safetensors_is_refused() {
    let whole = File::new().bytes();
    for bytes in [&b""[..], b"not safetensors", &whole[..whole.len() - 1]] {
        assert!(matches!(Model::from_bytes(bytes), Err(LoadError::Container(_))));
    }
}

#[test]
fn every_metadata_key_but_the_optional_ones_must_be_present() {
    let keys: Vec<String> = File::new().metadata.into_keys().collect();
    assert_eq!(keys.len(), 10);
    for removed in keys {
        let mut file = File::new();
        file.metadata.remove(&removed);
        assert!(matches!(file.error(), LoadError::MetadataMissing { key } if key == removed));
    }
}

#[test]
fn metadata_that_is_not_the_right_json_is_refused() {
    for key in ["calibration", "reference", "known_answers"] {
        let error = File::new().with_metadata(key, "{").error();
        assert!(matches!(error, LoadError::MetadataJson { key: named, .. } if named == key));
    }
    let unknown = File::new().with_json("calibration", |value| value["more"] = json!(1)).error();
    assert!(matches!(unknown, LoadError::MetadataJson { key: "calibration", .. }));
}

#[test]
fn what_a_parser_says_about_a_hostile_file_is_cut_and_on_one_line() {
    let hostile = format!("\n{}", "x".repeat(10_000));
    let in_metadata = File::new().with_json("calibration", |value| value[hostile.as_str()] = json!(1));
    let mut in_header = File::new();
    in_header.tensors.get_mut("cell.U").expect("must be there").0.clone_from(&hostile);
    for file in [in_metadata, in_header] {
        let error = file.error();
        let cause = std::error::Error::source(&error).expect("must have a cause").to_string();
        assert!(cause.len() <= 200 && !cause.contains('\n'), "{cause}");
    }
}

#[test]
fn metadata_values_that_break_a_rule_are_refused_by_key() {
    let long = "x".repeat(129);
    let texts = [
        ("name", ""),
        ("name", long.as_str()),
        ("version", "1.0.0\n2"),
        ("version", "1 0"),
        ("data", "sha256:00"),
        ("schema", "00"),
        ("seed", "-1"),
        ("parent", "00"),
    ];
    for (key, text) in texts {
        let error = File::new().with_metadata(key, text).error();
        assert!(
            matches!(error, LoadError::MetadataValue { key: named, .. } if named == key),
            "{key}: {error}"
        );
    }
    let rows = json!([{ "permille": 50, "lambda": 0.1 }, { "permille": 50, "lambda": 0.2 }]);
    let descending = json!([{ "permille": 50, "lambda": 0.1 }, { "permille": 60, "lambda": 0.0 }]);
    let high = json!([{ "permille": 1001, "lambda": 0.1 }]);
    let changes = [
        ("calibration", "/risk", rows),
        ("calibration", "/risk", descending),
        ("calibration", "/risk", high),
        ("calibration", "/sets/0/good_enough", json!(1.01)),
        ("calibration", "/sets/0/not_good_enough", json!(-0.01)),
        ("calibration", "/sets/0/coverage_permille", json!(1001)),
        ("novelty", "/limit_permille", json!(1001)),
        ("reference", "/uncertainty", json!(0.6)),
        ("reference", "/novelty", json!(1.01)),
        ("reference", "/scores/0", json!(0.2)),
        ("reference", "/scores/0", json!(-0.05)),
        ("reference", "/escalation/0/share", json!(1.5)),
        ("reference", "/escalation/0/permille", json!(900)),
    ];
    for (key, pointer, value) in changes {
        let error = File::new().with_json(key, |json| *json.pointer_mut(pointer).unwrap() = value).error();
        assert!(
            matches!(error, LoadError::MetadataValue { key: named, .. } if named == key),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn a_number_that_does_not_fit_its_type_is_refused_by_key() {
    for (key, pointer) in [("calibration", "/heads/0/scale"), ("known_answers", "/0/logits/1")] {
        let error =
            File::new().with_json(key, |json| *json.pointer_mut(pointer).unwrap() = json!(1e300)).error();
        assert!(
            matches!(error, LoadError::MetadataJson { key: named, .. } if named == key),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn another_format_is_refused_and_its_name_is_cut() {
    let error = File::new().with_metadata("format", "x".repeat(1000)).error();
    assert!(matches!(error, LoadError::Format { found } if found.len() == 64));
}

#[test]
fn another_schema_is_refused() {
    let other = crate::Digest::of(b"another meaning");
    let error = File::new().with_metadata("schema", other.to_hex()).error();
    assert!(
        matches!(error, LoadError::Schema { found, expected } if found == other && expected == schema::digest())
    );
}

#[test]
fn every_tensor_of_a_group_must_be_present() {
    let names: Vec<String> = File::new().tensors.into_keys().collect();
    assert_eq!(names.len(), 21);
    for removed in names {
        let error = File::new().without_tensor(&removed).error();
        assert!(matches!(error, LoadError::TensorMissing { name } if name == removed));
    }
}

#[test]
fn a_tensor_that_is_not_known_is_refused_and_its_name_is_cut() {
    let mut file = File::new();
    file.tensors.insert("x".repeat(1000), ("F32".to_owned(), vec![1], vec![0; 4]));
    assert!(matches!(file.error(), LoadError::TensorUnknown { name } if name.len() == 64));
}

#[test]
fn every_tensor_must_have_its_dtype() {
    for name in File::new().tensors.into_keys() {
        let mut file = File::new();
        let tensor = file.tensors.get_mut(&name).expect("must be there");
        // Integers of the same size: the bytes still fit.
        tensor.0 = match tensor.0.as_str() {
            "F32" => "I32",
            "I8" => "U8",
            "U8" => "I8",
            _ => "U64",
        }
        .to_owned();
        assert!(matches!(file.error(), LoadError::TensorDtype { name: named, .. } if named == name));
    }
}

#[test]
fn every_tensor_must_have_its_shape() {
    for name in File::new().tensors.into_keys() {
        let mut file = File::new();
        file.tensors.get_mut(&name).expect("must be there").1.push(1);
        assert!(
            matches!(file.error(), LoadError::TensorShape { name: named, .. } if named == name),
            "{name}"
        );
    }
    let turned = {
        let mut file = File::new();
        file.tensors.get_mut("h0.weight").expect("must be there").1.reverse();
        file.error()
    };
    assert_eq!(turned.to_string(), "tensor `h0.weight` must have shape [16, 15], this one has [15, 16]");
}

#[test]
fn too_many_tags_are_refused() {
    let mut parts = testing::parts(7);
    parts.tags = parts.tags.map(|tags| TagParts {
        buckets: (0..=MOST_TAGS as u64).collect(),
        counts: vec![[1.0; 3]; MOST_TAGS + 1],
        ..tags
    });
    let error = write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect_err("must be refused");
    assert!(matches!(error, WriteError::Refused(LoadError::TensorShape { name: "tag.buckets", .. })));
}

#[test]
fn a_weight_that_is_not_finite_is_refused_in_every_tensor() {
    for (name, (dtype, ..)) in File::new().tensors {
        if dtype != "F32" {
            continue;
        }
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = File::new().with_number(&name, 0, number).error();
            assert!(matches!(error, LoadError::NotFinite { name: named, index: 0 } if named == name));
        }
    }
}

#[test]
fn what_is_divided_by_must_be_positive() {
    for name in ["statistics.std", "tag.prior", "tag.counts"] {
        for number in [0.0, -1.0] {
            let error = File::new().with_number(name, 0, number).error();
            assert!(matches!(error, LoadError::NotPositive { name: named, index: 0 } if named == name));
        }
    }
}

#[test]
fn tags_out_of_order_are_refused() {
    let mut file = File::new();
    file.tensors.get_mut("tag.buckets").expect("must be there").2.rotate_left(8);
    assert!(matches!(file.error(), LoadError::TagsNotAscending { index: 1 }));
}

#[test]
fn buckets_with_the_highest_bit_are_compared_as_unsigned() {
    let mut parts = testing::parts(7);
    parts.tags = parts.tags.map(|tags| TagParts { buckets: vec![1, u64::MAX], ..tags });
    let bytes = write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write");
    assert_eq!(read(&bytes).expect("must read").0, parts);
}

#[test]
fn seven_known_answers_are_too_few() {
    let file = File::new().with_json("known_answers", |value| {
        value.as_array_mut().expect("must be a list").pop();
    });
    assert!(matches!(file.error(), LoadError::TooFewKnownAnswers { found: 7 }));
}

#[test]
fn a_known_answer_that_comes_out_different_is_refused() {
    let file = File::new().with_json("known_answers", |value| {
        let logit = &mut value[3]["logits"][2];
        *logit = json!(logit.as_f64().expect("must be a number") + 0.001);
    });
    assert!(matches!(file.error(), LoadError::KnownAnswer { index: 3, head: 2, .. }));
}

#[test]
fn a_known_answer_may_differ_in_the_last_bits() {
    let file = File::new().with_json("known_answers", |value| {
        let logit = &mut value[3]["logits"][2];
        *logit = json!(logit.as_f64().expect("must be a number") + 0.000_05);
    });
    assert!(file.load().is_ok());
}

#[test]
fn a_novelty_that_comes_out_different_is_refused() {
    let stated = File::new().with_json("known_answers", |value| value[3]["novelty"] = json!(0.5));
    assert!(matches!(stated.error(), LoadError::KnownNovelty { index: 3, found: Some(0.0), .. }));
    let unsaid = File::new().with_json("known_answers", |value| value[3]["novelty"] = Value::Null);
    assert!(matches!(unsaid.error(), LoadError::KnownNovelty { index: 3, expected: None, .. }));
    let mut emptied = File::new();
    emptied.tensors.get_mut("novelty.words").expect("must be there").2.fill(0);
    assert!(matches!(emptied.error(), LoadError::KnownNovelty { found: Some(1.0), .. }));
}

#[test]
fn a_filter_without_its_limit_is_refused() {
    let mut file = File::new();
    file.metadata.remove("novelty");
    assert!(matches!(file.error(), LoadError::MetadataMissing { key: "novelty" }));
}

#[test]
fn scores_that_were_not_measured_are_all_zero() {
    let file = File::new().with_json("reference", |value| value["scores"] = json!(vec![0.0; 20]));
    assert!(file.load().is_ok());
}

#[test]
fn a_changed_weight_is_caught_by_the_known_answers() {
    for name in ["h0.weight", "cell.W", "cell.U", "cell.zeta", "head.weight", "ngram.scale", "tag.overall"] {
        let error = File::new().with_number(name, 0, 1.25).error();
        assert!(matches!(error, LoadError::KnownAnswer { .. }), "{name}: {error}");
    }
}

#[test]
fn a_model_that_yields_no_number_for_a_probe_is_never_written() {
    let mut parts = testing::parts(7);
    parts.network.head_weight = [[f32::MAX; 16]; 3];
    parts.network.h0_bias = [9.0; 16];
    let error = write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect_err("must be refused");
    let key = "known_answers";
    assert!(matches!(error, WriteError::Refused(LoadError::MetadataJson { key: named, .. }) if named == key));
}

#[test]
fn lists_of_the_wrong_length_are_never_written() {
    let mut short = testing::parts(7);
    short.ngrams.as_mut().expect("must be there").powerful.pop();
    let error = write(&short, &testing::metadata("1.0.0", 7), Precision::F32).expect_err("must be refused");
    assert!(matches!(error, WriteError::Length { name: "ngram.powerful", found: 16_383, expected: 16_384 }));
    let mut uneven = testing::parts(7);
    uneven.tags.as_mut().expect("must be there").counts.pop();
    let error = write(&uneven, &testing::metadata("1.0.0", 7), Precision::F32).expect_err("must be refused");
    assert!(matches!(error, WriteError::Length { name: "tag.counts", found: 1, expected: 2 }));
}

#[test]
fn the_dtype_error_names_both_types() {
    let error = LoadError::TensorDtype { name: "cell.W", found: Dtype::F16, expected: Dtype::F32 };
    assert_eq!(error.to_string(), "tensor `cell.W` must be F32, this one is F16");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_the_loader(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(Model::from_bytes(&bytes).is_err());
    }

    #[test]
    fn an_arbitrary_header_never_panics_the_loader(header in "[\\[\\]{}\",:0-9a-zF_.]{0,200}", data in any::<[u8; 16]>()) {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(data);
        prop_assert!(Model::from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused_or_does_not_reach_the_score(place in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let mut bytes = WHOLE.clone();
        let index = place.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(model) = Model::from_bytes(&bytes) {
            let score = model.score(&Features::extract("How many legs has a spider?", [testing::KNOWN_TAG]));
            let score = score.expect("must be finite");
            prop_assert!([score.good_enough, score.score, score.uncertainty].iter().all(|number| number.is_finite()));
        }
    }
}
