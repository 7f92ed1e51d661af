//! The ledger in a file of this machine.

mod clock;
mod files;
mod open_file;
mod purge;
mod rate;
mod reads;
mod steps;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::{
    Clock, Commit, ControlBatch, ControlState, ControlWrite, Issuance, Ledger, LedgerError,
    LedgerFuture, Position, StoreIdentity,
};
use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};
use redb::{ReadTransaction, ReadableDatabase};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use self::clock::SystemClock;
use self::files::{Files, SECRET_BYTES};
use self::open_file::OpenFile;
use self::steps::Recording;
use self::writer::Writer;
use crate::error::OpenError;
use crate::limits::{self, AuditCaps, MAX_DENIALS_AT_ONCE, MAX_FOLLOW_WAIT_SECS};
use crate::position;

/// The longest read. What is not in memory comes from the disk, so this is generous.
const READ_WAIT: Duration = Duration::from_secs(2);

/// Reads at the same time. Each has a thread of its own while it runs.
const MAX_READS: usize = 64;

/// The ledger in a directory of this machine, for one process.
///
/// A call that succeeded has reached the disk: writes that come together share one synced
/// transaction. Nothing else is needed, and nothing is lost by a crash or a power cut, as far as
/// the disk keeps its word. Clones share one store.
///
/// The whole file is checked when it is opened (a second per gigabyte), so that damage is found
/// before anything is decided on it. It keeps the size of its fullest hour.
#[derive(Clone)]
pub struct EmbeddedLedger(Arc<Inner>);

struct Inner {
    writer: Writer,
    file: Arc<OpenFile>,
    clock: Arc<dyn Clock>,
    seq: watch::Receiver<u64>,
    reads: Arc<Semaphore>,
    denials: Semaphore,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl EmbeddedLedger {
    /// Opens the store in `directory`, and makes both if they are not there. Blocks: call it at
    /// the start.
    ///
    /// # Errors
    /// If another process has it open, if it is damaged or gone, or if the directory cannot be
    /// used.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_with(
            directory,
            Arc::new(SystemClock::new()),
            AuditCaps::default(),
        )
    }

    /// Like [`EmbeddedLedger::open`], with another clock and other caps on the audit lines.
    ///
    /// # Errors
    /// As [`EmbeddedLedger::open`].
    pub fn open_with(
        directory: &Path,
        clock: Arc<dyn Clock>,
        caps: AuditCaps,
    ) -> Result<Self, OpenError> {
        let now_s = clock.now().time().as_secs();
        let (file, head) = OpenFile::new(Files::new(directory), now_s)?;
        let secret = file.files().secret()?;
        let file = Arc::new(file);
        let (seq_sender, seq) = watch::channel(head.seq);
        let writer = Writer::spawn(file.clone(), head, clock.clone(), caps, seq_sender).map_err(
            |source| OpenError::File {
                action: "start the writer of",
                path: file.files().ledger().to_owned(),
                source,
            },
        )?;
        Ok(Self(Arc::new(Inner {
            writer,
            file,
            clock,
            seq,
            reads: Arc::new(Semaphore::new(MAX_READS)),
            denials: Semaphore::new(MAX_DENIALS_AT_ONCE),
            secret,
        })))
    }

    /// The secret that seals the control entries of this store. It is made with the store and
    /// stands beside it, readable by its owner only.
    #[must_use]
    pub fn cluster_secret(&self) -> Zeroizing<[u8; 32]> {
        self.0.secret.clone()
    }

    /// Reads from one snapshot, on a thread that may block.
    async fn read<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, LedgerError> + Send + 'static,
    {
        let deadline = Instant::now() + READ_WAIT;
        let late = |_| LedgerError::TimedOut { within: READ_WAIT };
        let place = timeout_at(deadline, self.0.reads.clone().acquire_owned())
            .await
            .map_err(late)?;
        let database = self.0.file.database()?;
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            let transaction = database.begin_read().map_err(reads::failed)?;
            work(&transaction)
        });
        match timeout_at(deadline, reading).await.map_err(late)? {
            Ok(outcome) => outcome,
            // redb may panic on a file that was damaged under it.
            Err(_) => Err(LedgerError::Corrupt {
                what: "the file of the ledger".to_owned(),
            }),
        }
    }

    fn now(&self) -> UnixTime {
        self.0.clock.now().time()
    }

    async fn load(&self) -> Result<ControlState, LedgerError> {
        let now = self.now();
        let loaded = self
            .read(move |transaction| reads::control(transaction, now))
            .await?;
        Ok(ControlState {
            generation: loaded.generation,
            generation_since: loaded.since,
            identity: StoreIdentity(format!("embedded.{}", self.0.file.epoch())),
            entries: loaded.entries,
            position: position::format(self.0.file.epoch(), loaded.seq),
            store_ms: self.0.clock.now().unix_ms,
        })
    }

    async fn follow(&self, after: &Position, wait: Duration) -> Result<ControlBatch, LedgerError> {
        let deadline = Instant::now() + wait.min(Duration::from_secs(MAX_FOLLOW_WAIT_SECS));
        let seq = position::parse(after, self.0.file.epoch()).ok_or(LedgerError::Gap)?;
        let mut news = self.0.seq.clone();
        loop {
            let written = *news.borrow_and_update();
            let entries = if written == seq {
                Vec::new()
            } else {
                self.read(move |transaction| reads::control_after(transaction, seq))
                    .await?
            };
            if entries.is_empty() {
                match timeout_at(deadline, news.changed()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return Err(writer::stopped()),
                    Err(_) => {}
                }
            }
            let last = entries.last().map_or(seq, |(number, _)| *number);
            return Ok(ControlBatch {
                entries: entries
                    .into_iter()
                    .map(|(number, sealed)| (position::format(self.0.file.epoch(), number), sealed))
                    .collect(),
                position: position::format(self.0.file.epoch(), last),
                store_ms: self.0.clock.now().unix_ms,
            });
        }
    }
}

