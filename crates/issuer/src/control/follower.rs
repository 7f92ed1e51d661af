//! Following the control stream, over every change of the store (protocol A).

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use dayfly_token::{UnixTime, base64url};

use super::view::{ControlView, StoreLife};
use crate::port::{ControlState, ControlWrite, Ledger, LedgerError, Now, Position, StoreIdentity};

/// Entries in one step of writing back: one script of the store stays well under a millisecond.
const WRITE_BACK_CHUNK: usize = 256;

/// How often one step raises the generation of a store that fell far behind: each is a round trip.
const MOST_RAISES: usize = 64;

/// How often the log says that the store is wrong, in milliseconds: whoever controls the store must
/// not fill the log. The count is whole.
const COMPLAIN_EVERY_MS: u64 = 10_000;

/// Bytes of the digest that names a life of the store in the feed: no two meet by chance.
const EPOCH_BYTES: usize = 9;

/// Keeps a [`ControlView`] in step with the ledger.
///
/// When the store is not the one that it was, issuing stops, the generation is raised, everything
/// that is remembered here and missing there is written back, and only then issuing goes on: a
/// store that forgot learns again before anyone asks it.
pub struct ControlFollower {
    ledger: Arc<dyn Ledger>,
    control: Arc<RwLock<ControlView>>,
    identity: Option<StoreIdentity>,
    generation: u64,
    position: Option<Position>,
    refusals: Complaint,
    rewrites: Complaint,
}

/// Something that a hostile store can make happen at each step, and that is logged now and then.
#[derive(Default)]
struct Complaint {
    count: usize,
    last_ms: Option<u64>,
}

/// What one step brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The whole state was read, not only what came after the last step.
    pub reloaded: bool,
    /// The slots that changed.
    pub changed: Vec<String>,
    /// How many entries were not sealed by this deployment, or cannot be read.
    pub refused: usize,
    /// Up to where the control stream is known.
    pub position: Position,
    /// The store's clock at the read: everything that was written by then is known.
    pub as_of: UnixTime,
}

