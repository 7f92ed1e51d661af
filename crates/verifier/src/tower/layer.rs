use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dayfly_token::UnixTime;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::access::Entry;
use super::gate::Gate;
use super::metadata::ResourceMetadata;
use super::metrics::Metrics;
use crate::dpop::BaseUrl;
use crate::{Verifier, Verifiers};

impl Verifier {
    /// A layer that verifies the bearer token of each request and turns the others away.
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer {
            gate: Gate::new(self.clone()),
        }
    }
}

impl Verifiers {
    /// As [`Verifier::layer`], for the tokens of several issuers; changes of the set take effect at once.
    pub fn layer(&self) -> VerifierLayer {
        Gate::new(self.clone()).into()
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

    /// See [`Gate::protected_resource`].
    pub fn protected_resource(self, metadata: &ResourceMetadata) -> Self {
        self.gate.protected_resource(metadata).into()
    }

    /// See [`Gate::grpc`].
    #[cfg(feature = "tonic")]
    pub fn grpc(self) -> Self {
        self.gate.grpc().into()
    }

    /// See [`Gate::count_in`].
    pub fn count_in(self, metrics: &Metrics) -> Self {
        self.gate.count_in(metrics).into()
    }

    /// See [`Gate::metrics`].
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.gate.metrics()
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
            Ok((request, entry)) => {
                let future = self.inner.call(request);
                VerifyFuture::admitted(future, self.gate.clone(), Some(entry))
            }
            Err(challenge) => VerifyFuture::turned_away(self.gate.answer(&challenge)),
        }
    }
}

/// The answer: the inner service's, or a challenge at once.
#[must_use]
pub struct VerifyFuture<F, R>(Step<F, R>);

enum Step<F, R> {
    Admitted {
        future: Pin<Box<F>>,
        gate: Gate,
        /// Recorded with the answer, or when this is dropped without one.
        entry: Option<Entry>,
    },
    TurnedAway(Option<Response<R>>),
}

impl<F, R> VerifyFuture<F, R> {
    /// Without an `entry`, somebody else records the call.
    pub(crate) fn admitted(future: F, gate: Gate, entry: Option<Entry>) -> Self {
        Self(Step::Admitted {
            future: Box::pin(future),
            gate,
            entry,
        })
    }

    pub(crate) const fn turned_away(answer: Response<R>) -> Self {
        Self(Step::TurnedAway(Some(answer)))
    }
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
            Step::Admitted {
                future,
                gate,
                entry,
            } => {
                let mut answer = ready!(future.as_mut().poll(context));
                if let (Some(entry), Ok(response)) = (entry.take(), &mut answer) {
                    gate.leave(entry, response);
                }
                Poll::Ready(answer)
            }
            // A future that is polled after its end may say anything; it may not panic here.
            Step::TurnedAway(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}
