//! Proof of possession by `DPoP` (RFC 9449), the part of the API: a token that is bound to a key (`cnf.jkt`) is accepted
//! with a proof that this key signed for this very request, and without it never.
//!
//! [`Verifier::verify`](crate::Verifier::verify) checks the proof with the token, in one call; the tower layer finds both
//! in the request. [`Policy`] says how many proofs are remembered, and whether clients must use a nonce.

mod nonce;
mod proof;
mod replay;
mod uri;

use std::fmt;

use dayfly_token::UnixTime;

pub use nonce::{NONCE_LIFETIME_SECS, Nonces};
pub(crate) use proof::ProofError;
pub use uri::{BaseUrl, BaseUrlError};

/// Seconds between the making of a proof and its check, either way, unless a nonce tells the time: what the clocks of
/// clients are off by, and not more, because it is also how long a proof must be remembered.
pub const WINDOW_SECS: u64 = 60;

/// Longest proof in bytes: ten times what one with a short URI has, which leaves room for the longest of URIs.
pub const MAX_PROOF_BYTES: usize = 8 * 1024;

/// Longest `jti` in bytes: a UUID has 36. RFC 9449 section 11.1 asks for a limit.
pub const MAX_JTI_BYTES: usize = 256;

/// Proofs that are remembered unless [`Policy::capacity`] says otherwise: 17,000 requests a second for
/// [`WINDOW_SECS`], more than one machine verifies. They take 40 MB at most, and nothing while there are none.
pub const DEFAULT_CAPACITY: usize = 1 << 20;

/// The names of the algorithms that proofs may be signed with, as challenges (RFC 9449 section 7.1) and metadata (RFC 9728
/// section 2) list them. Ed25519 has two: the present one, and the one that RFC 9864 section 2.2 replaces.
#[cfg(feature = "tower")]
pub(crate) const ALGORITHMS: [&str; 3] = ["ES256", "Ed25519", "EdDSA"];

/// A proof, and the request that it is for. All of it is checked by [`Verifier::verify`](crate::Verifier::verify).
///
/// To present one is to claim that the token is bound: it belongs to the authorization scheme `DPoP`, and a token that is
/// bound to no key is refused with it (RFC 9449 section 7.1).
#[derive(Clone, Copy)]
pub struct Presentation<'a> {
    /// The value of the one `DPoP` header.
    pub proof: &'a str,
    /// The method of the request; its case counts.
    pub method: &'a str,
    /// The absolute URI of the request as the client sees it: made with [`BaseUrl::uri_of`], never from `Host` or
    /// forwarding headers. Query and fragment are ignored.
    pub uri: &'a str,
}

/// How proofs are checked, beyond what is fixed.
#[derive(Clone, Debug)]
#[must_use]
pub struct Policy {
    capacity: usize,
    nonces: Option<Nonces>,
}

impl Policy {
    /// [`DEFAULT_CAPACITY`], and no nonces.
    pub const fn new() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY,
            nonces: None,
        }
    }

    /// How many accepted proofs are remembered so that none is accepted twice. When all of them are still within their
    /// time, new ones are refused (`too_many_proofs`), so do not go below what [`WINDOW_SECS`] bring, or with nonces
    /// what [`NONCE_LIFETIME_SECS`] do.
    pub const fn capacity(mut self, proofs: usize) -> Self {
        self.capacity = proofs;
        self
    }

    /// Every proof must have one of these nonces; one without is answered with a fresh nonce (RFC 9449 section 9).
    pub fn require_nonce(mut self, nonces: Nonces) -> Self {
        self.nonces = Some(nonces);
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks proofs, and remembers them.
pub(crate) struct Checker {
    nonces: Option<Nonces>,
    seen: replay::Store,
}

/// A proof that is good in itself and has yet to be counted as used.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unspent {
    digest: replay::Digest,
    good_until: UnixTime,
}

impl Checker {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            nonces: policy.nonces,
            seen: replay::Store::new(policy.capacity),
        }
    }

    /// Everything that RFC 9449 section 4.3 asks for, but for the replay check of section 11.1. The token has been
    /// verified before, so that nobody without one costs a second signature check.
    pub(crate) fn check(
        &self,
        presentation: &Presentation<'_>,
        token: &str,
        key_thumbprint: &[u8; 32],
        now: UnixTime,
    ) -> Result<Unspent, ProofError> {
        let proof = proof::Proof::parse(presentation.proof, key_thumbprint)?;
        proof.check_request(token, presentation)?;
        proof.check_own_limits(now)?;
        let good_until = match &self.nonces {
            None => proof.good_until(now)?,
            Some(nonces) => proof
                .nonce()
                .and_then(|nonce| nonces.good_until(nonce, now))
                .ok_or(ProofError::NonceNeeded)?,
        };
        Ok(Unspent {
            digest: digest_of(key_thumbprint, proof.jti()),
            good_until,
        })
    }

    /// Counts a proof as used. The last step of all: what is refused for another reason takes no room.
    pub(crate) fn spend(&self, proof: &Unspent, now: UnixTime) -> Result<(), ProofError> {
        self.seen.insert(proof.digest, proof.good_until, now)
    }

    /// A fresh nonce, if nonces are required.
    pub(crate) fn nonce(&self, now: UnixTime) -> Option<String> {
        self.nonces.as_ref()?.at(now)
    }
}

/// By key and `jti`, not by the proof's text: an ECDSA signature has a twin, and another client may choose the same `jti`.
fn digest_of(key_thumbprint: &[u8; 32], jti: &str) -> replay::Digest {
    let mut named = key_thumbprint.to_vec();
    named.extend(jti.as_bytes());
    let mut digest = replay::Digest::default();
    for (byte, source) in digest.iter_mut().zip(dayfly_keys::sha256(&named)) {
        *byte = source;
    }
    digest
}

/// The request; of the proof only its length.
impl fmt::Debug for Presentation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presentation")
            .field("proof", &format_args!("{} bytes", self.proof.len()))
            .field("method", &self.method)
            .field("uri", &self.uri)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_proof() {
        let presentation = Presentation {
            proof: "a.b.c",
            method: "GET",
            uri: "https://api.example/a",
        };
        assert_eq!(
            format!("{presentation:?}"),
            "Presentation { proof: 5 bytes, method: \"GET\", uri: \"https://api.example/a\" }"
        );
    }
}
