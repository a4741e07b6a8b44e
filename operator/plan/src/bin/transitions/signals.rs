//! Every signal with every value that the rule can tell apart, and each value in words.

use tinydancer_crds::routing_policy::OnDeadline;
use tinydancer_guards::Verdict;
use tinydancer_plan::rollout::{Approval, Signals, Wish};

/// Percent of the canary's steps, where the spec can be used: one step that another follows, and a last one.
pub(crate) const WEIGHTS: [u8; 2] = [5, 50];

/// One value of one signal.
pub(crate) struct Value {
    /// What it says.
    pub(crate) words: &'static str,
    /// Gives it to the signal.
    pub(crate) set: fn(&mut Signals),
}

/// One field of [`Signals`].
pub(crate) struct Signal {
    /// Its name.
    pub(crate) field: &'static str,
    /// Its values; the first is that of a trial that goes well.
    pub(crate) values: Vec<Value>,
    /// Values that are told together where all of them are allowed: their indices, and the words.
    pub(crate) groups: &'static [(&'static [usize], &'static str)],
}

impl Signal {
    fn of(field: &'static str, values: Vec<Value>) -> Self {
        Self { field, values, groups: &[] }
    }

    /// That the signal has one of these values.
    pub(crate) fn words(&self, mut allowed: Vec<usize>) -> String {
        let mut words = Vec::new();
        for (group, text) in self.groups {
            if group.iter().all(|value| allowed.contains(value)) {
                allowed.retain(|value| !group.contains(value));
                words.push(*text);
            }
        }
        words.extend(allowed.iter().filter_map(|value| self.values.get(*value)).map(|value| value.words));
        words.join(", or ")
    }

    fn wish(values: Vec<Value>) -> Self {
        Self {
            field: "wish",
            values,
            groups: &[
                (&[4, 5, 6, 7], "the spec names a third model"),
                (&[0, 1], "the spec names the candidate"),
                (&[4, 5], "the spec names a third model that is not in quarantine"),
                (&[6, 7], "the spec names a third model that is in quarantine"),
            ],
        }
    }
}

macro_rules! value {
    ($field:ident = $value:expr, $words:literal) => {
        Value { words: $words, set: |signals| signals.$field = $value }
    };
}

/// A signal that is so or not so; what goes well comes first.
macro_rules! fact {
    ($field:ident: $first:literal $first_words:literal, $second:literal $second_words:literal) => {
        Signal::of(
            stringify!($field),
            vec![value!($field = $first, $first_words), value!($field = $second, $second_words)],
        )
    };
}

/// A trial that goes well. A signal that is added to the rule has to be added here and in [`all`].
pub(crate) fn base() -> Signals {
    Signals {
        wish: Wish::Trial { trusted: false },
        abort: false,
        promote: false,
        retry: false,
        held: false,
        approval: Approval::NotNeeded,
        configuration_changed: false,
        tripped: false,
        refused: false,
        verdict: Verdict::Pass,
        acknowledged: true,
        promoted: true,
        released: true,
        minimums_met: true,
        overdue: None,
        blind: false,
        uneven: false,
        watched: true,
        watch_over: true,
        weights: WEIGHTS.to_vec(),
    }
}

/// All signals, in the order in which a rule tells them.
pub(crate) fn all() -> Vec<Signal> {
    let mut signals = vec![wish()];
    signals.extend(judgements());
    signals.extend(commands());
    signals.extend(circumstances());
    signals
}

