//! The layer that only watches: it changes nothing, and finds what the registry has wrong.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing;
use dayfly_verifier::migrate::Blocker;
use http::StatusCode;

use super::{
    Api, ENDED_KEY, KEY, OTHER_KEY, UNKNOWN_KEY, ask, bearer, key_header, keys, keys_text, serve,
    set_clock,
};
use crate::fixture::NOW;

const FORGOTTEN_KEY: &str = "live_forgotten_in_the_registry";

/// What the API did before: it knows one key more than the registry, and one less.
async fn own_check(request: Request, next: Next) -> Response {
    let key = request
        .headers()
        .get("x-api-key")
        .and_then(|value| value.to_str().ok());
    if matches!(key, Some(KEY | FORGOTTEN_KEY)) {
        return next.run(request).await;
    }
    let mut refused = Response::new(Body::from("no"));
    *refused.status_mut() = StatusCode::FORBIDDEN;
    refused
}

async fn echo(request: Request) -> String {
    format!("{:?} {:?}", request.uri(), request.headers())
}

#[tokio::test]
async fn watching_changes_nothing() {
    let api = Api::new();
    let bare = Router::new()
        .route("/", routing::get(echo))
        .layer(from_fn(own_check));
    let watched = serve(bare.clone().layer(api.migration.danger_watch_layer())).await;
    let bare = serve(bare).await;
    let token = bearer(&api.revoked());
    for headers in [
        vec![],
        vec![key_header(KEY)],
        vec![key_header(KEY), token.clone()],
        vec![key_header(KEY), key_header(KEY)],
        vec![key_header(FORGOTTEN_KEY)],
        vec![key_header(OTHER_KEY)],
        vec![token.clone(), token],
    ] {
        let (expected, found) = (
            ask(bare, "/?a=1", &headers).await,
            ask(watched, "/?a=1", &headers).await,
        );
        assert_eq!(
            (found.status, found.headers, found.body),
            (expected.status, expected.headers, expected.body)
        );
    }
}

#[tokio::test]
async fn differences_are_found_before_the_own_check_goes() {
    let api = Api::new();
    let inner = Router::new()
        .route("/", routing::get(echo))
        .layer(from_fn(own_check));
    let address = serve(inner.layer(api.migration.danger_watch_layer())).await;
    let replaceable = || api.migration.report().own_check_is_replaceable(100);
    assert_eq!(replaceable().blockers[0], Blocker::NothingWatched);
    for key in [KEY, UNKNOWN_KEY, ENDED_KEY, FORGOTTEN_KEY, OTHER_KEY] {
        ask(address, "/", &[key_header(key)]).await;
    }
    let report = api.migration.report();
    let requests = report.requests;
    assert_eq!(
        (
            requests.watched,
            requests.served_by_api_alone,
            requests.refused_by_api_alone
        ),
        (5, 1, 1)
    );
    assert_eq!(
        (requests.admitted_by_key, requests.refused_as_unknown),
        (0, 0),
        "it decides nothing"
    );
    assert!(
        report
            .to_string()
            .contains("watched: 5 requests, 1 served and 1 refused by the API's own check alone")
    );
    set_clock(NOW.saturating_add(100));
    assert!(replaceable().is_safe(), "{}", replaceable());
    ask(address, "/", &[key_header(FORGOTTEN_KEY)]).await;
    assert_eq!(
        replaceable().blockers,
        [Blocker::Difference {
            at: NOW.saturating_add(100)
        }]
    );

    // The registry is mended: one key more, one less.
    let mended = keys_text().replace(
        &dayfly_verifier::migrate::hash(OTHER_KEY).unwrap(),
        &dayfly_verifier::migrate::hash(FORGOTTEN_KEY).unwrap(),
    );
    assert_ne!(mended, keys_text());
    let mended = dayfly_verifier::migrate::ApiKeys::from_toml(&mended).unwrap();
    api.migration.replace_keys(mended).unwrap();
    for key in [KEY, UNKNOWN_KEY, ENDED_KEY, FORGOTTEN_KEY, OTHER_KEY] {
        ask(address, "/", &[key_header(key)]).await;
    }
    assert_eq!(api.migration.report().requests.watched, 11);
    assert_eq!(api.migration.report().requests.served_by_api_alone, 2);
    assert_eq!(keys().len(), 3);
    set_clock(NOW.saturating_add(200));
    assert!(replaceable().is_safe());
}

#[tokio::test]
async fn a_handler_that_asks_for_a_credential_is_not_opened_by_watching() {
    let api = Api::new();
    let address = serve(super::routes().layer(api.migration.danger_watch_layer())).await;
    let answer = ask(address, "/", &[key_header(KEY), bearer(&api.valid())]).await;
    assert_eq!(answer.status, 500);
}
