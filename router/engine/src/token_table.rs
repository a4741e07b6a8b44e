//! A static embedder: one vector a token, and a text is the mean of its tokens' vectors.
//!
//! Two files, as tables made of sentence embedders (`Model2Vec` and its like) can be exported: `model.safetensors`
//! with a single matrix of f16 or f32, one row a token; `vocab.txt` with one token a line, the line being the row.
//! Tokens are BERT's word pieces: the text in lower case is cut at white space and around every character that is
//! neither a letter nor a digit; of each word the longest known piece is taken from the start, then again from
//! where it ended among the pieces that begin with `##`. A word that cannot be covered is left out.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors};

use crate::artifact::Cause;
use crate::digest::Digest;
use crate::embedding::MOST_DIMENSIONS;

/// What the name of its space of embeddings begins with.
pub const NAME: &str = "token-table";
/// What a piece inside of a word begins with.
const INSIDE: &str = "##";
/// Tokens of a text that are read.
pub const MOST_TOKENS: usize = 512;
/// Characters of a text that are read: more than so many tokens have in prose, and a bound on the time of any text.
const LONGEST_TEXT: usize = 16_384;
/// Characters of a word that is read; longer ones are left out.
const LONGEST_WORD: usize = 100;

/// A table of token vectors.
#[derive(Debug, Clone)]
pub struct TokenTable {
    name: String,
    dimensions: usize,
    /// Row by row.
    rows: Vec<f32>,
    /// Rows of the pieces a word may start with.
    starts: HashMap<Box<str>, usize>,
    /// Rows of the pieces inside of words, without their mark.
    insides: HashMap<Box<str>, usize>,
    /// Bytes of the longest piece.
    longest: usize,
}

/// Why two files are no token table.
#[derive(Debug, thiserror::Error)]
pub enum TokenTableError {
    /// The matrix is in no safetensors container.
    #[error("failed to read the token table as safetensors")]
    Container(#[source] Cause),
    /// There is not exactly one tensor.
    #[error("a token table must hold one tensor, this one holds {found}")]
    Tensors {
        /// How many there are.
        found: usize,
    },
    /// The tensor is no matrix of a row a token.
    #[error(
        "a token table must have one row for each of the {tokens} tokens and 1 to {MOST_DIMENSIONS} columns, this one has shape {found:?}"
    )]
    Shape {
        /// Lines of the vocabulary.
        tokens: usize,
        /// The shape of the tensor.
        found: Vec<usize>,
    },
    /// The numbers are of another type.
    #[error("a token table must be F16 or F32, this one is {found:?}")]
    Dtype {
        /// The type in the file.
        found: Dtype,
    },
    /// A number is infinite or none.
    #[error("a token table must be finite, number {index} is not")]
    NotFinite {
        /// Which of its numbers.
        index: usize,
    },
}

impl TokenTable {
    /// Of the bytes of `model.safetensors` and the text of `vocab.txt`.
    ///
    /// # Errors
    /// [`TokenTableError`], one variant a rule.
    pub fn new(model: &[u8], vocabulary: &str) -> Result<Self, TokenTableError> {
        let container = SafeTensors::deserialize(model);
        let container = container.map_err(|error| TokenTableError::Container(Cause::of(&error)))?;
        let tensors = container.tensors();
        let [(_, tensor)] = &tensors[..] else {
            return Err(TokenTableError::Tensors { found: tensors.len() });
        };
        let tokens = vocabulary.lines().count();
        let dimensions = match *tensor.shape() {
            [rows, columns] if rows == tokens && (1..=MOST_DIMENSIONS).contains(&columns) => columns,
            ref shape => return Err(TokenTableError::Shape { tokens, found: shape.to_vec() }),
        };
        let rows = numbers(tensor.dtype(), tensor.data())?;
        let (mut starts, mut insides): (HashMap<Box<str>, usize>, HashMap<Box<str>, usize>) =
            Default::default();
        for (row, token) in vocabulary.lines().enumerate() {
            match token.strip_prefix(INSIDE).filter(|piece| !piece.is_empty()) {
                Some(piece) => insides.insert(piece.into(), row),
                None => starts.insert(token.into(), row),
            };
        }
        let longest = starts.keys().chain(insides.keys()).map(|piece| str::len(piece)).max().unwrap_or(0);
        let name = format!(
            "{NAME}/{}",
            Digest::of(format!("{}\n{}\n", Digest::of(model), Digest::of(vocabulary.as_bytes())).as_bytes())
        );
        Ok(Self { name, dimensions, rows, starts, insides, longest })
    }

