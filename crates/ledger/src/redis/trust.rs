//! Which store may be written to.
//!
//! A store that restarted, failed over or was flushed may lack what this replica knows, so it is
//! not written to until the replica has loaded it, and no credential is recorded there until the
//! generation was raised (which the replica does on its way to write back what it knows).

use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_issuer::{LedgerError, StoreIdentity};

/// One life of one store's content: which server, and since which start from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What this replica thinks of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Never loaded.
    Unknown,
    /// The store that was known all along.
    Known(Store),
    /// Another than the known one, or one that went back in time. What was loaded since, with its
    /// generation.
    Changed(Option<(Store, u64)>),
}

#[derive(Debug)]
pub(super) struct Trust(Mutex<Standing>);

impl Trust {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Standing::Unknown))
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole state of `store` was read.
    pub(super) fn loaded(&self, store: &Store, generation: u64) {
        let mut standing = self.lock();
        match &*standing {
            Standing::Unknown => *standing = Standing::Known(store.clone()),
            Standing::Known(known) if known == store => {}
            Standing::Known(_) | Standing::Changed(_) => {
                *standing = Standing::Changed(Some((store.clone(), generation)));
            }
        }
    }

    /// The store that credentials may be recorded in.
    pub(super) fn to_record_in(&self) -> Option<Store> {
        match &*self.lock() {
            Standing::Known(store) => Some(store.clone()),
            Standing::Unknown | Standing::Changed(_) => None,
        }
    }

    /// The store that control entries may be written to, and followed from.
    pub(super) fn to_control(&self) -> Option<Store> {
        match &*self.lock() {
            Standing::Known(store) | Standing::Changed(Some((store, _))) => Some(store.clone()),
            Standing::Unknown | Standing::Changed(None) => None,
        }
    }

    /// `store` is not what answers any more, or does not hold any more what it held.
    pub(super) fn lost(&self, store: &Store) {
        let mut standing = self.lock();
        match &*standing {
            Standing::Known(held) | Standing::Changed(Some((held, _))) if held == store => {
                *standing = Standing::Changed(None);
            }
            _ => {}
        }
    }

    /// The generation of `store` went from `from` to `to`, by this replica or by another that
    /// was faster.
    pub(super) fn raised(&self, store: &Store, from: u64, to: u64) {
        let mut standing = self.lock();
        match &*standing {
            Standing::Changed(Some((held, loaded)))
                if held == store && from >= *loaded && to > from =>
            {
                *standing = Standing::Known(store.clone());
            }
            _ => {}
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

    #[test]
    fn the_first_store_is_known_once_loaded() {
        let trust = Trust::new();
        assert_eq!(trust.to_record_in(), None);
        assert_eq!(trust.to_control(), None);
        trust.loaded(&store("a", "1"), 1);
        assert_eq!(trust.to_record_in(), Some(store("a", "1")));
        assert_eq!(trust.to_control(), Some(store("a", "1")));
    }

    #[test]
    fn another_store_is_recorded_in_only_after_its_generation_was_raised() {
        for other in [store("b", "1"), store("a", "2"), store("a", "1")] {
            let trust = Trust::new();
            trust.loaded(&store("a", "1"), 4);
            trust.lost(&store("a", "1"));
            assert_eq!(trust.to_control(), None);
            trust.loaded(&other, 4);
            assert_eq!(trust.to_record_in(), None);
            assert_eq!(trust.to_control(), Some(other.clone()));
            trust.raised(&other, 4, 5);
            assert_eq!(trust.to_record_in(), Some(other));
        }
    }

    #[test]
    fn only_a_raise_that_came_after_the_load_counts() {
        let trust = Trust::new();
        trust.loaded(&store("a", "1"), 1);
        trust.loaded(&store("b", "1"), 7);
        trust.raised(&store("b", "1"), 6, 7);
        trust.raised(&store("a", "1"), 7, 8);
        trust.raised(&store("b", "1"), 7, 7);
        assert_eq!(trust.to_record_in(), None);
        trust.raised(&store("b", "1"), 7, 8);
        assert_eq!(trust.to_record_in(), Some(store("b", "1")));
    }

    #[test]
    fn news_about_a_store_that_is_gone_already_change_nothing() {
        let trust = Trust::new();
        trust.loaded(&store("a", "1"), 1);
        trust.loaded(&store("b", "1"), 1);
        trust.lost(&store("a", "1"));
        assert_eq!(trust.to_control(), Some(store("b", "1")));
    }
}
