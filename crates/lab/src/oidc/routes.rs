use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dayfly_token::base64url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Document, DocumentKind, count};
use super::issuer::Shared;

/// Where a [`Behaviour::Redirect`] leads: a place that would serve the document.
const ELSEWHERE: &str = "/elsewhere";

/// All routes of the issuer, below its path.
pub(super) fn router(shared: Arc<Shared>, path: &str) -> Router {
    let at = |suffix: &str| format!("{path}{suffix}");
    Router::new()
        .route(&at("/.well-known/openid-configuration"), get(discovery))
        .route(&at("/.well-known/jwks"), get(jwks))
        .route(
            &at("/elsewhere/openid-configuration"),
            get(discovery_elsewhere),
        )
        .route(&at("/elsewhere/jwks"), get(jwks_elsewhere))
        .route(&at("/_apis/idtoken"), get(id_token))
        .with_state(shared)
}

async fn discovery(State(shared): State<Arc<Shared>>, request: HeaderMap) -> Response {
    count(&shared.counters.discovery);
    let behaviour = shared.behaviour(DocumentKind::Discovery);
    let issuer = if behaviour == Behaviour::WrongIssuer {
        format!("{}/", shared.url)
    } else {
        shared.url.clone()
    };
    let json = discovery_document(&shared, &issuer).to_string();
    document(&shared, json, "openid-configuration")
        .answer(behaviour, &request, &shared.counters)
        .await
}

async fn jwks(State(shared): State<Arc<Shared>>, request: HeaderMap) -> Response {
    count(&shared.counters.jwks);
    let behaviour = shared.behaviour(DocumentKind::Jwks);
    document(&shared, shared.jwks(), "jwks")
        .answer(behaviour, &request, &shared.counters)
        .await
}

async fn discovery_elsewhere(State(shared): State<Arc<Shared>>) -> Json<Value> {
    count(&shared.counters.followed);
    Json(discovery_document(&shared, &shared.url))
}

async fn jwks_elsewhere(State(shared): State<Arc<Shared>>) -> Response {
    count(&shared.counters.followed);
    ([(header::CONTENT_TYPE, "application/json")], shared.jwks()).into_response()
}

#[derive(Deserialize)]
struct IdTokenQuery {
    audience: Option<String>,
}

/// What a runner answers to a job that asks for its ID token: `{"count": …, "value": "<token>"}`.
async fn id_token(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<IdTokenQuery>,
    request: HeaderMap,
) -> Response {
    count(&shared.counters.id_tokens);
    let authorization = request
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let request_token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let Some(mut job) = request_token.and_then(|token| shared.job_of(token)) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    // Jobs choose the audience; without one it is the URL of the owner.
    job.audience = query
        .audience
        .unwrap_or_else(|| format!("https://github.com/{}", job.owner));
    let value = shared.github_token(&job);
    Json(json!({ "count": value.len(), "value": value })).into_response()
}

fn discovery_document(shared: &Shared, issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/.well-known/jwks", shared.url),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "repository_id"],
        "id_token_signing_alg_values_supported": [shared.current_key().algorithm().name()],
        "scopes_supported": ["openid"],
    })
}

fn document(shared: &Shared, json: String, name: &str) -> Document {
    let digest = dayfly_keys::sha256(json.as_bytes());
    let etag = format!(
        "\"{}\"",
        base64url::encode(digest.get(..12).unwrap_or_default())
    );
    Document {
        json,
        etag,
        max_age_secs: shared.max_age_secs,
        elsewhere: format!("{}{ELSEWHERE}/{name}", shared.url),
    }
}
