//! Rules of what a model knows about embeddings.

use super::*;

fn parts() -> ModelParts {
    ModelParts { embedding: Some(testing::embedding(7)), ..testing::parts(7) }
}

fn written(parts: &ModelParts) -> Vec<u8> {
    write(parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write")
}

fn file() -> File {
    File::of(&written(&parts()))
}

/// The embedding parts with one thing changed, which the writer must refuse.
fn refused(change: impl FnOnce(&mut EmbeddingParts)) -> WriteError {
    let mut parts = parts();
    change(parts.embedding.as_mut().expect("must be there"));
    write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect_err("must be refused")
}

#[test]
fn embeddings_are_kept_whole_or_with_one_source_only() {
    let whole = parts();
    assert_eq!(read(&written(&whole)).expect("must read").0, whole);
    for without in [
        |embedding: &mut EmbeddingParts| embedding.prototypes = None,
        |embedding: &mut EmbeddingParts| embedding.read_out = None,
    ] {
        let mut parts = parts();
        without(parts.embedding.as_mut().expect("must be there"));
        assert_eq!(read(&written(&parts)).expect("must read").0, parts);
    }
}

#[test]
fn every_tensor_of_embeddings_must_be_present_and_of_its_dtype_and_shape() {
    let names: Vec<String> = file()
        .tensors
        .into_keys()
        .filter(|name| name.starts_with("prototype.") || name.starts_with("readout."))
        .collect();
    assert_eq!(names.len(), 8);
    for name in names {
        let error = file().without_tensor(&name).error();
        assert!(matches!(error, LoadError::TensorMissing { name: named } if named == name));
        let mut other = file();
        let tensor = other.tensors.get_mut(&name).expect("must be there");
        tensor.0 = if tensor.0 == "F32" { "I32" } else { "U8" }.to_owned();
        assert!(matches!(other.error(), LoadError::TensorDtype { name: named, .. } if named == name));
        let mut longer = file();
        longer.tensors.get_mut(&name).expect("must be there").1.push(1);
        assert!(matches!(longer.error(), LoadError::TensorShape { name: named, .. } if named == name));
    }
}

#[test]
fn what_is_known_about_embeddings_needs_their_name_and_the_other_way_round() {
    let mut nameless = file();
    nameless.metadata.remove("embedding");
    assert!(matches!(nameless.error(), LoadError::MetadataMissing { key: "embedding" }));
    let error = refused(|embedding| (embedding.prototypes, embedding.read_out) = (None, None));
    let key = "embedding";
    assert!(
        matches!(error, WriteError::Refused(LoadError::MetadataValue { key: named, .. }) if named == key)
    );
}

#[test]
fn a_space_that_breaks_a_rule_is_refused() {
    let changes = [
        ("/name", json!("two words")),
        ("/dimensions", json!(0)),
        ("/dimensions", json!(4097)),
        ("/least_similarity", json!(1.5)),
    ];
    for (pointer, value) in changes {
        let error = file()
            .with_json("embedding", |json| *json.pointer_mut(pointer).expect("must be there") = value)
            .error();
        assert!(matches!(error, LoadError::MetadataValue { key: "embedding", .. }), "{pointer}: {error}");
    }
    let other = file().with_json("embedding", |json| json["dimensions"] = json!(13)).error();
    assert_eq!(other.to_string(), "tensor `prototype.centres` must have shape [5, 13], this one has [5, 12]");
}

#[test]
fn a_centre_without_a_direction_is_refused_by_its_row() {
    let error = refused(|embedding| {
        let prototypes = embedding.prototypes.as_mut().expect("must be there");
        prototypes.centres[24..36].fill(0);
    });
    assert!(matches!(error, WriteError::Refused(LoadError::ZeroCentre { index: 2 })));
}

#[test]
fn what_is_divided_by_must_be_positive_in_prototypes_too() {
    for name in ["prototype.scale", "prototype.counts", "prototype.prior"] {
        let error = file().with_number(name, 0, 0.0).error();
        assert!(matches!(error, LoadError::NotPositive { name: named, index: 0 } if named == name));
    }
}

#[test]
fn too_many_cells_are_refused() {
    let error = refused(|embedding| {
        let prototypes = embedding.prototypes.as_mut().expect("must be there");
        prototypes.centres = vec![1; 65 * 12];
        prototypes.scale = vec![0.01; 65];
        prototypes.counts = vec![[1.0, 0.0, 1.0]; 65];
    });
    let name = "prototype.scale";
    assert!(
        matches!(error, WriteError::Refused(LoadError::TensorShape { name: named, .. }) if named == name)
    );
}

#[test]
fn lists_of_embeddings_of_the_wrong_length_are_never_written() {
    let short = |change: fn(&mut EmbeddingParts)| match refused(change) {
        WriteError::Length { name, .. } => name,
        other => panic!("must name the list: {other}"),
    };
    assert_eq!(short(|embedding| embedding.prototypes.as_mut().unwrap().counts.clear()), "prototype.counts");
    assert_eq!(
        short(|embedding| embedding.prototypes.as_mut().unwrap().centres.clear()),
        "prototype.centres"
    );
    assert_eq!(short(|embedding| embedding.read_out.as_mut().unwrap().weight.clear()), "readout.weight");
}

#[test]
fn a_changed_number_of_embeddings_is_caught_by_the_known_answers() {
    for (name, number) in [("prototype.overall", 0.9), ("readout.scale", 0.5), ("readout.offset", 1.0)] {
        let error = file().with_number(name, 0, number).error();
        assert!(matches!(error, LoadError::KnownAnswer { .. }), "{name}: {error}");
    }
    for name in ["prototype.centres", "readout.weight"] {
        let mut changed = file();
        changed.tensors.get_mut(name).expect("must be there").2.reverse();
        assert!(matches!(changed.error(), LoadError::KnownAnswer { .. }), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_of_any_part_is_refused_or_does_not_reach_the_score(place in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        static EVERYTHING: LazyLock<Vec<u8>> = LazyLock::new(|| {
            write(&parts(), &testing::metadata("1.0.0", 7), Precision::Int8).expect("must write")
        });
        let mut bytes = EVERYTHING.clone();
        let index = place.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(model) = Model::from_bytes(&bytes) {
            let mut features = Features::extract("How many legs has a spider?", [testing::KNOWN_TAG]);
            let dimensions = model.embedding_space().map_or(1, |space| space.dimensions);
            features.set_embedding(&vec![0.5; dimensions]).expect("must be an embedding");
            let score = model.score(&features).expect("must be finite");
            prop_assert!([score.good_enough, score.score].iter().all(|number| number.is_finite()));
        }
    }
}
