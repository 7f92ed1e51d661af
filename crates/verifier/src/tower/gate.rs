use std::sync::Arc;

use dayfly_token::UnixTime;
use http::request::Parts;
use http::{Request, Response};
use tracing::{debug, warn};

use super::bearer::{Bearer, hide};
use super::challenge::Challenge;
use crate::{
    PeerCertificate, Presented, Rejection, RejectionCode, UnverifiedToken, Verified, Verifiers,
};

/// Decides about requests: the token in the `Authorization: Bearer` header, with the [`PeerCertificate`] among the
/// request's extensions as the proof for bound tokens.
///
/// [`VerifierLayer`](super::VerifierLayer) is a gate before a service; call [`Gate::check`] where there is no tower.
#[derive(Clone)]
#[must_use]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    verifiers: Verifiers,
    resource_metadata: Option<String>,
    scopes: Vec<String>,
    clock: fn() -> UnixTime,
}

/// Where to find the API's metadata, for the challenges of the extractors.
#[cfg(feature = "axum")]
#[derive(Clone, Debug)]
pub(crate) struct ResourceMetadata(pub(crate) Arc<str>);

impl Gate {
    /// A gate that lets in what `verifiers` accept: one verifier, or a set for several issuers.
    pub fn new(verifiers: impl Into<Verifiers>) -> Self {
        Self {
            shared: Arc::new(Shared {
                verifiers: verifiers.into(),
                resource_metadata: None,
                scopes: Vec::new(),
                clock: crate::rim::now,
            }),
        }
    }

    /// The URL of this API's metadata (RFC 9728), which every challenge then names.
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.with(|shared| shared.resource_metadata = Some(url))
    }

    /// A scope that every request behind this gate needs; may be called more than once.
    pub fn require_scope(self, scope: impl Into<String>) -> Self {
        let scope = scope.into();
        self.with(|shared| shared.scopes.push(scope))
    }

    /// Another clock, for tests.
    pub fn clock(self, clock: fn() -> UnixTime) -> Self {
        self.with(|shared| shared.clock = clock)
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Decides about one request by its head.
    ///
    /// # Errors
    /// What to answer, with [`Gate::answer`], if the request has no acceptable token.
    pub fn check(&self, parts: &Parts) -> Result<Verified, Challenge> {
        let verified = match Bearer::of(&parts.headers, parts.uri.query()) {
            Bearer::Token(token) => self.verify(token, parts.extensions.get())?,
            Bearer::None => return Err(Challenge::TokenMissing),
            Bearer::Malformed(what) => {
                debug!(what, "request refused");
                return Err(Challenge::InvalidRequest);
            }
        };
        self.check_scopes(&verified)?;
        Ok(verified)
    }

    /// The whole answer to a request that [`Gate::check`] turned away, with an empty body.
    #[must_use]
    pub fn answer<B: Default>(&self, challenge: &Challenge) -> Response<B> {
        challenge.response(self.shared.resource_metadata.as_deref())
    }

    /// [`Gate::check`], after which the request carries the [`Verified`] among its extensions, and no log prints its
    /// token.
    pub(super) fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Challenge> {
        let (mut parts, body) = request.into_parts();
        let verified = self.check(&parts)?;
        hide(&mut parts);
        parts.extensions.insert(verified);
        #[cfg(feature = "axum")]
        if let Some(url) = &self.shared.resource_metadata {
            parts
                .extensions
                .insert(ResourceMetadata(url.as_str().into()));
        }
        Ok(Request::from_parts(parts, body))
    }

    fn verify(&self, token: &str, peer: Option<&PeerCertificate>) -> Result<Verified, Challenge> {
        let shared = &*self.shared;
        shared
            .verifiers
            .verify(
                UnverifiedToken::new(token),
                &Presented { peer },
                (shared.clock)(),
            )
            .map_err(|rejection| {
                log(&rejection);
                Challenge::of(rejection.code())
            })
    }

    fn check_scopes(&self, verified: &Verified) -> Result<(), Challenge> {
        let needed = &self.shared.scopes;
        if needed.iter().all(|scope| verified.has_scope(scope)) {
            return Ok(());
        }
        debug!(credential_id = verified.credential_id(), needed = ?needed, "scope missing");
        Err(Challenge::InsufficientScope {
            scope: needed.join(" "),
        })
    }
}

/// The operator learns why; a state that is too old is theirs to mend.
fn log(rejection: &Rejection) {
    let (code, cause) = (
        rejection.code(),
        std::error::Error::source(rejection).map(ToString::to_string),
    );
    if code == RejectionCode::RevocationStale {
        warn!(code = code.as_str(), reason = %rejection, "tokens are refused");
    } else {
        debug!(code = code.as_str(), reason = %rejection, cause, "token refused");
    }
}
