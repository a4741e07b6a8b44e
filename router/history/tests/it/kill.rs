use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use tinydancer_history::{History, Opened, Options};

use crate::support::{Folder, decision, feedback, now};

const FILE: &str = "HISTORY_KILLED_FILE";
const CYCLE: &str = "HISTORY_KILLED_CYCLE";

/// The process that is killed: gives feedback without end and prints what was acknowledged.
#[test]
fn process_to_kill() {
    let (Ok(file), Ok(cycle)) = (std::env::var(FILE), std::env::var(CYCLE)) else { return };
    let history = History::open(file.as_ref(), &Options::default()).unwrap().0;
    println!("ready");
    for number in 0_u64.. {
        let id = format!("{cycle}-{number}");
        history.record_decision(decision(&id, now()));
        let acknowledged = id.clone();
        history.record_feedback(feedback(&id, "k"), move |result| {
            if result.is_ok() {
                let mut output = std::io::stdout().lock();
                let _ = writeln!(output, "ack {acknowledged}").and_then(|()| output.flush());
            }
        });
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Starts the process, kills it `after` its first acknowledgement, and returns what it acknowledged.
fn run_and_kill(folder: &Folder, cycle: u32, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::process_to_kill", "--nocapture"])
        .env(FILE, folder.file())
        .env(CYCLE, cycle.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.find(|line| line.starts_with("ack ")).expect("the process acknowledged nothing");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may have been cut short by the kill.
    let mut acknowledged: Vec<_> = std::iter::once(first).chain(lines).collect();
    acknowledged.pop();
    acknowledged.into_iter().map(|line| line["ack ".len()..].to_owned()).collect()
}

#[test]
fn a_feedback_that_was_acknowledged_survives_a_kill() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for cycle in 0..12 {
        acknowledged.extend(run_and_kill(&folder, cycle, Duration::from_millis(u64::from(cycle) * 7)));
        let (history, opened) = History::open(&folder.file(), &Options::default()).unwrap();
        assert_eq!(opened, Opened::Existing);
        for id in &acknowledged {
            assert!(history.feedback(id).unwrap().is_some(), "cycle {cycle}: {id} is lost");
        }
    }
    assert!(acknowledged.len() > 100, "only {} acknowledged", acknowledged.len());
}
