//! A ledger in memory that keeps to the port, and fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, ready};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};

use crate::control::CLOCK_DISTANCE_SECS;
use crate::issuance::{Issuance, IssuanceState};
use crate::port::{
    Commit, ControlBatch, ControlState, ControlWrite, Ledger, LedgerError, LedgerFuture, Position,
    RateLimit, StoreIdentity,
};

/// A call of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `record`
    Record,
    /// `void`
    Void,
    /// `note_denial`
    NoteDenial,
    /// `load_control`
    LoadControl,
    /// `write_control`
    WriteControl,
    /// `follow_control`
    FollowControl,
    /// `raise_generation`
    RaiseGeneration,
    /// Any of the queries: `issuance`, `live_of`, `decision`.
    Query,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store refuses the connection: nothing happens.
    Refused,
    /// The answer is lost after the call took effect.
    AnswerLost,
    /// No answer within the bound, and nothing happened.
    TimedOut,
    /// No answer within the bound, though the call took effect.
    TimedOutLate,
    /// Never an answer, not even after the bound.
    Hang,
}

/// A ledger in memory.
#[derive(Debug)]
pub struct FakeLedger(Mutex<State>);

#[derive(Debug)]
struct State {
    now_ms: u64,
    lives: u64,
    history: u64,
    generation: u64,
    since: UnixTime,
    slots: BTreeMap<String, Vec<u8>>,
    stream: Vec<Vec<u8>>,
    forgotten: usize,
    issuances: BTreeMap<CredentialId, Issuance>,
    replays: BTreeMap<[u8; 32], [u8; 16]>,
    arrivals: BTreeMap<String, u64>,
    decisions: BTreeMap<DecisionId, String>,
    faults: VecDeque<(Call, Fault)>,
}

impl FakeLedger {
    /// An empty store of the first generation, whose clock says `now_ms`.
    #[must_use]
    pub const fn new(now_ms: u64) -> Self {
        Self(Mutex::new(State {
            now_ms,
            lives: 1,
            history: 1,
            generation: 1,
            since: UnixTime::from_secs(now_ms / 1000),
            slots: BTreeMap::new(),
            stream: Vec::new(),
            forgotten: 0,
            issuances: BTreeMap::new(),
            replays: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            decisions: BTreeMap::new(),
            faults: VecDeque::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the store's clock.
    pub fn set_clock(&self, now_ms: u64) {
        self.state().now_ms = now_ms;
    }

    /// Lets the next call of a kind fail. Several faults wait in line.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.state().faults.push_back((call, fault));
    }

    /// Replaces the store by an empty one of the first generation.
    pub fn wipe(&self) {
        let mut state = self.state();
        let empty = Self::new(state.now_ms)
            .0
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        *state = State {
            lives: state.lives + 1,
            history: state.history + 1,
            ..empty
        };
    }

    /// Restarts the store: another identity, the same content.
    pub fn restart(&self) {
        self.state().lives += 1;
    }

    /// Puts sealed bytes into a slot behind everyone's back, as whoever controls the store can.
    pub fn plant(&self, slot: &str, sealed: Vec<u8>) {
        let mut state = self.state();
        state.slots.insert(slot.to_owned(), sealed.clone());
        state.stream.push(sealed);
    }

    /// Trims the control stream, so that nobody can follow from before.
    pub fn trim(&self) {
        let mut state = self.state();
        state.forgotten = state.stream.len();
    }

    /// What a slot holds.
    #[must_use]
    pub fn slot(&self, slot: &str) -> Option<Vec<u8>> {
        self.state().slots.get(slot).cloned()
    }

    /// All issuances, void ones too.
    #[must_use]
    pub fn issuances(&self) -> Vec<Issuance> {
        self.state().issuances.values().cloned().collect()
    }

    /// All audit lines.
    #[must_use]
    pub fn decisions(&self) -> BTreeMap<DecisionId, String> {
        self.state().decisions.clone()
    }

    /// The generation of the store.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Runs one call, with the fault that waits for it.
    fn run<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        effect: impl FnOnce(&mut State) -> Result<T, LedgerError>,
    ) -> LedgerFuture<'a, T> {
        let mut state = self.state();
        let waiting = state
            .faults
            .iter()
            .position(|(waiting, _)| *waiting == call);
        let fault = waiting
            .and_then(|at| state.faults.remove(at))
            .map(|(_, fault)| fault);
        let refused = || LedgerError::Unavailable {
            reason: "connection refused".to_owned(),
        };
        let timed_out = || LedgerError::TimedOut {
            within: Duration::from_millis(250),
        };
        match fault {
            None => Box::pin(ready(effect(&mut state))),
            Some(Fault::Refused) => Box::pin(ready(Err(refused()))),
            Some(Fault::TimedOut) => Box::pin(ready(Err(timed_out()))),
            Some(Fault::AnswerLost) => Box::pin(ready(effect(&mut state).and(Err(refused())))),
            Some(Fault::TimedOutLate) => Box::pin(ready(effect(&mut state).and(Err(timed_out())))),
            Some(Fault::Hang) => {
                drop(effect(&mut state));
                Box::pin(pending())
            }
        }
    }
}

impl State {
    fn position(&self) -> Position {
        self.position_at(self.stream.len())
    }

    fn position_at(&self, entries: usize) -> Position {
        Position(format!("{}-{entries}", self.history))
    }

    /// How many entries lie before a position of the present history.
    fn entries_before(&self, position: &Position) -> Option<usize> {
        let (history, entries) = position.0.split_once('-')?;
        let entries = entries.parse().ok()?;
        let known = history.parse() == Ok(self.history);
        (known && (self.forgotten..=self.stream.len()).contains(&entries)).then_some(entries)
    }

