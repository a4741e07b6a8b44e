use std::collections::BTreeSet;

use super::*;

const WEIGHTS: [u8; 2] = [5, 50];

fn states() -> Vec<Rollout> {
    let steps = [0, 1].map(|step| CanaryStep { step, weight: WEIGHTS[step as usize] });
    let halts = [Halt::Shadow, Halt::Canary(steps[0]), Halt::Canary(steps[1])];
    let pauses = [
        PauseReason::Policy,
        PauseReason::AwaitingApproval,
        PauseReason::Blind,
        PauseReason::InsufficientData,
    ];
    let causes = [Cause::GuardCrossed, Cause::Reverted];
    let mut states = vec![
        Rollout::Stable,
        Rollout::Staging { trusted: false },
        Rollout::Staging { trusted: true },
        Rollout::Shadow,
        Rollout::Promoting,
        Rollout::Watching,
        Rollout::Superseded,
    ];
    states.extend(steps.map(Rollout::Canary));
    states.extend(halts.iter().flat_map(|at| pauses.map(|reason| Rollout::Paused { reason, at: *at })));
    states.extend(causes.map(|cause| Rollout::RollingBack { cause }));
    states.extend(causes.map(|cause| Rollout::RolledBack { cause }));
    states
}

const WISHES: [Wish; 7] = [
    Wish::Unknown,
    Wish::Stable,
    Wish::Trial { trusted: false },
    Wish::Trial { trusted: true },
    Wish::Previous,
    Wish::Other { quarantined: false, trusted: false },
    Wish::Other { quarantined: true, trusted: false },
];
const VERDICTS: [Verdict; 3] = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
const DEADLINES: [Option<OnDeadline>; 3] = [None, Some(OnDeadline::Pause), Some(OnDeadline::RollBack)];
const APPROVALS: [Approval; 3] = [Approval::NotNeeded, Approval::Awaited, Approval::Given];

/// Every combination of the signals that a trial looks at, with each state: more than four million. What only the other
/// states look at takes all its values along the way.
fn every(mut check: impl FnMut(Rollout, &Signals, Option<Transition>)) {
    let states = states();
    for index in 0..7 * 3 * 3 * 3 * 1024_usize {
        let (bits, rest) = (index % 1024, index / 1024);
        let bit = |position: u32| bits & (1 << position) != 0;
        let scrambled = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let other = |position: u32| scrambled & (1 << (63 - position)) != 0;
        let signals = Signals {
            wish: WISHES[rest % 7],
            verdict: VERDICTS[rest / 7 % 3],
            overdue: DEADLINES[rest / 21 % 3],
            approval: APPROVALS[rest / 63],
            abort: bit(0),
            promote: bit(1),
            held: bit(2),
            configuration_changed: bit(3),
            tripped: bit(4),
            refused: bit(5),
            acknowledged: bit(6),
            minimums_met: bit(7),
            blind: bit(8),
            uneven: bit(9),
            retry: other(0),
            promoted: other(1),
            released: other(2),
            watched: other(3),
            watch_over: other(4),
            weights: WEIGHTS.to_vec(),
        };
        for state in &states {
            check(*state, &signals, step(*state, &signals));
        }
    }
}

/// The share of a candidate; promotion is looked at apart.
fn weight(state: Rollout) -> u8 {
    if matches!(state, Rollout::Promoting | Rollout::Watching) { 0 } else { state.weight_percent() }
}

fn is_on_trial(state: Rollout) -> bool {
    matches!(state, Rollout::Shadow | Rollout::Canary(_) | Rollout::Paused { .. })
}

#[test]
fn exposure_grows_only_by_a_step_that_was_passed_or_back_to_one_that_had_been() {
    let mut visited = 0_u64;
    every(|state, signals, transition| {
        visited += 1;
        let Some(Transition { to, reason }) = transition else { return };
        if weight(to) > weight(state) {
            assert!(signals.acknowledged && !signals.held && !signals.blind, "{state:?} {signals:?}");
            match state {
                Rollout::Shadow | Rollout::Canary(_) => {
                    assert!(
                        signals.minimums_met && signals.verdict == Verdict::Pass,
                        "{state:?} {signals:?}"
                    );
                    assert!(
                        signals.approval != Approval::Awaited && !signals.uneven,
                        "{state:?} {signals:?}"
                    );
                }
                Rollout::Paused { at, .. } => assert_eq!(to, at.resumed()),
                other => panic!("{other:?} to {to:?}"),
            }
        }
        if to == Rollout::Promoting && reason == reasons::PROMOTING {
            let vouched = state == Rollout::Staging { trusted: true };
            let passed = signals.minimums_met
                && signals.verdict == Verdict::Pass
                && signals.approval != Approval::Awaited
                && !signals.uneven;
            assert!(signals.acknowledged && (vouched || passed), "{state:?} {signals:?}");
        }
    });
    assert!(visited > 1_000_000, "{visited}");
}

