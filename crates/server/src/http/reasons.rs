//! From the reason why nothing was issued to what the caller is told: the one place.
//!
//! What the caller learns is a code, generic words and the decision id; the
//! reason itself stands in the audit trail.

use dayfly_issuer::{Reason, Refused};
use dayfly_policy::{DenialReason, Method};
use http::StatusCode;

use super::evidence::Grant;
use super::oauth_error::{OauthCode, OauthError};

/// When to come back if the reason does not say.
const RETRY_AFTER_SECS: u64 = 1;

/// The answer to a refusal.
pub(crate) fn oauth_error(refused: &Refused, grant: Grant) -> OauthError {
    let answer = answer(refused.reason, grant);
    let mut error = OauthError::new(answer.code);
    if refused.reason == Reason::RateLimited {
        error.status = StatusCode::TOO_MANY_REQUESTS;
        error = error.described("the rate is used up; come back after the given time");
    }
    if let Some(words) = answer.words {
        error = error.described(words);
    }
    if answer.code == OauthCode::TemporarilyUnavailable {
        error = error.retry_after(refused.retry_after_secs.unwrap_or(RETRY_AFTER_SECS));
    }
    error
}

struct Answer {
    code: OauthCode,
    words: Option<&'static str>,
}

const fn plain(code: OauthCode) -> Answer {
    Answer { code, words: None }
}

const fn words(code: OauthCode, words: &'static str) -> Answer {
    Answer {
        code,
        words: Some(words),
    }
}

fn answer(reason: Reason, grant: Grant) -> Answer {
    match reason {
        Reason::BadCertificateRequest => {
            words(OauthCode::InvalidRequest, "the csr is not acceptable")
        }
        Reason::Denied(reason) => denied(reason, grant),
        Reason::Evidence { method, .. } => plain(evidence(grant, method)),
        Reason::EvidencePredatesStore => words(
            evidence(grant, Some(Method::Oidc)),
            "the evidence may have been used before; fetch a fresh one",
        ),
        Reason::Replayed => plain(evidence(grant, Some(Method::Oidc))),
        // Protocol C: no post-dated credential; what is asked for now works in a few seconds.
        Reason::CutOff(_)
        | Reason::CertificatesNotConfigured
        | Reason::ClockSkew
        | Reason::ControlSilent
        | Reason::EvidenceUnavailable { .. }
        | Reason::Generation
        | Reason::LedgerUnavailable
        | Reason::NoSigningKey
        | Reason::RateLimited => plain(OauthCode::TemporarilyUnavailable),
        Reason::Held(_) => plain(OauthCode::UnauthorizedClient),
        Reason::Internal => plain(OauthCode::ServerError),
        Reason::ParentRevoked(_) | Reason::TooManyAncestors => plain(OauthCode::InvalidRequest),
        Reason::TaskEnded | Reason::TaskOverdue => plain(match grant {
            Grant::TokenExchange => OauthCode::InvalidRequest,
            Grant::ClientCredentials | Grant::JwtBearer | Grant::X509 => OauthCode::InvalidGrant,
        }),
    }
}

/// Evidence that does not count, or leads to nobody: the two are told alike, because a stranger
/// must not learn which workloads there are.
const fn evidence(grant: Grant, method: Option<Method>) -> OauthCode {
    match (grant, method) {
        (Grant::ClientCredentials, _) | (Grant::X509, Some(Method::X509Svid)) => {
            OauthCode::InvalidClient
        }
        (Grant::JwtBearer, _) | (Grant::X509, Some(Method::Oidc)) => OauthCode::InvalidGrant,
        // RFC 8693 section 2.2.2: not `invalid_grant`.
        (Grant::TokenExchange, _) | (Grant::X509, _) => OauthCode::InvalidRequest,
    }
}

fn denied(reason: DenialReason, grant: Grant) -> Answer {
    match reason {
        DenialReason::AmbiguousRule
        | DenialReason::EnvironmentMismatch
        | DenialReason::NoRule
        | DenialReason::UnknownRule
        | DenialReason::UnknownWorkload => plain(evidence(grant, unknown_method(grant))),
        DenialReason::AudienceRequired => words(
            OauthCode::InvalidRequest,
            "the parameter audience is missing",
        ),
        DenialReason::TaskRequired => {
            words(OauthCode::InvalidRequest, "the parameter task is missing")
        }
        DenialReason::PurposeRequired => words(
            OauthCode::InvalidRequest,
            "the parameter purpose is missing",
        ),
        DenialReason::PurposeInvalid => words(
            OauthCode::InvalidRequest,
            "the parameter purpose is not acceptable",
        ),
        DenialReason::DelegationUnsupported => words(
            OauthCode::InvalidTarget,
            "delegation to another audience is not supported yet",
        ),
        // One answer for all, so that nobody learns which audiences there are.
        DenialReason::CallerNotAllowed | DenialReason::NoGrant | DenialReason::UnknownAudience => {
            plain(OauthCode::InvalidTarget)
        }
        DenialReason::ScopeNotGranted => plain(OauthCode::InvalidScope),
        DenialReason::AuthorizationDetails => plain(OauthCode::InvalidAuthorizationDetails),
        DenialReason::BindingUnavailable
        | DenialReason::CertificateNotGranted
        | DenialReason::ConditionFailed
        | DenialReason::DnsNameNotGranted
        | DenialReason::Guardrail
        | DenialReason::GuardrailError => plain(OauthCode::UnauthorizedClient),
        DenialReason::LifetimeTooShort => words(
            OauthCode::InvalidRequest,
            "what could be issued would live too short; fetch fresh evidence or ask for more",
        ),
        DenialReason::NotNarrowable | DenialReason::NotNarrower => plain(OauthCode::InvalidRequest),
    }
}

