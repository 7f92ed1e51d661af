use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_token::UnixTime;

use super::ProofError;

/// Locks: enough that as many cores seldom wait for each other.
const SHARDS: usize = 16;

/// Seconds of expiry that are forgotten together.
const SLOT_SECS: u64 = 16;

/// Leading bytes of SHA-256 over key and `jti`: a second value that meets one of another key takes 2^128 attempts.
pub(super) type Digest = [u8; 16];

/// The proofs that were accepted, each for as long as it could be accepted again (RFC 9449 section 11.1).
///
/// Bounded, and what is in it stays until it expires: when it is full, new proofs are refused.
pub(super) struct Store {
    shards: [Mutex<Shard>; SHARDS],
    capacity: usize,
    /// In all shards together. One limit for all of them, because whoever chooses a `jti` chooses its shard.
    count: AtomicUsize,
    /// When all shards were last swept, in seconds.
    swept_at: AtomicU64,
}

#[derive(Default)]
struct Shard {
    /// By the slot in which they expire.
    slots: BTreeMap<u64, HashSet<Digest>>,
    /// The last slot that was forgotten. A clock that was set back must not find a proof of it new.
    forgotten: Option<u64>,
}

impl Store {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            capacity,
            count: AtomicUsize::new(0),
            swept_at: AtomicU64::new(0),
        }
    }

    /// Remembers a proof that may be accepted up to and including `expires_at`; `Ok` exactly once until then, however
    /// many threads ask at once.
    pub(super) fn insert(
        &self,
        digest: Digest,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), ProofError> {
        if self.count.load(Ordering::Acquire) >= self.capacity {
            // What has expired may lie in other shards.
            self.sweep(now);
        }
        let mut shard = self.shard_of(&digest);
        self.forget(&mut shard, now);
        if shard.knows(&digest, expires_at) {
            return Err(ProofError::Replayed);
        }
        if !self.reserve() {
            return Err(ProofError::StoreFull {
                capacity: self.capacity,
            });
        }
        shard
            .slots
            .entry(slot_of(expires_at))
            .or_default()
            .insert(digest);
        Ok(())
    }

    fn shard_of(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let [first, ..] = digest;
        let [fallback, ..] = &self.shards;
        let shard = self
            .shards
            .get(usize::from(*first) % SHARDS)
            .unwrap_or(fallback);
        lock(shard)
    }

    fn reserve(&self) -> bool {
        let more = |count: usize| (count < self.capacity).then_some(count + 1);
        self.count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    /// Forgets what has expired everywhere, once a second at most: a flood of refused proofs pays for one sweep.
    fn sweep(&self, now: UnixTime) {
        if self.swept_at.swap(now.as_secs(), Ordering::AcqRel) == now.as_secs() {
            return;
        }
        for shard in &self.shards {
            self.forget(&mut lock(shard), now);
        }
    }

    fn forget(&self, shard: &mut Shard, now: UnixTime) {
        let freed = shard.forget(now);
        if freed > 0 {
            self.count.fetch_sub(freed, Ordering::AcqRel);
        }
    }
}

impl Shard {
    /// Drops the slots that are over, as a whole, and says how many proofs were in them.
    fn forget(&mut self, now: UnixTime) -> usize {
        let mut freed = 0;
        while let Some(oldest) = self.slots.first_entry() {
            if *oldest.key() >= slot_of(now) {
                break;
            }
            let (slot, proofs) = oldest.remove_entry();
            freed += proofs.len();
            self.forgotten = self.forgotten.max(Some(slot));
        }
        freed
    }

    fn knows(&self, digest: &Digest, expires_at: UnixTime) -> bool {
        Some(slot_of(expires_at)) <= self.forgotten
            || self.slots.values().any(|proofs| proofs.contains(digest))
    }
}

