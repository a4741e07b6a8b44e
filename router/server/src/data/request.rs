//! The body of `/v1/route`, checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    error::ApiError,
    messages::{self, Message},
};

/// Tags a request may carry.
const MOST_TAGS: usize = 32;
/// Bytes of a tag's name or value, of a user or of a conversation.
const LONGEST_NAME: usize = 512;
/// Candidates a request may name.
const MOST_CANDIDATES: usize = 64;

/// The body of `POST /v1/route`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteRequest<'a> {
    text: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    pub(super) user: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) candidates: Option<Vec<String>>,
    pub(super) embedding: Option<Vec<f32>>,
}

impl RouteRequest<'_> {
    /// What the types alone do not say.
    ///
    /// # Errors
    /// 400 with the field.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match (&self.text, &self.messages) {
            (None, None) => return Err(ApiError::field("text", "must be there, or `messages` instead")),
            (Some(_), Some(_)) => {
                return Err(ApiError::field("messages", "must not be there together with `text`"));
            }
            _ => {}
        }
        check_tags("tags", &self.tags)?;
        check_name("user", self.user.as_deref())?;
        check_name("conversation", self.conversation.as_deref())?;
        match &self.candidates {
            Some(names) if names.is_empty() => {
                Err(ApiError::field("candidates", "must name at least one candidate"))
            }
            Some(names) if names.len() > MOST_CANDIDATES => {
                Err(ApiError::field("candidates", &format!("must name at most {MOST_CANDIDATES} candidates")))
            }
            _ => Ok(()),
        }
    }

    /// The text that is classified.
    pub(super) fn text(&self) -> &str {
        match (&self.text, &self.messages) {
            (Some(text), _) => text,
            (None, Some(messages)) => messages::text(messages),
            (None, None) => "",
        }
    }
}

/// Tags are few and short.
///
/// # Errors
/// 400 with the field.
pub(super) fn check_tags(field: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MOST_TAGS {
        return Err(ApiError::field(field, &format!("must have at most {MOST_TAGS} entries")));
    }
    if tags.iter().any(|(name, value)| name.len() > LONGEST_NAME || value.len() > LONGEST_NAME) {
        return Err(ApiError::field(
            field,
            &format!("must have names and values of at most {LONGEST_NAME} bytes"),
        ));
    }
    Ok(())
}

/// The name of a user or a conversation is short.
///
/// # Errors
/// 400 with the field.
pub(super) fn check_name(field: &str, name: Option<&str>) -> Result<(), ApiError> {
    if name.is_some_and(|name| name.len() > LONGEST_NAME) {
        return Err(ApiError::field(field, &format!("must have at most {LONGEST_NAME} bytes")));
    }
    Ok(())
}