    /// The name of its space of embeddings: `token-table/sha256:` and the digest of two lines, the digests of both
    /// files. So a model that was trained with it reads this table and no other.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers of an embedding.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The mean of the vectors of the first [`MOST_TOKENS`] tokens in a text's first 16,384 characters, for
    /// [`crate::Features::set_embedding`]; nothing if no token is known.
    pub fn embed(&self, text: &str) -> Option<Vec<f32>> {
        let end = text.char_indices().nth(LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
        let text = text.get(..end).unwrap_or(text).to_lowercase();
        let mut sums = vec![0.0_f32; self.dimensions];
        let mut found = 0_usize;
        let mut add = |row: usize| {
            let vector = self.rows.iter().skip(row * self.dimensions);
            sums.iter_mut().zip(vector).for_each(|(sum, number)| *sum += number);
            found += 1;
        };
        words(&text).flat_map(|word| self.pieces(word)).take(MOST_TOKENS).for_each(&mut add);
        (found > 0).then(|| sums.iter().map(|sum| sum / found as f32).collect())
    }

    /// The rows of the pieces that cover a word; none if none do.
    fn pieces(&self, word: &str) -> Vec<usize> {
        let (mut rows, mut rest) = (Vec::new(), word);
        while !rest.is_empty() && word.chars().nth(LONGEST_WORD).is_none() {
            let known = if rows.is_empty() { &self.starts } else { &self.insides };
            let ends = rest.char_indices().rev().map(|(at, character)| at + character.len_utf8());
            let ends = ends.skip_while(|end| *end > self.longest);
            let longest = ends.filter_map(|end| rest.split_at_checked(end));
            let Some((row, after)) =
                longest.into_iter().find_map(|(piece, after)| Some((*known.get(piece)?, after)))
            else {
                return Vec::new();
            };
            rows.push(row);
            rest = after;
        }
        rows
    }
}

/// Runs of letters and digits, and every other character alone, without white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|part| {
        part.split_inclusive(|character: char| !character.is_alphanumeric()).flat_map(|run| {
            let sign = run.char_indices().next_back().filter(|(_, character)| !character.is_alphanumeric());
            let (word, sign) = run.split_at(sign.map_or(run.len(), |(at, _)| at));
            [word, sign].into_iter().filter(|word| !word.is_empty())
        })
    })
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, TokenTableError> {
    let numbers: Vec<f32> = match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|bytes| half(u16::from_le_bytes(*bytes))).collect(),
        found => return Err(TokenTableError::Dtype { found }),
    };
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(index) => Err(TokenTableError::NotFinite { index }),
    }
}

