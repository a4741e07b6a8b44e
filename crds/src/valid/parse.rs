//! From the raw spec to a [`ValidPolicy`], with every problem named.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION,
    conditions::reasons,
    names::{ModelName, PolicyName},
    routing_policy::{CandidateSpec, DecisionSpec, RolloutSpec, RoutingPolicy, RoutingPolicySpec, Tier},
};

use super::{
    BreakerSettings, Candidate, Commands, Configuration, Cost, DecisionRule, Fleet, GuardMargins, History,
    MicroDollars, Permille, Problem, Rollout, Shadow, Step, Trust, UnreadableApproval, ValidPolicy,
};

/// Minimums of the first step where it names none.
const FIRST_STEP: (u64, u64) = (200, 60);

/// Checks everything a schema cannot, and what the schema checks as well, because a router also reads policies from
/// files.
///
/// # Errors
/// Every problem found, each with its field.
pub fn validate(policy: &RoutingPolicy) -> Result<ValidPolicy, Vec<Problem>> {
    let mut problems = Problems::default();
    let spec = &policy.spec;
    let name = problems.keep(
        "metadata.name",
        PolicyName::try_from(policy.metadata.name.clone().unwrap_or_default())
            .map_err(|error| error.to_string()),
    );
    let model = problems.keep("spec.model.name", model_name(&spec.model.name));
    let stable = match &spec.stable {
        None => Some(None),
        Some(reference) => problems.keep("spec.stable.name", model_name(&reference.name)).map(Some),
    };
    let configuration = configuration(spec, &mut problems);
    let rollout = rollout(&spec.rollout, &mut problems);
    let fleet = fleet(spec, &mut problems);
    if spec.trust.require_signature && spec.trust.keys.is_empty() {
        problems.add("spec.trust.keys", "must name at least one key where `requireSignature` is true");
    }
    read_commands(policy, &mut problems);
    match (name, model, stable, configuration, rollout, fleet) {
        (Some(name), Some(model), Some(stable), Some(configuration), Some(rollout), Some(fleet))
            if problems.0.is_empty() =>
        {
            Ok(ValidPolicy {
                name,
                model,
                stable,
                trust: Trust {
                    keys: spec.trust.keys.clone(),
                    require_signature: spec.trust.require_signature,
                },
                configuration,
                rollout,
                fleet,
                history: history(spec),
                paused: spec.paused,
            })
        }
        _ => Err(problems.0),
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.add_for(field, message, reasons::INVALID_SPEC);
    }

    fn add_for(&mut self, field: &str, message: impl Into<String>, reason: &'static str) {
        self.0.push(Problem { field: field.to_owned(), message: message.into(), reason });
    }

    fn keep<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    fn number<T: TryFrom<i32>>(&mut self, field: &str, value: i32, least: i32) -> Option<T> {
        let number = if value >= least { T::try_from(value).ok() } else { None };
        if number.is_none() {
            self.add(field, format!("must be at least {least} and fit its type, not {value}"));
        }
        number
    }

    fn permille(&mut self, field: &str, value: i32) -> Option<Permille> {
        let permille = u16::try_from(value).ok().and_then(Permille::new);
        if permille.is_none() {
            self.add(field, format!("must be 0 to 1000, not {value}"));
        }
        permille
    }
}

fn model_name(name: &str) -> Result<ModelName, String> {
    ModelName::try_from(name.to_owned()).map_err(|error| error.to_string())
}

