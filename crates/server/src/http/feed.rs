//! `/v1/feed`, `/v1/feed/stream` and `/v1/trust`: how verifiers learn of revocations (protocol B).

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

use super::call::Call;
use super::discovery::key_set;
use super::problem::{Problem, ProblemBody, ProblemCode};
use crate::feed::Subscription;
use dayfly_issuer::control::KeyUse;

/// How long caches may keep a snapshot, in seconds. Its age counts as feed age, so it is short.
const SNAPSHOT_MAX_AGE: &str = "public, max-age=1";

/// The longest cursor: an epoch, a dot and an id of the control stream.
const MAX_CURSOR_BYTES: usize = 128;

/// The whole revocation state
///
/// A signed statement (compact JWS, `typ` `dayfly-feed+jwt`) with every entry. Entries are hashes;
/// they name nobody.
#[utoipa::path(
    get,
    path = "/v1/feed",
    operation_id = "feed",
    tag = "feed",
    responses(
        (status = 200, description = "The snapshot", body = String, content_type = "application/jwt"),
        (status = 503, description = "No key signs yet", body = ProblemBody),
    ),
)]
pub(crate) async fn snapshot(call: Call) -> Response {
    match call.app.snapshot() {
        Ok(text) => {
            let mut response = (StatusCode::OK, text).into_response();
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/jwt"),
            );
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static(SNAPSHOT_MAX_AGE),
            );
            response
        }
        Err(error) => {
            tracing::debug!(request_id = %call.request_id, %error, "no snapshot of the feed");
            Problem::unavailable()
                .of_request(&call.request_id)
                .into_response()
        }
    }
}

/// Revocations as they happen
///
/// Server-sent events, each a signed statement; an empty one every 5 s is the heartbeat. `from`, or
/// `Last-Event-ID`, resumes; a cursor that is too old is answered with the newest statement, whose
/// beginning shows the gap.
#[utoipa::path(
    get,
    path = "/v1/feed/stream",
    operation_id = "feed_stream",
    tag = "feed",
    params(("from" = Option<String>, Query, description = "The cursor `<epoch>.<id>`")),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many subscribers; see Retry-After", body = ProblemBody),
    ),
)]
pub(crate) async fn stream(call: Call) -> Response {
    let cursor = cursor_of(&call);
    let Some(subscription) = call.app.feed.subscribe(cursor.as_deref()) else {
        let problem = Problem {
            retry_after_secs: Some(5),
            ..Problem::new(ProblemCode::TooManySubscribers)
        };
        return problem.of_request(&call.request_id).into_response();
    };
    let mut response = Response::new(Body::from_stream(events(subscription, &call)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that collects the answer would hold every revocation back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The keys of the feed
///
/// A JWK Set. Never the keys of tokens: neither set is accepted in the place of the other.
#[utoipa::path(
    get,
    path = "/v1/trust",
    operation_id = "trust",
    tag = "feed",
    responses(
        (status = 200, description = "The key set", content_type = "application/json"),
        (status = 304, description = "Unchanged"),
        (status = 503, description = "The ledger was not read yet", body = ProblemBody),
    ),
)]
pub(crate) async fn trust(call: Call) -> Response {
    key_set(&call, KeyUse::Feed)
}

/// `from` wins over `Last-Event-ID`, which browsers-like clients send by themselves.
fn cursor_of(call: &Call) -> Option<String> {
    let from = call.query.as_deref().and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "from")
            .map(|(_, value)| value.into_owned())
    });
    let last = || {
        let value = call.headers.get("last-event-id")?;
        value.to_str().ok().map(str::to_owned)
    };
    from.or_else(last)
        .filter(|cursor| cursor.len() <= MAX_CURSOR_BYTES)
}

fn events(
    subscription: Subscription,
    call: &Call,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let stopping = call.app.stopping.clone();
    stream::unfold(
        (subscription, stopping),
        |(mut subscription, stopping)| async move {
            let next = tokio::select! {
                () = stopping.cancelled() => None,
                next = subscription.next() => next,
            };
            next.map(|statement| (Ok(statement.event()), (subscription, stopping)))
        },
    )
}
