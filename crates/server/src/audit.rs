//! The audit trail: one JSON object a line, to a file or to standard output.
//!
//! A line is never dropped in silence. Room for it is reserved before a decision is made; while
//! the sink does not take lines, the queue fills, requests are refused with 503, and the server
//! says that it is not ready. The ledger keeps each decision as well.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// Lines that may wait: at 1 KiB each about 4 MiB, some seconds of full load.
const QUEUE: usize = 4096;

/// How long a request waits for room before it is refused.
const RESERVE_WAIT: Duration = Duration::from_millis(250);

/// How long the writer waits before it tries a failed write again.
const RETRY: Duration = Duration::from_millis(500);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    File(PathBuf),
    Stdout,
}

enum Message {
    End,
    Line(String),
    Reopen,
}

/// The queue in front of the sink.
#[derive(Clone)]
pub(crate) struct AuditTrail {
    queue: mpsc::Sender<Message>,
    healthy: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

/// Room for one line.
pub(crate) struct Reserved<'a> {
    place: mpsc::Permit<'a, Message>,
}

/// The sink cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail {} cannot be opened", path.display())]
pub struct AuditError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The thread behind the queue; it ends after [`AuditTrail::close`], or when the last [`AuditTrail`] is gone.
pub(crate) struct Writer {
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl AuditTrail {
    /// Opens the sink and starts the writer.
    pub(crate) fn start(sink: Sink, metrics: Arc<Metrics>) -> Result<(Self, Writer), AuditError> {
        let (queue, lines) = mpsc::channel(QUEUE);
        let healthy = Arc::new(AtomicBool::new(true));
        let stop = Arc::new(AtomicBool::new(false));
        let mut output = Output::open(sink)?;
        let work = Work {
            healthy: Arc::clone(&healthy),
            stop: Arc::clone(&stop),
            metrics: Arc::clone(&metrics),
        };
        let thread = std::thread::Builder::new()
            .name("dayfly-audit".to_owned())
            .spawn(move || work.run(lines, &mut output))
            .map_err(|source| AuditError {
                path: "thread".into(),
                source,
            })?;
        Ok((
            Self {
                queue,
                healthy,
                metrics,
            },
            Writer {
                thread: Some(thread),
                stop,
            },
        ))
    }

    /// Room for one line, or `None` if the sink does not keep up.
    pub(crate) async fn reserve(&self) -> Option<Reserved<'_>> {
        match tokio::time::timeout(RESERVE_WAIT, self.queue.reserve()).await {
            Ok(Ok(place)) => Some(Reserved { place }),
            _ => {
                self.metrics.audit_refused.inc();
                None
            }
        }
    }

    /// Writes a line about something that has happened already and is in the ledger.
    pub(crate) async fn note(&self, line: String) {
        match self.reserve().await {
            Some(place) => place.write(line),
            None => {
                self.metrics.audit_lost.inc();
                tracing::error!("an audit line did not reach the sink; the ledger has the fact");
            }
        }
    }

    /// Whether the last write went through and there is room.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && self.queue.capacity() > 0
    }

    /// Lines that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.queue
            .max_capacity()
            .saturating_sub(self.queue.capacity())
    }

    /// Ends the writer behind what waits.
    pub(crate) async fn close(&self) {
        let _ = tokio::time::timeout(RESERVE_WAIT, self.queue.send(Message::End)).await;
    }

    /// Opens the file again, after it was moved away.
    pub(crate) async fn reopen(&self) {
        let _ = tokio::time::timeout(RESERVE_WAIT, self.queue.send(Message::Reopen)).await;
    }
}

impl Reserved<'_> {
    pub(crate) fn write(self, line: String) {
        self.place.send(Message::Line(line));
    }
}

impl Writer {
    /// Waits until everything is written, at most `wait`; then gives up on what is left.
    pub(crate) fn finish(mut self, wait: Duration) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(10);
        while !thread.is_finished() && waited < wait {
            std::thread::sleep(step);
            waited += step;
        }
        self.stop.store(true, Ordering::Relaxed);
        if thread.is_finished() {
            let _ = thread.join();
        } else {
            tracing::error!("audit lines are left unwritten; the ledger has them");
        }
    }
}

