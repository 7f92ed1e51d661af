use zeroize::Zeroizing;

/// A text that must not leak: a token, an assertion, a private key.
///
/// It has no `Debug`, no `Display`, no `Serialize` and no `Clone`; the memory is overwritten when it is dropped. The
/// HTTP and TLS libraries make copies of their own while a request is under way; those are not covered.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
