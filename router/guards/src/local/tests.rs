use super::*;
use crate::testing::{Random, median};

fn trips_after(fault_rate: f64, scorings: usize, seed: u64) -> Option<usize> {
    let mut random = Random::new(seed);
    let mut trip = LocalTrip::new();
    (1..=scorings).find(|_| trip.observe(random.chance(fault_rate)).is_some())
}

#[test]
fn a_dead_candidate_trips_within_eight_scorings() {
    assert!(trips_after(1.0, 8, 0).is_some());
}

#[test]
fn five_faults_in_a_row_trip_a_candidate_that_was_fine_for_long() {
    let mut trip = LocalTrip::new();
    for _ in 0..10_000 {
        assert_eq!(trip.observe(false), None);
    }
    for _ in 0..4 {
        assert_eq!(trip.observe(true), None);
    }
    assert_eq!(trip.observe(true), Some(TripCause::ConsecutiveFaults));
}

#[test]
fn one_fault_in_twenty_trips_within_a_few_hundred() {
    let mut ends: Vec<_> = (0..1_000).map(|seed| trips_after(0.05, 5_000, seed)).collect();
    let middle = median(ends.clone());
    assert!(middle <= 400, "median {middle}");
    ends.sort_by_key(|end| end.unwrap_or(usize::MAX));
    assert!(ends[950].is_some_and(|end| end <= 700), "95th percentile {:?}", ends[950]);
}

#[test]
fn one_fault_in_a_hundred_is_tolerated() {
    let trips = (0..1_000).filter(|seed| trips_after(0.01, 2_000, *seed).is_some()).count();
    assert!(trips <= 4, "{trips} false alarms in 1000 runs, 1 expected at most");
}

#[test]
fn a_trip_is_sticky() {
    let mut trip = LocalTrip::new();
    while trip.observe(true).is_none() {}
    let cause = trip.cause();
    for _ in 0..1_000 {
        assert_eq!(trip.observe(false), cause);
    }
}

#[test]
fn a_cause_is_one_word() {
    for cause in [
        TripCause::ConsecutiveFaults,
        TripCause::FaultRate,
        TripCause::Guard(GuardName::HardFault),
        TripCause::Guard(GuardName::UncertaintyShift),
    ] {
        let written = serde_json::to_string(&cause).unwrap();
        assert_eq!(written, format!("\"{cause}\""));
        assert_eq!(serde_json::from_str::<TripCause>(&written).unwrap(), cause);
        assert_eq!(cause.as_str().parse(), Ok(cause));
    }
    assert!("Other".parse::<TripCause>().is_err());
}
