//! What is revoked: a set that only grows until its entries expire, read by every verification.

mod table;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
pub use dayfly_token::feed::{Entry, FOREVER, Kind, Prefix};
use dayfly_token::{Claims, UnixTime};

use crate::verified::workload_of;
use table::Table;

/// Seconds that an entry is kept beyond its `until`: twice the largest leeway, because the issuer's clock and
/// this one may each be off by it while a token is still accepted.
const KEEP_AFTER_SECS: u64 = 2 * crate::MAX_LEEWAY_SECS;

/// Recent entries that are folded into the large table at once: large enough that folding a million is rare,
/// small enough that copying the recent ones for each batch costs microseconds.
const MOST_RECENT: usize = 4096;

/// What an entry of the feed carries in the place of a name: the first 16 bytes of SHA-256(kind ‖ 0x00 ‖ value).
#[must_use]
pub fn prefix(kind: Kind, value: &str) -> Prefix {
    let mut text = Vec::with_capacity(kind.as_str().len() + 1 + value.len());
    text.extend_from_slice(kind.as_str().as_bytes());
    text.push(0);
    text.extend_from_slice(value.as_bytes());
    let digest = dayfly_keys::sha256(&text);
    let mut bytes = [0; 16];
    for (byte, digested) in bytes.iter_mut().zip(digest) {
        *byte = digested;
    }
    Prefix::from_bytes(bytes)
}

/// The revocation state: revoked credentials and cut-offs, combined by maximum (a grow-only set with expiry).
///
/// Reads take no lock; writes exclude each other. Reordered, repeated and older entries need no special case.
pub struct Revocations {
    state: ArcSwap<State>,
    writer: Mutex<()>,
    /// Seconds since 1970; 0 means never heard.
    as_of: AtomicU64,
}

/// A large table that is rebuilt now and then, and a small one that is rebuilt with each batch.
#[derive(Clone, Default)]
struct State {
    settled: Arc<Table>,
    recent: Table,
}

/// What a revocation can name of one credential.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The signing key's id; empty for a credential that no key id names.
    pub kid: &'a str,
    /// The credential's id.
    pub jti: &'a str,
    /// Its subject; a SPIFFE ID of the form `owner/workload` is also looked up as both.
    pub sub: &'a str,
    /// Its task.
    pub txn: Option<&'a str>,
    /// The rule that mapped the evidence.
    pub rule: Option<&'a str>,
    /// Ids of the credentials that it descends from.
    pub ancestors: &'a [String],
    /// Who acts for the subject, each looked up like it; outermost first.
    pub actors: Option<&'a dayfly_token::Actor>,
    /// When it was issued.
    pub issued_at: UnixTime,
}

impl<'a> Facts<'a> {
    /// The facts of an access token that the key `kid` signed.
    #[must_use]
    pub fn of(kid: &'a str, claims: &'a Claims) -> Self {
        Self {
            kid,
            jti: &claims.jti,
            sub: &claims.sub,
            txn: claims.txn.as_deref(),
            rule: claims.dfy.as_ref().map(|dfy| dfy.rule.as_str()),
            ancestors: claims.dfy.as_ref().map_or(&[], |dfy| dfy.anc.as_slice()),
            actors: claims.act.as_ref(),
            issued_at: claims.iat,
        }
    }
}

