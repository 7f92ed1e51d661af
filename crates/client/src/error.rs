use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dayfly_token::UnixTime;
use rustls::{AlertDescription, Error as TlsError};

/// Why a credential could not be had, or a call to the issuer failed.
///
/// No variant and no source of one carries a token, a key or an assertion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The issuer's certificate is not what was asked for.
    #[error("the certificate from the issuer is unusable: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The client is set up in a way that cannot work.
    #[error("{reason}")]
    Configuration {
        /// What is wrong.
        reason: String,
    },
    /// A file with evidence cannot be read.
    #[error("cannot read `{}`", path.display())]
    EvidenceFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no evidence to present.
    #[error("{reason}")]
    EvidenceMissing {
        /// What was looked for, and what to do about it.
        reason: String,
    },
    /// The platform does not hand out an ID token.
    #[error("`{endpoint}` gives no ID token: {reason}")]
    EvidenceRefused {
        /// Whom we asked.
        endpoint: String,
        /// What came back.
        reason: String,
        /// The HTTP status.
        status: u16,
    },
    /// The credential has expired and no new one could be had.
    #[error("the credential expired at {expires_at} and could not be renewed")]
    Expired {
        /// When it expired.
        expires_at: UnixTime,
        /// Why the last renewal failed.
        source: Option<Arc<ClientError>>,
    },
    /// The request did not reach the issuer, or its answer did not reach us.
    #[error("cannot reach `{endpoint}`")]
    Http {
        /// Whom we asked.
        endpoint: String,
        /// What failed; it names no URL.
        source: reqwest::Error,
    },
    /// The metadata belong to another issuer: RFC 8414 section 3.3 forbids to use them.
    #[error("the metadata say issuer `{found}`, expected `{expected}`")]
    IssuerMismatch {
        /// The configured issuer.
        expected: String,
        /// What the document says.
        found: String,
    },
    /// The answer cannot be understood.
    #[error("the answer of `{endpoint}` is unusable: {reason}")]
    Malformed {
        /// Whom we asked.
        endpoint: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The issuer said no.
    #[error("`{endpoint}` refused: {refusal}")]
    Refused {
        /// Whom we asked.
        endpoint: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// A TLS identity or configuration that rustls refuses.
    #[error("cannot set up TLS")]
    Tls {
        /// What rustls said.
        source: rustls::Error,
    },
    /// The answer is larger than any honest one.
    #[error("the answer of `{endpoint}` is larger than {limit} bytes")]
    TooLarge {
        /// Whom we asked.
        endpoint: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A URL that would send secrets in the clear.
    #[error("`{url}` is not an https URL")]
    Unencrypted {
        /// The URL.
        url: String,
    },
}

/// A refusal of the issuer, as RFC 6749 section 5.2 or RFC 9457 carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code: `error` of OAuth, `code` of a problem document; empty if the answer has none.
    pub code: String,
    /// What the issuer says to callers; never the internal reason.
    pub description: Option<String>,
    /// Under which the issuer's audit trail has the reason: `dayfly why <id>`.
    pub decision_id: Option<String>,
    /// Under which the issuer's log has the request.
    pub request_id: Option<String>,
    /// How long the issuer asks to wait.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if let Some(description) = &self.description {
            write!(f, ", {description}")?;
        }
        if let Some(id) = &self.decision_id {
            write!(f, " (decision {id})")?;
        } else if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl ClientError {
    /// What the issuer said, if it said no.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Expired {
                source: Some(source),
                ..
            } => source.refusal(),
            _ => None,
        }
    }

    /// The stable code of the refusal: `invalid_grant`, `invalid_scope` and so on.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.refusal()
            .map(|refusal| refusal.code.as_str())
            .filter(|code| !code.is_empty())
    }

    /// The decision to ask the operator about.
    #[must_use]
    pub fn decision_id(&self) -> Option<&str> {
        self.refusal()?.decision_id.as_deref()
    }

    /// The request to ask the operator about.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.refusal()?.request_id.as_deref()
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => matches!(refusal.status, 429 | 502 | 503 | 504),
            Self::EvidenceRefused { status, .. } => *status == 429 || *status >= 500,
            // Who refuses this client's certificate refuses it again. A handshake that fails over the issuer's
            // certificate does so too, but reads like any other connection error.
            Self::Http { source, .. } => {
                !refuses_our_certificate(source)
                    && (source.is_connect()
                        || source.is_timeout()
                        || source.is_request()
                        || source.is_body())
            }
            _ => false,
        }
    }

    /// What to do next, where there is something to do.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => advice_on(refusal),
            Self::Expired {
                source: Some(source),
                ..
            } => source.advice(),
            Self::Http { source, .. } if refuses_our_certificate(source) => Some(
                "the issuer refused the client certificate in the TLS handshake: it must be a current and well-formed \
                 X.509-SVID of a trust domain whose bundle the issuer has",
            ),
            Self::Http { source, .. } if source.is_connect() => Some(
                "check the issuer's URL, that it is reachable from here, and that its certificate is under the CA \
                 that this client trusts",
            ),
            Self::IssuerMismatch { .. } => Some(
                "use the issuer's identifier exactly as its metadata name it, trailing slash included",
            ),
            Self::Unencrypted { .. } => {
                Some("use an https URL; plain http is for tests on loopback")
            }
            _ => None,
        }
    }
}

