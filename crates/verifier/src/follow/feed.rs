use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};
use url::Url;

use super::Timing;
use super::backoff::{Backoff, shortened};
use super::connect::{ConnectError, fetch, parse_keys};
use super::keeper::Keeper;
use super::keys::{Chain, EARLY_PERCENT};
use super::metadata::FeedEndpoints;
use super::sse::{EventReader, EventTooLong};
use crate::core::Core;
use crate::feed::{FeedError, FeedState, MAX_STATEMENT_BYTES, Outcome};
use crate::fetch::{FetchError, Fetcher};

/// Longest time for a snapshot: the largest one over 1 MB/s.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);

/// Statements that are not believed, one after another, until a stream is given up: what a feed key that is not
/// known yet signs in five seconds, at one statement per 20 ms. Each is a line of the log.
const MOST_UNBELIEVED: usize = 256;

/// Keeps the revocation state up to date: a snapshot, then the stream, resumed where it broke off.
pub(super) struct FeedFollower {
    core: Arc<Core>,
    fetcher: Fetcher,
    urls: FeedEndpoints,
    timing: Timing,
    state: FeedState,
    /// When the feed keys were last fetched, or tried to be.
    trust_asked: Option<Instant>,
    /// When they are due: a feed key that the issuer withdrew must not be believed until the next restart.
    trust_due: Instant,
    /// When a snapshot was last asked for.
    snapshot_asked: Instant,
    keeper: Option<Arc<Keeper>>,
    moved: Option<watch::Receiver<Option<FeedEndpoints>>>,
}

/// Why a snapshot was not taken.
pub(super) enum Problem {
    Fetch(ConnectError),
    Refused(FeedError),
}

/// Why a stream ended.
enum End {
    /// It ended, broke off, fell silent or sent nonsense: resume.
    Broken,
    /// Something is missing, or the state file wants a shorter beginning: fetch a snapshot.
    Gap,
}

/// What came of an event.
enum Event {
    /// Its statement is believed.
    Believed,
    /// It is believed, and something before it is missing.
    Gap,
    /// It is not believed; the next one may be.
    Unbelieved,
}

impl FeedFollower {
    /// Fetches nothing yet; `state` knows what is known already.
    pub(super) fn new(
        core: Arc<Core>,
        fetcher: Fetcher,
        urls: FeedEndpoints,
        timing: Timing,
        state: FeedState,
    ) -> Self {
        let now = Instant::now();
        Self {
            core,
            fetcher,
            urls,
            timing,
            state,
            trust_asked: None,
            trust_due: now,
            snapshot_asked: now,
            keeper: None,
            moved: None,
        }
    }

    /// Learns from there where the feed is now.
    pub(super) fn moved_by(self, moved: watch::Receiver<Option<FeedEndpoints>>) -> Self {
        Self {
            moved: Some(moved),
            ..self
        }
    }

    /// Tells `keeper` of everything that is believed.
    pub(super) fn kept_by(self, keeper: Option<Arc<Keeper>>) -> Self {
        Self { keeper, ..self }
    }

    /// Fetches the trust and a snapshot once.
    pub(super) async fn connect(&mut self) -> Result<(), ConnectError> {
        self.fetch_trust().await?;
        self.take_snapshot().await?;
        Ok(())
    }

    /// What is known, for another attempt.
    pub(super) fn into_state(self) -> FeedState {
        self.state
    }

    /// Follows for ever, with a snapshot first if there is a `gap` already.
    pub(super) async fn run(mut self, mut gap: bool) {
        let mut backoff = Backoff::new(self.timing.first_wait, self.timing.longest_wait);
        loop {
            self.find_urls();
            self.refetch_trust_if_due().await;
            if gap {
                match self.take_snapshot().await {
                    Ok(()) => gap = false,
                    Err(problem) => {
                        let error = ConnectError::from(problem);
                        warn!(error = %Chain(&error), "cannot take a snapshot of the revocations");
                    }
                }
            }
            // Without the snapshot the stream still brings revocations; it only cannot vouch for completeness.
            match self.follow_stream(&mut backoff).await {
                Ok(End::Gap) => gap = true,
                Ok(End::Broken) => {}
                Err(error) => warn!(error = %Chain(&error), "the revocation stream failed"),
            }
            sleep(backoff.wait()).await;
        }
    }

    async fn take_snapshot(&mut self) -> Result<(), Problem> {
        self.snapshot_asked = Instant::now();
        let fetcher = self
            .fetcher
            .with_limits(MAX_STATEMENT_BYTES, SNAPSHOT_TIMEOUT);
        let body = fetch(&fetcher, "revocation snapshot", &self.urls.snapshot)
            .await
            .map_err(Problem::Fetch)?;
        // What is not UTF-8 is refused as a statement.
        let text = String::from_utf8_lossy(&body);
        match self.apply(text.trim_ascii()).await {
            Outcome::Applied { .. } | Outcome::KeysChanged { .. } => Ok(()),
            // Not a snapshot of everything: as good as none.
            Outcome::Gap { .. } => Err(Problem::Refused(FeedError::NotASnapshot)),
            Outcome::UnknownKey { kid } => Err(Problem::Refused(FeedError::UnknownKey { kid })),
            Outcome::Refused(error) => Err(Problem::Refused(error)),
        }
    }

