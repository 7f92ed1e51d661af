use std::collections::HashMap;
use std::mem;

use dayfly_token::feed::{Entry, Prefix, Statement};
use dayfly_token::{Compact, UnixTime};

use super::{Bundle, MAX_STATEMENT_BYTES, Outcome};

/// Most bytes of statements after the snapshot until another snapshot is wanted: those of about an hour at two changes
/// a second.
const MAX_STATEMENTS_BYTES: usize = 8 * 1024 * 1024;

/// Most bytes of statements from before the snapshot. They are there only if the issuer forgot what it had revoked.
const MAX_OLDER_BYTES: usize = MAX_STATEMENT_BYTES / 2;

/// The texts that say again what was heard: signed, so that whoever reads them later need not believe the reader
/// of today.
#[derive(Clone, Default)]
pub(crate) struct Record {
    snapshot: String,
    snapshot_as_of: Option<UnixTime>,
    statements: Vec<String>,
    older: Vec<String>,
    /// The last of `statements` says nothing but that nothing happened.
    ends_with_beat: bool,
    /// A statement did not fit: what comes after it would only be a gap.
    full: bool,
    as_of: Option<UnixTime>,
}

impl Record {
    /// What `bundle` says. Nothing is verified here.
    pub(crate) fn of(bundle: &Bundle) -> Self {
        let snapshot_as_of = read(&bundle.snapshot).map(|known| known.as_of);
        Self {
            snapshot: bundle.snapshot.clone(),
            snapshot_as_of,
            statements: bundle.statements.clone(),
            older: bundle.older.clone(),
            as_of: snapshot_as_of,
            ..Self::default()
        }
    }

    /// Of when the snapshot is.
    pub(crate) const fn snapshot_as_of(&self) -> Option<UnixTime> {
        self.snapshot_as_of
    }

    /// Notes a statement that was believed and was no mere repetition, and what came of it; `news` says that it revoked
    /// something that was not revoked before. Says whether anything was noted.
    pub(crate) fn note(
        &mut self,
        text: &str,
        statement: &Statement,
        outcome: &Outcome,
        news: bool,
    ) -> bool {
        let to = match outcome {
            Outcome::Applied { to } | Outcome::KeysChanged { to } => Some(to),
            _ => None,
        };
        let reaches_the_end = to == Some(&statement.to);
        match (reaches_the_end, statement.snapshot) {
            (true, true) if Some(statement.as_of) >= self.snapshot_as_of => {
                self.begin_with(text, statement);
                true
            }
            (true, false) if !self.snapshot.is_empty() => self.follow(text, statement),
            // A gap, or something old.
            _ if news => {
                self.keep_older(text.to_owned());
                true
            }
            _ => false,
        }
    }

    /// Whether a new snapshot would make the record shorter, or keep its signer known: feed keys stay for a lifetime
    /// after their last statement.
    pub(crate) fn wants_snapshot(&self, max_lifetime_secs: u64) -> bool {
        let age = self.as_of.zip(self.snapshot_as_of);
        self.full || age.is_some_and(|(now, then)| now.seconds_since(then) > max_lifetime_secs / 2)
    }

    /// Puts the texts into `bundle`; `false` if there is no snapshot yet.
    pub(crate) fn write_into(&self, bundle: &mut Bundle) -> bool {
        bundle.snapshot.clone_from(&self.snapshot);
        bundle.statements.clone_from(&self.statements);
        bundle.older.clone_from(&self.older);
        !self.snapshot.is_empty()
    }

    /// A snapshot takes the place of everything before it, except for what revokes something that it lacks.
    fn begin_with(&mut self, text: &str, snapshot: &Statement) {
        let former = mem::replace(
            self,
            Self {
                snapshot: text.to_owned(),
                snapshot_as_of: Some(snapshot.as_of),
                as_of: self.as_of.max(Some(snapshot.as_of)),
                ..Self::default()
            },
        );
        let named: HashMap<Prefix, &Entry> = snapshot
            .entries
            .iter()
            .map(|entry| (entry.prefix, entry))
            .collect();
        let is_named = |entry: &Entry| {
            named
                .get(&entry.prefix)
                .is_some_and(|known| known.before >= entry.before && known.until >= entry.until)
        };
        let lives = |entry: &Entry| entry.until >= snapshot.as_of;
        for text in former
            .older
            .into_iter()
            .chain([former.snapshot])
            .chain(former.statements)
        {
            let lacking = read(&text).is_some_and(|known| {
                known
                    .entries
                    .iter()
                    .any(|entry| lives(entry) && !is_named(entry))
            });
            if lacking {
                self.keep_older(text);
            }
        }
    }

    fn follow(&mut self, text: &str, statement: &Statement) -> bool {
        let is_beat = statement.from == statement.to && statement.entries.is_empty();
        if self.ends_with_beat {
            self.statements.pop();
        }
        self.ends_with_beat = is_beat;
        let length: usize = self.statements.iter().map(String::len).sum();
        self.full |= length + text.len() > MAX_STATEMENTS_BYTES;
        if self.full {
            self.ends_with_beat = false;
            return false;
        }
        self.statements.push(text.to_owned());
        self.as_of = self.as_of.max(Some(statement.as_of));
        true
    }

    fn keep_older(&mut self, text: String) {
        if self.older.contains(&text) {
            return;
        }
        self.older.push(text);
        let mut length: usize = self.older.iter().map(String::len).sum();
        while length > MAX_OLDER_BYTES && !self.older.is_empty() {
            length -= self.older.remove(0).len();
        }
    }
}

/// The statement in a text that was verified before.
fn read(text: &str) -> Option<Statement> {
    let compact = Compact::split_within(text, MAX_STATEMENT_BYTES).ok()?;
    Statement::parse(&compact.payload_bytes().ok()?).ok()
}
