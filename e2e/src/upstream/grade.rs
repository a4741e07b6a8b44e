//! A grader that always says the same of the same prompt, whatever the answers are.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;

/// What is to be graded.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    messages: Value,
    /// Both must be there; what they say does not matter here.
    answers: Answers,
}

#[derive(Debug, Deserialize)]
struct Answers {
    lightweight: String,
    powerful: String,
}

/// The quality of both answers, 0 to 1.
#[derive(Debug, Serialize)]
pub(super) struct Grades {
    lightweight: f64,
    powerful: f64,
}

pub(super) async fn grade(State(shared): State<Arc<Shared>>, Json(question): Json<Question>) -> Json<Grades> {
    let said = !question.answers.lightweight.is_empty() && !question.answers.powerful.is_empty();
    let wrong = !said || is_wrong(&question.messages, shared.behaviour().wrong_permille);
    Json(Grades { lightweight: f64::from(u8::from(!wrong)), powerful: f64::from(u8::from(said)) })
}

fn is_wrong(messages: &Value, permille: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    messages.to_string().hash(&mut hasher);
    hasher.finish() % 1000 < permille
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn about_the_share_that_was_asked_for_is_wrong_and_always_the_same_prompts() {
        let prompts: Vec<Value> =
            (0..1000).map(|number| json!([{ "content": format!("prompt {number}") }])).collect();
        let wrong = |permille| prompts.iter().filter(|prompt| is_wrong(prompt, permille)).count();
        assert_eq!((wrong(0), wrong(1000)), (0, 1000));
        assert!((250..350).contains(&wrong(300)));
        assert!(prompts.iter().all(|prompt| !is_wrong(prompt, 300) || is_wrong(prompt, 600)));
    }
}
