//! What is counted beside the keys: requests, and tokens by the owner of their workload.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dayfly_token::UnixTime;

use super::credential::owner_of;
use super::decide::{Code, Decision, Key, Token};
use super::events;
use super::registry::Entry;
use super::tally::{Moment, RequestCounters, count, one};
use super::{Credential, LegacyKey, Stage};
use crate::Verified;
use crate::tower::Challenge;

/// The most owners that tokens are counted for by name. Owners come from verified tokens, so no stranger makes one up; the
/// bound is for an issuer that goes wrong.
pub(super) const MAX_OWNERS: usize = 1000;

/// Stands for the owners past the bound, and for tokens whose subject has none. No slug has a space.
pub(super) const OTHER_OWNERS: &str = "(no owner)";

#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: RequestCounters,
    pub(super) by_owner: ByOwner,
    /// The last time that the API's own check and the watching layer differed.
    pub(super) last_difference: Moment,
}

/// Admitted or observed valid tokens, by owner; grown by copying, which happens once for each owner.
#[derive(Default)]
pub(super) struct ByOwner(ArcSwap<HashMap<String, Arc<AtomicU64>>>);

impl ByOwner {
    pub(super) fn add(&self, owner: &str, by: u64) {
        let present = self.0.load().get(owner).map(Arc::clone);
        let counter = present.unwrap_or_else(|| self.grow(owner));
        count(&counter, by);
    }

    fn grow(&self, owner: &str) -> Arc<AtomicU64> {
        self.0.rcu(|owners| {
            let mut owners = HashMap::clone(owners);
            let name = if owners.len() < MAX_OWNERS {
                owner
            } else {
                OTHER_OWNERS
            };
            owners.entry(name.to_owned()).or_default();
            owners
        });
        let owners = self.0.load();
        let counter = owners.get(owner).or_else(|| owners.get(OTHER_OWNERS));
        counter.map(Arc::clone).unwrap_or_default()
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (String, u64)> {
        let owners = self.0.load_full();
        let read: Vec<_> = owners
            .iter()
            .map(|(owner, counter)| (owner.clone(), counter.load(Ordering::Relaxed)))
            .collect();
        read.into_iter()
    }
}

impl Counts {
    /// Counts what a request carried, whoever decides about it.
    pub(super) fn carried(&self, key: &Key, in_query: bool, token: &Token, now: UnixTime) {
        if let Ok(verified) = token {
            let owner = owner_of(verified);
            self.by_owner
                .add(owner.as_deref().unwrap_or(OTHER_OWNERS), 1);
        }
        match key {
            Key::Known(entry) => carried_key(entry, in_query, token, now),
            Key::Unknown => one(&self.requests.unknown_keys),
            Key::Absent | Key::Several => {}
        }
    }

    /// Counts what was decided.
    pub(super) fn decided(&self, stage: &Stage, key: &Key, token: &Token, decision: &Decision) {
        let requests = &self.requests;
        one(match (&decision.answer, decision.code) {
            (Ok(Credential::Token(_)), _) => &requests.admitted_by_token,
            (Ok(Credential::Key(_)), _) => &requests.admitted_by_key,
            (Err(_), Code::KeyUnknown) => &requests.refused_as_unknown,
            (Err(_), Code::KeyMalformed) => &requests.refused_as_malformed,
            (Err(_), Code::KeyEnded | Code::KeyScope | Code::KeyStage) => &requests.refused_by_key,
            (Err(_), Code::TokenRefused) => &requests.refused_by_token,
            (Err(_), _) => &requests.refused_without_credential,
        });
        if *stage == Stage::Observe && token.is_ok() && decision.answer.is_err() {
            one(&requests.token_before_its_time);
        }
        let Key::Known(entry) = key else { return };
        let uses = &entry.tally.uses;
        match decision.code {
            Code::Key => one(&uses.admitted),
            Code::KeyEnded => one(&uses.refused_as_ended),
            Code::KeyStage => one(&uses.refused_by_stage),
            Code::KeyScope => one(&uses.refused_for_scope),
            _ => {}
        }
    }
}

fn carried_key(entry: &Entry, in_query: bool, token: &Token, now: UnixTime) {
    let (key, tally) = (&entry.key, &*entry.tally);
    one(&tally.uses.presented);
    tally.first_seen.earliest(now);
    tally.last_seen.latest(now);
    if in_query {
        one(&tally.uses.in_query);
        events::in_query(key);
    }
    match token {
        Ok(verified) => {
            one(&tally.uses.beside_token);
            if differs(key, verified) {
                one(&tally.uses.beside_token_of_another_owner);
                events::disagreement(key, verified.credential_id(), owner_of(verified).as_deref());
            }
        }
        Err(Challenge::TokenMissing) => tally.last_relied_on.latest(now),
        Err(_) => {
            one(&tally.uses.beside_refused_token);
            tally.last_relied_on.latest(now);
            tally.last_beside_refused_token.latest(now);
        }
    }
}

fn differs(key: &LegacyKey, verified: &Verified) -> bool {
    owner_of(verified).as_deref() != Some(key.owner().as_str())
}
