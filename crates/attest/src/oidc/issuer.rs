//! One issuer and its keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use dayfly_token::{Excerpt, Slug};
use tokio::sync::watch;
use tokio::time::Instant;

use super::algorithm::JoseAlgorithm;
use super::config::{OidcConfigError, OidcIssuerConfig};
use super::fetched::{KeyOrigin, Load, LoadError};
use super::issuers::IssuerStatus;
use super::jwks::IssuerKeys;
use super::schedule::{RefreshTiming, Schedule};
use crate::AttestError;

/// Most requests that wait for the keys of one issuer: while it is slow, the others are told to come back, so that
/// tokens with made-up `kid`s cannot pile up requests.
const MAX_WAITING: usize = 64;

/// An issuer, its keys, and at most one fetch of them at a time.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: OidcIssuerConfig,
    algorithms: Vec<JoseAlgorithm>,
    timing: RefreshTiming,
    origin: KeyOrigin,
    keys: ArcSwapOption<IssuerKeys>,
    state: Mutex<State>,
    /// Counts the fetches that have ended.
    landed: watch::Sender<u64>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    in_flight: bool,
    last_error: Option<String>,
}

/// The right to fetch; given back when it goes, even if the fetch was abandoned.
struct Flight(Arc<Issuer>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.state().in_flight = false;
        self.0
            .landed
            .send_modify(|landed| *landed = landed.wrapping_add(1));
    }
}

impl Issuer {
    pub(crate) fn new(
        config: OidcIssuerConfig,
        timing: RefreshTiming,
    ) -> Result<Self, OidcConfigError> {
        let algorithms = config.check()?;
        let origin = KeyOrigin::new(&config, &timing)?;
        let mut schedule = Schedule::new(timing);
        let keys = origin
            .load_at_start(&config, &algorithms)?
            .inspect(|_| schedule.succeeded(Instant::now(), Some(timing.min_age)));
        Ok(Self {
            config,
            algorithms,
            timing,
            origin,
            keys: ArcSwapOption::from(keys.map(Arc::new)),
            state: Mutex::new(State {
                schedule,
                in_flight: false,
                last_error: None,
            }),
            landed: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    pub(crate) const fn config(&self) -> &OidcIssuerConfig {
        &self.config
    }

    pub(crate) const fn name(&self) -> &Slug {
        &self.config.name
    }

    pub(crate) fn identifier(&self) -> &str {
        &self.config.issuer
    }

    pub(crate) fn is_as_configured(
        &self,
        config: &OidcIssuerConfig,
        timing: &RefreshTiming,
    ) -> bool {
        self.config == *config && self.timing == *timing
    }

    /// Keys that have `kid` among them. If those at hand have not, they are fetched first, within the cooldown.
    pub(crate) async fn keys_with(
        self: &Arc<Self>,
        kid: &str,
    ) -> Result<Arc<IssuerKeys>, AttestError> {
        if let Some(keys) = self.usable_keys().filter(|keys| keys.get(kid).is_some()) {
            return Ok(keys);
        }
        self.refresh_on_demand().await?;
        match self.usable_keys() {
            Some(keys) if keys.get(kid).is_some() => Ok(keys),
            // The key may be one that could not be fetched, then the token may be good.
            Some(_) if self.state().schedule.failures() == 0 => Err(AttestError::UnknownKey {
                issuer: self.name().clone(),
                kid: Excerpt::of(kid),
            }),
            _ => Err(self.unavailable(None)),
        }
    }

    fn usable_keys(&self) -> Option<Arc<IssuerKeys>> {
        let usable = self.state().schedule.is_usable(Instant::now());
        self.keys.load_full().filter(|_| usable)
    }

    /// Waits for a fetch: the one under way, or a new one if the cooldown allows it.
    async fn refresh_on_demand(self: &Arc<Self>) -> Result<(), AttestError> {
        // Before the look at the state, so that a fetch which ends in between is not missed.
        let mut landed = self.landed.subscribe();
        let begun = {
            let mut state = self.state();
            if state.in_flight {
                false
            } else if state.schedule.begin_on_demand(Instant::now()) {
                state.in_flight = true;
                true
            } else {
                return Ok(());
            }
        };
        if begun {
            // On its own, so that a caller who goes away does not take the fetch along.
            let flight = Flight(Arc::clone(self));
            tokio::spawn(fetch(flight));
        }
        let Some(_place) = Place::take(&self.waiting) else {
            return Err(self.unavailable(Some("too many requests wait for its keys")));
        };
        // A fetch is two requests at most, each with its own limit.
        let limit = self.timing.fetch_timeout.saturating_mul(3);
        match tokio::time::timeout(limit, landed.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.unavailable(Some("the fetch takes too long"))),
        }
    }

    /// Fetches whenever it is time, for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let mut landed = self.landed.subscribe();
            let now = Instant::now();
            let due = self.state().schedule.next(now);
            if now < due {
                tokio::time::sleep_until(due).await;
                continue;
            }
            let flight = {
                let mut state = self.state();
                if state.in_flight {
                    None
                } else {
                    state.schedule.begin_background(now);
                    state.in_flight = true;
                    Some(Flight(Arc::clone(&self)))
                }
            };
            match flight {
                Some(flight) => fetch(flight).await,
                None => drop(landed.changed().await),
            }
        }
    }

    pub(crate) fn status(&self) -> IssuerStatus {
        let now = Instant::now();
        let keys = self.keys.load_full().map_or(0, |keys| keys.len());
        let state = self.state();
        IssuerStatus {
            name: self.name().clone(),
            issuer: self.identifier().to_owned(),
            ready: keys > 0 && state.schedule.is_usable(now),
            keys,
            age_secs: state.schedule.age(now).map(|age| age.as_secs()),
            fetches: *self.landed.borrow(),
            failures: state.schedule.failures(),
            last_error: state.last_error.clone(),
        }
    }

    fn unavailable(&self, reason: Option<&str>) -> AttestError {
        let reason = match reason {
            Some(reason) => reason.to_owned(),
            None => self
                .state()
                .last_error
                .clone()
                .unwrap_or_else(|| "they have not been fetched yet".to_owned()),
        };
        AttestError::IssuerUnavailable {
            issuer: self.name().clone(),
            reason,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, loaded: Result<Load, LoadError>) {
        let issuer = self.name();
        match loaded {
            Ok(load) => {
                if let Some(keys) = load.keys {
                    // An empty set is an answer too: the issuer withdrew its keys.
                    if keys.len() == 0 {
                        tracing::warn!(%issuer, "the issuer has no usable key");
                    }
                    self.keys.store(Some(Arc::new(keys)));
                }
                let mut state = self.state();
                state.schedule.succeeded(Instant::now(), load.max_age);
                state.last_error = None;
            }
            Err(error) => {
                let failures = {
                    let mut state = self.state();
                    state.schedule.failed();
                    state.last_error = Some(error.to_string());
                    state.schedule.failures()
                };
                // Less and less often: an issuer may be away for days.
                if failures.is_power_of_two() {
                    tracing::warn!(%issuer, %error, failures, "keys could not be fetched, the last good ones stay");
                }
            }
        }
    }
}

async fn fetch(flight: Flight) {
    let issuer = &flight.0;
    let loaded = issuer
        .origin
        .load(&issuer.config, &issuer.algorithms, &issuer.timing)
        .await;
    issuer.take(loaded);
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
