//! The feed from the issuer's side: one signer, many subscribers.
//!
//! A subscriber has a bounded queue; one that does not keep up is cut off and comes back with its
//! cursor. The last statements are kept for those who come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dayfly_token::{Compact, feed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::metrics::Metrics;

/// Statements that may wait for one subscriber: at one each 20 ms five seconds, at one heartbeat
/// each 5 s far longer.
const QUEUE: usize = 256;

/// Statements that are kept for subscribers who come back.
const KEPT: usize = 512;

/// Bytes of statements that are kept; a mass revocation makes large ones.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The longest statement that is read back.
const MAX_STATEMENT_BYTES: usize = 64 * 1024 * 1024;

/// A signed statement and its place.
#[derive(Debug)]
pub(crate) struct Statement {
    /// `<epoch>.<to>`.
    cursor: String,
    /// The server-sent event, written once for all subscribers: after a mass revocation a copy for
    /// each would take gigabytes.
    event: Bytes,
    /// Whether it only says that the issuer is there.
    heartbeat: bool,
}

/// Statements on their way to subscribers.
pub(crate) struct FeedHub {
    sender: broadcast::Sender<Arc<Statement>>,
    kept: Mutex<Kept>,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Kept {
    statements: VecDeque<Arc<Statement>>,
    bytes: usize,
    newest: Option<Arc<Statement>>,
}

/// One subscriber.
pub(crate) struct Subscription {
    missed: VecDeque<Arc<Statement>>,
    receiver: broadcast::Receiver<Arc<Statement>>,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl Statement {
    /// Reads the place out of a statement that this process has signed.
    pub(crate) fn of(text: String) -> Option<Self> {
        let compact = Compact::split_within(&text, MAX_STATEMENT_BYTES).ok()?;
        let payload = compact.payload_bytes().ok()?;
        let statement = feed::Statement::parse(&payload).ok()?;
        let heartbeat = statement.entries.is_empty() && statement.from == statement.to;
        let cursor = format!("{}.{}", statement.epoch, statement.to);
        Some(Self::new(cursor, &text, heartbeat))
    }

    /// A compact JWS has no line break, so one `data:` line holds it.
    fn new(cursor: String, text: &str, heartbeat: bool) -> Self {
        let event = format!("id: {cursor}\nevent: statement\ndata: {text}\n\n");
        Self {
            cursor,
            event: event.into(),
            heartbeat,
        }
    }

    /// The statement as a server-sent event; a clone shares its bytes.
    pub(crate) fn event(&self) -> Bytes {
        self.event.clone()
    }
}

impl FeedHub {
    pub(crate) fn new(subscribers: u32, metrics: Arc<Metrics>) -> Self {
        Self {
            sender: broadcast::Sender::new(QUEUE),
            kept: Mutex::default(),
            places: Arc::new(Semaphore::new(subscribers as usize)),
            metrics,
        }
    }

    /// Sends a statement to everybody.
    pub(crate) fn publish(&self, statement: Statement) {
        let statement = Arc::new(statement);
        let mut kept = self.kept();
        kept.keep(&statement);
        // Under the lock, so that a new subscriber misses nothing and gets nothing twice. An error
        // says that nobody listens.
        let _ = self.sender.send(statement);
        self.metrics.feed_statements.inc();
    }

    /// A new subscriber, with what it missed since `cursor`; `None` if there is no room.
    pub(crate) fn subscribe(&self, cursor: Option<&str>) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.metrics.feed_subscribers.inc();
        let kept = self.kept();
        Some(Subscription {
            missed: kept.since(cursor),
            receiver: self.sender.subscribe(),
            metrics: Arc::clone(&self.metrics),
            _place: place,
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, statement: &Arc<Statement>) {
        self.newest = Some(Arc::clone(statement));
        if statement.heartbeat {
            return;
        }
        self.bytes += statement.event.len();
        self.statements.push_back(Arc::clone(statement));
        while self.statements.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.statements.pop_front() else {
                break;
            };
            self.bytes -= oldest.event.len();
        }
    }

