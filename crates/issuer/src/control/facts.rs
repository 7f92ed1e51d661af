//! What the control view says: holds, cut-offs, tasks, keys.

use std::fmt::Write as _;

use dayfly_token::feed::Kind;
use dayfly_token::{TaskId, UnixTime};

use super::MAX_SERVED_KEYS;
use super::entry::{Body, HoldKind, KeyRecord, KeyUse, TaskState};
use super::view::{ControlView, Slot};

/// A hold that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What the value names.
    pub kind: HoldKind,
    /// The workload, owner, rule or source.
    pub value: String,
    /// Since when.
    pub since: UnixTime,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl ControlView {
    /// The hold on something, if one is set.
    #[must_use]
    pub fn hold(&self, kind: HoldKind, value: &str) -> Option<Hold> {
        self.slot("hold", kind.as_str(), value)
            .and_then(active_hold)
    }

    /// Whether any hold is set.
    pub(super) fn has_holds(&self) -> bool {
        !self.holds.is_empty()
    }

    /// All holds that are set, ordered by kind and value.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        let set = self.holds.iter().filter_map(|name| self.slots.get(name));
        let mut holds: Vec<_> = set.filter_map(active_hold).collect();
        holds.sort_by(|a, b| (a.kind, &a.value).cmp(&(b.kind, &b.value)));
        holds
    }

    /// The last dead instant of something, if it was cut off.
    #[must_use]
    pub fn cut_off(&self, kind: Kind, value: &str) -> Option<UnixTime> {
        match self.slot("cut", kind.as_str(), value)?.entry.body {
            Body::CutOff { before, .. } => Some(before),
            _ => None,
        }
    }

    fn slot(&self, prefix: &str, kind: &str, value: &str) -> Option<&Slot> {
        let mut name = String::with_capacity(prefix.len() + kind.len() + value.len() + 2);
        write!(name, "{prefix}:{kind}:{value}").ok()?;
        self.slots.get(&name)
    }

    /// The state and deadline of a task that was declared or ended.
    #[must_use]
    pub fn task(&self, task: &TaskId) -> Option<(TaskState, Option<UnixTime>)> {
        match self.slots.get(&format!("task:{task}"))?.entry.body {
            Body::Task {
                state, deadline, ..
            } => Some((state, deadline)),
            _ => None,
        }
    }

    /// The public keys of one use that are served at `now`: neither lapsed nor tainted, at most
    /// [`MAX_SERVED_KEYS`], those that may have signed first, in the same order at every replica.
    pub fn keys(&self, key_use: KeyUse, now: UnixTime) -> impl Iterator<Item = &KeyRecord> {
        let now = self.earlier(now);
        let mut served: Vec<_> = self
            .key_records()
            .filter(|key| {
                key.key_use == key_use
                    && now < key.serve_until
                    && self.cut_off(Kind::Key, &key.kid).is_none()
            })
            .collect();
        served.sort_by(|a, b| {
            (!a.signed, a.sign_from, &a.kid).cmp(&(!b.signed, b.sign_from, &b.kid))
        });
        served.truncate(MAX_SERVED_KEYS);
        served.into_iter()
    }

    /// All key records that the view remembers, tainted and lapsed ones too.
    pub fn key_records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys
            .iter()
            .filter_map(|name| self.slots.get(name))
            .filter_map(|slot| match &slot.entry.body {
                Body::Key(record) => Some(record.as_ref()),
                _ => None,
            })
    }

    /// The record of one key.
    #[must_use]
    pub fn key_record(&self, kid: &str) -> Option<&KeyRecord> {
        match &self.slots.get(&format!("key:{kid}"))?.entry.body {
            Body::Key(record) => Some(record),
            _ => None,
        }
    }
}

fn active_hold(slot: &Slot) -> Option<Hold> {
    match &slot.entry.body {
        Body::Hold {
            kind,
            value,
            active: true,
        } => Some(Hold {
            kind: *kind,
            value: value.clone(),
            since: slot.entry.at,
            by: slot.entry.by.clone(),
            reason: slot.entry.reason.clone(),
        }),
        _ => None,
    }
}
