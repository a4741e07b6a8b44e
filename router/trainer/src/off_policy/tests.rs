use proptest::prelude::*;

use super::*;
use crate::random::Random;

/// A made-up world of which everything is known: two numbers about a request, and the chance of a good answer by tier.
struct World {
    random: Random,
    /// The share of requests that the log's policy sends the other way.
    explored: f64,
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The chance that a tier's answer is good; no regression on the numbers is right about it.
fn quality(context: &[f64], tier: Tier) -> f64 {
    match tier {
        Tier::Lightweight => logistic(1.0 - 2.0 * context[0] * context[0] + context[1]),
        Tier::Powerful => logistic(1.5 + 0.3 * context[1]),
    }
}

/// What the policy in question does.
fn target(context: &[f64]) -> f64 {
    f64::from(u8::from(context[0] + 0.5 * context[1] < 0.3))
}

impl World {
    fn context(&mut self) -> Vec<f64> {
        vec![self.random.normal(), self.random.normal()]
    }

    fn row(&mut self) -> Logged {
        let context = self.context();
        let decided = if context[0] < 0.0 { Tier::Lightweight } else { Tier::Powerful };
        let explores = self.random.uniform() < self.explored;
        let taken = match (decided, explores) {
            (Tier::Lightweight, false) | (Tier::Powerful, true) => Tier::Lightweight,
            _ => Tier::Powerful,
        };
        let propensity = if explores { self.explored } else { 1.0 - self.explored };
        let reward = f64::from(u8::from(self.random.uniform() < quality(&context, taken)));
        let lightweight = target(&context);
        Logged { context, taken, propensity, reward, lightweight }
    }

    fn rows(seed: u64, explored: f64, count: usize) -> Vec<Logged> {
        let mut world = World { random: Random::stream(seed, 77), explored };
        (0..count).map(|_| world.row()).collect()
    }

