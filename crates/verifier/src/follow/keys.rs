use std::sync::Arc;
use std::time::Duration;

use dayfly_keys::KeySet;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};
use url::Url;

use super::Timing;
use super::backoff::{Backoff, shortened};
use super::connect::{ConnectError, parse_keys};
use super::keeper::Keeper;
use super::metadata::{Endpoints, FeedEndpoints, metadata_url, parse_metadata};
use crate::core::Core;
use crate::fetch::{Fetched, Fetcher};

/// How much of a document's `max-age` is given away at random, in percent, so that a fleet does not ask at once.
/// Always less time, never more: an issuer counts on nobody using a key set for longer than it said.
pub(super) const EARLY_PERCENT: u32 = 20;

/// Keeps the token keys and the longest lifetime up to date.
pub(super) struct KeyFollower {
    core: Arc<Core>,
    fetcher: Fetcher,
    issuer: Url,
    metadata: Document,
    keys: Document,
    timing: Timing,
    backoff: Backoff,
    purged: Instant,
    /// Until when the keys are used without being confirmed.
    drop_at: Instant,
    keeper: Option<Arc<Keeper>>,
    /// Where the feed is by the metadata of last time.
    feed: watch::Sender<Option<FeedEndpoints>>,
}

/// A document that is fetched again and again.
struct Document {
    what: &'static str,
    url: Url,
    etag: Option<String>,
    /// When it was last fetched, or tried to be.
    asked: Instant,
    /// When it is due.
    due: Instant,
}

impl Document {
    fn new(what: &'static str, url: Url) -> Self {
        let now = Instant::now();
        Self {
            what,
            url,
            etag: None,
            asked: now,
            due: now,
        }
    }

    /// Fetches it if it has changed; `None` if it has not.
    async fn fetch(
        &mut self,
        fetcher: &Fetcher,
        timing: &Timing,
    ) -> Result<Option<Vec<u8>>, ConnectError> {
        self.asked = Instant::now();
        let fetched = fetcher.get(&self.url, self.etag.as_deref()).await;
        let failed = |source| ConnectError::Fetch {
            what: self.what,
            url: self.url.to_string(),
            source,
        };
        let fetched = fetched.map_err(failed)?;
        self.due = self.asked + use_for(&fetched, timing);
        if fetched.is_not_modified() {
            return Ok(None);
        }
        self.etag = fetched.etag;
        Ok(Some(fetched.body))
    }

    /// A body that was refused is asked for again as a whole, soon.
    fn forget(&mut self, retry: Duration) {
        self.etag = None;
        self.due = Instant::now() + retry;
    }
}

fn use_for(fetched: &Fetched, timing: &Timing) -> Duration {
    let (shortest, longest) = timing.max_age_range;
    let said = fetched
        .max_age
        .map_or(timing.default_max_age, Duration::from_secs);
    shortened(said.clamp(shortest, longest), EARLY_PERCENT)
}

impl KeyFollower {
    /// Fetches nothing yet, but uses keys that are known already until `drop_at` at most.
    pub(super) fn new(
        core: Arc<Core>,
        fetcher: Fetcher,
        issuer: &Url,
        endpoints: &Endpoints,
        timing: Timing,
        drop_at: Instant,
    ) -> Self {
        let mut follower = Self {
            core,
            fetcher,
            issuer: issuer.clone(),
            metadata: Document::new("metadata", metadata_url(issuer)),
            keys: Document::new("keys", endpoints.jwks.clone()),
            timing,
            backoff: Backoff::new(timing.first_wait, timing.longest_wait),
            purged: Instant::now(),
            drop_at,
            keeper: None,
            feed: watch::Sender::new(endpoints.feed.clone()),
        };
        follower.take_lifetime(endpoints);
        follower.metadata.due += shortened(timing.default_max_age, EARLY_PERCENT);
        follower
    }

    /// Where the feed is, as it changes.
    pub(super) fn feed_endpoints(&self) -> watch::Receiver<Option<FeedEndpoints>> {
        self.feed.subscribe()
    }

    /// Tells `keeper` of every confirmation.
    pub(super) fn kept_by(self, keeper: Option<Arc<Keeper>>) -> Self {
        Self { keeper, ..self }
    }

    pub(super) async fn run(mut self) {
        loop {
            let due = self.keys.due.min(self.metadata.due);
            let wanted = tokio::select! {
                () = sleep_until(due) => false,
                () = self.core.refresh_wanted.notified() => true,
            };
            if wanted {
                // A flood of made-up key ids ends here: one refresh per cooldown.
                sleep_until(due.min(self.keys.asked + self.timing.cooldown)).await;
            }
            self.refresh(wanted).await;
            self.purge();
        }
    }

    async fn refresh(&mut self, wanted: bool) {
        let now = Instant::now();
        if wanted || self.keys.due <= now {
            match self.refresh_keys().await {
                Ok(()) => self.backoff.reset(),
                Err(error) => {
                    warn!(error = %Chain(&error), "cannot refresh the issuer's keys");
                    let wait = self.backoff.wait();
                    self.keys.forget(wait);
                    self.drop_old_keys();
                }
            }
        }
        if (wanted || self.metadata.due <= now)
            && let Err(error) = self.refresh_metadata().await
        {
            warn!(error = %Chain(&error), "cannot refresh the issuer's metadata");
            let wait = self.timing.longest_wait;
            self.metadata.forget(wait);
        }
    }

    /// Fetches the keys if they have changed.
    pub(super) async fn refresh_keys(&mut self) -> Result<(), ConnectError> {
        let asked = crate::rim::now();
        if let Some(body) = self.keys.fetch(&self.fetcher, &self.timing).await? {
            let keys = parse_keys("keys", &body)?;
            debug!(keys = keys.len(), "took over the issuer's keys");
            self.core.replace_keys(keys);
        }
        // What came of the fetch is right, be it new or unchanged.
        self.drop_at = self.keys.asked + self.timing.keys_outlive;
        if let Some(keeper) = &self.keeper {
            keeper.note_keys(KeySet::clone(&self.core.keys()), asked);
        }
        Ok(())
    }

    async fn refresh_metadata(&mut self) -> Result<(), ConnectError> {
        let Some(body) = self.metadata.fetch(&self.fetcher, &self.timing).await? else {
            return Ok(());
        };
        let endpoints = parse_metadata(&body, self.core.issuer(), &self.issuer)?;
        if endpoints.jwks != self.keys.url {
            info!(url = %endpoints.jwks, "the issuer's keys have moved");
            self.keys = Document::new("keys", endpoints.jwks.clone());
        }
        self.take_lifetime(&endpoints);
        self.feed.send_replace(endpoints.feed);
        Ok(())
    }

    fn take_lifetime(&self, endpoints: &Endpoints) {
        if let Some(secs) = endpoints.max_lifetime_secs {
            self.core.set_max_lifetime(secs);
        }
    }

    /// Keys that were not confirmed for long are forgotten: whoever keeps us from the issuer must not keep a
    /// withdrawn key alive.
    fn drop_old_keys(&self) {
        if Instant::now() > self.drop_at {
            drop_keys(&self.core);
        }
    }

    fn purge(&mut self) {
        if self.purged.elapsed() > self.timing.purge {
            self.purged = Instant::now();
            self.core.revocations().purge(crate::rim::now());
        }
    }
}

pub(super) fn drop_keys(core: &Core) {
    error!("the issuer's keys are too old and are dropped: every token is refused");
    core.replace_keys(KeySet::default());
}

/// An error with its sources, for one line of a log.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
