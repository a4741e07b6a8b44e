//! Files that an earlier system took, or fell over. `docs/reference/earlier-system.md` lists them all; the numbers
//! are those of its table.

use super::*;

impl File {
    /// The tensor becomes another one: type, shape and bytes fit each other.
    fn with_tensor(mut self, name: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>) -> Self {
        self.tensors.insert(name.to_owned(), (dtype.to_owned(), shape.to_vec(), bytes));
        self
    }
}

fn ones(count: usize) -> Vec<u8> {
    std::iter::repeat_n(1.0_f32.to_le_bytes(), count).flatten().collect()
}

#[test]
fn bug_09_a_model_of_seven_inputs_is_refused_by_its_shape() {
    let error = File::new().with_tensor("cell.W", "F32", &[16, 7], ones(16 * 7)).error();
    assert_eq!(error.to_string(), "tensor `cell.W` must have shape [16, 8], this one has [16, 7]");
}

#[test]
fn bug_10_nan_weights_and_integers_of_the_same_size_are_refused() {
    let spoilt = File::new().with_number("cell.W", 5, f32::NAN).error();
    assert_eq!(spoilt.to_string(), "tensor `cell.W` must be finite, number 5 is not");
    let integers = File::new().with_tensor("cell.W", "I32", &[16, 8], vec![1; 4 * 16 * 8]).error();
    assert_eq!(integers.to_string(), "tensor `cell.W` must be F32, this one is I32");
}

#[test]
fn bug_11_bytes_that_are_no_whole_numbers_no_outputs_and_a_short_state_are_errors_and_no_panics() {
    let forty_one = File::new().with_tensor("h0.bias", "U8", &[41], vec![1; 41]).error();
    assert_eq!(forty_one.to_string(), "tensor `h0.bias` must be F32, this one is U8");
    let no_output = File::new().with_tensor("head.weight", "F32", &[0, 16], Vec::new()).error();
    assert_eq!(no_output.to_string(), "tensor `head.weight` must have shape [3, 16], this one has [0, 16]");
    let no_bias = File::new().with_tensor("head.bias", "F32", &[0], Vec::new()).error();
    assert_eq!(no_bias.to_string(), "tensor `head.bias` must have shape [3], this one has [0]");
    let short_state = File::new().with_tensor("h0.bias", "F32", &[15], ones(15)).error();
    assert_eq!(short_state.to_string(), "tensor `h0.bias` must have shape [16], this one has [15]");
    // A header that promises more, or other, bytes than there are.
    for (dtype, bytes) in [("F32", 41), ("F64", 16 * 4), ("F32", 0)] {
        let error = File::new().with_tensor("h0.bias", dtype, &[16], vec![1; bytes]).error();
        assert!(matches!(error, LoadError::Container(_)), "{dtype} in {bytes} bytes: {error}");
    }
}

#[test]
fn bug_15_a_file_of_any_size_is_not_read_and_its_identity_is_its_digest() {
    let error = Model::from_bytes(&vec![0; 64 << 20]).expect_err("must be refused");
    assert!(matches!(error, LoadError::TooLarge { .. }));
    let model = Model::from_bytes(&WHOLE).expect("must load");
    assert_eq!(model.digest(), crate::Digest::of(&WHOLE));
}
