//! The open file. After the disk has failed once, redb refuses everything until its file is closed
//! and opened again; that happens here, so that a disk that was full needs no restart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_issuer::LedgerError;
use redb::Database;

use super::files::Files;
use super::tables::{self, Head, Opened};
use crate::error::OpenError;
use crate::position;

/// How often it is looked whether the last reader has let go, and how many times.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 400;

pub(super) struct OpenFile {
    files: Files,
    epoch: String,
    /// Nothing while the file is closed.
    held: Mutex<Option<Arc<Database>>>,
}

impl OpenFile {
    /// Opens the file for the first time.
    pub(super) fn new(files: Files, now_s: u64) -> Result<(Self, Head), OpenError> {
        let (database, Opened { head, epoch }) = open(&files, now_s)?;
        let file = Self {
            files,
            epoch,
            held: Mutex::new(Some(Arc::new(database))),
        };
        Ok((file, head))
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Which store this is.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(super) fn database(&self) -> Result<Arc<Database>, LedgerError> {
        self.lock().clone().ok_or_else(|| LedgerError::Unavailable {
            reason: "the file of the ledger is closed after a failure of the disk".to_owned(),
        })
    }

    /// Closes the file and opens it again. `known` is what was last committed: whatever is older
    /// is another file, which may lack revocations and replay marks.
    pub(super) fn open_again(&self, known: &Head, now_s: u64) -> Result<Head, OpenError> {
        self.close()?;
        let (database, Opened { head, epoch }) = open(&self.files, now_s)?;
        let is_older = head.seq < known.seq
            || head.generation < known.generation
            || head.latest_ms < known.latest_ms;
        if epoch != self.epoch || is_older {
            let what = "it is not the file that was open before: restart if that is meant";
            return Err(self.files.damaged(what.to_owned()));
        }
        *self.lock() = Some(Arc::new(database));
        Ok(head)
    }

    fn close(&self) -> Result<(), OpenError> {
        let Some(mut held) = self.lock().take() else {
            return Ok(());
        };
        for _ in 0..LOOKS {
            match Arc::try_unwrap(held) {
                Ok(database) => {
                    drop(database);
                    return Ok(());
                }
                Err(still_read) => held = still_read,
            }
            std::thread::sleep(LOOK);
        }
        *self.lock() = Some(held);
        Err(self.files.damaged("a read does not end".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(files: &Files, now_s: u64) -> Result<(Database, Opened), OpenError> {
    let damaged = |what: String| files.damaged(what);
    let database = files.open_database()?;
    let epoch = position::new_epoch().map_err(|error| damaged(error.to_string()))?;
    let opened = tables::start(&database, &epoch, now_s)
        .map_err(|error| damaged(error.to_string()))?
        .ok_or_else(|| damaged("it has a layout that this version does not know".to_owned()))?;
    files.sync()?;
    Ok((database, opened))
}
