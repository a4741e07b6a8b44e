//! From the raw spec to a [`ValidPolicy`], with every problem named.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use crate::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION,
    conditions::reasons,
    names::{ModelName, PolicyName},
    routing_policy::{
        AuditSpec, CandidateSpec, DecisionSpec, GuardsSpec, RolloutSpec, RoutingPolicy, RoutingPolicySpec,
        Tier,
    },
};

use super::{
    Audit, BreakerSettings, Candidate, Commands, Configuration, Cost, DecisionRule, Fleet, Grader,
    GuardMargins, History, MicroDollars, Permille, Problem, Rollout, Shadow, Step, Trust, UnreadableApproval,
    ValidPolicy,
};

/// Thousandths: any, any but none, and any but none and all.
const ALL: RangeInclusive<i32> = 0..=1000;
const SHARE: RangeInclusive<i32> = 1..=1000;
const PART: RangeInclusive<i32> = 1..=999;
/// Largest chance of a false alarm that is still a test.
const ALPHA: RangeInclusive<i32> = 1..=200;
/// Requests sent against the decision: beyond a fifth it is the exploration that decides.
const EXPLORED: RangeInclusive<i32> = 0..=200;
/// Seconds that a grader may take.
const GRADING: RangeInclusive<i32> = 1..=300;
/// A week.
const LONGEST_WATCH: i32 = 604_800;
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

    fn permille(&mut self, field: &str, value: i32, within: RangeInclusive<i32>) -> Option<Permille> {
        let number = self.within(field, value, within)?;
        Permille::new(number)
    }

    fn within<T: TryFrom<i32>>(&mut self, field: &str, value: i32, within: RangeInclusive<i32>) -> Option<T> {
        if !within.contains(&value) {
            self.add(field, format!("must be {} to {}, not {value}", within.start(), within.end()));
            return None;
        }
        T::try_from(value).ok()
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
        failure_rate: problems.permille(
            &path("failureRatePermille"),
            breaker.failure_rate_permille,
            SHARE,
        )?,
        adaptive: breaker.adaptive,
        minimum_requests: problems.number(&path("minimumRequests"), breaker.minimum_requests, 1)?,
        open_seconds: problems.number(&path("openSeconds"), breaker.open_seconds, 1)?,
        max_open_seconds: problems.number(&path("maxOpenSeconds"), breaker.max_open_seconds, 1)?,
        half_open_probes: problems.number(&path("halfOpenProbes"), breaker.half_open_probes, 1)?,
    };
    let guards = guards(&spec.rollout.guards, problems)?;
    let retention_days = problems.number("spec.history.retentionDays", spec.history.retention_days, 1)?;
    let audit = audit(&spec.audit, problems);
    let explore = problems.within("spec.explore.permille", spec.explore.permille, EXPLORED);
    Some(Configuration {
        candidates: candidates?,
        decision: decision?,
        breaker,
        guards,
        retention_days,
        audit,
        explore_permille: explore?,
    })
}

/// None where there are to be none, or something is wrong. A grader that has nothing to do is checked as well: whoever raises
/// the share should not find out then.
fn audit(spec: &AuditSpec, problems: &mut Problems) -> Option<Audit> {
    let permille = problems.permille("spec.audit.permille", spec.permille, ALL);
    let grader = spec.grader.as_ref().and_then(|grader| {
        let path = |field: &str| format!("spec.audit.grader.{field}");
        let endpoint = problems.keep(&path("endpoint"), endpoint(&grader.endpoint));
        let timeout_seconds = problems.within(&path("timeoutSeconds"), grader.timeout_seconds, GRADING);
        let api_key = grader.api_key_ref.is_some();
        Some(Grader { endpoint: endpoint?, timeout_seconds: timeout_seconds?, api_key })
    });
    let permille = permille.filter(|permille| permille.get() > 0)?;
    if spec.grader.is_none() {
        problems.add("spec.audit.grader", "must be there where `permille` is more than 0");
    }
    Some(Audit { permille, grader: grader? })
}

fn guards(spec: &GuardsSpec, problems: &mut Problems) -> Option<GuardMargins> {
    let mut permille = |field: &str, value, within| {
        problems.permille(&format!("spec.rollout.guards.{field}"), value, within)
    };
    let uncertainty = permille("uncertaintyMarginPermille", spec.uncertainty_margin_permille, SHARE);
    let escalation = permille("escalationMarginPermille", spec.escalation_margin_permille, SHARE);
    let error_rate = permille("errorRatePermille", spec.error_rate_permille, PART);
    let flip_rate = permille("flipRatePermille", spec.flip_rate_permille, PART);
    let slow_rate = permille("slowRatePermille", spec.slow_rate_permille, PART);
    let upstream = permille("upstreamMarginPermille", spec.upstream_margin_permille, PART);
    let alpha = permille("alphaPermille", spec.alpha_permille, ALPHA);
    let field = "spec.rollout.guards.latencyBudgetMicroseconds";
    let latency_budget = problems.within(field, spec.latency_budget_microseconds, 10..=1_000_000);
    Some(GuardMargins {
        uncertainty: uncertainty?,
        escalation: escalation?,
        error_rate: error_rate?,
        flip_rate: flip_rate?,
        latency_budget_microseconds: latency_budget?,
        slow_rate: slow_rate?,
        upstream: upstream?,
        alpha: alpha?,
    })
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
            .permille("spec.decision.risk.permille", risk.permille, ALL)
            .map(|permille| DecisionRule::Risk { permille }),
        (None, Some(thresholds)) => {
            let path = |field: &str| format!("spec.decision.thresholds.{field}");
            let confidence =
                problems.permille(&path("confidencePermille"), thresholds.confidence_permille, ALL)?;
            let fallback = problems.permille(&path("fallbackPermille"), thresholds.fallback_permille, ALL)?;
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
        let weight_percent: u8 = problems.within(&path("weightPercent"), step.weight_percent, 1..=100)?;
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
        watch_seconds: problems.within("spec.rollout.watchSeconds", spec.watch_seconds, 0..=LONGEST_WATCH)?,
    })
}

fn fleet(spec: &RoutingPolicySpec, problems: &mut Problems) -> Option<Fleet> {
    let api_keys: BTreeMap<_, _> = spec
        .candidates
        .iter()
        .filter_map(|candidate| Some((candidate.name.clone(), candidate.api_key_ref.clone()?)))
        .collect();
    let grader = spec.audit.grader.as_ref().filter(|_| spec.audit.permille > 0);
    Some(Fleet {
        replicas: problems.number("spec.replicas", spec.replicas, 1)?,
        image: spec.template.image.clone(),
        resources: spec.template.resources.clone(),
        node_selector: spec.template.node_selector.clone(),
        tolerations: spec.template.tolerations.clone(),
        api_keys,
        grader_key: grader.and_then(|grader| grader.api_key_ref.clone()),
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
mod tests;
