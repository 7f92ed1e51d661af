use std::collections::BTreeSet;

use dayfly_token::Excerpt;
use dayfly_token::json::{self, JsonError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Jwk, KeyError, VerifyingKey};

/// Most keys in a set: an issuer publishes at most 64.
pub const MAX_JWK_SET_KEYS: usize = 64;
/// Longest set: 64 keys of 4 KiB, which leaves room for certificates beside them.
pub const MAX_JWK_SET_BYTES: usize = 256 * 1024;

/// Why a set of keys was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkSetError {
    /// Two usable keys of one name: which one verifies would be chance.
    #[error("two keys have the `kid` `{kid}`")]
    DuplicateKid {
        /// The name.
        kid: Excerpt,
    },
    /// Not a strict JSON object with `keys`.
    #[error("the key set is not acceptable JSON")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// A key that cannot verify.
    #[error("a key of the set is not usable")]
    Key {
        /// What is wrong with it.
        source: KeyError,
    },
    /// Longer than [`MAX_JWK_SET_BYTES`].
    #[error("{length} bytes, more than {MAX_JWK_SET_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More keys than [`MAX_JWK_SET_KEYS`].
    #[error("{found} keys, more than {MAX_JWK_SET_KEYS}")]
    TooManyKeys {
        /// How many there are.
        found: usize,
    },
}

/// A JWK Set (RFC 7517 section 5).
///
/// Reading one keeps only keys that can verify our tokens. An entry of another type, curve, `alg` or `use` is ignored,
/// as the RFC asks, and so is one that is malformed, has a private member, or is no point of its curve: one bad
/// entry must not take the good ones away. Two kept keys of one `kid` refuse the whole set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Entries")]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Entries {
    keys: Vec<Value>,
}

impl JwkSet {
    /// Parses a set, strictly as JSON and leniently as a set.
    ///
    /// # Errors
    /// If it is too long, not strict JSON of that form, or ambiguous.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwkSetError> {
        if bytes.len() > MAX_JWK_SET_BYTES {
            return Err(JwkSetError::TooLong {
                length: bytes.len(),
            });
        }
        let entries: Entries =
            json::from_slice(bytes).map_err(|source| JwkSetError::Json { source })?;
        entries.try_into()
    }
}

impl TryFrom<Entries> for JwkSet {
    type Error = JwkSetError;

    fn try_from(entries: Entries) -> Result<Self, JwkSetError> {
        if entries.keys.len() > MAX_JWK_SET_KEYS {
            return Err(JwkSetError::TooManyKeys {
                found: entries.keys.len(),
            });
        }
        let keys: Vec<Jwk> = entries.keys.into_iter().filter_map(usable).collect();
        let mut kids = BTreeSet::new();
        for kid in keys.iter().filter_map(Jwk::kid) {
            if !kids.insert(kid) {
                return Err(JwkSetError::DuplicateKid {
                    kid: Excerpt::of(kid),
                });
            }
        }
        Ok(Self { keys })
    }
}

/// The entry as a key that can verify; its name, where it has none, is its thumbprint.
fn usable(entry: Value) -> Option<Jwk> {
    let jwk: Jwk = serde_json::from_value(entry).ok()?;
    Some(VerifyingKey::from_jwk(&jwk).ok()?.jwk().clone())
}