struct Work {
    healthy: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Work {
    fn run(&self, mut lines: mpsc::Receiver<Message>, output: &mut Output) {
        while let Some(message) = lines.blocking_recv() {
            match message {
                Message::Line(line) => self.persist(&line, output),
                Message::Reopen => output.reopen(),
                Message::End => return,
            }
            self.metrics
                .audit_backlog
                .set(i64::try_from(lines.len()).unwrap_or(i64::MAX));
        }
    }

    /// Tries until the line is written; the queue behind it fills meanwhile.
    fn persist(&self, line: &str, output: &mut Output) {
        loop {
            match output.write(line) {
                Ok(()) => {
                    self.healthy.store(true, Ordering::Relaxed);
                    return;
                }
                Err(error) => {
                    self.healthy.store(false, Ordering::Relaxed);
                    self.metrics.audit_failures.inc();
                    tracing::error!(%error, "the audit trail cannot be written, trying again");
                    if self.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(RETRY);
                    output.reopen();
                }
            }
        }
    }
}

struct Output {
    sink: Sink,
    file: Option<File>,
    /// A write that failed half way leaves a line without its end.
    torn: bool,
}

impl Output {
    fn open(sink: Sink) -> Result<Self, AuditError> {
        let file = match &sink {
            Sink::Stdout => None,
            Sink::File(path) => Some(append(path).map_err(|source| AuditError {
                path: path.clone(),
                source,
            })?),
        };
        Ok(Self {
            sink,
            file,
            torn: false,
        })
    }

    fn reopen(&mut self) {
        if let Sink::File(path) = &self.sink {
            match append(path) {
                Ok(file) => self.file = Some(file),
                Err(error) => tracing::error!(%error, "the audit trail cannot be opened again"),
            }
        }
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let written = match &mut self.file {
            Some(file) => file.write_all(&bytes),
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush())
            }
        };
        self.torn = written.is_err();
        written
    }
}

fn append(path: &PathBuf) -> std::io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // To open a pipe would wait for a reader, for ever.
    if std::fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo()) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it is a pipe",
        ));
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_arrive_in_order_and_the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/audit.jsonl");
        let (trail, writer) =
            AuditTrail::start(Sink::File(path.clone()), Arc::new(Metrics::new())).unwrap();
        trail.reserve().await.unwrap().write("{\"n\":1}".to_owned());
        trail.note("{\"n\":2}".to_owned()).await;
        assert!(trail.is_healthy());
        drop(trail);
        tokio::task::spawn_blocking(move || writer.finish(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"n\":1}\n{\"n\":2}\n"
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[tokio::test]
    async fn a_moved_file_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let (trail, writer) =
            AuditTrail::start(Sink::File(path.clone()), Arc::new(Metrics::new())).unwrap();
        trail.note("1".to_owned()).await;
        while std::fs::metadata(&path).unwrap().len() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        trail.reopen().await;
        trail.note("2".to_owned()).await;
        drop(trail);
        tokio::task::spawn_blocking(move || writer.finish(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let (done, refused) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = done.send(append(&pipe).is_err());
        });
        assert_eq!(refused.recv_timeout(Duration::from_secs(10)), Ok(true));
    }

    #[tokio::test]
    async fn a_full_disk_blocks_and_says_so_and_nothing_is_lost() {
        let metrics = Arc::new(Metrics::new());
        // Every write to this device fails with ENOSPC.
        let (trail, writer) =
            AuditTrail::start(Sink::File("/dev/full".into()), Arc::clone(&metrics)).unwrap();
        for n in 0..=QUEUE {
            trail.reserve().await.unwrap().write(n.to_string());
        }
        let started = tokio::time::Instant::now();
        assert!(trail.reserve().await.is_none());
        assert!(started.elapsed() < Duration::from_secs(2));
        assert!(!trail.is_healthy());
        assert_eq!(metrics.audit_refused.get(), 1);
        assert!(metrics.audit_failures.get() >= 1);
        assert!(trail.backlog() > 0);
        drop(trail);
        tokio::task::spawn_blocking(move || writer.finish(Duration::from_millis(20)))
            .await
            .unwrap();
    }
}
