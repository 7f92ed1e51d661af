//! Control: what every replica knows about keys, cut-offs, revocations, holds and tasks.
//!
//! The ledger carries control as sealed bytes; this module seals and opens them, and keeps the
//! state that follows from them ([`ControlView`]). Whoever controls the store can withhold an
//! entry, never forge, alter or bring back an older one.

use dayfly_token::UnixTime;

mod admission;
mod entry;
mod facts;
mod follower;
mod merge;
mod seal;
mod view;

#[cfg(test)]
mod tests;

pub use admission::{Lineage, Refusal, Target};
pub use entry::{Body, ControlEntry, HoldKind, KeyRecord, KeyUse, TaskState};
pub use facts::Hold;
pub use follower::{ControlFollower, Followed};
pub use seal::{ClusterSecret, ControlError, MIN_SECRET_BYTES};
pub use view::{ControlView, StoreLife};

/// δ: the largest allowed distance between a replica's wall clock and the ledger's, in seconds.
pub const CLOCK_DISTANCE_SECS: u64 = 2;

/// D: the longest time that a replica issues without hearing the control stream, in seconds.
pub const CONTROL_SILENCE_SECS: u64 = 2;

/// How long the end of a task and the lifting of a hold are remembered, in seconds: 30 days, so
/// that no old entry put back by the store revives them.
pub const TOMBSTONE_SECS: u64 = 30 * 24 * 3600;

/// The most public keys of one use that are served at once: what a key set may hold for its
/// readers.
pub const MAX_SERVED_KEYS: usize = 64;

/// Longest reason that an entry carries, in characters: a sentence for the audit.
pub const MAX_REASON_CHARS: usize = 256;

/// Protocol C: the last issuing instant that a cut-off acknowledged at `unix_ms` makes dead.
///
/// A racing mint elsewhere happens at most D later, by a clock at most 2δ ahead; one more second
/// because issuing instants are whole seconds.
#[must_use]
pub const fn last_dead_instant(unix_ms: u64) -> UnixTime {
    UnixTime::from_secs(unix_ms.div_ceil(1000))
        .saturating_add(2 * CLOCK_DISTANCE_SECS + CONTROL_SILENCE_SECS + 1)
}
