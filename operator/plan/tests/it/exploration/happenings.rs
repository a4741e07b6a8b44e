//! What can happen to a fleet between two looks of the operator.

use tinydancer_crds::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION, RoutingPolicyStatus,
    routing_policy::{Approval, OnDeadline},
};
use tinydancer_plan::Record;

use super::random::Random;
use crate::world::{Traffic, World, digest};

/// The models that can be named, and how each does. The first is the one that the spec vouches for.
pub(super) const MODELS: [(&str, Traffic); 5] = [
    ("support-v1", Traffic::Harmless),
    ("support-v2", Traffic::Harmless),
    ("support-v3", Traffic::Harmless),
    ("support-v4", Traffic::OverConfident),
    ("support-v5", Traffic::Failing),
];

/// How a model does.
pub(super) fn nature(of: tinydancer_crds::Digest) -> Traffic {
    MODELS.iter().find(|(name, _)| digest(name) == of).map_or(Traffic::Harmless, |(_, traffic)| *traffic)
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    Name(usize),
    Trip(usize),
    Refuse(usize, usize),
    RestartPod(usize),
    LosePod(usize),
    AddPod,
    Unready(usize),
    Ready,
    Unreachable(usize),
    Reachable,
    Traffic(u64),
    Abort(u64),
    Promote(u64),
    Retry(usize),
    Approve(u64, u32),
    ApprovePromotion(u64),
    Ask(usize, bool),
    AskPromotion(bool),
    Pause(bool),
    Watch(u64),
    Deadline(bool),
    Configure,
    AskForAudits(bool),
    Audited(u64, u64),
    BreakSpec(bool),
    WipeStatus,
    RestartOperator,
    /// Plans are carried out in part, and another operator goes on.
    CrashOperator(usize),
    /// What an operator had still to send arrives after another one went on.
    SendLate,
    /// The old report of a process comes once more.
    RepeatReport(usize),
    Backup,
    Restore,
    LoseRecord,
    Rebuild,
    /// Nobody hears of any pod for longer than an operator waits.
    Dark,
    Wait(usize),
}

impl Happening {
    /// Draws one; those that are part of a rollout's life more often.
    pub(super) fn draw(random: &mut Random, world: &World) -> Self {
        let pods = world.pods.len().max(1);
        let attempt = world.record.as_ref().map_or(1, |(record, _)| record.attempt);
        let attempt = if random.once_in(4) { attempt.saturating_sub(1) } else { attempt };
        match random.below(100) {
            0..6 => Self::Name(random.below(MODELS.len())),
            6..9 => Self::Trip(random.below(pods)),
            9..10 => Self::Refuse(random.below(pods), random.below(MODELS.len())),
            10..14 => Self::RestartPod(random.below(pods)),
            14..16 => Self::LosePod(random.below(pods)),
            16..19 => Self::AddPod,
            19..21 => Self::Unready(random.below(pods)),
            21..24 => Self::Ready,
            24..28 => Self::Unreachable(random.below(pods)),
            28..33 => Self::Reachable,
            33..39 => Self::Traffic(random.of(&[0, 100, 300, 900])),
            39..40 => Self::Abort(attempt),
            40..42 => Self::Promote(attempt),
            42..44 => Self::Retry(random.below(8)),
            44..46 => Self::Approve(attempt, u32::try_from(1 + random.below(2)).unwrap()),
            46..47 => Self::ApprovePromotion(attempt),
            47..48 => Self::Ask(random.below(2), random.once_in(2)),
            48..49 => Self::AskPromotion(random.once_in(2)),
            49..52 => Self::Pause(random.once_in(3)),
            52..53 => Self::Watch(random.of(&[0, 5, 20])),
            53..54 => Self::Deadline(random.once_in(2)),
            54..55 => Self::Configure,
            55..58 => Self::BreakSpec(random.once_in(3)),
            58..59 => Self::WipeStatus,
            59..61 => Self::RestartOperator,
            61..65 => Self::CrashOperator(random.below(4)),
            65..68 => Self::SendLate,
            68..71 => Self::RepeatReport(random.below(pods)),
            71..72 => Self::Backup,
            72 if random.once_in(3) => Self::Restore,
            73 if random.once_in(10) => Self::LoseRecord,
            74 if random.once_in(4) => Self::Rebuild,
            75 if random.once_in(2) => Self::Dark,
            76..78 => Self::AskForAudits(!random.once_in(4)),
            78..83 => Self::Audited(random.of(&[7, 130, 600]), random.of(&[20, 4, 1])),
            _ => Self::Wait(1 + random.below(6)),
        }
    }

