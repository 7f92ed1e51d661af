//! The id by which a caller and an operator speak of one request.

use std::fmt;
use std::sync::Arc;

use dayfly_issuer::Rng;
use http::{HeaderName, HeaderValue};

use crate::rim::SystemRng;

/// The header of every response.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Drawn for each request. What a caller sends as its own is ignored: it would end up in logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// A new one: 96 random bits.
    pub(crate) fn draw() -> Self {
        let mut bytes = [0; 12];
        SystemRng.fill(&mut bytes);
        Self(dayfly_token::base64url::encode(bytes).into())
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
