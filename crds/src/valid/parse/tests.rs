use super::*;
use crate::{routing_policy::Approval, valid::ApprovedStep};

const GOOD: &str = include_str!("../../../tests/fixtures/policy.yaml");

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
    let problems = policy(|policy| policy.spec.candidates.retain(|c| c.tier == Tier::Powerful)).unwrap_err();
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
fn a_limit_that_no_model_can_keep_or_cross_is_named() {
    let problems = policy(|policy| {
        let guards = &mut policy.spec.rollout.guards;
        guards.flip_rate_permille = 0;
        guards.slow_rate_permille = 1000;
        guards.upstream_margin_permille = -1;
        guards.alpha_permille = 201;
        guards.latency_budget_microseconds = 9;
    })
    .unwrap_err();
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    let named = [
        "flipRatePermille",
        "slowRatePermille",
        "upstreamMarginPermille",
        "alphaPermille",
        "latencyBudgetMicroseconds",
    ];
    assert_eq!(fields, named.map(|field| format!("spec.rollout.guards.{field}")));
}

#[test]
fn a_watch_lasts_a_week_at_most_and_may_be_none() {
    let watch =
        |seconds| policy(|policy| policy.spec.rollout.watch_seconds = seconds).map(|valid| valid.rollout);
    assert_eq!(watch(0).unwrap().watch_seconds, 0);
    assert_eq!(watch(604_800).unwrap().watch_seconds, 604_800);
    for seconds in [-1, 604_801] {
        assert_eq!(watch(seconds).unwrap_err()[0].field, "spec.rollout.watchSeconds");
    }
}

#[test]
fn an_approval_is_not_taken_over_from_the_step_before() {
    let valid = policy(|policy| policy.spec.rollout.steps[0].approval = Approval::Manual).unwrap();
    let approvals: Vec<_> = valid.rollout.steps.iter().map(|step| step.approval).collect();
    assert_eq!(approvals, [Approval::Manual, Approval::Automatic, Approval::Automatic]);
}

fn annotated(key: &str, value: &str) -> RoutingPolicy {
    let mut policy: RoutingPolicy = crate::yaml::from_str(GOOD).unwrap();
    policy.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
    policy
}

#[test]
fn commands_name_an_attempt() {
    assert_eq!(commands(&annotated(ABORT_ANNOTATION, "3")).abort, Some(3));
    assert_eq!(commands(&annotated(PROMOTE_ANNOTATION, "3")).promote, Some(3));
    let approved = commands(&annotated(APPROVE_ANNOTATION, "3/2")).approve;
    assert_eq!(approved, Some(ApprovedStep { attempt: 3, step: Some(1) }));
    assert_eq!(commands(&annotated(RETRY_ANNOTATION, "again")).retry.as_deref(), Some("again"));
}

#[test]
fn a_command_that_cannot_be_read_asks_for_nothing_and_is_named() {
    for (key, value) in [
        (ABORT_ANNOTATION, "now"),
        (PROMOTE_ANNOTATION, "-1"),
        (APPROVE_ANNOTATION, "yes"),
        (APPROVE_ANNOTATION, "3/0"),
    ] {
        assert_eq!(commands(&annotated(key, value)), Commands::default(), "{value}");
        let problems = validate(&annotated(key, value)).unwrap_err();
        assert_eq!(problems[0].field, format!("metadata.annotations[{key}]"));
        assert_eq!(problems[0].reason, reasons::INVALID_SPEC);
    }
}

/// An upgrade must not look like a change of the spec: pods would be told anew and a trial would start again.
#[test]
fn a_policy_that_asks_for_nothing_new_has_the_configuration_digest_it_always_had() {
    let digest = policy(|_| ()).unwrap().configuration.digest();
    assert_eq!(digest.to_string(), "sha256:1d9838194f1d932147d44c56ff92c37d69cd9d99ebd8ab16a8c245cc4c5da90d");
}

#[test]
fn an_adaptive_breaker_reaches_the_routers() {
    let valid = policy(|policy| policy.spec.breaker.adaptive = true).unwrap();
    assert!(valid.configuration.breaker.adaptive);
    let text = serde_json::to_string(&valid.configuration).unwrap();
    assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), valid.configuration);
}

const GRADER: &str =
    "{ endpoint: 'http://grader.llm.svc/grade', apiKeyRef: { name: llm-keys, key: grader } }";

fn audited(permille: i32) -> Result<ValidPolicy, Vec<Problem>> {
    policy(|policy| {
        policy.spec.audit.permille = permille;
        policy.spec.audit.grader = Some(crate::yaml::from_str(GRADER).unwrap());
    })
}

#[test]
fn audits_reach_the_routers_with_their_grader_and_without_its_key() {
    let valid = audited(5).unwrap();
    let audit = valid.configuration.audit.clone().unwrap();
    assert_eq!((audit.permille.get(), audit.grader.timeout_seconds, audit.grader.api_key), (5, 30, true));
    assert_eq!(audit.grader.endpoint, "http://grader.llm.svc/grade");
    let keys = valid.fleet.key_files();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["grader.key", "upstream.small"]);
    assert_eq!(keys["grader.key"].field, "spec.audit.grader.apiKeyRef");
    let text = serde_json::to_string(&valid.configuration).unwrap();
    assert!(!text.contains("llm-keys"), "{text}");
    assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), valid.configuration);
}

#[test]
fn a_grader_without_audits_waits_and_changes_nothing() {
    let valid = audited(0).unwrap();
    assert_eq!((&valid.configuration.audit, &valid.fleet.grader_key), (&None, &None));
    assert_eq!(valid.configuration.digest(), policy(|_| ()).unwrap().configuration.digest());
}

#[test]
fn audits_without_a_grader_that_can_be_asked_are_refused() {
    let problems = policy(|policy| policy.spec.audit.permille = 1).unwrap_err();
    assert_eq!(problems[0].field, "spec.audit.grader");
    let problems = policy(|policy| {
        policy.spec.audit.permille = 1001;
        let mut grader: crate::routing_policy::GraderSpec = crate::yaml::from_str(GRADER).unwrap();
        grader.endpoint = "grader:80".into();
        grader.timeout_seconds = 0;
        policy.spec.audit.grader = Some(grader);
    })
    .unwrap_err();
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.audit.permille", "spec.audit.grader.endpoint", "spec.audit.grader.timeoutSeconds"]
    );
}

#[test]
fn exploration_is_a_fifth_of_the_requests_at_most() {
    let explored = |permille| policy(|policy| policy.spec.explore.permille = permille);
    assert_eq!(explored(200).unwrap().configuration.explore_permille, 200);
    for permille in [-1, 201] {
        assert_eq!(explored(permille).unwrap_err()[0].field, "spec.explore.permille");
    }
}
