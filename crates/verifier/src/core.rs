//! What a verifier knows, and the checks that are made each time: times, binding, revocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dayfly_keys::KeySet;
use dayfly_token::{Confirmation, UnixTime};

use crate::builder::{BuildError, RevocationSource};
use crate::cache::Cache;
use crate::content::{ACCESS_TOKEN_TYPE, Expected};
use crate::dpop;
use crate::keyring::Keyring;
use crate::peer::Presented;
use crate::rejection::Reason;
use crate::revocation::Revocations;
use crate::verified::{Checked, Freshness, Handle, Times};

/// What a verifier knows; the follower of the feature `http` keeps it up to date.
pub(crate) struct Core {
    issuer: String,
    source: RevocationSource,
    limits: Limits,
    /// The issuer's longest lifetime in seconds, as it publishes it.
    published_lifetime_secs: AtomicU64,
    trusted: ArcSwap<Trusted>,
    /// Which keys and audiences those are; raised after they are in place, so that whoever reads it sees those or
    /// later ones.
    generation: AtomicU64,
    pub(crate) cache: Cache,
    revocations: Arc<Revocations>,
    dpop: Arc<dpop::Checker>,
    /// A token asked for a key, or a lifetime, that the issuer may have published since.
    #[cfg(feature = "http")]
    pub(crate) refresh_wanted: tokio::sync::Notify,
}

/// What the content of a token is held against, and what can change.
struct Trusted {
    keyring: Arc<Keyring>,
    audience: Arc<AcceptedAudience>,
}

pub(crate) enum AcceptedAudience {
    Any,
    OneOf(Vec<String>),
}

pub(crate) struct Limits {
    pub(crate) leeway_secs: u64,
    pub(crate) max_lifetime_secs: u64,
    pub(crate) max_staleness_secs: Option<u64>,
    pub(crate) any_binding: bool,
    pub(crate) cached_tokens: usize,
}

impl AcceptedAudience {
    pub(crate) fn one_of(names: Vec<String>) -> Result<Self, BuildError> {
        if names.is_empty() {
            return Err(BuildError::AudienceMissing);
        }
        if names.iter().any(String::is_empty) {
            return Err(BuildError::AudienceEmpty);
        }
        Ok(Self::OneOf(names))
    }
}

