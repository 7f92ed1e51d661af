use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_token::UnixTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::retry::{Attempts, part_of};
use crate::{Certificate, Client, ClientError, RetryPolicy, Token, clock};

/// How often a keeper looks whether its SVID has changed: what is bound to the old one must be replaced soon, and a
/// machine that slept must notice.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The shortest time between two attempts to renew.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
/// The longest one: a workload that got its grant back should not wait for minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest one where the issuer asks for more: coming back sooner would only add to the load, and an issuer that
/// asks for days is mistaken.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(300);

/// What a [`Keeper`] can keep.
pub trait Credential: sealed::Sealed + Send + Sync + 'static {
    /// When it was asked for.
    fn obtained_at(&self) -> UnixTime;
    /// When it ends.
    fn expires_at(&self) -> UnixTime;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Token {}
    impl Sealed for crate::Certificate {}
}

impl Credential for Token {
    fn obtained_at(&self) -> UnixTime {
        self.obtained_at()
    }
    fn expires_at(&self) -> UnixTime {
        self.expires_at()
    }
}

impl Credential for Certificate {
    fn obtained_at(&self) -> UnixTime {
        self.obtained_at()
    }
    fn expires_at(&self) -> UnixTime {
        self.not_after()
    }
}

type Attempt<T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send>>;

/// Keeps a credential fresh in the background.
///
/// It renews at two thirds of the life, a little earlier at random so that a fleet does not renew at once, and as soon
/// as the SVID behind it changes. While renewal fails the last good credential is given out, until it ends. Dropping
/// the keeper stops it.
pub struct Keeper<T> {
    current: watch::Receiver<Arc<T>>,
    failure: Arc<Mutex<Option<Arc<ClientError>>>>,
    task: JoinHandle<()>,
}

impl<T: Credential> Keeper<T> {
    /// Gets the first credential, with the client's patience, and starts to keep it.
    pub(crate) async fn start(
        client: Client,
        fetch: impl Fn(Client) -> Attempt<T> + Send + Sync + 'static,
    ) -> Result<Self, ClientError> {
        let mut attempts = Attempts::new(client.retry_policy());
        let (first, generation) = loop {
            let generation = client.generation().await;
            match fetch(client.clone()).await {
                Ok(first) => break (first, generation),
                Err(error) => attempts.after(error).await?,
            }
        };
        let (publish, current) = watch::channel(Arc::new(first));
        let failure = Arc::new(Mutex::new(None));
        let task = tokio::spawn(keep(
            client,
            generation,
            fetch,
            publish,
            Arc::clone(&failure),
        ));
        Ok(Self {
            current,
            failure,
            task,
        })
    }

    /// The last good credential; an error once it has ended.
    pub fn current(&self) -> Result<Arc<T>, ClientError> {
        let current = Arc::clone(&self.current.borrow());
        if clock::now() < current.expires_at() {
            return Ok(current);
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        Err(ClientError::Expired {
            expires_at: current.expires_at(),
            source: failure.clone(),
        })
    }

    /// Waits for the next credential. Those that came while nobody waited are skipped but the last.
    pub async fn renewed(&mut self) -> Arc<T> {
        // The sender lives in the task, which ends only with this keeper.
        if self.current.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.current.borrow_and_update())
    }

    /// Why the last attempt to renew failed; none while all is well.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<ClientError>> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<T> Drop for Keeper<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> fmt::Debug for Keeper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// `generation` is that of the SVID before the last attempt, and so at the latest the one that the credential is bound
/// to: an SVID that changes meanwhile is noticed.
async fn keep<T: Credential>(
    client: Client,
    mut generation: Option<u64>,
    fetch: impl Fn(Client) -> Attempt<T>,
    publish: watch::Sender<Arc<T>>,
    failure: Arc<Mutex<Option<Arc<ClientError>>>>,
) {
    let mut failures = 0_u32;
    loop {
        let wait = if failures == 0 {
            let (obtained_at, expires_at) = {
                let current = publish.borrow();
                (current.obtained_at(), current.expires_at())
            };
            renewal_wait(obtained_at, expires_at, clock::unix_ms(), clock::random())
        } else {
            let asked = failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            wait_after_failure(failures, asked.as_deref(), clock::random())
        };
        wait_or_change(&client, generation, wait).await;
        // Also if it fails: the same change is no reason to come back sooner than after any other failure.
        generation = client.generation().await;
        match fetch(client.clone()).await {
            Ok(fresh) => {
                failures = 0;
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
                publish.send_replace(Arc::new(fresh));
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%error, failures, "the credential could not be renewed");
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
            }
        }
    }
}

