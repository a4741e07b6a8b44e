//! A world in which plans are carried out: an API server of maps and pods that keep to the control protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tinydancer_crds::{
    Digest, ModelName, RoutingPolicy, RoutingPolicyStatus,
    routing_policy::RolloutState,
    valid::{commands, validate},
};
use tinydancer_guards::TripCause;
use tinydancer_plan::{
    Action, Artifact, LiveChild, Observed, ObservedModel, ObservedRecord, Plan, PolicyInput, RECORD_KEY,
    Record, Rollout, SecretState, Settings, SignatureCheck, plan,
};
use tinydancer_protocol::{CalibrationSums, PolicyIdentity, StepProgress, Trip};
use uuid::Uuid;

mod pod;

pub(crate) use pod::{Pod, Traffic};

pub(crate) const IMAGE: &str = "registry.example/tiny-dancer-router:0.1.0";
pub(crate) const LEASE_SECONDS: u32 = 10;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) policy: RoutingPolicy,
    pub(crate) uid: String,
    pub(crate) being_deleted: bool,
    pub(crate) record: Option<(Record, u64)>,
    pub(crate) record_owned: bool,
    pub(crate) broken: Option<String>,
    pub(crate) models: BTreeMap<ModelName, ObservedModel>,
    pub(crate) available: BTreeSet<Digest>,
    pub(crate) status: RoutingPolicyStatus,
    pub(crate) children: Vec<LiveChild>,
    pub(crate) tls: SecretState,
    pub(crate) credentials: SecretState,
    pub(crate) missing_api_keys: BTreeSet<String>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) reasons: Vec<&'static str>,
    /// The largest share any digest ever had in an assignment, beyond being stable.
    pub(crate) exposure: BTreeMap<Digest, u16>,
    incarnations: u128,
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

impl World {
    /// A policy that was just applied, with support-v1, -v2 and -v3 verified.
    pub(crate) fn new() -> Self {
        let policy = tinydancer_crds::yaml::from_str(include_str!("fixtures/policy.yaml")).unwrap();
        let mut world = Self {
            policy,
            uid: "uid-1".to_owned(),
            being_deleted: false,
            record: None,
            record_owned: false,
            broken: None,
            models: BTreeMap::new(),
            available: BTreeSet::new(),
            status: RoutingPolicyStatus::default(),
            children: Vec::new(),
            tls: SecretState::Missing,
            credentials: SecretState::Missing,
            missing_api_keys: BTreeSet::new(),
            pods: Vec::new(),
            settings: Settings {
                router_image: IMAGE.to_owned(),
                operator_namespace: "tiny-dancer-system".to_owned(),
                lease_seconds: LEASE_SECONDS,
                poll_interval: Duration::from_secs(1),
                settled_interval: Duration::from_secs(30),
                blind_limit: Duration::from_mins(1),
            },
            now: "2026-11-23T12:00:00Z".parse().unwrap(),
            reasons: Vec::new(),
            exposure: BTreeMap::new(),
            incarnations: 0,
        };
        for name in ["support-v1", "support-v2", "support-v3"] {
            world.add_model(name, digest(name));
        }
        world
    }

    /// The same after support-v1 became stable on two pods.
    pub(crate) fn settled() -> Self {
        let mut world = Self::new();
        world.tick();
        world.add_pod("support-router-0");
        world.add_pod("support-router-1");
        world.run_until(20, |world| world.stable() == Some(digest("support-v1")));
        world.run(3);
        world
    }

    /// The same with support-v2 on trial, in this state.
    pub(crate) fn with_trial_in(state: RolloutState) -> Self {
        let mut world = Self::settled();
        world.name_model("support-v2");
        world.run_until(60, |world| world.state() == state);
        world
    }

    pub(crate) fn add_model(&mut self, name: &str, digest: Digest) {
        let model = ObservedModel {
            version: "1.0.0".to_owned(),
            digest,
            artifact: Artifact::Verified,
            signature: SignatureCheck::Missing,
        };
        self.models.insert(ModelName::try_from(name.to_owned()).unwrap(), model);
        self.available.insert(digest);
    }

    pub(crate) fn model(&mut self, name: &str) -> &mut ObservedModel {
        self.models.get_mut(&ModelName::try_from(name.to_owned()).unwrap()).unwrap()
    }

    pub(crate) fn delete_model(&mut self, name: &str) {
        self.models.remove(&ModelName::try_from(name.to_owned()).unwrap());
    }

    pub(crate) fn name_model(&mut self, name: &str) {
        self.policy.spec.model.name = name.to_owned();
    }

