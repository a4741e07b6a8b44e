//! The program itself, alone from a manifest.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tinydancer_crds::Digest;
use tinydancer_engine::testing;
use tinydancer_server::runtime::{BOOT_ASSIGNMENT, BOOT_MODEL};

use super::upstream::{Behaviour, Upstream};
use crate::{certificates, pod};

pub(super) const KEY: &str = "sk-live-5d41402abc4b2a76b9719d911017c592";
pub(super) const PROMPT: &str = "zanzibar-marker-prompt";

/// A running program; its log is read to the end when it stops.
pub(super) struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Vec<String>,
    pub(super) url: String,
}

impl Program {
    pub(super) fn alone(folder: &Path, arguments: &[&str]) -> Self {
        let alone = ["--log", "trace", "--policy", "policy.yaml", "--data", "data"];
        Self::start(folder, &[&alone, arguments].concat(), &[])
    }

    fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tiny-dancer-router"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "human"])
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut log = Vec::new();
        let url = loop {
            let line = lines.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{log:#?}"));
            log.push(line.clone());
            if let Some((_, address)) = line.split_once("serving address=") {
                break format!("http://{address}");
            }
        };
        Self { child, lines, log, url }
    }

    /// SIGTERM; answers how it ended and everything it logged.
    pub(super) async fn stop(self) -> (bool, String) {
        self.end(Signal::SIGTERM).await
    }

    /// SIGKILL, as a node that runs out of memory does.
    pub(super) async fn kill(self) {
        assert!(!self.end(Signal::SIGKILL).await.0);
    }

    async fn end(mut self, signal: Signal) -> (bool, String) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        tokio::task::spawn_blocking(move || {
            let succeeded = self.child.wait().unwrap().success();
            self.log.extend(self.lines.iter());
            (succeeded, self.log.join("\n"))
        })
        .await
        .unwrap()
    }
}

pub(super) fn policy(small: &Upstream, large: &Upstream) -> String {
    let candidate = |name, tier, upstream: &Upstream| {
        let endpoint = upstream.endpoint();
        format!(
            "  - {{ name: {name}, tier: {tier}, endpoint: \"{endpoint}\", model: m, apiKeyRef: {{ name: k, key: k }},\n    \
             cost: {{ inputPerMillionTokens: \"1\", outputPerMillionTokens: \"2\" }} }}\n"
        )
    };
    format!(
        "apiVersion: routing.tinydancer.dev/v1alpha1\nkind: RoutingPolicy\nmetadata: {{ name: support }}\nspec:\n  \
         model: {{ name: m }}\n  decision: {{ thresholds: {{ confidencePermille: 0, fallbackPermille: 0 }} }}\n  \
         rollout: {{ steps: [ {{ weightPercent: 5 }} ] }}\n  candidates:\n{}{}",
        candidate("small", "Lightweight", small),
        candidate("large", "Powerful", large)
    )
}

/// A file of the history that holds these bytes.
pub(super) fn file_with(folder: &Path, secret: &str) -> Option<PathBuf> {
    let files = fs::read_dir(folder.join("data")).unwrap().map(|file| file.unwrap().path());
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    files.into_iter().find(|path| holds(&fs::read(path).unwrap()))
}

