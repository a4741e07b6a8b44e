use proptest::prelude::*;

use super::*;
use crate::Digest;

/// Half a unit in the last place, relative, and what the series leave out.
const RELATIVE: f64 = 6.0e-8;
/// Half of the smallest number above 0.
const ABSOLUTE: f64 = 7.1e-46;

type Function = (&'static str, fn(f32) -> f32, fn(f64) -> f64);

const FUNCTIONS: [Function; 4] = [
    ("exp", exp, f64::exp),
    ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    ("tanh", tanh, f64::tanh),
    ("ln_1p", ln_1p, f64::ln_1p),
];

/// Numbers of every size and sign: each `step`-th of all f32.
fn every(step: usize) -> impl Iterator<Item = f32> {
    (0..=u32::MAX).step_by(step).map(f32::from_bits)
}

fn assert_close(name: &str, x: f32, found: f32, exact: f64) {
    let found = f64::from(found);
    let close = found.is_nan() && exact.is_nan()
        || found.is_infinite() && (exact.abs() > f64::from(f32::MAX)) && found.signum() == exact.signum()
        || (found - exact).abs() <= RELATIVE * exact.abs() + ABSOLUTE;
    assert!(close, "{name}({x}) is {found}, must be {exact}");
}

#[test]
fn each_function_is_within_its_error_of_the_exact_value_over_all_numbers() {
    for (name, own, exact) in FUNCTIONS {
        for x in every(4_999) {
            assert_close(name, x, own(x), exact(f64::from(x)));
        }
        // Where logits and gates really are.
        for step in -200_000..=200_000 {
            let x = step as f32 * 1e-4;
            assert_close(name, x, own(x), exact(f64::from(x)));
        }
    }
}

#[test]
fn each_function_saturates_and_hands_on_what_is_no_number() {
    for (name, own, _) in FUNCTIONS {
        assert!(own(f32::NAN).is_nan(), "{name}");
        assert_eq!(own(-0.0), own(0.0), "{name}");
    }
    let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
    assert_eq!([low, -1e30, -104.0, 0.0, 88.8, high].map(exp), [0.0, 0.0, 0.0, 1.0, high, high]);
    assert_eq!([low, -1e30, -105.0, 0.0, 20.0, high].map(sigmoid), [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]);
    assert_eq!([low, -10.0, 0.0, 10.0, high].map(tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
    assert_eq!([-1.0, 0.0, high].map(ln_1p), [low, 0.0, high]);
    assert!(ln_1p(-1.000_001).is_nan() && ln_1p(low).is_nan());
}

#[test]
fn each_function_ascends_where_its_pieces_meet() {
    // Every neighbouring pair around the places where the power of two changes, and where a series ends.
    let meets = (-300..=300).map(|half| half as f32 * std::f32::consts::LN_2 / 2.0);
    let ends = [TANH_NEAR as f32, TANH_FAR as f32, LN_NEAR, FAR, std::f32::consts::FRAC_1_SQRT_2 - 1.0];
    for centre in meets.chain(ends).chain(ends.map(|end| -end)) {
        for (name, own, _) in FUNCTIONS {
            let mut x = centre - centre.abs() * 1e-4;
            while x < centre + centre.abs() * 1e-4 {
                let next = x.next_up();
                assert!(own(next) >= own(x) || own(x).is_nan(), "{name}({x})");
                x = next;
            }
        }
    }
}

/// What every machine must compute, to the bit: sha256 over the results for every 65,521st f32. A number
/// that is none counts as one, since its bits say nothing.
#[test]
fn the_bits_are_the_same_everywhere() {
    let bits = |x: f32| if x.is_nan() { [0xff; 4] } else { x.to_le_bytes() };
    let digests = FUNCTIONS.map(|(name, own, _)| {
        let results: Vec<u8> = every(65_521).flat_map(|x| bits(own(x))).collect();
        format!("{name} {}", Digest::of(&results).to_hex())
    });
    assert_eq!(digests, PINNED);
}

const PINNED: [&str; 4] = [
    "exp 402efe51a5743a5eb3b0edfba4c1d66a07d9ebc9047d6ee006c65f6d4a35bb8c",
    "sigmoid 51e4688b68f03c207c77ca3efe447d7603275a8c434c9a86bc0c11a00bb81014",
    "tanh 5b72d4cfd06c06514190b77cbd9b0d7bb460ff377f45bb364db95de4eb3bc372",
    "ln_1p ca992dbb1351620166ffbca1b9f917e0191c2b3ccc9503e8f91124a42f595497",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn each_function_ascends(x in any::<f32>(), other in any::<f32>(), near in 0_u32..64) {
        prop_assume!(!x.is_nan() && !other.is_nan());
        let neighbour = (0..near).fold(x, |number, _| number.next_up());
        for (low, high) in [(x.min(other), x.max(other)), (x, neighbour)] {
            for (name, own, _) in FUNCTIONS {
                prop_assert!(own(low) <= own(high) || own(low).is_nan(), "{}({}) above that of {}", name, low, high);
            }
        }
    }

    #[test]
    fn tanh_is_odd(x in any::<f32>()) {
        prop_assert!(tanh(-x) == -tanh(x) || x.is_nan());
    }
}
