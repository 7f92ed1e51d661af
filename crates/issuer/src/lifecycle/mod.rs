//! Publish before use: the life of this replica's signing keys (protocol D).
//!
//! A key is generated in memory and its public part published; when it has come back through the
//! store, and every verifier had the time to fetch it, the write that says `signed` goes out, and
//! when that has come back too, the key signs. So no verifier meets an unknown `kid`, and a replica
//! that dies before its first signature leaves nothing behind. The token key and the feed key live
//! the same life, each in a lane of its own.
//!
//! The machine does no I/O. Its owner calls [`KeyLifecycle::tick`] every half second and whenever
//! control changed, does the [`Action`]s, and hands [`KeyLifecycle::signer`] to whoever signs.

mod lane;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dayfly_keys::Algorithm;
use dayfly_token::UnixTime;

use crate::control::{Body, CLOCK_DISTANCE_SECS, ControlView, KeyUse};
use crate::port::{Now, Rng};
use crate::signer::Signer;
use lane::Lane;

/// How long a key set may be cached, in seconds: the `max-age` of the JWKS.
pub const JWKS_MAX_AGE_SECS: u64 = 30;

/// How long a replica may take to serve a key that another one published, in seconds.
pub const KEY_SYNC_SECS: u64 = 5;

/// How long a key is published before it signs, in seconds.
pub const LEAD_SECS: u64 = 60;

/// How long a replica counts as alive after it last said so, in seconds.
pub const LEASE_SECS: u64 = 15;

/// How often a replica says that it is alive, in seconds.
pub const RENEW_SECS: u64 = 5;

/// How long a key signs before the next one takes over, in seconds: a day.
pub const ROTATE_SECS: u64 = 24 * 3600;

/// The times of protocol D. Tests scale them all down together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleConfig {
    /// The issuer that the keys sign for.
    pub issuer: String,
    /// This replica, by a name that no other one has and that a restart keeps.
    pub replica: String,
    /// The algorithm of all keys.
    pub algorithm: Algorithm,
    /// How long a key set may be cached, in seconds.
    pub max_age_secs: u64,
    /// How long a replica may take to serve a published key, in seconds.
    pub sync_secs: u64,
    /// How long a key is published before it signs, in seconds.
    pub lead_secs: u64,
    /// How long a lease lasts, in seconds.
    pub lease_secs: u64,
    /// How often it is renewed, in seconds.
    pub renew_secs: u64,
    /// How long a key signs, in seconds.
    pub rotate_secs: u64,
    /// L + S: how long after its last signature a key is served, in seconds.
    pub after_end_secs: u64,
}

impl LifecycleConfig {
    /// The times of the design.
    #[must_use]
    pub fn new(issuer: String, replica: String, algorithm: Algorithm, after_end_secs: u64) -> Self {
        Self {
            issuer,
            replica,
            algorithm,
            max_age_secs: JWKS_MAX_AGE_SECS,
            sync_secs: KEY_SYNC_SECS,
            lead_secs: LEAD_SECS,
            lease_secs: LEASE_SECS,
            renew_secs: RENEW_SECS,
            rotate_secs: ROTATE_SECS,
            after_end_secs,
        }
    }

    /// Checks that a verifier that fetches keys only when its copy has expired never meets an
    /// unknown key, and that a lease survives one renewal that comes late.
    ///
    /// # Errors
    /// The inequality that does not hold.
    pub const fn check(&self) -> Result<(), LifecycleError> {
        let least = self
            .max_age_secs
            .saturating_add(self.sync_secs.saturating_mul(2))
            .saturating_add(CLOCK_DISTANCE_SECS);
        if self.lead_secs < least {
            return Err(LifecycleError::LeadTooShort {
                lead_secs: self.lead_secs,
                least,
            });
        }
        // Two replicas' clocks differ by at most 2δ; a lease that is renewed in time is never
        // taken for one that ended.
        let least = self
            .renew_secs
            .saturating_add(2 * CLOCK_DISTANCE_SECS)
            .saturating_add(1);
        if self.renew_secs == 0 || self.lease_secs < least {
            return Err(LifecycleError::LeaseTooShort {
                lease_secs: self.lease_secs,
                least,
            });
        }
        let least = self.lead_secs.saturating_add(self.lease_secs);
        if self.rotate_secs < least {
            return Err(LifecycleError::RotationTooFast {
                rotate_secs: self.rotate_secs,
                least,
            });
        }
        Ok(())
    }
}

/// The times do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// Lead < JWKS max-age + 2 × sync + δ.
    #[error("a lead of {lead_secs} s is shorter than max-age + 2 × sync + δ = {least} s")]
    LeadTooShort {
        /// The lead.
        lead_secs: u64,
        /// What it needs.
        least: u64,
    },
    /// A lease ends before it is renewed.
    #[error("a lease of {lease_secs} s is shorter than renewal + 2δ + 1 = {least} s")]
    LeaseTooShort {
        /// The lease.
        lease_secs: u64,
        /// What it needs.
        least: u64,
    },
    /// The next key would be due before the present one signs.
    #[error("a rotation of {rotate_secs} s is shorter than lead + lease = {least} s")]
    RotationTooFast {
        /// The rotation.
        rotate_secs: u64,
        /// What it needs.
        least: u64,
    },
}

