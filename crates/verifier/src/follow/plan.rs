use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dayfly_keys::KeySet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};
use url::Url;

use super::Timing;
use super::backoff::Backoff;
use super::connect::{ConnectError, fetch};
use super::feed::FeedFollower;
use super::keeper::Keeper;
use super::keys::{Chain, KeyFollower, drop_keys};
use super::metadata::{self, Endpoints};
use super::state::{self, Recalled, StateError};
use crate::builder::RevocationSource;
use crate::core::Core;
use crate::feed::FeedState;
use crate::fetch::Fetcher;
use crate::verifier::Verifier;

/// How to begin to follow an issuer: at once, or from what is known already.
pub(super) struct Plan {
    core: Arc<Core>,
    fetcher: Fetcher,
    issuer: Url,
    source: RevocationSource,
    timing: Timing,
    keeper: Option<Arc<Keeper>>,
}

/// Why there is nothing to follow yet, and what is known nevertheless.
struct Interrupted {
    error: ConnectError,
    feed: FeedState,
    /// The keys were fetched, and may be used until then.
    keys_until: Option<Instant>,
}

/// What follows, once there is something to follow.
struct Followers {
    keys: KeyFollower,
    feed: Option<FeedFollower>,
}

impl Plan {
    pub(super) fn new(
        verifier: &Verifier,
        fetcher: Fetcher,
        issuer: Url,
        source: RevocationSource,
        timing: Timing,
    ) -> Self {
        Self {
            core: Arc::clone(verifier.core()),
            fetcher,
            issuer,
            source,
            timing,
            keeper: None,
        }
    }

    /// Connects, or starts from the state file, or from nothing if that is allowed; the rest goes on in the background.
    pub(super) async fn start(
        mut self,
        state_file: Option<PathBuf>,
        without_issuer: bool,
    ) -> Result<JoinHandle<()>, ConnectError> {
        let (feed, keys) = self.recall(state_file).await;
        match self.connect(feed).await {
            Ok(followers) => Ok(self.spawn(followers)),
            Err(interrupted) => {
                let Interrupted {
                    error,
                    feed,
                    keys_until,
                } = interrupted;
                let drop_at = self.start_offline(error, keys, keys_until, without_issuer)?;
                Ok(tokio::spawn(self.follow_later(feed, drop_at)))
            }
        }
    }

    /// What the state file knows. Its revocations count from here on, its keys only if they are needed.
    async fn recall(
        &mut self,
        path: Option<PathBuf>,
    ) -> (FeedState, Option<Result<state::RecalledKeys, StateError>>) {
        let Some(path) = path else {
            return (self.unheard(), None);
        };
        let keeper = Arc::new(Keeper::new(path.clone(), Arc::clone(&self.core)));
        self.keeper = Some(Arc::clone(&keeper));
        let (core, outlive, now) = (
            Arc::clone(&self.core),
            self.timing.keys_outlive,
            crate::rim::now(),
        );
        let shown = path.display().to_string();
        let recall = move || state::recall(&path, &core, outlive, now);
        let recalled = match tokio::task::spawn_blocking(recall).await {
            Ok(recalled) => recalled,
            Err(failed) => Err(StateError::Io {
                source: std::io::Error::other(failed),
            }),
        };
        match recalled {
            Ok(Recalled { feed, record, keys }) => {
                keeper.begin_with(record);
                (feed, Some(keys))
            }
            Err(error) => {
                if matches!(error, StateError::Absent) {
                    info!(path = shown, "there is no state file yet");
                } else {
                    error!(path = shown, error = %Chain(&error), "the state file is not used");
                }
                (self.unheard(), Some(Err(error)))
            }
        }
    }

    fn unheard(&self) -> FeedState {
        FeedState::new(
            self.core.issuer().to_owned(),
            KeySet::default(),
            Arc::clone(self.core.revocations()),
        )
    }

    /// Everything once, now.
    async fn connect(&self, feed: FeedState) -> Result<Followers, Interrupted> {
        let endpoints = match self.endpoints().await {
            Ok(endpoints) => endpoints,
            Err(error) => {
                return Err(Interrupted {
                    error,
                    feed,
                    keys_until: None,
                });
            }
        };
        let until = Instant::now() + self.timing.keys_outlive;
        let Followers { mut keys, feed } = self.followers(&endpoints, feed, until);
        let mut feed = match (keys.refresh_keys().await, feed) {
            (Ok(()), None) => return Ok(Followers { keys, feed: None }),
            (Ok(()), Some(feed)) => feed,
            (Err(error), feed) => {
                return Err(Interrupted {
                    error,
                    feed: feed.map_or_else(|| self.unheard(), FeedFollower::into_state),
                    keys_until: None,
                });
            }
        };
        match feed.connect().await {
            Ok(()) => Ok(Followers {
                keys,
                feed: Some(feed),
            }),
            Err(error) => Err(Interrupted {
                error,
                feed: feed.into_state(),
                keys_until: Some(until),
            }),
        }
    }

