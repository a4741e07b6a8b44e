//! The text of an answer.

use bytes::Bytes;
use serde::Deserialize;

/// Bytes of the longest text that is audited, be it a request's or an answer's.
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// A text that is written as events, as far as it has come. Too long a one is forgotten, not cut.
#[derive(Default)]
pub(crate) struct AnswerText(Option<String>);

/// A whole answer.
pub(crate) enum Answer {
    /// The body of a chat completion.
    Body(Bytes),
    /// The text that came as events.
    Text(AnswerText),
    /// One that nobody held back, because it is too long.
    TooLong,
}

impl AnswerText {
    /// Nothing has come yet.
    pub(crate) fn begun() -> Self {
        Self(Some(String::new()))
    }

    /// Takes the events' next words.
    pub(crate) fn push(&mut self, words: &str) {
        match &mut self.0 {
            Some(text) if text.len() + words.len() <= MOST_BYTES => text.push_str(words),
            _ => self.forget(),
        }
    }

    /// A part of it is not known.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Answer {
    /// Whether it is longer than is audited.
    pub(super) fn is_too_large(&self) -> bool {
        match self {
            Self::Body(body) => body.len() > MOST_BYTES,
            Self::Text(text) => text.0.is_none(),
            Self::TooLong => true,
        }
    }

    /// The text; `None` where there is none, such as in an answer that calls a tool.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Body(body) => text_of(&body),
            Self::Text(text) => text.0.filter(|text| !text.is_empty()),
            Self::TooLong => None,
        }
    }
}

/// The text of the first choice of a chat completion.
fn text_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Completion {
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        content: Option<String>,
    }
    let completion: Completion = serde_json::from_slice(body).ok()?;
    completion.choices.into_iter().next()?.message.content.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &'static str) -> Option<String> {
        Answer::Body(Bytes::from_static(text.as_bytes())).into_text()
    }

    #[test]
    fn the_text_is_that_of_the_first_choice() {
        let two = r#"{"id":"x","choices":[{"message":{"role":"assistant","content":"\u00e9"}},{"message":{"content":"b"}}]}"#;
        assert_eq!(body(two).as_deref(), Some("é"));
    }

    #[test]
    fn an_answer_without_text_has_none() {
        for without in [
            "no json",
            r#"{"choices":[]}"#,
            r#"{"choices":[{"message":{"content":null,"tool_calls":[]}}]}"#,
            r#"{"choices":[{"message":{"content":""}}]}"#,
        ] {
            assert_eq!(body(without), None, "{without}");
        }
        assert_eq!(Answer::Text(AnswerText::begun()).into_text(), None);
    }

    #[test]
    fn a_text_that_grows_too_long_is_forgotten_for_good() {
        let mut text = AnswerText::begun();
        text.push(&"x".repeat(MOST_BYTES));
        assert!(!Answer::Text(AnswerText(text.0.clone())).is_too_large());
        text.push("y");
        text.push("z");
        assert!(Answer::Text(text).is_too_large());
    }
}
