//! The registry of an API's keys.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use dayfly_token::{JsonError, NameError, Scope, ScopeSet, Slug, UnixTime, json};
use serde::Deserialize;

use super::digest::{KeyHash, Kind, MAX_KEY_BYTES, MIN_KEY_BYTES, MIN_PEPPER_BYTES, Pepper};
use super::moment;

/// The most keys of one API. Each costs a few hundred bytes of memory and one line of the report; an API with
/// more moves its users by groups.
pub const MAX_KEYS: usize = 10_000;

/// The longest registry in bytes: [`MAX_KEYS`] entries of a generous length.
pub const MAX_REGISTRY_BYTES: usize = 8 * 1024 * 1024;

/// The longest contact in bytes: a mail address (RFC 5321 section 4.5.3.1) or the name of a channel.
const MAX_CONTACT_BYTES: usize = 254;

/// Why a registry, or a key, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A contact that is empty, too long, or not printable.
    #[error("the contact of key `{id}` is not 1 to {MAX_CONTACT_BYTES} printable characters")]
    Contact {
        /// The key's id.
        id: Slug,
    },
    /// Two keys with one digest: which of them is meant could not be told.
    #[error("keys `{first}` and `{second}` have the same hash")]
    HashTwice {
        /// The id of one.
        first: Slug,
        /// The id of the other.
        second: Slug,
    },
    /// Not a digest. The text is not repeated: it may be a key that somebody put there.
    #[error("a hash is not `sha256:` or `hmac-sha256:` and 32 bytes in hexadecimal or base64url")]
    HashForm,
    /// Two keys with one id.
    #[error("key id `{id}` stands there twice")]
    IdTwice {
        /// The id.
        id: Slug,
    },
    /// Not strict JSON, or not of the right form.
    #[error("the registry is not the JSON that is expected")]
    Json {
        /// What is wrong.
        source: JsonError,
    },
    /// A key that is no machine key.
    #[error("a key of {bytes} bytes is not of {MIN_KEY_BYTES} to {MAX_KEY_BYTES}")]
    KeyLength {
        /// Its length.
        bytes: usize,
    },
    /// A pepper that is too short.
    #[error("a pepper of {bytes} bytes is shorter than {MIN_PEPPER_BYTES}")]
    Pepper {
        /// Its length.
        bytes: usize,
    },
    /// A keyed digest, and no pepper to compute one with.
    #[error("key `{id}` has an `hmac-sha256` hash, and the registry was given no pepper")]
    PepperMissing {
        /// The key's id.
        id: Slug,
    },
    /// Scopes that cannot be.
    #[error("the scopes of key `{id}` are refused")]
    Scopes {
        /// The key's id.
        id: Slug,
        /// What is wrong.
        source: NameError,
    },
    /// Not TOML, or not of the right form.
    #[error("the registry is not the TOML that is expected: {reason}")]
    Toml {
        /// What is wrong and where; no text of the registry.
        reason: String,
    },
    /// A registry over [`MAX_REGISTRY_BYTES`].
    #[error("a registry of {bytes} bytes is over {MAX_REGISTRY_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More than [`MAX_KEYS`] keys.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

/// A static key of this API, as it is known here: who has it and what it stands for, and not the key. Cloning is
/// cheap.
#[derive(Clone)]
pub struct LegacyKey(Arc<KeyEntry>);

/// One entry of the registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyEntry {
    /// What logs, counts and reports call the key.
    pub id: Slug,
    /// Who answers for its use, in the names that workloads have: a token of `billing/batch` and a key of `billing`
    /// belong together.
    pub owner: Slug,
    /// How to reach the owner.
    #[serde(default)]
    pub contact: Option<String>,
    /// What the key stands for, in the scopes of tokens; none if left out.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// From when on the key is refused, in every stage: RFC 3339 text, a TOML date, or seconds since 1970.
    #[serde(default, deserialize_with = "moment::optional")]
    pub until: Option<UnixTime>,
    /// The digest of the whole key.
    pub hash: KeyHash,
}

/// The keys that an API has given out: parsed, checked, and ready to be put into a
/// [`Migration`](super::Migration).
///
/// ```
/// use dayfly_verifier::migrate::ApiKeys;
///
/// let keys = ApiKeys::from_toml(r##"
///     [[key]]
///     id = "billing-batch"            # shown in logs and reports; never the key
///     owner = "billing"
///     contact = "#billing"
///     scopes = ["orders:read"]        # what the key stands for
///     until = 2027-03-01T00:00:00Z    # optional: refused from then on, in every stage
///     hash = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
/// "##)?;
/// assert_eq!(keys.len(), 1);
/// # Ok::<(), dayfly_verifier::migrate::KeysError>(())
/// ```
///
/// A digest is `sha256:` or, with a [`Pepper`], `hmac-sha256:`. Both are found by one look-up, and right for keys that
/// a machine drew at random; they are wrong for anything that a person chose, and what bcrypt or Argon2 made
/// cannot be looked up.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    keys: Vec<LegacyKey>,
    pepper: Option<Pepper>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

impl ApiKeys {
    /// A registry of these entries.
    ///
    /// # Errors
    /// If an id or a digest occurs twice, there are more than [`MAX_KEYS`], or an entry is refused.
    pub fn new(entries: impl IntoIterator<Item = KeyEntry>) -> Result<Self, KeysError> {
        let mut ids = HashSet::new();
        let mut keys: Vec<LegacyKey> = Vec::new();
        for entry in entries {
            if keys.len() == MAX_KEYS {
                return Err(KeysError::TooMany);
            }
            check(&entry)?;
            if !ids.insert(entry.id.clone()) {
                return Err(KeysError::IdTwice { id: entry.id });
            }
            keys.push(LegacyKey(Arc::new(entry)));
        }
        check_hashes(&keys)?;
        Ok(Self { keys, pepper: None })
    }

