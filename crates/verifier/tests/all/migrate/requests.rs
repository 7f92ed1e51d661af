//! What services behind the layer see, and that nothing opens it by another way.

use std::cell::Cell;

use axum::body::Body;
use axum::{Router, routing};
use dayfly_verifier::axum::{Caller, RequiredScope};
use dayfly_verifier::migrate::{Credential, KeyPlaces, Migration, ScopedCredential, Stage};
use dayfly_verifier::tower::Gate;
use http::{Request, StatusCode};
use proptest::prelude::*;
use proptest::sample::select;
use tower::ServiceExt as _;

use super::{
    Api, DEADLINE, ENDED_KEY, KEY, KEYS_UNTIL, OTHER_KEY, STAGES, UNKNOWN_KEY, ask, bearer, clock,
    key_header, keys, routes, serve, set_clock,
};
use crate::fixture::NOW;

#[tokio::test]
async fn keys_are_taken_out_of_the_request() {
    let api = Api::new();
    let places = KeyPlaces::default()
        .authorization("ApiKey")
        .unwrap()
        .danger_query("api_key")
        .unwrap();
    let migration = Migration::builder(
        Gate::new(api.verifier.clone()).clock(clock),
        Stage::AcceptBoth,
    )
    .keys(keys())
    .places(places)
    .build()
    .unwrap();
    let address = serve(routes().layer(migration.layer())).await;
    let token = bearer(&api.valid());
    let query = format!("/?a=1&api_key={KEY}&b=%20");
    for (path, headers, seen) in [
        ("/?a=1", vec![key_header(KEY)], "key /?a=1 host,connection"),
        (
            "/",
            vec![format!("authorization: apikey {KEY}")],
            "key / host,connection",
        ),
        (query.as_str(), vec![], "key /?a=1&b=%20 host,connection"),
        // A token stays for those who pass it on; the keys beside it go.
        (
            query.as_str(),
            vec![token.clone(), key_header(KEY)],
            "token /?a=1&b=%20 host,connection,authorization",
        ),
    ] {
        let answer = ask(address, path, &headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, seen), "{path}");
    }
    assert_eq!(
        ask(address, &query, &[key_header(KEY)]).await.status,
        400,
        "two keys"
    );
    let report = migration.report();
    assert_eq!(report.keys[0].uses.in_query, 1);
}

#[tokio::test]
async fn a_key_under_the_scheme_of_tokens() {
    let api = Api::new();
    let migration =
        Migration::builder(Gate::new(api.verifier.clone()).clock(clock), Stage::Observe)
            .keys(keys())
            .places(KeyPlaces::nowhere().authorization("Bearer").unwrap())
            .build()
            .unwrap();
    let address = serve(routes().layer(migration.layer())).await;
    for (stage, key, token) in [
        (Stage::Observe, "key", "401"),
        (Stage::AcceptBoth, "key", "token"),
        (Stage::TokensOnly, "401", "token"),
    ] {
        migration.set_stage(stage).unwrap();
        assert_eq!(ask(address, "/", &[bearer(KEY)]).await.short(), key);
        assert_eq!(
            ask(address, "/", &[bearer(&api.valid())]).await.short(),
            token
        );
        assert_eq!(
            ask(address, "/", &[bearer(UNKNOWN_KEY)]).await.short(),
            "401"
        );
        assert_eq!(
            ask(address, "/", &[bearer(&api.revoked())]).await.short(),
            "401"
        );
        // Nowhere else is a key looked for.
        assert_eq!(ask(address, "/", &[key_header(KEY)]).await.short(), "401");
    }
}

struct Read;
impl RequiredScope for Read {
    const SCOPE: &'static str = "orders:read";
}

#[tokio::test]
async fn scopes_are_asked_of_keys_too() {
    let api = Api::new();
    api.migration.set_stage(Stage::AcceptBoth).unwrap();
    let read = |caller: ScopedCredential<Read>| async move { caller.owner().unwrap() };
    let strict = |Caller(caller): Caller| async move { caller.subject().to_owned() };
    let both = Router::new()
        .route("/read", routing::get(read))
        .route("/strict", routing::get(strict));
    let address = serve(both.clone().layer(api.migration.layer())).await;
    let token = bearer(&api.valid());
    for (path, header, status) in [
        ("/read", key_header(KEY), 200),
        ("/read", key_header(OTHER_KEY), 403),
        ("/read", token.clone(), 200),
        ("/strict", token, 200),
        // No key satisfies a handler that wants a token.
        ("/strict", key_header(KEY), 401),
    ] {
        assert_eq!(ask(address, path, &[header]).await.status, status, "{path}");
    }
    // Nor does a route without the layer open.
    let bare = serve(both.clone()).await;
    assert_eq!(ask(bare, "/read", &[key_header(KEY)]).await.status, 500);

    let gate = Gate::new(api.verifier.clone())
        .clock(clock)
        .require_scope("orders:read");
    let migration = Migration::builder(gate, Stage::Observe)
        .keys(keys())
        .build()
        .unwrap();
    let address = serve(routes().layer(migration.layer())).await;
    for stage in [Stage::Observe, Stage::AcceptBoth] {
        migration.set_stage(stage).unwrap();
        assert_eq!(ask(address, "/", &[key_header(KEY)]).await.status, 200);
        let refused = ask(address, "/", &[key_header(OTHER_KEY)]).await;
        assert_eq!(refused.status, 403);
        let told = "Bearer error=\"insufficient_scope\",scope=\"orders:read\"";
        assert_eq!(refused.header("www-authenticate"), Some(told));
    }
    assert_eq!(
        migration
            .report()
            .keys
            .iter()
            .map(|key| key.uses.refused_for_scope)
            .sum::<u64>(),
        2
    );
}