    /// What came after `cursor`. If that is not known, the newest statement alone: its beginning
    /// shows a subscriber whether it missed something.
    fn since(&self, cursor: Option<&str>) -> VecDeque<Arc<Statement>> {
        let at = cursor.and_then(|cursor| {
            self.statements
                .iter()
                .rposition(|statement| statement.cursor == cursor)
        });
        let mut missed: VecDeque<_> = match at {
            Some(at) => self.statements.iter().skip(at + 1).cloned().collect(),
            None => VecDeque::new(),
        };
        if missed.is_empty() {
            missed.extend(self.newest.clone());
        }
        missed
    }
}

impl Subscription {
    /// The next statement; `None` if the subscriber did not keep up, or the issuer ends.
    pub(crate) async fn next(&mut self) -> Option<Arc<Statement>> {
        if let Some(statement) = self.missed.pop_front() {
            return Some(statement);
        }
        match self.receiver.recv().await {
            Ok(statement) => Some(statement),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.metrics.feed_lagged.inc();
                None
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.metrics.feed_subscribers.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(subscribers: u32) -> FeedHub {
        FeedHub::new(subscribers, Arc::new(Metrics::new()))
    }

    fn statement(to: usize, heartbeat: bool) -> Statement {
        Statement::new(format!("e.{to}"), &format!("s{to}"), heartbeat)
    }

    fn text(statement: &Statement) -> String {
        let event = String::from_utf8(statement.event().to_vec()).unwrap();
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        data.unwrap().to_owned()
    }

    #[tokio::test]
    async fn subscribers_share_the_bytes_of_a_statement() {
        let hub = hub(2);
        let (mut one, mut two) = (hub.subscribe(None).unwrap(), hub.subscribe(None).unwrap());
        hub.publish(statement(1, false));
        let (one, two) = (one.next().await.unwrap(), two.next().await.unwrap());
        assert_eq!(one.event().as_ptr(), two.event().as_ptr());
    }

    #[tokio::test]
    async fn a_subscriber_gets_what_it_missed_and_what_comes() {
        let hub = hub(4);
        for to in 1..=3 {
            hub.publish(statement(to, false));
        }
        hub.publish(statement(3, true));
        let mut back = hub.subscribe(Some("e.1")).unwrap();
        hub.publish(statement(4, false));
        for expected in ["s2", "s3", "s4"] {
            assert_eq!(text(&back.next().await.unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn an_unknown_cursor_gets_the_newest_statement() {
        let hub = hub(4);
        for to in 1..=3 {
            hub.publish(statement(to, false));
        }
        for cursor in [None, Some("e.99"), Some("f.1"), Some("e.3")] {
            let mut new = hub.subscribe(cursor).unwrap();
            assert_eq!(text(&new.next().await.unwrap()), "s3", "{cursor:?}");
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_cut_off_and_others_are_not() {
        let hub = hub(4);
        let mut slow = hub.subscribe(None).unwrap();
        for to in 0..QUEUE + 2 {
            hub.publish(statement(to, false));
        }
        assert!(slow.next().await.is_none());
        assert_eq!(hub.metrics.feed_lagged.get(), 1);
        let mut back = hub.subscribe(Some("e.0")).unwrap();
        assert_eq!(text(&back.next().await.unwrap()), "s1");
    }

    #[test]
    fn subscribers_are_counted_and_bounded() {
        let hub = hub(2);
        let one = hub.subscribe(None).unwrap();
        let _two = hub.subscribe(None).unwrap();
        assert!(hub.subscribe(None).is_none());
        drop(one);
        assert!(hub.subscribe(None).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let hub = hub(1);
        for to in 0..KEPT + 10 {
            hub.publish(statement(to, false));
        }
        assert_eq!(hub.kept().statements.len(), KEPT);
        for to in 0..3 {
            let text = "x".repeat(KEPT_BYTES / 2);
            hub.publish(Statement::new(format!("e.big{to}"), &text, false));
        }
        assert!(hub.kept().bytes <= KEPT_BYTES);
    }
}
