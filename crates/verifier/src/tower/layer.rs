use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use dayfly_token::UnixTime;
use http::{HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::challenge::DPOP_NONCE;
use super::gate::Gate;
use crate::Verifier;
use crate::dpop::BaseUrl;

impl Verifier {
    /// A layer that verifies the bearer token of each request and turns the others away.
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer {
            gate: Gate::new(self.clone()),
        }
    }
}

/// A [`Gate`] before a service: what it lets in carries a [`Verified`](crate::Verified) among its extensions, and
/// everything else is turned away before the inner service sees it.
#[derive(Clone)]
#[must_use]
pub struct VerifierLayer {
    gate: Gate,
}

impl From<Gate> for VerifierLayer {
    fn from(gate: Gate) -> Self {
        Self { gate }
    }
}

impl VerifierLayer {
    /// See [`Gate::resource_metadata`].
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        self.gate.resource_metadata(url).into()
    }

    /// See [`Gate::require_scope`].
    pub fn require_scope(self, scope: impl Into<String>) -> Self {
        self.gate.require_scope(scope).into()
    }

    /// See [`Gate::base_url`].
    pub fn base_url(self, url: BaseUrl) -> Self {
        self.gate.base_url(url).into()
    }

    /// See [`Gate::clock`].
    pub fn clock(self, clock: fn() -> UnixTime) -> Self {
        self.gate.clock(clock).into()
    }
}

impl<S> Layer<S> for VerifierLayer {
    type Service = VerifierService<S>;

    fn layer(&self, inner: S) -> VerifierService<S> {
        VerifierService {
            inner,
            gate: self.gate.clone(),
        }
    }
}

/// What [`VerifierLayer`] makes of a service.
#[derive(Clone)]
pub struct VerifierService<S> {
    inner: S,
    gate: Gate,
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
        match self.gate.admit(request) {
            Ok(request) => {
                let nonce = self.gate.nonce_for(&request);
                VerifyFuture(Step::Admitted(Box::pin(self.inner.call(request)), nonce))
            }
            Err(challenge) => VerifyFuture(Step::TurnedAway(Some(self.gate.answer(&challenge)))),
        }
    }
}

/// The answer: the inner service's, or a challenge at once.
pub struct VerifyFuture<F, R>(Step<F, R>);

enum Step<F, R> {
    /// With the nonce for the caller's next proof, if it uses them.
    Admitted(Pin<Box<F>>, Option<HeaderValue>),
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
            Step::Admitted(future, nonce) => {
                future.as_mut().poll(context).map_ok(|mut response| {
                    if let Some(nonce) = nonce.take() {
                        response.headers_mut().insert(DPOP_NONCE, nonce);
                    }
                    response
                })
            }
            // A future that is polled after its end may say anything; it may not panic here.
            Step::TurnedAway(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}
