//! Error answers of `/v1` (RFC 9457).

use axum::response::{IntoResponse, Response};
use dayfly_issuer::LedgerError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::request_id::RequestId;

/// The kinds of problems, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ProblemCode {
    BadRequest,
    Conflict,
    Forbidden,
    Internal,
    MethodNotAllowed,
    NotFound,
    TimedOut,
    TooLarge,
    TooManySubscribers,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
}

impl ProblemCode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::TooManySubscribers => "too_many_subscribers",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::UnsupportedMediaType => "unsupported_media_type",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TimedOut | Self::TooManySubscribers | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be read",
            Self::Conflict => "The request contradicts what is known",
            Self::Forbidden => "The caller has no right to do this",
            Self::Internal => "An internal error",
            Self::MethodNotAllowed => "The method is not served here",
            Self::NotFound => "There is nothing here",
            Self::TimedOut => "The request took too long",
            Self::TooLarge => "The body is too large",
            Self::TooManySubscribers => "The feed has too many subscribers",
            Self::Unauthenticated => "The caller is not authenticated",
            Self::Unavailable => "The ledger or the control stream is unavailable",
            Self::UnsupportedMediaType => "The content type is not accepted",
        }
    }
}

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: ProblemCode,
    pub(crate) detail: String,
    pub(crate) retry_after_secs: Option<u64>,
    pub(crate) challenge: Option<&'static str>,
    pub(crate) request_id: Option<RequestId>,
}

/// The body of an error answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// `urn:dayfly:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// What kind of problem it is, in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable code.
    code: &'static str,
    /// What is wrong in this case.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// Names the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What a client does after a 503: fresh evidence, after the time that an unreachable ledger
/// usually needs.
const RETRY_AFTER_SECS: u64 = 1;

impl Problem {
    pub(crate) const fn new(code: ProblemCode) -> Self {
        Self {
            code,
            detail: String::new(),
            retry_after_secs: None,
            challenge: None,
            request_id: None,
        }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::new(ProblemCode::BadRequest)
        }
    }

    pub(crate) fn detailed(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }

    pub(crate) const fn forbidden() -> Self {
        Self::new(ProblemCode::Forbidden)
    }

    pub(crate) fn unavailable() -> Self {
        Self {
            retry_after_secs: Some(RETRY_AFTER_SECS),
            ..Self::new(ProblemCode::Unavailable)
        }
    }

    pub(crate) fn of_request(self, id: &RequestId) -> Self {
        Self {
            request_id: Some(id.clone()),
            ..self
        }
    }
}

impl From<LedgerError> for Problem {
    /// The caller learns that it is not done; the log has the reason.
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Corrupt { .. } => {
                tracing::error!(%error, "the ledger holds something unreadable");
                Self::new(ProblemCode::Internal)
            }
            _ => {
                tracing::warn!(%error, "the ledger did not answer a request");
                Self::unavailable()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let body = ProblemBody {
            kind: format!("urn:dayfly:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: self.detail,
            request_id: self.request_id.map(|id| id.to_string()),
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(secs) = self
            .retry_after_secs
            .or(unavailable.then_some(RETRY_AFTER_SECS))
        {
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
