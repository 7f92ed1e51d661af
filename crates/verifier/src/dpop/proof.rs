use dayfly_keys::{Jwk, KeyError, SignatureError, VerifyingKey};
use dayfly_token::json::{self, present};
use dayfly_token::{
    Compact, CompactError, Excerpt, Header, HeaderError, JsonError, UnixTime, base64url,
};
use serde::Deserialize;

use super::uri::Normal;
use super::{MAX_JTI_BYTES, MAX_PROOF_BYTES, NONCE_LIFETIME_SECS, Presentation, WINDOW_SECS};

/// The type of a proof (RFC 9449 section 4.2).
const PROOF_TYPE: &str = "dpop+jwt";

/// Why a proof was refused. What it said is escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProofError {
    #[error("algorithm `{alg}` is not that of the key in the header")]
    Algorithm { alg: Excerpt },
    #[error("the claims are refused")]
    Claims { source: JsonError },
    #[error("not a compact JWS of an acceptable form")]
    Compact { source: CompactError },
    #[error("expired at {expires_at}, now is {now}")]
    Expired { now: UnixTime, expires_at: UnixTime },
    #[error("the header is refused")]
    Header { source: HeaderError },
    #[error("`jti` has {length} bytes, not 1 to {MAX_JTI_BYTES}")]
    JtiLength { length: usize },
    #[error("the key in the header is refused")]
    Key { source: KeyError },
    #[error("made by another key than the one that the token is bound to")]
    KeyMismatch,
    #[error("made for the method `{found}`")]
    Method { found: Excerpt },
    #[error("no nonce of this API, or one that is older than {NONCE_LIFETIME_SECS} s")]
    NonceNeeded,
    #[error("`nbf` is {not_before}, now is {now}")]
    NotYetValid { now: UnixTime, not_before: UnixTime },
    #[error("seen before")]
    Replayed,
    #[error("the signature does not hold")]
    Signature { source: SignatureError },
    #[error("{capacity} proofs are remembered, and there is no room for another")]
    StoreFull { capacity: usize },
    #[error("made at {issued_at}, now is {now}, more than {WINDOW_SECS} s apart")]
    Time { now: UnixTime, issued_at: UnixTime },
    #[error("made for another token")]
    Token,
    #[error("type `{found}` is not `dpop+jwt`")]
    Type { found: Excerpt },
    #[error("made for `{found}`, not for `{wanted}`")]
    Uri { found: Excerpt, wanted: Excerpt },
    #[error("`{found}` is no URI of a request, or has dot segments")]
    UriOfRequest { found: Excerpt },
}

/// A proof whose signature holds, made by the key of the token. Its claims are not yet compared with the request.
pub(super) struct Proof {
    claims: Claims,
}

/// What a proof claims (RFC 9449 section 4.2). Others are ignored.
#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: UnixTime,
    ath: String,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<String>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<UnixTime>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<UnixTime>,
}

impl Proof {
    /// RFC 9449 section 4.3, numbers 2 to 7, and the second half of 12: form, type, algorithm, key, signature, claims.
    ///
    /// The key is compared before it is used: a proof by any other key costs a hash and no signature.
    pub(super) fn parse(text: &str, key_thumbprint: &[u8; 32]) -> Result<Self, ProofError> {
        let compact = Compact::split_within(text, MAX_PROOF_BYTES).map_err(compact_refused)?;
        let header_json = compact.header_bytes().map_err(compact_refused)?;
        let (header, jwk) = Header::parse_with_key::<Jwk>(&header_json)
            .map_err(|source| ProofError::Header { source })?;
        if header.typ.as_deref() != Some(PROOF_TYPE) {
            return Err(ProofError::Type {
                found: Excerpt::of(header.typ.as_deref().unwrap_or_default()),
            });
        }
        // A symmetric algorithm, or `none`, is that of no public key.
        let algorithm = jwk
            .algorithm()
            .map_err(|source| ProofError::Key { source })?;
        if !algorithm.accepts(&header.alg) {
            return Err(ProofError::Algorithm {
                alg: Excerpt::of(&header.alg),
            });
        }
        if jwk.thumbprint_bytes() != *key_thumbprint {
            return Err(ProofError::KeyMismatch);
        }
        let key = VerifyingKey::from_jwk(&jwk).map_err(|source| ProofError::Key { source })?;
        let signature = compact.signature_bytes().map_err(compact_refused)?;
        key.verify(compact.signing_input(), &signature)
            .map_err(|source| ProofError::Signature { source })?;
        let payload = compact.payload_bytes().map_err(compact_refused)?;
        let claims: Claims =
            json::from_slice(&payload).map_err(|source| ProofError::Claims { source })?;
        if !(1..=MAX_JTI_BYTES).contains(&claims.jti.len()) {
            return Err(ProofError::JtiLength {
                length: claims.jti.len(),
            });
        }
        Ok(Self { claims })
    }

    pub(super) fn jti(&self) -> &str {
        &self.claims.jti
    }

    pub(super) fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// RFC 9449 section 4.3, numbers 8, 9 and the first half of 12: made for this method, this URI and this token.
    pub(super) fn check_request(
        &self,
        token: &str,
        request: &Presentation<'_>,
    ) -> Result<(), ProofError> {
        let Claims { htm, htu, ath, .. } = &self.claims;
        if htm != request.method {
            return Err(ProofError::Method {
                found: Excerpt::of(htm),
            });
        }
        // Without dot segments of its own the request has one meaning for every router behind.
        let wanted = Normal::of(request.uri)
            .filter(|uri| !uri.had_dots)
            .ok_or_else(|| ProofError::UriOfRequest {
                found: Excerpt::of(request.uri),
            })?;
        if Normal::of(htu).is_none_or(|found| found.text != wanted.text) {
            return Err(ProofError::Uri {
                found: Excerpt::of(htu),
                wanted: Excerpt::of(&wanted.text),
            });
        }
        if base64url::decode_array(ath) != Ok(dayfly_keys::sha256(token.as_bytes())) {
            return Err(ProofError::Token);
        }
        Ok(())
    }

    /// RFC 9449 section 4.3, number 11, where no nonce tells the time: the last instant at which the proof is good.
    pub(super) fn good_until(&self, now: UnixTime) -> Result<UnixTime, ProofError> {
        let issued_at = self.claims.iat;
        let good_until = issued_at.saturating_add(WINDOW_SECS);
        if issued_at > now.saturating_add(WINDOW_SECS) || now > good_until {
            return Err(ProofError::Time { now, issued_at });
        }
        Ok(good_until)
    }

    /// RFC 7519 sections 4.1.4 and 4.1.5: a proof needs neither `exp` nor `nbf`, and one that has them is held to them.
    pub(super) fn check_own_limits(&self, now: UnixTime) -> Result<(), ProofError> {
        if let Some(expires_at) = self.claims.exp
            && now >= expires_at.saturating_add(WINDOW_SECS)
        {
            return Err(ProofError::Expired { now, expires_at });
        }
        if let Some(not_before) = self.claims.nbf
            && not_before > now.saturating_add(WINDOW_SECS)
        {
            return Err(ProofError::NotYetValid { now, not_before });
        }
        Ok(())
    }
}

fn compact_refused(source: CompactError) -> ProofError {
    ProofError::Compact { source }
}
