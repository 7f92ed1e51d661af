//! The state that follows from the control entries, as one replica knows it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use dayfly_token::UnixTime;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::revocation;

use super::entry::{Body, ControlEntry, TaskState};
use super::merge::unite;
use super::seal::{ClusterSecret, ControlError};
use super::{
    CLOCK_DISTANCE_SECS, CONTROL_SILENCE_SECS, MAX_REASON_CHARS, TOMBSTONE_SECS, last_dead_instant,
};
use crate::port::{ControlWrite, Now};

/// The control state of one replica: a pure value, fed by [`ControlView::apply`].
pub struct ControlView {
    secrets: Vec<ClusterSecret>,
    pub(super) slots: HashMap<String, Slot>,
    /// The slots that are keys, and those that are holds which are set: few among many.
    pub(super) keys: BTreeSet<String>,
    pub(super) holds: BTreeSet<String>,
    /// The slots in which the store keeps less than this view knows.
    astray: BTreeSet<String>,
    version: AtomicU64,
    heard_ms: Option<u64>,
    as_of: Option<UnixTime>,
    store: Option<StoreLife>,
    after_end_secs: u64,
}

pub(super) struct Slot {
    pub(super) entry: ControlEntry,
    sealed: Vec<u8>,
    until: UnixTime,
    feed: Option<Entry>,
}

/// One life of the store, from one change of its identity to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLife {
    /// The generation that commits must carry.
    pub generation: u64,
    /// Since when. Evidence that counts once and is older may have been used in an earlier life.
    pub since: UnixTime,
    /// Names this life in the feed: the same at every replica, never with a dot.
    pub epoch: String,
}

impl ControlView {
    /// A view that knows nothing. The first secret seals, all of them open; `after_end_secs` is
    /// how long a credential can matter after a cut-off: L + S.
    #[must_use]
    pub fn new(secrets: Vec<ClusterSecret>, after_end_secs: u64) -> Self {
        Self {
            secrets,
            slots: HashMap::new(),
            keys: BTreeSet::new(),
            holds: BTreeSet::new(),
            astray: BTreeSet::new(),
            version: AtomicU64::new(0),
            heard_ms: None,
            as_of: None,
            store: None,
            after_end_secs,
        }
    }

    /// Takes another L + S, for what comes from now on.
    pub fn set_after_end_secs(&mut self, after_end_secs: u64) {
        self.after_end_secs = after_end_secs;
    }

    /// Takes one sealed entry as the store holds it, and says which slot it changed.
    ///
    /// The later version of a slot wins, the same at every replica, and keeps what the other one
    /// forbids. An old entry that comes back changes nothing.
    ///
    /// # Errors
    /// If the entry was not sealed by this deployment or cannot be read. The view is unchanged.
    pub fn apply(&mut self, sealed: &[u8]) -> Result<Option<String>, ControlError> {
        self.take(sealed)
            .map(|(slot, changed)| changed.then_some(slot))
    }

    /// [`ControlView::apply`], saying the slot of an entry that changed nothing as well.
    pub(super) fn take(&mut self, sealed: &[u8]) -> Result<(String, bool), ControlError> {
        let entry = self.open(sealed)?;
        self.version.fetch_max(entry.version, Ordering::Relaxed);
        let name = entry.body.slot();
        let changed = match self.slots.get(&name) {
            None => {
                self.put(name.clone(), entry, sealed.to_vec());
                true
            }
            Some(known) => {
                let united = unite(&known.entry, &entry);
                let changed = united != known.entry;
                // The store's seal is as good as ours: replicas with different first secrets would
                // write each other's over in turn.
                let sealed_anew = united == entry && known.sealed != sealed;
                if changed || sealed_anew {
                    let bytes = if united == entry {
                        sealed.to_vec()
                    } else {
                        self.seal_entry(&united)?
                    };
                    self.put(name.clone(), united, bytes);
                }
                changed
            }
        };
        let stands = self
            .slots
            .get(&name)
            .is_some_and(|slot| slot.sealed == sealed);
        if stands {
            self.astray.remove(&name);
        } else {
            self.astray.insert(name.clone());
        }
        Ok((name, changed))
    }

    fn open(&self, sealed: &[u8]) -> Result<ControlEntry, ControlError> {
        self.secrets
            .iter()
            .map(|secret| secret.open(sealed))
            .find(|opened| !matches!(opened, Err(ControlError::Forged)))
            .unwrap_or(Err(ControlError::Forged))
    }

