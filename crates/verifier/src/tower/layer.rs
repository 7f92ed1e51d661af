use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dayfly_token::UnixTime;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{debug, warn};

use super::bearer::{Bearer, hide};
use super::challenge::Challenge;
use crate::{
    PeerCertificate, Presented, Rejection, RejectionCode, UnverifiedToken, Verified, Verifier,
};

impl Verifier {
    /// A layer that verifies the bearer token of each request and turns the others away.
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer {
            shared: Arc::new(Shared {
                verifier: self.clone(),
                resource_metadata: None,
                scopes: Vec::new(),
                clock: crate::rim::now,
            }),
        }
    }
}

/// Verifies the token in the `Authorization: Bearer` header, with the [`PeerCertificate`] among the request's
/// extensions as the proof for bound tokens, and puts a [`Verified`] there. Everything else is turned away
/// before the inner service sees it.
#[derive(Clone)]
#[must_use]
pub struct VerifierLayer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    verifier: Verifier,
    resource_metadata: Option<String>,
    scopes: Vec<String>,
    clock: fn() -> UnixTime,
}

/// Where to find the API's metadata, for the challenges of the extractors.
#[cfg(feature = "axum")]
#[derive(Clone, Debug)]
pub(crate) struct ResourceMetadata(pub(crate) Arc<str>);

impl VerifierLayer {
    /// The URL of this API's metadata (RFC 9728), which every challenge then names.
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.with(|shared| shared.resource_metadata = Some(url))
    }

    /// A scope that every request behind this layer needs; may be called more than once.
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
}

impl<S> Layer<S> for VerifierLayer {
    type Service = VerifierService<S>;

    fn layer(&self, inner: S) -> VerifierService<S> {
        VerifierService {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// What [`VerifierLayer`] makes of a service.
#[derive(Clone)]
pub struct VerifierService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for VerifierService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = VerifyFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.shared.admit(request) {
            Ok(request) => VerifyFuture(Step::Admitted(Box::pin(self.inner.call(request)))),
            Err(challenge) => {
                let response = challenge.response(self.shared.resource_metadata.as_deref());
                VerifyFuture(Step::TurnedAway(Some(response)))
            }
        }
    }
}

impl Shared {
    fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Challenge> {
        let (mut parts, body) = request.into_parts();
        let verified = match Bearer::of(&parts.headers, parts.uri.query()) {
            Bearer::Token(token) => self.verify(token, parts.extensions.get())?,
            Bearer::None => return Err(Challenge::TokenMissing),
            Bearer::Malformed(what) => {
                debug!(what, "request refused");
                return Err(Challenge::InvalidRequest);
            }
        };
        self.check_scopes(&verified)?;
        hide(&mut parts);
        parts.extensions.insert(verified);
        #[cfg(feature = "axum")]
        if let Some(url) = &self.resource_metadata {
            parts
                .extensions
                .insert(ResourceMetadata(url.as_str().into()));
        }
        Ok(Request::from_parts(parts, body))
    }

    fn verify(&self, token: &str, peer: Option<&PeerCertificate>) -> Result<Verified, Challenge> {
        self.verifier
            .verify(
                UnverifiedToken::new(token),
                &Presented { peer },
                (self.clock)(),
            )
            .map_err(|rejection| {
                log(&rejection);
                Challenge::of(rejection.code())
            })
    }

    fn check_scopes(&self, verified: &Verified) -> Result<(), Challenge> {
        if self.scopes.iter().all(|scope| verified.has_scope(scope)) {
            return Ok(());
        }
        debug!(credential_id = verified.credential_id(), needed = ?self.scopes, "scope missing");
        Err(Challenge::InsufficientScope {
            scope: self.scopes.join(" "),
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

/// The answer: the inner service's, or a challenge at once.
pub struct VerifyFuture<F, R>(Step<F, R>);

enum Step<F, R> {
    Admitted(Pin<Box<F>>),
    TurnedAway(Option<Response<R>>),
}

// Nothing in it is pinned in place: the inner future is boxed.
impl<F, R> Unpin for VerifyFuture<F, R> {}

impl<F, R, E> Future for VerifyFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Step::Admitted(future) => future.as_mut().poll(context),
            // A future that is polled after its end may say anything; it may not panic here.
            Step::TurnedAway(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}
