//! How old the knowledge of revocations may be: one rule for tokens and certificates.

use dayfly_token::UnixTime;

use crate::builder::RevocationSource;
use crate::rejection::Reason;
use crate::revocation::Revocations;
use crate::verified::Freshness;
use crate::{FRESH_SECS, MAX_LEEWAY_SECS};

/// Below the longest lifetime L an old state is accepted and named; beyond it nothing that was issued before the line
/// was cut is alive, so that the state says nothing about any credential. `limit_secs` is L, or less by choice.
pub(crate) fn freshness(
    source: RevocationSource,
    revocations: &Revocations,
    limit_secs: u64,
    now: UnixTime,
) -> Result<Freshness, Reason> {
    if source == RevocationSource::None {
        return Ok(Freshness::Unknown);
    }
    let as_of = revocations.as_of().ok_or(Reason::RevocationUnheard)?;
    // No statement is believed from so far ahead, so this clock was set back since: the age cannot be told, and what is
    // revoked now is refused with the rest of the feed.
    if as_of > now.saturating_add(MAX_LEEWAY_SECS) {
        return Err(Reason::ClockSetBack { now, as_of });
    }
    let age_secs = now.seconds_since(as_of);
    if age_secs > limit_secs {
        Err(Reason::RevocationStale {
            age_secs,
            limit_secs,
        })
    } else if age_secs > FRESH_SECS {
        Ok(Freshness::Stale { age_secs })
    } else {
        Ok(Freshness::Fresh)
    }
}
