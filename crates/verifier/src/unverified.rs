use std::fmt;

/// A token as it came in: an opaque text.
///
/// It has no claim accessors on purpose. The only way to its claims is
/// [`Verifier::verify`](crate::Verifier::verify), which consumes it.
#[derive(Clone, Copy)]
pub struct UnverifiedToken<'a>(&'a str);

impl<'a> UnverifiedToken<'a> {
    /// Wraps the text of a token, without looking at it.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(crate) const fn text(self) -> &'a str {
        self.0
    }
}

/// Says how long the token is and nothing else: a token is a secret.
impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedToken({} bytes)", self.0.len())
    }
}
