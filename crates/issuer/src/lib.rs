#![doc = include_str!("../README.md")]

mod audit;
pub mod control;
pub mod feed;
mod home;
mod issuance;
mod issue;
mod keygen;
pub mod lifecycle;
mod mint;
mod port;
mod reason;
pub mod revoke;
mod signer;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod x509;

pub use audit::{Context, MAX_AUDIT_BYTES};
pub use control::{ControlFollower, Followed};
pub use feed::FeedSigner;
pub use issuance::{Issuance, IssuanceError, IssuanceKind, IssuanceState};
pub use issue::{IssueRequest, Issuer, IssuerConfig, Outcome, Unsettled, Want};
pub use lifecycle::{Action, KeyLifecycle, LifecycleConfig, LifecycleError, NotReady};
pub use mint::{AccessToken, Credential, IssuedCertificate, IssuedToken};
pub use port::{
    Clock, Commit, ControlBatch, ControlState, ControlWrite, Ledger, LedgerError, LedgerFuture,
    Now, Position, RateLimit, ReplayMark, Rng, StoreIdentity,
};
pub use reason::{EvidenceRefused, Reason, Refused};
pub use signer::{Signer, SignerError};
