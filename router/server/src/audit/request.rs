//! The request of an audit, made of the one that was answered.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// What asks for a stream; an audit waits for the whole answer.
const OF_STREAMS: [&str; 2] = ["stream", "stream_options"];

/// The same request for another model, its answer to come whole. Every other value is written as it came.
pub(super) fn for_model(body: &[u8], model: &str) -> Option<Bytes> {
    let mut fields: BTreeMap<Cow<'_, str>, Cow<'_, RawValue>> = {
        let read: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
        read.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect()
    };
    for name in OF_STREAMS {
        fields.remove(name);
    }
    fields.insert(Cow::Borrowed("model"), Cow::Owned(to_raw_value(model).ok()?));
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

/// The messages as they came.
pub(super) fn messages(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        messages: &'a RawValue,
    }
    serde_json::from_slice::<Fields<'_>>(body).ok().map(|fields| fields.messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{ "stream":true,"model":"auto","stream_options":{"include_usage":true}, "messages":[ {"role":"user","content":"\u00e9"} ],"seed":12345678901234567890123,"x":1e400}"#;

    #[test]
    fn only_model_and_stream_change() {
        let written = for_model(BODY, "a\"b").unwrap();
        let expected = r#"{"messages":[ {"role":"user","content":"\u00e9"} ],"model":"a\"b","seed":12345678901234567890123,"x":1e400}"#;
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
    }

    #[test]
    fn messages_are_handed_on_as_they_came() {
        assert_eq!(messages(BODY).unwrap().get(), r#"[ {"role":"user","content":"\u00e9"} ]"#);
        assert!(messages(b"{}").is_none());
    }
}
