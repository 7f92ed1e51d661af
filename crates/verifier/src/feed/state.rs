use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use dayfly_keys::KeySet;
use dayfly_token::feed::{Entry, Statement};
use dayfly_token::{Excerpt, UnixTime};

use super::{
    FeedError, MAX_AHEAD_SECS, MAX_ENTRIES, check_not_future, open_signed, open_statement,
};
use crate::revocation::Revocations;

/// Follows the statements of one issuer into a [`Revocations`], without I/O.
///
/// Everything that was truly signed is merged, in whatever order and however often it comes, because entries
/// only ever take away. What needs care is the claim to completeness: [`Revocations::heard`] moves only when
/// nothing can be missing between what was known and what the statement covers.
pub struct FeedState {
    issuer: String,
    keys: KeySet,
    revocations: Arc<Revocations>,
    cursor: Option<Cursor>,
    /// Up to when its own statements say everything.
    as_of: Option<UnixTime>,
    most_entries: usize,
}

/// A place in the issuer's control stream; good for resuming and for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Names the history that `id` belongs to.
    pub epoch: String,
    /// The last control entry that is known.
    pub id: String,
}

/// What a statement did, and what the follower should do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Everything up to the statement's end is known.
    Applied {
        /// The control entry that is known up to.
        to: String,
    },
    /// Its entries count, but something before it is missing: fetch a snapshot.
    Gap {
        /// The issuer's keys have changed as well.
        keys_changed: bool,
    },
    /// Like `Applied`, and the issuer's keys have changed: fetch them again.
    KeysChanged {
        /// The control entry that is known up to.
        to: String,
    },
    /// Nothing changed. If it comes from the issuer itself, something is wrong there or on the way.
    Refused(FeedError),
    /// Nothing changed: the key may be new. Fetch `/v1/trust` once per cooldown, and try the next statement.
    UnknownKey {
        /// The key's id, escaped and cut.
        kid: Excerpt,
    },
}

impl FeedState {
    /// Follows `issuer`, trusting the feed keys `keys`, into `revocations`.
    #[must_use]
    pub const fn new(issuer: String, keys: KeySet, revocations: Arc<Revocations>) -> Self {
        Self {
            issuer,
            keys,
            revocations,
            cursor: None,
            as_of: None,
            most_entries: MAX_ENTRIES,
        }
    }

    /// Puts the feed keys of the issuer's present `/v1/trust` in the place of the former ones.
    pub fn replace_keys(&mut self, keys: KeySet) {
        self.keys = keys;
    }

    pub(crate) const fn as_of(&self) -> Option<UnixTime> {
        self.as_of
    }

    /// Where to resume; `None` before the first snapshot.
    #[must_use]
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Takes one statement: a snapshot or a piece of the stream.
    pub fn apply(&mut self, text: &str, now: UnixTime) -> Outcome {
        match self.open(text, now) {
            Ok(statement) => self.unite(&statement, now),
            Err(outcome) => outcome,
        }
    }

    /// The first half of [`FeedState::apply`]: whether the statement is believed.
    pub(crate) fn open(&self, text: &str, now: UnixTime) -> Result<Statement, Outcome> {
        open_statement(text, &self.keys, &self.issuer, now).map_err(disbelieved)
    }

    /// The second half: what follows from it.
    pub(crate) fn unite(&mut self, statement: &Statement, now: UnixTime) -> Outcome {
        if let Err(error) = self.merge(statement, now) {
            return Outcome::Refused(error);
        }
        let Some(id) = self.known_up_to(statement) else {
            return Outcome::Gap {
                keys_changed: statement.keys_changed,
            };
        };
        self.revocations.heard(statement.as_of);
        self.as_of = self.as_of.max(Some(statement.as_of));
        self.reach(statement, id.clone());
        if statement.keys_changed {
            Outcome::KeysChanged { to: id }
        } else {
            Outcome::Applied { to: id }
        }
    }

    /// Takes a statement that was kept since it was heard. One that has expired still revokes what it names, and what
    /// follows upon it still has no gap; only it says nothing of the present: [`Revocations::heard`] does not move, and
    /// [`FeedError::Expired`] is what comes back.
    pub(crate) fn recall(&mut self, text: &str, now: UnixTime) -> Outcome {
        let statement = match open_signed(text, &self.keys, &self.issuer) {
            Ok(statement) => statement,
            Err(error) => return disbelieved(error),
        };
        if let Err(error) = check_not_future(&statement, now) {
            return Outcome::Refused(error);
        }
        if now < statement.exp.saturating_add(MAX_AHEAD_SECS) {
            return self.unite(&statement, now);
        }
        if let Err(error) = self.merge(&statement, now) {
            return Outcome::Refused(error);
        }
        if let Some(id) = self.known_up_to(&statement) {
            self.reach(&statement, id);
        }
        Outcome::Refused(FeedError::Expired {
            now,
            expired_at: statement.exp,
        })
    }

    /// Takes the revocations of a statement that was kept, and nothing else of it.
    pub(crate) fn recall_entries(&self, text: &str, now: UnixTime) -> Result<(), FeedError> {
        let statement = open_signed(text, &self.keys, &self.issuer)?;
        check_not_future(&statement, now)?;
        self.merge(&statement, now)
    }

    /// Whether a statement revokes something that was not revoked before.
    #[cfg(feature = "http")]
    pub(crate) fn is_news(&self, statement: &Statement) -> bool {
        let known = |entry: &Entry| self.revocations.is_dead(&entry.prefix, entry.before);
        !statement.entries.iter().all(known)
    }

