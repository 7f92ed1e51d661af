//! Why evidence was refused.

use dayfly_token::{
    CompactError, Excerpt, HeaderError, JsonError, Slug, SpiffeId, TrustDomain, UnixTime,
};
use dayfly_verifier::svid::SvidError;
use dayfly_verifier::{Rejection, RejectionCode};

use crate::spiffe::ChainError;

/// Why evidence was refused: facts for the operator's log, and a stable code.
///
/// The text never holds a token, a key or a whole set of claims; what the caller sent is cut and escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// The header names an algorithm that is not the key's own (RFC 8725 section 3.1: one key, one algorithm).
    #[error("the key of `{issuer}` is for {expected}, the token says `{found}`")]
    Algorithm {
        /// Whose key.
        issuer: Slug,
        /// The key's algorithm.
        expected: &'static str,
        /// What the token says.
        found: Excerpt,
    },
    /// The token is for another party (RFC 7523 section 3).
    #[error("the token of `{issuer}` is for `{found}`")]
    Audience {
        /// Whose token.
        issuer: Slug,
        /// The first of its audiences.
        found: Excerpt,
    },
    /// The token is for several parties, each of which could present it here.
    #[error("the token of `{issuer}` has {count} audiences")]
    Audiences {
        /// Whose token.
        issuer: Slug,
        /// How many.
        count: usize,
    },
    /// The certificates do not lead to an authority of the trust domain.
    #[error("no acceptable chain to the bundle of `{trust_domain}`")]
    Chain {
        /// The trust domain of the leaf.
        trust_domain: TrustDomain,
        /// What is wrong with the chain.
        source: ChainError,
    },
    /// A claim has the wrong type or an impossible value.
    #[error("claim `{claim}` {problem}")]
    Claim {
        /// The claim.
        claim: Excerpt,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The claims are no strict JSON object.
    #[error("the claims are not acceptable JSON")]
    Claims {
        /// What is wrong with them.
        source: JsonError,
    },
    /// The `client_id` of the request is not the SPIFFE ID of the certificate.
    #[error("`client_id` is `{found}`, the certificate is of `{expected}`")]
    ClientId {
        /// The SPIFFE ID of the certificate.
        expected: SpiffeId,
        /// What the request says.
        found: Excerpt,
    },
    /// Not the compact serialisation of a JWS.
    #[error("not a compact JWS")]
    Compact {
        /// What is wrong with it.
        source: CompactError,
    },
    /// The evidence is not valid any more.
    #[error("expired at {} (now {})", expires_at.as_secs(), now.as_secs())]
    Expired {
        /// Its end.
        expires_at: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
    /// The header is unacceptable.
    #[error("the header is not acceptable")]
    Header {
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A member of the header that means nothing to us is not what RFC 7515 says it is.
    #[error("a member of the header is malformed")]
    HeaderMember,
    /// The keys of the issuer are not at hand at the moment; the evidence may be good.
    #[error("the keys of `{issuer}` are not available: {reason}")]
    IssuerUnavailable {
        /// Whose keys.
        issuer: Slug,
        /// Why.
        reason: String,
    },
    /// The certificate is no X509-SVID.
    #[error("the certificate is no X509-SVID")]
    Leaf {
        /// The rule that it breaks.
        source: SvidError,
    },
    /// The token lives longer than this issuer's tokens may.
    #[error("the token of `{issuer}` lives {lifetime_secs} s, more than {limit_secs} s")]
    Lifetime {
        /// Whose token.
        issuer: Slug,
        /// `exp` − `iat`, in seconds.
        lifetime_secs: u64,
        /// The most allowed, in seconds.
        limit_secs: u64,
    },
    /// A claim that must be there is not.
    #[error("claim `{claim}` is missing")]
    MissingClaim {
        /// The claim.
        claim: &'static str,
    },
    /// The header does not say which key signed.
    #[error("the header has no `kid`")]
    MissingKeyId,
    /// The evidence is not valid yet.
    #[error("valid from {} (now {})", valid_from.as_secs(), now.as_secs())]
    NotYetValid {
        /// Its start.
        valid_from: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
    /// One of our own tokens was refused by its verifier.
    #[error("our own token was refused")]
    OwnToken {
        /// Why.
        source: Rejection,
    },
    /// The signature does not match.
    #[error("the signature does not match key `{kid}` of `{issuer}`")]
    Signature {
        /// Whose key.
        issuer: Slug,
        /// Which key.
        kid: Excerpt,
    },
    /// A token of another kind (RFC 8725 section 3.11).
    #[error("the token is of type `{found}`")]
    Type {
        /// Its type.
        found: Excerpt,
    },
    /// The issuer is not configured; nothing is ever fetched for it.
    #[error("issuer `{found}` is not configured")]
    UnknownIssuer {
        /// What the token says.
        found: Excerpt,
    },
    /// The issuer has no such key.
    #[error("`{issuer}` has no key `{kid}`")]
    UnknownKey {
        /// Whose key.
        issuer: Slug,
        /// Which key.
        kid: Excerpt,
    },
    /// No bundle of that trust domain is configured.
    #[error("trust domain `{trust_domain}` is not configured")]
    UnknownTrustDomain {
        /// The trust domain of the leaf.
        trust_domain: TrustDomain,
    },
}

impl AttestError {
    /// A stable code in snake case, for the audit and for metrics. The caller of the STS is not told.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => "alg_mismatch",
            Self::Audience { .. } => "wrong_audience",
            Self::Audiences { .. } => "several_audiences",
            Self::Chain { source, .. } => source.code(),
            Self::Claim { .. } => "bad_claim",
            Self::Claims { .. } => "bad_json",
            Self::ClientId { .. } => "client_id_mismatch",
            Self::Compact { source } => compact_code(source),
            Self::Expired { .. } => "expired",
            Self::Header { source } => header_code(source),
            Self::HeaderMember => "bad_header",
            Self::IssuerUnavailable { .. } => "issuer_unavailable",
            Self::Leaf { .. } => "not_an_svid",
            Self::Lifetime { .. } => "lifetime_too_long",
            Self::MissingClaim { .. } => "missing_claim",
            Self::MissingKeyId => "missing_kid",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::OwnToken { source } => source.code().as_str(),
            Self::Signature { .. } => "bad_signature",
            Self::Type { .. } => "wrong_type",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::UnknownKey { .. } => "unknown_kid",
            Self::UnknownTrustDomain { .. } => "unknown_trust_domain",
        }
    }

    /// Whether the same evidence may be accepted later: the answer is then 503 and not a refusal.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::IssuerUnavailable { .. } => true,
            Self::OwnToken { source } => matches!(
                source.code(),
                RejectionCode::KeysUnavailable | RejectionCode::RevocationStale
            ),
            _ => false,
        }
    }

    pub(crate) fn claim(claim: &str, problem: &'static str) -> Self {
        Self::Claim {
            claim: Excerpt::of(claim),
            problem,
        }
    }
}

/// The codes that the verifier has for the same faults.
fn compact_code(error: &CompactError) -> &'static str {
    match error {
        CompactError::Base64 { .. } => "bad_base64",
        CompactError::TooLong { .. } => "too_large",
        _ => "malformed",
    }
}

fn header_code(error: &HeaderError) -> &'static str {
    match error {
        HeaderError::ForbiddenMember { .. } => "forbidden_header",
        HeaderError::Json { .. } => "bad_json",
        _ => "bad_header",
    }
}
