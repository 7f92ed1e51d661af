//! The keys of one use: the one that signs, and the one that will.

use std::sync::Arc;

use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;

use super::{Action, LifecycleConfig, NotReady};
use crate::control::{Body, ControlView, KeyRecord, KeyUse, MAX_SERVED_KEYS};
use crate::port::{Now, Rng};
use crate::signer::{HeldKey, Signer, SignerError};

/// How long a write may take to come back before it is written again, in milliseconds.
const READ_BACK_MS: u64 = 1000;

pub(super) struct Lane {
    key_use: KeyUse,
    current: Option<Key>,
    next: Option<Key>,
    rotate_at: Option<UnixTime>,
    rotation_asked: bool,
    signer: Option<Arc<Signer>>,
    cap_reached: bool,
}

/// One key of this replica and what is known of its publication.
struct Key {
    held: Arc<HeldKey>,
    sign_from: UnixTime,
    /// The lease that came back, and whether the record that came back says `signed`.
    read_back: Option<ReadBack>,
    /// What was written last and has not come back.
    asked: Option<Asked>,
}

#[derive(Clone, Copy)]
struct ReadBack {
    first_ms: u64,
    lease_until: UnixTime,
    signed: bool,
}

#[derive(Clone, Copy)]
struct Asked {
    at_ms: u64,
    signed: bool,
}

impl Lane {
    pub(super) const fn new(key_use: KeyUse) -> Self {
        Self {
            key_use,
            current: None,
            next: None,
            rotate_at: None,
            rotation_asked: false,
            signer: None,
            cap_reached: false,
        }
    }

    pub(super) fn tick(
        &mut self,
        config: &LifecycleConfig,
        now: Now,
        view: &ControlView,
        rng: &mut dyn Rng,
        actions: &mut Vec<Action>,
    ) {
        self.drop_tainted(view, actions);
        // Who does not hear control does not know the other replicas, and whose clock is off would
        // publish a lease of another time, which the union of records keeps: the lease ends by
        // itself.
        if view.admit_clock(now).is_ok() {
            for key in self.current.iter_mut().chain(self.next.iter_mut()) {
                key.read_back(self.key_use, now, view);
            }
            self.begin_again_if_lost();
            self.generate_if_due(config, now, view, rng);
            self.publish(config, now, view, actions);
            self.activate(config, now, view, actions);
        }
        self.signer = self.current.as_ref().and_then(|key| {
            let lease_until = key.read_back?.lease_until;
            Some(Arc::new(Signer::new(Arc::clone(&key.held), lease_until)))
        });
    }

    fn drop_tainted(&mut self, view: &ControlView, actions: &mut Vec<Action>) {
        let key_use = self.key_use;
        for slot in [&mut self.current, &mut self.next] {
            let tainted = slot.take_if(|key| view.cut_off(Kind::Key, key.kid()).is_some());
            if let Some(key) = tainted {
                actions.push(Action::Tainted {
                    key_use,
                    kid: key.kid().to_owned(),
                });
            }
        }
    }

    /// A key that is served no more, after an outage longer than its life, waits its lead again.
    fn begin_again_if_lost(&mut self) {
        if let Some(lost) = self.current.take_if(|key| key.read_back.is_none()) {
            self.next.get_or_insert(lost);
        }
    }

    fn generate_if_due(
        &mut self,
        config: &LifecycleConfig,
        now: Now,
        view: &ControlView,
        rng: &mut dyn Rng,
    ) {
        let instant = now.time();
        let due = self.current.is_none()
            || self.rotation_asked
            || self.rotate_at.is_some_and(|rotate_at| rotate_at <= instant);
        if self.next.is_some() {
            self.rotation_asked = false;
        }
        if !due || self.next.is_some() {
            return;
        }
        self.cap_reached = view.keys(self.key_use, instant).count() >= MAX_SERVED_KEYS;
        if self.cap_reached {
            return;
        }
        match generate(config, self.key_use, rng) {
            Ok(held) => {
                let sign_from = instant.saturating_add(config.lead_secs);
                self.next = Some(Key {
                    held: Arc::new(held),
                    sign_from,
                    read_back: None,
                    asked: None,
                });
                self.rotation_asked = false;
            }
            Err(error) => tracing::error!(%error, "no signing key could be generated"),
        }
    }

