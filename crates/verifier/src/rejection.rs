use std::error::Error;
use std::fmt;
use std::sync::Arc;

use dayfly_keys::SignatureError;
#[cfg(feature = "tower")]
use dayfly_token::WorkloadId;
use dayfly_token::feed::Kind;
use dayfly_token::{ClaimsError, CompactError, Excerpt, HeaderError, JsonError, UnixTime};
use serde::{Serialize, Serializer};

use crate::dpop::ProofError;
use crate::verified::Checked;

/// Why a token was refused. [`Rejection::code`] is stable and may be shown to anyone; the `Display` text and its
/// sources state the facts for the log of the API, not for the caller.
pub struct Rejection {
    reason: Box<Reason>,
    /// The token, if its signature held: for the log, which shall tell who still uses a revoked one.
    known: Option<Arc<Checked>>,
}

/// The stable name of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectionCode {
    /// The algorithm is not one of ours, or not the one of the key.
    AlgMismatch,
    /// A part is not canonical base64url.
    BadBase64,
    /// A claim is there but not acceptable.
    BadClaim,
    /// Header or claims are not strict JSON.
    BadJson,
    /// The `DPoP` proof is not acceptable, or not for this request.
    BadProof,
    /// The signature does not hold.
    BadSignature,
    /// The token has expired.
    Expired,
    /// The header brings keys, extensions, encryption or compression.
    ForbiddenHeader,
    /// This API has no key of the issuer at all, so that it can judge no token: it never reached the issuer, or not for
    /// too long.
    KeysUnavailable,
    /// The token was issued for longer than this issuer or this API allows.
    LifetimeTooLong,
    /// Not a compact JWS.
    Malformed,
    /// A required claim is absent.
    MissingClaim,
    /// The token begins, or was issued, in the future.
    NotYetValid,
    /// The `DPoP` proof lacks a present nonce of this API.
    ProofNonceNeeded,
    /// The `DPoP` proof was used before.
    ReplayedProof,
    /// The revocation state is older than this API accepts, or of no age that this clock can tell.
    RevocationStale,
    /// The token, or something that it belongs to, was revoked.
    Revoked,
    /// Longer than any token that is looked at.
    TooLarge,
    /// More `DPoP` proofs than this API can remember.
    TooManyProofs,
    /// A `DPoP` proof came with a token that is bound to no key.
    UnboundToken,
    /// No key of the issuer has this id, or the token names none.
    UnknownKid,
    /// The token is bound to a key or certificate that the caller did not prove.
    UnprovenConfirmation,
    /// The token is for another API.
    WrongAudience,
    /// Another issuer.
    WrongIssuer,
    /// Not an access token: `typ` is not `at+jwt`.
    WrongType,
}

