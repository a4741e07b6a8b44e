//! Rules of weights in bytes.

use super::*;

fn bytes() -> Vec<u8> {
    write(&testing::parts(7), &testing::metadata("1.0.0", 7), Precision::Int8).expect("must write")
}

fn file() -> File {
    File::of(&bytes())
}

#[test]
fn weights_in_bytes_are_read_back_near_what_they_were() {
    let (exact, near) = (testing::parts(7).network, read(&bytes()).expect("must read").0.network);
    let pairs = |one: &[f32], other: &[f32]| -> f32 {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
    };
    // Half a byte of the largest weight there can be.
    assert!(pairs(exact.h0_weight.as_flattened(), near.h0_weight.as_flattened()) <= 0.3 / 254.0);
    assert!(pairs(exact.cell.u.as_flattened(), near.cell.u.as_flattened()) <= 0.5 / 254.0);
    assert!(pairs(exact.cell.w.as_flattened(), near.cell.w.as_flattened()) <= 0.5 / 254.0);
    assert!(pairs(exact.head_weight.as_flattened(), near.head_weight.as_flattened()) <= 0.7 / 254.0);
    assert_ne!(exact.cell.u, near.cell.u);
    assert_eq!((exact.h0_bias, exact.head_bias), (near.h0_bias, near.head_bias), "others stay as they are");
}

#[test]
fn an_artifact_in_bytes_loads_says_nearly_the_same_and_is_smaller() {
    let (exact, near) = (Model::from_bytes(&WHOLE), Model::from_bytes(&bytes()));
    let (exact, near) = (exact.expect("must load"), near.expect("must load"));
    for text in ["How many legs has a spider?", "Write a poem.", "What is 2 + 2?"] {
        let features = Features::extract(text, []);
        for (exact, near) in exact.logits(&features).into_iter().zip(near.logits(&features)) {
            assert!((exact - near).abs() < 0.05, "{exact} {near}");
        }
    }
    assert!(bytes().len() < WHOLE.len());
    let said = [&WHOLE[..], &bytes()].map(|file| super::super::precision(file).expect("must read"));
    assert_eq!(said, [Precision::F32, Precision::Int8]);
    assert_eq!(bytes(), bytes());
}

#[test]
fn what_was_read_from_bytes_is_written_as_it_was_read() {
    let (parts, _) = read(&bytes()).expect("must read");
    let again = write(&parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write");
    assert_eq!(read(&again).expect("must read").0, parts);
}

#[test]
fn bytes_need_their_scales_and_scales_need_bytes() {
    for name in ["h0.weight.scale", "cell.W.scale", "cell.U.scale", "head.weight.scale"] {
        let error = file().without_tensor(name).error();
        assert!(matches!(error, LoadError::TensorMissing { name: named } if named == name));
        let mut lonely = File::new();
        let scale = file().tensors.remove(name).expect("must be there");
        lonely.tensors.insert(name.to_owned(), scale);
        assert!(matches!(lonely.error(), LoadError::TensorUnknown { name: named } if named == name));
    }
}

#[test]
fn a_scale_must_be_positive_and_what_it_makes_finite() {
    for number in [0.0, -1.0] {
        let error = file().with_number("cell.U.scale", 2, number).error();
        assert!(matches!(error, LoadError::NotPositive { name: "cell.U.scale", index: 2 }));
    }
    let error = file().with_number("cell.U.scale", 0, f32::MAX).error();
    assert!(matches!(error, LoadError::NotFinite { name: "cell.U", .. }));
}

#[test]
fn bytes_of_another_shape_are_refused() {
    let mut file = file();
    file.tensors.get_mut("head.weight").expect("must be there").1.reverse();
    assert!(matches!(file.error(), LoadError::TensorShape { name: "head.weight", .. }));
}