    pub(crate) fn annotate(&mut self, annotation: &str, value: &str) {
        let annotations = self.policy.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation.to_owned(), value.to_owned());
    }

    pub(crate) fn add_pod(&mut self, name: &str) {
        let incarnation = self.next_incarnation();
        self.pods.push(Pod {
            name: name.to_owned(),
            uid: format!("{name}-{incarnation}"),
            incarnation,
            ready: true,
            reachable: true,
            refuses: BTreeSet::new(),
            held: None,
            models: BTreeSet::new(),
            serves: None,
            evidence: None,
            step: StepProgress::default(),
            buckets: None,
            epoch_since: self.now,
            lease_until: self.now,
            trips: Vec::new(),
            audited: Vec::new(),
            drift: None,
            seen: None,
            refusal: None,
            heard: self.now,
        });
    }

    /// The pod's process starts again; its volume stays.
    pub(crate) fn restart_pod(&mut self, index: usize) {
        let incarnation = self.next_incarnation();
        let now = self.now;
        let pod = &mut self.pods[index];
        pod.incarnation = incarnation;
        pod.evidence = None;
        pod.step = StepProgress::default();
        pod.epoch_since = now;
        pod.lease_until = now;
        if let Some(held) = pod.held.as_mut() {
            held.trial = None;
            held.epoch = held.epoch.saturating_sub(1);
        }
    }

    /// Another operator process takes over: it remembers nothing.
    pub(crate) fn restart_operator(&mut self) {
        for pod in &mut self.pods {
            pod.seen = None;
            pod.refusal = None;
            pod.heard = self.now;
        }
    }

    fn next_incarnation(&mut self) -> Uuid {
        self.incarnations += 1;
        Uuid::from_u128(self.incarnations)
    }

    /// Requests at each Ready pod, and what they say about a candidate.
    pub(crate) fn send(&mut self, requests: u64, traffic: Traffic) {
        let now = self.now;
        for pod in self.pods.iter_mut().filter(|pod| pod.ready) {
            pod.serve(requests, traffic, now);
        }
    }

    /// The policy asks for audits, or for none.
    pub(crate) fn ask_for_audits(&mut self, permille: i32) {
        self.policy.spec.audit.permille = permille;
        self.ask_for_grades_of("http://grader.llm.svc/grade");
    }

    /// Another service is to grade.
    pub(crate) fn ask_for_grades_of(&mut self, endpoint: &str) {
        let grader = format!("{{ endpoint: '{endpoint}' }}");
        self.policy.spec.audit.grader = Some(tinydancer_crds::yaml::from_str(&grader).unwrap());
    }

    /// Audited requests at each pod. Of twenty scores in turn the highest, one in `lossy` of them, lose everything with
    /// Lightweight. The pod decides by the threshold it was told, or by its artifact's, 0.5.
    pub(crate) fn audit(&mut self, pairs: u64, lossy: u64) {
        for pod in &mut self.pods {
            let Some(digest) = pod.serves else { continue };
            let found = pod.audited.iter().position(|sums| sums.digest == digest);
            let index = found.unwrap_or_else(|| {
                pod.audited.push(CalibrationSums::of(digest));
                pod.audited.len() - 1
            });
            let sums = &mut pod.audited[index];
            let told = pod.held.as_ref().and_then(|held| held.calibration);
            let lambda = told.filter(|told| told.digest == digest).map_or(0.5, |told| told.lambda);
            for _ in 0..pairs {
                let count = sums.pairs;
                // Scores of 0.0125, 0.0875 ... 1.4375 in turn; the lossy ones are those with high scores.
                let score = (count % 20) as f32 * 0.075 + 0.0125;
                let lost = if count % 20 >= 20 - 20 / lossy.max(1) { 1.0 } else { 0.0 };
                sums.regret.add(score, lost);
                sums.coverage.add(lost == 0.0, count % 10 != 0);
                sums.observed.pairs += 1;
                if score <= lambda {
                    sums.observed.lightweight += 1;
                    sums.observed.regret += lost;
                }
                sums.pairs += 1;
            }
        }
    }

    /// The digest on trial, or watched, fails five times in a row at this pod.
    pub(crate) fn trip(&mut self, index: usize) {
        let pod = &mut self.pods[index];
        if let Some((digest, attempt)) = pod.compared() {
            pod.trips.push(Trip { digest, attempt, cause: TripCause::ConsecutiveFaults });
            pod.choose();
        }
    }

    pub(crate) fn input(&self) -> PolicyInput {
        PolicyInput {
            identity: PolicyIdentity {
                namespace: "team-a".to_owned(),
                name: "support".to_owned(),
                uid: self.uid.clone(),
            },
            generation: 1,
            being_deleted: self.being_deleted,
            spec: validate(&self.policy),
            commands: commands(&self.policy),
        }
    }

    pub(crate) fn observed(&self) -> Observed {
        let record = match (&self.broken, &self.record) {
            (Some(why), _) => ObservedRecord::Broken(why.clone()),
            (None, None) => ObservedRecord::Absent,
            (None, Some((record, version))) => ObservedRecord::Present {
                record: Box::new(record.clone()),
                resource_version: version.to_string(),
                owned: self.record_owned,
            },
        };
        Observed {
            record,
            models: self.models.clone(),
            available: self.available.clone(),
            status: self.status.clone(),
            children: self.children.clone(),
            tls: self.tls,
            credentials: self.credentials,
            missing_api_keys: self.missing_api_keys.clone(),
            pods: self.pods.iter().map(|pod| pod.observed(self.now)).collect(),
            settings: self.settings.clone(),
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.input(), &self.observed(), self.now)
    }

    /// Plans and carries the plan out, then lets a second pass.
    pub(crate) fn tick(&mut self) -> Plan {
        let plan = self.plan();
        self.carry_out(&plan);
        self.now += SignedDuration::from_secs(1);
        plan
    }

    /// Ticks with healthy traffic.
    pub(crate) fn run(&mut self, ticks: usize) {
        self.run_with(ticks, 400, Traffic::Harmless);
    }

    pub(crate) fn run_with(&mut self, ticks: usize, requests: u64, traffic: Traffic) {
        for _ in 0..ticks {
            self.send(requests, traffic);
            self.tick();
        }
    }

    pub(crate) fn run_until(&mut self, ticks: usize, reached: impl Fn(&Self) -> bool) {
        for _ in 0..ticks {
            if reached(self) {
                return;
            }
            self.run(1);
        }
        assert!(reached(self), "still in {:?} after {ticks} ticks: {:?}", self.rollout(), self.reasons);
    }

    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        if let Some(commit) = &plan.commit {
            let version = self.record.as_ref().map_or(0, |(_, version)| *version);
            let expected = (version > 0).then(|| version.to_string());
            assert_eq!(commit.replaces, expected, "a commit replaces what was observed");
            let text = &commit.object.data.as_ref().unwrap()[RECORD_KEY];
            let data = BTreeMap::from([(RECORD_KEY.to_owned(), text.clone())]);
            assert_eq!(Record::read(&data).unwrap(), commit.record, "a record reads back as it was written");
            self.record = Some((commit.record.clone(), version + 1));
            self.record_owned = commit.object.metadata.owner_references.is_some();
        }
        self.status = plan.status.clone();
        self.reasons.extend(plan.events.iter().map(|event| event.reason));
        for action in &plan.actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Create(child) | Action::Apply(child) => {
                let object = child.to_value();
                let text = |path: &str| object.pointer(path).unwrap().as_str().unwrap().to_owned();
                let (kind, name) = (text("/kind"), text("/metadata/name"));
                self.children.retain(|live| (&live.kind, &live.name) != (&kind, &name));
                self.children.push(LiveChild { kind, name, owned: true, object });
            }
            Action::EnsureTls(_) => self.tls = SecretState::Current,
            Action::EnsureCredentials(_) => self.credentials = SecretState::Current,
            Action::PutModel { pod, digest } => {
                let found = self.pods.iter_mut().find(|other| other.uid == pod.uid && other.reachable);
                if let Some(pod) = found.filter(|pod| !pod.refuses.contains(digest)) {
                    pod.models.insert(*digest);
                }
            }
            Action::PutAssignment { pod, assignment } => {
                if let Some(trial) = &assignment.trial {
                    let share = self.exposure.entry(trial.model.digest).or_default();
                    *share = (*share).max(trial.weight.get());
                }
                let now = self.now;
                if let Some(pod) = self.pods.iter_mut().find(|other| other.uid == pod.uid && other.reachable)
                {
                    pod.take(assignment, now);
                }
            }
        }
    }

    pub(crate) fn recorded(&self) -> &Record {
        &self.record.as_ref().unwrap().0
    }

    pub(crate) fn rollout(&self) -> Option<Rollout> {
        self.record.as_ref().map(|(record, _)| record.rollout)
    }

    pub(crate) fn state(&self) -> RolloutState {
        self.rollout().map_or(RolloutState::Stable, Rollout::shown)
    }

    /// The trusted model, while no trial is under way; it may be watched.
    pub(crate) fn stable(&self) -> Option<Digest> {
        let (record, _) = self.record.as_ref()?;
        let at_rest = matches!(record.rollout, Rollout::Stable | Rollout::Watching);
        at_rest.then_some(record.stable.as_ref()?.model.digest)
    }

    pub(crate) fn condition(&self, type_: &str) -> (String, String) {
        let condition = self.status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        (condition.status.clone(), condition.reason.clone())
    }
}
