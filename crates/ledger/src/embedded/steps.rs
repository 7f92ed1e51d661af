//! What the calls do inside a transaction: every check, then every write.

use dayfly_issuer::{Commit, ControlWrite, LedgerError, RateLimit, ReplayMark};
use dayfly_token::{CredentialId, DecisionId, UnixTime};
use redb::{ReadableTable, ReadableTableMetadata, Table};

use super::purge::{ISSUANCE, LIMIT, MARK, SLOT, thing};
use super::rate::{Verdict, one_more};
use super::tables::Tables;
use super::writer::Batch;
use crate::limits::{self, CONTROL_LOG_CAP, MAX_CONTROL_SLOTS, MAX_SKEW_MS};
use crate::packed::{self, Packed, VOID};
use crate::redis::taken;

/// The outcome of a step; the outer error means that the file itself failed.
pub(super) type Outcome<T> = Result<Result<T, LedgerError>, redb::Error>;

/// A [`Commit`] that owns what it needs.
pub(super) struct Recording {
    generation: u64,
    unix_ms: u64,
    attempt: [u8; 16],
    replay: Option<ReplayMark>,
    limits: Vec<RateLimit>,
    id: CredentialId,
    packed: Vec<u8>,
    workload: String,
    expires_at: UnixTime,
    decision: DecisionId,
    audit: String,
}

impl Recording {
    pub(super) fn new(commit: &Commit<'_>) -> Result<Self, LedgerError> {
        limits::check_commit(commit)?;
        Ok(Self {
            generation: commit.generation,
            unix_ms: commit.unix_ms,
            attempt: commit.attempt,
            replay: commit.replay,
            limits: commit.limits.to_vec(),
            id: commit.issuance.id,
            packed: packed::pack(commit.issuance, &commit.attempt, commit.unix_ms)?,
            workload: commit.issuance.workload.to_string(),
            expires_at: commit.issuance.expires_at,
            decision: commit.decision,
            audit: commit.audit.to_owned(),
        })
    }

    pub(super) fn apply(&self, batch: &mut Batch<'_>) -> Outcome<()> {
        if self.generation != batch.head.generation {
            return Ok(Err(LedgerError::Generation {
                ours: self.generation,
                store: batch.head.generation,
            }));
        }
        if let Err(skew) = self.check_clock(batch) {
            return Ok(Err(skew));
        }
        if let Some((_, held)) = held(&batch.tables, self.id)? {
            // The same attempt again gets the first answer; a void record is no answer.
            return Ok(match Packed::read(&held) {
                Ok(record) if record.stands_for(&self.attempt) => Ok(()),
                Ok(_) => Err(taken()),
                Err(error) => Err(error),
            });
        }
        if let Some(mark) = &self.replay
            && let Some(until) = batch.tables.marks.get(&mark.digest)?
            && until.value() > batch.now_ms / 1000
        {
            return Ok(Err(LedgerError::Replayed));
        }
        match self.arrivals(batch)? {
            Ok(arrivals) => self.write(batch, &arrivals).map(Ok),
            Err(limited) => Ok(Err(limited)),
        }
    }

    /// The clock of the machine, and the latest instant that was ever recorded: a clock that was
    /// set back would let old credentials look new.
    fn check_clock(&self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let ahead_of = |other: u64| {
            i64::try_from(i128::from(self.unix_ms) - i128::from(other)).unwrap_or(i64::MAX)
        };
        let skew_ms = ahead_of(batch.now_ms);
        if skew_ms.unsigned_abs() > MAX_SKEW_MS {
            return Err(LedgerError::ClockSkew { skew_ms });
        }
        if self.unix_ms.saturating_add(MAX_SKEW_MS) < batch.head.latest_ms {
            return Err(LedgerError::ClockSkew {
                skew_ms: ahead_of(batch.head.latest_ms),
            });
        }
        Ok(())
    }

    /// What each rate becomes, or the one that is used up for longest.
    fn arrivals(&self, batch: &Batch<'_>) -> Outcome<Vec<u64>> {
        let mut arrivals = Vec::with_capacity(self.limits.len());
        let mut longest: Option<(&RateLimit, u64)> = None;
        for limit in &self.limits {
            let stored = batch.tables.limits.get(limit.key.as_str())?;
            let (interval_ms, burst) = limits::rate(limit.interval_ms, limit.burst);
            let stored = stored.map(|arrival| arrival.value());
            match one_more(stored, interval_ms, burst, batch.now_ms) {
                Verdict::Passes { arrival_ms } => arrivals.push(arrival_ms),
                Verdict::Waits { for_ms } => {
                    if longest.is_none_or(|(_, most)| for_ms > most) {
                        longest = Some((limit, for_ms));
                    }
                }
            }
        }
        Ok(match longest {
            None => Ok(arrivals),
            Some((limit, retry_after_ms)) => Err(LedgerError::RateLimited {
                key: limit.key.clone(),
                retry_after_ms,
            }),
        })
    }

