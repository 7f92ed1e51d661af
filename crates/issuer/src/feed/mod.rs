//! The revocation feed, as its issuer signs it (protocol B).
//!
//! A statement is a compact JWS by the feed key, `typ` `dayfly-feed+jwt`. It says what was revoked
//! between two places of the control stream, and the instant up to which that is everything.
//! Statements can only take away, or announce that keys have changed.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use dayfly_token::feed::{Entry, Statement};
use dayfly_token::{UnixTime, feed};

use crate::control::{ControlView, Followed, KeyUse};
use crate::port::{Now, Position};
use crate::signer::{Signer, SignerError};

/// At most one signature in that many milliseconds: what is revoked meanwhile goes together.
pub const BATCH_MS: u64 = 20;

/// An empty statement at least that often, in milliseconds, so that silence means something.
pub const HEARTBEAT_MS: u64 = 5000;

/// What lives shorter than this many seconds is not worth its place in a statement.
pub const LEAST_LIFE_SECS: u64 = 5;

/// Most changed slots that wait for a statement. Beyond it the next statement names everything.
const MOST_WAITING: usize = 4096;

/// No statement was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The statement cannot be encoded.
    #[error("the statement cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// No feed key may sign at present.
    #[error("no feed key may sign at present")]
    NoKey,
    /// The control state was never heard, so there is nothing to state.
    #[error("the control state is not known yet")]
    NothingHeard,
    /// The key did not sign.
    #[error("the feed key failed")]
    Signer(#[from] SignerError),
}

/// Signs the statements of one replica.
pub struct FeedSigner {
    issuer: String,
    max_lifetime_secs: u64,
    signer: Option<Arc<Signer>>,
    waiting: Waiting,
    /// Up to where the last statement went, and in which life of the store.
    stated: Option<Stated>,
    /// Up to where the stream was noted, and the store's clock then. The view may be further.
    reached: Option<(Position, UnixTime)>,
    last_ms: Option<u64>,
    kids: BTreeSet<String>,
}

#[derive(Default)]
struct Waiting {
    slots: BTreeSet<String>,
    everything: bool,
    any: bool,
}

struct Stated {
    epoch: String,
    to: Position,
}

impl FeedSigner {
    /// A signer for `issuer`, whose longest-lived credential lives `max_lifetime_secs` (L).
    #[must_use]
    pub fn new(issuer: String, max_lifetime_secs: u64) -> Self {
        Self {
            issuer,
            max_lifetime_secs,
            signer: None,
            waiting: Waiting::default(),
            stated: None,
            reached: None,
            last_ms: None,
            kids: BTreeSet::new(),
        }
    }

    /// Takes the feed key with its present lease, or takes it away.
    pub fn use_signer(&mut self, signer: Option<Arc<Signer>>) {
        self.signer = signer.filter(|signer| signer.key_use() == KeyUse::Feed);
    }

    /// Takes another L.
    pub const fn set_max_lifetime_secs(&mut self, max_lifetime_secs: u64) {
        self.max_lifetime_secs = max_lifetime_secs;
    }

    /// Notes what a step of the follower brought.
    pub fn note(&mut self, followed: &Followed) {
        // A whole load may be of another store, whose clock is right where the former one's was not.
        let known = self
            .reached
            .as_ref()
            .filter(|_| !followed.reloaded)
            .map_or(UnixTime::EPOCH, |(_, as_of)| *as_of);
        self.reached = Some((followed.position.clone(), followed.as_of.max(known)));
        self.waiting.any |= !followed.changed.is_empty();
        self.waiting.slots.extend(followed.changed.iter().cloned());
        if self.waiting.slots.len() > MOST_WAITING {
            self.waiting.slots.clear();
            self.waiting.everything = true;
        }
    }

