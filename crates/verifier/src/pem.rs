//! What is wrong with a PEM file, without its content.

use rustls_pki_types::pem::Error;

/// What is wrong. The error's own text quotes the line, which may be a private key that lost its line ends.
pub(crate) const fn problem(error: &Error) -> &'static str {
    match error {
        Error::IllegalSectionStart { .. } => "the first line of a section is malformed",
        Error::MissingSectionEnd { .. } => "a section has no end",
        Error::NoItemsFound => "it holds none",
        _ => "a section cannot be decoded",
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::problem;

    #[test]
    fn a_key_without_line_ends_is_not_quoted() {
        let text = "-----BEGIN PRIVATE KEY-----canary-----END PRIVATE KEY----";
        let error = PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap_err();
        assert!(!problem(&error).contains("canary"));
        assert!(!problem(&error).contains("99"), "nor byte by byte");
        assert_eq!(problem(&error), "the first line of a section is malformed");
    }
}
