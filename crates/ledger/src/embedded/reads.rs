//! What is read, each from one consistent snapshot.

use dayfly_issuer::{Issuance, LedgerError};
use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};
use redb::{ReadTransaction, ReadableTable};

use super::tables::{
    CREDENTIALS, DECISIONS, DENIALS, GENERATION_KEY, ISSUANCES, LIVE, LOG, NUMBERS, PERMITS,
    SEQ_KEY, SINCE_KEY, SLOTS,
};
use super::writer::storage_error;
use crate::limits::{self, MAX_FOLLOW_BATCH, MAX_LIVE_READ};
use crate::packed::{self, Packed};

/// The control state as the file has it.
pub(super) struct Loaded {
    pub(super) generation: u64,
    pub(super) since: UnixTime,
    pub(super) seq: u64,
    pub(super) entries: Vec<Vec<u8>>,
}

pub(super) fn issuance(
    transaction: &ReadTransaction,
    id: CredentialId,
    now: UnixTime,
) -> Result<Option<Issuance>, LedgerError> {
    let credentials = transaction.open_table(CREDENTIALS).map_err(failed)?;
    let Some(number) = credentials.get(id.as_bytes()).map_err(failed)? else {
        return Ok(None);
    };
    let issuances = transaction.open_table(ISSUANCES).map_err(failed)?;
    let Some(bytes) = issuances.get(number.value()).map_err(failed)? else {
        return Ok(None);
    };
    let issuance = Packed::read(bytes.value())?.issuance()?;
    let kept_until = limits::record_kept_until(issuance.expires_at);
    Ok((kept_until > now.as_secs()).then_some(issuance))
}

pub(super) fn live_of(
    transaction: &ReadTransaction,
    workload: &WorkloadId,
    now: UnixTime,
    most: usize,
) -> Result<Vec<CredentialId>, LedgerError> {
    /// Above every member.
    const LAST: [u8; 32] = [0xff; 32];
    let table = transaction.open_table(LIVE).map_err(failed)?;
    let workload = workload.to_string();
    let mut found = Vec::new();
    let members = table
        .range((workload.as_str(), [].as_slice())..=(workload.as_str(), LAST.as_slice()))
        .map_err(failed)?;
    for entry in members.rev().take(MAX_LIVE_READ) {
        if found.len() >= most {
            break;
        }
        let (key, ends_at) = entry.map_err(failed)?;
        if ends_at.value() > now.as_secs() {
            let id = packed::member_id(key.value().1).ok_or_else(|| LedgerError::Corrupt {
                what: "a place in the index of a workload".to_owned(),
            })?;
            found.push(id);
        }
    }
    Ok(found)
}

pub(super) fn decision(
    transaction: &ReadTransaction,
    id: DecisionId,
) -> Result<Option<String>, LedgerError> {
    let decisions = transaction.open_table(DECISIONS).map_err(failed)?;
    let Some(place) = decisions.get(id.as_bytes()).map_err(failed)? else {
        return Ok(None);
    };
    let (permit, number) = place.value();
    let lines = transaction
        .open_table(if permit { PERMITS } else { DENIALS })
        .map_err(failed)?;
    let line = lines.get(number).map_err(failed)?;
    Ok(line.map(|line| line.value().2.to_owned()))
}

pub(super) fn control(transaction: &ReadTransaction, now: UnixTime) -> Result<Loaded, LedgerError> {
    let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
    let number = |key: &str| {
        let found = numbers.get(key).map_err(failed)?;
        found
            .map(|number| number.value())
            .ok_or_else(|| LedgerError::Corrupt {
                what: format!("no `{key}` in the ledger"),
            })
    };
    let slots = transaction.open_table(SLOTS).map_err(failed)?;
    let mut entries = Vec::new();
    for slot in slots.iter().map_err(failed)? {
        let (_, held) = slot.map_err(failed)?;
        let (until, sealed) = held.value();
        if until > now.as_secs() {
            entries.push(sealed.to_vec());
        }
    }
    Ok(Loaded {
        generation: number(GENERATION_KEY)?,
        since: UnixTime::from_secs(number(SINCE_KEY)?),
        seq: number(SEQ_KEY)?,
        entries,
    })
}

/// The sealed entries after `seq`, or a gap if the log no longer reaches back to it.
pub(super) fn control_after(
    transaction: &ReadTransaction,
    seq: u64,
) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
    let log = transaction.open_table(LOG).map_err(failed)?;
    let last = log
        .last()
        .map_err(failed)?
        .map_or(0, |(number, _)| number.value());
    if seq > last {
        return Err(LedgerError::Gap);
    }
    let mut entries = Vec::new();
    for (entry, next) in log.range(seq + 1..).map_err(failed)?.zip(seq + 1..) {
        let (number, sealed) = entry.map_err(failed)?;
        if number.value() != next {
            return Err(LedgerError::Gap);
        }
        entries.push((next, sealed.value().to_vec()));
        if entries.len() >= MAX_FOLLOW_BATCH {
            break;
        }
    }
    Ok(entries)
}

pub(super) fn failed(error: impl Into<redb::Error>) -> LedgerError {
    storage_error(&error.into())
}