/// Whether the issuer ended the connection over the certificate that this client showed (RFC 8446 section 6.2).
fn refuses_our_certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let inner = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<TlsError>());
        if let Some(TlsError::AlertReceived(alert)) = inner {
            return matches!(
                alert,
                AlertDescription::AccessDenied
                    | AlertDescription::BadCertificate
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateRequired
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::UnsupportedCertificate
            );
        }
        next = cause.source();
    }
    false
}

fn advice_on(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal.code.as_str() {
        "invalid_client" => {
            "check that the client certificate is a current SVID of a trust domain that the issuer knows"
        }
        "invalid_grant" => {
            "the evidence is expired, was used before, or fits no rule: get fresh evidence; if that does not help, ask \
             the issuer's operator for `dayfly why` of this decision"
        }
        "unauthorized_client" => {
            "no grant allows this: compare audience, scopes and task with the workload's grants, or ask the operator \
             for `dayfly why` of this decision"
        }
        "invalid_scope" => "ask for scopes that the grant has, or for none to get all of them",
        "invalid_target" => {
            "ask for an audience that is registered and that the workload has a grant for"
        }
        "invalid_request" => "a parameter is missing, given twice, or not understood",
        "unsupported_grant_type" => "this issuer does not take this kind of evidence",
        "temporarily_unavailable" => {
            "wait as long as the answer says, then try again with fresh evidence"
        }
        "insufficient_scope" => {
            "this call needs a `dayfly:…` scope that the caller's grant does not have"
        }
        "invalid_token" => "get a token whose audience is the issuer, or use a client certificate",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> ClientError {
        ClientError::Refused {
            endpoint: "https://sts.example/oauth2/token".to_owned(),
            refusal: Box::new(Refusal {
                status,
                code: code.to_owned(),
                description: Some("the evidence was refused".to_owned()),
                decision_id: Some("QAAAAAAAAAAAAAAAAAAAAA".to_owned()),
                request_id: Some("r-1".to_owned()),
                retry_after: None,
            }),
        }
    }

    #[test]
    fn a_refusal_says_what_where_and_which_decision() {
        let error = refused(400, "invalid_grant");
        assert_eq!(
            error.to_string(),
            "`https://sts.example/oauth2/token` refused: 400 invalid_grant, the evidence was refused (decision \
             QAAAAAAAAAAAAAAAAAAAAA)"
        );
        assert_eq!(error.code(), Some("invalid_grant"));
        assert!(
            error
                .advice()
                .is_some_and(|advice| advice.contains("dayfly why"))
        );
        assert!(!error.is_temporary());
        for status in [429, 502, 503, 504] {
            assert!(
                refused(status, "temporarily_unavailable").is_temporary(),
                "{status}"
            );
        }
        for status in [400, 401, 403, 404, 500] {
            assert!(!refused(status, "server_error").is_temporary(), "{status}");
        }
    }

    #[test]
    fn an_expired_credential_tells_why_it_was_not_renewed() {
        let error = ClientError::Expired {
            expires_at: UnixTime::from_secs(7),
            source: Some(Arc::new(refused(400, "unauthorized_client"))),
        };
        assert_eq!(error.code(), Some("unauthorized_client"));
        assert_eq!(error.decision_id(), Some("QAAAAAAAAAAAAAAAAAAAAA"));
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(source.is_some_and(|text| text.contains("unauthorized_client")));
    }
}
