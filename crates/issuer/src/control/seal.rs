//! Sealing: a version byte, the entry as JSON, and a MAC under the cluster secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::entry::ControlEntry;

/// First byte of a sealed entry: the layout of what follows.
const VERSION: u8 = 1;

/// Length of an HMAC-SHA256 tag.
const TAG_BYTES: usize = 32;

/// Separates this use of the secret from every other.
const DOMAIN: &[u8] = b"dayfly-control\x00";

/// A shorter secret could be guessed: 256 bits, as long as the MAC's own key.
pub const MIN_SECRET_BYTES: usize = 32;

/// The secret that the replicas of one deployment share. It proves that a replica wrote an entry.
pub struct ClusterSecret(Zeroizing<Vec<u8>>);

/// A sealed entry is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The sealed JSON is not an entry.
    #[error("a control entry cannot be read")]
    Body(#[source] serde_json::Error),
    /// No secret of this deployment sealed it.
    #[error("a control entry was not sealed by this deployment")]
    Forged,
    /// The secret is too short.
    #[error("the cluster secret has {bytes} bytes and needs {MIN_SECRET_BYTES}")]
    SecretTooShort {
        /// How long it is.
        bytes: usize,
    },
    /// A later version wrote it.
    #[error("a control entry has the unknown version {version}")]
    Version {
        /// The version found.
        version: u8,
    },
}

impl ClusterSecret {
    /// Takes a secret of at least [`MIN_SECRET_BYTES`].
    ///
    /// # Errors
    /// If it is shorter.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, ControlError> {
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(ControlError::SecretTooShort { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    fn mac(&self, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(DOMAIN);
        mac.update(body);
        Some(mac)
    }

    /// Seals an entry. The same entry always gives the same bytes.
    ///
    /// # Errors
    /// If the entry cannot be serialised, which its types rule out.
    pub fn seal(&self, entry: &ControlEntry) -> Result<Vec<u8>, ControlError> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, entry).map_err(ControlError::Body)?;
        let tag = self
            .mac(&bytes)
            .ok_or(ControlError::Forged)?
            .finalize()
            .into_bytes();
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// Opens a sealed entry.
    ///
    /// # Errors
    /// If it was not sealed under this secret, or cannot be read.
    pub fn open(&self, sealed: &[u8]) -> Result<ControlEntry, ControlError> {
        let at = sealed
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(ControlError::Forged)?;
        let (body, tag) = sealed.split_at(at);
        self.mac(body)
            .ok_or(ControlError::Forged)?
            .verify_slice(tag)
            .map_err(|_| ControlError::Forged)?;
        match body.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).map_err(ControlError::Body),
            found => Err(ControlError::Version {
                version: found.map_or(0, |(v, _)| *v),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Body, HoldKind};
    use super::*;

    fn secret(byte: u8) -> ClusterSecret {
        ClusterSecret::new(Zeroizing::new(vec![byte; MIN_SECRET_BYTES])).unwrap()
    }

    fn entry() -> ControlEntry {
        ControlEntry {
            version: 7,
            at: dayfly_token::UnixTime::from_secs(1),
            by: "replica:a".to_owned(),
            reason: "drill".to_owned(),
            body: Body::Hold {
                kind: HoldKind::Owner,
                value: "payments".to_owned(),
                active: true,
            },
        }
    }

    #[test]
    fn what_was_sealed_opens() {
        let sealed = secret(1).seal(&entry()).unwrap();
        assert_eq!(secret(1).open(&sealed).unwrap(), entry());
        assert_eq!(secret(1).seal(&entry()).unwrap(), sealed);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_forged() {
        let sealed = secret(1).seal(&entry()).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut forged = sealed.clone();
                forged[at] ^= 1 << bit;
                assert!(
                    matches!(secret(1).open(&forged), Err(ControlError::Forged)),
                    "{at}.{bit}"
                );
            }
            assert!(
                matches!(secret(1).open(&sealed[..at]), Err(ControlError::Forged)),
                "cut at {at}"
            );
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert!(matches!(secret(1).open(&longer), Err(ControlError::Forged)));
    }

    #[test]
    fn another_deployment_opens_nothing() {
        let sealed = secret(1).seal(&entry()).unwrap();
        assert!(matches!(secret(2).open(&sealed), Err(ControlError::Forged)));
    }

    #[test]
    fn a_later_version_and_a_strange_body_are_refused_by_name() {
        let with_mac = |body: &[u8]| {
            let tag = secret(1).mac(body).unwrap().finalize().into_bytes();
            [body, tag.as_slice()].concat()
        };
        let later = with_mac(b"\x02{}");
        assert!(matches!(
            secret(1).open(&later),
            Err(ControlError::Version { version: 2 })
        ));
        let strange = with_mac(b"\x01{}");
        assert!(matches!(
            secret(1).open(&strange),
            Err(ControlError::Body(_))
        ));
        let empty = with_mac(b"");
        assert!(matches!(
            secret(1).open(&empty),
            Err(ControlError::Version { version: 0 })
        ));
    }

    #[test]
    fn a_short_secret_is_refused() {
        let short = ClusterSecret::new(Zeroizing::new(vec![0; MIN_SECRET_BYTES - 1]));
        assert!(matches!(
            short,
            Err(ControlError::SecretTooShort { bytes: 31 })
        ));
    }
}
