//! The metadata of a protected resource (RFC 9728): found by the challenge, read without a token.

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_verifier::tower::ResourceMetadata;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixture::{Bench, ISSUER, NOW};

async fn answer(api: &Router, method: &str, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    api.clone().oneshot(request).await.unwrap()
}

async fn body(response: Response<Body>) -> Vec<u8> {
    let body = axum::body::to_bytes(response.into_body(), 65_536).await;
    body.unwrap().to_vec()
}

#[tokio::test]
async fn a_client_that_is_turned_away_finds_it() {
    let bench = Bench::new(Algorithm::EdDsa);
    let metadata = ResourceMetadata::new("https://orders.internal/v1")
        .unwrap()
        .authorization_server(bench.verifier.issuer())
        .scope("orders:read")
        .scope("orders:write")
        .certificate_bound_tokens(true)
        .dpop()
        .authorization_details_type("transfer")
        .member("resource_name", json!("Orders"));
    let layer = bench.verifier.layer().clock(|| NOW);
    let api = Router::new()
        .route("/v1/orders", routing::get(|| async { "orders" }))
        .layer(layer.protected_resource(&metadata))
        .merge(metadata.router());

    let refused = answer(&api, "GET", "/v1/orders").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let url = challenge
        .strip_prefix("Bearer resource_metadata=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap();
    let url: Uri = url.parse().unwrap();
    assert_eq!(url.host(), Some("orders.internal"));

    let found = answer(&api, "GET", url.path()).await;
    assert_eq!(found.status(), StatusCode::OK);
    assert_eq!(found.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(found.headers()[CACHE_CONTROL], "public, max-age=300");
    let document: Value = serde_json::from_slice(&body(found).await).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": "https://orders.internal/v1",
            "authorization_servers": [ISSUER],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["orders:read", "orders:write"],
            "tls_client_certificate_bound_access_tokens": true,
            "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "EdDSA"],
            "authorization_details_types_supported": ["transfer"],
            "resource_name": "Orders",
        })
    );

    let head = answer(&api, "HEAD", url.path()).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(body(head).await.is_empty());
    let post = answer(&api, "POST", url.path()).await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers()[ALLOW], "GET, HEAD");
    // Only under the resource's own path.
    let elsewhere = answer(&api, "GET", "/.well-known/oauth-protected-resource").await;
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
}