impl Core {
    pub(crate) fn new(
        issuer: String,
        audience: AcceptedAudience,
        source: RevocationSource,
        limits: Limits,
        keys: KeySet,
        revocations: Arc<Revocations>,
        dpop: Arc<dpop::Checker>,
    ) -> Self {
        Self {
            issuer,
            source,
            published_lifetime_secs: AtomicU64::new(limits.max_lifetime_secs),
            trusted: ArcSwap::from_pointee(Trusted {
                keyring: Arc::new(Keyring::new(keys, ACCESS_TOKEN_TYPE)),
                audience: Arc::new(audience),
            }),
            generation: AtomicU64::new(0),
            cache: Cache::new(limits.cached_tokens),
            limits,
            revocations,
            dpop,
            #[cfg(feature = "http")]
            refresh_wanted: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) const fn source(&self) -> RevocationSource {
        self.source
    }

    pub(crate) const fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    pub(crate) fn keys(&self) -> KeySet {
        self.trusted.load().keyring.keys().clone()
    }

    /// The same keys once more, as a follower brings them every half minute, leave the cache as it is.
    pub(crate) fn replace_keys(&self, keys: KeySet) {
        if self.trusted.load().keyring.holds(&keys) {
            return;
        }
        let keyring = Arc::new(Keyring::new(keys, ACCESS_TOKEN_TYPE));
        self.trust(|trusted| Trusted {
            keyring: Arc::clone(&keyring),
            audience: Arc::clone(&trusted.audience),
        });
    }

    pub(crate) fn replace_audience(&self, audience: AcceptedAudience) {
        let audience = Arc::new(audience);
        self.trust(|trusted| Trusted {
            keyring: Arc::clone(&trusted.keyring),
            audience: Arc::clone(&audience),
        });
    }

    fn trust(&self, change: impl FnMut(&Arc<Trusted>) -> Trusted) {
        self.trusted.rcu(change);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Names the present keys and audiences.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn set_max_lifetime(&self, secs: u64) {
        self.published_lifetime_secs.store(secs, Ordering::Relaxed);
    }

    pub(crate) fn max_lifetime_secs(&self) -> u64 {
        self.published_lifetime_secs
            .load(Ordering::Relaxed)
            .min(self.limits.max_lifetime_secs)
    }

    /// Everything about a token that stays as it is while keys and audiences do. `generation` was read before.
    pub(crate) fn read(&self, token: &str, generation: u64) -> Result<Checked, Reason> {
        let trusted = self.trusted.load();
        let expected = Expected {
            issuer: &self.issuer,
            audience: &trusted.audience,
            keyring: &trusted.keyring,
        };
        let read = expected.read(token, generation);
        if let Err(Reason::KidUnknown { .. } | Reason::KeysAbsent) = &read {
            self.want_refresh();
        }
        read
    }

    pub(crate) fn check_times(&self, times: &Times, now: UnixTime) -> Result<(), Reason> {
        let leeway_secs = self.limits.leeway_secs;
        let latest = now.saturating_add(leeway_secs);
        for (claim, instant) in [("iat", Some(times.iat)), ("nbf", times.nbf)] {
            if let Some(instant) = instant.filter(|instant| *instant > latest) {
                return Err(Reason::NotYetValid {
                    claim,
                    instant,
                    now,
                    leeway_secs,
                });
            }
        }
        // RFC 7519 section 4.1.4: on or after `exp` the token MUST NOT be accepted.
        if now >= times.exp.saturating_add(leeway_secs) {
            return Err(Reason::Expired {
                now,
                expires_at: times.exp,
                leeway_secs,
            });
        }
        if times.exp <= times.iat {
            return Err(Reason::LifetimeBackwards {
                issued_at: times.iat,
                expires_at: times.exp,
            });
        }
        let lifetime_secs = times.exp.seconds_since(times.iat);
        let limit_secs = self.max_lifetime_secs();
        if lifetime_secs > limit_secs {
            // The issuer may have raised it since.
            self.want_refresh();
            return Err(Reason::LifetimeTooLong {
                lifetime_secs,
                limit_secs,
            });
        }
        Ok(())
    }

    /// RFC 7800 section 3.1: a bound token is worth nothing without the proof. A `DPoP` proof that holds comes back, for
    /// [`Core::spend`].
    pub(crate) fn check_confirmation(
        &self,
        handle: &Handle,
        token: &str,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Option<dpop::Unspent>, Reason> {
        if self.limits.any_binding {
            return Ok(None);
        }
        match (handle.confirmation(), &presented.proof) {
            (Some(Confirmation::KeyThumbprint(key)), Some(proof)) => {
                Ok(Some(self.dpop.check(proof, token, key, now)?))
            }
            // RFC 9449 section 7.2: a bound token that comes as a bearer token MUST be refused.
            (Some(Confirmation::KeyThumbprint(_)), None) => Err(Reason::ProofMissing),
            // RFC 9449 section 7.1: the key of the proof MUST be the one that the token is bound to.
            (_, Some(_)) => Err(Reason::TokenUnbound),
            (cnf, None) => check_peer(cnf, presented).map(|()| None),
        }
    }

    /// Counts a proof as used.
    pub(crate) fn spend(&self, proof: &dpop::Unspent, now: UnixTime) -> Result<(), Reason> {
        Ok(self.dpop.spend(proof, now)?)
    }

    pub(crate) const fn proofs(&self) -> &Arc<dpop::Checker> {
        &self.dpop
    }

    pub(crate) fn dpop_nonce(&self, now: UnixTime) -> Option<String> {
        self.dpop.nonce(now)
    }

    /// What was found to live under this very state of the revocations lives.
    pub(crate) fn check_revocation(&self, token: &Handle) -> Result<(), Reason> {
        let version = self.revocations.version();
        if token.alive_under.load(Ordering::Relaxed) == version {
            return Ok(());
        }
        if let Some(kind) = self.revocations.find_marked(&token.checked().marks) {
            return Err(Reason::Revoked { kind });
        }
        token.alive_under.store(version, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn freshness(&self, now: UnixTime) -> Result<Freshness, Reason> {
        let limit_secs = self
            .limits
            .max_staleness_secs
            .unwrap_or_else(|| self.max_lifetime_secs());
        crate::staleness::freshness(self.source, &self.revocations, limit_secs, now)
    }

    /// Tells the follower, if there is one. Nothing is fetched here.
    fn want_refresh(&self) {
        #[cfg(feature = "http")]
        self.refresh_wanted.notify_one();
    }
}

/// RFC 8705 section 3: the certificate of this very connection.
fn check_peer(cnf: Option<&Confirmation>, presented: &Presented<'_>) -> Result<(), Reason> {
    let (bound_to, proven) = match cnf {
        // The proof of a key is no matter of the connection.
        None | Some(Confirmation::KeyThumbprint(_)) => return Ok(()),
        Some(Confirmation::CertificateThumbprint(thumbprint)) => (
            "a client certificate",
            presented
                .peer
                .is_some_and(|peer| peer.thumbprint() == thumbprint),
        ),
        Some(Confirmation::SpiffeId(id)) => (
            "a SPIFFE ID",
            presented
                .peer
                .is_some_and(|peer| peer.spiffe_id() == Some(id)),
        ),
    };
    if proven {
        return Ok(());
    }
    let presented = if presented.peer.is_some() {
        "has another client certificate"
    } else {
        "has no client certificate"
    };
    Err(Reason::ConfirmationUnproven {
        bound_to,
        presented,
    })
}