const fn slot_of(expires_at: UnixTime) -> u64 {
    expires_at.as_secs() / SLOT_SECS
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn digest(number: u64) -> Digest {
        // Spread like a hash, and a million of them at no cost: Fibonacci hashing.
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(spread) << 64 | u128::from(number)).to_be_bytes()
    }

    /// THREATS: whoever floods the store makes it deny, never forget.
    #[test]
    fn a_flood_denies_and_never_evicts() {
        let store = Store::new(super::super::DEFAULT_CAPACITY);
        let expires_at = NOW.saturating_add(60);
        assert_eq!(store.insert(digest(0), expires_at, NOW), Ok(()));
        let flood = 1_100_000;
        let accepted = (1..flood)
            .filter(|number| store.insert(digest(*number), expires_at, NOW).is_ok())
            .count();
        assert_eq!(accepted + 1, super::super::DEFAULT_CAPACITY);
        for now in [NOW, expires_at] {
            assert_eq!(
                store.insert(digest(0), expires_at, now),
                Err(ProofError::Replayed)
            );
            assert!(matches!(
                store.insert(digest(flood), now.saturating_add(60), now),
                Err(ProofError::StoreFull { .. })
            ));
        }
        // When the flood has expired there is room again, in every shard at once.
        let later = expires_at.saturating_add(SLOT_SECS);
        let room = |number| store.insert(digest(number), later.saturating_add(60), later);
        assert!((0..100).all(|number| room(flood + number).is_ok()));
        assert_eq!(store.count.load(Ordering::Acquire), 100);
    }

    /// The digest's first byte chooses the shard; one shard alone may hold everything.
    #[test]
    fn a_chosen_shard_is_no_smaller_than_the_store() {
        let store = Store::new(1000);
        let expires_at = NOW.saturating_add(60);
        let of_one_shard = (0..).map(digest).filter(|digest| digest[0] == 0);
        for digest in of_one_shard.take(1000) {
            assert_eq!(store.insert(digest, expires_at, NOW), Ok(()));
        }
        assert!(store.insert([1; 16], expires_at, NOW).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_finds_nothing_new() {
        let store = Store::new(10);
        let expires_at = NOW.saturating_add(60);
        assert_eq!(store.insert([0; 16], expires_at, NOW), Ok(()));
        let later = NOW.saturating_add(1000);
        assert_eq!(store.insert([16; 16], later, later), Ok(()));
        assert_eq!(
            store.insert([0; 16], expires_at, NOW),
            Err(ProofError::Replayed)
        );
    }

    #[test]
    fn exactly_one_of_many_threads() {
        let store = Store::new(1_000_000);
        let expires_at = NOW.saturating_add(60);
        let winners = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..2000 {
                        if store.insert(digest(number), expires_at, NOW).is_ok() {
                            winners.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(winners.into_inner(), 2000);
    }

    /// A digest in the shard of that number.
    fn in_shard(shard: u8, number: u8) -> Digest {
        let mut digest = [0; 16];
        (digest[0], digest[15]) = (shard, number);
        digest
    }

    #[test]
    fn what_expired_in_another_shard_makes_room() {
        let store = Store::new(2);
        let expires_at = NOW.saturating_add(60);
        assert_eq!(store.insert(in_shard(0, 0), expires_at, NOW), Ok(()));
        assert_eq!(store.insert(in_shard(1, 0), expires_at, NOW), Ok(()));
        let full = Err(ProofError::StoreFull { capacity: 2 });
        assert_eq!(store.insert(in_shard(2, 0), expires_at, NOW), full);
        let later = expires_at.saturating_add(SLOT_SECS);
        assert_eq!(store.insert(in_shard(2, 0), later, later), Ok(()));
        assert_eq!(store.insert(in_shard(3, 0), later, later), Ok(()));
        assert_eq!(store.insert(in_shard(4, 0), later, later), full);
    }

    #[test]
    fn proofs_spread_over_all_shards_and_expire_by_the_slot() {
        let store = Store::new(1000);
        let start = UnixTime::from_secs(NOW.as_secs() / SLOT_SECS * SLOT_SECS);
        for shard in 0..=u8::MAX {
            let expires_at = start.saturating_add(u64::from(shard) / 16 % SLOT_SECS);
            assert_eq!(store.insert(in_shard(shard, 1), expires_at, start), Ok(()));
        }
        let slots = store.shards.iter().map(|shard| lock(shard).slots.len());
        assert!(slots.eq([1; SHARDS]));
    }

    proptest! {
        /// A clock that jumps either way, as often as it likes, makes no proof new.
        #[test]
        fn never_twice_by_any_clock(
            steps in proptest::collection::vec((0..4_u8, 0..6_u64, 0..400_u64), 1..200),
        ) {
            let store = Store::new(1000);
            let mut accepted = std::collections::BTreeSet::new();
            for (jti, made, now) in steps {
                // Several proofs under one `jti`; all of them in one shard.
                let mut digest = [0; 16];
                digest[15] = jti;
                let (expires_at, now) = (NOW.saturating_add(made * 20), NOW.saturating_add(now));
                let is_new = now <= expires_at && store.insert(digest, expires_at, now).is_ok();
                prop_assert!(!is_new || accepted.insert((jti, made)), "{jti} of {made} twice");
            }
        }

        /// Against a map without bounds: a proof is accepted at most once within its window, by a clock that runs on.
        #[test]
        fn never_twice(
            steps in proptest::collection::vec((0..6_u8, 0..130_u64, 0..40_u64), 1..200),
        ) {
            let store = Store::new(1000);
            let mut model: BTreeMap<u8, u64> = BTreeMap::new();
            let mut now = NOW.as_secs();
            // All of them in one shard.
            let digest = |id: u8| {
                let mut digest = [0; 16];
                digest[15] = id;
                digest
            };
            for (id, ahead, passed) in steps {
                now += passed;
                let expires_at = now + ahead;
                let accepted = store
                    .insert(digest(id), UnixTime::from_secs(expires_at), UnixTime::from_secs(now))
                    .is_ok();
                let lives = model.get(&id).is_some_and(|until| *until >= now);
                prop_assert!(!(accepted && lives), "{id} twice");
                // And what is long gone is forgotten.
                let gone = model.get(&id).is_none_or(|until| until / SLOT_SECS < now / SLOT_SECS);
                prop_assert!(accepted || !gone, "{id} never again");
                if accepted {
                    model.insert(id, expires_at);
                }
            }
        }
    }
}
