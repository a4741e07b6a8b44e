//! OpenAI chat messages, as far as deciding needs them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// One message. Everything else in it is not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
}

/// The text of a message: the string itself, or the text parts joined with line breaks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content<'a>(Cow<'a, str>);

/// The text that is classified: the content of the last user message; empty without one.
pub(super) fn text<'m>(messages: &'m [Message<'_>]) -> &'m str {
    messages.iter().rev().find(|message| message.role == "user").map_or("", |message| &message.content.0)
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, an array of parts, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut text = String::new();
        while let Some(part) = parts.next_element::<Part<'de>>()? {
            if part.r#type != "text" {
                continue;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&part.text.unwrap_or_default());
        }
        Ok(Content(Cow::Owned(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(json: &str) -> String {
        let messages: Vec<Message<'_>> = serde_json::from_str(json).unwrap();
        text(&messages).to_owned()
    }

    #[test]
    fn the_text_is_the_last_user_message() {
        let json = r#"[{"role":"user","content":"first"},{"role":"assistant","content":"answer"},
            {"role":"user","content":"se\ncond"},{"role":"tool","content":"42","tool_call_id":"x"}]"#;
        assert_eq!(text_of(json), "se\ncond");
    }

    #[test]
    fn only_text_parts_are_read() {
        let json = r#"[{"role":"user","content":[{"type":"text","text":"look"},
            {"type":"image_url","image_url":{"url":"data:,"}},{"type":"text","text":"here"}]}]"#;
        assert_eq!(text_of(json), "look\nhere");
    }

    #[test]
    fn without_a_user_message_the_text_is_empty() {
        assert_eq!(text_of("[]"), "");
        assert_eq!(text_of(r#"[{"role":"assistant","content":null,"tool_calls":[]}]"#), "");
    }
}
