//! Forgetting, in bounded steps beside the writing.

use redb::{ReadableTable, ReadableTableMetadata};

use super::tables::Tables;
use super::writer::Batch;
use crate::limits::AUDIT_KEPT_SECS;
use crate::packed::Packed;

/// Things forgotten per transaction beside its own steps, so that an idle store catches up.
const STEP: usize = 256;

/// The kinds of things in the table of expiry: the first byte of their key.
pub(super) const ISSUANCE: u8 = b'i';
pub(super) const LIMIT: u8 = b'l';
pub(super) const MARK: u8 = b'm';
pub(super) const SLOT: u8 = b's';

/// The key of a thing in the table of expiry.
pub(super) fn thing(kind: u8, id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(kind);
    key.extend_from_slice(id);
    key
}

/// Forgets some of what is over. Each step of the batch adds up to five things, so at least as
/// many are looked at. Returns how many went.
pub(super) fn some(batch: &mut Batch<'_>, now_ms: u64, steps: usize) -> Result<usize, redb::Error> {
    let budget = STEP.max(8 * steps);
    let things = expired(batch, now_ms, budget)?;
    let caps = batch.caps;
    let oldest_ms = now_ms.saturating_sub(AUDIT_KEPT_SECS * 1000);
    let tables = &mut batch.tables;
    let mut gone = Vec::new();
    for (permit, lines, cap) in [
        (true, &mut tables.permits, caps.permits),
        (false, &mut tables.denials, caps.denials),
    ] {
        for _ in 0..budget {
            let over = lines.len()? > cap;
            match lines.first()? {
                Some((_, line)) if over || line.value().1 < oldest_ms => {}
                _ => break,
            }
            if let Some((number, line)) = lines.pop_first()? {
                gone.push((*line.value().0, (permit, number.value())));
            }
        }
    }
    for (decision, place) in &gone {
        // A later line of the same decision stays.
        let held = tables.decisions.get(decision)?.map(|held| held.value());
        if held == Some(*place) {
            tables.decisions.remove(decision)?;
        }
    }
    Ok(things + gone.len())
}

fn expired(batch: &mut Batch<'_>, now_ms: u64, budget: usize) -> Result<usize, redb::Error> {
    let now_s = now_ms / 1000;
    let mut over = Vec::new();
    for entry in batch
        .tables
        .expiry
        .range::<(u64, &[u8])>(..(now_s, [].as_slice()))?
        .take(budget)
    {
        let (key, ()) = entry.map(|(key, _)| (key, ()))?;
        let (at, thing) = key.value();
        over.push((at, thing.to_vec()));
    }
    for (at, thing) in &over {
        batch.tables.expiry.remove((*at, thing.as_slice()))?;
        forget(&mut batch.tables, thing, now_ms)?;
    }
    Ok(over.len())
}

fn forget(tables: &mut Tables<'_>, thing: &[u8], now_ms: u64) -> Result<(), redb::Error> {
    match thing.split_first() {
        Some((&ISSUANCE, number)) => forget_issuance(tables, number),
        Some((&MARK, digest)) => {
            if let Ok(digest) = <&[u8; 32]>::try_from(digest) {
                tables.marks.remove(digest)?;
            }
            Ok(())
        }
        Some((&LIMIT, name)) => forget_limit(tables, name, now_ms),
        Some((&SLOT, name)) => {
            if let Ok(name) = std::str::from_utf8(name) {
                tables.slots.remove(name)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn forget_issuance(tables: &mut Tables<'_>, number: &[u8]) -> Result<(), redb::Error> {
    let Ok(number) = <[u8; 8]>::try_from(number) else {
        return Ok(());
    };
    let Some(bytes) = tables.issuances.remove(u64::from_be_bytes(number))? else {
        return Ok(());
    };
    // A record that cannot be read has no place in an index that could be found.
    let places = Packed::read(bytes.value()).and_then(|packed| {
        let issuance = packed.issuance()?;
        let member = packed.live_member(issuance.id);
        Ok((issuance.id, issuance.workload.to_string(), member))
    });
    drop(bytes);
    if let Ok((id, workload, member)) = places {
        tables.credentials.remove(id.as_bytes())?;
        tables.live.remove((workload.as_str(), member.as_slice()))?;
    }
    Ok(())
}

/// A rate that was used since comes up again when it is at rest.
fn forget_limit(tables: &mut Tables<'_>, name: &[u8], now_ms: u64) -> Result<(), redb::Error> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Ok(());
    };
    let arrival_ms = tables.limits.get(text)?.map(|arrival| arrival.value());
    match arrival_ms {
        Some(arrival_ms) if arrival_ms > now_ms => {
            let rest = thing(LIMIT, name);
            tables
                .expiry
                .insert((arrival_ms / 1000 + 1, rest.as_slice()), ())?;
        }
        _ => {
            tables.limits.remove(text)?;
        }
    }
    Ok(())
}