impl std::fmt::Debug for EmbeddedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedLedger({})", self.0.file.epoch())
    }
}

impl Ledger for EmbeddedLedger {
    fn record<'a>(&'a self, commit: Commit<'a>) -> LedgerFuture<'a, ()> {
        Box::pin(async move {
            let recording = Recording::new(&commit)?;
            self.0
                .writer
                .submit(move |batch| recording.apply(batch))
                .await
        })
    }

    fn void(&self, id: CredentialId) -> LedgerFuture<'_, ()> {
        Box::pin(self.0.writer.submit(move |batch| steps::void(batch, id)))
    }

    fn issuance(&self, id: CredentialId) -> LedgerFuture<'_, Option<Issuance>> {
        let now = self.now();
        Box::pin(self.read(move |transaction| reads::issuance(transaction, id, now)))
    }

    fn live_of<'a>(
        &'a self,
        workload: &'a WorkloadId,
        now: UnixTime,
        most: usize,
    ) -> LedgerFuture<'a, Vec<CredentialId>> {
        let workload = workload.clone();
        Box::pin(self.read(move |transaction| reads::live_of(transaction, &workload, now, most)))
    }

    fn note_denial<'a>(&'a self, id: DecisionId, line: &'a str) -> LedgerFuture<'a, ()> {
        Box::pin(async move {
            limits::check_line(line)?;
            let _place = self
                .0
                .denials
                .try_acquire()
                .map_err(limits::too_many_denials)?;
            let line = line.to_owned();
            self.0
                .writer
                .submit(move |batch| steps::note_denial(batch, id, &line))
                .await
        })
    }

    fn decision(&self, id: DecisionId) -> LedgerFuture<'_, Option<String>> {
        Box::pin(self.read(move |transaction| reads::decision(transaction, id)))
    }

    fn load_control(&self) -> LedgerFuture<'_, ControlState> {
        Box::pin(self.load())
    }

    fn write_control<'a>(
        &'a self,
        generation: u64,
        entries: &'a [ControlWrite],
    ) -> LedgerFuture<'a, Position> {
        Box::pin(async move {
            limits::check_entries(entries)?;
            let entries = entries.to_vec();
            let shares = limits::shares(entries.len());
            let seq = self
                .0
                .writer
                .submit_share(shares, move |batch| {
                    steps::write_control(batch, generation, &entries)
                })
                .await?;
            Ok(position::format(self.0.file.epoch(), seq))
        })
    }

    fn follow_control<'a>(
        &'a self,
        after: &'a Position,
        wait: Duration,
    ) -> LedgerFuture<'a, ControlBatch> {
        Box::pin(self.follow(after, wait))
    }

    fn raise_generation(&self, from: u64, now: UnixTime) -> LedgerFuture<'_, u64> {
        Box::pin(
            self.0
                .writer
                .submit(move |batch| steps::raise_generation(batch, from, now)),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_follower_of_a_dead_writer_is_told_and_does_not_spin() {
        let directory = tempfile::TempDir::new().unwrap();
        let ledger = EmbeddedLedger::open(directory.path()).unwrap();
        let at = ledger.load_control().await.unwrap().position;
        let died = ledger
            .0
            .writer
            .submit::<(), _>(|_| panic!("a defect"))
            .await;
        assert!(matches!(died, Err(LedgerError::Unavailable { .. })));
        let followed = ledger.follow_control(&at, Duration::from_secs(5)).await;
        assert!(
            matches!(followed, Err(LedgerError::Unavailable { .. })),
            "{followed:?}"
        );
    }
}
