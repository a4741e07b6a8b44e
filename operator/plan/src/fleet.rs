//! The pods against what they were told.

use std::time::Duration;

use tinydancer_crds::Digest;
use tinydancer_protocol::{Assignment, ModelState, Report};

use crate::observed::{ObservedPod, Settings};

/// The pods, and the assignment that they should hold.
#[derive(Clone, Copy)]
pub(crate) struct FleetView<'a> {
    pods: &'a [ObservedPod],
    assignment: &'a Assignment,
    configuration: Digest,
    lease: Duration,
}

impl<'a> FleetView<'a> {
    pub(crate) fn new(pods: &'a [ObservedPod], assignment: &'a Assignment, settings: &Settings) -> Self {
        let configuration = assignment.configuration.digest();
        Self { pods, assignment, configuration, lease: lease(settings) }
    }

    /// Ready pods whose lease, if they had one, may still hold: each of them counts.
    fn counted(self) -> impl Iterator<Item = &'a ObservedPod> {
        self.pods.iter().filter(move |pod| pod.ready && pod.silent_for <= self.lease)
    }

    /// Whether the pod holds exactly this assignment.
    pub(crate) fn acknowledges(self, pod: &ObservedPod) -> bool {
        self.current(pod).is_some()
    }

    fn current(self, pod: &'a ObservedPod) -> Option<&'a Report> {
        pod.report.as_ref().filter(|report| {
            report.policy_uid.as_deref() == Some(self.assignment.policy.uid.as_str())
                && report.epoch == self.assignment.epoch
                && report.configuration_digest == Some(self.configuration)
        })
    }

    /// Whether all that count, at least one, hold the assignment and satisfy this.
    pub(crate) fn all_counted(self, satisfied: impl Fn(&Report) -> bool) -> bool {
        let mut counted = self.counted().peekable();
        counted.peek().is_some() && counted.all(|pod| self.current(pod).is_some_and(&satisfied))
    }

    /// Whether no Ready pod can act on an older assignment any more.
    pub(crate) fn released(self) -> bool {
        self.counted().all(|pod| self.acknowledges(pod))
    }

    /// The longest monotonic time that a Ready pod has held the assignment.
    pub(crate) fn elapsed(self) -> Duration {
        let millis =
            self.counted().filter_map(|pod| self.current(pod)).map(|report| report.step.elapsed_millis);
        Duration::from_millis(millis.max().unwrap_or_default())
    }
}

/// Whether there are pods and none has been heard for longer than this.
pub(crate) fn is_silent(pods: &[ObservedPod], limit: Duration) -> bool {
    !pods.is_empty() && pods.iter().all(|pod| pod.silent_for > limit)
}

/// Ready pods that are left out, because what they were told has ended by itself.
pub(crate) fn lost<'a>(
    pods: &'a [ObservedPod],
    settings: &Settings,
) -> impl Iterator<Item = &'a ObservedPod> {
    let lease = lease(settings);
    pods.iter().filter(move |pod| pod.ready && pod.silent_for > lease)
}

/// The largest epoch that any pod holds for this policy.
pub(crate) fn newest_epoch(pods: &[ObservedPod], policy_uid: &str) -> u64 {
    let reported = pods
        .iter()
        .filter_map(|pod| pod.report.as_ref())
        .filter(|report| report.policy_uid.as_deref() == Some(policy_uid));
    let refused = pods.iter().filter_map(|pod| pod.refusal.as_ref()).map(|refusal| refusal.epoch);
    reported.map(|report| report.epoch).chain(refused).max().unwrap_or_default()
}

fn lease(settings: &Settings) -> Duration {
    Duration::from_secs(u64::from(settings.lease_seconds))
}

/// What became of a model in the pod that reports.
pub(crate) fn model_state(report: &Report, digest: Digest) -> Option<&ModelState> {
    report.models.iter().find(|model| model.digest == digest).map(|model| &model.state)
}
