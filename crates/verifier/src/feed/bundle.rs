use dayfly_keys::{JwkSet, JwkSetError, KeySet};
use dayfly_token::{JsonError, UnixTime, json};
use serde::{Deserialize, Serialize};

use super::{FeedError, FeedState, MAX_STATEMENT_BYTES, Outcome};
use crate::Verifier;

/// Longest bundle file in bytes: a snapshot of the largest size, and two key sets.
pub const MAX_BUNDLE_BYTES: usize = MAX_STATEMENT_BYTES + 1024 * 1024;

/// All that a verifier without a network needs of an issuer: its feed keys, its token keys, and a snapshot of its
/// revocations. As a file it is JSON, by serde; its three members are three documents that the issuer serves.
///
/// The file itself is not signed: whoever can write it decides whom to trust. Its age counts as the feed's age.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The feed keys: `GET /v1/trust`.
    pub trust: JwkSet,
    /// The token keys.
    pub jwks: JwkSet,
    /// A snapshot statement: `GET /v1/feed`.
    pub snapshot: String,
}

/// Why a bundle was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not strict JSON, or not of the form of a bundle.
    #[error("not a bundle")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// A key set is refused.
    #[error("the key set `{member}` is refused")]
    Keys {
        /// Which.
        member: &'static str,
        /// Why.
        source: JwkSetError,
    },
    /// The snapshot is not believed.
    #[error("the snapshot is refused")]
    Snapshot {
        /// Why.
        source: FeedError,
    },
    /// Longer than [`MAX_BUNDLE_BYTES`].
    #[error("{length} bytes are more than {MAX_BUNDLE_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
}

impl Bundle {
    /// Parses a bundle file. Nothing in it is believed yet.
    ///
    /// # Errors
    /// If it is too long or not of that form.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLong {
                length: bytes.len(),
            });
        }
        json::from_slice(bytes).map_err(|source| BundleError::Json { source })
    }
}

impl Verifier {
    /// Takes over a bundle: the keys of the issuer, and its revocations if the snapshot is believed.
    ///
    /// # Errors
    /// If a key or the snapshot is refused. The keys are unchanged then; what a truly signed statement revokes counts
    /// even if it is no snapshot.
    pub fn load_bundle(&self, bundle: &Bundle, now: UnixTime) -> Result<(), BundleError> {
        let keys = |member, set| {
            KeySet::from_jwks(set).map_err(|source| BundleError::Keys { member, source })
        };
        let (trust, keys) = (keys("trust", &bundle.trust)?, keys("jwks", &bundle.jwks)?);
        let mut feed = FeedState::new(self.issuer().to_owned(), trust, self.revocations().clone());
        match feed.apply(&bundle.snapshot, now) {
            Outcome::Applied { .. } | Outcome::KeysChanged { .. } => {}
            Outcome::Gap { .. } => {
                return Err(BundleError::Snapshot {
                    source: FeedError::NotASnapshot,
                });
            }
            Outcome::Refused(source) => return Err(BundleError::Snapshot { source }),
            Outcome::UnknownKey { kid } => {
                return Err(BundleError::Snapshot {
                    source: FeedError::UnknownKey { kid },
                });
            }
        }
        self.replace_keys(keys);
        Ok(())
    }
}