fn configuration(spec: &RoutingPolicySpec, problems: &mut Problems) -> Option<Configuration> {
    let candidates = candidates(&spec.candidates, problems);
    let decision = decision(&spec.decision, problems);
    let breaker = &spec.breaker;
    let path = |field: &str| format!("spec.breaker.{field}");
    if breaker.max_open_seconds < breaker.open_seconds {
        problems.add("spec.breaker.maxOpenSeconds", "must not be less than `openSeconds`");
    }
    let breaker = BreakerSettings {
        consecutive_failures: problems.number(
            &path("consecutiveFailures"),
            breaker.consecutive_failures,
            1,
        )?,
        failure_rate: problems.permille(&path("failureRatePermille"), breaker.failure_rate_permille)?,
        minimum_requests: problems.number(&path("minimumRequests"), breaker.minimum_requests, 1)?,
        open_seconds: problems.number(&path("openSeconds"), breaker.open_seconds, 1)?,
        max_open_seconds: problems.number(&path("maxOpenSeconds"), breaker.max_open_seconds, 1)?,
        half_open_probes: problems.number(&path("halfOpenProbes"), breaker.half_open_probes, 1)?,
    };
    let guards = &spec.rollout.guards;
    let path = |field: &str| format!("spec.rollout.guards.{field}");
    let guards = GuardMargins {
        uncertainty: problems
            .permille(&path("uncertaintyMarginPermille"), guards.uncertainty_margin_permille)?,
        escalation: problems
            .permille(&path("escalationMarginPermille"), guards.escalation_margin_permille)?,
        error_rate: problems.permille(&path("errorRatePermille"), guards.error_rate_permille)?,
        flip_rate: problems.permille(&path("flipRatePermille"), guards.flip_rate_permille)?,
        latency_budget_microseconds: problems.number(
            &path("latencyBudgetMicroseconds"),
            guards.latency_budget_microseconds,
            10,
        )?,
        slow_rate: problems.permille(&path("slowRatePermille"), guards.slow_rate_permille)?,
        upstream: problems.permille(&path("upstreamMarginPermille"), guards.upstream_margin_permille)?,
        alpha: problems.permille(&path("alphaPermille"), guards.alpha_permille)?,
    };
    let retention_days = problems.number("spec.history.retentionDays", spec.history.retention_days, 1)?;
    Some(Configuration { candidates: candidates?, decision: decision?, breaker, guards, retention_days })
}

