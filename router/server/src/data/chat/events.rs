//! Reads along in a stream of server-sent events: what it says about tokens, whether it came to its end and, for an audit,
//! its text.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{audit::AnswerText, upstream::Usage};

/// Bytes of the longest line that is looked at; a longer one passes unread.
const LONGEST_LINE: usize = 256 * 1024;

/// Follows the bytes of a stream, however they are split.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    /// The line is longer than is looked at.
    too_long: bool,
    usage: Option<Usage>,
    finished: bool,
    /// No event is half-way.
    whole: bool,
    /// There is one where the answer is to be audited.
    text: Option<AnswerText>,
}

#[derive(Deserialize)]
struct Chunk {
    usage: Option<Usage>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<String>,
}

/// The words of an event. Read only for an audit.
#[derive(Deserialize)]
struct Words<'a> {
    #[serde(borrow, default)]
    choices: Vec<WordsOfChoice<'a>>,
}

#[derive(Deserialize)]
struct WordsOfChoice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Delta<'a>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

impl Events {
    /// Also collects the text of the first choice.
    pub(super) fn with_text() -> Self {
        Self { text: Some(AnswerText::begun()), ..Self::default() }
    }

    /// The text, where it was to be collected.
    pub(super) fn take_text(&mut self) -> Option<AnswerText> {
        self.text.take()
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if let Some(line) = part.strip_suffix(b"\n") {
                self.add(line);
                self.end_line();
            } else {
                self.add(part);
            }
        }
    }

    /// What the stream said about tokens; the last word counts.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether the answer came to its end: `[DONE]`, or a reason why it finished.
    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Whether the stream stands between two events, so that another one may be added.
    pub(super) fn between(&self) -> bool {
        self.whole
    }

    fn add(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.whole = false;
        if self.too_long || self.line.len() + bytes.len() > LONGEST_LINE {
            self.too_long = true;
            self.line.clear();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        let too_long = std::mem::take(&mut self.too_long);
        self.whole = text.is_empty() && !too_long;
        if let (true, Some(text)) = (too_long, &mut self.text) {
            text.forget();
        }
        if let Some(data) = text.strip_prefix(b"data:") {
            self.data(data.trim_ascii());
        }
        // The memory is kept for the next line.
        self.line = line;
        self.line.clear();
    }

    fn data(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.finished = true;
        } else if let Ok(chunk) = serde_json::from_slice::<Chunk>(data) {
            self.usage = chunk.usage.or(self.usage);
            self.finished |= chunk.choices.iter().any(|choice| choice.finish_reason.is_some());
            self.words(data);
        }
    }

    fn words(&mut self, data: &[u8]) {
        let Some(text) = &mut self.text else { return };
        match serde_json::from_slice::<Words<'_>>(data) {
            Ok(words) => {
                let first = words.choices.into_iter().filter(|choice| choice.index == 0);
                first.filter_map(|choice| choice.delta.content).for_each(|words| text.push(&words));
            }
            // Rather no text than one with a hole.
            Err(_) => text.forget(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Answer;
    use proptest::prelude::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"é\"},\"finish_reason\":null}]}\r\n\r\n\
        : a comment\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5}}\n\n\
        data: [DONE]\n\n";

    fn followed(parts: &[&[u8]]) -> (Option<Usage>, bool, bool) {
        let mut events = Events::default();
        for part in parts {
            events.push(part);
        }
        (events.usage(), events.finished(), events.between())
    }

    #[test]
    fn usage_and_end_are_found() {
        let usage = Usage { input_tokens: 11, output_tokens: 5 };
        assert_eq!(followed(&[STREAM.as_bytes()]), (Some(usage), true, true));
    }

    #[test]
    fn a_stream_that_breaks_off_inside_an_event_is_neither_finished_nor_whole() {
        assert_eq!(followed(&[b"data: {\"choices\":[]}\n\ndata: {\"cho"]), (None, false, false));
        assert_eq!(followed(&[b"data: {\"choices\":[]}\n"]), (None, false, false));
    }

    #[test]
    fn the_text_of_the_first_choice_is_collected_for_an_audit_only() {
        let mut events = Events::with_text();
        for event in [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a\n"}},{"index":1,"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"content":"b"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":null},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":null}"#,
        ] {
            events.push(format!("data: {event}\n\n").as_bytes());
        }
        let text = Answer::Text(events.take_text().unwrap()).into_text();
        assert_eq!(text.as_deref(), Some("a\nb"));
        assert!(Events::default().take_text().is_none());
    }

    #[test]
    fn a_text_of_which_something_was_not_understood_is_none() {
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(LONGEST_LINE));
        for event in [r#"{"choices":[{"delta":{"content":[{"type":"text","text":"b"}]}}]}"#, &long] {
            let mut events = Events::with_text();
            for event in [r#"{"choices":[{"delta":{"content":"a"}}]}"#, event] {
                events.push(format!("data: {event}\n\n").as_bytes());
            }
            assert_eq!(Answer::Text(events.take_text().unwrap()).into_text(), None);
        }
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let mut events = Events::default();
        for _ in 0..100 {
            events.push(&[b'x'; 16 * 1024]);
        }
        assert!(events.line.capacity() <= 2 * LONGEST_LINE);
        events.push(b"\ndata: [DONE]\n\n");
        assert!(events.finished());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn how_the_bytes_are_split_makes_no_difference(mut cuts in prop::collection::vec(0..STREAM.len(), 0..40)) {
            cuts.sort_unstable();
            let bytes = STREAM.as_bytes();
            let mut parts = Vec::new();
            let mut start = 0;
            for cut in cuts {
                parts.push(&bytes[start..cut]);
                start = cut;
            }
            parts.push(&bytes[start..]);
            prop_assert_eq!(followed(&parts), followed(&[bytes]));
        }
    }
}