    fn write(&self, batch: &mut Batch<'_>, arrivals: &[u64]) -> Result<(), redb::Error> {
        let tables = &mut batch.tables;
        if let Some(mark) = &self.replay {
            let until = limits::mark_kept_until(mark.until);
            tables.marks.insert(&mark.digest, until)?;
            tables
                .expiry
                .insert((until, thing(MARK, &mark.digest).as_slice()), ())?;
        }
        for (limit, arrival_ms) in self.limits.iter().zip(arrivals) {
            let known = tables
                .limits
                .insert(limit.key.as_str(), *arrival_ms)?
                .is_some();
            if !known {
                let key = thing(LIMIT, limit.key.as_bytes());
                tables
                    .expiry
                    .insert((arrival_ms / 1000 + 1, key.as_slice()), ())?;
            }
        }
        let number = next(&tables.issuances)?;
        tables.issuances.insert(number, self.packed.as_slice())?;
        tables.credentials.insert(self.id.as_bytes(), number)?;
        tables.expiry.insert(
            (
                limits::record_kept_until(self.expires_at),
                thing(ISSUANCE, &number.to_be_bytes()).as_slice(),
            ),
            (),
        )?;
        tables.live.insert(
            (
                self.workload.as_str(),
                packed::live_member(self.unix_ms, self.id).as_slice(),
            ),
            limits::lives_until(self.expires_at),
        )?;
        note(tables, true, self.decision, &self.audit, batch.now_ms)?;
        batch.head.latest_ms = batch.head.latest_ms.max(self.unix_ms);
        Ok(())
    }
}

/// The number that comes after the last of a table.
fn next<V: redb::Value>(table: &Table<'_, u64, V>) -> Result<u64, redb::Error> {
    Ok(table.last()?.map_or(0, |(last, _)| last.value() + 1))
}

/// The record of a credential, and its number.
fn held(tables: &Tables<'_>, id: CredentialId) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
    let Some(number) = tables.credentials.get(id.as_bytes())? else {
        return Ok(None);
    };
    let number = number.value();
    let bytes = tables.issuances.get(number)?;
    Ok(bytes.map(|bytes| (number, bytes.value().to_vec())))
}

/// Keeps an audit line under its decision, once. A permit whose credential was not released gets a
/// denial's line as well, the last word.
fn note(
    tables: &mut Tables<'_>,
    permit: bool,
    decision: DecisionId,
    line: &str,
    now_ms: u64,
) -> Result<(), redb::Error> {
    let decision = decision.as_bytes();
    let noted = tables.decisions.get(decision)?.map(|place| place.value().0);
    if noted.is_some_and(|noted_permit| permit || !noted_permit) {
        return Ok(());
    }
    let lines = if permit {
        &mut tables.permits
    } else {
        &mut tables.denials
    };
    let number = next(lines)?;
    lines.insert(number, (decision, now_ms, line))?;
    tables.decisions.insert(decision, (permit, number))?;
    Ok(())
}

pub(super) fn note_denial(batch: &mut Batch<'_>, decision: DecisionId, line: &str) -> Outcome<()> {
    note(&mut batch.tables, false, decision, line, batch.now_ms).map(Ok)
}

pub(super) fn void(batch: &mut Batch<'_>, id: CredentialId) -> Outcome<()> {
    let tables = &mut batch.tables;
    let Some((number, mut bytes)) = held(tables, id)? else {
        return Ok(Ok(()));
    };
    let (workload, member) = {
        let read = Packed::read(&bytes)
            .and_then(|packed| Ok((packed.issuance()?.workload, packed.live_member(id))));
        match read {
            Ok((workload, member)) => (workload.to_string(), member),
            Err(error) => return Ok(Err(error)),
        }
    };
    if let Some(state) = bytes.first_mut() {
        *state = VOID;
    }
    tables.issuances.insert(number, bytes.as_slice())?;
    tables.live.remove((workload.as_str(), member.as_slice()))?;
    Ok(Ok(()))
}

/// Each entry replaces its slot and gets the next number. Returns the last number.
pub(super) fn write_control(
    batch: &mut Batch<'_>,
    generation: u64,
    entries: &[ControlWrite],
) -> Outcome<u64> {
    if generation != batch.head.generation {
        return Ok(Err(LedgerError::Generation {
            ours: generation,
            store: batch.head.generation,
        }));
    }
    let tables = &mut batch.tables;
    if tables.slots.len()? + entries.len() as u64 > MAX_CONTROL_SLOTS as u64 {
        return Ok(Err(LedgerError::Unavailable {
            reason: format!("the control state has {MAX_CONTROL_SLOTS} entries already"),
        }));
    }
    for entry in entries {
        let key = thing(SLOT, entry.slot.as_bytes());
        let until = entry.until.as_secs();
        let before = tables
            .slots
            .insert(entry.slot.as_str(), (until, entry.sealed.as_slice()))?
            .map(|held| held.value().0);
        if let Some(before) = before {
            tables.expiry.remove((before, key.as_slice()))?;
        }
        tables.expiry.insert((until, key.as_slice()), ())?;
        batch.head.seq += 1;
        tables.log.insert(batch.head.seq, entry.sealed.as_slice())?;
    }
    while tables.log.len()? > CONTROL_LOG_CAP {
        tables.log.pop_first()?;
    }
    Ok(Ok(batch.head.seq))
}

pub(super) fn raise_generation(batch: &mut Batch<'_>, from: u64, now: UnixTime) -> Outcome<u64> {
    if from != batch.head.generation {
        return Ok(Err(LedgerError::Generation {
            ours: from,
            store: batch.head.generation,
        }));
    }
    let now_s = batch.now_ms / 1000;
    // Whole seconds may differ by one more than the clocks.
    if now.as_secs().abs_diff(now_s) > MAX_SKEW_MS / 1000 + 1 {
        let skew = i128::from(now.as_secs()) - i128::from(now_s);
        return Ok(Err(LedgerError::ClockSkew {
            skew_ms: i64::try_from(skew * 1000).unwrap_or(i64::MAX),
        }));
    }
    batch.head.generation += 1;
    batch.head.since = now.as_secs().max(now_s);
    Ok(Ok(batch.head.generation))
}