#[test]
fn harm_and_abort_end_a_trial_in_every_state_and_beat_everything_else() {
    every(|state, signals, transition| {
        let decides = matches!(state, Rollout::Staging { .. } | Rollout::Promoting | Rollout::Watching);
        let works = decides || is_on_trial(state);
        let harm = signals.abort || signals.tripped || signals.refused || signals.verdict == Verdict::Fail;
        if works && harm {
            let to = transition.map(|transition| transition.to);
            assert!(matches!(to, Some(Rollout::RollingBack { .. })), "{state:?} {signals:?} {to:?}");
        }
    });
}

#[test]
fn a_quarantined_digest_and_a_rolled_back_one_start_again_only_by_a_token() {
    every(|state, signals, transition| {
        let at_rest = matches!(state, Rollout::Stable | Rollout::RolledBack { .. });
        let needs_token = matches!(signals.wish, Wish::Trial { .. } | Wish::Other { quarantined: true, .. });
        if at_rest && needs_token && !signals.retry {
            assert_eq!(transition, None, "{state:?} {signals:?}");
        }
    });
}

#[test]
fn missing_data_neither_promotes_nor_fails() {
    every(|state, signals, transition| {
        let quiet = !signals.abort && !signals.promote && !signals.tripped && !signals.refused;
        let blank = quiet && signals.verdict == Verdict::Inconclusive && !signals.configuration_changed;
        if is_on_trial(state) && blank && signals.wish == (Wish::Trial { trusted: false }) {
            let to = transition.map(|transition| transition.to);
            let holds = match to {
                None | Some(Rollout::Paused { .. }) => true,
                Some(Rollout::RollingBack { cause }) => cause == Cause::DeadlineExceeded,
                Some(other) => matches!(state, Rollout::Paused { at, .. } if at.resumed() == other),
            };
            assert!(holds, "{state:?} {signals:?} {to:?}");
        }
    });
}

#[test]
fn the_watch_ends_by_time_by_harm_or_by_a_wish_and_never_for_lack_of_data() {
    every(|state, signals, transition| {
        if state != Rollout::Watching {
            return;
        }
        let harm = signals.abort || signals.tripped || signals.refused || signals.verdict == Verdict::Fail;
        let to = transition.map(|transition| transition.to);
        let expected = match to {
            None => !harm && !signals.watch_over,
            Some(Rollout::Watching) => !harm && signals.configuration_changed,
            Some(Rollout::Stable) => !harm && signals.watch_over,
            Some(Rollout::Staging { .. }) => !harm && matches!(signals.wish, Wish::Other { .. }),
            Some(Rollout::RollingBack { .. }) => harm || signals.wish == Wish::Previous,
            Some(_) => false,
        };
        assert!(expected, "{signals:?} {to:?}");
    });
}

#[test]
fn what_waits_for_approval_goes_on_only_when_it_is_given_or_not_asked_for_any_more() {
    every(|state, signals, transition| {
        let Rollout::Paused { reason: PauseReason::AwaitingApproval, at } = state else { return };
        let Some(Transition { to, .. }) = transition.filter(|transition| transition.to == at.resumed())
        else {
            return;
        };
        let restarts = signals.configuration_changed && to == Rollout::Shadow;
        let allowed = signals.approval != Approval::Awaited && !signals.held && is_wished(signals);
        assert!(restarts || allowed, "{state:?} {signals:?}");
    });
}

/// All transitions there are, as a table: this is the state machine.
#[test]
fn the_transitions_are_these() {
    let mut rows = BTreeSet::new();
    every(|state, _, transition| {
        if let Some(Transition { to, reason }) = transition {
            rows.insert(format!("{:?} -> {:?} ({reason})", state.shown(), to.shown()));
        }
    });
    insta::assert_snapshot!(rows.into_iter().collect::<Vec<_>>().join("\n"));
}
