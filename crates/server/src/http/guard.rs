//! What happens around every request: its id, its time limit, its metrics, and what is refused
//! before any handler sees it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header};

use super::oauth_error::{OauthCode, OauthError};
use super::problem::{Problem, ProblemCode};
use super::request_id::{HEADER, RequestId};
use crate::app::App;
use crate::authz::Operation;
use crate::metrics::operation_name;

/// Headers by which proxies tell who the client is. Nobody may speak for the TLS layer here:
/// such a header is a proxy that we do not know, or somebody who pretends to be one.
const IDENTITY_HEADERS: &[&str] = &[
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
    "x-client-cert",
    "x-client-certificate",
    "x-client-verify",
    "x-client-dn",
    "x-ssl-cert",
    "x-ssl-client-cert",
    "x-ssl-client-verify",
    "x-ssl-client-dn",
    "x-ssl-client-s-dn",
    "x-ssl-certificate",
    "ssl-client-cert",
    "ssl-client-verify",
    "ssl-client-s-dn",
    "x-amzn-mtls-clientcert",
    "x-amzn-mtls-clientcert-leaf",
    "x-arr-clientcert",
    "x-tls-client-cert",
    "x-spiffe-id",
];

/// The outermost layer.
pub(crate) async fn track(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = app.clock.now();
    let id = RequestId::draw();
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let speaks_oauth = speaks_oauth(request.uri().path());
    let limit = app.config().limits.request_timeout.get();
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        // Nothing of what was being handled gets into the answer.
        Ok(Err(_)) => {
            app.metrics.panics.inc();
            broken(
                speaks_oauth,
                OauthCode::ServerError,
                ProblemCode::Internal,
                &id,
            )
        }
        Err(_) => broken(
            speaks_oauth,
            OauthCode::TemporarilyUnavailable,
            ProblemCode::TimedOut,
            &id,
        ),
    };
    if let Some(value) = id.header() {
        response.headers_mut().insert(HEADER, value);
    }
    let operation = response.extensions().get::<Operation>().copied();
    let millis = app
        .clock
        .now()
        .monotonic_ms
        .saturating_sub(started.monotonic_ms);
    let status = response.status().as_u16();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one request")]
    app.metrics
        .request(operation, status, millis as f64 / 1000.0);
    let name = operation.map_or("none", operation_name);
    if status >= 500 {
        tracing::warn!(request_id = %id, %method, operation = name, status, millis, "answered");
    } else if method == http::Method::GET {
        tracing::debug!(request_id = %id, %method, operation = name, status, millis, "answered");
    } else {
        tracing::info!(request_id = %id, %method, operation = name, status, millis, "answered");
    }
    response
}

/// Refuses what no handler may see.
pub(crate) async fn refuse(request: Request, next: Next) -> Response {
    let Some(reason) = refused(request.headers(), request.uri().query()) else {
        return next.run(request).await;
    };
    let id = request.extensions().get::<RequestId>().cloned();
    let id = id.unwrap_or_else(RequestId::draw);
    tracing::warn!(request_id = %id, reason, "refused a request before its handler");
    if speaks_oauth(request.uri().path()) {
        OauthError::request(reason).of_request(&id).into_response()
    } else {
        Problem::bad(reason).of_request(&id).into_response()
    }
}

fn refused(headers: &HeaderMap, query: Option<&str>) -> Option<&'static str> {
    let names_a_client = headers.keys().any(|name| {
        // Servers behind proxies treat `-` and `_` alike, so an impostor would try both.
        let name = name.as_str().replace('_', "-");
        IDENTITY_HEADERS.contains(&name.as_str())
    });
    if names_a_client {
        return Some("identity headers of proxies are not accepted");
    }
    if headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .nth(1)
        .is_some()
    {
        return Some("the header Authorization may be given once");
    }
    // RFC 6750 section 5.3: a token in a URL ends up in logs and histories.
    let in_url = query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
    });
    in_url.then_some("tokens in the URL are not accepted")
}

/// The answer of a request that did not come to its end.
fn broken(oauth: bool, code: OauthCode, problem: ProblemCode, id: &RequestId) -> Response {
    if oauth {
        OauthError::new(code).of_request(id).into_response()
    } else {
        Problem::new(problem).of_request(id).into_response()
    }
}

/// Whether clients of a path read errors of RFC 6749, and no others.
fn speaks_oauth(path: &str) -> bool {
    path.contains("/oauth2/") || path.ends_with("/v1/x509")
}

/// The answer to a path that is not served.
pub(crate) async fn not_found(request: Request) -> Response {
    with_id(&request, Problem::new(ProblemCode::NotFound))
}

/// The answer to a method that is not served; the router adds `Allow`.
pub(crate) async fn method_not_allowed(request: Request) -> Response {
    with_id(&request, Problem::new(ProblemCode::MethodNotAllowed))
}

fn with_id(request: &Request, problem: Problem) -> Response {
    match request.extensions().get::<RequestId>() {
        Some(id) => problem.of_request(id).into_response(),
        None => problem.into_response(),
    }
}

/// Notes which operation answered, for metrics and logs.
pub(crate) async fn label(operation: Operation, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        response.extensions_mut().insert(operation);
    }
    response
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        headers
    }

    #[test]
    fn identity_headers_are_refused_in_every_spelling() {
        for name in [
            "client-cert",
            "x-forwarded-client-cert",
            "x_forwarded_client_cert",
            "x-ssl_client-cert",
            "ssl-client-verify",
            "x-spiffe-id",
        ] {
            assert!(refused(&with(name), None).is_some(), "{name}");
        }
        assert!(refused(&with("x-forwarded-for"), None).is_none());
    }

    #[test]
    fn tokens_in_the_url_are_refused_however_they_are_written() {
        for query in ["access_token=x", "a=b&access_token", "access%5ftoken=x"] {
            assert!(refused(&HeaderMap::new(), Some(query)).is_some(), "{query}");
        }
        assert!(refused(&HeaderMap::new(), Some("from=1-0")).is_none());
    }

    #[test]
    fn two_authorization_headers_are_one_too_many() {
        let mut headers = with("authorization");
        assert!(refused(&headers, None).is_none());
        headers.append("authorization", HeaderValue::from_static("y"));
        assert!(refused(&headers, None).is_some());
    }
}