    /// Reads `[[key]]` tables.
    ///
    /// # Errors
    /// If the text is not TOML, has a member that is not known, or holds an entry that is refused.
    pub fn from_toml(text: &str) -> Result<Self, KeysError> {
        check_length(text.as_bytes())?;
        let document: Document = toml::from_str(text).map_err(|error| KeysError::Toml {
            // `Display` would print the line that is wrong, and with it perhaps a key.
            reason: match error.span().and_then(|at| text.get(..at.start)) {
                Some(before) => format!(
                    "line {}: {}",
                    before.matches('\n').count() + 1,
                    without_values(error.message())
                ),
                None => without_values(error.message()),
            },
        })?;
        Self::new(document.key)
    }

    /// Reads `{"key": [ … ]}`.
    ///
    /// # Errors
    /// If the text is not strict JSON, has a member that is not known, or holds an entry that is refused.
    pub fn from_json(text: &[u8]) -> Result<Self, KeysError> {
        check_length(text)?;
        let document: Document =
            json::from_slice(text).map_err(|source| KeysError::Json { source })?;
        Self::new(document.key)
    }

    /// The secret for `hmac-sha256` digests.
    #[must_use]
    pub fn pepper(self, pepper: Pepper) -> Self {
        Self {
            pepper: Some(pepper),
            ..self
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, in the order of the registry.
    pub fn iter(&self) -> impl Iterator<Item = &LegacyKey> {
        self.keys.iter()
    }

    pub(super) fn into_parts(self) -> Result<(Vec<LegacyKey>, Option<Pepper>), KeysError> {
        let keyed = self
            .keys
            .iter()
            .find(|key| key.hash().kind == Kind::Peppered);
        match (keyed, &self.pepper) {
            (Some(key), None) => Err(KeysError::PepperMissing {
                id: key.id().clone(),
            }),
            _ => Ok((self.keys, self.pepper)),
        }
    }
}

impl KeyEntry {
    /// An entry without contact, scopes and end.
    #[must_use]
    pub const fn new(id: Slug, owner: Slug, hash: KeyHash) -> Self {
        Self {
            id,
            owner,
            contact: None,
            scopes: Vec::new(),
            until: None,
            hash,
        }
    }
}

impl LegacyKey {
    /// What logs, counts and reports call the key.
    #[must_use]
    pub fn id(&self) -> &Slug {
        &self.0.id
    }

    /// Who answers for its use.
    #[must_use]
    pub fn owner(&self) -> &Slug {
        &self.0.owner
    }

    /// How to reach the owner.
    #[must_use]
    pub fn contact(&self) -> Option<&str> {
        self.0.contact.as_deref()
    }

    /// What the key stands for.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }

    /// Whether `scope` is among [`LegacyKey::scopes`]; exact, without wildcards.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().iter().any(|own| own.as_str() == scope)
    }

    /// From when on this key is refused, whatever the stage.
    #[must_use]
    pub fn until(&self) -> Option<UnixTime> {
        self.0.until
    }

    pub(super) fn hash(&self) -> &KeyHash {
        &self.0.hash
    }
}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyKey")
            .field("id", &self.id().as_str())
            .field("owner", &self.owner().as_str())
            .finish_non_exhaustive()
    }
}

fn check(entry: &KeyEntry) -> Result<(), KeysError> {
    let printable = |contact: &String| {
        (1..=MAX_CONTACT_BYTES).contains(&contact.len()) && !contact.chars().any(char::is_control)
    };
    if !entry.contact.as_ref().is_none_or(printable) {
        return Err(KeysError::Contact {
            id: entry.id.clone(),
        });
    }
    ScopeSet::new(entry.scopes.iter().cloned())
        .map(drop)
        .map_err(|source| KeysError::Scopes {
            id: entry.id.clone(),
            source,
        })
}

fn check_hashes(keys: &[LegacyKey]) -> Result<(), KeysError> {
    let mut sorted: Vec<_> = keys.iter().collect();
    let order = |key: &LegacyKey| (key.hash().kind == Kind::Plain, key.hash().bytes);
    sorted.sort_by_key(|key| order(key));
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if order(first) == order(second) {
            return Err(KeysError::HashTwice {
                first: first.id().clone(),
                second: second.id().clone(),
            });
        }
    }
    Ok(())
}

/// A message of serde without what it quotes from the registry: a value, or the name of a member that is not known. The
/// line says where to look.
fn without_values(message: &str) -> String {
    let message = match message.strip_prefix("unknown field `") {
        Some(rest) => rest
            .split_once('`')
            .map_or_else(String::new, |(_, rest)| format!("unknown field{rest}")),
        None => message.to_owned(),
    };
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let before = message.get(..first).unwrap_or_default();
            let after = message.get(last + 1..).unwrap_or_default();
            format!("{before}…{after}")
        }
        _ => message,
    }
}

const fn check_length(text: &[u8]) -> Result<(), KeysError> {
    if text.len() > MAX_REGISTRY_BYTES {
        return Err(KeysError::TooLong { bytes: text.len() });
    }
    Ok(())
}
