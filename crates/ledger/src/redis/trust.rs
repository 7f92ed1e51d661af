//! Which store may be written to.
//!
//! A store that restarted, failed over or was flushed may lack what this replica knows. Nothing is
//! written to it until the replica has loaded it, which also makes sure that its generation was
//! raised since: what was decided before the change is not recorded after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_issuer::{LedgerError, StoreIdentity};

/// One life of one store's content: which server, and since which start from nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Store {
    /// `run_id.master_replid`
    pub(super) server: String,
    /// Drawn by whoever loaded the store first.
    pub(super) epoch: String,
}

impl Store {
    pub(super) fn identity(&self) -> StoreIdentity {
        StoreIdentity(format!("{}.{}", self.server, self.epoch))
    }
}

/// What this replica knows of the store, whether or not it is still so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Empty before the first load.
    pub(super) store: Store,
    /// The last generation that was seen there.
    pub(super) generation: u64,
    /// The store is not this one any more, and was not loaded since.
    lost: bool,
    /// The same server went back in time, which its identity does not show.
    pub(super) went_back: bool,
    /// How often it did.
    times: u64,
}

#[derive(Debug)]
pub(super) struct Trust(Mutex<Known>);

impl Trust {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Known::default()))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now, for a load to compare with.
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// The store that may be written to and followed.
    pub(super) fn store(&self) -> Option<Store> {
        let known = self.lock();
        let usable = !known.lost && !known.store.server.is_empty();
        usable.then(|| known.store.clone())
    }

    /// `store` was read with `generation`, by a load that was told what was `known`. It does not
    /// count if the store went back in time meanwhile: the load may have come before.
    pub(super) fn loaded(&self, store: &Store, generation: u64, known: &Known) -> bool {
        let mut held = self.lock();
        if held.times != known.times {
            return false;
        }
        *held = Known {
            store: store.clone(),
            generation,
            lost: false,
            went_back: false,
            times: known.times,
        };
        true
    }

    /// Something else answers in place of `store`, or its content is gone.
    pub(super) fn lost(&self, store: &Store) {
        let mut known = self.lock();
        if known.store == *store {
            known.lost = true;
        }
    }

    /// The content of `store` is an older one.
    pub(super) fn went_back(&self, store: &Store) {
        let mut known = self.lock();
        if known.store == *store {
            known.lost = true;
            known.went_back = true;
            known.times += 1;
        }
    }

    /// The generation of `store` is `generation`.
    pub(super) fn raised(&self, store: &Store, generation: u64) {
        let mut known = self.lock();
        if known.store == *store {
            known.generation = known.generation.max(generation);
        }
    }
}

/// The error for a store that is not the one that was known.
pub(super) fn changed(server: &str) -> LedgerError {
    LedgerError::StoreChanged {
        identity: StoreIdentity(server.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(server: &str, epoch: &str) -> Store {
        Store {
            server: server.to_owned(),
            epoch: epoch.to_owned(),
        }
    }

    fn knowing(known: &Store) -> Trust {
        let trust = Trust::new();
        assert!(trust.loaded(known, 4, &trust.known()));
        trust
    }

    #[test]
    fn a_store_is_used_once_it_is_loaded_and_until_it_is_lost() {
        let trust = Trust::new();
        assert_eq!(trust.store(), None);
        for loaded in [store("a", "1"), store("b", "1"), store("b", "2")] {
            assert!(trust.loaded(&loaded, 1, &trust.known()));
            assert_eq!(trust.store(), Some(loaded.clone()));
            trust.lost(&loaded);
            assert_eq!(trust.store(), None);
            // What it was is still known, to be told from what comes.
            assert_eq!(trust.known().store, loaded);
        }
    }

    #[test]
    fn news_about_a_store_that_is_gone_already_change_nothing() {
        let trust = knowing(&store("a", "1"));
        trust.loaded(&store("b", "1"), 1, &trust.known());
        trust.lost(&store("a", "1"));
        trust.went_back(&store("b", "2"));
        trust.raised(&store("a", "1"), 9);
        assert_eq!(trust.store(), Some(store("b", "1")));
        assert_eq!(trust.known().generation, 1);
    }

    #[test]
    fn a_load_from_before_a_step_back_does_not_count() {
        let known = store("a", "1");
        let trust = knowing(&known);
        let told = trust.known();
        trust.went_back(&known);
        assert!(!trust.loaded(&known, 4, &told));
        assert_eq!(trust.store(), None);
        let told = trust.known();
        assert!(told.went_back);
        trust.went_back(&known);
        assert!(!trust.loaded(&known, 4, &told));
        assert!(trust.loaded(&known, 5, &trust.known()));
        assert_eq!(trust.store(), Some(known));
        assert!(!trust.known().went_back);
    }

    #[test]
    fn the_highest_generation_is_remembered() {
        let known = store("a", "1");
        let trust = knowing(&known);
        trust.raised(&known, 6);
        trust.raised(&known, 5);
        assert_eq!(trust.known().generation, 6);
    }
}
