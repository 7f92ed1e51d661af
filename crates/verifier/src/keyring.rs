use dayfly_keys::{KeySet, VerifyingKey};
use dayfly_token::base64url;
use serde_json::json;

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
        let header = json!({ "alg": key.algorithm().name(), "kid": key.kid(), "typ": typ });
        Self {
            usual_header: base64url::encode(header.to_string()),
            key: key.clone(),
        }
    }

    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}