    /// The value of the policy in question, from the chances themselves.
    fn truth() -> f64 {
        let mut world = World { random: Random::stream(4711, 78), explored: 0.0 };
        let draws = 400_000;
        let value = |context: Vec<f64>| {
            let lightweight = target(&context);
            lightweight * quality(&context, Tier::Lightweight)
                + (1.0 - lightweight) * quality(&context, Tier::Powerful)
        };
        (0..draws).map(|_| value(world.context())).sum::<f64>() / f64::from(draws)
    }
}

/// Of each estimator: its values over many logs, and in how many of them the interval held the truth.
fn many(explored: f64, logs: u64, rows: usize) -> [(Vec<f64>, usize); 3] {
    let truth = World::truth();
    let mut found = [const { (Vec::new(), 0) }; 3];
    for seed in 0..logs {
        let said = with_resamples(&World::rows(seed, explored, rows), seed, 300).estimates.unwrap();
        for ((values, held), estimate) in found.iter_mut().zip([said.ips, said.snips, said.dr]) {
            values.push(estimate.value);
            *held += usize::from((estimate.low..=estimate.high).contains(&truth));
        }
    }
    found
}

fn squared_error(values: &[f64], truth: f64) -> f64 {
    values.iter().map(|value| (value - truth).powi(2)).sum::<f64>() / values.len() as f64
}

#[test]
fn estimates_are_unbiased_and_their_intervals_hold_the_truth_as_often_as_they_say() {
    let (truth, logs) = (World::truth(), 400);
    for ((values, held), name) in many(0.1, logs, 1_500).iter().zip(["IPS", "SNIPS", "DR"]) {
        let mean = values.iter().sum::<f64>() / logs as f64;
        let error = (squared_error(values, truth) / logs as f64).sqrt();
        assert!((mean - truth).abs() < 4.0 * error, "{name}: {mean} for {truth}, standard error {error}");
        let coverage = *held as f64 / logs as f64;
        // 95 % within three standard deviations of 400 draws, and a little less because a bootstrap is.
        assert!((0.91..=0.985).contains(&coverage), "{name}: {coverage}");
    }
}

#[test]
fn a_regression_that_is_wrong_makes_no_worse_than_none() {
    let truth = World::truth();
    let [ips, snips, dr] = many(0.05, 150, 1_500).map(|(values, _)| squared_error(&values, truth));
    assert!(dr < ips && dr < 1.05 * snips, "mean squared errors: IPS {ips}, SNIPS {snips}, DR {dr}");
}

#[test]
fn the_log_s_own_policy_is_worth_what_the_log_says() {
    let own = |explored: f64| {
        let mut rows = World::rows(5, explored, 2_000);
        for row in &mut rows {
            row.lightweight = row.logged(Tier::Lightweight);
        }
        off_policy(&rows, 1)
    };
    for explored in [0.0, 0.1] {
        let found = own(explored);
        let (logged, said) = (found.logged.unwrap(), found.estimates.unwrap());
        assert!(
            (said.ips.value - logged.value).abs() < 1e-12 && (said.snips.value - logged.value).abs() < 1e-12
        );
        assert!((logged.low..=logged.high).contains(&said.dr.value), "{said:?}");
        assert!((found.effective_rows - 2_000.0).abs() < 1e-6 && found.outside_support == 0);
    }
    // Without chance the regression has nothing to say.
    let found = own(0.0);
    assert!((found.estimates.unwrap().dr.value - found.logged.unwrap().value).abs() < 1e-12);
}

#[test]
fn without_exploration_nothing_is_said_about_what_was_not_done() {
    let rows = World::rows(3, 0.0, 1_000);
    let found = off_policy(&rows, 1);
    let differs = |row: &&Logged| row.target(row.taken) < 0.5;
    assert_eq!(found.outside_support, rows.iter().filter(differs).count());
    assert!(found.outside_support > 100, "{found:?}");
    assert_eq!((found.disagreements, found.disagreements_taken), (0, 0));
    let said = found.estimates.unwrap();
    assert!((said.ips.value - found.logged.unwrap().value).abs() < 1e-12, "the rest is what was done");
}

#[test]
fn what_the_estimates_rest_on_is_counted() {
    let row = |taken, propensity, lightweight| Logged {
        context: vec![0.0],
        taken,
        propensity,
        reward: 1.0,
        lightweight,
    };
    let rows = [
        row(Tier::Powerful, 0.9, 0.0),
        row(Tier::Powerful, 0.9, 1.0),
        row(Tier::Lightweight, 0.1, 1.0),
        row(Tier::Powerful, 1.0, 1.0),
    ];
    let found = off_policy(&rows, 1);
    assert_eq!((found.rows, found.outside_support), (4, 1));
    assert_eq!((found.disagreements, found.disagreements_taken), (2, 1));
    assert!((found.largest_weight - 10.0).abs() < 1e-12);
    let weights = [1.0 / 0.9, 0.0, 10.0_f64];
    let kish = weights.iter().sum::<f64>().powi(2) / weights.iter().map(|w| w * w).sum::<f64>();
    assert!((found.effective_rows - kish).abs() < 1e-12);
}

#[test]
fn a_log_that_never_did_it_gives_no_estimate() {
    let never = Logged {
        context: vec![0.0],
        taken: Tier::Powerful,
        propensity: 0.999,
        reward: 1.0,
        lightweight: 1.0,
    };
    let found = off_policy(&vec![never; 50], 1);
    assert_eq!((found.estimates, found.disagreements, found.disagreements_taken), (None, 50, 0));
    let empty = off_policy(&[], 1);
    assert_eq!((empty.rows, empty.logged, empty.estimates), (0, None, None));
}

#[test]
fn audits_give_the_value_itself() {
    let pair = |taken, lightweight_quality, powerful_quality, lightweight| Audited {
        taken,
        lightweight_quality,
        powerful_quality,
        lightweight,
    };
    let pairs = [
        pair(Tier::Powerful, 0.5, 1.0, 1.0),
        pair(Tier::Lightweight, 0.25, 0.75, 0.0),
        pair(Tier::Lightweight, 1.0, 0.5, 1.0),
        pair(Tier::Powerful, 0.0, 0.25, 0.0),
    ];
    let found = audited(&pairs, 1).unwrap();
    assert_eq!((found.pairs, found.logged.value), (4, (1.0 + 0.25 + 1.0 + 0.25) / 4.0));
    assert_eq!(found.candidate.value, (0.5 + 0.75 + 1.0 + 0.25) / 4.0);
    assert_eq!(found.gain.value, found.candidate.value - found.logged.value);
    assert_eq!((found.always_powerful.value, found.regret.value), (2.5 / 4.0, 0.5 / 4.0));
    assert_eq!(found.regret_bound, risk::upper_bound(4, 0.5, 0.05));
    assert_eq!(audited(&[], 1), None);
}

fn logged() -> impl Strategy<Value = Logged> {
    let numbers = (prop::collection::vec(-1e6..1e6_f64, 3), 0.001..=1.0_f64, 0.0..=1.0_f64);
    (numbers, any::<bool>(), any::<bool>()).prop_map(
        |((context, propensity, reward), is_light, wants_light)| Logged {
            context,
            taken: if is_light { Tier::Lightweight } else { Tier::Powerful },
            propensity,
            reward,
            lightweight: f64::from(u8::from(wants_light)),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_log_gives_finite_numbers_and_snips_stays_within_the_rewards(rows in prop::collection::vec(logged(), 0..60), seed: u64) {
        let found = with_resamples(&rows, seed, 50);
        if let Some(said) = &found.estimates {
            let rewards = || rows.iter().map(|row| row.reward);
            let (least, most) = (rewards().fold(1.0, f64::min), rewards().fold(0.0, f64::max));
            for value in [said.snips.value, said.snips.low, said.snips.high] {
                prop_assert!((least - 1e-9..=most + 1e-9).contains(&value), "{value} in {least}..{most}");
            }
            for estimate in [said.ips, said.snips, said.dr, said.gain] {
                prop_assert!(estimate.low.is_finite() && estimate.low <= estimate.high && estimate.high.is_finite());
                prop_assert!(estimate.value.is_finite());
            }
        }
        prop_assert!(found.effective_rows <= rows.len() as f64 + 1e-6);
        prop_assert_eq!(with_resamples(&rows, seed, 50), found);
    }
}
