//! What a request pays for the guards: the evidence of a trial, its bucket, and the pod's own brake.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion};
use tinydancer_guards::{Arm, BasisPoints, BucketSalt, Evidence, GuardSettings, LocalTrip, Observation};

/// Observations that a measurement goes through again and again.
const VARIETY: usize = 4096;
/// Length of a sticky key; the bar is set for this one.
const KEY: &str = "conversation-0123456789abcde";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    evidence(&mut criterion);
    outcome(&mut criterion);
    bucket(&mut criterion);
    local_trip(&mut criterion);
    criterion.final_summary();
}

/// One request's observation; what a guard does not look at is not there.
fn observations(uncertainty: bool, escalation: bool, latency: bool) -> Vec<Observation> {
    let mut state = 1_u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let observation = |_| {
        let (stable, shift, chance) = (draw() / 2.0, draw() / 50.0, draw());
        Observation {
            fault: false,
            uncertainty: uncertainty.then_some(((stable + shift).min(0.5), stable)),
            escalation: escalation
                .then_some((stable > 0.3, if chance < 0.05 { stable <= 0.3 } else { stable > 0.3 })),
            scoring_nanoseconds: latency.then_some((20_000 + u64::from(chance > 0.5), 20_000)),
        }
    };
    (0..VARIETY).map(observation).collect()
}

/// Adds one observation to the evidence. The streams that an observation says nothing to cost it nothing, so the
/// difference between two lines is what one guard costs, with its share of the shapes that are shown.
fn evidence(criterion: &mut Criterion) {
    let cases = [
        ("evidence of 1 guard: HardFault", observations(false, false, false)),
        ("evidence of 2 guards: and UncertaintyShift", observations(true, false, false)),
        ("evidence of 4 guards: and EscalationShare, FlipRate", observations(true, true, false)),
        ("evidence of 5 guards: and Latency", observations(true, true, true)),
    ];
    for (name, observations) in cases {
        let mut evidence = Evidence::new(GuardSettings::default());
        let mut next = observations.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                if let Some(observation) = next.next() {
                    evidence.observe(black_box(observation));
                }
            });
        });
        black_box(evidence.snapshot());
    }
}

fn outcome(criterion: &mut Criterion) {
    let mut evidence = Evidence::new(GuardSettings::default());
    let mut number = 0_u32;
    criterion.bench_function("outcome of a request: UpstreamFailures", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(1);
            let arm = if number.is_multiple_of(2) { Arm::Candidate } else { Arm::Stable };
            evidence.observe_outcome(black_box(arm), black_box(number.is_multiple_of(100)));
        });
    });
    black_box(evidence.snapshot());
}

fn bucket(criterion: &mut Criterion) {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let salt = BucketSalt::new(&digest);
    let weight = BasisPoints::from_percent(5);
    criterion.bench_function("bucket and arm of a key of 28 bytes", |bencher| {
        bencher.iter(|| black_box(salt).bucket(black_box(KEY.as_bytes())).arm(black_box(weight)));
    });
}

fn local_trip(criterion: &mut Criterion) {
    criterion.bench_function("1,000 scorings by the pod's own brake", |bencher| {
        bencher.iter_batched_ref(
            LocalTrip::new,
            |trip| {
                for number in 0..1_000_u32 {
                    black_box(trip.observe(black_box(number == 500)));
                }
            },
            BatchSize::SmallInput,
        );
    });
}