/// A denial does not say by which method the caller came; for certificates, every method that is
/// not mapped to a workload is told like a client that is not known.
const fn unknown_method(grant: Grant) -> Option<Method> {
    match grant {
        Grant::X509 => Some(Method::X509Svid),
        Grant::ClientCredentials | Grant::JwtBearer | Grant::TokenExchange => None,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_issuer::control::HoldKind;
    use dayfly_token::feed::Kind;

    use super::*;

    fn told(reason: Reason, grant: Grant) -> (u16, &'static str, Option<u64>) {
        let error = oauth_error(
            &Refused {
                reason,
                retry_after_secs: None,
            },
            grant,
        );
        (
            error.status.as_u16(),
            error.code.as_str(),
            error.retry_after_secs,
        )
    }

    const BAD: Reason = Reason::Evidence {
        method: None,
        code: "signature",
    };

    #[test]
    fn bad_evidence_has_the_error_of_its_grant() {
        assert_eq!(
            told(BAD, Grant::ClientCredentials),
            (401, "invalid_client", None)
        );
        assert_eq!(told(BAD, Grant::JwtBearer), (400, "invalid_grant", None));
        assert_eq!(
            told(BAD, Grant::TokenExchange),
            (400, "invalid_request", None)
        );
        let svid = Reason::Evidence {
            method: Some(Method::X509Svid),
            code: "leaf",
        };
        let oidc = Reason::Evidence {
            method: Some(Method::Oidc),
            code: "signature",
        };
        assert_eq!(told(svid, Grant::X509), (401, "invalid_client", None));
        assert_eq!(told(oidc, Grant::X509), (400, "invalid_grant", None));
        assert_eq!(told(BAD, Grant::X509), (400, "invalid_request", None));
    }

    #[test]
    fn a_stranger_cannot_tell_bad_evidence_from_no_rule() {
        for grant in [
            Grant::ClientCredentials,
            Grant::JwtBearer,
            Grant::TokenExchange,
        ] {
            let bad = oauth_error(
                &Refused {
                    reason: BAD,
                    retry_after_secs: None,
                },
                grant,
            );
            for reason in [
                DenialReason::NoRule,
                DenialReason::UnknownRule,
                DenialReason::AmbiguousRule,
                DenialReason::UnknownWorkload,
            ] {
                let reason = Reason::Denied(reason);
                let denied = oauth_error(
                    &Refused {
                        reason,
                        retry_after_secs: None,
                    },
                    grant,
                );
                assert_eq!((denied.status, denied.code), (bad.status, bad.code));
                assert_eq!(denied.description, bad.description);
            }
        }
    }

    #[test]
    fn the_rows_of_the_table() {
        let denied = |reason| told(Reason::Denied(reason), Grant::JwtBearer);
        assert_eq!(
            denied(DenialReason::UnknownAudience),
            (400, "invalid_target", None)
        );
        assert_eq!(denied(DenialReason::NoGrant), (400, "invalid_target", None));
        assert_eq!(
            denied(DenialReason::ScopeNotGranted),
            (400, "invalid_scope", None)
        );
        assert_eq!(
            denied(DenialReason::AuthorizationDetails),
            (400, "invalid_authorization_details", None)
        );
        assert_eq!(
            denied(DenialReason::Guardrail),
            (400, "unauthorized_client", None)
        );
        assert_eq!(
            told(Reason::Replayed, Grant::JwtBearer),
            (400, "invalid_grant", None)
        );
        assert_eq!(
            told(Reason::Replayed, Grant::TokenExchange),
            (400, "invalid_request", None)
        );
        assert_eq!(
            told(Reason::TaskEnded, Grant::JwtBearer),
            (400, "invalid_grant", None)
        );
        assert_eq!(
            told(Reason::TaskEnded, Grant::ClientCredentials),
            (400, "invalid_grant", None)
        );
        assert_eq!(
            told(Reason::TaskEnded, Grant::TokenExchange),
            (400, "invalid_request", None)
        );
        assert_eq!(
            told(
                Reason::ParentRevoked(Kind::Credential),
                Grant::TokenExchange
            ),
            (400, "invalid_request", None)
        );
        assert_eq!(
            told(Reason::Held(HoldKind::Workload), Grant::JwtBearer),
            (400, "unauthorized_client", None)
        );
        assert_eq!(
            told(Reason::RateLimited, Grant::JwtBearer),
            (429, "temporarily_unavailable", Some(1))
        );
        assert_eq!(
            told(Reason::CutOff(Kind::Workload), Grant::ClientCredentials),
            (503, "temporarily_unavailable", Some(1))
        );
        assert_eq!(
            told(Reason::LedgerUnavailable, Grant::JwtBearer),
            (503, "temporarily_unavailable", Some(1))
        );
        assert_eq!(
            told(Reason::Internal, Grant::JwtBearer),
            (500, "server_error", None)
        );
    }

    #[test]
    fn no_description_names_a_reason() {
        for reason in DenialReason::ALL {
            let refused = Refused {
                reason: Reason::Denied(*reason),
                retry_after_secs: None,
            };
            let told = oauth_error(&refused, Grant::JwtBearer).description;
            assert!(
                !told.contains(reason.as_str()) || !reason.as_str().contains('_'),
                "{told}"
            );
            assert!(
                told.is_ascii() && !told.contains(['"', '\\']),
                "RFC 6749 section 5.2: {told}"
            );
        }
    }
}
