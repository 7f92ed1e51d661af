//! The way to the server for everything that a request waits for: one shared [`Link`], replaced
//! when it breaks, with a bound on every wait and on what waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Value};
use dayfly_issuer::LedgerError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::config::Target;
use super::link::{Link, LinkError, breaks_link, reason};

/// Calls that wait for an answer at the same time. At 2 KiB each they hold 8 MiB; one more is
/// refused at once, since a server that is this far behind will not answer in time anyway.
const MAX_WAITING: usize = 4096;

/// The longest attempt to connect. It runs beside the callers, which wait no longer than their
/// own bound, so that a distant server (TLS takes five round trips) can still be reached.
pub(super) const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// After a failed attempt nobody tries again for so long, twice as long each time …
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// … up to this: the longest that a server which is back stays unnoticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Until when a call may wait, and what to say when it did in vain.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    within: Duration,
}

impl Deadline {
    pub(super) fn after(within: Duration) -> Self {
        Self {
            at: Instant::now() + within,
            within,
        }
    }

    pub(super) async fn bound<F: Future>(self, future: F) -> Result<F::Output, LedgerError> {
        timeout_at(self.at, future)
            .await
            .map_err(|_| LedgerError::TimedOut {
                within: self.within,
            })
    }
}

pub(super) struct Line {
    shared: Arc<Shared>,
    waiting: Semaphore,
}

struct Shared {
    target: Arc<Target>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    link: Option<Link>,
    connecting: bool,
    failures: u32,
    not_before: Instant,
    reason: String,
}

impl Line {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self {
            shared: Arc::new(Shared {
                target,
                state: Mutex::new(State {
                    link: None,
                    connecting: false,
                    failures: 0,
                    not_before: Instant::now(),
                    reason: String::new(),
                }),
                changed: Notify::new(),
            }),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// The first connect, whose outcome the start wants to see.
    pub(super) async fn open(&self) -> Result<Link, LinkError> {
        let outcome = open_within(&self.shared.target, CONNECT_WAIT).await;
        let mut state = self.shared.lock();
        match &outcome {
            Ok(link) => state.link = Some(link.clone()),
            Err(error) => state.fail(error),
        }
        outcome
    }

    /// The link of now. While there is none: fails at once between two attempts, and waits for
    /// the outcome of an attempt that is under way.
    pub(super) async fn link(&self, deadline: Deadline) -> Result<Link, LedgerError> {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(link) = self.shared.link_or_attempt()? {
                return Ok(link);
            }
            deadline.bound(changed).await?;
        }
    }

    /// Replaces the link before its next use.
    pub(super) fn give_up(&self, link: &Link) {
        let mut state = self.shared.lock();
        if state.link.as_ref().is_some_and(|held| held.is(link)) {
            state.link = None;
        }
    }

    /// Runs one command on `link`. A link that did not answer in time is given up: the next call
    /// finds out on a new one whether the server or only the way to it is dead.
    pub(super) async fn run(
        &self,
        link: &Link,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, LedgerError> {
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_| LedgerError::Unavailable {
                reason: format!("{MAX_WAITING} calls are waiting for Redis already"),
            })?;
        match deadline.bound(link.run(command)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if breaks_link(&error) {
                    self.give_up(link);
                }
                Err(LedgerError::Unavailable {
                    reason: reason(&error),
                })
            }
            Err(late) => {
                self.give_up(link);
                Err(late)
            }
        }
    }
}

/// Connects within `wait`.
pub(super) async fn open_within(target: &Target, wait: Duration) -> Result<Link, LinkError> {
    timeout(wait, Link::open(target))
        .await
        .unwrap_or_else(|_| Err(LinkError::Lost(format!("no connection within {wait:?}"))))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A usable link, or an error between two attempts, or nothing while an attempt runs.
    fn link_or_attempt(self: &Arc<Self>) -> Result<Option<Link>, LedgerError> {
        let mut state = self.lock();
        if let Some(link) = state.link.take_if(|link| link.is_closed()) {
            drop(link);
        }
        if let Some(link) = &state.link {
            return Ok(Some(link.clone()));
        }
        if !state.connecting {
            if Instant::now() < state.not_before {
                return Err(LedgerError::Unavailable {
                    reason: state.reason.clone(),
                });
            }
            state.connecting = true;
            tokio::spawn(Attempt(self.clone()).run());
        }
        Ok(None)
    }
}

/// An attempt to connect that runs beside its callers. Whatever becomes of it, they are told.
struct Attempt(Arc<Shared>);

impl Attempt {
    async fn run(self) {
        let outcome = open_within(&self.0.target, CONNECT_WAIT).await;
        let mut state = self.0.lock();
        match outcome {
            Ok(link) => {
                if state.failures > 0 {
                    tracing::info!(redis = %self.0.target.place, "the ledger is reachable again");
                }
                state.failures = 0;
                state.link = Some(link);
            }
            Err(error) => {
                if state.failures == 0 {
                    tracing::warn!(redis = %self.0.target.place, reason = %error, "cannot reach the ledger");
                }
                state.fail(&error);
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.lock().connecting = false;
        self.0.changed.notify_waiters();
    }
}

impl State {
    fn fail(&mut self, error: &LinkError) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + pause.min(LONGEST_PAUSE);
        self.reason = error.to_string();
    }
}
