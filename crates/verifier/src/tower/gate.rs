use std::sync::Arc;

use dayfly_token::{Confirmation, UnixTime};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use tracing::{debug, warn};

use super::challenge::{Challenge, DPOP_NONCE, Terms};
use super::credentials::{Credentials, hide};
use crate::dpop::{BaseUrl, Presentation};
use crate::{Presented, Rejection, UnverifiedToken, Verified, Verifier};

/// Decides about requests: the token in the `Authorization` header, with the [`PeerCertificate`](crate::PeerCertificate)
/// among the request's extensions, or the proof in the `DPoP` header, for bound tokens.
///
/// [`VerifierLayer`](super::VerifierLayer) is a gate before a service; call [`Gate::check`] where there is no tower.
#[derive(Clone)]
#[must_use]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    verifier: Verifier,
    base_url: Option<BaseUrl>,
    terms: Arc<Terms>,
    scopes: Vec<String>,
    clock: fn() -> UnixTime,
}

impl Gate {
    /// A gate that lets in what `verifier` accepts.
    pub fn new(verifier: Verifier) -> Self {
        Self {
            shared: Arc::new(Shared {
                verifier,
                base_url: None,
                terms: Arc::default(),
                scopes: Vec::new(),
                clock: crate::rim::now,
            }),
        }
    }

    /// The URL of this API's metadata (RFC 9728), which every challenge then names.
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.with(|shared| Arc::make_mut(&mut shared.terms).resource_metadata = Some(url))
    }

    /// Where clients reach this API, and with it the acceptance of tokens under the scheme `DPoP`: the URI that a proof
    /// must name is this and the path of the request. Without it such tokens are refused.
    ///
    /// The path is the one that came in: axum's nested routers are seen through (feature `axum`), any other layer that
    /// rewrites the path belongs behind the gate.
    pub fn base_url(self, url: BaseUrl) -> Self {
        self.with(|shared| {
            shared.base_url = Some(url);
            Arc::make_mut(&mut shared.terms).dpop = true;
        })
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

    /// Decides about one request by its head. A `DPoP` proof counts as used when it was accepted: check each request
    /// once.
    ///
    /// # Errors
    /// What to answer, with [`Gate::answer`], if the request has no acceptable token.
    pub fn check(&self, parts: &Parts) -> Result<Verified, Challenge> {
        let verified = match Credentials::of(&parts.headers, parts.uri.query()) {
            Credentials::Bearer(token) => self.verify(
                token,
                &Presented {
                    peer: parts.extensions.get(),
                    proof: None,
                },
            )?,
            Credentials::Dpop { token, proof } => self.verify_with_proof(token, proof, parts)?,
            Credentials::NoProof(what) => {
                debug!(what, "request refused");
                return Err(match self.shared.base_url {
                    Some(_) => Challenge::InvalidProof,
                    None => Challenge::TokenMissing,
                });
            }
            Credentials::None => return Err(Challenge::TokenMissing),
            Credentials::Malformed(what) => {
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
        let mut response = challenge.response_by(&self.shared.terms);
        if matches!(challenge, Challenge::UseNonce)
            && let Some(nonce) = self.nonce()
        {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        response
    }

    /// [`Gate::check`], after which the request carries the [`Verified`] among its extensions, and no log prints its
    /// token or proof.
    pub(super) fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Challenge> {
        let (mut parts, body) = request.into_parts();
        let verified = self.check(&parts)?;
        hide(&mut parts);
        parts.extensions.insert(verified);
        // For the challenges of the extractors.
        #[cfg(feature = "axum")]
        parts.extensions.insert(Arc::clone(&self.shared.terms));
        Ok(Request::from_parts(parts, body))
    }

    /// The nonce for the next proof of whoever sent an admitted request with one, so that no request is spent on asking
    /// for it (RFC 9449 section 8.2).
    pub(super) fn nonce_for<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let verified: &Verified = request.extensions().get()?;
        match verified.confirmation()? {
            Confirmation::KeyThumbprint(_) => self.nonce(),
            _ => None,
        }
    }

    fn nonce(&self) -> Option<HeaderValue> {
        let nonce = self.shared.verifier.dpop_nonce((self.shared.clock)())?;
        HeaderValue::try_from(nonce).ok()
    }

    /// RFC 9449 section 7.1. What is compared with the proof is configured, but for method and path.
    fn verify_with_proof(
        &self,
        token: &str,
        proof: &str,
        parts: &Parts,
    ) -> Result<Verified, Challenge> {
        let Some(base_url) = &self.shared.base_url else {
            debug!(
                "a DPoP token is refused: this gate has no `base_url` to compare its proof with"
            );
            return Err(Challenge::TokenMissing);
        };
        let Some(uri) = base_url.uri_of(path_of(parts)) else {
            debug!("a DPoP token is refused: the request is for no path");
            return Err(Challenge::InvalidProof);
        };
        let proof = Presentation {
            proof,
            method: parts.method.as_str(),
            uri: &uri,
        };
        self.verify(
            token,
            &Presented {
                peer: parts.extensions.get(),
                proof: Some(proof),
            },
        )
    }

    fn verify(&self, token: &str, presented: &Presented<'_>) -> Result<Verified, Challenge> {
        let shared = &*self.shared;
        shared
            .verifier
            .verify(UnverifiedToken::new(token), presented, (shared.clock)())
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

/// The path as it came in. A nested router of axum cuts its prefix off the URI, and keeps the original beside it.
fn path_of(parts: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original.path();
    }
    parts.uri.path()
}

/// The operator learns why; a state that is too old, or a store that is too small, is theirs to mend.
fn log(rejection: &Rejection) {
    let (code, cause) = (rejection.code(), causes_of(rejection));
    if Challenge::of(code) == Challenge::Unavailable {
        warn!(code = code.as_str(), reason = %rejection, cause, "tokens are refused");
    } else {
        debug!(code = code.as_str(), reason = %rejection, cause, "token refused");
    }
}

/// The sources of an error, outermost first.
fn causes_of(rejection: &Rejection) -> Option<String> {
    let first = std::error::Error::source(rejection)?;
    let chain = std::iter::successors(Some(first), |error| error.source());
    let causes: Vec<_> = chain.map(ToString::to_string).collect();
    Some(causes.join(": "))
}
