//! What was proven against one state of a bundle, remembered so that an open connection costs little.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dayfly_token::UnixTime;

use super::chain::{Usage, Validity};

/// Most remembered certificates of one generation, of two: room for 4,096 live connections in about 1 MB.
const GENERATION: usize = 2048;

/// Facts about proven leaves, by the thumbprint of the leaf and the end of the connection that it was proven for.
///
/// It belongs to one version of the bundle and goes with it. A leaf that was proven with one set of intermediates is
/// proven: which others come with it the next time does not matter.
pub struct ProvenCache<T> {
    generations: Mutex<Generations<T>>,
}

type Proven<T> = HashMap<([u8; 32], Usage), (Validity, Arc<T>)>;

/// When the young generation is full it becomes the old one, and what was the old one is forgotten.
struct Generations<T> {
    young: Proven<T>,
    old: Proven<T>,
}

impl<T> ProvenCache<T> {
    /// The facts about the leaf with this SHA-256, if it was proven and its whole path is valid at `now`.
    pub fn get(&self, thumbprint: &[u8; 32], usage: Usage, now: UnixTime) -> Option<Arc<T>> {
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (*thumbprint, usage);
        let young = generations.young.get(&key);
        let (validity, facts) = young.or_else(|| generations.old.get(&key))?;
        validity.contains(now).then(|| Arc::clone(facts))
    }

    /// Remembers what was proven of a leaf, and when all of its path is valid.
    pub fn insert(&self, thumbprint: [u8; 32], usage: Usage, validity: Validity, facts: Arc<T>) {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations
            .young
            .insert((thumbprint, usage), (validity, facts));
    }
}

impl<T> Default for ProvenCache<T> {
    fn default() -> Self {
        Self {
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }
}

impl<T> fmt::Debug for ProvenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvenCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid_until(until: u64) -> Validity {
        Validity {
            not_before: UnixTime::from_secs(100),
            not_after: UnixTime::from_secs(until),
        }
    }

    fn thumbprint(n: usize) -> [u8; 32] {
        dayfly_keys::sha256(&n.to_be_bytes())
    }

    #[test]
    fn only_while_valid_and_for_its_end_of_the_connection() {
        let cache = ProvenCache::default();
        cache.insert([1; 32], Usage::Client, valid_until(200), Arc::new(7));
        for (now, found) in [(99, None), (100, Some(7)), (200, Some(7)), (201, None)] {
            let now = UnixTime::from_secs(now);
            let hit = cache.get(&[1; 32], Usage::Client, now);
            assert_eq!(hit.as_deref(), found.as_ref(), "{now}");
            assert!(cache.get(&[1; 32], Usage::Server, now).is_none());
        }
        let now = UnixTime::from_secs(150);
        assert!(cache.get(&[2; 32], Usage::Client, now).is_none());
    }

    #[test]
    fn bounded_and_the_latest_stay() {
        let cache = ProvenCache::default();
        let total = 5 * GENERATION;
        for n in 0..total {
            cache.insert(thumbprint(n), Usage::Client, valid_until(200), Arc::new(()));
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        drop(generations);
        let now = UnixTime::from_secs(150);
        let known = |n| cache.get(&thumbprint(n), Usage::Client, now).is_some();
        assert!(known(total - 1));
        assert!(known(total - GENERATION));
        assert!(!known(0));
    }
}