    /// Lets it happen to the world. What concerns the operator's way of working is the walk's part.
    pub(super) fn happen(self, world: &mut World, backup: Option<&Record>) {
        let present = |index: usize, world: &World| index < world.pods.len();
        match self {
            Self::Name(model) => world.name_model(MODELS[model].0),
            Self::Trip(pod) if present(pod, world) => world.trip(pod),
            Self::Refuse(pod, model) if present(pod, world) => {
                let model = digest(MODELS[model].0);
                if !world.pods[pod].models.contains(&model) {
                    world.pods[pod].refuses.insert(model);
                }
            }
            Self::RestartPod(pod) if present(pod, world) => world.restart_pod(pod),
            Self::LosePod(pod) if world.pods.len() > 1 && present(pod, world) => drop(world.pods.remove(pod)),
            Self::AddPod if world.pods.len() < 4 => {
                world.add_pod(&format!("support-router-{}", world.pods.len()));
            }
            Self::Unready(pod) if present(pod, world) => world.pods[pod].ready = false,
            Self::Unreachable(pod) if present(pod, world) => world.pods[pod].reachable = false,
            Self::Ready => world.pods.iter_mut().for_each(|pod| pod.ready = true),
            Self::Dark => world.pods.iter_mut().for_each(|pod| pod.reachable = false),
            Self::Reachable => world.pods.iter_mut().for_each(|pod| pod.reachable = true),
            Self::Abort(attempt) => world.annotate(ABORT_ANNOTATION, &attempt.to_string()),
            Self::Promote(attempt) => world.annotate(PROMOTE_ANNOTATION, &attempt.to_string()),
            Self::Retry(token) => world.annotate(RETRY_ANNOTATION, &format!("token-{token}")),
            Self::Approve(attempt, step) => world.annotate(APPROVE_ANNOTATION, &format!("{attempt}/{step}")),
            Self::ApprovePromotion(attempt) => {
                world.annotate(APPROVE_ANNOTATION, &format!("{attempt}/promote"));
            }
            Self::Ask(step, asks) => world.policy.spec.rollout.steps[step].approval = asked(asks),
            Self::AskPromotion(asks) => world.policy.spec.rollout.promotion = asked(asks),
            Self::Pause(paused) => world.policy.spec.paused = paused,
            Self::Watch(seconds) => world.policy.spec.rollout.watch_seconds = seconds.try_into().unwrap(),
            Self::Deadline(rolls_back) => {
                world.policy.spec.rollout.on_deadline =
                    if rolls_back { OnDeadline::RollBack } else { OnDeadline::Pause };
            }
            Self::Configure => world.policy.spec.history.retention_days += 1,
            Self::AskForAudits(asked) => world.ask_for_audits(i32::from(asked)),
            Self::Audited(pairs, lossy) => world.audit(pairs, lossy),
            Self::BreakSpec(broken) => break_spec(world, broken),
            Self::WipeStatus => world.status = RoutingPolicyStatus::default(),
            Self::RestartOperator => world.restart_operator(),
            Self::Restore => {
                if let (Some(backup), Some((record, version))) = (backup, world.record.as_mut()) {
                    *record = backup.clone();
                    *version += 1;
                }
            }
            Self::LoseRecord => world.record = None,
            Self::Rebuild => rebuild(world),
            _ => {}
        }
    }
}

const fn asked(asks: bool) -> Approval {
    if asks { Approval::Manual } else { Approval::Automatic }
}

/// Makes the spec such that it cannot be used, or mends it.
pub(super) fn break_spec(world: &mut World, broken: bool) {
    world.policy.spec.decision.thresholds = broken.then(|| {
        tinydancer_crds::yaml::from_str("{ confidencePermille: 850, fallbackPermille: 700 }").unwrap()
    });
}

/// Another cluster: the policy has another uid, the pods are new, the record came along.
fn rebuild(world: &mut World) {
    world.uid.push('x');
    world.pods.clear();
    world.add_pod("support-router-0");
    world.add_pod("support-router-1");
}