    fn merge(&self, statement: &Statement, now: UnixTime) -> Result<(), FeedError> {
        self.make_room(&statement.entries, now)?;
        // What has expired by a clock that runs ahead may be needed when it is set right.
        let instant = now.min(statement.as_of);
        self.revocations.merge(&statement.entries, instant);
        Ok(())
    }

    fn reach(&mut self, statement: &Statement, id: String) {
        self.cursor = Some(Cursor {
            epoch: statement.epoch.clone(),
            id,
        });
    }

    /// A snapshot mostly repeats what is known, so only what would be new needs room.
    fn make_room(&self, new: &[Entry], now: UnixTime) -> Result<(), FeedError> {
        if self.revocations.len() + new.len() <= self.most_entries {
            return Ok(());
        }
        self.revocations.purge(now);
        let known = |entry: &&Entry| self.revocations.is_dead(&entry.prefix, entry.before);
        let entries = self.revocations.len() + new.iter().filter(|entry| !known(entry)).count();
        if entries > self.most_entries {
            Err(FeedError::Full { entries })
        } else {
            Ok(())
        }
    }

    /// The control entry up to which everything is known with `statement`; `None` if something may be missing.
    fn known_up_to(&self, statement: &Statement) -> Option<String> {
        let Some(cursor) = self
            .cursor
            .as_ref()
            .filter(|cursor| cursor.epoch == statement.epoch)
        else {
            // Another history: only a snapshot says everything about it.
            return statement.snapshot.then(|| statement.to.clone());
        };
        let knows = |id: &str| compare_ids(id, &cursor.id).is_some_and(Ordering::is_le);
        if knows(&statement.to) {
            // A duplicate, an older piece or an older snapshot: what is known already reaches further.
            Some(cursor.id.clone())
        } else if statement.snapshot || knows(&statement.from) {
            Some(statement.to.clone())
        } else {
            None
        }
    }
}

impl Cursor {
    /// The text that the issuer's `?from=` takes.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}", self.epoch, self.id)
    }
}

impl fmt::Debug for FeedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedState")
            .field("issuer", &self.issuer)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// An unknown key is no lie: it may be new.
fn disbelieved(error: FeedError) -> Outcome {
    match error {
        FeedError::UnknownKey { kid } => Outcome::UnknownKey { kid },
        error => Outcome::Refused(error),
    }
}

/// The order of two control ids: numbers with `-` between them, as streams of Redis and counters have them.
/// Ids of another form are only ever equal or unknown.
fn compare_ids(a: &str, b: &str) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    let numbers = |id: &str| {
        id.split('-')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()
            .ok()
    };
    let (a, b) = (numbers(a)?, numbers(b)?);
    (a.len() == b.len()).then(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_compare_as_numbers() {
        assert_eq!(compare_ids("9-1", "10-0"), Some(Ordering::Less));
        assert_eq!(compare_ids("10-2", "10-1"), Some(Ordering::Greater));
        assert_eq!(compare_ids("7", "7"), Some(Ordering::Equal));
        assert_eq!(compare_ids("opaque", "opaque"), Some(Ordering::Equal));
        for (a, b) in [
            ("opaque", "other"),
            ("1", "1-0"),
            ("", "1"),
            ("-1", "1"),
            ("1-99999999999999999999", "1-1"),
        ] {
            assert_eq!(compare_ids(a, b), None, "{a} {b}");
        }
    }

    #[test]
    fn a_full_state_takes_what_it_knows_and_nothing_more() {
        let now = UnixTime::from_secs(1_800_000_000);
        let entry = |number: u8| Entry {
            prefix: crate::revocation::prefix(
                dayfly_token::feed::Kind::Credential,
                &number.to_string(),
            ),
            before: now,
            until: now.saturating_add(900),
        };
        let snapshot = |numbers: std::ops::Range<u8>, second: u64| Statement {
            iss: String::new(),
            epoch: "e1".to_owned(),
            from: "0".to_owned(),
            to: second.to_string(),
            as_of: now.saturating_add(second),
            exp: now.saturating_add(900),
            entries: numbers.map(entry).collect(),
            keys_changed: false,
            snapshot: true,
        };
        let revocations = Arc::new(Revocations::new());
        let mut state = FeedState::new(String::new(), KeySet::default(), Arc::clone(&revocations));
        state.most_entries = 10;
        let outcome = state.unite(&snapshot(0..11, 1), now);
        assert!(
            matches!(outcome, Outcome::Refused(FeedError::Full { entries: 11 })),
            "{outcome:?}"
        );
        assert!(revocations.is_empty());
        for second in 1..5 {
            let outcome = state.unite(&snapshot(0..10, second), now);
            assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
            assert_eq!(revocations.as_of(), Some(now.saturating_add(second)));
        }
        #[cfg(feature = "http")]
        for (numbers, is_news) in [(0..10, false), (9..11, true), (10..11, true)] {
            assert_eq!(state.is_news(&snapshot(numbers, 5)), is_news);
        }
        assert!(format!("{state:?}").contains("epoch: \"e1\""));
        let outcome = state.unite(&snapshot(1..11, 9), now);
        assert!(
            matches!(outcome, Outcome::Refused(FeedError::Full { entries: 11 })),
            "{outcome:?}"
        );
        assert_eq!(
            (revocations.len(), revocations.as_of()),
            (10, Some(now.saturating_add(4)))
        );
    }
}