/// Waits, by the wall clock and by the other one, or until the SVID changes.
async fn wait_or_change(client: &Client, generation: Option<u64>, wait: Duration) {
    let until = Instant::now() + wait;
    let until_ms = clock::unix_ms().saturating_add(millis(wait));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || clock::unix_ms() >= until_ms {
            return;
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
        let current = client.generation().await;
        if current.is_some() && current != generation {
            return;
        }
    }
}

/// How long from `now_ms` until a credential of this life is renewed: two thirds of it, less up to a tenth of it.
fn renewal_wait(obtained_at: UnixTime, expires_at: UnixTime, now_ms: u64, random: u32) -> Duration {
    let life = Duration::from_secs(expires_at.seconds_since(obtained_at));
    if life.is_zero() {
        // Our clock is wrong, and the next one will be over as well: no reason to ask twice a second.
        return LONGEST_WAIT;
    }
    let age_at_renewal = life * 2 / 3 - part_of(life / 10, random);
    let due_ms = (obtained_at.as_secs() * 1000).saturating_add(millis(age_at_renewal));
    // The instant is in whole seconds: what is obtained at 7.9 s carries 7.
    Duration::from_millis(due_ms.saturating_sub(now_ms)).max(SHORTEST_WAIT)
}

/// Doubling up to [`LONGEST_WAIT`], or as long as the issuer asks, up to [`LONGEST_ASKED_WAIT`].
fn wait_after_failure(failures: u32, error: Option<&ClientError>, random: u32) -> Duration {
    let asked = error
        .and_then(ClientError::refusal)
        .and_then(|refusal| refusal.retry_after);
    let doubled = RetryPolicy::DEFAULT.first_wait * (1 << failures.min(10));
    let wait = match asked {
        Some(asked) => asked.min(LONGEST_ASKED_WAIT),
        None => doubled.min(LONGEST_WAIT),
    };
    let wait = wait.max(SHORTEST_WAIT);
    wait + part_of(wait / 4, random)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(obtained: u64, expires: u64, now_ms: u64, random: u32) -> Duration {
        renewal_wait(
            UnixTime::from_secs(obtained),
            UnixTime::from_secs(expires),
            now_ms,
            random,
        )
    }

    #[test]
    fn two_thirds_of_the_life_less_jitter() {
        assert_eq!(wait(1000, 1300, 1_000_000, 0), Duration::from_secs(200));
        assert_eq!(
            wait(1000, 1300, 1_000_000, u32::MAX),
            Duration::from_secs(170)
        );
        assert_eq!(wait(1000, 1300, 1_150_000, 0), Duration::from_secs(50));
    }

    #[test]
    fn never_a_busy_loop() {
        assert_eq!(wait(1000, 1300, 9_000_000, 0), SHORTEST_WAIT);
        assert!(wait_after_failure(1, None, 0) >= SHORTEST_WAIT);
        assert!(wait_after_failure(u32::MAX, None, u32::MAX) <= LONGEST_WAIT * 5 / 4);
    }

    #[test]
    fn a_wrong_clock_does_not_ask_all_the_time() {
        assert_eq!(wait(1000, 1000, 1_000_000, 0), LONGEST_WAIT);
        assert_eq!(wait(1000, 900, 1_000_000, u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn the_issuers_wait_is_honoured() {
        let asked = |secs| {
            let error = crate::retry::tests::refused(429, Some(secs));
            wait_after_failure(1, Some(&error), 0)
        };
        assert_eq!(asked(0), SHORTEST_WAIT);
        assert_eq!(asked(120), Duration::from_secs(120));
        assert_eq!(asked(u64::MAX), LONGEST_ASKED_WAIT);
    }
}