/// The number of an IEEE 754 half; exact.
fn half(bits: u16) -> f32 {
    /// What the exponent's bias of f32 has more, as a factor.
    const REBIASED: f32 = 5_192_296_858_534_827_628_530_496_329_220_096.0;
    if bits & 0x7c00 == 0x7c00 {
        return f32::NAN;
    }
    let size = f32::from_bits(u32::from(bits & 0x7fff) << 13) * REBIASED;
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use safetensors::tensor::TensorView;

    const VOCABULARY: &str = "[UNK]\nrain\n##ing\n##s\nfall\n!\nrai\n##n\nü";

    fn file(dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
        safetensors::serialize([("embeddings", view)], None).unwrap()
    }

    /// Row r is (r, 1).
    fn table() -> TokenTable {
        let data: Vec<u8> =
            (0..9_u8).flat_map(|row| [f32::from(row), 1.0]).flat_map(f32::to_le_bytes).collect();
        TokenTable::new(&file(Dtype::F32, &[9, 2], &data), VOCABULARY).unwrap()
    }

    #[test]
    fn a_word_is_cut_into_the_longest_known_pieces() {
        let pieces = |word: &str| table().pieces(word);
        assert_eq!(pieces("raining"), [1, 2]);
        assert_eq!(pieces("rains"), [1, 3]);
        assert_eq!(pieces("fall"), [4]);
        assert!(pieces("fallen").is_empty(), "the rest is unknown");
        assert!(pieces("ing").is_empty(), "a piece from inside starts no word");
        assert!(pieces(&"rain".repeat(40)).is_empty());
    }

    #[test]
    fn a_text_is_the_mean_of_its_tokens_and_capitals_mean_nothing() {
        assert_eq!(table().embed("Rain falls! Ü"), Some(vec![(1.0 + 4.0 + 3.0 + 5.0 + 8.0) / 5.0, 1.0]));
        assert_eq!(table().embed("rain,rain"), Some(vec![1.0, 1.0]));
        assert_eq!(table().embed("nothing known"), None);
        assert_eq!(table().embed(""), None);
        let long = format!("{}{}", "rain ".repeat(MOST_TOKENS), "fall ".repeat(100));
        assert_eq!(table().embed(&long), Some(vec![1.0, 1.0]));
        let late = format!("{}fall", "— ".repeat(LONGEST_TEXT / 2));
        assert_eq!(table().embed(&late), None, "what comes so late is not read");
    }

    #[test]
    fn a_table_is_named_by_both_of_its_files() {
        let (one, other) = ([1.0_f32, 2.0].map(f32::to_le_bytes), [2.0_f32, 1.0].map(f32::to_le_bytes));
        let name = |numbers: &[[u8; 4]; 2], word| {
            let model = file(Dtype::F32, &[1, 2], numbers.as_flattened());
            TokenTable::new(&model, word).unwrap().name().to_owned()
        };
        let named = name(&one, "rain");
        assert_eq!((named.len(), named == name(&one, "rain")), ("token-table/sha256:".len() + 64, true));
        assert!(named != name(&other, "rain") && named != name(&one, "fall"));
    }

    #[test]
    fn signs_stand_alone() {
        let found: Vec<&str> = words("it's  5%, (ok)\n—").collect();
        assert_eq!(found, ["it", "'", "s", "5", "%", ",", "(", "ok", ")", "—"]);
    }

    #[test]
    fn what_it_makes_of_a_text_is_an_embedding() {
        let mut features = Features::extract("rain", []);
        features.set_embedding(&table().embed("rain").unwrap()).unwrap();
        assert_eq!(features.embedding().map(<[f32]>::len), Some(table().dimensions()));
    }

    #[test]
    fn halves_are_read_exactly() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65_504.0),
        ];
        for (bits, number) in cases {
            assert_eq!(half(bits), number);
        }
        let data: Vec<u8> = [0x3c00_u16, 0xc000].iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let table = TokenTable::new(&file(Dtype::F16, &[1, 2], &data), "rain").unwrap();
        assert_eq!(table.embed("rain"), Some(vec![1.0, -2.0]));
    }

    #[test]
    fn files_that_are_no_table_are_refused_by_their_rule() {
        let error = |model: &[u8], vocabulary: &str| TokenTable::new(model, vocabulary).unwrap_err();
        assert!(matches!(error(b"no", "a"), TokenTableError::Container(_)));
        let numbers = [0_u8; 16];
        let flat = file(Dtype::F32, &[4], &numbers);
        assert!(matches!(error(&flat, "a\nb\nc\nd"), TokenTableError::Shape { tokens: 4, .. }));
        let square = file(Dtype::F32, &[2, 2], &numbers);
        assert!(matches!(error(&square, "a\nb\nc"), TokenTableError::Shape { tokens: 3, .. }));
        let other = file(Dtype::I32, &[2, 2], &numbers);
        assert!(matches!(error(&other, "a\nb"), TokenTableError::Dtype { found: Dtype::I32 }));
        let infinite = file(Dtype::F16, &[1, 2], &[0, 0, 0, 0x7c]);
        assert!(matches!(error(&infinite, "a"), TokenTableError::NotFinite { index: 1 }));
        let view = || TensorView::new(Dtype::F32, vec![2, 2], &numbers).unwrap();
        let two = safetensors::serialize([("a", view()), ("b", view())], None).unwrap();
        assert!(matches!(error(&two, "a\nb"), TokenTableError::Tensors { found: 2 }));
    }
}
