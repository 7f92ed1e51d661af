//! The layer that only watches, in front of an API that still checks its keys itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::decide::{Decision, Key, decide};
use super::tally::one;
use super::{Migration, Stage, events};

/// Counts and compares, and decides **nothing**: every request passes untouched, whatever it carries. Nothing is put into the
/// request either, so a handler that asks for a [`Credential`](super::Credential) behind it answers 500.
///
/// One thing it does use up: a `DPoP` proof that it looks at was seen, and a layer behind it with the same verifier refuses
/// it. At a gate without a base URL no proof is looked at.
#[derive(Clone)]
#[must_use]
pub struct DangerWatchLayer {
    migration: Migration,
}

impl Migration {
    /// A layer that lets **everything** pass, for the time before [`Migration::layer`]: the API's own check of keys stays
    /// where it is, behind it. It counts, and compares what the registry would say with what the API's check does: an
    /// answer of 401 or 403 is a refusal, and every other one is not.
    pub fn danger_watch_layer(&self) -> DangerWatchLayer {
        DangerWatchLayer {
            migration: self.clone(),
        }
    }

    fn watch(&self, parts: &Parts) -> Seen {
        let gate = self.gate();
        let now = gate.now();
        let (key, in_query) = self.key_of(parts);
        let mut stripped = parts.clone();
        self.places().strip(&mut stripped);
        let token = gate
            .look(&stripped)
            .map_err(|refusal| refusal.of_the_token());
        one(&self.counts().requests.watched);
        self.counts().carried(&key, in_query, &token, now);
        let decision = decide(&Stage::Observe, &key, &token, gate.scopes(), now);
        Seen {
            migration: self.clone(),
            key,
            decision,
        }
    }
}

/// What the registry says of a request, until the API's own check has spoken.
struct Seen {
    migration: Migration,
    key: Key,
    decision: Decision,
}

impl Seen {
    fn compare(self, status: StatusCode) {
        let served = !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if served == self.decision.answer.is_ok() {
            return;
        }
        let counts = self.migration.counts();
        one(if served {
            &counts.requests.served_by_api_alone
        } else {
            &counts.requests.refused_by_api_alone
        });
        counts.last_difference.latest(self.migration.gate().now());
        events::difference(&self.key, self.decision.code.as_str(), served);
    }
}

impl<S> Layer<S> for DangerWatchLayer {
    type Service = WatchService<S>;

    fn layer(&self, inner: S) -> WatchService<S> {
        WatchService {
            inner,
            migration: self.migration.clone(),
        }
    }
}

/// What [`DangerWatchLayer`] makes of a service.
#[derive(Clone)]
pub struct WatchService<S> {
    inner: S,
    migration: Migration,
}

impl<S, B, R> Service<Request<B>> for WatchService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = WatchFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let seen = self.migration.watch(&parts);
        WatchFuture {
            answer: Box::pin(self.inner.call(Request::from_parts(parts, body))),
            seen: Some(seen),
        }
    }
}

/// The inner service's answer, unchanged.
pub struct WatchFuture<F> {
    answer: Pin<Box<F>>,
    seen: Option<Seen>,
}

impl<F, R, E> Future for WatchFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.answer.as_mut().poll(context);
        if let Poll::Ready(Ok(response)) = &polled
            && let Some(seen) = self.seen.take()
        {
            seen.compare(response.status());
        }
        polled
    }
}
