//! The one thread that writes: it takes what has queued up while the disk was busy and commits it
//! as one durable transaction (group commit), then answers everyone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use dayfly_issuer::{Clock, LedgerError};
use redb::{Database, Durability};
use tokio::sync::{oneshot, watch};

use super::clock::SlowClock;
use super::open_file::OpenFile;
use super::purge;
use super::tables::{Head, Tables};
use crate::limits::AuditCaps;

/// Steps of one transaction. More gain nothing: the disk is no longer what takes the time.
const MAX_STEPS: usize = 256;

/// Steps that wait. At about 2 KiB each they hold 8 MiB; one more is refused at once.
const MAX_WAITING: usize = 4096;

/// The longest wait for the disk. A busy disk takes tens of milliseconds to sync; one that takes
/// two seconds is broken.
const WRITE_WAIT: Duration = Duration::from_secs(2);

/// How often an idle store looks for what may be forgotten.
const IDLE: Duration = Duration::from_secs(1);

/// How long after a failure of the disk the file is opened again, in milliseconds. Opening reads
/// the whole file.
const REOPEN_MS: u64 = 1000;

/// One transaction while its steps run.
pub(super) struct Batch<'t> {
    pub(super) tables: Tables<'t>,
    pub(super) head: Head,
    /// The wall clock at the start of the batch.
    pub(super) now_ms: u64,
    pub(super) caps: AuditCaps,
}

/// Something to do in a transaction. It checks first and writes then, so that a step that refuses
/// leaves nothing behind in the transaction that it shares.
trait Step: Send {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), redb::Error>;
    /// Tells the caller: its own outcome, or that nothing was committed.
    fn answer(self: Box<Self>, failure: Option<&redb::Error>);
}

struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, F> Step for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Batch<'_>) -> Result<Result<T, LedgerError>, redb::Error> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), redb::Error> {
        self.outcome = Some((self.work)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&redb::Error>) {
        let outcome = match (failure, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(error), _) => Err(storage_error(error)),
            (None, None) => return,
        };
        // A caller that has stopped waiting has its own answer.
        let _ = self.reply.send(outcome);
    }
}

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Step>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn spawn(
        file: Arc<OpenFile>,
        head: Head,
        clock: Arc<dyn Clock>,
        caps: AuditCaps,
        seq: watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (queue, steps) = sync_channel(MAX_WAITING);
        let work = Work {
            file,
            failed_ms: None,
            head,
            slow: SlowClock::new(clock.clone()),
            clock,
            caps,
            seq,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || work.run(&steps))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Has `work` done in the next transaction, and waits until that is on disk.
    pub(super) async fn submit<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<Result<T, LedgerError>, redb::Error> + Send + 'static,
    {
        self.submit_share(1, work).await
    }

    /// The same for work that may take `shares` times as long.
    pub(super) async fn submit_share<T, F>(&self, shares: u32, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<Result<T, LedgerError>, redb::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let step = Box::new(Pending {
            work,
            outcome: None,
            reply,
        });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(step).map_err(|error| match error {
            TrySendError::Full(_) => LedgerError::Unavailable {
                reason: format!("{MAX_WAITING} writes are waiting for the disk already"),
            },
            TrySendError::Disconnected(_) => stopped(),
        })?;
        let within = WRITE_WAIT.saturating_mul(shares);
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(LedgerError::TimedOut { within }),
        }
    }
}

impl Drop for Writer {
    /// Waits for the last transaction, so that the file is closed and can be opened again.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Work {
    file: Arc<OpenFile>,
    /// When the disk failed, or was last found to fail still.
    failed_ms: Option<u64>,
    head: Head,
    clock: Arc<dyn Clock>,
    slow: SlowClock,
    caps: AuditCaps,
    seq: watch::Sender<u64>,
}

impl Work {
    fn run(mut self, queue: &Receiver<Box<dyn Step>>) {
        loop {
            let mut steps = Vec::new();
            match queue.recv_timeout(IDLE) {
                Ok(first) => {
                    steps.push(first);
                    steps.extend(queue.try_iter().take(MAX_STEPS - 1));
                    // What nobody waits for any more is not written.
                    steps.retain(|step| step.is_wanted());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.recover();
            let failure = match self.file.database() {
                Ok(database) => self.commit(&database, &mut steps).err(),
                Err(_) => Some(redb::Error::PreviousIo),
            };
            if let Some(error) = &failure {
                self.note_failure(error);
            }
            for step in steps {
                step.answer(failure.as_ref());
            }
        }
    }

    /// Redb repeats the first failure of the disk until its file is opened again.
    fn note_failure(&mut self, error: &redb::Error) {
        if self.failed_ms.is_none() {
            tracing::error!(%error, "the ledger cannot write");
            if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                self.failed_ms = Some(self.clock.now().monotonic_ms);
            }
        }
    }

    /// Opens the file again after a failure of the disk.
    fn recover(&mut self) {
        let now = self.clock.now();
        let due = |failed: u64| now.monotonic_ms.saturating_sub(failed) >= REOPEN_MS;
        if !self.failed_ms.is_some_and(due) {
            return;
        }
        match self.file.open_again(&self.head, now.time().as_secs()) {
            Ok(head) => {
                tracing::info!("the ledger was opened again");
                self.failed_ms = None;
                self.take(head);
            }
            Err(error) => {
                tracing::error!(%error, "the ledger cannot be opened again yet");
                self.failed_ms = Some(now.monotonic_ms);
            }
        }
    }

    fn take(&mut self, head: Head) {
        self.head = head;
        self.seq.send_if_modified(|seq| {
            let moved = *seq != head.seq;
            *seq = head.seq;
            moved
        });
    }

    /// One durable transaction of all steps, and some forgetting beside.
    fn commit(
        &mut self,
        database: &Database,
        steps: &mut [Box<dyn Step>],
    ) -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut batch = Batch {
            tables: Tables::open(&transaction)?,
            head: self.head,
            now_ms: self.clock.now().unix_ms,
            caps: self.caps,
        };
        for step in steps.iter_mut() {
            step.apply(&mut batch)?;
        }
        let forgotten = purge::some(&mut batch, self.slow.unix_ms(), steps.len())?;
        if steps.is_empty() && forgotten == 0 {
            drop(batch);
            return Ok(transaction.abort()?);
        }
        batch.tables.put_head(&self.head, &batch.head)?;
        let head = batch.head;
        drop(batch);
        transaction.commit()?;
        self.take(head);
        Ok(())
    }
}

/// The error of everybody once the thread is gone, which takes a defect in redb.
pub(super) fn stopped() -> LedgerError {
    LedgerError::Unavailable {
        reason: "the writer of the ledger has stopped".to_owned(),
    }
}

/// What a failure of the file means to the caller.
pub(super) fn storage_error(error: &redb::Error) -> LedgerError {
    match error {
        redb::Error::Corrupted(what) => LedgerError::Corrupt { what: what.clone() },
        other => LedgerError::Unavailable {
            reason: other.to_string(),
        },
    }
}