    fn publish(
        &mut self,
        config: &LifecycleConfig,
        now: Now,
        view: &ControlView,
        actions: &mut Vec<Action>,
    ) {
        let may_skip_lead = self.may_skip_lead(config, now, view);
        if let Some(key) = &mut self.current {
            key.publish_if_due(self.key_use, config, now, true, actions);
        }
        if let Some(key) = &mut self.next {
            if is_past_the_cap(key, self.key_use, now, view) {
                // Another replica took the last place at the same time.
                self.cap_reached = true;
                self.next = None;
                return;
            }
            let lead_is_over = key.lead_is_over(config, now);
            if may_skip_lead && key.read_back.is_some() && !lead_is_over {
                key.sign_from = now.time();
            }
            let wants_to_sign = key.read_back.is_some() && (lead_is_over || may_skip_lead);
            key.publish_if_due(self.key_use, config, now, wants_to_sign, actions);
        }
    }

    /// Protocol D: with no other replica alive, and no key of our own that verifiers know, there
    /// is nobody to wait for.
    fn may_skip_lead(&self, config: &LifecycleConfig, now: Now, view: &ControlView) -> bool {
        self.current.is_none() && !has_living_peer(self.key_use, config, now.time(), view)
    }

    fn activate(
        &mut self,
        config: &LifecycleConfig,
        now: Now,
        view: &ControlView,
        actions: &mut Vec<Action>,
    ) {
        let skips_lead = self.may_skip_lead(config, now, view);
        let activated = self.next.take_if(|key| {
            let signed = key.read_back.is_some_and(|read_back| read_back.signed);
            let lead_is_over = key.lead_is_over(config, now);
            signed && (lead_is_over || skips_lead) && is_proven(key)
        });
        if let Some(key) = activated {
            let cold_start = !key.lead_is_over(config, now);
            let kid = key.kid().to_owned();
            actions.push(Action::Activated {
                key_use: self.key_use,
                kid,
                cold_start,
            });
            // The former key drops here. Its lease ends by itself, and it stays served for what it
            // signed.
            self.current = Some(key);
            self.rotate_at = Some(now.time().saturating_add(config.rotate_secs));
        }
    }

    pub(super) fn signer(&self) -> Option<Arc<Signer>> {
        self.signer.clone()
    }

    pub(super) const fn rotate(&mut self) {
        self.rotation_asked = true;
    }

    pub(super) fn readiness(&self, now: Now) -> Result<(), NotReady> {
        match (&self.signer, &self.next) {
            (Some(signer), _) if signer.may_sign(now) => Ok(()),
            (Some(_), _) => Err(NotReady::LeaseOver),
            (None, Some(key)) if key.read_back.is_some() => Err(NotReady::Lead {
                from: key.sign_from,
            }),
            (None, None) if self.cap_reached => Err(NotReady::KeyCap),
            (None, _) => Err(NotReady::Publishing),
        }
    }

    pub(super) fn drain(
        &mut self,
        config: &LifecycleConfig,
        now: UnixTime,
        actions: &mut Vec<Action>,
    ) {
        self.signer = None;
        let keys = [self.current.take(), self.next.take()];
        for key in keys
            .into_iter()
            .flatten()
            .filter(|key| key.asked.is_some() || key.read_back.is_some())
        {
            let signed = key.signed();
            // A clock that ran ahead prolongs no lease.
            let end = key
                .read_back
                .map_or(now, |known| now.min(known.lease_until));
            let record = key.record(self.key_use, config, end, signed);
            actions.push(Action::Publish(Body::Key(Box::new(record))));
        }
    }
}

impl Key {
    fn kid(&self) -> &str {
        self.held.key().kid()
    }

    fn signed(&self) -> bool {
        self.asked.is_some_and(|asked| asked.signed)
            || self.read_back.is_some_and(|read_back| read_back.signed)
    }

