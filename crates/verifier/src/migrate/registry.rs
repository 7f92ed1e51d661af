//! The registry at work: from a presented key to its entry, and its counts.

use std::collections::HashMap;
use std::sync::Arc;

use dayfly_token::Slug;
use subtle::ConstantTimeEq as _;

use super::digest::{Kind, Pepper, has_length};
use super::keys::{KeysError, MAX_KEYS};
use super::tally::Tally;
use super::{ApiKeys, LegacyKey};

/// The most tallies that are kept: those of the present keys, and as many of keys that were taken out, in case they come
/// back.
const MAX_TALLIES: usize = 2 * MAX_KEYS;

#[derive(Default)]
pub(super) struct Registry {
    plain: Index,
    peppered: Index,
    pepper: Option<Pepper>,
    entries: Vec<Arc<Entry>>,
    tallies: HashMap<Slug, Arc<Tally>>,
}

pub(super) struct Entry {
    pub(super) key: LegacyKey,
    pub(super) tally: Arc<Tally>,
}

/// Entries by the first eight bytes of their digest.
///
/// The time of a look-up can tell at most whether some key's digest begins like that of a key that the caller knows, and
/// nobody can choose a key for its digest. What decides is the comparison of all 32 bytes, in constant time.
#[derive(Default)]
struct Index(HashMap<[u8; 8], Vec<Arc<Entry>>>);

impl Registry {
    /// The registry of `keys`; who was counted before is counted on.
    pub(super) fn after(&self, keys: ApiKeys) -> Result<Self, KeysError> {
        let (keys, pepper) = keys.into_parts()?;
        let mut next = Self {
            pepper,
            tallies: self.tallies.clone(),
            ..Self::default()
        };
        for key in keys {
            let tally = next.tallies.entry(key.id().clone()).or_default();
            let entry = Arc::new(Entry {
                tally: Arc::clone(tally),
                key,
            });
            let index = match entry.key.hash().kind {
                Kind::Plain => &mut next.plain,
                Kind::Peppered => &mut next.peppered,
            };
            index.insert(Arc::clone(&entry));
            next.entries.push(entry);
        }
        next.forget();
        Ok(next)
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Entry>> {
        if !has_length(key) {
            return None;
        }
        let plain = self.plain.find(&dayfly_keys::sha256(key));
        let peppered = || {
            let pepper = self
                .pepper
                .as_ref()
                .filter(|_| !self.peppered.0.is_empty())?;
            self.peppered.find(&pepper.digest(key))
        };
        plain.or_else(peppered).cloned()
    }

    pub(super) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    pub(super) fn by_id(&self, id: &Slug) -> Option<&Arc<Tally>> {
        self.tallies.get(id)
    }

    /// Drops the counts of keys that are gone, once there are too many.
    fn forget(&mut self) {
        if self.tallies.len() <= MAX_TALLIES {
            return;
        }
        let present = self.entries.iter();
        self.tallies = present
            .map(|entry| (entry.key.id().clone(), Arc::clone(&entry.tally)))
            .collect();
    }
}

impl Index {
    fn insert(&mut self, entry: Arc<Entry>) {
        let prefix = prefix_of(&entry.key.hash().bytes);
        self.0.entry(prefix).or_default().push(entry);
    }

    fn find(&self, digest: &[u8; 32]) -> Option<&Arc<Entry>> {
        let alike = self.0.get(&prefix_of(digest))?;
        alike.iter().fold(None, |found, entry| {
            let same = bool::from(entry.key.hash().bytes.ct_eq(digest));
            if same { Some(entry) } else { found }
        })
    }
}

const fn prefix_of(digest: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::super::digest::KeyHash;
    use super::super::keys::KeyEntry;
    use super::super::tally::one;
    use super::*;

    fn entry(id: &str, digest: [u8; 32]) -> KeyEntry {
        let hash = KeyHash {
            kind: Kind::Plain,
            bytes: digest,
        };
        KeyEntry::new(id.parse().unwrap(), "tests".parse().unwrap(), hash)
    }

    #[test]
    fn digests_are_compared_in_full() {
        let key = b"0123456789abcdef";
        let digest = dayfly_keys::sha256(key);
        for byte in 0..32 {
            let mut other = digest;
            other[byte] ^= 1;
            let registry = Registry::default()
                .after(ApiKeys::new([entry("near", other)]).unwrap())
                .unwrap();
            assert!(registry.find(key).is_none(), "byte {byte}");
        }
        let mut twin = digest;
        twin[31] ^= 1;
        for order in [["mine", "twin"], ["twin", "mine"]] {
            let entries = order.map(|id| entry(id, if id == "mine" { digest } else { twin }));
            let registry = Registry::default()
                .after(ApiKeys::new(entries).unwrap())
                .unwrap();
            assert_eq!(registry.find(key).unwrap().key.id().as_str(), "mine");
        }
    }

    #[test]
    fn counts_outlive_the_registry_and_are_bounded() {
        let named = |prefix: &str| {
            let entries = (0..MAX_KEYS).map(|number| {
                let id = format!("{prefix}-{number}");
                entry(&id, dayfly_keys::sha256(id.as_bytes()))
            });
            ApiKeys::new(entries).unwrap()
        };
        let first = Registry::default().after(named("a")).unwrap();
        one(&first.entries()[0].tally.uses.presented);
        let second = first.after(named("b")).unwrap();
        let again = second.after(named("a")).unwrap();
        assert_eq!(again.entries()[0].tally.uses.read().presented, 1);
        let third = second.after(named("c")).unwrap();
        assert_eq!(third.tallies.len(), MAX_KEYS);
    }
}
