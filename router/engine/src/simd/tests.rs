use proptest::prelude::*;

use super::*;

/// What every operation gives, in an order of its own.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    exact: Vec<[f32; LANES]>,
    close: Vec<[f32; LANES]>,
    sum: f32,
    bytes: [f32; LANES],
    line: [f32; LANES],
}

struct Everything<'a> {
    a: &'a [f32; LANES],
    b: &'a [f32; LANES],
    then: &'a [f64; LANES],
    lanes: u16,
    line: &'a [i8; 64],
    query: [i8; 4],
}

impl Work for Everything<'_> {
    type Output = Told;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Told {
        let (a, b) = (simd.load(self.a), simd.load(self.b));
        let size = simd.add(simd.max(a, simd.sub(simd.splat(0.0), a)), simd.splat(1e-30));
        let near = simd.min(simd.max(a, simd.splat(-126.0)), simd.splat(126.0));
        let (rest, power) = simd.split_power(near);
        let (exponent, mantissa) = simd.split_number(size);
        let exact = [
            simd.add(a, b),
            simd.sub(a, b),
            simd.mul(a, b),
            simd.div(a, b),
            simd.min(a, b),
            simd.max(a, b),
            simd.add_where(self.lanes, a, b),
            simd.choose_larger(a, b, b, simd.splat(0.5)),
            simd.seconds_since(1e5, self.then),
            rest,
            power,
            exponent,
            mantissa,
        ];
        let mut sums = [0; LANES];
        for (sum, quad) in sums.iter_mut().zip(self.line.as_chunks::<4>().0) {
            *sum = quad.iter().map(|byte| i32::from(*byte)).sum();
        }
        let query = self.query.map(|byte| byte.cast_unsigned() ^ S::QUERY_FLIP);
        let bytes = simd.dot_bytes(simd.start_bytes(&sums), self.line, query);
        let none = simd.start_bytes(&[0; LANES]);
        let line = simd.add_integers(simd.load_bytes(self.line), none);
        Told {
            exact: exact.map(|numbers| simd.store(numbers)).to_vec(),
            close: vec![simd.store(simd.mul_add(a, b, a))],
            sum: simd.sum(a),
            bytes: simd.store(simd.to_floats(bytes)),
            line: simd.store(simd.to_floats(line)),
        }
    }
}

struct Halves<'a>(&'a [u16; LANES]);

impl Work for Halves<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        simd.store(simd.load_half(self.0))
    }
}

struct Extremes;

impl Work for Extremes {
    type Output = [[f32; LANES]; 3];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let (none, one) = (simd.splat(f32::NAN), simd.splat(1.0));
        [simd.min(none, one), simd.max(none, one), simd.choose_larger(none, one, none, one)]
            .map(|numbers| simd.store(numbers))
    }
}

fn byte() -> impl Strategy<Value = i8> {
    -127_i8..=127
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_level_does_what_plain_arrays_do(
        a in prop::array::uniform16(-200.0_f32..200.0),
        b in prop::array::uniform16(-200.0_f32..200.0),
        then in prop::array::uniform16(-1e6_f64..1e6),
        lanes: u16,
        line in prop::collection::vec(byte(), 64),
        query in prop::array::uniform4(byte()),
    ) {
        let line: [i8; 64] = line.try_into().expect("must be 64");
        let (a, b, then, line) = (&a, &b, &then, &line);
        let plain = Level::all()[0].run(Everything { a, b, then, lanes, line, query });
        let products = line.as_chunks::<4>().0.iter().map(|quad| {
            quad.iter().zip(query).map(|(byte, query)| i32::from(*byte) * i32::from(query)).sum::<i32>() as f32
        });
        prop_assert_eq!(plain.bytes.to_vec(), products.collect::<Vec<_>>());
        for (number, (rest, power)) in a.iter().zip(plain.exact[9].iter().zip(plain.exact[10])) {
            prop_assert!(rest.abs() <= 0.5);
            prop_assert_eq!(number.clamp(-126.0, 126.0) - rest, power.log2());
        }
        for (number, (exponent, mantissa)) in a.iter().zip(plain.exact[11].iter().zip(plain.exact[12])) {
            prop_assert_eq!(exponent.exp2() * mantissa, number.abs() + 1e-30);
            prop_assert!((0.707..1.415).contains(&mantissa));
        }
        for level in &Level::all()[1..] {
            let told = level.run(Everything { a, b, then, lanes, line, query });
            prop_assert_eq!(&told.exact, &plain.exact, "{:?}", level);
            prop_assert_eq!((told.bytes, told.line), (plain.bytes, plain.line), "{:?}", level);
            prop_assert!((told.sum - plain.sum).abs() < 1e-3);
            for (one, other) in told.close[0].iter().zip(plain.close[0]) {
                prop_assert!((one - other).abs() < 1e-2);
            }
        }
    }
}

#[test]
fn every_half_is_read_as_what_it_is_at_every_level() {
    for first in (0..=u16::MAX).step_by(LANES) {
        let bits: [u16; LANES] = std::array::from_fn(|lane| first + lane as u16);
        for level in Level::all() {
            for (bits, read) in bits.into_iter().zip(level.run(Halves(&bits))) {
                let number = half::f16::from_bits(bits).to_f32();
                assert!(number == read || number.is_nan() && read.is_nan(), "{level:?} {bits}");
            }
        }
    }
}

#[test]
fn what_is_no_number_is_never_the_larger_nor_the_smaller() {
    for level in Level::all() {
        assert_eq!(level.run(Extremes), [[1.0; LANES]; 3], "{level:?}");
    }
}

#[test]
fn the_best_level_is_the_last_of_all() {
    assert_eq!(Some(&Level::best()), Level::all().last());
}

#[test]
fn a_line_begins_where_a_line_of_memory_does() {
    let lines = [Line([0_i8; 64]); 3];
    assert_eq!(lines.as_ptr().addr() % 64, 0);
    assert_eq!(size_of_val(&lines), 192);
}
