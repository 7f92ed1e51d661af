//! `POST /oauth2/revoke` (RFC 7009).

use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use dayfly_issuer::revoke::Revocation;
use dayfly_verifier::{Presented, UnverifiedToken};
use http::StatusCode;
use utoipa::ToSchema;

use super::call::Call;
use super::evidence::refuse_headers;
use super::form::Parameter;
use super::oauth_error::{OauthCode, OauthError, OauthErrorBody};
use super::token::no_store;

const PARAMETERS: &[&[Parameter]] =
    &[&[Parameter::once("token"), Parameter::once("token_type_hint")]];

/// The form, for the document.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form; the form is read by hand, strictly"
)]
pub(crate) struct RevocationRequest {
    /// The access token.
    token: String,
    /// Ignored: there is one kind.
    token_type_hint: Option<String>,
}

/// Revokes a token that the caller holds
///
/// Whoever holds a token may end it; nothing else is asked. Tokens that were derived from it end
/// with it. An unknown or ended token is answered like a revoked one (RFC 7009 section 2.2).
#[utoipa::path(
    post,
    path = "/oauth2/revoke",
    operation_id = "revoke",
    tag = "oauth",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is not alive any more"),
        (status = 400, description = "The form cannot be read", body = OauthErrorBody),
        (status = 503, description = "Not revoked; see Retry-After", body = OauthErrorBody),
    ),
)]
pub(crate) async fn post(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match answer(&mut call).await {
        Ok(()) => no_store(StatusCode::OK.into_response()),
        Err(error) => error.of_request(&id).into_response(),
    }
}

async fn answer(call: &mut Call) -> Result<(), OauthError> {
    let form = call.form(PARAMETERS).await?;
    refuse_headers(&call.headers)?;
    let token = form.require("token")?;
    let now = call.app.clock.now();
    let verified =
        call.app
            .own_unbound
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, now.time());
    let verified = match verified {
        Ok(verified) => verified,
        // To say 200 of a token that may be alive would be a false promise.
        Err(refused) if call.app.is_in_doubt(&refused) => {
            return Err(OauthError::new(OauthCode::TemporarilyUnavailable).retry_after(1));
        }
        Err(_) => return Ok(()),
    };
    let revocation = Revocation::Credential {
        id: verified.credential_id().to_owned(),
        expires_at: Some(verified.expires_at()),
    };
    let by = verified
        .workload()
        .map_or_else(|| "holder".to_owned(), |id| id.to_string());
    let bodies = revocation.bodies(now, call.app.retention());
    call.app
        .write_control(&by, "revoked by its holder", bodies, &call.request_id)
        .await
        .map_err(|error| {
            tracing::warn!(request_id = %call.request_id, %error, "a revocation was not recorded");
            OauthError::new(OauthCode::TemporarilyUnavailable).retry_after(1)
        })
}
