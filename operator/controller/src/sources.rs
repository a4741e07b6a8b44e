//! What lies behind an error, for the log.

/// The texts of everything the error came from, nearest first.
pub fn sources(error: &dyn std::error::Error) -> String {
    let mut texts = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to read")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_text_leaves_out_the_error_itself() {
        assert_eq!(sources(&Outer(std::io::Error::other("no disk"))), "no disk");
        assert_eq!(sources(&std::io::Error::other("no disk")), "");
    }
}
