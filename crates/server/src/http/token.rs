//! `POST /oauth2/token`.

use axum::response::{IntoResponse, Response};
use dayfly_issuer::{Credential, IssuedToken};
use dayfly_policy::CredentialKind;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::call::Call;
use super::evidence::{self, Grant, TYPE_ACCESS_TOKEN};
use super::form::Parameter;
use super::issue::{Wanted, issue};
use super::oauth_error::{OauthCode, OauthError, OauthErrorBody};
use super::request;

/// The parameters of the token endpoint; others are ignored.
pub(crate) const PARAMETERS: &[&[Parameter]] = &[request::EVIDENCE, request::WANTED];

/// The form of a token request, for the document.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form; the form is read by hand, strictly"
)]
pub(crate) struct TokenRequest {
    /// `client_credentials`, `urn:ietf:params:oauth:grant-type:jwt-bearer` or
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    grant_type: String,
    /// The registered API; `resource` means the same, and exactly one of the two is sent.
    audience: Option<String>,
    /// RFC 8707; the same as `audience`.
    resource: Option<String>,
    /// Separated by spaces; left out, the grant's scopes.
    scope: Option<String>,
    /// RFC 9396: a JSON array of objects.
    authorization_details: Option<String>,
    /// For `client_credentials`: the SPIFFE ID of the client certificate.
    client_id: Option<String>,
    /// For `jwt-bearer`: the OIDC token (RFC 7523), at most 16 KiB.
    assertion: Option<String>,
    /// For `token-exchange` (RFC 8693): an OIDC token or an access token of this issuer.
    subject_token: Option<String>,
    /// `urn:ietf:params:oauth:token-type:` and `jwt`, `id_token` or `access_token`.
    subject_token_type: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token` or `…:jwt`.
    requested_token_type: Option<String>,
    /// The rule by which the evidence is to be mapped; it grants nothing.
    rule: Option<String>,
    /// The task that the token is for: up to 100 of `A-Z a-z 0-9 . _ -`.
    task: Option<String>,
    /// Why, for the audit trail; at most 256 characters.
    purpose: Option<String>,
    /// Seconds; can only shorten the life.
    requested_ttl: Option<u64>,
}

/// RFC 6749 section 5.1, RFC 8693 section 2.2.1.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// A JWT by RFC 9068.
    access_token: String,
    /// `Bearer`, also for tokens that are bound to a certificate.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// The scopes that were granted.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    /// The authorization details that were granted (RFC 9396 section 7).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    authorization_details: Vec<Map<String, Value>>,
    /// Always sent for `token-exchange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
}

/// Exchanges evidence for an access token
///
/// RFC 6749 section 4.4, RFC 7523 section 2.1, RFC 8693. The token lives minutes and names one
/// audience and one task. No refresh token is ever issued.
#[utoipa::path(
    post,
    path = "/oauth2/token",
    operation_id = "token",
    tag = "oauth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = TokenResponse),
        (status = 400, description = "Refused (RFC 6749 section 5.2)", body = OauthErrorBody),
        (status = 401, description = "The caller could not be authenticated", body = OauthErrorBody),
        (status = 429, description = "The rate is used up; see Retry-After", body = OauthErrorBody),
        (status = 503, description = "Not now; see Retry-After", body = OauthErrorBody),
    ),
)]
pub(crate) async fn post(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match answer(&mut call).await {
        Ok(response) => no_store((StatusCode::OK, axum::Json(response)).into_response()),
        Err(error) => error.of_request(&id).into_response(),
    }
}

async fn answer(call: &mut Call) -> Result<TokenResponse, OauthError> {
    let form = call.form(PARAMETERS).await?;
    evidence::refuse_headers(&call.headers)?;
    let grant = Grant::parse(form.require("grant_type")?)?;
    let presented = evidence::choose(grant, &form, call.peer.as_ref())?;
    if let Some(kind) = form.get("requested_token_type")
        && !matches!(
            kind,
            TYPE_ACCESS_TOKEN | "urn:ietf:params:oauth:token-type:jwt"
        )
    {
        return Err(OauthError::request(
            "the requested_token_type is not supported",
        ));
    }
    let request = request::wanted(&form, CredentialKind::AccessToken)?;
    match issue(call, grant, presented, request, Wanted::Token).await? {
        Credential::Token(token) => Ok(response(token, grant)),
        Credential::Certificate(_) => Err(OauthError::new(OauthCode::ServerError)),
    }
}

fn response(token: IssuedToken, grant: Grant) -> TokenResponse {
    TokenResponse {
        expires_in: token.expires_in,
        scope: token.scopes.to_string(),
        authorization_details: token.authorization_details,
        issued_token_type: (grant == Grant::TokenExchange).then_some(TYPE_ACCESS_TOKEN),
        token_type: "Bearer",
        access_token: token.access_token.reveal().to_owned(),
    }
}

/// RFC 6749 section 5.1: what carries a credential is not stored on the way.
pub(crate) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