    /// Whether a statement is due: something changed and the last signature is [`BATCH_MS`] ago, or
    /// it is time for the heartbeat.
    #[must_use]
    pub fn due(&self, now: Now) -> bool {
        let since_ms = self
            .last_ms
            .map(|last| now.monotonic_ms.saturating_sub(last));
        let least = if self.waiting.any {
            BATCH_MS
        } else {
            HEARTBEAT_MS
        };
        self.reached.is_some() && since_ms.is_none_or(|since| since >= least)
    }

    /// The next statement, if one is due.
    ///
    /// # Errors
    /// If it cannot be signed. What it would have said stays for the next one.
    pub fn statement(&mut self, view: &ControlView, now: Now) -> Result<Option<String>, FeedError> {
        let Some((reached, as_of)) = self.reached.clone().filter(|_| self.due(now)) else {
            return Ok(None);
        };
        let epoch = epoch(view)?;
        let kids = served_kids(view, now.time());
        // In a new life of the store the places before it mean nothing.
        let from = self.stated.as_ref().filter(|stated| stated.epoch == epoch);
        let from = from.map_or_else(|| reached.clone(), |stated| stated.to.clone());
        let statement = Statement {
            iss: self.issuer.clone(),
            epoch: epoch.clone(),
            from: from.0,
            to: reached.0.clone(),
            as_of,
            exp: as_of.saturating_add(self.max_lifetime_secs),
            entries: self.waiting_entries(view, now.time().min(as_of)),
            keys_changed: self.last_ms.is_some() && kids != self.kids,
            snapshot: false,
        };
        let text = self.sign(&statement, now)?;
        self.kids = kids;
        self.stated = Some(Stated { epoch, to: reached });
        self.last_ms = Some(now.monotonic_ms);
        self.waiting = Waiting::default();
        Ok(Some(text))
    }

    /// Everything there is, as one statement.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn snapshot(&self, view: &ControlView, now: Now) -> Result<String, FeedError> {
        let epoch = epoch(view)?;
        let (reached, as_of) = self.reached.clone().ok_or(FeedError::NothingHeard)?;
        let instant = now.time().min(as_of);
        let mut entries = view.feed_entries(instant);
        entries.retain(|entry| is_worth_it(entry, instant));
        let statement = Statement {
            iss: self.issuer.clone(),
            epoch,
            from: reached.0.clone(),
            to: reached.0,
            as_of,
            exp: as_of.saturating_add(self.max_lifetime_secs),
            entries,
            keys_changed: false,
            snapshot: true,
        };
        self.sign(&statement, now)
    }

    fn waiting_entries(&self, view: &ControlView, now: UnixTime) -> Vec<Entry> {
        let mut entries = if self.waiting.everything {
            view.feed_entries(now)
        } else {
            self.waiting
                .slots
                .iter()
                .filter_map(|slot| view.feed_entry(slot))
                .collect()
        };
        entries.retain(|entry| is_worth_it(entry, now));
        entries
    }

    fn sign(&self, statement: &Statement, now: Now) -> Result<String, FeedError> {
        let signer = self.signer.as_ref().ok_or(FeedError::NoKey)?;
        let payload = serde_json::to_vec(statement).map_err(FeedError::Encode)?;
        Ok(signer.sign(&payload, now)?.text)
    }
}

impl std::fmt::Debug for FeedSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedSigner")
            .field("typ", &feed::TYP)
            .finish_non_exhaustive()
    }
}

fn epoch(view: &ControlView) -> Result<String, FeedError> {
    view.store()
        .map(|store| store.epoch.clone())
        .ok_or(FeedError::NothingHeard)
}

fn served_kids(view: &ControlView, now: UnixTime) -> BTreeSet<String> {
    [KeyUse::Feed, KeyUse::Token]
        .into_iter()
        .flat_map(|key_use| view.keys(key_use, now))
        .map(|record| record.kid.clone())
        .collect()
}

fn is_worth_it(entry: &Entry, now: UnixTime) -> bool {
    entry.until.seconds_since(now) >= LEAST_LIFE_SECS
}
