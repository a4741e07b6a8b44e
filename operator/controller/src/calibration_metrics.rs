//! What audits say about each fleet's stable model, in Prometheus. The numbers move with every report, where the status
//! stands still; without an audited request there are none, instead of zeros.

use std::{
    collections::BTreeMap,
    fmt::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use tinydancer_plan::{Audited, mean_loss};
use tinydancer_protocol::PolicyIdentity;

/// The audits of all policies, by uid. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct CalibrationMetrics(Arc<Mutex<BTreeMap<String, Shown>>>);

#[derive(Debug)]
struct Shown {
    policy: PolicyIdentity,
    audited: Audited,
}

impl CalibrationMetrics {
    /// Shows what is known of the policy's audits; nothing where nothing is.
    pub fn show(&self, policy: &PolicyIdentity, audited: Option<Audited>) {
        let mut all = self.lock();
        match audited {
            Some(audited) => all.insert(policy.uid.clone(), Shown { policy: policy.clone(), audited }),
            None => all.remove(&policy.uid),
        };
    }

    /// Forgets policies that are gone.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }

    /// Shows nothing any more, because another replica does.
    pub fn stand_by(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number, and the label it has besides the policy's.
type Sample = (Option<&'static str>, f64);

/// One gauge: its name, what it means, and its samples.
struct AuditGauge {
    name: &'static str,
    help: &'static str,
    samples: fn(&Audited) -> Vec<Sample>,
}

const GAUGES: &[AuditGauge] = &[
    AuditGauge {
        name: "regret_promised",
        help: "Mean loss of quality against always-Powerful that the policy promises",
        samples: |audited| vec![(None, audited.promised)],
    },
    AuditGauge {
        name: "regret_observed",
        help: "Mean loss of quality of the decisions on audited requests",
        samples: |audited| mean_loss(audited.observed).map(|(mean, _)| (None, mean)).into_iter().collect(),
    },
    AuditGauge {
        name: "regret_upper_bound",
        help: "What that mean is at most, with 95 % confidence",
        samples: |audited| mean_loss(audited.observed).map(|(_, bound)| (None, bound)).into_iter().collect(),
    },
    AuditGauge {
        name: "regret_pairs",
        help: "Audited requests that the stable model decided",
        samples: |audited| vec![(None, audited.observed.pairs as f64)],
    },
    AuditGauge {
        name: "audited_pairs",
        help: "Audited requests that the stable model scored",
        samples: |audited| vec![(None, audited.pairs as f64)],
    },
    AuditGauge {
        name: "threshold",
        help: "Largest score that Lightweight answers; absent where the artifact's holds",
        samples: |audited| audited.lambda.map(|lambda| (None, f64::from(lambda))).into_iter().collect(),
    },
    AuditGauge {
        name: "coverage",
        help: "Share of audited requests whose conformal set holds the truth, by what is true",
        samples: |audited| {
            let good_enough = audited.coverage.good_enough.share().map(|share| (Some("good_enough"), share));
            let not = audited.coverage.not_good_enough.share().map(|share| (Some("not_good_enough"), share));
            good_enough.into_iter().chain(not).collect()
        },
    },
    AuditGauge {
        name: "coverage_promised",
        help: "What that share should be, by the model's artifact",
        samples: |audited| audited.coverage_promised.map(|promised| (None, promised)).into_iter().collect(),
    },
    AuditGauge {
        name: "coverage_log_e_value",
        help: "Natural logarithm of the evidence that the share is lower than promised, by what is true",
        samples: |audited| {
            let Some(promised) = audited.coverage_promised else { return Vec::new() };
            let counts = audited.coverage;
            [("good_enough", counts.good_enough), ("not_good_enough", counts.not_good_enough)]
                .into_iter()
                .filter(|(_, counts)| counts.pairs > 0)
                .map(|(label, counts)| (Some(label), counts.log_e_value(promised)))
                .collect()
        },
    },
];

impl Collector for CalibrationMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let all = self.lock();
        for gauge in GAUGES {
            let mut family = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for shown in all.values() {
                for (label, value) in (gauge.samples)(&shown.audited) {
                    let labels: Vec<(&str, &str)> =
                        [("namespace", shown.policy.namespace.as_str()), ("policy", &shown.policy.name)]
                            .into_iter()
                            .chain(label.map(|label| ("label", label)))
                            .collect();
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
    use tinydancer_guards::risk::{CoverageCounts, Covered};
    use tinydancer_protocol::RegretObserved;

    fn identity(name: &str) -> PolicyIdentity {
        PolicyIdentity { namespace: "team".into(), name: name.into(), uid: format!("uid-{name}") }
    }

    fn audited() -> Audited {
        Audited {
            promised: 0.05,
            pairs: 1_240,
            observed: RegretObserved { pairs: 1_000, regret: 31.0, lightweight: 420 },
            coverage: CoverageCounts {
                good_enough: Covered { pairs: 800, covered: 728 },
                not_good_enough: Covered::default(),
            },
            coverage_promised: Some(0.9),
            lambda: None,
        }
    }

    fn scraped(metrics: &CalibrationMetrics) -> String {
        let mut registry = Registry::default();
        let calibration = registry.sub_registry_with_prefix("tinydancer_calibration");
        calibration.register_collector(Box::new(metrics.clone()));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn promise_observation_and_count_stand_beside_each_other() {
        let metrics = CalibrationMetrics::default();
        metrics.show(&identity("a"), Some(audited()));
        let text = scraped(&metrics);
        for line in [
            r#"regret_promised{namespace="team",policy="a"} 0.05"#,
            r#"regret_observed{namespace="team",policy="a"} 0.031"#,
            r#"regret_upper_bound{namespace="team",policy="a"} 0.04"#,
            r#"regret_pairs{namespace="team",policy="a"} 1000"#,
            r#"audited_pairs{namespace="team",policy="a"} 1240"#,
            r#"coverage{namespace="team",policy="a",label="good_enough"} 0.91"#,
            r#"coverage_promised{namespace="team",policy="a"} 0.9"#,
            // Kept as promised: the evidence that it is not is less than none.
            r#"coverage_log_e_value{namespace="team",policy="a",label="good_enough"} -"#,
        ] {
            assert!(text.contains(&format!("tinydancer_calibration_{line}")), "{line} in {text}");
        }
        assert!(!text.contains("threshold{"), "the artifact's holds: {text}");
        assert!(!text.contains("not_good_enough"), "there is no such request: {text}");
    }

    #[test]
    fn what_is_not_known_is_absent_and_what_is_gone_too() {
        let metrics = CalibrationMetrics::default();
        let of = |observed| Some(Audited { observed, ..audited() });
        metrics.show(&identity("a"), of(RegretObserved::default()));
        assert!(!scraped(&metrics).contains("regret_observed{"), "{}", scraped(&metrics));
        metrics.show(&identity("b"), Some(audited()));
        metrics.keep(|uid| uid == "uid-b");
        let text = scraped(&metrics);
        assert!(!text.contains(r#"policy="a""#) && text.contains(r#"policy="b""#), "{text}");
        metrics.show(&identity("b"), None);
        assert!(!scraped(&metrics).contains("policy="), "{}", scraped(&metrics));
        metrics.show(&identity("b"), Some(audited()));
        metrics.stand_by();
        assert!(!scraped(&metrics).contains("policy="), "{}", scraped(&metrics));
    }
}
