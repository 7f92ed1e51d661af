//! The [`Ledger`] port on two stores: [`RedisLedger`] for replicas that share one, and
//! [`EmbeddedLedger`], which needs nothing but a directory.
//!
//! Both keep issuances, replay marks, rate limits, control entries and audit lines, and answer
//! alike; `tests/conformance.rs` holds them to it. Control entries are opaque here: sealing,
//! opening and merging them belongs to `dayfly-issuer`.
//!
//! What a store is trusted for: to be there and not to forget. When it may have forgotten (a
//! restart, a failover, a flush, an older copy put back), [`RedisLedger`] says
//! [`LedgerError::StoreChanged`] and refuses [`Ledger::record`] until the store was loaded again and
//! its generation raised.
//!
//! [`Ledger`]: dayfly_issuer::Ledger
//! [`Ledger::record`]: dayfly_issuer::Ledger::record
//! [`LedgerError::StoreChanged`]: dayfly_issuer::LedgerError::StoreChanged

mod embedded;
mod error;
mod limits;
mod packed;
mod position;
mod redis;
#[cfg(feature = "testing")]
pub mod testing;

pub use embedded::EmbeddedLedger;
pub use error::{OpenError, Unfit};
pub use limits::{
    AUDIT_KEPT_SECS, AuditCaps, MAX_AUDIT_LINE_BYTES, MAX_CONTROL_BATCH, MAX_CONTROL_SLOTS,
};
pub use redis::{Ack, ClientIdentity, RedisConfig, RedisLedger, RedisUrl};