    /// Seals anew what a former secret sealed, so that nothing is lost with that secret.
    pub(super) fn seal_anew(&mut self) -> Result<(), ControlError> {
        let Some((first, _)) = self
            .secrets
            .split_first()
            .filter(|(_, former)| !former.is_empty())
        else {
            return Ok(());
        };
        for (name, slot) in &mut self.slots {
            if first.open(&slot.sealed).is_err() {
                slot.sealed = first.seal(&slot.entry)?;
                self.astray.insert(name.clone());
            }
        }
        Ok(())
    }

    fn seal_entry(&self, entry: &ControlEntry) -> Result<Vec<u8>, ControlError> {
        self.secrets
            .first()
            .ok_or(ControlError::Forged)?
            .seal(entry)
    }

    fn put(&mut self, name: String, entry: ControlEntry, sealed: Vec<u8>) {
        match &entry.body {
            Body::Key(_) => drop(self.keys.insert(name.clone())),
            Body::Hold { active: true, .. } => drop(self.holds.insert(name.clone())),
            Body::Hold { active: false, .. } => drop(self.holds.remove(&name)),
            Body::CutOff { .. } | Body::Task { .. } => {}
        }
        let until = until_of(&entry);
        let feed = feed_entry(&entry, self.after_end_secs);
        self.slots.insert(
            name,
            Slot {
                entry,
                sealed,
                until,
                feed,
            },
        );
    }

    /// Seals a new fact, ready for the ledger. The view changes when the entry comes back.
    ///
    /// # Errors
    /// If the entry cannot be sealed.
    pub fn seal(
        &self,
        at: UnixTime,
        by: &str,
        reason: &str,
        body: Body,
    ) -> Result<ControlWrite, ControlError> {
        let (at, body) = self.by_the_store(at, body);
        let slot = body.slot();
        let version = self
            .version
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let reason = reason.chars().take(MAX_REASON_CHARS).collect();
        let mut entry = ControlEntry {
            version,
            at,
            by: by.to_owned(),
            reason,
            body,
        };
        if let Some(known) = self.slots.get(&slot) {
            entry = unite(&known.entry, &entry);
        }
        Ok(ControlWrite {
            slot,
            until: until_of(&entry),
            sealed: self.seal_entry(&entry)?,
        })
    }

    /// A fact of a clock that was set back, moved to where the store's clock says: its cut-off
    /// would otherwise spare what was issued since, and the answer would be a false `revoked`.
    fn by_the_store(&self, at: UnixTime, mut body: Body) -> (UnixTime, Body) {
        let Some(heard) = self.as_of else {
            return (at, body);
        };
        // So much is allowed for, with one second more because both sides are whole ones.
        if heard.seconds_since(at) <= CLOCK_DISTANCE_SECS + 1 {
            return (at, body);
        }
        let present = heard.saturating_add(CONTROL_SILENCE_SECS);
        let late_secs = present.seconds_since(at);
        if let Body::CutOff { before, until, .. } = &mut body {
            *before = before.saturating_add(late_secs);
            *until = until.saturating_add(late_secs);
        }
        (present, body)
    }

    /// The earlier of this machine's clock and the store's as last heard: a clock that runs ahead
    /// must not make anything seem over.
    pub(super) fn earlier(&self, now: UnixTime) -> UnixTime {
        self.as_of.map_or(now, |as_of| now.min(as_of))
    }

    /// What must be written again because the store keeps less of it than is known here: two
    /// replicas wrote a slot at once, or the store put an old entry back.
    #[must_use]
    pub fn repairs(&self, now: UnixTime) -> Vec<ControlWrite> {
        self.writes(self.astray.iter(), now)
    }

    /// Notes a sign of life of the control stream: `sent_ms` is this machine's monotonic clock
    /// *before* the read was sent, `as_of` the store's wall clock at the read.
    pub fn heard(&mut self, sent_ms: u64, as_of: UnixTime) {
        self.heard_ms = Some(self.heard_ms.map_or(sent_ms, |known| known.max(sent_ms)));
        self.as_of = Some(self.as_of.map_or(as_of, |known| known.max(as_of)));
    }

    /// Forgets the clock of a store that is gone. Kept as a maximum, a clock that was wrong would
    /// outlive its store and keep this replica from issuing until the present has caught up.
    pub(super) const fn forget_clock(&mut self) {
        self.as_of = None;
    }

