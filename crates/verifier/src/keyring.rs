use dayfly_keys::{KeySet, VerifyingKey};
use dayfly_token::feed::{Kind, Prefix};
use dayfly_token::{Header, base64url};

use crate::revocation::prefix;

/// The keys of the issuer, with what can be known of each before any token comes.
pub(crate) struct Keyring {
    keys: KeySet,
    known: Vec<Known>,
}

/// One key.
pub(crate) struct Known {
    /// The header that our issuer gives its tokens, as it stands in them: a header that is equal to it, byte by byte,
    /// is acceptable and names this key, and needs no reading.
    usual_header: String,
    key: VerifyingKey,
    /// The key as the feed names it.
    mark: Prefix,
}

impl Keyring {
    pub(crate) fn new(keys: KeySet, typ: &str) -> Self {
        let known = keys.iter().map(|key| Known::new(key, typ)).collect();
        Self { keys, known }
    }

    pub(crate) const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The key whose usual header this is.
    pub(crate) fn by_header(&self, header: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.usual_header == header)
    }

    /// The key of that name. There is no other way to choose one: no fallback, no trial of all.
    pub(crate) fn by_kid(&self, kid: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.key.kid() == kid)
    }

    /// Whether both have the same keys under the same names.
    pub(crate) fn holds(&self, keys: &KeySet) -> bool {
        self.keys.len() == keys.len()
            && self
                .keys
                .iter()
                .zip(keys.iter())
                .all(|(a, b)| a.jwk() == b.jwk())
    }
}

impl Known {
    fn new(key: &VerifyingKey, typ: &str) -> Self {
        Self {
            usual_header: base64url::encode(Header::of(key.algorithm().name(), typ, key.kid())),
            key: key.clone(),
            mark: prefix(Kind::Key, key.kid()),
        }
    }

    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub(crate) const fn mark(&self) -> Prefix {
        self.mark
    }
}
