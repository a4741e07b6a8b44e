//! Audits of the program itself, from its manifest to its end.

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{
    alone::{KEY, PROMPT, Program, file_with, laid_out, policy},
    audit::{grades, large_says, small_says},
    header,
    upstream::{Behaviour, Upstream},
};

/// A program whose requests are all audited, some of them explored.
struct Audited {
    folder: TempDir,
    grader: Upstream,
    _upstreams: [Upstream; 2],
    client: reqwest::Client,
}

impl Audited {
    async fn laid_out() -> Self {
        let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
        let grader = Upstream::start(grades()).await;
        let folder = laid_out(&small, &large);
        let manifest = format!(
            "{}  explore: {{ permille: 200 }}\n  audit: {{ permille: 1000, grader: {{ \
             endpoint: \"{}/chat/completions\", apiKeyRef: {{ name: k, key: k }} }} }}\n",
            policy(&small, &large),
            grader.endpoint()
        );
        fs::write(folder.path().join("policy.yaml"), manifest).unwrap();
        fs::write(folder.path().join("keys").join("grader.key"), KEY).unwrap();
        Self { folder, grader, _upstreams: [small, large], client: reqwest::Client::new() }
    }

    fn start(&self) -> Program {
        let arguments = ["--model", "model.safetensors", "--credentials", "keys"];
        Program::alone(self.folder.path(), &arguments)
    }

    async fn chat(&self, program: &Program) -> reqwest::Response {
        let body = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#);
        let request = self.client.post(format!("{}/v1/chat/completions", program.url)).body(body);
        request.header("x-router-tags", format!("a={PROMPT}")).send().await.unwrap()
    }

    /// The metrics, once this is among them.
    async fn metrics_with(&self, program: &Program, sample: &str) -> String {
        let url = format!("{}/metrics", program.url);
        let there = async {
            loop {
                let text = self.client.get(&url).send().await.unwrap().text().await.unwrap();
                if text.lines().any(|line| line.contains(sample)) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), there).await.unwrap_or_else(|_| panic!("{sample}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_leaves_no_text_in_a_log_of_any_level_a_metric_or_a_file() {
    let audited = Audited::laid_out().await;
    let program = audited.start();
    audited.chat(&program).await;
    audited.metrics_with(&program, "audits_total{result=\"graded\"} 1").await;
    audited.grader.set(Behaviour::Status(500, Vec::new(), PROMPT));
    audited.chat(&program).await;
    let metrics = audited.metrics_with(&program, "audits_total{result=\"grader_failed\"} 1").await;
    let question = audited.grader.received().remove(0).body;
    assert!(std::str::from_utf8(&question).unwrap().contains(PROMPT), "the grader reads it");
    let (succeeded, log) = program.stop().await;
    assert!(succeeded && log.contains("audits cannot be graded"), "{log}");
    for secret in [PROMPT, KEY, "from small", "from large"] {
        assert!(!metrics.contains(secret));
        assert_eq!(log.lines().find(|line| line.contains(secret)), None);
        assert_eq!(file_with(audited.folder.path(), secret), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_audits_found_is_there_again_after_a_kill() {
    let audited = Audited::laid_out().await;
    let program = audited.start();
    let mut id = String::new();
    for number in 1..=3 {
        id = header(&audited.chat(&program).await, "x-router-decision-id").to_owned();
        audited.metrics_with(&program, &format!("audits_total{{result=\"graded\"}} {number}")).await;
    }
    // Once feedback is acknowledged, everything that was queued before it is on disk.
    let feedback = format!(r#"{{"decision_id":"{id}","outcome":"good"}}"#);
    let kept =
        audited.client.post(format!("{}/v1/feedback", program.url)).body(feedback).send().await.unwrap();
    assert_eq!(kept.status(), 200);
    let regret = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("router_regret_")).map(ToOwned::to_owned).collect()
    };
    let before = regret(&audited.metrics_with(&program, "regret_pairs").await);
    program.kill().await;
    let program = audited.start();
    assert_eq!(regret(&audited.metrics_with(&program, "regret_pairs").await), before);
    assert!(before.iter().any(|line| line.ends_with(" 3")), "{before:?}");
    assert!(program.stop().await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_that_is_under_way_does_not_hold_up_the_end() {
    let audited = Audited::laid_out().await;
    audited.grader.set(Behaviour::Silence);
    let program = audited.start();
    audited.chat(&program).await;
    let asked = async {
        while audited.grader.asked() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    // The grader has half a minute; longer than the test waits.
    let stopped = tokio::time::timeout(Duration::from_secs(20), program.stop()).await;
    assert!(stopped.unwrap().0);
}