    /// The instant up to which this replica knows all control entries.
    #[must_use]
    pub const fn as_of(&self) -> Option<UnixTime> {
        self.as_of
    }

    /// Whether the control stream was heard within D.
    #[must_use]
    pub fn hears(&self, now: Now) -> bool {
        self.heard_ms.is_some_and(|heard| {
            now.monotonic_ms.saturating_sub(heard) <= CONTROL_SILENCE_SECS * 1000
        })
    }

    /// Takes the store's present life: from now on commits carry its generation.
    pub fn adopt_store(&mut self, store: StoreLife) {
        self.store = Some(store);
    }

    /// Stops issuing in the life `generation` of the store, which is over.
    pub fn forget_store(&mut self, generation: u64) {
        if self
            .store
            .as_ref()
            .is_some_and(|store| store.generation == generation)
        {
            self.store = None;
        }
    }

    /// The life of the store that this replica issues in; `None` until it was adopted.
    #[must_use]
    pub const fn store(&self) -> Option<&StoreLife> {
        self.store.as_ref()
    }

    /// The feed entry that a slot amounts to, if it can take anything away.
    #[must_use]
    pub fn feed_entry(&self, slot: &str) -> Option<Entry> {
        self.slots.get(slot)?.feed
    }

    /// Everything that the feed says at `now`.
    #[must_use]
    pub fn feed_entries(&self, now: UnixTime) -> Vec<Entry> {
        let now = self.earlier(now);
        self.slots
            .values()
            .filter_map(|slot| slot.feed)
            .filter(|entry| now < entry.until)
            .collect()
    }

    /// Everything that must be written back to a store that lost it.
    #[must_use]
    pub fn write_back(&self, now: UnixTime) -> Vec<ControlWrite> {
        self.writes(self.slots.keys(), now)
    }

    fn writes<'a>(
        &self,
        names: impl Iterator<Item = &'a String>,
        now: UnixTime,
    ) -> Vec<ControlWrite> {
        let now = self.earlier(now);
        names
            .filter_map(|name| {
                let slot = self.slots.get(name).filter(|slot| now < slot.until)?;
                Some(ControlWrite {
                    slot: name.clone(),
                    until: slot.until,
                    sealed: slot.sealed.clone(),
                })
            })
            .collect()
    }

    /// Notes that the store was read as a whole and holds `present`: what it lacks is astray.
    pub(super) fn compare_with_store(&mut self, present: &BTreeSet<String>) {
        let lost = self
            .slots
            .keys()
            .filter(|name| !present.contains(*name))
            .cloned();
        self.astray.extend(lost);
    }

    /// Forgets what no longer matters, by this machine's clock and by the store's.
    pub fn purge(&mut self, now: UnixTime) {
        let now = self.earlier(now);
        self.slots.retain(|_, slot| now < slot.until);
        let slots = &self.slots;
        for names in [&mut self.keys, &mut self.holds, &mut self.astray] {
            names.retain(|name| slots.contains_key(name));
        }
    }

    /// How many slots the view holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the view holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

fn until_of(entry: &ControlEntry) -> UnixTime {
    match &entry.body {
        Body::CutOff { until, .. } => *until,
        Body::Hold { active: true, .. } => FOREVER,
        Body::Key(record) => record.serve_until,
        Body::Task {
            state: TaskState::Open,
            deadline: Some(deadline),
            ..
        } => deadline.saturating_add(TOMBSTONE_SECS),
        Body::Hold { active: false, .. } | Body::Task { .. } => {
            entry.at.saturating_add(TOMBSTONE_SECS)
        }
    }
}

fn feed_entry(entry: &ControlEntry, after_end_secs: u64) -> Option<Entry> {
    match &entry.body {
        Body::CutOff {
            kind,
            value,
            before,
            until,
        } => Some(Entry {
            prefix: revocation::prefix(*kind, value),
            before: *before,
            until: *until,
        }),
        Body::Task {
            task,
            state: TaskState::Completed | TaskState::Revoked,
            ..
        } => {
            // The end of the second that the entry says.
            let at_ms = entry.at.as_secs().saturating_mul(1000).saturating_add(999);
            // Nothing is ever issued for the task again, so everything of it is dead, as long as
            // what was issued by its end, or by a racing replica, can matter.
            let until = last_dead_instant(at_ms).saturating_add(after_end_secs);
            Some(Entry {
                prefix: revocation::prefix(Kind::Task, &task.to_string()),
                before: until,
                until,
            })
        }
        _ => None,
    }
}