impl RejectionCode {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 25] = [
        Self::AlgMismatch,
        Self::BadBase64,
        Self::BadClaim,
        Self::BadJson,
        Self::BadProof,
        Self::BadSignature,
        Self::Expired,
        Self::ForbiddenHeader,
        Self::KeysUnavailable,
        Self::LifetimeTooLong,
        Self::Malformed,
        Self::MissingClaim,
        Self::NotYetValid,
        Self::ProofNonceNeeded,
        Self::ReplayedProof,
        Self::RevocationStale,
        Self::Revoked,
        Self::TooLarge,
        Self::TooManyProofs,
        Self::UnboundToken,
        Self::UnknownKid,
        Self::UnprovenConfirmation,
        Self::WrongAudience,
        Self::WrongIssuer,
        Self::WrongType,
    ];

    /// The name on the wire and in logs, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlgMismatch => "alg_mismatch",
            Self::BadBase64 => "bad_base64",
            Self::BadClaim => "bad_claim",
            Self::BadJson => "bad_json",
            Self::BadProof => "bad_proof",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::ForbiddenHeader => "forbidden_header",
            Self::KeysUnavailable => "keys_unavailable",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::Malformed => "malformed",
            Self::MissingClaim => "missing_claim",
            Self::NotYetValid => "not_yet_valid",
            Self::ProofNonceNeeded => "proof_nonce_needed",
            Self::ReplayedProof => "replayed_proof",
            Self::RevocationStale => "revocation_stale",
            Self::Revoked => "revoked",
            Self::TooLarge => "too_large",
            Self::TooManyProofs => "too_many_proofs",
            Self::UnboundToken => "unbound_token",
            Self::UnknownKid => "unknown_kid",
            Self::UnprovenConfirmation => "unproven_confirmation",
            Self::WrongAudience => "wrong_audience",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongType => "wrong_type",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RejectionCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Rejection {
    /// The stable name of the rejection.
    #[must_use]
    pub fn code(&self) -> RejectionCode {
        self.reason.code()
    }

    /// The id of the refused credential, if the issuer did sign it for this API: what ties a revoked or expired token to
    /// its issuance. For the log alone; nothing may be allowed because of it.
    #[must_use]
    pub fn credential_id(&self) -> Option<&str> {
        self.known.as_ref().map(|token| token.claims.jti.as_str())
    }

    /// Whose credential it is, under the same condition.
    #[cfg(feature = "tower")]
    pub(crate) fn workload(&self) -> Option<WorkloadId> {
        self.known.as_ref()?.workload()
    }

    /// The issuer, under the same condition.
    #[cfg(feature = "tower")]
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.known.as_ref().map(|token| token.claims.iss.as_str())
    }

    /// Of a token whose form, signature, issuer and audience hold.
    pub(crate) fn of_known(reason: Reason, token: &Arc<Checked>) -> Self {
        Self {
            known: Some(Arc::clone(token)),
            ..reason.into()
        }
    }
}

/// The reason; a log must not collect claims.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejection").field(&self.reason).finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason: Box::new(reason),
            known: None,
        }
    }
}

/// The facts of a rejection. What the token said is escaped and cut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("algorithm `{alg}` is not that of a key of this issuer")]
    Algorithm { alg: Excerpt },
    #[error("the token is for {found}, not for this API")]
    Audience { found: Excerpt },
    #[error("the claims are refused")]
    Claims { source: ClaimsError },
    #[error("the clock says {now}, and revocations were heard at {as_of}: it was set back")]
    ClockSetBack { now: UnixTime, as_of: UnixTime },
    #[error("not a compact JWS of an acceptable form")]
    Compact { source: CompactError },
    #[error("the token is bound to {bound_to}, and the connection {presented}")]
    ConfirmationUnproven {
        bound_to: &'static str,
        presented: &'static str,
    },
    #[error("expired at {expires_at}, now is {now}, leeway {leeway_secs} s")]
    Expired {
        now: UnixTime,
        expires_at: UnixTime,
        leeway_secs: u64,
    },
    #[error("the header is refused")]
    Header { source: HeaderError },
    #[error("issued by `{found}`")]
    Issuer { found: Excerpt },
    #[error("no key id")]
    KidMissing,
    #[error("no key of the issuer has the id `{kid}`")]
    KidUnknown { kid: Excerpt },
    #[error("there is no key of the issuer at all")]
    KeysAbsent,
    #[error("expires at {expires_at}, not after it was issued at {issued_at}")]
    LifetimeBackwards {
        issued_at: UnixTime,
        expires_at: UnixTime,
    },
    #[error("a lifetime of {lifetime_secs} s is over the {limit_secs} s allowed here")]
    LifetimeTooLong { lifetime_secs: u64, limit_secs: u64 },
    #[error("claim `{claim}` is absent")]
    MissingClaim { claim: &'static str },
    #[error("{claim} is {instant}, now is {now}, leeway {leeway_secs} s")]
    NotYetValid {
        claim: &'static str,
        instant: UnixTime,
        now: UnixTime,
        leeway_secs: u64,
    },
    #[error("the DPoP proof is refused")]
    Proof { source: ProofError },
    #[error("the token is bound to a key, and came without a DPoP proof")]
    ProofMissing,
    #[error("revoked: {kind}")]
    Revoked { kind: Kind },
    #[error("revocations were heard {age_secs} s ago, at most {limit_secs} s are allowed here")]
    RevocationStale { age_secs: u64, limit_secs: u64 },
    #[error("no revocation state was ever heard")]
    RevocationUnheard,
    #[error("the signature does not hold")]
    Signature { source: SignatureError },
    #[error("a DPoP proof came with a token that is bound to no key")]
    TokenUnbound,
    #[error("type `{found}` is not `at+jwt`")]
    Type { found: Excerpt },
}

