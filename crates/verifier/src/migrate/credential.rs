//! What the services behind the layer see.

use dayfly_token::WorkloadId;

use super::LegacyKey;
use crate::Verified;

/// By what a request was let in: the request extension for handlers that serve both. One that wants a token asks for
/// [`Verified`], which no key ever gives.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token, verified completely.
    Token(Verified),
    /// A static key of this API.
    Key(LegacyKey),
}

impl Credential {
    /// Whether `scope` is among the scopes of the token, or of what the key stands for.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        match self {
            Self::Token(verified) => verified.has_scope(scope),
            Self::Key(key) => key.has_scope(scope),
        }
    }

    /// Who answers for the caller: the owner of the token's workload, or of the key. `None` for a token whose subject is
    /// no `owner/workload`.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        match self {
            Self::Token(verified) => owner_of(verified),
            Self::Key(key) => Some(key.owner().as_str().to_owned()),
        }
    }

    /// The token, if it is one.
    #[must_use]
    pub const fn token(&self) -> Option<&Verified> {
        match self {
            Self::Token(verified) => Some(verified),
            Self::Key(_) => None,
        }
    }

    /// The key, if it is one.
    #[must_use]
    pub const fn key(&self) -> Option<&LegacyKey> {
        match self {
            Self::Token(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

pub(super) fn owner_of(verified: &Verified) -> Option<String> {
    let workload: WorkloadId = verified.workload()?;
    Some(workload.owner.as_str().to_owned())
}
