//! What is revoked: a set that only grows until its entries expire, read by every verification.

mod filter;
mod marks;
mod table;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dayfly_token::UnixTime;
pub use dayfly_token::feed::{Entry, FOREVER, Kind, Prefix};

pub use marks::{Facts, Marks, prefix};
use table::Table;

/// Seconds that an entry is kept beyond its `until`: twice the largest leeway, because the issuer's clock and
/// this one may each be off by it while a token is still accepted.
const KEEP_AFTER_SECS: u64 = 2 * crate::MAX_LEEWAY_SECS;

/// Recent entries that are folded into the large table at once: large enough that folding a million is rare,
/// small enough that copying the recent ones for each batch costs microseconds.
const MOST_RECENT: usize = 4096;

/// The revocation state: revoked credentials and cut-offs, combined by maximum (a grow-only set with expiry).
///
/// Reads take no lock; writes exclude each other. Reordered, repeated and older entries need no special case.
pub struct Revocations {
    state: ArcSwap<State>,
    /// Counts the states; raised after a state is in place, so that whoever reads it sees that state or a later one.
    version: AtomicU64,
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

impl Revocations {
    /// Nothing revoked, nothing heard.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: ArcSwap::default(),
            version: AtomicU64::new(1),
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
        self.put(next);
    }

    /// The writer's last step.
    fn put(&self, state: State) {
        self.state.store(Arc::new(state));
        self.version.fetch_add(1, Ordering::Release);
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
        if self.is_empty() {
            return None;
        }
        self.find_marked(&facts.marks())
    }

    /// [`Revocations::find`], for facts that are looked up more than once.
    #[must_use]
    pub fn find_marked(&self, marks: &Marks) -> Option<Kind> {
        self.state.load().find(marks)
    }

    /// Which state this is: while it stays the same, what was found to live still lives.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
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
        self.put(State {
            settled: Arc::new(settled),
            recent: Table::default(),
        });
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
    /// Most credentials are alive: one look at the filters says so, and only a hit there is looked up.
    fn find(&self, marks: &Marks) -> Option<Kind> {
        let marked = marks.marks.iter();
        let may_be_dead = marked.clone().fold(false, |hit, (_, prefix)| {
            hit | self.settled.may_have(prefix) | self.recent.may_have(prefix)
        });
        if !may_be_dead {
            return None;
        }
        marked
            .copied()
            .find_map(|(kind, prefix)| self.is_dead(&prefix, marks.issued_at).then_some(kind))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn entry(kind: Kind, value: &str) -> Entry {
        Entry {
            prefix: prefix(kind, value),
            before: NOW,
            until: FOREVER,
        }
    }

    fn facts() -> Facts<'static> {
        Facts {
            kid: "kid",
            jti: "jti",
            sub: "spiffe://test.example/payments/deploy",
            txn: Some("payments/release-7"),
            rule: None,
            ancestors: &[],
            actors: None,
            issued_at: NOW,
        }
    }

    /// Whatever else is in either table, and however often the filters say yes.
    #[test]
    fn each_table_kills_and_neither_hides_the_other() {
        let (task, owner) = (
            entry(Kind::Task, "payments/release-7"),
            entry(Kind::Owner, "payments"),
        );
        let sets = [&[][..], &[task], &[owner], &[task, owner]];
        for settled in sets {
            for recent in sets {
                let revocations = Revocations::new();
                revocations.put(State {
                    settled: Arc::new(Table::of(settled.to_vec())),
                    recent: Table::of(recent.to_vec()),
                });
                let has = |entry| settled.contains(entry) || recent.contains(entry);
                let expected = match (has(&task), has(&owner)) {
                    (true, _) => Some(Kind::Task),
                    (false, true) => Some(Kind::Owner),
                    (false, false) => None,
                };
                let found = revocations.find(&facts());
                assert_eq!(found, expected, "{settled:?} {recent:?}");
            }
        }
    }

    #[test]
    fn what_is_recent_settles_when_there_is_much_of_it() {
        let revocations = Revocations::new();
        let many: Vec<_> = (0..MOST_RECENT)
            .map(|number| entry(Kind::Credential, &number.to_string()))
            .collect();
        let sizes = || {
            let state = revocations.state.load();
            (state.settled.len(), state.recent.len())
        };
        revocations.merge(&many, NOW);
        assert_eq!(sizes(), (0, MOST_RECENT));
        let two = [entry(Kind::Task, "a"), entry(Kind::Task, "b")];
        revocations.merge(&two, NOW);
        assert_eq!(sizes(), (MOST_RECENT + 2, 0));
    }

    /// A snapshot that says the same as the last one leaves what was found alive alive.
    #[test]
    fn what_is_known_changes_nothing() {
        let revocations = Revocations::new();
        let known = entry(Kind::Task, "payments/release-7");
        revocations.merge(&[known], NOW);
        revocations.purge(NOW);
        let (version, len) = (revocations.version(), revocations.len());
        revocations.merge(&[known], NOW);
        assert_eq!((revocations.version(), revocations.len()), (version, len));
        let later = Entry {
            before: NOW.saturating_add(1),
            ..known
        };
        revocations.merge(&[later], NOW);
        assert!(revocations.version() > version);
        assert!(revocations.is_dead(&known.prefix, later.before));
        revocations.purge(NOW);
        assert_eq!(revocations.entries(NOW), [later]);
    }

    #[test]
    fn debug_says_how_much_and_of_when() {
        let revocations = Revocations::new();
        revocations.merge(&[entry(Kind::Rule, "gh-deploy")], NOW);
        revocations.heard(NOW);
        assert_eq!(
            format!("{revocations:?}"),
            "Revocations { entries: 1, as_of: Some(UnixTime(1800000000)) }"
        );
    }
}
