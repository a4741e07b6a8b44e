//! What keeps requests that belong together in one arm.

use http::HeaderMap;

const CONVERSATION_HEADERS: [&str; 2] = ["x-conversation-id", "x-session-id"];
const REQUEST_HEADER: &str = "x-request-id";

/// The key of a request: conversation (field, then header), user, request id, in that order.
pub(super) fn key<'a>(
    conversation: Option<&'a str>,
    user: Option<&'a str>,
    headers: &'a HeaderMap,
) -> Option<&'a [u8]> {
    let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let field = |value: Option<&'a str>| value.map(str::as_bytes);
    [field(conversation)]
        .into_iter()
        .chain(CONVERSATION_HEADERS.map(header))
        .chain([field(user), header(REQUEST_HEADER)])
        .flatten()
        .find(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversation_comes_before_user_and_user_before_request_id() {
        let mut headers = HeaderMap::new();
        assert_eq!(key(None, None, &headers), None);
        headers.insert("x-request-id", http::HeaderValue::from_static("r"));
        assert_eq!(key(None, None, &headers), Some(&b"r"[..]));
        assert_eq!(key(None, Some("u"), &headers), Some(&b"u"[..]));
        headers.insert("x-session-id", http::HeaderValue::from_static("s"));
        assert_eq!(key(None, Some("u"), &headers), Some(&b"s"[..]));
        assert_eq!(key(Some("c"), Some("u"), &headers), Some(&b"c"[..]));
        assert_eq!(key(Some(""), Some("u"), &headers), Some(&b"s"[..]));
    }
}
