//! The ports that the core owns: what it needs from the world, and nothing more.
//!
//! Adapters implement them (`dayfly-ledger` the [`Ledger`], the server the [`Clock`] and the
//! [`Rng`]); the tests of the core use fakes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};

use crate::issuance::Issuance;

/// An instant on both clocks of this machine, read once per request at the rim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970 by the wall clock.
    pub unix_ms: u64,
    /// Milliseconds since an arbitrary start by a clock that never steps.
    pub monotonic_ms: u64,
}

impl Now {
    /// The wall clock in whole seconds, as tokens carry it.
    #[must_use]
    pub const fn time(self) -> UnixTime {
        UnixTime::from_secs(self.unix_ms / 1000)
    }
}

/// Where the present comes from.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Now;
}

/// Where unpredictable bytes come from. Implementations are cryptographically secure.
pub trait Rng: Send {
    /// Fills `bytes` with fresh random bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// What an adapter's call returns.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// The record of everything: issuances, replay marks, rate limits, control entries, audit.
///
/// Every call ends within the adapter's own bound and then says [`LedgerError::TimedOut`].
/// A call that fails may or may not have taken effect.
pub trait Ledger: Send + Sync {
    /// One atomic step on the credential's home partition: every check, then every write.
    fn record<'a>(&'a self, commit: Commit<'a>) -> LedgerFuture<'a, ()>;

    /// Marks an issuance whose credential was never released.
    fn void(&self, id: CredentialId) -> LedgerFuture<'_, ()>;

    /// One issuance, until it expires.
    fn issuance(&self, id: CredentialId) -> LedgerFuture<'_, Option<Issuance>>;

    /// The credentials of a workload that live at `now`, newest first, at most `most`.
    fn live_of<'a>(
        &'a self,
        workload: &'a WorkloadId,
        now: UnixTime,
        most: usize,
    ) -> LedgerFuture<'a, Vec<CredentialId>>;

    /// Writes the audit line of a denial. Permits are written by [`Ledger::record`].
    fn note_denial<'a>(&'a self, id: DecisionId, line: &'a str) -> LedgerFuture<'a, ()>;

    /// The audit line of a decision, for as long as the ledger keeps it (24 hours).
    fn decision(&self, id: DecisionId) -> LedgerFuture<'_, Option<String>>;

    /// The whole control state and the position to follow it from.
    fn load_control(&self) -> LedgerFuture<'_, ControlState>;

    /// Appends control entries in one atomic step, if `generation` is still the store's.
    fn write_control<'a>(
        &'a self,
        generation: u64,
        entries: &'a [ControlWrite],
    ) -> LedgerFuture<'a, Position>;

    /// Waits up to `wait` for control entries after `position`. An empty batch is a sign of life.
    ///
    /// [`LedgerError::Gap`] means: load the whole state again.
    fn follow_control<'a>(
        &'a self,
        after: &'a Position,
        wait: Duration,
    ) -> LedgerFuture<'a, ControlBatch>;

    /// Raises the generation from `from` to the next by compare-and-set, and returns the new one.
    fn raise_generation(&self, from: u64, now: UnixTime) -> LedgerFuture<'_, u64>;
}

/// A credential about to be released, and all that is decided and written with it.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The generation that this replica believes in.
    pub generation: u64,
    /// The wall clock of this replica; the store refuses if its own differs by more than δ.
    pub unix_ms: u64,
    /// Identifies this attempt: the same replica may send the same commit once more.
    pub attempt: [u8; 16],
    /// The mark of evidence that counts once.
    pub replay: Option<ReplayMark>,
    /// The rates that this issuance counts against.
    pub limits: &'a [RateLimit],
    /// The record itself.
    pub issuance: &'a Issuance,
    /// The decision that permitted it.
    pub decision: DecisionId,
    /// The audit line, one JSON object without a line break.
    pub audit: &'a str,
}

/// Evidence that counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayMark {
    /// A digest of what makes the evidence unique, never of its signature.
    pub digest: [u8; 32],
    /// Until when a second presentation could pass for fresh.
    pub until: UnixTime,
}

/// A rate by the generic cell rate algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose rate: `workload:<owner>/<name>` or `owner:<owner>`.
    pub key: String,
    /// Milliseconds between two issuances at the full steady rate.
    pub interval_ms: u64,
    /// How many may come at once.
    pub burst: u32,
}

/// A place in the control stream, opaque outside the adapter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position(pub String);

/// What identifies one life of a store: a restart, a failover or a restore changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity(pub String);

/// The control state as one consistent read.
#[derive(Debug, Clone)]
pub struct ControlState {
    /// The generation of the store; never zero.
    pub generation: u64,
    /// When the generation was raised to its present value.
    pub generation_since: UnixTime,
    /// Which store this is.
    pub identity: StoreIdentity,
    /// The sealed entries, in no order.
    pub entries: Vec<Vec<u8>>,
    /// Where to follow from.
    pub position: Position,
    /// The store's clock at the read, in milliseconds since 1970.
    pub store_ms: u64,
}

/// One sealed entry and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlWrite {
    /// The slot that the entry replaces.
    pub slot: String,
    /// When the slot may be forgotten.
    pub until: UnixTime,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// What came on the control stream.
#[derive(Debug, Clone)]
pub struct ControlBatch {
    /// The sealed entries with their positions, oldest first.
    pub entries: Vec<(Position, Vec<u8>)>,
    /// Where to follow from.
    pub position: Position,
    /// The store's clock, in milliseconds since 1970.
    pub store_ms: u64,
}

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The wall clocks of replica and store are too far apart.
    #[error("the clock is {skew_ms} ms off the ledger's")]
    ClockSkew {
        /// Replica minus store.
        skew_ms: i64,
    },
    /// What the ledger holds cannot be read.
    #[error("the ledger holds something unreadable: {what}")]
    Corrupt {
        /// What could not be read.
        what: String,
    },
    /// The position cannot be followed from.
    #[error("the control stream no longer reaches back to the position")]
    Gap,
    /// Another replica raised the generation.
    #[error("the ledger's generation is {store}, not {ours}")]
    Generation {
        /// What this replica believed.
        ours: u64,
        /// What the store says; zero if it says nothing.
        store: u64,
    },
    /// The rate is used up.
    #[error("the rate of `{key}` is used up for {retry_after_ms} ms")]
    RateLimited {
        /// Whose rate.
        key: String,
        /// When one more would pass.
        retry_after_ms: u64,
    },
    /// The evidence was used before.
    #[error("the evidence was used before")]
    Replayed,
    /// The store is not the one that this replica knew.
    #[error("the store was replaced or restarted")]
    StoreChanged {
        /// Which it is now.
        identity: StoreIdentity,
    },
    /// No answer within the bound.
    #[error("no answer from the ledger within {within:?}")]
    TimedOut {
        /// The bound.
        within: Duration,
    },
    /// The store cannot be reached or refuses.
    #[error("the ledger is unavailable: {reason}")]
    Unavailable {
        /// What the adapter saw, without secrets.
        reason: String,
    },
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