#[tokio::test]
async fn what_stood_in_the_request_before_does_not_count() {
    let api = Api::new();
    let verified = api.bench.accepts(&api.bench.good());
    for stage in STAGES {
        api.migration.set_stage(stage).unwrap();
        let mut smuggled = Request::new(Body::empty());
        smuggled
            .extensions_mut()
            .insert(Credential::Token(verified.clone()));
        smuggled.extensions_mut().insert(verified.clone());
        let answer = api.router().oneshot(smuggled).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    api.migration.set_stage(Stage::Observe).unwrap();
    let mut beside = Request::builder()
        .header("x-api-key", KEY)
        .body(Body::empty())
        .unwrap();
    beside.extensions_mut().insert(verified);
    // `seen` asserts that a key leaves no `Verified`.
    assert_eq!(
        api.router().oneshot(beside).await.unwrap().status(),
        StatusCode::OK
    );
}

#[test]
fn nothing_but_a_valid_key_or_a_valid_token_opens_any_stage() {
    let api = Api::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let keys = [
        KEY,
        OTHER_KEY,
        ENDED_KEY,
        UNKNOWN_KEY,
        "short",
        "",
        "live_4eC39HqLyjWDarjtT1zdp7dC",
        "\u{e9}",
    ];
    let tokens = [
        api.valid(),
        api.for_another_api(),
        api.revoked(),
        "a.b.c".to_owned(),
        String::new(),
    ];
    let strategy = (
        select(STAGES.to_vec()),
        select(vec![NOW, DEADLINE.saturating_sub(1), DEADLINE]),
        proptest::collection::vec(select(keys.to_vec()), 0..3),
        proptest::collection::vec(select(tokens.to_vec()), 0..3),
        select(vec!["Bearer", "bearer", "ApiKey", "Basic"]),
        select(vec![
            "/",
            "/?api_key=live_4eC39HqLyjWDarjtT1zdp7dc",
            "/?access_token=a.b.c",
        ]),
    );
    let (by_key, by_token) = (Cell::new(0), Cell::new(0));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3000));
    runner
        .run(&strategy, |(stage, now, keys, tokens, scheme, uri)| {
            set_clock(now);
            api.migration.set_stage(stage).unwrap();
            let mut request = Request::builder().uri(uri);
            for key in &keys {
                request = request.header("x-api-key", key.as_bytes());
            }
            for token in &tokens {
                request = request.header("authorization", format!("{scheme} {token}"));
            }
            let answer = runtime
                .block_on(api.router().oneshot(request.body(Body::empty()).unwrap()))
                .unwrap();
            let ended = stage == KEYS_UNTIL && now >= DEADLINE;
            let key = keys.len() == 1
                && [KEY, OTHER_KEY].contains(&keys[0])
                && stage != Stage::TokensOnly
                && !ended;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            let token = tokens.len() == 1
                && tokens[0] == api.valid()
                && is_bearer
                && !uri.contains("access_token");
            let admitted_by = answer.status() == StatusCode::OK;
            prop_assert!(
                !admitted_by || key || (token && stage != Stage::Observe),
                "let in: {stage} {keys:?} {tokens:?}"
            );
            // And what is valid alone gets in.
            if (key && tokens.is_empty() && !uri.contains("access_token"))
                || (key && stage == Stage::Observe)
            {
                prop_assert!(admitted_by, "kept out: {stage} {keys:?}");
                by_key.set(by_key.get() + 1);
            }
            if token && stage != Stage::Observe {
                prop_assert!(admitted_by, "kept out: {stage} {keys:?} {tokens:?}");
                by_token.set(by_token.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(
        by_key.get() > 10 && by_token.get() > 10,
        "{by_key:?} {by_token:?}"
    );
}
