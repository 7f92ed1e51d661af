use std::sync::Arc;

use http::Response;
use http::request::Parts;

use super::challenge::Challenge;
use super::refusal::RefusedWithin;

/// How a protected service speaks to its callers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Dialect {
    #[default]
    Http,
    #[cfg(feature = "tonic")]
    Grpc,
}

/// What stands behind the gate finds this among the extensions of its requests: how to turn a caller away in the same
/// words as the gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behind {
    pub(super) dialect: Dialect,
    /// Where the API's metadata is.
    pub(super) metadata_url: Option<String>,
    /// Whether tokens are accepted under the scheme `DPoP`.
    pub(super) dpop: bool,
}

impl Behind {
    fn metadata_url(&self) -> Option<&str> {
        self.metadata_url.as_deref()
    }

    /// The whole answer, with an empty body.
    pub(crate) fn answer<B: Default>(&self, challenge: &Challenge) -> Response<B> {
        match self.dialect {
            Dialect::Http => challenge.response_with(self.metadata_url(), self.dpop),
            #[cfg(feature = "tonic")]
            Dialect::Grpc => self.status(challenge).into_http::<B>(),
        }
    }

    /// The answer in gRPC.
    #[cfg(feature = "tonic")]
    pub(crate) fn status(&self, challenge: &Challenge) -> tonic::Status {
        crate::tonic::status_of(challenge, self.metadata_url(), self.dpop)
    }

    /// The answer to a call that the gate let in, with a note for the gate about why it was refused after all.
    pub(crate) fn refuse<B: Default>(
        this: Option<&Arc<Self>>,
        challenge: &Challenge,
        why: RefusedWithin,
    ) -> Response<B> {
        let mut response = match this {
            Some(behind) => behind.answer(challenge),
            None => Self::default().answer(challenge),
        };
        response.extensions_mut().insert(why);
        response
    }
}

impl Dialect {
    /// What was called, by the name that the API gave it. Never the path itself: it has no bound, and may name people.
    pub(super) fn route(self, parts: &Parts) -> Option<Box<str>> {
        match self {
            Self::Http => template_of(parts),
            #[cfg(feature = "tonic")]
            Self::Grpc => crate::tonic::method_of(parts.uri.path()).map(Into::into),
        }
    }

    /// The statuses that [`Behind::answer`] gives: of HTTP, and of gRPC.
    pub(super) fn statuses(self, challenge: &Challenge) -> (Option<u16>, Option<i32>) {
        match self {
            Self::Http => (Some(challenge.status().as_u16()), None),
            #[cfg(feature = "tonic")]
            Self::Grpc => (Some(200), Some(crate::tonic::code_of(challenge).into())),
        }
    }

    /// The status of gRPC, if the head of the response has one already.
    pub(super) fn grpc_status<R>(self, _response: &Response<R>) -> Option<i32> {
        match self {
            Self::Http => None,
            #[cfg(feature = "tonic")]
            Self::Grpc => crate::tonic::status_in(_response),
        }
    }

    /// What stood behind the gate and refused the call, if so.
    pub(super) fn refused_within<R>(self, response: &mut Response<R>) -> Option<RefusedWithin> {
        let why = response.extensions_mut().remove();
        match self {
            Self::Http => why,
            #[cfg(feature = "tonic")]
            Self::Grpc => why.or_else(|| crate::tonic::refused_within(response)),
        }
    }
}

#[cfg(feature = "axum")]
fn template_of(parts: &Parts) -> Option<Box<str>> {
    let path: Option<&axum::extract::MatchedPath> = parts.extensions.get();
    path.map(|path| path.as_str().into())
}

/// Only a router knows it.
#[cfg(not(feature = "axum"))]
const fn template_of(_parts: &Parts) -> Option<Box<str>> {
    None
}
