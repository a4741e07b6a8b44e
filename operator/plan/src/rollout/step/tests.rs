use std::collections::BTreeSet;

use super::*;

const WEIGHTS: [u8; 2] = [5, 50];

fn states() -> Vec<Rollout> {
    let steps = [0, 1].map(|step| CanaryStep { step, weight: WEIGHTS[step as usize] });
    let halts = [Halt::Shadow, Halt::Canary(steps[0]), Halt::Canary(steps[1])];
    let pauses = [PauseReason::Policy, PauseReason::Blind, PauseReason::InsufficientData];
    let causes = [Cause::GuardCrossed, Cause::Reverted];
    let mut states = vec![
        Rollout::Stable,
        Rollout::Staging { trusted: false },
        Rollout::Staging { trusted: true },
        Rollout::Shadow,
        Rollout::Promoting,
        Rollout::Superseded,
    ];
    states.extend(steps.map(Rollout::Canary));
    states.extend(halts.iter().flat_map(|at| pauses.map(|reason| Rollout::Paused { reason, at: *at })));
    states.extend(causes.map(|cause| Rollout::RollingBack { cause }));
    states.extend(causes.map(|cause| Rollout::RolledBack { cause }));
    states
}

const WISHES: [Wish; 6] = [
    Wish::Unknown,
    Wish::Stable,
    Wish::Trial { trusted: false },
    Wish::Trial { trusted: true },
    Wish::Other { quarantined: false, trusted: false },
    Wish::Other { quarantined: true, trusted: false },
];
const VERDICTS: [Verdict; 3] = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
const DEADLINES: [Option<OnDeadline>; 3] = [None, Some(OnDeadline::Pause), Some(OnDeadline::RollBack)];

/// Every combination of signals there is, with each state: more than four million.
fn every(mut check: impl FnMut(Rollout, &Signals, Option<Transition>)) {
    let states = states();
    for (wish, verdict, overdue) in WISHES.iter().flat_map(|wish| {
        VERDICTS
            .iter()
            .flat_map(move |verdict| DEADLINES.iter().map(move |overdue| (*wish, *verdict, *overdue)))
    }) {
        for bits in 0..1_u32 << 12 {
            let bit = |index: u32| bits & (1 << index) != 0;
            let signals = Signals {
                wish,
                abort: bit(0),
                promote: bit(1),
                retry: bit(2),
                held: bit(3),
                configuration_changed: bit(4),
                tripped: bit(5),
                refused: bit(6),
                verdict,
                acknowledged: bit(7),
                promoted: bit(8),
                released: bit(9),
                minimums_met: bit(10),
                overdue,
                blind: bit(11),
                weights: WEIGHTS.to_vec(),
            };
            for state in &states {
                check(*state, &signals, step(*state, &signals));
            }
        }
    }
}

fn weight(state: Rollout) -> u8 {
    if state == Rollout::Promoting { 0 } else { state.weight_percent() }
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
                }
                Rollout::Paused { at, .. } => assert_eq!(to, at.resumed()),
                other => panic!("{other:?} to {to:?}"),
            }
        }
        if to == Rollout::Promoting && reason == reasons::PROMOTING {
            let vouched = state == Rollout::Staging { trusted: true };
            let passed = signals.minimums_met && signals.verdict == Verdict::Pass;
            assert!(signals.acknowledged && (vouched || passed), "{state:?} {signals:?}");
        }
    });
    assert!(visited > 1_000_000, "{visited}");
}

#[test]
fn harm_and_abort_end_a_trial_in_every_state_and_beat_everything_else() {
    every(|state, signals, transition| {
        let works = matches!(state, Rollout::Staging { .. } | Rollout::Promoting) || is_on_trial(state);
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