    async fn follow_stream(&mut self, backoff: &mut Backoff) -> Result<End, FetchError> {
        let mut response = self.fetcher.open(&self.stream_url()).await?;
        debug!(url = %self.urls.stream, "following the revocation stream");
        let (mut reader, mut events) = (EventReader::default(), Vec::new());
        let mut deadline = Instant::now() + self.timing.silence;
        let mut unbelieved = 0;
        loop {
            let Ok(chunk) = timeout_at(deadline, response.chunk()).await else {
                info!("the revocation stream fell silent");
                return Ok(End::Broken);
            };
            let chunk = chunk.map_err(|error| FetchError::Http {
                source: error.without_url(),
            })?;
            let Some(chunk) = chunk else {
                return Ok(End::Broken);
            };
            if let Err(EventTooLong) = reader.read(&chunk, &mut events) {
                info!("a statement is too long for the stream");
                return Ok(End::Gap);
            }
            for text in std::mem::take(&mut events) {
                let heard = self.state_as_of();
                match self.take_event(&text).await {
                    Event::Believed => {}
                    Event::Gap => return Ok(End::Gap),
                    Event::Unbelieved => unbelieved += 1,
                }
                self.refetch_trust_if_due().await;
                if self.wants_snapshot() {
                    debug!("the state file begins with a new snapshot");
                    return Ok(End::Gap);
                }
                // Only news from the issuer's control count as a sign of life, not bytes and not repetitions.
                if self.state_as_of() > heard {
                    deadline = Instant::now() + self.timing.silence;
                    backoff.reset();
                    unbelieved = 0;
                } else if unbelieved >= MOST_UNBELIEVED {
                    info!("the revocation stream brings nothing that is believed");
                    return Ok(End::Broken);
                }
            }
        }
    }

    async fn take_event(&mut self, text: &str) -> Event {
        match self.apply(text).await {
            Outcome::Applied { .. } | Outcome::KeysChanged { .. } => Event::Believed,
            Outcome::Gap { .. } => {
                info!("the revocation stream has a gap");
                Event::Gap
            }
            Outcome::UnknownKey { kid } => {
                info!(%kid, "a statement is signed by a key that the issuer does not vouch for");
                Event::Unbelieved
            }
            Outcome::Refused(error) => {
                warn!(error = %Chain(&error), "a statement is refused");
                Event::Unbelieved
            }
        }
    }

    /// Applies a statement; a new feed key is fetched first, and changed token keys are asked for.
    async fn apply(&mut self, text: &str) -> Outcome {
        let mut outcome = self.apply_once(text);
        if matches!(outcome, Outcome::UnknownKey { .. }) && self.refetch_trust().await {
            outcome = self.apply_once(text);
        }
        if matches!(
            outcome,
            Outcome::KeysChanged { .. } | Outcome::Gap { keys_changed: true }
        ) {
            self.core.refresh_wanted.notify_one();
            self.refetch_trust().await;
        }
        outcome
    }

    fn apply_once(&mut self, text: &str) -> Outcome {
        let now = crate::rim::now();
        let statement = match self.state.open(text, now) {
            Ok(statement) => statement,
            Err(outcome) => return outcome,
        };
        let Some(keeper) = &self.keeper else {
            return self.state.unite(&statement, now);
        };
        let news = self.state.is_news(&statement);
        let known = (
            self.state.cursor().cloned(),
            self.core.revocations().as_of(),
        );
        let outcome = self.state.unite(&statement, now);
        let moved = known
            != (
                self.state.cursor().cloned(),
                self.core.revocations().as_of(),
            );
        // A cache that repeats one statement for ever must not fill the state file.
        if news || moved || statement.snapshot {
            keeper.note(text, &statement, &outcome, news);
        }
        outcome
    }

    /// The issuer may have moved its feed on its own origin. One that publishes none for a while has not moved.
    fn find_urls(&mut self) {
        let found = self.moved.as_ref().and_then(|moved| moved.borrow().clone());
        if let Some(urls) = found.filter(|found| *found != self.urls) {
            info!(url = %urls.stream, "the issuer's feed has moved");
            self.urls = urls;
        }
    }

    fn wants_snapshot(&self) -> bool {
        self.snapshot_asked.elapsed() >= self.timing.compact
            && self
                .keeper
                .as_ref()
                .is_some_and(|keeper| keeper.wants_snapshot())
    }

    /// At most once per cooldown: a hostile stream must not turn this verifier against its issuer.
    async fn refetch_trust(&mut self) -> bool {
        let asked_lately = self
            .trust_asked
            .is_some_and(|asked| asked.elapsed() < self.timing.cooldown);
        if asked_lately {
            return false;
        }
        match self.fetch_trust().await {
            Ok(()) => true,
            Err(error) => {
                warn!(error = %Chain(&error), "cannot refresh the feed keys");
                false
            }
        }
    }

    async fn refetch_trust_if_due(&mut self) {
        if Instant::now() >= self.trust_due {
            self.refetch_trust().await;
        }
    }

    async fn fetch_trust(&mut self) -> Result<(), ConnectError> {
        let asked = Instant::now();
        self.trust_asked = Some(asked);
        // The stream waits while they are fetched, so not too soon after a failure.
        self.trust_due = asked + self.timing.longest_wait;
        let body = fetch(&self.fetcher, "feed keys", &self.urls.trust).await?;
        let keys = parse_keys("feed keys", &body)?;
        if let Some(keeper) = &self.keeper {
            keeper.note_trust(keys.clone());
        }
        self.state.replace_keys(keys);
        self.trust_due = asked + shortened(self.timing.default_max_age, EARLY_PERCENT);
        Ok(())
    }

    fn stream_url(&self) -> Url {
        let mut url = self.urls.stream.clone();
        if let Some(cursor) = self.state.cursor() {
            url.query_pairs_mut().append_pair("from", &cursor.text());
        }
        url
    }

    fn state_as_of(&self) -> Option<dayfly_token::UnixTime> {
        self.core.revocations().as_of()
    }
}
