//! Rollouts in Prometheus: transitions are counted, and what runs is shown as it is at the time of the scrape.

use std::{
    collections::BTreeMap,
    fmt::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tinydancer_crds::routing_policy::{GuardStatus, RolloutState, RolloutStatus};
use tinydancer_protocol::PolicyIdentity;

/// The rollouts of all policies. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct RolloutMetrics(Arc<Mutex<BTreeMap<String, Policy>>>);

/// One policy, under its uid.
#[derive(Debug)]
struct Policy {
    namespace: String,
    name: String,
    transitions: BTreeMap<Step, u64>,
    rollout: Option<RolloutStatus>,
}

/// From which state to which, and the documented reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    from: String,
    to: String,
    reason: String,
}

impl RolloutMetrics {
    /// Counts a transition. `reason` is one of the documented reasons.
    pub fn transition(&self, policy: &PolicyIdentity, from: RolloutState, to: RolloutState, reason: &str) {
        let step = Step { from: format!("{from:?}"), to: format!("{to:?}"), reason: reason.to_owned() };
        let mut policies = self.lock();
        *entry(&mut policies, policy).transitions.entry(step).or_default() += 1;
    }

    /// Shows what the policy's status says of its rollout.
    pub fn show(&self, policy: &PolicyIdentity, rollout: Option<&RolloutStatus>) {
        entry(&mut self.lock(), policy).rollout = rollout.cloned();
    }

    /// Forgets policies that are gone.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }

    /// Shows nothing any more, because another replica does. What was counted stays counted.
    pub fn stand_by(&self) {
        self.lock().values_mut().for_each(|policy| policy.rollout = None);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Policy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry<'a>(policies: &'a mut BTreeMap<String, Policy>, identity: &PolicyIdentity) -> &'a mut Policy {
    policies.entry(identity.uid.clone()).or_insert_with(|| Policy {
        namespace: identity.namespace.clone(),
        name: identity.name.clone(),
        transitions: BTreeMap::new(),
        rollout: None,
    })
}

