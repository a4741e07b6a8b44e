//! The body of a chat request: read as far as routing needs it, and passed on byte by byte with another `model`.

use std::{borrow::Cow, ops::Range};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::data::{
    body::parse,
    error::ApiError,
    messages::{self, Message},
    request::check_name,
};

#[derive(Debug, Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
}

/// A chat request whose body is kept as it came.
#[derive(Debug)]
pub(super) struct ChatBody<'a> {
    bytes: &'a Bytes,
    fields: Fields<'a>,
    /// What stands in `model`.
    pub(super) model: Cow<'a, str>,
    model_at: Range<usize>,
}

impl<'a> ChatBody<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 with the field.
    pub(super) fn read(bytes: &'a Bytes) -> Result<Self, ApiError> {
        let fields: Fields<'a> = parse(bytes)?;
        check_name("user", fields.user.as_deref())?;
        let raw = fields.model.get();
        let model = text(raw).ok_or_else(|| ApiError::field("model", "must be a string"))?;
        // The raw value is a part of `bytes`: its place there is where another model's name goes.
        let start = raw.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        let model_at = start..start.saturating_add(raw.len());
        if bytes.get(model_at.clone()) != Some(raw.as_bytes()) {
            return Err(ApiError::field("model", "must be a string"));
        }
        Ok(Self { bytes, fields, model, model_at })
    }

    /// The whole body as it came.
    pub(super) fn bytes(&self) -> &Bytes {
        self.bytes
    }

    /// The text that is classified.
    pub(super) fn text(&self) -> &str {
        messages::text(&self.fields.messages)
    }

    /// OpenAI's `user` field.
    pub(super) fn user(&self) -> Option<&str> {
        self.fields.user.as_deref()
    }

    /// The body with this model's name, every other byte as it came.
    pub(super) fn with_model(&self, model: &str) -> Bytes {
        let name = serde_json::Value::from(model).to_string();
        let mut body = BytesMut::with_capacity(self.bytes.len() + name.len());
        body.extend_from_slice(self.bytes.get(..self.model_at.start).unwrap_or_default());
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(self.bytes.get(self.model_at.end..).unwrap_or_default());
        body.freeze()
    }
}

/// A JSON string; borrowed where it has no escapes.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(body: &str, model: &str) -> String {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let read = ChatBody::read(&bytes).unwrap();
        String::from_utf8(read.with_model(model).to_vec()).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        let before =
            "{ \"x\": 1.0e+2, \"messages\":[] ,\n\"model\" : \"au\\u0074o\", \"x-y\":{\"model\":\"m\"}}";
        let after = "{ \"x\": 1.0e+2, \"messages\":[] ,\n\"model\" : \"a\\\"b\", \"x-y\":{\"model\":\"m\"}}";
        assert_eq!(rewritten(before, "a\"b"), after);
        let bytes = Bytes::copy_from_slice(before.as_bytes());
        assert_eq!(ChatBody::read(&bytes).unwrap().model, "auto");
    }

    #[test]
    fn a_second_model_field_is_refused() {
        let bytes = Bytes::from_static(br#"{"model":"a","messages":[],"model":"b"}"#);
        assert!(ChatBody::read(&bytes).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_stands_around_the_model_stays(before in "[ \n\t]{0,9}", extra in "\\PC{0,20}", model in "\\PC{0,20}") {
            let extra = serde_json::Value::from(extra).to_string();
            let name = serde_json::Value::from(model.as_str()).to_string();
            let body = |model: &str| format!("{before}{{{extra}:{before}7,\"model\":{before}{model}{before},\"messages\":[]}}{before}");
            prop_assume!(!["\"model\"", "\"messages\"", "\"user\""].contains(&extra.as_str()));
            prop_assert_eq!(rewritten(&body("\"auto\""), &model), body(&name));
        }
    }
}
