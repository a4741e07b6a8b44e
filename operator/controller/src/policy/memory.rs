//! What was last heard from each pod, and which transitions were told. Lost with the process, and soon known again.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Instant,
};

use tinydancer_protocol::{Refusal, Report};

/// One pod, as heard.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The last report, and since when it is known.
    pub report: Option<Report>,
    /// When it came; without one, when the pod was first seen.
    pub since: Instant,
    /// A refusal that is newer than the report.
    pub refusal: Option<Refusal>,
}

/// What became of the last transition of a policy.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The one that was counted last.
    pub counted: Option<String>,
    /// The one whose event was told last.
    pub told: Option<String>,
    /// What the record says besides, as far as it was told.
    pub notices: BTreeSet<String>,
}

/// All fleets, by the uid of the policy.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By the uid of the pod.
    pods: HashMap<String, HashMap<String, Heard>>,
    trails: HashMap<String, Trail>,
    /// Policies of which a pod has taken a model out of traffic since the last look.
    alarmed: HashSet<String>,
}

impl Memory {
    /// What is known of a pod that is there now.
    pub(super) fn pod(&mut self, policy: &str, pod: &str, now: Instant) -> Heard {
        let fleet = self.pods.entry(policy.to_owned()).or_default();
        fleet.entry(pod.to_owned()).or_insert(Heard { report: None, since: now, refusal: None }).clone()
    }

    /// A report came.
    pub(super) fn reported(&mut self, policy: &str, pod: &str, report: Report, now: Instant) {
        let fleet = self.pods.entry(policy.to_owned()).or_default();
        let known = fleet.get(pod).and_then(|heard| heard.report.as_ref());
        let known = known.map(|report| report.trips.as_slice()).unwrap_or_default();
        if report.trips.iter().any(|trip| !known.contains(trip)) {
            self.alarmed.insert(policy.to_owned());
        }
        fleet.insert(pod.to_owned(), Heard { report: Some(report), since: now, refusal: None });
    }

    /// Whether a pod has said so since this was last asked: the rest of the fleet should not wait for the next turn.
    pub(super) fn take_alarm(&mut self, policy: &str) -> bool {
        self.alarmed.remove(policy)
    }

    /// A refusal came.
    pub(super) fn refused(&mut self, policy: &str, pod: &str, refusal: Refusal) {
        if let Some(heard) = self.pods.get_mut(policy).and_then(|fleet| fleet.get_mut(pod)) {
            heard.refusal = Some(refusal);
        }
    }

    /// What was told of a policy.
    pub(super) fn trail(&mut self, policy: &str) -> &mut Trail {
        self.trails.entry(policy.to_owned()).or_default()
    }

    /// Forgets pods that are gone.
    pub(super) fn keep_pods(&mut self, policy: &str, pods: &HashSet<String>) {
        if let Some(fleet) = self.pods.get_mut(policy) {
            fleet.retain(|pod, _| pods.contains(pod));
        }
    }

    /// Forgets policies that are gone.
    pub(super) fn keep_policies(&mut self, is_there: impl Fn(&str) -> bool) {
        self.pods.retain(|policy, _| is_there(policy));
        self.trails.retain(|policy, _| is_there(policy));
        self.alarmed.retain(|policy| is_there(policy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinydancer_crds::Digest;
    use tinydancer_guards::TripCause;
    use tinydancer_protocol::{RefusalReason, Trip};

    fn refusal() -> Refusal {
        Refusal { reason: RefusalReason::StaleEpoch, message: String::new(), epoch: 9 }
    }

    #[test]
    fn a_refusal_stands_until_a_report_comes() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.pod("policy", "pod", now);
        memory.refused("policy", "pod", refusal());
        assert_eq!(memory.pod("policy", "pod", now).refusal, Some(refusal()));
        memory.reported("policy", "pod", crate::routers::tests::a_report("pod"), now);
        let heard = memory.pod("policy", "pod", now);
        assert!(heard.refusal.is_none() && heard.report.is_some());
    }

    #[test]
    fn a_trip_is_an_alarm_once() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let quiet = crate::routers::tests::a_report("pod");
        let trip = Trip { digest: Digest::of(b"model"), attempt: 2, cause: TripCause::ConsecutiveFaults };
        let tripped = Report { trips: vec![trip], ..quiet.clone() };
        memory.reported("policy", "pod", quiet, now);
        assert!(!memory.take_alarm("policy"));
        memory.reported("policy", "pod", tripped.clone(), now);
        assert!(memory.take_alarm("policy") && !memory.take_alarm("policy"));
        memory.reported("policy", "pod", tripped, now);
        assert!(!memory.take_alarm("policy"), "what is known already can wait");
    }

    #[test]
    fn pods_and_policies_that_are_gone_are_forgotten() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for pod in ["a", "b"] {
            memory.reported("policy", pod, crate::routers::tests::a_report(pod), now);
        }
        memory.keep_pods("policy", &["b".to_owned()].into());
        assert!(memory.pod("policy", "a", now).report.is_none());
        assert!(memory.pod("policy", "b", now).report.is_some());
        memory.trail("policy").told = Some("1".to_owned());
        memory.keep_policies(|_| false);
        assert_eq!(memory.trail("policy").told, None);
        assert!(memory.pod("policy", "b", now).report.is_none());
    }
}
