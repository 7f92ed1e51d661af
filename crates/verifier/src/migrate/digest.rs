//! What is known of a key: a digest, and never the key.

use std::fmt;
use std::str::FromStr;

use dayfly_token::base64url;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::KeysError;

/// The shortest key that is looked at, in bytes: sixteen random letters and digits carry 95 bits, which nobody
/// guesses, neither online nor from a digest that leaked. Shorter ones are no machine keys, and refused unseen.
pub const MIN_KEY_BYTES: usize = 16;

/// The longest key that is looked at, in bytes; the longest in use, signed ones, are about half as long.
pub const MAX_KEY_BYTES: usize = 1024;

/// The shortest pepper in bytes: as many as the digest has (RFC 2104 section 3 discourages fewer).
pub const MIN_PEPPER_BYTES: usize = 32;

/// Digest of a whole key without a pepper.
const SHA256: &str = "sha256:";

/// Digest of a whole key under a pepper (RFC 2104).
const HMAC_SHA256: &str = "hmac-sha256:";

/// Digits of 32 bytes in hexadecimal.
const HEX_DIGITS: usize = 64;

/// The digest of `key` as the registry takes it: `sha256:` and the SHA-256 in hexadecimal.
///
/// # Errors
/// If the key is shorter than [`MIN_KEY_BYTES`] or longer than [`MAX_KEY_BYTES`].
pub fn hash(key: &str) -> Result<String, KeysError> {
    check_length(key.as_bytes())?;
    Ok(format!(
        "{SHA256}{}",
        hex(&dayfly_keys::sha256(key.as_bytes()))
    ))
}

/// The digest of `key` under a pepper: `hmac-sha256:` and the HMAC in hexadecimal.
///
/// # Errors
/// If the key is shorter than [`MIN_KEY_BYTES`] or longer than [`MAX_KEY_BYTES`].
pub fn hash_with_pepper(key: &str, pepper: &Pepper) -> Result<String, KeysError> {
    check_length(key.as_bytes())?;
    Ok(format!(
        "{HMAC_SHA256}{}",
        hex(&pepper.digest(key.as_bytes()))
    ))
}

/// A secret beside the registry, without which its `hmac-sha256` digests cannot be tried out. Kept apart from the
/// registry, or it is worth nothing.
#[derive(Clone)]
pub struct Pepper(Zeroizing<Vec<u8>>);

impl Pepper {
    /// A pepper of at least [`MIN_PEPPER_BYTES`] random bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, KeysError> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < MIN_PEPPER_BYTES {
            return Err(KeysError::Pepper {
                bytes: secret.len(),
            });
        }
        Ok(Self(secret))
    }

    pub(super) fn digest(&self, key: &[u8]) -> [u8; 32] {
        // HMAC takes a secret of any length (RFC 2104 section 2); were it otherwise, no key would match.
        Hmac::<Sha256>::new_from_slice(&self.0).map_or([0; 32], |mut mac| {
            mac.update(key);
            mac.finalize().into_bytes().into()
        })
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper")
    }
}

/// The digest of a key, as a registry has it: `sha256:` or `hmac-sha256:`, and 32 bytes in hexadecimal or base64url
/// without padding. Parsed from text; its `Debug` shows the kind alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    pub(super) kind: Kind,
    pub(super) bytes: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Plain,
    Peppered,
}

impl FromStr for KeyHash {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let (kind, digest) = if let Some(digest) = text.strip_prefix(SHA256) {
            (Kind::Plain, digest)
        } else if let Some(digest) = text.strip_prefix(HMAC_SHA256) {
            (Kind::Peppered, digest)
        } else {
            return Err(KeysError::HashForm);
        };
        let bytes = if digest.len() == HEX_DIGITS {
            unhex(digest)
        } else {
            base64url::decode_array(digest).ok()
        };
        let bytes = bytes.ok_or(KeysError::HashForm)?;
        Ok(Self { kind, bytes })
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyHash").field(&self.kind).finish()
    }
}

pub(super) const fn has_length(key: &[u8]) -> bool {
    key.len() >= MIN_KEY_BYTES && key.len() <= MAX_KEY_BYTES
}

fn check_length(key: &[u8]) -> Result<(), KeysError> {
    if has_length(key) {
        return Ok(());
    }
    Err(KeysError::KeyLength { bytes: key.len() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok()))
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
        .collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_known_keys() {
        // `printf %s 0123456789abcdef | sha256sum`
        let known = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        assert_eq!(hash("0123456789abcdef").unwrap(), known);
        assert_eq!(
            hash("0123456789abcde"),
            Err(KeysError::KeyLength { bytes: 15 })
        );
        assert!(hash(&"k".repeat(MAX_KEY_BYTES)).is_ok());
        assert!(hash(&"k".repeat(MAX_KEY_BYTES + 1)).is_err());
        // RFC 4231 section 4.7, whose key is long enough for a pepper.
        let pepper = Pepper::new([0xaa; 131]).unwrap();
        assert_eq!(
            hash_with_pepper(
                "Test Using Larger Than Block-Size Key - Hash Key First",
                &pepper
            )
            .unwrap(),
            "hmac-sha256:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        assert!(Pepper::new([1; 31]).is_err());
        assert_eq!(format!("{pepper:?}"), "Pepper");
    }

    #[test]
    fn forms_of_a_digest() {
        let bytes = dayfly_keys::sha256(b"0123456789abcdef");
        let base64 = base64url::encode(bytes);
        let lower = hex(&bytes);
        for text in [
            format!("sha256:{lower}"),
            format!("sha256:{}", lower.to_uppercase()),
            format!("sha256:{base64}"),
            format!("hmac-sha256:{base64}"),
        ] {
            assert_eq!(text.parse::<KeyHash>().unwrap().bytes, bytes, "{text}");
        }
        for text in [
            lower.clone(),
            format!("sha512:{lower}"),
            format!("SHA256:{lower}"),
            format!("sha256:{base64}="),
            format!("sha256:{}", lower.replace('9', "g")),
            format!("sha256:{}", "é".repeat(32)),
            format!("sha256:{}", lower.get(2..).unwrap()),
            format!("sha256: {lower}"),
            "sha256:".to_owned(),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
            String::new(),
        ] {
            assert_eq!(text.parse::<KeyHash>(), Err(KeysError::HashForm), "{text}");
        }
        assert_eq!(format!("{:?}", lower_hash(&lower)), "KeyHash(Plain)");
    }

    fn lower_hash(digest: &str) -> KeyHash {
        format!("sha256:{digest}").parse().unwrap()
    }
}
