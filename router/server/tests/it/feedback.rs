//! Feedback is durable before it is acknowledged, and finds the pod that decided.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tinydancer_server::{
    control::{Certificates, Forwarder},
    runtime::{
        Feedback, FeedbackAccepted, FeedbackError, FeedbackOutcome, FeedbackSource, RoutingDecision, Runtime,
    },
};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    certificates::{Authority, mounted},
    control::OpenPod,
    pod::{Disk, Pod, identity},
};

fn about(decision: &RoutingDecision) -> Feedback {
    Feedback {
        decision_id: decision.id.as_str().to_owned(),
        outcome: FeedbackOutcome::Underpowered,
        score: Some(0.25),
        source: FeedbackSource::User,
        idempotency_key: None,
    }
}

/// Where every pod is, once it is up.
type Addresses = Arc<Mutex<Option<SocketAddr>>>;

fn forward(runtime: &Arc<Runtime>, authority: &Authority, owner: &Addresses) -> JoinHandle<()> {
    let folder = mounted(authority);
    let certificates = Arc::new(Certificates::read(folder.path()).unwrap());
    let owner = Arc::clone(owner);
    // Port 1 on loopback: nobody is there.
    let address = move |_: &str| owner.lock().unwrap().map_or("127.0.0.1:1".to_owned(), |at| at.to_string());
    let forwarder =
        Forwarder::new(Arc::clone(runtime), certificates, &identity("support-0"), address).unwrap();
    tokio::spawn(forwarder.run())
}

async fn until_empty(pod: &Pod) {
    let empty = async {
        while !pod.history.pending_forwards(10).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), empty).await.expect("the outbox stays full");
}

#[tokio::test]
async fn feedback_on_an_own_decision_is_on_disk_when_it_is_acknowledged() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let decision = pod.decide("hello", "key");
    assert_eq!(pod.runtime.feedback(about(&decision)).await.unwrap(), FeedbackAccepted::Recorded);
    let after_the_cut = disk.cut_off();
    let stored = after_the_cut.start().history.feedback(decision.id.as_str()).unwrap().unwrap();
    assert_eq!((stored.outcome, stored.score), (FeedbackOutcome::Underpowered, Some(0.25)));
}

#[tokio::test]
async fn a_decision_takes_one_feedback_and_its_repetition() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let decision = pod.decide("hello", "key");
    for _ in 0..2 {
        assert_eq!(pod.runtime.feedback(about(&decision)).await.unwrap(), FeedbackAccepted::Recorded);
    }
    let other = Feedback { outcome: FeedbackOutcome::Good, ..about(&decision) };
    assert!(matches!(pod.runtime.feedback(other).await, Err(FeedbackError::AlreadyGiven)));
}

#[tokio::test]
async fn feedback_that_cannot_be_true_is_refused() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let decision = pod.decide("hello", "key");
    for score in [-0.1, 1.1, f64::NAN] {
        let feedback = Feedback { score: Some(score), ..about(&decision) };
        assert!(matches!(pod.runtime.feedback(feedback).await, Err(FeedbackError::Score)), "{score}");
    }
    let feedback = Feedback { decision_id: format!("{}x", decision.id), ..about(&decision) };
    assert!(matches!(pod.runtime.feedback(feedback).await, Err(FeedbackError::UnknownDecision(_))));
    let feedback = Feedback { idempotency_key: Some(String::new()), ..about(&decision) };
    assert!(matches!(pod.runtime.feedback(feedback).await, Err(FeedbackError::IdempotencyKey)));
}

#[tokio::test]
async fn feedback_for_another_pod_is_acknowledged_kept_over_a_kill_and_delivered_when_that_pod_is_up() {
    let authority = Authority::new();
    let (first, second) = (Disk::new("support-0"), Disk::new("support-1"));
    let decided = second.start();
    let decision = decided.decide("hello", "key");
    decided.stop();
    let accepting = first.start();
    let accepted = accepting.runtime.feedback(about(&decision)).await.unwrap();
    assert_eq!(accepted, FeedbackAccepted::Forwarding);
    let first = first.cut_off();
    drop(accepting);

    let accepting = first.start();
    assert_eq!(accepting.history.pending_forwards(10).unwrap().len(), 1, "the kill lost nothing");
    let owner = Addresses::default();
    let forwarding = forward(&accepting.runtime, &authority, &owner);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(accepting.history.pending_forwards(10).unwrap().len(), 1, "the owner is not up");
    let open = OpenPod::start(&second, &authority).await;
    *owner.lock().unwrap() = Some(open.address);
    until_empty(&accepting).await;
    forwarding.abort();
    let stored = open.pod.history.feedback(decision.id.as_str()).unwrap().unwrap();
    assert_eq!((stored.outcome, stored.source), (FeedbackOutcome::Underpowered, FeedbackSource::User));
}

#[tokio::test]
async fn what_was_delivered_before_or_contradicts_the_first_feedback_is_done_with() {
    let authority = Authority::new();
    let (first, second) = (Disk::new("support-0"), Disk::new("support-1"));
    let open = OpenPod::start(&second, &authority).await;
    let decision = open.pod.decide("hello", "key");
    open.pod.runtime.feedback(about(&decision)).await.unwrap();
    let accepting = first.start();
    let late = Feedback { outcome: FeedbackOutcome::Good, ..about(&decision) };
    accepting.runtime.feedback(late).await.unwrap();
    let owner = Arc::new(Mutex::new(Some(open.address)));
    let forwarding = forward(&accepting.runtime, &authority, &owner);
    until_empty(&accepting).await;
    forwarding.abort();
    let stored = open.pod.history.feedback(decision.id.as_str()).unwrap().unwrap();
    assert_eq!(stored.outcome, FeedbackOutcome::Underpowered, "the first one counts");
}

#[tokio::test]
async fn a_pod_that_is_asked_for_a_third_ones_decision_refuses_and_the_feedback_stays() {
    let authority = Authority::new();
    let (first, second, third) = (Disk::new("support-0"), Disk::new("support-1"), Disk::new("support-2"));
    let decision = third.start().decide("hello", "key");
    let open = OpenPod::start(&second, &authority).await;
    let accepting = first.start();
    accepting.runtime.feedback(about(&decision)).await.unwrap();
    let owner = Arc::new(Mutex::new(Some(open.address)));
    let forwarding = forward(&accepting.runtime, &authority, &owner);
    tokio::time::sleep(Duration::from_millis(500)).await;
    forwarding.abort();
    assert_eq!(accepting.history.pending_forwards(10).unwrap().len(), 1);
    assert!(open.pod.history.feedback(decision.id.as_str()).unwrap().is_none());
}

#[tokio::test]
async fn a_key_that_is_replaced_names_new_decisions_and_those_before_still_take_feedback() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let before = pod.decide("hello", "key");
    disk.write_key([8; 32]);
    let keeper = tokio::spawn(pod.runtime.keep());
    let stranger = Disk::new("support-0");
    stranger.write_key([8; 32]);
    let stranger = stranger.start();
    let replaced = async {
        // A pod that has only the new key knows a name given under it.
        while stranger.runtime.feedback(about(&pod.decide("hello", "key"))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), replaced).await.expect("the new key is never used");
    keeper.abort();
    assert!(pod.runtime.feedback(about(&before)).await.is_ok());
    assert!(matches!(
        stranger.runtime.feedback(about(&before)).await,
        Err(FeedbackError::UnknownDecision(_))
    ));
}