/// What the owner of the machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A key begins to sign. Nothing is to be done; it is worth a line in the log.
    Activated {
        /// What it signs.
        key_use: KeyUse,
        /// Which.
        kid: String,
        /// Without lead, because no other replica was alive.
        cold_start: bool,
    },
    /// Seal this and write it to the ledger.
    Publish(Body),
    /// A key was tainted and is gone. Worth a line in the log.
    Tainted {
        /// What it signed.
        key_use: KeyUse,
        /// Which.
        kid: String,
    },
}

/// Why this replica cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// This machine's clock is not where the ledger's is.
    #[error("the clock is too far from the ledger's")]
    ClockOff,
    /// The control stream is silent.
    #[error("the control stream of the ledger is not heard")]
    ControlSilent,
    /// The replica is shutting down.
    #[error("this replica is shutting down")]
    Draining,
    /// As many keys are published as may be.
    #[error("{} keys are published already", crate::control::MAX_SERVED_KEYS)]
    KeyCap,
    /// The key is published, and verifiers get the time to fetch it.
    #[error("the new key signs from {from}")]
    Lead {
        /// When it may sign.
        from: UnixTime,
    },
    /// The lease could not be renewed.
    #[error("the lease of the signing key could not be renewed")]
    LeaseOver,
    /// The key has not come back from the ledger.
    #[error("the new key is not published yet")]
    Publishing,
    /// No store was adopted.
    #[error("the ledger was not read yet, or was replaced")]
    StoreUnknown,
}

/// The keys of this replica. No private key leaves it but inside a [`Signer`].
pub struct KeyLifecycle {
    config: LifecycleConfig,
    token: Lane,
    feed: Lane,
    cold_starts: u64,
    draining: bool,
}

impl KeyLifecycle {
    /// A replica that has no keys yet.
    ///
    /// # Errors
    /// If the times do not fit together.
    pub fn new(config: LifecycleConfig) -> Result<Self, LifecycleError> {
        config.check()?;
        Ok(Self {
            config,
            token: Lane::new(KeyUse::Token),
            feed: Lane::new(KeyUse::Feed),
            cold_starts: 0,
            draining: false,
        })
    }

    /// What is to be done at `now`, as `view` knows the keys of all replicas.
    pub fn tick(&mut self, now: Now, view: &ControlView, rng: &mut dyn Rng) -> Vec<Action> {
        if self.draining {
            return Vec::new();
        }
        let mut actions = Vec::new();
        for lane in [&mut self.token, &mut self.feed] {
            lane.tick(&self.config, now, view, rng, &mut actions);
        }
        let cold = |action: &&Action| {
            matches!(
                action,
                Action::Activated {
                    key_use: KeyUse::Token,
                    cold_start: true,
                    ..
                }
            )
        };
        self.cold_starts += actions.iter().filter(cold).count() as u64;
        actions
    }

    /// The key that signs, with its lease; `None` while none may.
    #[must_use]
    pub fn signer(&self, key_use: KeyUse) -> Option<Arc<Signer>> {
        if self.draining {
            return None;
        }
        self.lane(key_use).signer()
    }

    /// Whether this replica can sign tokens and feed statements.
    ///
    /// # Errors
    /// The first reason why it cannot.
    pub fn readiness(&self, now: Now, view: &ControlView) -> Result<(), NotReady> {
        if self.draining {
            return Err(NotReady::Draining);
        }
        if !view.hears(now) {
            return Err(NotReady::ControlSilent);
        }
        if view.admit_clock(now).is_err() {
            return Err(NotReady::ClockOff);
        }
        if view.store().is_none() {
            return Err(NotReady::StoreUnknown);
        }
        self.token.readiness(now)?;
        self.feed.readiness(now)
    }

    /// How often a token key signed without lead because no other replica was alive.
    #[must_use]
    pub const fn cold_starts(&self) -> u64 {
        self.cold_starts
    }

    /// Publishes the next key now rather than when it is due.
    pub fn rotate(&mut self, key_use: KeyUse) {
        match key_use {
            KeyUse::Feed => self.feed.rotate(),
            KeyUse::Token => self.token.rotate(),
        }
    }

    /// Takes another L + S, for what is published from now on.
    pub const fn set_after_end_secs(&mut self, after_end_secs: u64) {
        self.config.after_end_secs = after_end_secs;
    }

    /// Stops signing, and ends the leases: the last thing that a replica publishes.
    pub fn drain(&mut self, now: Now) -> Vec<Action> {
        if std::mem::replace(&mut self.draining, true) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        for lane in [&mut self.token, &mut self.feed] {
            lane.drain(&self.config, now.time(), &mut actions);
        }
        actions
    }

    const fn lane(&self, key_use: KeyUse) -> &Lane {
        match key_use {
            KeyUse::Feed => &self.feed,
            KeyUse::Token => &self.token,
        }
    }
}