    /// Takes what the store says. A key that is served no more begins its lead again.
    fn read_back(&mut self, key_use: KeyUse, now: Now, view: &ControlView) {
        let served = view
            .keys(key_use, now.time())
            .find(|record| record.kid == self.kid());
        let Some(record) = served else {
            self.read_back = None;
            return;
        };
        let first_ms = self
            .read_back
            .map_or(now.monotonic_ms, |known| known.first_ms);
        let came_back = ReadBack {
            first_ms,
            lease_until: record.lease_until,
            signed: record.signed,
        };
        let is_news = self.read_back.is_none_or(|known| {
            (known.lease_until, known.signed) != (came_back.lease_until, came_back.signed)
        });
        if is_news {
            self.asked = self.asked.filter(|asked| asked.signed && !came_back.signed);
        }
        self.read_back = Some(came_back);
    }

    /// Whether every verifier had the time to fetch the key. Counted by the clock that does not
    /// step, from when the key came back.
    fn lead_is_over(&self, config: &LifecycleConfig, now: Now) -> bool {
        self.read_back.is_some_and(|read_back| {
            let published_ms = now.monotonic_ms.saturating_sub(read_back.first_ms);
            published_ms >= config.lead_secs.saturating_mul(1000) && self.sign_from <= now.time()
        })
    }

    /// Writes the record if it was never written, if it must say `signed`, if the lease needs
    /// renewal, or if the last write did not come back.
    fn publish_if_due(
        &mut self,
        key_use: KeyUse,
        config: &LifecycleConfig,
        now: Now,
        wants_to_sign: bool,
        actions: &mut Vec<Action>,
    ) {
        let instant = now.time();
        let signed = wants_to_sign || self.signed();
        let due = match (self.asked, self.read_back) {
            (Some(asked), _) => {
                let waits = now.monotonic_ms.saturating_sub(asked.at_ms) < READ_BACK_MS;
                !waits || (signed && !asked.signed)
            }
            (None, None) => true,
            (None, Some(read_back)) => {
                let renew_from = config.lease_secs.saturating_sub(config.renew_secs);
                let lease_runs_out = read_back.lease_until.seconds_since(instant) <= renew_from;
                lease_runs_out || (signed && !read_back.signed)
            }
        };
        if !due {
            return;
        }
        if self.read_back.is_none() && self.asked.is_none() {
            self.sign_from = self.sign_from.max(instant.saturating_add(config.lead_secs));
        }
        let lease_until = instant.saturating_add(config.lease_secs);
        let record = self.record(key_use, config, lease_until, signed);
        self.asked = Some(Asked {
            at_ms: now.monotonic_ms,
            signed,
        });
        actions.push(Action::Publish(Body::Key(Box::new(record))));
    }

    fn record(
        &self,
        key_use: KeyUse,
        config: &LifecycleConfig,
        lease_until: UnixTime,
        signed: bool,
    ) -> KeyRecord {
        let serve_for = if signed { config.after_end_secs } else { 0 };
        KeyRecord {
            kid: self.kid().to_owned(),
            jwk: self.held.key().jwk().clone(),
            key_use,
            issuer: config.issuer.clone(),
            replica: config.replica.clone(),
            sign_from: self.sign_from,
            lease_until,
            signed,
            serve_until: lease_until.saturating_add(serve_for),
        }
    }
}

/// Another replica whose lease is fresh. Our own former life is none.
fn has_living_peer(
    key_use: KeyUse,
    config: &LifecycleConfig,
    now: UnixTime,
    view: &ControlView,
) -> bool {
    view.keys(key_use, now).any(|record| {
        record.replica != config.replica
            && record.issuer == config.issuer
            && now < record.lease_until
    })
}

/// Whether the key is published and yet not served, because all places are taken.
fn is_past_the_cap(key: &Key, key_use: KeyUse, now: Now, view: &ControlView) -> bool {
    let arrived = view
        .key_record(key.kid())
        .is_some_and(|record| now.time() < record.serve_until);
    key.read_back.is_none() && arrived && view.keys(key_use, now.time()).count() >= MAX_SERVED_KEYS
}

fn is_proven(key: &Key) -> bool {
    key.held
        .prove()
        .inspect_err(
            |error| tracing::error!(%error, kid = key.kid(), "a signing key is not activated"),
        )
        .is_ok()
}

fn generate(
    config: &LifecycleConfig,
    key_use: KeyUse,
    rng: &mut dyn Rng,
) -> Result<HeldKey, SignerError> {
    HeldKey::new(crate::keygen::generate(config.algorithm, rng)?, key_use)
}