/// Labels besides those of the policy.
type Labels = Vec<(&'static str, String)>;

impl Policy {
    fn labels(&self, more: impl IntoIterator<Item = (&'static str, String)>) -> Labels {
        let policy = [("namespace", self.namespace.clone()), ("policy", self.name.clone())];
        policy.into_iter().chain(more).collect()
    }
}

/// One gauge and its samples for one rollout at one time.
struct RolloutGauge {
    name: &'static str,
    help: &'static str,
    samples: fn(&RolloutStatus, Timestamp) -> Vec<(Labels, f64)>,
}

const GAUGES: &[RolloutGauge] = &[
    RolloutGauge {
        name: "state",
        help: "1 for the state the rollout is in",
        samples: |rollout, _| {
            let state = format!("{:?}", rollout.state);
            vec![(vec![("model", rollout.model.name.clone()), ("state", state)], 1.0)]
        },
    },
    RolloutGauge {
        name: "state_seconds",
        help: "Seconds since the state was entered",
        samples: |rollout, now| {
            vec![(Vec::new(), now.duration_since(rollout.since.0).as_secs_f64().max(0.0))]
        },
    },
    RolloutGauge {
        name: "weight_percent",
        help: "Share of traffic that the model decides",
        samples: |rollout, _| vec![(Vec::new(), f64::from(rollout.weight_percent))],
    },
    RolloutGauge {
        name: "guard_samples",
        help: "Observations behind a guard",
        samples: |rollout, _| {
            rollout.guards.iter().map(|guard| (labels(guard, None), whole(guard.samples))).collect()
        },
    },
    RolloutGauge {
        name: "guard_estimate",
        help: "Observed value of a guard",
        samples: |rollout, _| each(rollout, |guard| vec![(None, &guard.estimate)]),
    },
    RolloutGauge {
        name: "guard_limit",
        help: "Limit that the value of a guard may not cross",
        samples: |rollout, _| each(rollout, |guard| vec![(None, &guard.limit)]),
    },
    RolloutGauge {
        name: "guard_log_e_value",
        help: "Natural logarithm of the e-value of a guard, towards Fail and towards Pass",
        samples: |rollout, _| {
            each(rollout, |guard| {
                vec![(Some("Fail"), &guard.log_e_value), (Some("Pass"), &guard.safe_log_e_value)]
            })
        },
    },
    RolloutGauge {
        name: "guard_log_e_value_needed",
        help: "What the logarithm must reach for that verdict",
        samples: |rollout, _| {
            each(rollout, |guard| vec![(Some("Fail"), &guard.fails_at), (Some("Pass"), &guard.passes_at)])
        },
    },
];

/// The numbers of every guard that are numbers: one that saw nothing has no estimate.
fn each(
    rollout: &RolloutStatus,
    numbers: impl Fn(&GuardStatus) -> Vec<(Option<&'static str>, &String)>,
) -> Vec<(Labels, f64)> {
    let of = |guard| {
        let numbers = numbers(guard).into_iter();
        numbers.filter_map(move |(verdict, text)| Some((labels(guard, verdict), text.parse().ok()?)))
    };
    rollout.guards.iter().flat_map(of).collect()
}

fn labels(guard: &GuardStatus, verdict: Option<&'static str>) -> Labels {
    let verdict = verdict.map(|verdict| ("verdict", verdict.to_owned()));
    [("guard", guard.name.clone())].into_iter().chain(verdict).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests has less than 53 bits")]
fn whole(number: i64) -> f64 {
    number as f64
}

impl Collector for RolloutMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let policies = self.lock();
        let help = "Transitions of rollouts by the states they lead from and to and by reason";
        let mut family = encoder.encode_descriptor("transitions", help, None, MetricType::Counter)?;
        for policy in policies.values() {
            for (step, count) in &policy.transitions {
                let labels = [("from", &step.from), ("to", &step.to), ("reason", &step.reason)];
                let labels = policy.labels(labels.map(|(key, value)| (key, value.clone())));
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let now = Timestamp::now();
        for gauge in GAUGES {
            let mut family = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for policy in policies.values() {
                let Some(rollout) = &policy.rollout else { continue };
                for (labels, value) in (gauge.samples)(rollout, now) {
                    let labels = policy.labels(labels);
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text, registry::Registry};
    use tinydancer_crds::routing_policy::{ModelIdentity, Verdict};

    fn identity(name: &str) -> PolicyIdentity {
        PolicyIdentity { namespace: "team".into(), name: name.into(), uid: format!("uid-{name}") }
    }

    fn rollout() -> RolloutStatus {
        RolloutStatus {
            model: ModelIdentity {
                name: "support-v2".into(),
                version: "2.0.0".into(),
                digest: "sha256:".into(),
            },
            state: RolloutState::Canary,
            reason: "CanaryStepStarted".into(),
            message: None,
            attempt: 1,
            epoch: 4,
            step: Some("1/3".into()),
            weight_percent: 5,
            verdict: Some(Verdict::Inconclusive),
            approval: None,
            watch: None,
            pairs: 700,
            sample_ratio: None,
            shape: None,
            guards: vec![GuardStatus {
                name: "FlipRate".into(),
                verdict: Verdict::Inconclusive,
                estimate: "none".into(),
                interval: None,
                limit: "0.300".into(),
                log_e_value: "-1.250".into(),
                fails_at: "5.991".into(),
                safe_log_e_value: "2.500".into(),
                passes_at: "5.298".into(),
                samples: 700,
            }],
            since: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn scraped(metrics: &RolloutMetrics) -> String {
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("tinydancer_rollout").register_collector(Box::new(metrics.clone()));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_transition_is_counted_by_where_it_leads_and_why() {
        let metrics = RolloutMetrics::default();
        for _ in 0..2 {
            metrics.transition(
                &identity("a"),
                RolloutState::Shadow,
                RolloutState::Canary,
                "CanaryStepStarted",
            );
        }
        let text = scraped(&metrics);
        let line = r#"tinydancer_rollout_transitions_total{namespace="team",policy="a",from="Shadow",to="Canary",reason="CanaryStepStarted"} 2"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_running_trial_is_shown_with_what_its_guards_have_and_need() {
        let metrics = RolloutMetrics::default();
        metrics.show(&identity("a"), Some(&rollout()));
        let text = scraped(&metrics);
        for line in [
            r#"state{namespace="team",policy="a",model="support-v2",state="Canary"} 1"#,
            r#"weight_percent{namespace="team",policy="a"} 5"#,
            r#"guard_samples{namespace="team",policy="a",guard="FlipRate"} 700"#,
            r#"guard_limit{namespace="team",policy="a",guard="FlipRate"} 0.3"#,
            r#"guard_log_e_value{namespace="team",policy="a",guard="FlipRate",verdict="Pass"} 2.5"#,
            r#"guard_log_e_value_needed{namespace="team",policy="a",guard="FlipRate",verdict="Fail"} 5.991"#,
        ] {
            assert!(text.contains(&format!("tinydancer_rollout_{line}")), "{line} in {text}");
        }
        assert!(text.contains("tinydancer_rollout_state_seconds{"), "{text}");
        assert!(!text.contains("guard_estimate{"), "nothing was observed: {text}");
    }

    #[test]
    fn a_policy_that_is_gone_is_not_shown_any_more() {
        let metrics = RolloutMetrics::default();
        for name in ["a", "b"] {
            metrics.show(&identity(name), Some(&rollout()));
            metrics.transition(&identity(name), RolloutState::Stable, RolloutState::Staging, "TrialStarted");
        }
        metrics.keep(|uid| uid == "uid-b");
        let text = scraped(&metrics);
        assert!(!text.contains(r#"policy="a""#), "{text}");
        assert!(text.contains(r#"state{namespace="team",policy="b""#), "{text}");
    }

    #[test]
    fn a_replica_that_stands_by_shows_no_trial_and_keeps_its_counts() {
        let metrics = RolloutMetrics::default();
        metrics.show(&identity("a"), Some(&rollout()));
        metrics.transition(&identity("a"), RolloutState::Stable, RolloutState::Staging, "TrialStarted");
        metrics.stand_by();
        let text = scraped(&metrics);
        assert!(!text.contains("weight_percent{"), "{text}");
        assert!(text.contains("transitions_total{"), "{text}");
    }
}
