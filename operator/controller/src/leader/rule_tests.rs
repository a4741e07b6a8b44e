use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn seen(holder: &str, renewed: &str) -> Seen {
    Seen { holder: holder.into(), renewed: renewed.into(), transitions: 1 }
}

fn rule(identity: &str) -> Rule {
    Rule::new(identity.into(), Timing::DEFAULT)
}

#[test]
fn nobody_writes_before_holding_the_lease() {
    let mut rule = rule("a");
    assert!(!rule.may_write(Duration::ZERO));
    assert_eq!(rule.observe(None, Duration::ZERO), Step::Create);
    assert!(!rule.may_write(Duration::ZERO), "a wish is no success");
    rule.wrote(seen("a", "t0"), Duration::ZERO);
    assert!(rule.may_write(SECOND));
}

#[test]
fn a_holder_stops_a_margin_before_others_may_take_it() {
    let mut rule = rule("a");
    rule.wrote(seen("a", "t0"), Duration::ZERO);
    assert!(rule.may_write(SECOND * 9));
    assert!(!rule.may_write(SECOND * 10));
}

#[test]
fn validity_counts_from_when_the_renewal_began_not_from_when_it_was_answered() {
    let mut rule = rule("a");
    rule.wrote(seen("a", "t0"), Duration::ZERO);
    // Sent at 8 s, answered at 12 s.
    rule.wrote(seen("a", "t1"), SECOND * 8);
    assert!(rule.may_write(SECOND * 12));
    assert!(!rule.may_write(SECOND * 18));
}

#[test]
fn a_renew_time_far_in_the_past_or_future_does_not_make_a_lease_expire() {
    for renewed in ["1970-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "nonsense"] {
        let mut rule = rule("a");
        assert_eq!(rule.observe(Some(seen("b", renewed)), SECOND), Step::Wait, "{renewed}");
        assert_eq!(rule.observe(Some(seen("b", renewed)), SECOND * 15), Step::Wait, "{renewed}");
        assert_eq!(rule.observe(Some(seen("b", renewed)), SECOND * 16), Step::Take, "{renewed}");
    }
}

#[test]
fn every_renewal_that_is_seen_starts_the_wait_anew_also_when_the_holders_clock_jumps_back() {
    let mut rule = rule("a");
    rule.observe(Some(seen("b", "12:00")), Duration::ZERO);
    rule.observe(Some(seen("b", "11:00")), SECOND * 14);
    assert_eq!(rule.observe(Some(seen("b", "11:00")), SECOND * 28), Step::Wait);
    assert_eq!(rule.observe(Some(seen("b", "11:00")), SECOND * 29), Step::Take);
}

#[test]
fn a_released_lease_is_taken_at_once() {
    assert_eq!(rule("a").observe(Some(seen("", "t")), Duration::ZERO), Step::Take);
}

#[test]
fn a_holder_that_sees_another_name_stops_at_once() {
    let mut rule = rule("a");
    rule.wrote(seen("a", "t0"), Duration::ZERO);
    assert_eq!(rule.observe(Some(seen("b", "t1")), SECOND), Step::Wait);
    assert!(!rule.may_write(SECOND));
}

#[test]
fn a_lease_that_somebody_deleted_is_made_again_and_not_relied_on_before() {
    let mut rule = rule("a");
    rule.wrote(seen("a", "t0"), Duration::ZERO);
    assert_eq!(rule.observe(None, SECOND), Step::Create);
    assert!(!rule.may_write(SECOND));
}

#[test]
fn a_predecessor_of_the_same_pod_is_somebody_else() {
    let mut rule = rule("pod_2");
    assert_eq!(rule.observe(Some(seen("pod_1", "t0")), Duration::ZERO), Step::Wait);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Two replicas with clocks of their own origin and renewals that are lost, late, or stop for as long as they
    /// like: at no moment may both write.
    #[test]
    fn two_replicas_never_may_write_at_the_same_moment(
        offsets in (0_u64..100_000, 0_u64..100_000),
        turns in prop::collection::vec((0_u64..4000, any::<bool>(), any::<bool>(), 0_u64..3000), 1..200),
    ) {
        let mut lease: Option<(Seen, u64)> = None;
        let mut rules = [rule("a"), rule("b")];
        let origin = [offsets.0, offsets.1];
        let mut true_time = 0_u64;
        let mut counter = 0_u32;
        for (pause, second, lost, travel) in turns {
            true_time += pause;
            let who = usize::from(second);
            let local = |time: u64| Duration::from_millis(time + origin[who]);
            let began = local(true_time);
            let read_version = lease.as_ref().map(|(_, version)| *version);
            let step = rules[who].observe(lease.as_ref().map(|(seen, _)| seen.clone()), began);
            if step != Step::Wait && !lost {
                counter += 1;
                let written = seen(if second { "b" } else { "a" }, &counter.to_string());
                // The write travels; it lands only if nobody wrote in between (here: always, turns are atomic).
                true_time += travel;
                if lease.as_ref().map(|(_, version)| *version) == read_version {
                    lease = Some((written.clone(), u64::from(counter)));
                    rules[who].wrote(written, began);
                }
            }
            let both = (0..2).all(|who| rules[who].may_write(Duration::from_millis(true_time + origin[who])));
            prop_assert!(!both, "both may write at {true_time}");
        }
    }
}
