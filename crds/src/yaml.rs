//! The one place that reads and writes YAML.
//!
//! `serde_yaml` is frozen; everything goes through here so that a successor is a change of one file.

use serde::{Serialize, de::DeserializeOwned};

/// A document could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to process YAML: {0}")]
pub struct YamlError(#[from] serde_yaml::Error);

/// Reads one document.
///
/// # Errors
/// Where the text is not YAML or does not have the shape of `T`; the message names line and field.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every document of a stream separated by `---`; empty documents are skipped.
///
/// # Errors
/// As [`from_str`], for the first document that is wrong.
pub fn from_multi<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    use serde::Deserialize as _;
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document)?;
        if !value.is_null() {
            documents.push(serde_yaml::from_value(value)?);
        }
    }
    Ok(documents)
}

/// Writes one document.
///
/// # Errors
/// Where the value cannot be written as YAML.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    Ok(serde_yaml::to_string(value)?)
}