fn wish() -> Signal {
    const fn other(quarantined: bool, trusted: bool) -> Wish {
        Wish::Other { quarantined, trusted }
    }
    Signal::wish(vec![
        value!(
            wish = Wish::Trial { trusted: false },
            "the spec names the candidate, without vouching for it"
        ),
        value!(wish = Wish::Trial { trusted: true }, "the spec names the candidate and vouches for it"),
        value!(wish = Wish::Unknown, "the spec or its model cannot be used"),
        value!(wish = Wish::Stable, "the spec names the stable model"),
        value!(
            wish = other(false, false),
            "the spec names a third model that is not in quarantine, without vouching for it"
        ),
        value!(
            wish = other(false, true),
            "the spec names a third model that is not in quarantine and vouches for it"
        ),
        value!(
            wish = other(true, false),
            "the spec names a third model that is in quarantine, without vouching for it"
        ),
        value!(
            wish = other(true, true),
            "the spec names a third model that is in quarantine and vouches for it"
        ),
        value!(wish = Wish::Previous, "the spec names the model that served before the stable one"),
    ])
}

fn judgements() -> Vec<Signal> {
    vec![
        Signal::of(
            "verdict",
            vec![
                value!(verdict = Verdict::Pass, "the verdict is Pass"),
                value!(verdict = Verdict::Inconclusive, "the verdict is Inconclusive"),
                value!(verdict = Verdict::Fail, "the verdict is Fail: a guard crossed its limit"),
            ],
        ),
        fact!(tripped: false "no pod tripped the candidate", true "a pod tripped the candidate in this trial"),
        fact!(refused: false "no pod refuses the candidate", true "a pod refuses to load the candidate"),
        fact!(minimums_met: true "the minimums of samples and time are met", false "the minimums of samples and time are not met"),
    ]
}

fn commands() -> Vec<Signal> {
    vec![
        fact!(abort: false "no abort annotation names this trial", true "the abort annotation names this trial"),
        fact!(promote: false "no promote annotation names this trial", true "the promote annotation names this trial"),
        fact!(retry: false "no fresh retry token is set", true "the retry annotation holds a token that has not acted yet"),
        fact!(held: false "`spec.paused` is not set", true "`spec.paused` is set"),
        Signal::of(
            "approval",
            vec![
                value!(approval = Approval::NotNeeded, "what comes next needs no approval"),
                value!(approval = Approval::Given, "what comes next is approved"),
                value!(approval = Approval::Awaited, "what comes next needs an approval and has none"),
            ],
        ),
    ]
}

fn circumstances() -> Vec<Signal> {
    vec![
        fact!(configuration_changed: false "the configuration is the one the evidence was gathered under", true "the configuration is another than the evidence was gathered under"),
        fact!(acknowledged: true "all pods that count hold the current epoch and have verified the candidate", false "some pod that counts lacks the current epoch or the candidate, or none counts"),
        fact!(promoted: true "all pods that count serve the candidate as stable", false "some pod that counts does not serve the candidate as stable, or none counts"),
        fact!(released: true "each Ready pod holds the current epoch, or its lease has ended", false "a Ready pod may still act on an older epoch"),
        fact!(blind: false "pods report", true "there are pods and none has reported for too long"),
        fact!(uneven: false "requests are split between the arms as the weight says", true "requests are not split between the arms as the weight says"),
        fact!(watched: true "there is a model to go back to, and `watchSeconds` is not 0", false "there is no model to go back to, or `watchSeconds` is 0"),
        fact!(watch_over: true "the watch has lasted `watchSeconds`", false "the watch has not lasted `watchSeconds`"),
        Signal::of(
            "overdue",
            vec![
                value!(overdue = None, "the step's deadline has not passed"),
                value!(
                    overdue = Some(OnDeadline::Pause),
                    "the step's deadline has passed and `onDeadline` is Pause"
                ),
                value!(
                    overdue = Some(OnDeadline::RollBack),
                    "the step's deadline has passed and `onDeadline` is RollBack"
                ),
            ],
        ),
        Signal::of(
            "weights",
            vec![
                Value {
                    words: "the spec can be used",
                    set: |signals| WEIGHTS.as_slice().clone_into(&mut signals.weights),
                },
                Value { words: "the spec cannot be used", set: |signals| signals.weights.clear() },
            ],
        ),
    ]
}
