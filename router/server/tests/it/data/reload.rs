//! Models that are replaced under full load: nothing fails, nothing waits, and every answer names a model that served
//! while it was made.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tinydancer_engine::testing;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Router, Setup, configuration, pair, upstream::Upstream};
use crate::pod::{Disk, Pod, settled};

const SWAPS: usize = 50;
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 4;
/// A request that takes so many times the median is slow: many times less than a model takes to load.
const SLOW: u32 = 5;
/// Slow requests may be so many times as frequent while a model is replaced.
const TIMES_AS_OFTEN: f64 = 2.5;

/// One request.
struct Answer {
    sent: Instant,
    received: Instant,
    digest: String,
}

/// When a model came: its bytes arrived, was the next to serve, served.
struct Swap {
    put: Instant,
    assigned: Instant,
    done: Instant,
    digest: String,
}

fn swap(pod: &Pod, number: u64) -> Swap {
    let bytes = testing::artifact(&format!("{number}.0.0"), number).unwrap();
    let put = Instant::now();
    let digest = pod.put(&bytes);
    let assigned = Instant::now();
    pod.runtime.assign(settled(number, Some(digest))).unwrap();
    Swap { put, assigned, done: Instant::now(), digest: digest.to_string() }
}

/// One connection, without a library in between: what is measured is the router.
struct Connection(TcpStream);

impl Connection {
    async fn ask(&mut self) -> serde_json::Value {
        const BODY: &str = r#"{"text":"How many legs has a spider?"}"#;
        let length = BODY.len();
        let request =
            format!("POST /v1/route HTTP/1.1\r\nhost: router\r\ncontent-length: {length}\r\n\r\n{BODY}");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..read]);
            // The body is one object of JSON, and no header has a brace.
            let text = String::from_utf8_lossy(&answer);
            if let Some(decision) = text.find('{').and_then(|body| serde_json::from_str(&text[body..]).ok()) {
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                return decision;
            }
        }
    }
}

/// Asks until it is told to stop.
async fn client(address: SocketAddr, answered: &AtomicUsize, stop: &AtomicBool) -> Vec<Answer> {
    let mut connection = Connection(TcpStream::connect(address).await.unwrap());
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let decision = connection.ask().await;
        let received = Instant::now();
        assert_eq!(decision["classified"], true, "{decision}");
        answers.push(Answer { sent, received, digest: decision["digest"].as_str().unwrap().to_owned() });
        answered.fetch_add(1, Ordering::Relaxed);
    }
    answers
}

/// Every answer is by a model that was the serving one at some moment between question and answer.
fn assert_current(answers: &[Answer], swaps: &[Swap]) {
    for answer in answers {
        let place = swaps.iter().position(|swap| swap.digest == answer.digest).expect("is one of ours");
        assert!(swaps[place].assigned <= answer.received, "an answer by a model that did not serve yet");
        let replaced = swaps.get(place + 1).map(|next| next.done);
        assert!(
            replaced.is_none_or(|replaced| answer.sent <= replaced),
            "an answer by a model that served no more"
        );
    }
}

/// The share of slow ones.
fn slow(latencies: &[Duration], median: Duration) -> f64 {
    let slow = latencies.iter().filter(|latency| **latency > median * SLOW).count();
    slow as f64 / latencies.len() as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_new_models_under_full_load_fail_no_request_and_delay_none() {
    let (up, disk) = (Upstream::absent().await, Disk::new("support-0"));
    let pod = disk.start();
    let setup = Setup::default();
    let configuration = configuration(pair(&up, &up), &setup);
    let mut swaps = vec![swap(&pod, 1)];
    let (runtime, history) = (pod.runtime.clone(), pod.history.clone());
    let router = Router::before(runtime, history, &configuration, setup, tempfile::tempdir().unwrap()).await;
    let stop: &'static AtomicBool = Box::leak(Box::default());
    let answered: &'static AtomicUsize = Box::leak(Box::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(router.address, answered, stop))).collect();
    let swapping = tokio::task::spawn_blocking(move || {
        for number in 1..=SWAPS {
            while answered.load(Ordering::Relaxed) < REQUESTS / SWAPS * number {
                std::thread::sleep(Duration::from_millis(1));
            }
            swaps.push(swap(&pod, number as u64 + 1));
        }
        stop.store(true, Ordering::Relaxed);
        (pod, swaps)
    });
    let (pod, swaps) = swapping.await.unwrap();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    assert!(answers.len() >= REQUESTS);
    assert_current(&answers, &swaps);
    let seen = swaps.iter().filter(|swap| answers.iter().any(|answer| answer.digest == swap.digest)).count();
    assert!(seen > SWAPS / 2, "answers of only {seen} models");
    let during = |answer: &Answer| {
        swaps.iter().skip(1).any(|swap| answer.sent <= swap.done && swap.put <= answer.received)
    };
    let (inside, outside): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| during(answer));
    let latencies = |answers: &[&Answer]| -> Vec<_> {
        answers.iter().map(|answer| answer.received - answer.sent).collect()
    };
    let (inside, mut outside) = (latencies(&inside), latencies(&outside));
    outside.sort_unstable();
    let median = outside[outside.len() / 2];
    let (slow_inside, slow_outside) = (slow(&inside, median), slow(&outside, median));
    assert!(inside.len() > 250, "only {} requests while models were replaced", inside.len());
    // Loading takes a processor from the requests for a while; if they waited for it, nearly all of them were slow.
    assert!(
        slow_inside <= TIMES_AS_OFTEN * slow_outside.max(0.08),
        "{slow_inside} of the requests were slow while models were replaced, {slow_outside} else"
    );
    let before = &swaps[swaps.len() - 2].digest;
    let back = pod.runtime.assign(settled(SWAPS as u64 + 2, Some(before.parse().unwrap()))).unwrap();
    assert_eq!(
        back.stable.map(|digest| digest.to_string()).as_ref(),
        Some(before),
        "the one before is still there"
    );
    drop(router);
    pod.stop();
}
