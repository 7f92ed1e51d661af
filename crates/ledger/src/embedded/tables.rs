//! The tables of the embedded store.

use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};

/// The layout that this code reads and writes. A file with another is refused.
const LAYOUT: u64 = 1;

type Id = &'static [u8; 16];

/// Layout, generation and its instant, last control number, latest instant.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The epoch.
pub(super) const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts");
/// Number to packed issuance, in the order of recording: what is large is only ever appended, since
/// a value at a random place costs a page of its own.
pub(super) const ISSUANCES: TableDefinition<u64, &[u8]> = TableDefinition::new("issuances");
/// Credential to the number of its issuance.
pub(super) const CREDENTIALS: TableDefinition<Id, u64> = TableDefinition::new("credentials");
/// Evidence to the second until which its mark counts.
pub(super) const MARKS: TableDefinition<&[u8; 32], u64> = TableDefinition::new("marks");
/// Rate to when the next would arrive at the steady rate, in milliseconds.
pub(super) const LIMITS: TableDefinition<&str, u64> = TableDefinition::new("limits");
/// Workload, instant and id of a credential to the second at which it ends.
pub(super) const LIVE: TableDefinition<(&str, &[u8]), u64> = TableDefinition::new("live");
/// Number to decision, instant in milliseconds and audit line, in the order of writing.
pub(super) const PERMITS: TableDefinition<u64, (Id, u64, &str)> = TableDefinition::new("permits");
/// The same of denials.
pub(super) const DENIALS: TableDefinition<u64, (Id, u64, &str)> = TableDefinition::new("denials");
/// Decision to whether it is a permit, and the number of its line.
pub(super) const DECISIONS: TableDefinition<Id, (bool, u64)> = TableDefinition::new("decisions");
/// Second and thing that may be forgotten then.
pub(super) const EXPIRY: TableDefinition<(u64, &[u8]), ()> = TableDefinition::new("expiry");
/// Control slot to the second until which it counts, and its sealed entry.
pub(super) const SLOTS: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("slots");
/// Control number to sealed entry, without gaps.
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

const LAYOUT_KEY: &str = "layout";
const EPOCH_KEY: &str = "epoch";
pub(super) const GENERATION_KEY: &str = "generation";
pub(super) const SINCE_KEY: &str = "since";
pub(super) const SEQ_KEY: &str = "seq";
const LATEST_KEY: &str = "latest_ms";

/// What every step looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) generation: u64,
    /// When the generation became what it is, in seconds since 1970.
    pub(super) since: u64,
    /// The number of the last control entry.
    pub(super) seq: u64,
    /// The latest instant of a commit, in milliseconds since 1970.
    pub(super) latest_ms: u64,
}

/// Audit lines of one outcome.
pub(super) type Lines<'t> = Table<'t, u64, (Id, u64, &'static str)>;

/// All tables, open for one batch.
pub(super) struct Tables<'t> {
    numbers: Table<'t, &'static str, u64>,
    pub(super) issuances: Table<'t, u64, &'static [u8]>,
    pub(super) credentials: Table<'t, Id, u64>,
    pub(super) marks: Table<'t, &'static [u8; 32], u64>,
    pub(super) limits: Table<'t, &'static str, u64>,
    pub(super) live: Table<'t, (&'static str, &'static [u8]), u64>,
    pub(super) permits: Lines<'t>,
    pub(super) denials: Lines<'t>,
    pub(super) decisions: Table<'t, Id, (bool, u64)>,
    pub(super) expiry: Table<'t, (u64, &'static [u8]), ()>,
    pub(super) slots: Table<'t, &'static str, (u64, &'static [u8])>,
    pub(super) log: Table<'t, u64, &'static [u8]>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            numbers: transaction.open_table(NUMBERS)?,
            issuances: transaction.open_table(ISSUANCES)?,
            credentials: transaction.open_table(CREDENTIALS)?,
            marks: transaction.open_table(MARKS)?,
            limits: transaction.open_table(LIMITS)?,
            live: transaction.open_table(LIVE)?,
            permits: transaction.open_table(PERMITS)?,
            denials: transaction.open_table(DENIALS)?,
            decisions: transaction.open_table(DECISIONS)?,
            expiry: transaction.open_table(EXPIRY)?,
            slots: transaction.open_table(SLOTS)?,
            log: transaction.open_table(LOG)?,
        })
    }

    /// Writes what changed of the head.
    pub(super) fn put_head(&mut self, before: &Head, after: &Head) -> Result<(), redb::Error> {
        for (key, was, is) in [
            (GENERATION_KEY, before.generation, after.generation),
            (SINCE_KEY, before.since, after.since),
            (SEQ_KEY, before.seq, after.seq),
            (LATEST_KEY, before.latest_ms, after.latest_ms),
        ] {
            if was != is {
                self.numbers.insert(key, is)?;
            }
        }
        Ok(())
    }
}

/// What a file holds when it is opened.
pub(super) struct Opened {
    pub(super) head: Head,
    pub(super) epoch: String,
}

/// Reads the head of the file, or starts an empty one. `None`: another layout, or none at all.
pub(super) fn start(
    database: &Database,
    new_epoch: &str,
    now_s: u64,
) -> Result<Option<Opened>, redb::Error> {
    let transaction = database.begin_write()?;
    let opened = {
        let mut tables = Tables::open(&transaction)?;
        let mut texts = transaction.open_table(TEXTS)?;
        let numbers = &mut tables.numbers;
        let number = |numbers: &Table<'_, &'static str, u64>, key| {
            Ok::<_, redb::Error>(numbers.get(key)?.map(|value| value.value()))
        };
        let layout = number(numbers, LAYOUT_KEY)?;
        if layout.is_none() && numbers.is_empty_table()? {
            numbers.insert(LAYOUT_KEY, LAYOUT)?;
            numbers.insert(GENERATION_KEY, 1)?;
            numbers.insert(SINCE_KEY, now_s)?;
            numbers.insert(SEQ_KEY, 0)?;
            numbers.insert(LATEST_KEY, 0)?;
            texts.insert(EPOCH_KEY, new_epoch)?;
        } else if layout != Some(LAYOUT) {
            return Ok(None);
        }
        let epoch = texts.get(EPOCH_KEY)?.map(|value| value.value().to_owned());
        let head = (
            number(numbers, GENERATION_KEY)?,
            number(numbers, SINCE_KEY)?,
            number(numbers, SEQ_KEY)?,
            number(numbers, LATEST_KEY)?,
        );
        let (Some(generation), Some(since), Some(seq), Some(latest_ms)) = head else {
            return Ok(None);
        };
        let Some(epoch) = epoch else {
            return Ok(None);
        };
        Opened {
            head: Head {
                generation,
                since,
                seq,
                latest_ms,
            },
            epoch,
        }
    };
    transaction.commit()?;
    Ok(Some(opened))
}

/// Whether a table holds nothing.
trait IsEmptyTable {
    fn is_empty_table(&self) -> Result<bool, redb::Error>;
}

impl IsEmptyTable for Table<'_, &'static str, u64> {
    fn is_empty_table(&self) -> Result<bool, redb::Error> {
        Ok(self.first()?.is_none())
    }
}
