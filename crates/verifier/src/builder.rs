use std::sync::Arc;

use dayfly_keys::KeySet;

use crate::core::{AcceptedAudience, Core, Limits};
use crate::dpop;
use crate::revocation::Revocations;
use crate::verifier::Verifier;
use crate::{
    DEFAULT_CACHED_TOKENS, DEFAULT_LEEWAY_SECS, DEFAULT_MAX_LIFETIME_SECS, MAX_LEEWAY_SECS,
};

/// Where a verifier learns of revocations. There is no default: the choice is the API's, and visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationSource {
    /// From the issuer's feed, kept up to date by a follower.
    Follow,
    /// From a bundle file or statements that the embedding program loads; its age counts as the feed's age.
    Bundle,
    /// From nowhere: a revoked token is accepted until it expires, and [`Freshness::Unknown`](crate::Freshness)
    /// says so.
    None,
}

/// Why a verifier was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No audience was given; a verifier without one would accept tokens meant for other APIs.
    #[error("no audience: call `audience` with the name of the API that this verifier protects")]
    AudienceMissing,
    /// An empty audience.
    #[error("an audience is empty")]
    AudienceEmpty,
    /// An empty issuer.
    #[error("the issuer is empty")]
    IssuerEmpty,
    /// A leeway over the cap.
    #[error("a leeway of {leeway_secs} s is over the cap of {MAX_LEEWAY_SECS} s")]
    Leeway {
        /// What was asked for, in seconds.
        leeway_secs: u64,
    },
    /// A longest lifetime of zero.
    #[error("a longest lifetime of 0 s accepts nothing")]
    Lifetime,
    /// Nothing was said about revocations.
    #[error("nothing said about revocations: call `revocation` with `Follow`, `Bundle` or `None`")]
    RevocationUnspecified,
}

/// Collects what a [`Verifier`] needs to know.
#[derive(Clone)]
#[must_use]
pub struct VerifierBuilder {
    issuer: String,
    audiences: Vec<String>,
    any_audience: bool,
    any_binding: bool,
    keys: KeySet,
    revocation: Option<RevocationSource>,
    revocations: Option<Arc<Revocations>>,
    leeway_secs: u64,
    max_lifetime_secs: u64,
    max_staleness_secs: Option<u64>,
    dpop: dpop::Policy,
    proofs: Option<Arc<dpop::Checker>>,
    cached_tokens: usize,
}

impl VerifierBuilder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Vec::new(),
            any_audience: false,
            any_binding: false,
            keys: KeySet::default(),
            revocation: None,
            revocations: None,
            leeway_secs: DEFAULT_LEEWAY_SECS,
            max_lifetime_secs: DEFAULT_MAX_LIFETIME_SECS,
            max_staleness_secs: None,
            dpop: dpop::Policy::new(),
            proofs: None,
            cached_tokens: DEFAULT_CACHED_TOKENS,
        }
    }

    /// An audience that this API answers to, compared byte by byte. May be called more than once, and must be
    /// called at least once.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts tokens for every audience. Only for the issuer itself, which exchanges and introspects tokens
    /// that are meant for others; anywhere else it lets a token for one API into another.
    pub fn danger_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Skips the check of the confirmation (`cnf`). Only for the issuer itself, which introspects and revokes
    /// tokens that are bound to someone else; anywhere else it makes every bound token a bearer token. What
    /// [`Verified::confirmation`](crate::Verified::confirmation) says is then unproven.
    pub const fn danger_any_binding(mut self) -> Self {
        self.any_binding = true;
        self
    }

    /// The issuer's keys. Without any, every token is refused (`keys_unavailable`) until [`Verifier::replace_keys`] brings some.
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = keys;
        self
    }

    /// Where revocations come from; must be called.
    pub const fn revocation(mut self, source: RevocationSource) -> Self {
        self.revocation = Some(source);
        self
    }

    /// Uses a revocation state that something else keeps, or that several verifiers of one issuer share. Never of two:
    /// an entry names no issuer, so that either could revoke the other's credentials.
    pub fn shared_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Leeway for clocks in seconds, at most 60; 30 if not called.
    pub const fn leeway_secs(mut self, secs: u64) -> Self {
        self.leeway_secs = secs;
        self
    }

    /// The longest lifetime `exp - iat` that is accepted, in seconds; 3600 if not called. What the issuer
    /// publishes can only lower it.
    pub const fn max_lifetime_secs(mut self, secs: u64) -> Self {
        self.max_lifetime_secs = secs;
        self
    }

    /// The oldest revocation state that is accepted, in seconds; the longest lifetime if not called, because
    /// nothing that was issued before the line was cut is alive after it. 0 accepts only what was heard this
    /// very second; sensible values begin at 10, two heartbeats.
    pub const fn max_staleness_secs(mut self, secs: u64) -> Self {
        self.max_staleness_secs = Some(secs);
        self
    }

    /// How the proofs of tokens that are bound to a key are checked; [`dpop::Policy::new`] if not called.
    pub fn dpop(mut self, policy: dpop::Policy) -> Self {
        self.dpop = policy;
        self
    }

    /// Checks and remembers proofs together with `verifier`, by its policy and in its room: what one accepted, the other
    /// refuses as replayed. For a verifier that takes the place of another of the same API, or stands beside one behind
    /// the same URL; each by itself would accept a proof once. [`VerifierBuilder::dpop`] says nothing then.
    pub fn shared_proofs(mut self, verifier: &Verifier) -> Self {
        self.proofs = Some(Arc::clone(verifier.proofs()));
        self
    }

    /// How many verified tokens are remembered, so that the signature of one that comes again is not computed again;
    /// [`DEFAULT_CACHED_TOKENS`] if not called, none with 0, and a million at most. Times, binding and revocation are checked each time.
    /// A token takes about 3 KiB.
    pub const fn cached_tokens(mut self, tokens: usize) -> Self {
        self.cached_tokens = tokens;
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// If the issuer, an audience or the choice about revocations is missing, or a limit is out of range.
    pub fn build(self) -> Result<Verifier, BuildError> {
        if self.issuer.is_empty() {
            return Err(BuildError::IssuerEmpty);
        }
        let audience = match AcceptedAudience::one_of(self.audiences) {
            // An empty name is a mistake, even where none is needed.
            Ok(_) | Err(BuildError::AudienceMissing) if self.any_audience => AcceptedAudience::Any,
            named => named?,
        };
        if self.leeway_secs > MAX_LEEWAY_SECS {
            return Err(BuildError::Leeway {
                leeway_secs: self.leeway_secs,
            });
        }
        if self.max_lifetime_secs == 0 {
            return Err(BuildError::Lifetime);
        }
        let source = self.revocation.ok_or(BuildError::RevocationUnspecified)?;
        let limits = Limits {
            leeway_secs: self.leeway_secs,
            max_lifetime_secs: self.max_lifetime_secs,
            max_staleness_secs: self.max_staleness_secs,
            any_binding: self.any_binding,
            cached_tokens: self.cached_tokens,
        };
        let revocations = self.revocations.unwrap_or_default();
        let dpop = self
            .proofs
            .unwrap_or_else(|| Arc::new(dpop::Checker::new(self.dpop)));
        Ok(Verifier::of(Core::new(
            self.issuer,
            audience,
            source,
            limits,
            self.keys,
            revocations,
            dpop,
        )))
    }
}