impl Revocations {
    /// Nothing revoked, nothing heard.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: ArcSwap::default(),
            writer: Mutex::default(),
            as_of: AtomicU64::new(0),
        }
    }

    /// Unites the state with `entries`; what has expired at `now` is left out.
    pub fn merge(&self, entries: &[Entry], now: UnixTime) {
        let now = self.forgets_at(now);
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let new: Vec<Entry> = entries
            .iter()
            .filter(|entry| lives(entry, now) && !state.settled.covers(entry))
            .copied()
            .collect();
        if new.is_empty() {
            return;
        }
        let recent = state.recent.union(&Table::of(new));
        let next = if recent.len() > MOST_RECENT {
            let mut settled = state.settled.union(&recent);
            settled.retain(|entry| lives(entry, now));
            State {
                settled: Arc::new(settled),
                recent: Table::default(),
            }
        } else {
            State {
                settled: Arc::clone(&state.settled),
                recent,
            }
        };
        self.state.store(Arc::new(next));
    }

    /// Notes that everything up to `as_of` was heard; an earlier instant changes nothing.
    pub fn heard(&self, as_of: UnixTime) {
        self.as_of.fetch_max(as_of.as_secs(), Ordering::AcqRel);
    }

    /// Up to when everything was heard; `None` if nothing ever was.
    #[must_use]
    pub fn as_of(&self) -> Option<UnixTime> {
        match self.as_of.load(Ordering::Acquire) {
            0 => None,
            secs => Some(UnixTime::from_secs(secs)),
        }
    }

    /// Whether what has `prefix` and was issued at `issued_at` is dead: iff `issued_at` ≤ the entry's `before`.
    #[must_use]
    pub fn is_dead(&self, prefix: &Prefix, issued_at: UnixTime) -> bool {
        self.state.load().is_dead(prefix, issued_at)
    }

    /// The first kind of entry that kills this credential; `None` if it lives.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<Kind> {
        let state = self.state.load();
        if state.is_empty() {
            return None;
        }
        let dead = |kind: Kind, value: &str| {
            state
                .is_dead(&prefix(kind, value), facts.issued_at)
                .then_some(kind)
        };
        let by_subject = |subject: &str| {
            let workload = workload_of(subject)?;
            dead(Kind::Workload, &workload.to_string())
                .or_else(|| dead(Kind::Owner, workload.owner.as_str()))
        };
        dead(Kind::Key, facts.kid)
            .or_else(|| dead(Kind::Credential, facts.jti))
            .or_else(|| {
                facts
                    .ancestors
                    .iter()
                    .find_map(|id| dead(Kind::Credential, id))
            })
            .or_else(|| facts.txn.and_then(|txn| dead(Kind::Task, txn)))
            .or_else(|| facts.rule.and_then(|rule| dead(Kind::Rule, rule)))
            .or_else(|| by_subject(facts.sub))
            .or_else(|| {
                facts
                    .actors
                    .and_then(|actor| actor.chain().find_map(|actor| by_subject(&actor.sub)))
            })
    }

    /// Every entry that has not expired at `now`, in the order of the prefixes: a snapshot.
    #[must_use]
    pub fn entries(&self, now: UnixTime) -> Vec<Entry> {
        let state = self.state.load();
        let mut all = state.settled.union(&state.recent);
        all.retain(|entry| lives(entry, now));
        all.into_entries()
    }

    /// Forgets what has expired at `now`, and by the issuer's clock as it was last heard.
    pub fn purge(&self, now: UnixTime) {
        let now = self.forgets_at(now);
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let mut settled = state.settled.union(&state.recent);
        settled.retain(|entry| lives(entry, now));
        self.state.store(Arc::new(State {
            settled: Arc::new(settled),
            recent: Table::default(),
        }));
    }

    /// A clock that runs an hour ahead for a minute must not make the state forget what it needs after that: an
    /// entry goes when both clocks say so.
    fn forgets_at(&self, now: UnixTime) -> UnixTime {
        self.as_of().map_or(now, |as_of| now.min(as_of))
    }

    /// How many entries there are; one that was raised lately counts twice until it settles.
    #[must_use]
    pub fn len(&self) -> usize {
        let state = self.state.load();
        state.settled.len() + state.recent.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.load().is_empty()
    }
}

impl State {
    fn is_dead(&self, prefix: &Prefix, issued_at: UnixTime) -> bool {
        [&self.recent, &*self.settled]
            .into_iter()
            .filter_map(|table| table.find(prefix))
            .any(|entry| issued_at <= entry.before)
    }

    fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.recent.is_empty()
    }
}

fn lives(entry: &Entry, now: UnixTime) -> bool {
    now <= entry.until.saturating_add(KEEP_AFTER_SECS)
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("entries", &self.len())
            .field("as_of", &self.as_of())
            .finish()
    }
}
