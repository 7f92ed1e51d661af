//! A private key while it may sign.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dayfly_keys::{Algorithm, Jwk, KeyError, SignatureError, SigningKey};
use dayfly_token::{Header, UnixTime, base64url, feed};

use crate::control::{CLOCK_DISTANCE_SECS, KeyUse};
use crate::port::Now;

/// `typ` of an access token (RFC 9068 section 2.1).
const TOKEN_TYP: &str = "at+jwt";

/// A signature in base64url.
const SIGNATURE_CHARS: usize = 86;

/// Every how many signatures one is verified: a backend that goes wrong is found within a second
/// of load, at less than 0.3 % of the cost.
const VERIFY_EVERY: u64 = 1024;

/// A private key of this process, zeroised when the last [`Signer`] drops it.
pub(crate) struct HeldKey {
    key: SigningKey,
    key_use: KeyUse,
    /// The encoded header and its dot. A key has one use and so one header: what signs tokens can
    /// sign no feed statement.
    header: String,
    signatures: AtomicU64,
}

/// A key with the time until which it may sign.
pub struct Signer {
    held: Arc<HeldKey>,
    sign_until_ms: u64,
}

/// A compact JWS that was just signed.
pub(crate) struct Signed {
    pub(crate) text: String,
    /// Its signature was verified.
    pub(crate) sampled: bool,
}

/// Nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The backend failed.
    #[error("the signing key failed")]
    Key(#[from] KeyError),
    /// The lease is over, so that the public key may go any moment.
    #[error("the lease of the signing key is over since {since_ms} ms")]
    LeaseOver {
        /// For how long.
        since_ms: u64,
    },
    /// What was signed does not verify.
    #[error("a signature of this process does not verify")]
    Wrong(#[from] SignatureError),
}

impl HeldKey {
    /// Takes a key for one use, and proves that it signs what verifies.
    pub(crate) fn new(key: SigningKey, key_use: KeyUse) -> Result<Self, SignerError> {
        let typ = match key_use {
            KeyUse::Feed => feed::TYP,
            KeyUse::Token => TOKEN_TYP,
        };
        let header = Header::of(key.algorithm().name(), typ, key.kid());
        let held = Self {
            header: format!("{}.", base64url::encode(header)),
            key,
            key_use,
            signatures: AtomicU64::new(0),
        };
        held.prove()?;
        Ok(held)
    }

    /// Signs something that is no credential, and verifies it: done when a key is activated.
    pub(crate) fn prove(&self) -> Result<(), SignerError> {
        let message = b"dayfly key activation";
        let signature = self.key.sign(message)?;
        Ok(self.key.verifying_key().verify(message, &signature)?)
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl Signer {
    /// `key` may sign while now < `lease_until` − δ (protocol D).
    pub(crate) fn new(held: Arc<HeldKey>, lease_until: UnixTime) -> Self {
        let sign_until = lease_until.saturating_sub(CLOCK_DISTANCE_SECS);
        Self {
            held,
            sign_until_ms: sign_until.as_secs().saturating_mul(1000),
        }
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.held.key.kid()
    }

    /// The public key.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        self.held.key.jwk()
    }

    /// What it signs.
    #[must_use]
    pub fn key_use(&self) -> KeyUse {
        self.held.key_use
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.held.key.algorithm()
    }

    /// Whether the lease covers the present.
    #[must_use]
    pub const fn may_sign(&self, now: Now) -> bool {
        now.unix_ms < self.sign_until_ms
    }

    /// The encoded header that everything signed begins with.
    pub(crate) fn header(&self) -> &str {
        self.held.header.trim_end_matches('.')
    }

    /// The compact JWS of a payload, and whether it is one of those that are checked in depth.
    pub(crate) fn sign(&self, payload: &[u8], now: Now) -> Result<Signed, SignerError> {
        if !self.may_sign(now) {
            let since_ms = now.unix_ms.saturating_sub(self.sign_until_ms);
            return Err(SignerError::LeaseOver { since_ms });
        }
        let held = &*self.held;
        let length = held.header.len() + payload.len().div_ceil(3) * 4 + 1 + SIGNATURE_CHARS;
        let mut text = String::with_capacity(length);
        text.push_str(&held.header);
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = held.key.sign(text.as_bytes())?;
        let sampled = held
            .signatures
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(VERIFY_EVERY);
        if sampled {
            held.key
                .verifying_key()
                .verify(text.as_bytes(), &signature)?;
        }
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(Signed { text, sampled })
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use dayfly_keys::{KeySet, VerifyingKey};

    use super::*;
    use crate::testing::{at, signer};

    #[test]
    fn a_key_has_one_use_and_its_header_says_so() {
        for (key_use, typ) in [(KeyUse::Token, "at+jwt"), (KeyUse::Feed, "dayfly-feed+jwt")] {
            for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
                let signer = signer(algorithm, key_use, 1, UnixTime::from_secs(100));
                let text = signer.sign(b"{}", at(0)).unwrap().text;
                let compact = dayfly_token::Compact::split(&text).unwrap();
                let header: serde_json::Value =
                    serde_json::from_slice(&compact.header_bytes().unwrap()).unwrap();
                let expected = serde_json::json!({
                    "alg": algorithm.name(), "typ": typ, "kid": signer.kid(),
                });
                assert_eq!(header, expected);
                let mut keys = KeySet::default();
                keys.insert(VerifyingKey::from_jwk(signer.jwk()).unwrap());
                let signature = compact.signature_bytes().unwrap();
                let key = keys.get(signer.kid()).unwrap();
                key.verify(compact.signing_input(), &signature).unwrap();
            }
        }
    }

    #[test]
    fn the_first_and_every_1024th_signature_is_verified() {
        let signer = signer(Algorithm::EdDsa, KeyUse::Token, 1, UnixTime::from_secs(100));
        let sampled = (0..2049)
            .filter(|_| signer.sign(b"{}", at(0)).unwrap().sampled)
            .count();
        assert_eq!(sampled, 3);
    }

    #[test]
    fn nobody_sees_the_key() {
        let signer = signer(Algorithm::EdDsa, KeyUse::Token, 1, UnixTime::from_secs(100));
        let shown = format!("{signer:?}");
        assert_eq!(shown, format!("Signer {{ kid: {:?}, .. }}", signer.kid()));
    }
}
