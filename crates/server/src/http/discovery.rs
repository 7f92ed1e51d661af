//! What everybody may know: metadata, key sets, the SPIFFE bundle.

use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use dayfly_issuer::control::KeyUse;
use dayfly_keys::{Jwk, sha256};
use dayfly_token::base64url;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::evidence::{CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE};
use super::problem::{Problem, ProblemBody, ProblemCode};
use crate::app::App;

/// How long caches may keep metadata and the bundle, in seconds.
const DOCUMENT_MAX_AGE_SECS: u64 = 300;

/// Bytes of the digest that make an entity tag: more than enough to tell two documents apart.
const TAG_BYTES: usize = 12;

/// Authorization server metadata
///
/// RFC 8414. For an issuer with a path, the well-known segment stands between host and path.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "oauth_metadata",
    tag = "discovery",
    responses(
        (status = 200, description = "The metadata", content_type = "application/json"),
        (status = 304, description = "Unchanged"),
    ),
)]
pub(crate) async fn oauth(call: Call) -> Response {
    let document = Value::Object(metadata(&call.app));
    cacheable(&call, document.to_string(), DOCUMENT_MAX_AGE_SECS)
}

/// OpenID Connect Discovery
///
/// The same for relying parties that know OpenID Connect Discovery only. There are no ID tokens.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    operation_id = "openid_metadata",
    tag = "discovery",
    responses(
        (status = 200, description = "The metadata", content_type = "application/json"),
        (status = 304, description = "Unchanged"),
    ),
)]
pub(crate) async fn openid(call: Call) -> Response {
    let mut document = metadata(&call.app);
    let mut add = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    add(
        "id_token_signing_alg_values_supported",
        json!([call.app.algorithm()]),
    );
    add("subject_types_supported", json!(["public"]));
    add(
        "claims_supported",
        json!([
            "iss",
            "sub",
            "aud",
            "client_id",
            "iat",
            "nbf",
            "exp",
            "jti",
            "scope",
            "txn",
            "cnf",
            "authorization_details",
            "dfy"
        ]),
    );
    cacheable(
        &call,
        Value::Object(document).to_string(),
        DOCUMENT_MAX_AGE_SECS,
    )
}

/// The signing keys of tokens
///
/// RFC 7517; `kid` is the thumbprint (RFC 7638). Keys stand here before they sign.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "discovery",
    responses(
        (status = 200, description = "The key set", content_type = "application/json"),
        (status = 304, description = "Unchanged"),
        (status = 503, description = "The ledger was not read yet", body = ProblemBody),
    ),
)]
pub(crate) async fn jwks(call: Call) -> Response {
    key_set(&call, KeyUse::Token)
}

/// The roots of the certificates
///
/// A SPIFFE bundle document with the X.509 authorities of the trust domain, and nothing else.
#[utoipa::path(
    get,
    path = "/spiffe/bundle.json",
    operation_id = "spiffe_bundle",
    tag = "discovery",
    responses(
        (status = 200, description = "The bundle", content_type = "application/json"),
        (status = 304, description = "Unchanged"),
        (status = 404, description = "No certificates are issued here", body = ProblemBody),
    ),
)]
pub(crate) async fn bundle(call: Call) -> Response {
    match call.app.bundle_document() {
        Some(document) => cacheable(&call, document.to_string(), DOCUMENT_MAX_AGE_SECS),
        None => Problem::new(ProblemCode::NotFound)
            .detailed("no certificates are issued here")
            .of_request(&call.request_id)
            .into_response(),
    }
}

/// The served keys of one use.
pub(crate) fn key_set(call: &Call, key_use: KeyUse) -> Response {
    let now = call.app.clock.now().time();
    let keys: Vec<Jwk> = {
        let view = call.app.view();
        // A verifier that took an empty set for the truth would refuse every token.
        if view.as_of().is_none() {
            return Problem::unavailable()
                .of_request(&call.request_id)
                .into_response();
        }
        view.keys(key_use, now)
            .map(|record| record.jwk.clone())
            .collect()
    };
    let document = json!({ "keys": keys });
    cacheable(
        call,
        document.to_string(),
        call.app.config().keys.jwks_max_age.as_secs(),
    )
}

/// What is built, and nothing else.
fn metadata(app: &App) -> Map<String, Value> {
    let issuer = app.issuer_url.as_str();
    let at = |path: &str| Value::String(format!("{issuer}{path}"));
    let members = [
        ("issuer", Value::String(issuer.to_owned())),
        ("token_endpoint", at("/oauth2/token")),
        ("jwks_uri", at("/.well-known/jwks.json")),
        ("introspection_endpoint", at("/oauth2/introspect")),
        ("revocation_endpoint", at("/oauth2/revoke")),
        ("response_types_supported", json!([])),
        (
            "grant_types_supported",
            json!([CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE]),
        ),
        (
            "token_endpoint_auth_methods_supported",
            json!(["none", "spiffe_x509"]),
        ),
        (
            "introspection_endpoint_auth_methods_supported",
            json!(["spiffe_x509"]),
        ),
        (
            "revocation_endpoint_auth_methods_supported",
            json!(["none"]),
        ),
        (
            "tls_client_certificate_bound_access_tokens",
            Value::Bool(true),
        ),
        ("dayfly_trust_uri", at("/v1/trust")),
        ("dayfly_feed_uri", at("/v1/feed")),
        ("dayfly_max_lifetime", json!(app.issuer.max_lifetime_secs())),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A public document with its entity tag (RFC 9110 section 8.8.3).
fn cacheable(call: &Call, document: String, max_age_secs: u64) -> Response {
    let digest = sha256(document.as_bytes());
    let tag = format!(
        "\"{}\"",
        base64url::encode(digest.get(..TAG_BYTES).unwrap_or(&digest))
    );
    let known = call
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| {
            value.to_str().is_ok_and(|value| {
                value
                    .split(',')
                    .map(|t| t.trim().trim_start_matches("W/"))
                    .any(|t| t == tag || t == "*")
            })
        });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = (StatusCode::OK, document).into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age_secs}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    response
}
