//! Error answers of the OAuth endpoints (RFC 6749 section 5.2).

use axum::response::{IntoResponse, Response};
use dayfly_token::DecisionId;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::form::FormError;
use super::request_id::RequestId;

/// The codes of RFC 6749, 8693, 8707, 9396 that we answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OauthCode {
    InvalidAuthorizationDetails,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
}

impl OauthCode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// What every caller may know. The reason of a decision stays in the audit trail.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::InvalidAuthorizationDetails => "the authorization details are not granted",
            Self::InvalidClient => "the caller could not be authenticated",
            Self::InvalidGrant => "the evidence was not accepted",
            Self::InvalidRequest => "the request was not accepted",
            Self::InvalidScope => "the scope is not granted",
            Self::InvalidTarget => "the audience is not granted",
            Self::ServerError => "an internal error; the request id names it in the log",
            Self::TemporarilyUnavailable => "not now; present fresh evidence after the given time",
            Self::UnauthorizedClient => "the caller may not do this",
            Self::UnsupportedGrantType => "the grant type is not supported",
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidAuthorizationDetails
            | Self::InvalidGrant
            | Self::InvalidRequest
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType => StatusCode::BAD_REQUEST,
        }
    }
}

/// When to come back if nothing better is known, in seconds.
const RETRY_AFTER_SECS: u64 = 1;

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct OauthError {
    pub(crate) status: StatusCode,
    pub(crate) code: OauthCode,
    pub(crate) description: String,
    pub(crate) decision: Option<DecisionId>,
    pub(crate) retry_after_secs: Option<u64>,
    pub(crate) challenge: Option<&'static str>,
    pub(crate) request_id: Option<RequestId>,
}

/// The body of an error answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthErrorBody {
    /// A code of RFC 6749, 8693, 8707 or 9396.
    error: &'static str,
    /// Generic words; the reason stands in the audit trail under the decision id.
    error_description: String,
    /// Names the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Names the decision, if one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
}

impl OauthError {
    /// The answer that belongs to a code.
    pub(crate) fn new(code: OauthCode) -> Self {
        Self {
            status: code.status(),
            code,
            description: code.description().to_owned(),
            decision: None,
            retry_after_secs: None,
            challenge: None,
            request_id: None,
        }
    }

    /// A mistake in the form of the request, which the caller may know precisely.
    pub(crate) fn request(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::new(OauthCode::InvalidRequest)
        }
    }

    pub(crate) fn described(self, description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    pub(crate) fn retry_after(self, secs: u64) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..self
        }
    }

    pub(crate) fn challenge(self, challenge: &'static str) -> Self {
        Self {
            challenge: Some(challenge),
            ..self
        }
    }

    pub(crate) fn of_request(self, id: &RequestId) -> Self {
        Self {
            request_id: Some(id.clone()),
            ..self
        }
    }
}

impl From<FormError> for OauthError {
    fn from(error: FormError) -> Self {
        Self::request(error.to_string())
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let body = OauthErrorBody {
            error: self.code.as_str(),
            error_description: self.description,
            request_id: self.request_id.map(|id| id.to_string()),
            decision_id: self.decision.map(|id| id.to_string()),
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        let later = matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if let Some(secs) = self.retry_after_secs.or(later.then_some(RETRY_AFTER_SECS)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs.max(1)));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}
