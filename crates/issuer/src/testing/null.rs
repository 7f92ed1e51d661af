//! A ledger that accepts everything and keeps nothing: for benchmarks of what lies before it.

use std::future::ready;
use std::time::Duration;

use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};

use crate::issuance::Issuance;
use crate::port::{
    Commit, ControlBatch, ControlState, ControlWrite, Ledger, LedgerError, LedgerFuture, Position,
};

/// Accepts everything, keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullLedger;

fn done<'a, T: Send + 'a>(value: T) -> LedgerFuture<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl Ledger for NullLedger {
    fn record<'a>(&'a self, _: Commit<'a>) -> LedgerFuture<'a, ()> {
        done(())
    }

    fn void(&self, _: CredentialId) -> LedgerFuture<'_, ()> {
        done(())
    }

    fn issuance(&self, _: CredentialId) -> LedgerFuture<'_, Option<Issuance>> {
        done(None)
    }

    fn live_of<'a>(
        &'a self,
        _: &'a WorkloadId,
        _: UnixTime,
        _: usize,
    ) -> LedgerFuture<'a, Vec<CredentialId>> {
        done(Vec::new())
    }

    fn note_denial<'a>(&'a self, _: DecisionId, _: &'a str) -> LedgerFuture<'a, ()> {
        done(())
    }

    fn decision(&self, _: DecisionId) -> LedgerFuture<'_, Option<String>> {
        done(None)
    }

    fn load_control(&self) -> LedgerFuture<'_, ControlState> {
        Box::pin(ready(Err(LedgerError::Unavailable {
            reason: "it keeps nothing".to_owned(),
        })))
    }

    fn write_control<'a>(&'a self, _: u64, _: &'a [ControlWrite]) -> LedgerFuture<'a, Position> {
        done(Position("0".to_owned()))
    }

    fn follow_control<'a>(
        &'a self,
        _: &'a Position,
        _: Duration,
    ) -> LedgerFuture<'a, ControlBatch> {
        Box::pin(ready(Err(LedgerError::Gap)))
    }

    fn raise_generation(&self, from: u64, _: UnixTime) -> LedgerFuture<'_, u64> {
        done(from + 1)
    }
}
