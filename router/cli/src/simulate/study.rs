//! Many runs of each scenario, on as many threads as there are, with the same rows whatever their number.

use tinydancer_guards::{ApplicableGuards, Arm, BasisPoints, GuardSettings};

use super::attempt::{self, Attempt, Length};
use super::fleet::Fleet;
use super::rivals::{Named, rivals};
use super::row::{End, Row, Share};
use super::scenario::{HARMLESS, Rivals, Scenario};
use super::traffic::{Candidate, Request, Stream, Tenants};

/// A method that looks at requests and may raise an alarm.
pub(crate) trait Method {
    /// Takes one request that this arm decides; whether the candidate must go now.
    fn see(&mut self, request: &Request, arm: Arm) -> bool;
}

/// What is the same in all scenarios.
#[derive(Debug, Clone)]
pub(crate) struct Study {
    pub(crate) settings: GuardSettings,
    pub(crate) runs: u64,
    pub(crate) requests: u64,
    /// Of the trial of a whole attempt.
    pub(crate) attempt_requests: u64,
    pub(crate) per_second: f64,
    pub(crate) pods: Vec<usize>,
    /// The candidate's share for methods that need a canary.
    pub(crate) weight: BasisPoints,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

/// A method on its way through one run.
struct Watch {
    name: &'static str,
    pods: Option<usize>,
    weight: BasisPoints,
    method: Box<dyn Method>,
    seen: End,
    end: Option<End>,
}

impl Watch {
    fn see(&mut self, request: &Request) {
        let arm = request.bucket.arm(self.weight);
        self.seen.see(arm);
        if self.method.see(request, arm) {
            self.end = Some(self.seen);
        }
    }
}

impl Study {
    /// One row a method.
    pub(crate) fn scenario(&self, scenario: &Scenario, tenants: Tenants) -> Vec<Row> {
        let methods: Vec<_> = self.methods(scenario).iter().map(|watch| (watch.name, watch.pods)).collect();
        let ends = self.each_run(|run| self.run(scenario, tenants, run));
        let row = |(place, (method, pods)): (usize, (&'static str, Option<usize>))| Row {
            scenario: scenario.name,
            tenants,
            method: method.to_owned(),
            pods,
            share: if scenario.is_harmful(&self.settings) { Share::Detected } else { Share::FalseAlarm },
            ends: ends.iter().map(|run| run.get(place).copied().flatten()).collect(),
        };
        methods.into_iter().enumerate().map(row).collect()
    }

    fn run(&self, scenario: &Scenario, tenants: Tenants, run: u64) -> Vec<Option<End>> {
        let mut stream = self.stream(scenario.name, tenants, scenario.candidate, run);
        let mut watches = self.methods(scenario);
        for _ in 0..self.requests {
            let request = stream.request();
            let open = watches.iter_mut().filter(|watch| watch.end.is_none());
            if open.map(|watch| watch.see(&request)).count() == 0 {
                break;
            }
        }
        watches.into_iter().map(|watch| watch.end).collect()
    }

    /// Ours, for each number of pods, and the rivals, who look at all pods' metrics together.
    fn methods(&self, scenario: &Scenario) -> Vec<Watch> {
        let weight = if scenario.needs_traffic { self.weight } else { BasisPoints::ZERO };
        let ours = |name, settings, pods| Watch {
            name,
            pods: Some(pods),
            weight,
            method: Box::new(Fleet::new(settings, ApplicableGuards::all(), pods)),
            seen: End::default(),
            end: None,
        };
        let name = if scenario.needs_traffic { "our guards, in the canary" } else { "our guards, in Shadow" };
        let mut methods: Vec<_> = self.pods.iter().map(|pods| ours(name, self.settings, *pods)).collect();
        if scenario.rivals == Rivals::Samples {
            let tight = GuardSettings { uncertainty_margin_permille: 1, ..self.settings };
            methods.push(ours("our guards, in Shadow, margin 0.001", tight, 1));
        }
        let others = rivals(scenario.rivals, self.settings, self.weight);
        let watch = |(name, method): Named| Watch {
            name,
            pods: None,
            weight: self.weight,
            method,
            seen: End::default(),
            end: None,
        };
        methods.extend(others.into_iter().map(watch));
        methods
    }

    /// A sound candidate through whole attempts: false alarms, holds by an uneven split, and the time of each phase.
    pub(crate) fn attempts(&self, tenants: Tenants) -> Vec<Row> {
        self.pods.iter().flat_map(|pods| self.attempts_on(tenants, *pods)).collect()
    }

    fn attempts_on(&self, tenants: Tenants, pods: usize) -> Vec<Row> {
        let attempts = self.each_run(|run| {
            let mut stream = self.stream(HARMLESS, tenants, Candidate::SAME, run);
            let length =
                Length { trial: self.attempt_requests, watch: self.requests, per_second: self.per_second };
            attempt::run(&mut stream, self.settings, pods, length)
        });
        let row = |method: String, share, end: &dyn Fn(&Attempt) -> Option<End>| {
            let ends = attempts.iter().map(end).collect();
            Row { scenario: HARMLESS, tenants, method, pods: Some(pods), share, ends }
        };
        let mut rows = vec![
            row("whole attempt: rolled back".to_owned(), Share::FalseAlarm, &|attempt| attempt.failed),
            row("whole attempt: split looked uneven".to_owned(), Share::FalseAlarm, &|attempt| {
                attempt.uneven
            }),
        ];
        for (place, phase) in attempt::phases().enumerate() {
            let taken = move |attempt: &Attempt| attempt.passed.get(place).copied();
            rows.push(row(format!("passes {phase}"), Share::Passed, &taken));
        }
        let all = |attempt: &Attempt| {
            let sum = |of: &dyn Fn(&End) -> u64| attempt.passed.iter().map(of).sum();
            (attempt.passed.len() == attempt::phases().count())
                .then(|| End { samples: sum(&|end| end.samples), exposed: sum(&|end| end.exposed) })
        };
        rows.push(row("is promoted".to_owned(), Share::Passed, &all));
        rows
    }

    fn stream(&self, scenario: &str, tenants: Tenants, candidate: Candidate, run: u64) -> Stream {
        let name =
            scenario.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)));
        Stream::new(&[self.seed, name, tenants as u64, run], tenants, candidate)
    }

    /// What each run gives, in the order of the runs.
    fn each_run<Outcome: Send>(&self, run: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
        let threads = self.threads.max(1) as u64;
        let mut outcomes: Vec<(u64, Outcome)> = std::thread::scope(|scope| {
            let run = &run;
            let workers: Vec<_> = (0..threads)
                .map(|first| {
                    let mine = (first..self.runs).step_by(threads as usize);
                    scope.spawn(move || mine.map(|number| (number, run(number))).collect::<Vec<_>>())
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        outcomes.sort_by_key(|(number, _)| *number);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
