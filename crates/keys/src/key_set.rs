use std::collections::BTreeMap;
use std::fmt;

use dayfly_token::Excerpt;

use crate::{JwkSet, JwkSetError, VerifyingKey};

/// The keys of one issuer by `kid`. Keys of two issuers belong in two sets: a `kid` means nothing outside its issuer.
#[derive(Clone, Default)]
pub struct KeySet(BTreeMap<String, VerifyingKey>);

impl KeySet {
    /// The keys of a set.
    ///
    /// # Errors
    /// If one of them cannot verify, or two have one name. A set that was parsed has neither.
    pub fn from_jwks(jwks: &JwkSet) -> Result<Self, JwkSetError> {
        let mut keys = BTreeMap::new();
        for jwk in &jwks.keys {
            let key = VerifyingKey::from_jwk(jwk).map_err(|source| JwkSetError::Key { source })?;
            if let Some(twin) = keys.insert(key.kid().to_owned(), key) {
                return Err(JwkSetError::DuplicateKid {
                    kid: Excerpt::of(twin.kid()),
                });
            }
        }
        Ok(Self(keys))
    }

    /// The usable keys of a JWK Set in JSON.
    ///
    /// # Errors
    /// As [`JwkSet::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JwkSetError> {
        Self::from_jwks(&JwkSet::parse(bytes)?)
    }

    /// The key of that name. There is no other way to choose one: no fallback, no trial of all.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.get(kid)
    }

    /// Adds a key, in place of one of the same name.
    pub fn insert(&mut self, key: VerifyingKey) {
        self.0.insert(key.kid().to_owned(), key);
    }

    /// Takes the key of that name out.
    pub fn remove(&mut self, kid: &str) -> Option<VerifyingKey> {
        self.0.remove(kid)
    }

    /// The names, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The keys, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set as it is published.
    #[must_use]
    pub fn to_jwks(&self) -> JwkSet {
        JwkSet {
            keys: self.iter().map(|key| key.jwk().clone()).collect(),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kids()).finish()
    }
}