    /// Whether to go on although the issuer was not reached, and until when the keys may be used. Keys that were fetched
    /// a moment ago are never put back to those of the file.
    fn start_offline(
        &self,
        error: ConnectError,
        known: Option<Result<state::RecalledKeys, StateError>>,
        keys_until: Option<Instant>,
        without_issuer: bool,
    ) -> Result<Instant, ConnectError> {
        // An issuer that publishes no feed any more is no outage.
        if matches!(error, ConnectError::NoFeed) {
            return Err(error);
        }
        let out_of_reach = matches!(error, ConnectError::Fetch { .. });
        let from_file = match (known, keys_until) {
            (Some(Ok(_) | Err(StateError::KeysTooOld { .. })), Some(until)) => Ok(until),
            (Some(Ok(known)), None) => {
                self.core.replace_keys(known.keys);
                Ok(Instant::now() + known.left)
            }
            (Some(Err(state)), _) => Err(Some(state)),
            (None, _) => Err(None),
        };
        match from_file {
            Ok(until) => {
                warn!(error = %Chain(&error), "the issuer cannot be followed: starting from the state file");
                Ok(until)
            }
            Err(_) if out_of_reach && without_issuer => {
                warn!(error = %Chain(&error), "the issuer is out of reach: every token is refused until it is there");
                Ok(keys_until.unwrap_or_else(|| Instant::now() + FOR_EVER))
            }
            Err(Some(state)) if out_of_reach => Err(ConnectError::Offline {
                state,
                source: Box::new(error),
            }),
            Err(_) => Err(error),
        }
    }

    async fn follow_later(self, feed: FeedState, drop_at: Instant) {
        let mut backoff = Backoff::new(self.timing.first_wait, self.timing.longest_wait);
        let mut drop_at = drop_at;
        let endpoints = loop {
            tokio::select! {
                () = sleep(backoff.wait()) => {}
                () = sleep_until(drop_at) => {
                    drop_keys(&self.core);
                    drop_at = Instant::now() + FOR_EVER;
                }
            }
            match self.endpoints().await {
                Ok(endpoints) => break endpoints,
                Err(error) => {
                    warn!(error = %Chain(&error), "the issuer is still out of reach");
                }
            }
        };
        info!("the issuer is there again");
        let Followers { keys, feed } = self.followers(&endpoints, feed, drop_at);
        self.run(keys, feed, true).await;
    }

    fn spawn(self, followers: Followers) -> JoinHandle<()> {
        tokio::spawn(async move { self.run(followers.keys, followers.feed, false).await })
    }

    async fn run(&self, keys: KeyFollower, feed: Option<FeedFollower>, gap: bool) {
        let keep = async {
            if let Some(keeper) = &self.keeper {
                Arc::clone(keeper).run(self.timing.keep).await;
            }
        };
        let feed = async {
            if let Some(feed) = feed {
                feed.run(gap).await;
            }
        };
        tokio::join!(keys.run(), feed, keep);
    }

    async fn endpoints(&self) -> Result<Endpoints, ConnectError> {
        let url = metadata::metadata_url(&self.issuer);
        let fetched = fetch(&self.fetcher, "metadata", &url).await?;
        let endpoints = metadata::parse_metadata(&fetched, self.core.issuer(), &self.issuer)?;
        if self.source == RevocationSource::Follow && endpoints.feed.is_none() {
            return Err(ConnectError::NoFeed);
        }
        Ok(endpoints)
    }

    fn followers(&self, endpoints: &Endpoints, state: FeedState, drop_at: Instant) -> Followers {
        let keys = KeyFollower::new(
            Arc::clone(&self.core),
            self.fetcher.clone(),
            &self.issuer,
            endpoints,
            self.timing,
            drop_at,
        );
        let moved = keys.feed_endpoints();
        let urls = endpoints
            .feed
            .clone()
            .filter(|_| self.source == RevocationSource::Follow);
        let feed = urls.map(|urls| {
            let core = Arc::clone(&self.core);
            FeedFollower::new(core, self.fetcher.clone(), urls, self.timing, state).moved_by(moved)
        });
        Followers {
            keys: keys.kept_by(self.keeper.clone()),
            feed: feed.map(|feed| feed.kept_by(self.keeper.clone())),
        }
    }
}

/// Longer than any process: a deadline for what has none.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
