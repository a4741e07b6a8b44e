//! Tags of a chat request: the header `x-router-tags: task=algebra, subject=mathematics`. The body has no place for them
//! that every upstream would take.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::data::{error::ApiError, request::check_tags};

const HEADER: &str = "x-router-tags";

/// Reads the tags.
///
/// # Errors
/// 400 where the header is not a list of `name=value`.
pub(super) fn read(headers: &HeaderMap) -> Result<BTreeMap<String, String>, ApiError> {
    let refused = || ApiError::field(HEADER, "must be a list of name=value, separated by commas");
    let mut tags = BTreeMap::new();
    for value in headers.get_all(HEADER) {
        let list = std::str::from_utf8(value.as_bytes()).map_err(|_| refused())?;
        for tag in list.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let (name, value) = tag.split_once('=').ok_or_else(refused)?;
            tags.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    check_tags(HEADER, &tags)?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn tags_are_names_and_values_separated_by_commas() {
        let mut headers = HeaderMap::new();
        assert!(read(&headers).unwrap().is_empty());
        headers.append(HEADER, HeaderValue::from_static("task=algebra, subject = maths,"));
        headers.append(HEADER, HeaderValue::from_static("level=a=b"));
        let expected = [("task", "algebra"), ("subject", "maths"), ("level", "a=b")];
        assert_eq!(read(&headers).unwrap(), expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        headers.append(HEADER, HeaderValue::from_static("nonsense"));
        assert!(read(&headers).is_err());
    }
}
