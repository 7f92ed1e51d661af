use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_keys::KeySet;
use dayfly_token::UnixTime;
use dayfly_token::feed::Statement;
use tokio::time::sleep;
use tracing::{info, warn};

use super::keys::Chain;
use super::state;
use crate::core::Core;
use crate::feed::{Bundle, Outcome, Record};

/// Keeps the last good state of an issuer, and writes it to the state file now and then.
pub(super) struct Keeper {
    path: PathBuf,
    core: Arc<Core>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    trust: KeySet,
    keys: KeySet,
    keys_as_of: Option<UnixTime>,
    record: Record,
    changed: bool,
}

impl Keeper {
    pub(super) fn new(path: PathBuf, core: Arc<Core>) -> Self {
        Self {
            path,
            core,
            kept: Mutex::default(),
        }
    }

    /// What the file itself said: it need not be written again, but what follows may build on it.
    pub(super) fn begin_with(&self, record: Record) {
        self.kept().record = record;
    }

    /// The issuer confirmed `keys` at `as_of`.
    pub(super) fn note_keys(&self, keys: KeySet, as_of: UnixTime) {
        let mut kept = self.kept();
        (kept.keys, kept.keys_as_of, kept.changed) = (keys, Some(as_of), true);
    }

    /// The issuer vouches for these feed keys.
    pub(super) fn note_trust(&self, trust: KeySet) {
        let mut kept = self.kept();
        (kept.trust, kept.changed) = (trust, true);
    }

    /// See [`Record::note`].
    pub(super) fn note(&self, text: &str, statement: &Statement, outcome: &Outcome, news: bool) {
        let mut kept = self.kept();
        let noted = kept.record.note(text, statement, outcome, news);
        kept.changed |= noted;
    }

    /// See [`Record::wants_snapshot`].
    pub(super) fn wants_snapshot(&self) -> bool {
        self.kept()
            .record
            .wants_snapshot(self.core.max_lifetime_secs())
    }

    /// Writes what has changed, at once and then at most every `pause`.
    pub(super) async fn run(self: Arc<Self>, pause: Duration) {
        let mut failing = false;
        loop {
            let keeper = Arc::clone(&self);
            // A disk may take its time, and the state may be large.
            let written = tokio::task::spawn_blocking(move || keeper.write()).await;
            match written {
                Ok(Ok(())) => {
                    if std::mem::take(&mut failing) {
                        info!("the state file is written again");
                    }
                }
                Ok(Err(error)) => {
                    // Tried again each time; said once.
                    if !std::mem::replace(&mut failing, true) {
                        warn!(path = %self.path.display(), error = %Chain(&error), "cannot write the state file");
                    }
                }
                Err(_) => return,
            }
            sleep(pause).await;
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let Some(bundle) = self.bundle() else {
            return Ok(());
        };
        let written = serde_json::to_vec(&bundle)
            .map_err(std::io::Error::from)
            .and_then(|bytes| state::replace(&self.path, &bytes));
        if written.is_err() {
            self.kept().changed = true;
        }
        written
    }

    /// What there is to write; `None` if nothing has changed, or not all of it is there.
    fn bundle(&self) -> Option<Bundle> {
        let mut kept = self.kept();
        // No keys at all are kept as well, if the issuer says so: the former ones must not come back with a restart.
        if !kept.changed || kept.keys_as_of.is_none() || kept.trust.is_empty() {
            return None;
        }
        let mut bundle = Bundle::new(kept.trust.to_jwks(), kept.keys.to_jwks(), String::new());
        if !kept.record.write_into(&mut bundle) {
            return None;
        }
        bundle.keys_as_of = kept.keys_as_of;
        bundle.max_lifetime_secs = Some(self.core.max_lifetime_secs());
        kept.changed = false;
        Some(bundle)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