fn candidates(specs: &[CandidateSpec], problems: &mut Problems) -> Option<Vec<Candidate>> {
    let before = problems.0.len();
    let mut names = BTreeSet::new();
    let mut candidates = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let path = |field: &str| format!("spec.candidates[{index}].{field}");
        if !names.insert(&spec.name) {
            problems.add(&path("name"), format!("must be unique, '{}' is there twice", spec.name));
        }
        let endpoint = problems.keep(&path("endpoint"), endpoint(&spec.endpoint));
        let input =
            problems.keep(&path("cost.inputPerMillionTokens"), dollars(&spec.cost.input_per_million_tokens));
        let output = problems
            .keep(&path("cost.outputPerMillionTokens"), dollars(&spec.cost.output_per_million_tokens));
        if let (Some(endpoint), Some(input), Some(output)) = (endpoint, input, output) {
            candidates.push(Candidate {
                name: spec.name.clone(),
                tier: spec.tier,
                endpoint,
                model: spec.model.clone(),
                cost: Cost { input_per_million_tokens: input, output_per_million_tokens: output },
                api_key: spec.api_key_ref.is_some(),
            });
        }
    }
    for tier in [Tier::Lightweight, Tier::Powerful] {
        if !specs.iter().any(|candidate| candidate.tier == tier) {
            let message = format!("must have a candidate of tier '{tier:?}': add one");
            problems.add_for("spec.candidates", message, reasons::NO_CANDIDATE_OF_TIER);
        }
    }
    candidates.sort_by(|left, right| left.name.cmp(&right.name));
    (problems.0.len() == before).then_some(candidates)
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("must be an http or https URL with a host".to_owned());
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("must not carry credentials, a query or a fragment: use `apiKeyRef` for a key".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Reads dollars as decimal text with at most six decimals into millionths.
fn dollars(text: &str) -> Result<MicroDollars, String> {
    let refused = || format!("must be dollars with at most six decimals, such as '0.15', not '{text}'");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 7 || fraction.len() > 6 || !digits(whole) || !digits(fraction) {
        return Err(refused());
    }
    if text.contains('.') && fraction.is_empty() {
        return Err(refused());
    }
    format!("{whole}{fraction:0<6}").parse().map(MicroDollars).map_err(|_| refused())
}

fn decision(spec: &DecisionSpec, problems: &mut Problems) -> Option<DecisionRule> {
    match (&spec.risk, &spec.thresholds) {
        (Some(risk), None) => problems
            .permille("spec.decision.risk.permille", risk.permille)
            .map(|permille| DecisionRule::Risk { permille }),
        (None, Some(thresholds)) => {
            let path = |field: &str| format!("spec.decision.thresholds.{field}");
            let confidence =
                problems.permille(&path("confidencePermille"), thresholds.confidence_permille)?;
            let fallback = problems.permille(&path("fallbackPermille"), thresholds.fallback_permille)?;
            if fallback > confidence {
                problems.add(&path("fallbackPermille"), "must not be more than `confidencePermille`");
            }
            Some(DecisionRule::Thresholds { confidence, fallback })
        }
        _ => {
            problems.add("spec.decision", "must have exactly one of `risk` and `thresholds`");
            None
        }
    }
}

fn rollout(spec: &RolloutSpec, problems: &mut Problems) -> Option<Rollout> {
    let shadow = Shadow {
        min_samples: problems.number("spec.rollout.shadow.minSamples", spec.shadow.min_samples, 1)?,
        min_seconds: problems.number("spec.rollout.shadow.minSeconds", spec.shadow.min_seconds, 0)?,
    };
    let mut steps: Vec<Step> = Vec::with_capacity(spec.steps.len());
    for (index, step) in spec.steps.iter().enumerate() {
        let path = |field: &str| format!("spec.rollout.steps[{index}].{field}");
        let (samples, seconds) = steps.last().map_or(FIRST_STEP, |last| (last.min_samples, last.min_seconds));
        let weight_percent: u8 = problems.number(&path("weightPercent"), step.weight_percent, 1)?;
        if weight_percent > 100 {
            problems.add(&path("weightPercent"), format!("must be 1 to 100, not {weight_percent}"));
        }
        if steps.last().is_some_and(|last| weight_percent < last.weight_percent) {
            problems.add(&path("weightPercent"), "must not be less than in the step before");
        }
        let min_samples = match step.min_samples {
            None => samples,
            Some(value) => problems.number(&path("minSamples"), value, 1)?,
        };
        let min_seconds = match step.min_seconds {
            None => seconds,
            Some(value) => problems.number(&path("minSeconds"), value, 0)?,
        };
        steps.push(Step { weight_percent, min_samples, min_seconds, approval: step.approval });
    }
    if steps.is_empty() {
        problems.add("spec.rollout.steps", "must have at least one step");
        return None;
    }
    Some(Rollout {
        shadow,
        steps,
        step_deadline_seconds: problems.number(
            "spec.rollout.stepDeadlineSeconds",
            spec.step_deadline_seconds,
            1,
        )?,
        on_deadline: spec.on_deadline,
        promotion: spec.promotion,
        watch_seconds: problems.number("spec.rollout.watchSeconds", spec.watch_seconds, 0)?,
    })
}

fn fleet(spec: &RoutingPolicySpec, problems: &mut Problems) -> Option<Fleet> {
    let api_keys: BTreeMap<_, _> = spec
        .candidates
        .iter()
        .filter_map(|candidate| Some((candidate.name.clone(), candidate.api_key_ref.clone()?)))
        .collect();
    Some(Fleet {
        replicas: problems.number("spec.replicas", spec.replicas, 1)?,
        image: spec.template.image.clone(),
        resources: spec.template.resources.clone(),
        node_selector: spec.template.node_selector.clone(),
        tolerations: spec.template.tolerations.clone(),
        api_keys,
    })
}

fn history(spec: &RoutingPolicySpec) -> History {
    let class = &spec.history.storage_class_name;
    History {
        size: spec.history.size.0.clone(),
        storage_class_name: (!class.is_empty()).then(|| class.clone()),
        on_delete: spec.history.on_delete,
    }
}

/// What people asked for by annotation, whatever else is wrong with the policy. A value that cannot be read asks for
/// nothing; [`validate`] names it.
pub fn commands(policy: &RoutingPolicy) -> Commands {
    read_commands(policy, &mut Problems::default())
}

fn read_commands(policy: &RoutingPolicy, problems: &mut Problems) -> Commands {
    let annotations = policy.metadata.annotations.as_ref();
    let get = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    let mut attempt = |key: &str| {
        let value = get(key)?;
        let attempt = value.parse().map_err(|_| format!("must be the number of an attempt, not '{value}'"));
        problems.keep(&format!("metadata.annotations[{key}]"), attempt)
    };
    Commands {
        abort: attempt(ABORT_ANNOTATION),
        promote: attempt(PROMOTE_ANNOTATION),
        approve: get(APPROVE_ANNOTATION).and_then(|value| {
            let approved = value.parse().map_err(|error: UnreadableApproval| error.to_string());
            problems.keep(&format!("metadata.annotations[{APPROVE_ANNOTATION}]"), approved)
        }),
        retry: get(RETRY_ANNOTATION).filter(|token| !token.is_empty()).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../tests/fixtures/policy.yaml");

    fn policy(change: impl FnOnce(&mut RoutingPolicy)) -> Result<ValidPolicy, Vec<Problem>> {
        let mut policy: RoutingPolicy = crate::yaml::from_str(GOOD).unwrap();
        change(&mut policy);
        validate(&policy)
    }

    #[test]
    fn what_a_step_leaves_out_is_as_in_the_step_before() {
        let valid = policy(|_| ()).unwrap();
        let steps: Vec<_> =
            valid.rollout.steps.iter().map(|s| (s.weight_percent, s.min_samples, s.min_seconds)).collect();
        assert_eq!(steps, [(5, 300, 30), (25, 300, 30), (50, 300, 10)]);
    }

    #[test]
    fn prices_are_read_exactly() {
        assert_eq!(dollars("0.15"), Ok(MicroDollars(150_000)));
        assert_eq!(dollars("12"), Ok(MicroDollars(12_000_000)));
        assert_eq!(dollars("0.000001"), Ok(MicroDollars(1)));
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0.0000001", "12345678"] {
            assert!(dollars(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tier_without_a_candidate_has_its_own_reason() {
        let problems =
            policy(|policy| policy.spec.candidates.retain(|c| c.tier == Tier::Powerful)).unwrap_err();
        assert_eq!(problems[0].reason, reasons::NO_CANDIDATE_OF_TIER);
        assert_eq!(problems[0].field, "spec.candidates");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = policy(|policy| {
            policy.spec.candidates[0].endpoint = "ftp://x".into();
            policy.spec.decision.risk = None;
        })
        .unwrap_err();
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["spec.candidates[0].endpoint", "spec.decision"]);
    }

    #[test]
    fn a_key_in_an_endpoint_is_refused() {
        for url in ["http://user:secret@host/v1", "http://host/v1?key=secret"] {
            assert!(endpoint(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_order_of_candidates_does_not_change_the_configuration() {
        let sorted = policy(|_| ()).unwrap().configuration.digest();
        let reversed = policy(|policy| policy.spec.candidates.reverse()).unwrap().configuration.digest();
        assert_eq!(sorted, reversed);
    }

    #[test]
    fn commands_name_an_attempt() {
        let annotate = |value: &str| {
            let value = value.to_owned();
            let mut policy: RoutingPolicy = crate::yaml::from_str(GOOD).unwrap();
            policy.metadata.annotations = Some([(ABORT_ANNOTATION.to_owned(), value)].into());
            policy
        };
        assert_eq!(commands(&annotate("3")).abort, Some(3));
        assert_eq!(commands(&annotate("now")), Commands::default());
        let problems = validate(&annotate("now")).unwrap_err();
        assert_eq!(problems[0].field, format!("metadata.annotations[{ABORT_ANNOTATION}]"));
    }
}
