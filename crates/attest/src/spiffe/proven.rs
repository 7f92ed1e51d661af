//! SVIDs that were proven against one state of the bundles, remembered so that an open connection costs little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dayfly_token::{SpiffeId, UnixTime};

use super::chain::Validity;

/// Most remembered SVIDs of one generation, of two: room for 4,096 live connections in about 1 MB.
const GENERATION: usize = 2048;

/// A certificate that is an X509-SVID with a path to the bundle of its trust domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProvenSvid {
    pub(crate) id: SpiffeId,
    /// When every certificate of the path is valid.
    pub(crate) validity: Validity,
    /// SHA-256 of what the CA signed: another signature over the same is the same evidence.
    pub(crate) digest: [u8; 32],
}

/// Proven SVIDs by the thumbprint of the leaf.
///
/// It belongs to one version of the bundles and goes with it. A leaf that was proven with one set of intermediates is
/// proven: which others come with it the next time does not matter.
#[derive(Debug, Default)]
pub(crate) struct ProvenSvids {
    generations: Mutex<Generations>,
}

/// When the young generation is full it becomes the old one, and what was the old one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<ProvenSvid>>,
    old: HashMap<[u8; 32], Arc<ProvenSvid>>,
}

impl ProvenSvids {
    /// The SVID of that thumbprint, if it was proven and is valid at `now`.
    pub(crate) fn get(&self, thumbprint: &[u8; 32], now: UnixTime) -> Option<Arc<ProvenSvid>> {
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = generations
            .young
            .get(thumbprint)
            .or_else(|| generations.old.get(thumbprint))?;
        found.validity.contains(now).then(|| Arc::clone(found))
    }

    pub(crate) fn insert(&self, thumbprint: [u8; 32], svid: Arc<ProvenSvid>) {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(thumbprint, svid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svid(until: u64) -> Arc<ProvenSvid> {
        Arc::new(ProvenSvid {
            id: "spiffe://td/a".parse().unwrap(),
            validity: Validity {
                not_before: UnixTime::from_secs(100),
                not_after: UnixTime::from_secs(until),
            },
            digest: [0; 32],
        })
    }

    fn thumbprint(n: usize) -> [u8; 32] {
        dayfly_keys::sha256(&n.to_be_bytes())
    }

    #[test]
    fn only_while_valid() {
        let cache = ProvenSvids::default();
        cache.insert([1; 32], svid(200));
        for (now, found) in [(99, false), (100, true), (200, true), (201, false)] {
            let hit = cache.get(&[1; 32], UnixTime::from_secs(now));
            assert_eq!(hit.is_some(), found, "{now}");
        }
        assert!(cache.get(&[2; 32], UnixTime::from_secs(150)).is_none());
    }

    #[test]
    fn bounded_and_the_latest_stay() {
        let cache = ProvenSvids::default();
        let total = 5 * GENERATION;
        for n in 0..total {
            cache.insert(thumbprint(n), svid(200));
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        drop(generations);
        let now = UnixTime::from_secs(150);
        assert!(cache.get(&thumbprint(total - 1), now).is_some());
        assert!(cache.get(&thumbprint(total - GENERATION), now).is_some());
        assert!(cache.get(&thumbprint(0), now).is_none());
    }
}
