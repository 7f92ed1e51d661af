//! `POST /oauth2/introspect` (RFC 7662).

use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use dayfly_token::AudienceId;
use dayfly_verifier::{Presented, UnverifiedToken, Verified};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::call::Call;
use super::caller::Caller;
use super::form::Parameter;
use super::oauth_error::{OauthCode, OauthError, OauthErrorBody};
use super::token::no_store;
use crate::authz::AdminScope;

const PARAMETERS: &[&[Parameter]] =
    &[&[Parameter::once("token"), Parameter::once("token_type_hint")]];

/// The form, for the document.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form; the form is read by hand, strictly"
)]
pub(crate) struct IntrospectionRequest {
    /// The access token.
    token: String,
    /// Ignored: there is one kind.
    token_type_hint: Option<String>,
}

/// RFC 7662 section 2.2. An inactive token has the member `active` and no other.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the answer; it is the token's own claims"
)]
pub(crate) struct IntrospectionResponse {
    /// Whether the token is alive, and the caller may know it.
    active: bool,
    /// `Bearer`.
    token_type: Option<String>,
    /// Separated by spaces.
    scope: Option<String>,
    /// The SPIFFE ID of the workload.
    client_id: Option<String>,
    /// The SPIFFE ID of the workload.
    sub: Option<String>,
    /// The API.
    aud: Option<String>,
    /// The issuer.
    iss: Option<String>,
    /// Seconds since 1970.
    exp: Option<u64>,
    /// Seconds since 1970.
    iat: Option<u64>,
    /// The credential id.
    jti: Option<String>,
    /// The task, `<owner>/<task>`.
    txn: Option<String>,
    /// What the token is bound to (RFC 7800).
    #[schema(value_type = Option<Object>)]
    cnf: Option<Value>,
}

/// Says whether a token is alive
///
/// For operators of the token's audience, and for callers with `dayfly:introspect`. Everybody else
/// learns that the token is not active.
#[utoipa::path(
    post,
    path = "/oauth2/introspect",
    operation_id = "introspect",
    tag = "oauth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What may be known of the token", body = IntrospectionResponse),
        (status = 400, description = "The form cannot be read", body = OauthErrorBody),
        (status = 401, description = "The caller is not authenticated", body = OauthErrorBody),
        (status = 503, description = "Not now; see Retry-After", body = OauthErrorBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:introspect"])),
)]
pub(crate) async fn post(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match answer(&mut call).await {
        Ok(body) => no_store((StatusCode::OK, axum::Json(body)).into_response()),
        Err(error) => error.of_request(&id).into_response(),
    }
}

async fn answer(call: &mut Call) -> Result<Value, OauthError> {
    // RFC 7662 section 2.1: the caller first, so that a stranger learns nothing from the form.
    let caller = Caller::of(call)
        .await
        .map_err(super::caller::NoCaller::oauth)?;
    let form = call.form(PARAMETERS).await?;
    let token = form.require("token")?;
    let now = call.app.clock.now().time();
    // The binding is the business of the API that the token is presented to, not of its question.
    let verified =
        call.app
            .own_unbound
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, now);
    Ok(match verified {
        Ok(token) if may_know(call, &caller, &token) => active(&token),
        Ok(_) => {
            tracing::info!(
                by = caller.by,
                "introspection of a token that is not the caller's"
            );
            json!({ "active": false })
        }
        Err(refused) if call.app.is_in_doubt(&refused) => {
            return Err(OauthError::new(OauthCode::TemporarilyUnavailable).retry_after(1));
        }
        Err(_) => json!({ "active": false }),
    })
}

fn may_know(call: &Call, caller: &Caller, token: &Verified) -> bool {
    let owner = token.workload().map(|workload| workload.owner);
    if caller.may(AdminScope::Introspect, owner.as_ref()) {
        return true;
    }
    let policy = call.app.issuer.policy();
    let audience = token
        .audience()
        .single()
        .and_then(|id| id.parse::<AudienceId>().ok());
    match (&caller.workload, audience) {
        (Some(workload), Some(audience)) => policy.is_operator(&audience, workload),
        _ => false,
    }
}

fn active(token: &Verified) -> Value {
    let mut body = token.claims_json();
    if let Value::Object(members) = &mut body {
        members.insert("active".to_owned(), Value::Bool(true));
        members.insert("token_type".to_owned(), Value::String("Bearer".to_owned()));
    }
    body
}
