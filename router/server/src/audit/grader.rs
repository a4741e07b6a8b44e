//! Who says how good two answers are: an HTTP endpoint of the policy.
//!
//! `POST {"messages": [...], "answers": {"lightweight": "...", "powerful": "..."}}` is answered with
//! `{"lightweight": 0.4, "powerful": 1}`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    runtime::Grades,
    upstream::{Client, Failure, Reply},
};

/// Both tiers' answers to one request.
#[derive(Serialize)]
pub(super) struct Answers {
    pub(super) lightweight: String,
    pub(super) powerful: String,
}

/// Why there are no grades. Never quotes what was graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum GradeError {
    /// There was no answer.
    #[error("the grader did not answer: {}", .0.as_str())]
    Failed(Failure),
    /// It refused.
    #[error("the grader must answer with a status of 2xx, not {0}")]
    Refused(StatusCode),
    /// It answered something else.
    #[error(r#"the grader must answer {{"lightweight": 0..1, "powerful": 0..1}}"#)]
    Malformed,
}

/// Where to ask, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grader<'a> {
    pub(super) client: &'a Client,
    pub(super) endpoint: &'a str,
    pub(super) within: Duration,
}

#[derive(Serialize)]
struct Question<'a> {
    messages: &'a RawValue,
    answers: &'a Answers,
}

#[derive(Deserialize)]
struct Verdict {
    lightweight: f32,
    powerful: f32,
}

impl Grader<'_> {
    /// Asks for the grades of two answers.
    ///
    /// # Errors
    /// [`GradeError`].
    pub(super) async fn grade(
        &self,
        key: Option<HeaderValue>,
        messages: &RawValue,
        answers: &Answers,
    ) -> Result<Grades, GradeError> {
        let body = serde_json::to_vec(&Question { messages, answers }).map_err(|_| GradeError::Malformed)?;
        let reply = self.client.post(self.endpoint, key, HeaderMap::new(), body.into(), self.within).await;
        match reply.map_err(GradeError::Failed)? {
            Reply::Whole { status, body, .. } if status.is_success() => grades(&body),
            Reply::Whole { status, .. } | Reply::Begun { status, .. } if !status.is_success() => {
                Err(GradeError::Refused(status))
            }
            // Too long for two numbers, or a stream.
            Reply::Whole { .. } | Reply::Begun { .. } => Err(GradeError::Malformed),
        }
    }
}

fn grades(body: &Bytes) -> Result<Grades, GradeError> {
    let verdict: Verdict = serde_json::from_slice(body).map_err(|_| GradeError::Malformed)?;
    Grades::new(verdict.lightweight, verdict.powerful).ok_or(GradeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_are_two_numbers_between_0_and_1_and_nothing_else() {
        let read = |body: &'static str| grades(&Bytes::from_static(body.as_bytes()));
        let good = read(r#"{"lightweight":0.25,"powerful":1,"why":"because"}"#).unwrap();
        assert_eq!((good.lightweight(), good.powerful()), (0.25, 1.0));
        for bad in [
            "",
            "{}",
            r#"{"lightweight":1}"#,
            r#"{"lightweight":1.01,"powerful":0}"#,
            r#"{"lightweight":-0.1,"powerful":0}"#,
            r#"{"lightweight":null,"powerful":0}"#,
            r#"{"lightweight":"1","powerful":0}"#,
        ] {
            assert_eq!(read(bad), Err(GradeError::Malformed), "{bad}");
        }
    }
}
