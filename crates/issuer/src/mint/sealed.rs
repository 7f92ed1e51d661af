//! Invariant 1: recorded before released.

use super::{Credential, Minted};
use crate::issuance::Issuance;
use crate::port::{Commit, Ledger, LedgerError, RateLimit, ReplayMark};

/// A credential that nobody may have yet. It has no accessor: only [`Sealed::record`] opens it.
pub(crate) struct Sealed {
    minted: Minted,
    issuance: Issuance,
}

/// What is decided and written together with the issuance.
pub(crate) struct Commitment<'a> {
    pub(crate) generation: u64,
    pub(crate) unix_ms: u64,
    pub(crate) attempt: [u8; 16],
    pub(crate) replay: Option<ReplayMark>,
    pub(crate) limits: &'a [RateLimit],
    pub(crate) audit: &'a str,
}

impl Sealed {
    pub(super) const fn new(minted: Minted, issuance: Issuance) -> Self {
        Self { minted, issuance }
    }

    pub(crate) const fn issuance(&self) -> &Issuance {
        &self.issuance
    }

    /// Records the issuance, and then releases the credential. Whatever the ledger answers but
    /// success, the credential is dropped.
    pub(crate) async fn record(
        self,
        ledger: &dyn Ledger,
        commitment: Commitment<'_>,
    ) -> Result<Credential, LedgerError> {
        let commit = Commit {
            generation: commitment.generation,
            unix_ms: commitment.unix_ms,
            attempt: commitment.attempt,
            replay: commitment.replay,
            limits: commitment.limits,
            issuance: &self.issuance,
            decision: self.issuance.decision,
            audit: commitment.audit,
        };
        ledger.record(commit).await?;
        Ok(self.minted.release(self.issuance))
    }
}