    fn check_generation(&self, ours: u64) -> Result<(), LedgerError> {
        if ours == self.generation {
            return Ok(());
        }
        Err(LedgerError::Generation {
            ours,
            store: self.generation,
        })
    }

    /// Every check before every write.
    fn record(&mut self, commit: &Commit<'_>) -> Result<(), LedgerError> {
        self.check_generation(commit.generation)?;
        let skew_ms = i128::from(commit.unix_ms) - i128::from(self.now_ms);
        if skew_ms.unsigned_abs() > u128::from(CLOCK_DISTANCE_SECS * 1000) {
            let skew_ms = i64::try_from(skew_ms).unwrap_or(i64::MAX);
            return Err(LedgerError::ClockSkew { skew_ms });
        }
        if let Some(replay) = commit.replay {
            match self.replays.get(&replay.digest) {
                Some(attempt) if *attempt == commit.attempt => return Ok(()),
                Some(_) => return Err(LedgerError::Replayed),
                None => {}
            }
        }
        let arrivals = commit
            .limits
            .iter()
            .map(|limit| Ok((limit.key.clone(), self.arrival(limit)?)))
            .collect::<Result<Vec<_>, LedgerError>>()?;
        self.arrivals.extend(arrivals);
        if let Some(replay) = commit.replay {
            self.replays.insert(replay.digest, commit.attempt);
        }
        self.issuances
            .insert(commit.issuance.id, commit.issuance.clone());
        self.decisions
            .insert(commit.decision, commit.audit.to_owned());
        Ok(())
    }

    /// The generic cell rate algorithm: the next theoretical arrival, or when one more would pass.
    fn arrival(&self, limit: &RateLimit) -> Result<u64, LedgerError> {
        let known = self.arrivals.get(&limit.key).copied().unwrap_or_default();
        let next = known.max(self.now_ms) + limit.interval_ms;
        let most = self.now_ms + limit.interval_ms * u64::from(limit.burst.max(1));
        if next > most {
            let key = limit.key.clone();
            return Err(LedgerError::RateLimited {
                key,
                retry_after_ms: next - most,
            });
        }
        Ok(next)
    }
}

impl Ledger for FakeLedger {
    fn record<'a>(&'a self, commit: Commit<'a>) -> LedgerFuture<'a, ()> {
        self.run(Call::Record, |state| state.record(&commit))
    }

    fn void(&self, id: CredentialId) -> LedgerFuture<'_, ()> {
        self.run(Call::Void, |state| {
            if let Some(issuance) = state.issuances.get_mut(&id) {
                issuance.state = IssuanceState::Void;
            }
            Ok(())
        })
    }

    fn issuance(&self, id: CredentialId) -> LedgerFuture<'_, Option<Issuance>> {
        self.run(Call::Query, |state| Ok(state.issuances.get(&id).cloned()))
    }

    fn live_of<'a>(
        &'a self,
        workload: &'a WorkloadId,
        now: UnixTime,
        most: usize,
    ) -> LedgerFuture<'a, Vec<CredentialId>> {
        self.run(Call::Query, |state| {
            let mut live: Vec<_> = state
                .issuances
                .values()
                .filter(|issuance| issuance.workload == *workload && now < issuance.expires_at)
                .collect();
            live.sort_by_key(|issuance| std::cmp::Reverse(issuance.issued_at));
            Ok(live
                .into_iter()
                .take(most)
                .map(|issuance| issuance.id)
                .collect())
        })
    }

    fn note_denial<'a>(&'a self, id: DecisionId, line: &'a str) -> LedgerFuture<'a, ()> {
        self.run(Call::NoteDenial, |state| {
            state.decisions.insert(id, line.to_owned());
            Ok(())
        })
    }

    fn decision(&self, id: DecisionId) -> LedgerFuture<'_, Option<String>> {
        self.run(Call::Query, |state| Ok(state.decisions.get(&id).cloned()))
    }

    fn load_control(&self) -> LedgerFuture<'_, ControlState> {
        self.run(Call::LoadControl, |state| {
            Ok(ControlState {
                generation: state.generation,
                generation_since: state.since,
                identity: StoreIdentity(state.lives.to_string()),
                entries: state.slots.values().cloned().collect(),
                position: state.position(),
                store_ms: state.now_ms,
            })
        })
    }

    fn write_control<'a>(
        &'a self,
        generation: u64,
        entries: &'a [ControlWrite],
    ) -> LedgerFuture<'a, Position> {
        self.run(Call::WriteControl, |state| {
            state.check_generation(generation)?;
            for write in entries {
                state.slots.insert(write.slot.clone(), write.sealed.clone());
                state.stream.push(write.sealed.clone());
            }
            Ok(state.position())
        })
    }

    /// Never waits: what is there is there.
    fn follow_control<'a>(
        &'a self,
        after: &'a Position,
        _wait: Duration,
    ) -> LedgerFuture<'a, ControlBatch> {
        self.run(Call::FollowControl, |state| {
            let from = state.entries_before(after).ok_or(LedgerError::Gap)?;
            let new = state.stream.get(from..).ok_or(LedgerError::Gap)?;
            let entries = new.iter().enumerate();
            Ok(ControlBatch {
                entries: entries
                    .map(|(at, sealed)| (state.position_at(from + at + 1), sealed.clone()))
                    .collect(),
                position: state.position(),
                store_ms: state.now_ms,
            })
        })
    }

    fn raise_generation(&self, from: u64, now: UnixTime) -> LedgerFuture<'_, u64> {
        self.run(Call::RaiseGeneration, |state| {
            state.check_generation(from)?;
            state.generation += 1;
            state.since = now;
            Ok(state.generation)
        })
    }
}
