//! What audits and explorations have found. What is not known is not there: a fleet without audits has no regret of 0.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tinydancer_crds::{Configuration, routing_policy::Tier, valid::DecisionRule};
use tinydancer_guards::drift::psi;
use tinydancer_protocol::{CalibrationSums, DriftInput, DriftSums, Report};

use super::tier_name;
use crate::audit::AuditResult;

type Share<Labels> = Family<Labels, Gauge<f64, AtomicU64>>;

/// Audits, what they say about the stable model, and how requests have changed.
#[derive(Debug, Default)]
pub(super) struct AuditMetrics {
    audits: Family<ResultLabels, Counter>,
    explored: Family<TierLabels, Counter>,
    promised: Share<ModelLabels>,
    observed: Share<ModelLabels>,
    pairs: Family<ModelLabels, Gauge>,
    coverage: Share<CoverageLabels>,
    covered_pairs: Family<CoverageLabels, Gauge>,
    psi: Share<ModelLabels>,
    drifted: Family<InputLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    tier: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CoverageLabels {
    digest: String,
    label: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InputLabels {
    digest: String,
    input: &'static str,
}

impl AuditMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("audits", "Audits by what became of them", self.audits.clone());
        registry.register(
            "explored",
            "Requests sent to this tier although the other one was decided",
            self.explored.clone(),
        );
        registry.register(
            "regret_promised",
            "Mean loss of quality against always-Powerful that the policy promises",
            self.promised.clone(),
        );
        registry.register(
            "regret_observed",
            "Mean loss of quality of the model's decisions on audited requests",
            self.observed.clone(),
        );
        registry.register("regret_pairs", "Audited requests that the model decided", self.pairs.clone());
        registry.register(
            "coverage",
            "Share of audited requests whose conformal set holds the truth, by what is true",
            self.coverage.clone(),
        );
        registry.register("coverage_pairs", "Audited requests by what is true", self.covered_pairs.clone());
        registry.register(
            "score_psi",
            "Population stability index of the stable model's scores against training",
            self.psi.clone(),
        );
        registry.register(
            "input_drifted",
            "1 where the mean of an input has left that of training",
            self.drifted.clone(),
        );
    }

    pub(super) fn audit(&self, result: AuditResult) {
        self.audits.get_or_create(&ResultLabels { result: result.as_str() }).inc();
    }

    pub(super) fn explored(&self, tier: Tier) {
        self.explored.get_or_create(&TierLabels { tier: tier_name(tier) }).inc();
    }

    /// Takes what is known now, of the model that serves.
    pub(super) fn update(&self, report: &Report, configuration: &Configuration) {
        self.promised.clear();
        self.observed.clear();
        self.pairs.clear();
        self.coverage.clear();
        self.covered_pairs.clear();
        self.psi.clear();
        self.drifted.clear();
        let of_stable = |sums: &&CalibrationSums| Some(sums.digest) == report.stable;
        if let Some(sums) = report.calibration.iter().find(of_stable) {
            self.calibration(sums, configuration);
        }
        if let Some(drift) = &report.drift {
            self.drift(drift);
        }
    }

    fn calibration(&self, sums: &CalibrationSums, configuration: &Configuration) {
        let model = ModelLabels { digest: sums.digest.short() };
        if sums.observed.pairs > 0 {
            let pairs = sums.observed.pairs;
            self.observed.get_or_create(&model).set(sums.observed.regret / pairs as f64);
            self.pairs.get_or_create(&model).set(i64::try_from(pairs).unwrap_or(i64::MAX));
            if let DecisionRule::Risk { permille } = configuration.decision {
                self.promised.get_or_create(&model).set(permille.fraction());
            }
        }
        let coverage = sums.coverage;
        for (label, counts) in
            [("good_enough", coverage.good_enough), ("not_good_enough", coverage.not_good_enough)]
        {
            let Some(share) = counts.share() else { continue };
            let labels = CoverageLabels { digest: model.digest.clone(), label };
            self.coverage.get_or_create(&labels).set(share);
            self.covered_pairs.get_or_create(&labels).set(i64::try_from(counts.pairs).unwrap_or(i64::MAX));
        }
    }

    fn drift(&self, drift: &DriftSums) {
        let requests: u64 = drift.scores.iter().sum();
        if requests == 0 {
            return;
        }
        let digest = drift.digest.short();
        let seen: Vec<_> = drift.scores.iter().map(|count| *count as f64 / requests as f64).collect();
        self.psi.get_or_create(&ModelLabels { digest: digest.clone() }).set(psi(&drift.reference, &seen));
        for test in &drift.tests {
            let input = match test.input {
                DriftInput::Novelty => "novelty",
                DriftInput::Uncertainty => "uncertainty",
            };
            let labels = InputLabels { digest: digest.clone(), input };
            self.drifted.get_or_create(&labels).set(i64::from(test.seen.drift().is_some()));
        }
    }
}
