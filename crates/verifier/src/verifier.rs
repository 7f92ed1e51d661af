//! The door: a token's text goes in, and its claims come out of one call that leaves no check out.

use std::fmt;
use std::sync::Arc;

use dayfly_keys::KeySet;
use dayfly_token::UnixTime;

use crate::builder::{BuildError, RevocationSource, VerifierBuilder};
use crate::core::{AcceptedAudience, Core};
use crate::peer::Presented;
use crate::rejection::Rejection;
use crate::revocation::Revocations;
use crate::unverified::UnverifiedToken;
use crate::verified::{Freshness, Handle, Verified};

/// Checks the access tokens of one issuer for one API. Cloning is cheap, and clones share keys and revocations.
///
/// [`Verifier::verify`] reads no clock and does no I/O; what it knows is put in from outside, by hand or by the
/// follower of the feature `http`.
#[derive(Clone)]
pub struct Verifier {
    core: Arc<Core>,
    /// Ends the background task with the last clone.
    #[cfg(feature = "http")]
    _follower: Option<Arc<crate::follow::Guard>>,
}

impl Verifier {
    /// Starts a verifier of the tokens of `issuer`, compared with `iss` byte by byte.
    pub fn builder(issuer: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(issuer.into())
    }

    pub(crate) fn of(core: Core) -> Self {
        Self {
            core: Arc::new(core),
            #[cfg(feature = "http")]
            _follower: None,
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn followed_by(self, guard: crate::follow::Guard) -> Self {
        Self {
            _follower: Some(Arc::new(guard)),
            ..self
        }
    }

    /// Checks a token completely: form, type, algorithm, signature, issuer, audience, times, required claims,
    /// binding, and revocation, in this order. No part of it can be left out, and nothing else gives a [`Verified`].
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(
        &self,
        token: UnverifiedToken<'_>,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Verified, Rejection> {
        let core = &*self.core;
        let generation = core.generation();
        let known = core.cache.find(token.text(), generation);
        let is_new = known.is_none();
        let handle = match known {
            Some(handle) => handle,
            None => Arc::new(Handle::new(Arc::new(core.read(token.text(), generation)?))),
        };
        let refused = |reason| Rejection::of_known(reason, handle.checked());
        core.check_times(&handle.times, now).map_err(refused)?;
        let proof = core
            .check_confirmation(&handle, token.text(), presented, now)
            .map_err(refused)?;
        core.check_revocation(&handle).map_err(refused)?;
        let freshness = core.freshness(now).map_err(refused)?;
        if is_new {
            core.cache.insert(token.text(), &handle, now);
        }
        // Last of all: a request that is refused for another reason uses up no proof and no room for one.
        if let Some(proof) = proof {
            core.spend(&proof, now).map_err(refused)?;
        }
        Ok(Verified {
            token: handle,
            freshness,
        })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.core.issuer()
    }

    /// Puts the issuer's present keys in the place of the former ones; a key that is gone verifies nothing more.
    pub fn replace_keys(&self, keys: KeySet) {
        self.core.replace_keys(keys);
    }

    /// The keys that are in use.
    #[must_use]
    pub fn keys(&self) -> KeySet {
        self.core.keys()
    }

    /// Puts other audiences in the place of those that this API answers to.
    ///
    /// # Errors
    /// If there is none, or an empty one. The audiences are unchanged then.
    pub fn replace_audiences<A: Into<String>>(
        &self,
        audiences: impl IntoIterator<Item = A>,
    ) -> Result<(), BuildError> {
        let audiences = audiences.into_iter().map(Into::into).collect();
        self.core
            .replace_audience(AcceptedAudience::one_of(audiences)?);
        Ok(())
    }

    /// The revocation state, which may be merged into at any time.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        self.core.revocations()
    }

    /// Where this verifier learns of revocations.
    #[must_use]
    pub fn revocation_source(&self) -> RevocationSource {
        self.core.source()
    }

    /// Takes over the issuer's longest lifetime in seconds, as its metadata publish it. The builder's limit
    /// stays the upper bound.
    pub fn set_max_lifetime(&self, secs: u64) {
        self.core.set_max_lifetime(secs);
    }

    /// The longest lifetime that is accepted at present, in seconds.
    #[must_use]
    pub fn max_lifetime_secs(&self) -> u64 {
        self.core.max_lifetime_secs()
    }

    /// How old the revocation state is at `now`, as [`Verified::freshness`] would say it; `None` where every token is
    /// refused, because it is too old or because there is no key. For health pages and metrics.
    #[must_use]
    pub fn freshness(&self, now: UnixTime) -> Option<Freshness> {
        if self.core.keys().is_empty() {
            return None;
        }
        self.core.freshness(now).ok()
    }

    /// A fresh nonce for the clients' `DPoP` proofs, if the [policy](crate::dpop::Policy::require_nonce) requires one:
    /// the value of the header `DPoP-Nonce`.
    #[must_use]
    pub fn dpop_nonce(&self, now: UnixTime) -> Option<String> {
        self.core.dpop_nonce(now)
    }

    pub(crate) fn proofs(&self) -> &Arc<crate::dpop::Checker> {
        self.core.proofs()
    }

    #[cfg(any(test, feature = "http", feature = "rustls"))]
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.core.issuer())
            .field("revocation", &self.core.source())
            .finish_non_exhaustive()
    }
}