impl ControlFollower {
    /// A follower that has not read anything yet.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, control: Arc<RwLock<ControlView>>) -> Self {
        Self {
            ledger,
            control,
            identity: None,
            generation: 0,
            position: None,
            refusals: Complaint::default(),
            rewrites: Complaint::default(),
        }
    }

    /// One step: reads the whole state if need be, and otherwise what is new within `wait`.
    /// `now` is the present right before the call. A `wait` of more than half of D keeps a replica
    /// from issuing now and then.
    ///
    /// # Errors
    /// What the ledger says. The next step goes on from where this one could not, or reads
    /// everything again.
    pub async fn step(&mut self, now: Now, wait: Duration) -> Result<Followed, LedgerError> {
        // Whoever issues may have seen first that the store is another one.
        if self.view().store().is_none() {
            self.position = None;
        }
        let result = match self.position.clone() {
            None => self.load(now).await,
            Some(position) => self.follow(&position, now, wait).await,
        };
        match &result {
            Ok(followed) => self.complain_of(followed, now),
            Err(error) => self.start_again_after(error),
        }
        result
    }

    fn complain_of(&mut self, followed: &Followed, now: Now) {
        if let Some(entries) = self.refusals.of(followed.refused, now) {
            tracing::warn!(entries, "control entries of the ledger are refused");
        }
    }

    pub(super) fn start_again_after(&mut self, error: &LedgerError) {
        match error {
            LedgerError::Gap | LedgerError::Corrupt { .. } => self.position = None,
            LedgerError::Generation { .. } | LedgerError::StoreChanged { .. } => {
                self.position = None;
                self.view().forget_store(self.generation);
            }
            _ => {}
        }
    }

    async fn follow(
        &mut self,
        position: &Position,
        now: Now,
        wait: Duration,
    ) -> Result<Followed, LedgerError> {
        let batch = self.ledger.follow_control(position, wait).await?;
        let mut followed = Followed::at(batch.position, batch.store_ms);
        {
            let mut view = self.view();
            for (_, sealed) in &batch.entries {
                followed.take(&mut view, sealed);
            }
            view.heard(now.monotonic_ms, followed.as_of);
        }
        self.position = Some(followed.position.clone());
        self.repair(now).await?;
        Ok(followed)
    }

    async fn load(&mut self, now: Now) -> Result<Followed, LedgerError> {
        let mut state = self.ledger.load_control().await?;
        if self.is_another_store(&state) {
            self.view().forget_store(self.generation);
            self.raise_generation(state.generation, now.time()).await?;
            state = self.ledger.load_control().await?;
        }
        let mut followed = Followed::at(state.position.clone(), state.store_ms);
        followed.reloaded = true;
        {
            let mut view = self.view();
            let present: BTreeSet<String> = state
                .entries
                .iter()
                .filter_map(|sealed| followed.take(&mut view, sealed))
                .collect();
            view.compare_with_store(&present);
            if self.identity.as_ref() != Some(&state.identity) {
                view.forget_clock();
            }
            view.heard(now.monotonic_ms, followed.as_of);
            if let Err(error) = view.seal_anew() {
                tracing::error!(%error, "control entries stay under a former cluster secret");
            }
        }
        self.write(state.generation, self.repairs(now.time()))
            .await?;
        self.view().adopt_store(StoreLife {
            generation: state.generation,
            since: state.generation_since,
            epoch: epoch_of(&state),
        });
        self.identity = Some(state.identity);
        self.generation = state.generation;
        self.position = Some(state.position);
        Ok(followed)
    }

    /// Whether the store changed and no other replica has raised its generation yet.
    fn is_another_store(&self, state: &ControlState) -> bool {
        let known = self.identity.as_ref();
        known.is_some_and(|known| *known != state.identity) && state.generation <= self.generation
    }

    async fn raise_generation(&self, mut from: u64, now: UnixTime) -> Result<(), LedgerError> {
        // Evidence of the present second may have been used before the change.
        let since = now.saturating_add(1);
        for _ in 0..MOST_RAISES {
            if from > self.generation {
                break;
            }
            from = self.ledger.raise_generation(from, since).await?;
        }
        Ok(())
    }

    async fn repair(&mut self, now: Now) -> Result<(), LedgerError> {
        let repairs = self.repairs(now.time());
        if let Some(entries) = self.rewrites.of(repairs.len(), now) {
            tracing::warn!(
                entries,
                "the store keeps less than was known; writing it again"
            );
        }
        self.write(self.generation, repairs).await
    }

    async fn write(&self, generation: u64, writes: Vec<ControlWrite>) -> Result<(), LedgerError> {
        for chunk in writes.chunks(WRITE_BACK_CHUNK) {
            self.ledger.write_control(generation, chunk).await?;
        }
        Ok(())
    }

    fn repairs(&self, now: UnixTime) -> Vec<ControlWrite> {
        self.view().repairs(now)
    }

    fn view(&self) -> RwLockWriteGuard<'_, ControlView> {
        self.control.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Complaint {
    /// How many there were since the last line, if it is time for one.
    fn of(&mut self, more: usize, now: Now) -> Option<usize> {
        self.count = self.count.saturating_add(more);
        let quiet = |last| now.monotonic_ms.saturating_sub(last) >= COMPLAIN_EVERY_MS;
        if self.count == 0 || !self.last_ms.is_none_or(quiet) {
            return None;
        }
        self.last_ms = Some(now.monotonic_ms);
        Some(std::mem::take(&mut self.count))
    }
}

impl Followed {
    const fn at(position: Position, store_ms: u64) -> Self {
        let as_of = UnixTime::from_secs(store_ms / 1000);
        Self {
            reloaded: false,
            changed: Vec::new(),
            refused: 0,
            position,
            as_of,
        }
    }

    /// Gives one entry to the view, and says its slot.
    fn take(&mut self, view: &mut ControlView, sealed: &[u8]) -> Option<String> {
        match view.take(sealed) {
            Ok((slot, changed)) => {
                if changed {
                    self.changed.push(slot.clone());
                }
                Some(slot)
            }
            Err(error) => {
                self.refused += 1;
                tracing::debug!(%error, "a control entry of the ledger is refused");
                None
            }
        }
    }
}

fn epoch_of(state: &ControlState) -> String {
    let named = format!("{}\0{}", state.identity.0, state.generation);
    let digest = dayfly_keys::sha256(named.as_bytes());
    base64url::encode(digest.iter().take(EPOCH_BYTES).copied().collect::<Vec<_>>())
}
