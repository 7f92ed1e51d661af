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

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(from: u64, to: u64, snapshot: bool) -> Statement {
        Statement {
            iss: String::new(),
            epoch: "e1".to_owned(),
            from: from.to_string(),
            to: to.to_string(),
            as_of: UnixTime::from_secs(to),
            exp: UnixTime::from_secs(to + 3600),
            entries: vec![],
            keys_changed: false,
            snapshot,
        }
    }

    fn applied(to: u64) -> Outcome {
        Outcome::Applied { to: to.to_string() }
    }

    fn length(record: &Record) -> usize {
        let texts = record.statements.iter().chain(&record.older);
        texts.map(String::len).sum::<usize>() + record.snapshot.len()
    }

    #[test]
    fn a_snapshot_keeps_what_revokes_something_that_it_lacks() {
        let authority = crate::testing::TestAuthority::from_seed("https://sts.example", [5; 32]);
        let authority = authority.unwrap();
        let entry = |before: u64, until: u64| Entry {
            prefix: crate::revocation::prefix(dayfly_token::feed::Kind::Task, "payments/a"),
            before: UnixTime::from_secs(before),
            until: UnixTime::from_secs(until),
        };
        let snapshot = |to: u64, entries: Vec<Entry>| Statement {
            entries,
            ..statement(0, to, true)
        };
        // The second snapshot is of the instant 2.
        for (known, said, is_kept) in [
            (entry(5, 9), vec![entry(5, 9)], false),
            (entry(5, 9), vec![entry(6, 10)], false),
            (entry(5, 9), vec![], true),
            (entry(5, 9), vec![entry(4, 9)], true),
            (entry(5, 9), vec![entry(5, 8)], true),
            (entry(5, 2), vec![], true),
            (entry(5, 1), vec![], false),
        ] {
            let mut record = Record::default();
            let former = snapshot(1, vec![known]);
            let text = authority.sign_statement(&former).unwrap();
            assert!(record.note(&text, &former, &applied(1), true));
            assert!(record.note("later", &snapshot(2, said.clone()), &applied(2), false));
            let kept: &[String] = if is_kept { &[text] } else { &[] };
            assert_eq!(record.older, kept, "{known:?} {said:?}");
            assert_eq!(record.snapshot, "later");
        }
    }

    #[test]
    fn what_was_kept_is_kept_again() {
        let authority = crate::testing::TestAuthority::from_seed("https://sts.example", [5; 32]);
        let snapshot = authority.unwrap().sign_statement(&statement(0, 7, true));
        let bundle = Bundle {
            snapshot: snapshot.unwrap(),
            statements: vec!["a".to_owned(), "b".to_owned()],
            older: vec!["c".to_owned()],
            ..Bundle::default()
        };
        let record = Record::of(&bundle);
        assert_eq!(record.snapshot_as_of(), Some(UnixTime::from_secs(7)));
        let mut again = Bundle::default();
        assert!(record.write_into(&mut again));
        assert_eq!(again.snapshot, bundle.snapshot);
        assert_eq!(again.statements, bundle.statements);
        assert_eq!(again.older, bundle.older);
        assert!(!Record::default().write_into(&mut again));
    }

    #[test]
    fn half_a_lifetime_wants_a_snapshot() {
        let mut record = Record::default();
        assert!(record.note("snapshot", &statement(0, 1, true), &applied(1), false));
        assert!(record.note("a", &statement(1, 1801, false), &applied(1801), true));
        assert!(!record.wants_snapshot(3600));
        assert!(record.note("b", &statement(1801, 1802, false), &applied(1802), true));
        assert!(record.wants_snapshot(3600));
        // A snapshot that was old when it came takes nothing back of what was heard since.
        assert!(record.note("late", &statement(0, 2, true), &applied(2), false));
        assert!(!record.wants_snapshot(3600) && record.wants_snapshot(3599));
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut record = Record::default();
        let quarter = |of: char| of.to_string().repeat(MAX_OLDER_BYTES / 4);
        for of in ['a', 'b', 'c', 'd', 'd'] {
            record.keep_older(quarter(of));
        }
        assert_eq!(record.older, ['a', 'b', 'c', 'd'].map(quarter));
        record.keep_older(quarter('e'));
        assert_eq!(record.older, ['b', 'c', 'd', 'e'].map(quarter));
        let half = "f".repeat(MAX_OLDER_BYTES / 2);
        record.keep_older(half.clone());
        assert_eq!(record.older, [quarter('d'), quarter('e'), half]);
    }

    #[test]
    fn a_record_that_is_full_waits_for_a_snapshot() {
        let mut record = Record::default();
        assert!(
            !record.note("too early", &statement(0, 1, false), &applied(1), false),
            "nothing follows upon nothing"
        );
        assert!(record.note("snapshot", &statement(0, 1, true), &applied(1), false));
        let text = "x".repeat(MAX_STATEMENTS_BYTES / 4);
        for to in 2..20 {
            let noted = record.note(&text, &statement(to - 1, to, false), &applied(to), true);
            // What comes after a gap would say that nothing is missing.
            assert_eq!(noted, to < 6, "{to}");
            assert_eq!(record.wants_snapshot(3600), to >= 6, "{to}");
        }
        assert!(!record.note("small", &statement(20, 21, false), &applied(21), true));
        assert!(record.note("snapshot", &statement(0, 22, true), &applied(22), false));
        assert!(!record.wants_snapshot(3600) && record.statements.is_empty());
        assert!(record.note("small", &statement(22, 23, false), &applied(23), true));
        // An older snapshot does not begin it again.
        assert!(!record.note("old", &statement(0, 10, true), &applied(23), false));
        let of_another_epoch = statement(0, 10, true);
        assert!(!record.note("old", &of_another_epoch, &applied(10), false));
        assert_eq!(record.snapshot, "snapshot");
    }

    #[test]
    fn what_is_kept_from_before_is_bounded() {
        let mut record = Record::default();
        assert!(record.note("snapshot", &statement(0, 1, true), &applied(1), false));
        let gap = Outcome::Gap {
            keys_changed: false,
        };
        for number in 0..20_u8 {
            let text = char::from(b'a' + number)
                .to_string()
                .repeat(MAX_OLDER_BYTES / 5);
            for _ in 0..2 {
                record.note(&text, &statement(7, 8, false), &gap, true);
            }
        }
        assert_eq!(record.older.len(), 5);
        assert!(
            record
                .older
                .iter()
                .all(|text| text.as_bytes() >= b"p".as_slice())
        );
        assert!(length(&record) < 2 * MAX_STATEMENT_BYTES);
        assert!(!record.note("no news", &statement(7, 8, false), &gap, false));
    }
}
