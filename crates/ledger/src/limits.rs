//! Every bound that both stores share, with its reason.

use dayfly_issuer::{Commit, ControlWrite, LedgerError};
use dayfly_token::UnixTime;

/// δ of the protocols: the largest distance between a replica's wall clock and the store's.
pub(crate) const MAX_SKEW_MS: u64 = dayfly_issuer::control::CLOCK_DISTANCE_SECS * 1000;

/// How long an audit line can be found by its decision: a day, so that the question "why was I
/// refused last night" has an answer. The log of the server keeps it for longer.
pub const AUDIT_KEPT_SECS: u64 = 24 * 3600;

/// The longest audit line. A line is 1 to 2 KiB; one of 64 KiB is a mistake.
pub const MAX_AUDIT_LINE_BYTES: usize = 64 * 1024;

/// Denials that are being written at the same time. Anyone can cause denials, so they may take
/// only a small part of what waits for the store; the server's log has the others.
pub(crate) const MAX_DENIALS_AT_ONCE: usize = 256;

/// The most entries of one control write. The store does nothing else meanwhile: 10,000 take
/// about 50 ms.
pub const MAX_CONTROL_BATCH: usize = 10_000;

/// The most control slots. A slot takes about 700 bytes, and every replica holds all of them.
pub const MAX_CONTROL_SLOTS: usize = 1_000_000;

/// How many control entries can be followed after the fact. A replica that is further behind
/// loads the whole state.
pub(crate) const CONTROL_LOG_CAP: u64 = 16_384;

/// The most control entries of one batch, so that a batch is at most about a megabyte.
pub(crate) const MAX_FOLLOW_BATCH: usize = 1_000;

/// The longest wait of one follow: a caller must hear a sign of life more often than this.
pub(crate) const MAX_FOLLOW_WAIT_SECS: u64 = 30;

/// A replay mark outlives its evidence by the distance of two replicas' clocks, 2 δ.
const MARK_MARGIN_SECS: u64 = 2 * dayfly_issuer::control::CLOCK_DISTANCE_SECS;

/// A record outlives its credential by the largest leeway of a verifier (60 s) and 2 δ.
const RECORD_MARGIN_SECS: u64 = 60 + 2 * dayfly_issuer::control::CLOCK_DISTANCE_SECS;

/// The year 3000. Stores count expiry in milliseconds, and "for ever" would overflow there.
const LATEST_EXPIRY: UnixTime = UnixTime::from_secs(32_503_680_000);

/// The live credentials of a workload that are looked through for the newest.
pub(crate) const MAX_LIVE_READ: usize = 10_000;

/// How many audit lines are kept at most within [`AUDIT_KEPT_SECS`]; the oldest go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCaps {
    /// Of permits: 200,000, which is about 300 MB.
    pub permits: u64,
    /// Of denials, which anyone can cause: 20,000, about 30 MB.
    pub denials: u64,
}

impl Default for AuditCaps {
    fn default() -> Self {
        Self {
            permits: 200_000,
            denials: 20_000,
        }
    }
}

/// Until when a replay mark is kept.
pub(crate) fn mark_kept_until(until: UnixTime) -> u64 {
    until
        .saturating_add(MARK_MARGIN_SECS)
        .min(LATEST_EXPIRY)
        .as_secs()
}

/// Until when an issuance is kept.
pub(crate) fn record_kept_until(expires_at: UnixTime) -> u64 {
    expires_at
        .saturating_add(RECORD_MARGIN_SECS)
        .min(LATEST_EXPIRY)
        .as_secs()
}

/// Until when a credential counts as live, as far as a store can count.
pub(crate) fn lives_until(expires_at: UnixTime) -> u64 {
    expires_at.min(LATEST_EXPIRY).as_secs()
}

/// The steady rate of a limit: an interval that keeps every sum exact in a double (Lua).
pub(crate) fn rate(interval_ms: u64, burst: u32) -> (u64, u64) {
    const LONGEST_INTERVAL_MS: u64 = 24 * 3600 * 1000;
    const LARGEST_BURST: u32 = 1_000_000;
    (
        interval_ms.min(LONGEST_INTERVAL_MS),
        u64::from(burst.clamp(1, LARGEST_BURST)),
    )
}

pub(crate) fn check_commit(commit: &Commit<'_>) -> Result<(), LedgerError> {
    check_line(commit.audit)
}

pub(crate) fn check_line(line: &str) -> Result<(), LedgerError> {
    if line.len() > MAX_AUDIT_LINE_BYTES {
        return Err(LedgerError::Unavailable {
            reason: format!(
                "an audit line of {} bytes is over {MAX_AUDIT_LINE_BYTES}",
                line.len()
            ),
        });
    }
    Ok(())
}

/// How many times the ordinary bound a control write may take.
pub(crate) fn shares(entries: usize) -> u32 {
    /// What fits into the ordinary bound of either store, with room.
    const ENTRIES_PER_SHARE: usize = 1_000;
    u32::try_from(entries.div_ceil(ENTRIES_PER_SHARE))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// The answer to one denial too many.
pub(crate) fn too_many_denials<E>(_: E) -> LedgerError {
    LedgerError::Unavailable {
        reason: format!("{MAX_DENIALS_AT_ONCE} denials are being written already"),
    }
}

pub(crate) fn check_entries(entries: &[ControlWrite]) -> Result<(), LedgerError> {
    if entries.len() > MAX_CONTROL_BATCH {
        return Err(LedgerError::Unavailable {
            reason: format!(
                "a control write of {} entries is over {MAX_CONTROL_BATCH}",
                entries.len()
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_things_beyond_their_end_and_never_past_what_it_can_count() {
        let end = UnixTime::from_secs(1_000);
        assert_eq!(mark_kept_until(end), 1_004);
        assert_eq!(record_kept_until(end), 1_064);
        assert_eq!(lives_until(end), 1_000);
        assert_eq!(mark_kept_until(UnixTime::MAX), 32_503_680_000);
        assert_eq!(record_kept_until(UnixTime::MAX), 32_503_680_000);
    }

    #[test]
    fn a_limit_admits_at_least_one_and_stays_countable() {
        assert_eq!(rate(1_000, 0), (1_000, 1));
        let (interval, burst) = rate(u64::MAX, u32::MAX);
        assert!(interval * burst < (1 << 53));
    }
}