pub(super) fn laid_out(small: &Upstream, large: &Upstream) -> tempfile::TempDir {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), policy(small, large)).unwrap();
    fs::write(folder.path().join("model.safetensors"), testing::artifact("1.0.0", 1).unwrap()).unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    for name in ["small", "large"] {
        fs::write(folder.path().join("keys").join(format!("upstream.{name}")), KEY).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_prompt_nor_key_nor_user_nor_tag_is_in_a_log_of_any_level_a_metric_or_a_file() {
    let small = Upstream::start(Behaviour::Status(500, Vec::new(), PROMPT)).await;
    let large = Upstream::start(Behaviour::BrokenEvents(vec![b"data: zanzibar-marker-prompt\n\n"])).await;
    let folder = laid_out(&small, &large);
    let arguments = ["--model", "model.safetensors", "--credentials", "keys"];
    let program = Program::alone(folder.path(), &arguments);
    let client = reqwest::Client::new();
    let chat = format!(
        r#"{{"model":"auto","user":"{PROMPT}","messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    for (path, body) in [
        ("/v1/chat/completions", chat.clone()),
        ("/v1/chat/completions", chat.replace("auto", PROMPT)),
        ("/v1/route", format!(r#"{{"text":"{PROMPT}","tags":{{"{PROMPT}":"{PROMPT}"}}}}"#)),
        ("/v1/route", format!(r#"{{"text":"{PROMPT}","tags":"{PROMPT}"}}"#)),
        ("/v1/feedback", format!(r#"{{"decision_id":"{PROMPT}","outcome":"good"}}"#)),
    ] {
        let request = client.post(format!("{}{path}", program.url)).body(body);
        let request = request.header("x-router-tags", format!("a={PROMPT}")).bearer_auth(PROMPT);
        request.send().await.unwrap().bytes().await.unwrap();
    }
    assert_eq!((small.asked(), large.asked()), (1, 1));
    let metrics = client.get(format!("{}/metrics", program.url)).send().await.unwrap().text().await.unwrap();
    let (succeeded, log) = program.stop().await;
    assert!(succeeded && log.contains("upstream failed"), "{log}");
    for secret in [PROMPT, KEY] {
        assert!(!metrics.contains(secret));
        assert_eq!(log.lines().find(|line| line.contains(secret)), None);
        assert_eq!(file_with(folder.path(), secret), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_model_everything_goes_to_powerful_and_says_so() {
    let up = Upstream::start(Behaviour::Answer).await;
    let folder = laid_out(&up, &up);
    let program = Program::alone(folder.path(), &[]);
    let url = format!("{}/v1/route", program.url);
    let answer = reqwest::Client::new().post(url).body(r#"{"text":"x"}"#).send().await.unwrap();
    let decision = super::json(answer).await;
    assert_eq!((&decision["tier"], &decision["classified"]), (&"Powerful".into(), &false.into()));
    assert_eq!((&decision["arm"], &decision["digest"]), (&"none".into(), &serde_json::Value::Null));
    assert!(program.stop().await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_serves_what_its_boot_folder_says_and_ends_in_good_order() {
    let up = Upstream::start(Behaviour::Answer).await;
    let folder = laid_out(&up, &up);
    let model = pod::model("1.0.0");
    let mut assignment = pod::settled(1, Some(Digest::of(&model)));
    for candidate in &mut assignment.configuration.candidates {
        candidate.endpoint = up.endpoint();
    }
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("boot")).unwrap();
    fs::write(path("boot").join(BOOT_ASSIGNMENT), serde_json::to_vec(&assignment).unwrap()).unwrap();
    fs::write(path("boot").join(BOOT_MODEL), model).unwrap();
    fs::write(path("keys").join("feedback.key"), [7; 32]).unwrap();
    let tls = certificates::mounted(&certificates::Authority::new());
    fs::create_dir(path("data")).unwrap();
    let tls = tls.path().to_str().unwrap();
    let program = Program::start(
        folder.path(),
        &[
            "--boot",
            "boot",
            "--tls",
            tls,
            "--credentials",
            "keys",
            "--data",
            "data",
            "--control-listen",
            "127.0.0.1:0",
        ],
        &[
            ("POD_NAME", "support-0"),
            ("POD_NAMESPACE", "demo"),
            ("POLICY_NAME", "support"),
            ("PEER_DOMAIN", "local"),
        ],
    );
    assert_eq!(reqwest::get(format!("{}/readyz", program.url)).await.unwrap().text().await.unwrap(), "ok\n");
    let body = r#"{"model":"support","messages":[{"role":"user","content":"Hi"}]}"#;
    let url = format!("{}/v1/chat/completions", program.url);
    let answer = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(super::header(&answer, "x-router-decision-id").starts_with("td1.support-0.s."));
    let (succeeded, log) = program.stop().await;
    assert!(succeeded, "{log}");
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_one_line_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tiny-dancer-router"))
            .args(["serve", "--log", "error", "--data", "data", "--policy"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = run(&["nowhere.yaml"]);
    assert!(missing.starts_with("tiny-dancer-router: failed to read nowhere.yaml: "), "{missing}");
    fs::write(folder.path().join("policy.yaml"), "kind: RoutingPolicy\nspec: 1").unwrap();
    assert!(run(&["policy.yaml"]).contains("policy.yaml must be a RoutingPolicy"));
    let good = include_str!("../../../../../crds/tests/fixtures/policy.yaml");
    fs::write(folder.path().join("policy.yaml"), good).unwrap();
    fs::write(folder.path().join("model"), "no model").unwrap();
    let model = run(&["policy.yaml", "--model", "model"]);
    assert!(model.contains("model cannot be used") && model.lines().count() == 1, "{model}");
}