impl Reason {
    fn code(&self) -> RejectionCode {
        match self {
            Self::Algorithm { .. } => RejectionCode::AlgMismatch,
            Self::Audience { .. } => RejectionCode::WrongAudience,
            Self::Claims { source } => code_of_claims(source),
            Self::Compact { source } => code_of_compact(source),
            Self::ConfirmationUnproven { .. } | Self::ProofMissing => {
                RejectionCode::UnprovenConfirmation
            }
            Self::Expired { .. } => RejectionCode::Expired,
            Self::Header { source } => code_of_header(source),
            Self::Issuer { .. } => RejectionCode::WrongIssuer,
            Self::KidMissing | Self::KidUnknown { .. } => RejectionCode::UnknownKid,
            Self::KeysAbsent => RejectionCode::KeysUnavailable,
            Self::LifetimeBackwards { .. } => RejectionCode::BadClaim,
            Self::LifetimeTooLong { .. } => RejectionCode::LifetimeTooLong,
            Self::MissingClaim { .. } => RejectionCode::MissingClaim,
            Self::NotYetValid { .. } => RejectionCode::NotYetValid,
            Self::Proof { source } => code_of_proof(source),
            Self::Revoked { .. } => RejectionCode::Revoked,
            Self::ClockSetBack { .. } | Self::RevocationStale { .. } | Self::RevocationUnheard => {
                RejectionCode::RevocationStale
            }
            Self::Signature { .. } => RejectionCode::BadSignature,
            Self::TokenUnbound => RejectionCode::UnboundToken,
            Self::Type { .. } => RejectionCode::WrongType,
        }
    }
}

impl From<ProofError> for Reason {
    fn from(source: ProofError) -> Self {
        Self::Proof { source }
    }
}

/// A proof by another key proves nothing about this token, and the RFC blames the token for it (section 7.1).
const fn code_of_proof(error: &ProofError) -> RejectionCode {
    match error {
        ProofError::KeyMismatch => RejectionCode::UnprovenConfirmation,
        ProofError::NonceNeeded => RejectionCode::ProofNonceNeeded,
        ProofError::Replayed => RejectionCode::ReplayedProof,
        ProofError::StoreFull { .. } => RejectionCode::TooManyProofs,
        _ => RejectionCode::BadProof,
    }
}

const fn code_of_compact(error: &CompactError) -> RejectionCode {
    match error {
        CompactError::TooLong { .. } => RejectionCode::TooLarge,
        CompactError::Base64 { .. } => RejectionCode::BadBase64,
        _ => RejectionCode::Malformed,
    }
}

const fn code_of_header(error: &HeaderError) -> RejectionCode {
    match error {
        HeaderError::Kid => RejectionCode::UnknownKid,
        HeaderError::Json { .. } => RejectionCode::BadJson,
        _ => RejectionCode::ForbiddenHeader,
    }
}

const fn code_of_claims(error: &ClaimsError) -> RejectionCode {
    match error {
        ClaimsError::Json {
            source: JsonError::Shape { .. },
        } => RejectionCode::BadClaim,
        ClaimsError::Json { .. } => RejectionCode::BadJson,
        _ => RejectionCode::BadClaim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_sorted_and_snake_case() {
        let names: Vec<_> = RejectionCode::ALL
            .iter()
            .map(|code| code.as_str())
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert!(names.iter().all(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        }));
    }
}
