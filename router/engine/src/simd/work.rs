//! What a level can do, and what can be done with it.

use super::LANES;

/// Something to do with the instructions of a level. The body is to be inlined into the level's function.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A token of a level with its operations on sixteen numbers.
pub trait Simd: Copy {
    /// Sixteen f32.
    type Floats: Copy;
    /// Sixteen i32.
    type Integers: Copy;

    /// Does the work in a function that is compiled for this level.
    fn run<W: Work>(self, work: W) -> W::Output;

    /// The same number in all lanes.
    fn splat(self, number: f32) -> Self::Floats;
    /// From memory.
    fn load(self, numbers: &[f32; LANES]) -> Self::Floats;
    /// To memory.
    fn store(self, numbers: Self::Floats) -> [f32; LANES];
    /// From f16 given by bits.
    fn load_half(self, numbers: &[u16; LANES]) -> Self::Floats;
    /// `a + b`
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a - b`
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b`
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once or twice.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `a / b`
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The smaller; `b` where one is no number.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The larger; `b` where one is no number.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The number without its nearest integer (-0.5 to 0.5), and 2 to that integer; the number is at least -126
    /// and at most 127.
    fn split_power(self, number: Self::Floats) -> (Self::Floats, Self::Floats);
    /// Exponent and mantissa of a positive normal number, the mantissa between the roots of 1/2 and 2.
    fn split_number(self, number: Self::Floats) -> (Self::Floats, Self::Floats);
    /// The sum of the lanes.
    fn sum(self, numbers: Self::Floats) -> f32;
    /// `a`, and `b` added to it in the lanes whose bit is set.
    fn add_where(self, lanes: u16, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `then` in lanes where `a` is larger than `b`, else `or`.
    fn choose_larger(
        self,
        a: Self::Floats,
        b: Self::Floats,
        then: Self::Floats,
        or: Self::Floats,
    ) -> Self::Floats;
    /// `now - then`, at least 0, in seconds.
    fn seconds_since(self, now: f64, then: &[f64; LANES]) -> Self::Floats;

    /// What a byte of a query has been changed by (exclusive or) before [`Simd::dot_bytes`] reads it.
    const QUERY_FLIP: u8;
    /// The sum to which the products of bytes are added; `sums` are those of each lane's bytes.
    fn start_bytes(self, sums: &[i32; LANES]) -> Self::Integers;
    /// Four bytes a lane from memory, as one integer.
    fn load_bytes(self, line: &[i8; 64]) -> Self::Integers;
    /// Adds, in each lane, the products of its four bytes and the query's four bytes. No byte is -128.
    fn dot_bytes(self, sum: Self::Integers, line: &[i8; 64], query: [u8; 4]) -> Self::Integers;
    /// `a + b`
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// To floats.
    fn to_floats(self, integers: Self::Integers) -> Self::Floats;
}
