use std::sync::Arc;

use dayfly_keys::{JwkSet, JwkSetError, KeySet};
use dayfly_token::{JsonError, UnixTime, json};
use serde::{Deserialize, Serialize};

use super::{FeedError, FeedState, MAX_STATEMENT_BYTES, Outcome};
use crate::Verifier;
use crate::revocation::Revocations;

/// Longest bundle file in bytes: a snapshot of the largest size, as much again of other statements, and two key sets.
pub const MAX_BUNDLE_BYTES: usize = 2 * MAX_STATEMENT_BYTES + 1024 * 1024;

/// All that a verifier without a network needs of an issuer: its feed keys, its token keys, and its revocations. As a
/// file it is JSON, by serde. The first three members are documents that the issuer serves; the others are there in
/// what [`FromIssuer::state_file`](crate::follow::FromIssuer::state_file) keeps, and may be absent.
///
/// The file itself is not signed: whoever can write it decides whom to trust. Its age counts as the feed's age.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bundle {
    /// The feed keys: `GET /v1/trust`.
    pub trust: JwkSet,
    /// The token keys.
    pub jwks: JwkSet,
    /// A snapshot statement: `GET /v1/feed`.
    pub snapshot: String,
    /// Statements that followed upon the snapshot, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// Statements from before the snapshot with revocations that it lacks: it cannot take them back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
    /// When the issuer last confirmed the token keys, in seconds since 1970; without it, the snapshot's `as_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_as_of: Option<UnixTime>,
    /// The issuer's longest lifetime in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime_secs: Option<u64>,
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
    /// The bundle is older than what is known already.
    #[error("the bundle is of {as_of}, and what is known is of {known}")]
    Older {
        /// Up to when the bundle says everything.
        as_of: UnixTime,
        /// Up to when everything is known.
        known: UnixTime,
    },
    /// The snapshot, or a statement beside it, is not believed.
    #[error("a statement is refused")]
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
    /// The three documents that the issuer serves: its feed keys, its token keys, and a snapshot of its revocations.
    #[must_use]
    pub fn new(trust: JwkSet, jwks: JwkSet, snapshot: String) -> Self {
        Self {
            trust,
            jwks,
            snapshot,
            ..Self::default()
        }
    }

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

    /// The statements, each verified again by the bundle's own trust, into `revocations`.
    ///
    /// The snapshot may have expired: the second value is then why it says nothing of the present.
    pub(crate) fn recall(
        &self,
        issuer: &str,
        revocations: &Arc<Revocations>,
        now: UnixTime,
    ) -> Result<(FeedState, Option<FeedError>), BundleError> {
        let trust = key_set("trust", &self.trust)?;
        let mut feed = FeedState::new(issuer.to_owned(), trust, Arc::clone(revocations));
        for text in &self.older {
            match feed.recall_entries(text, now) {
                // Its key has gone since, as keys do a lifetime after their last statement.
                Ok(()) | Err(FeedError::UnknownKey { .. }) => {}
                Err(source) => return Err(BundleError::Snapshot { source }),
            }
        }
        let expired = recalled(feed.recall(&self.snapshot, now))?;
        if feed.cursor().is_none() {
            return Err(BundleError::Snapshot {
                source: FeedError::NotASnapshot,
            });
        }
        for text in &self.statements {
            match feed.recall(text, now) {
                // What it revokes counts. It does not say that this is everything.
                Outcome::Gap { .. } => {}
                outcome => drop(recalled(outcome)?),
            }
        }
        Ok((feed, expired))
    }

    pub(crate) fn keys(&self) -> Result<KeySet, BundleError> {
        key_set("jwks", &self.jwks)
    }
}

fn key_set(member: &'static str, set: &JwkSet) -> Result<KeySet, BundleError> {
    KeySet::from_jwks(set).map_err(|source| BundleError::Keys { member, source })
}

/// `Some` if the statement has expired, and an error if it is not believed.
fn recalled(outcome: Outcome) -> Result<Option<FeedError>, BundleError> {
    let source = match outcome {
        Outcome::Applied { .. } | Outcome::KeysChanged { .. } => return Ok(None),
        Outcome::Refused(expired @ FeedError::Expired { .. }) => return Ok(Some(expired)),
        Outcome::Gap { .. } => FeedError::NotASnapshot,
        Outcome::Refused(source) => source,
        Outcome::UnknownKey { kid } => FeedError::UnknownKey { kid },
    };
    Err(BundleError::Snapshot { source })
}

impl Verifier {
    /// Takes over a bundle: the keys of the issuer, its longest lifetime, and its revocations if the snapshot is
    /// believed.
    ///
    /// # Errors
    /// If a key or a statement is refused, the snapshot has expired, or the bundle is older than what is known. The
    /// keys are unchanged then; what a truly signed statement revokes counts all the same.
    pub fn load_bundle(&self, bundle: &Bundle, now: UnixTime) -> Result<(), BundleError> {
        let keys = bundle.keys()?;
        let known = self.revocations().as_of();
        let (feed, expired) = bundle.recall(self.issuer(), self.revocations(), now)?;
        if let Some(source) = expired {
            return Err(BundleError::Snapshot { source });
        }
        // An older bundle may have keys that were withdrawn since.
        if let (Some(as_of), Some(known)) = (feed.as_of(), known)
            && as_of < known
        {
            return Err(BundleError::Older { as_of, known });
        }
        if let Some(secs) = bundle.max_lifetime_secs {
            self.set_max_lifetime(secs);
        }
        self.replace_keys(keys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_comes_first() {
        let text = "x".repeat(MAX_BUNDLE_BYTES + 2);
        let parse =
            |length: usize| Bundle::parse(text.get(..length).unwrap_or_default().as_bytes());
        assert!(matches!(
            parse(MAX_BUNDLE_BYTES),
            Err(BundleError::Json { .. })
        ));
        for length in [MAX_BUNDLE_BYTES + 1, MAX_BUNDLE_BYTES + 2] {
            assert!(
                matches!(parse(length), Err(BundleError::TooLong { length: found }) if found == length)
            );
        }
    }
}
