//! The verify path: everything between a token's text and its claims, in one call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dayfly_keys::{Algorithm, KeySet, VerifyingKey};
use dayfly_token::{
    Claims, ClaimsError, Compact, Confirmation, Excerpt, Header, JsonError, UnixTime, json,
};

use crate::builder::{RevocationSource, VerifierBuilder};
use crate::dpop;
use crate::peer::Presented;
use crate::rejection::{Reason, Rejection};
use crate::revocation::{Facts, Revocations};
use crate::unverified::UnverifiedToken;
use crate::verified::{Checked, Freshness, Verified};
use crate::{FRESH_SECS, MAX_LEEWAY_SECS};

/// Media type of an access token (RFC 9068 section 2.1).
const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Every algorithm that is accepted at all; which one, the key says.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

/// The claims that RFC 9068 section 2.2 requires.
const REQUIRED_CLAIMS: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

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

/// What a verifier knows; the follower of the feature `http` keeps it up to date.
pub(crate) struct Core {
    issuer: String,
    audience: AcceptedAudience,
    source: RevocationSource,
    limits: Limits,
    /// The issuer's longest lifetime in seconds, as it publishes it.
    published_lifetime_secs: AtomicU64,
    keys: ArcSwap<KeySet>,
    revocations: Arc<Revocations>,
    dpop: dpop::Checker,
    /// A token asked for a key, or a lifetime, that the issuer may have published since.
    #[cfg(feature = "http")]
    pub(crate) refresh_wanted: tokio::sync::Notify,
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
        let keys = core.keys.load();
        let (kid, claims) = core.authenticate(&keys, token.text())?;
        core.check_issuer_and_audience(&claims)?;
        core.check_times(&claims, now)?;
        let proof = core.check_confirmation(&claims, token.text(), presented, now)?;
        let freshness = core.check_revocation(&kid, &claims, now)?;
        // Last of all: a request that is refused for another reason uses up no proof and no room for one.
        if let Some(proof) = proof {
            core.dpop.spend(&proof, now).map_err(Reason::from)?;
        }
        Ok(Verified {
            token: Arc::new(Checked { kid, claims }),
            freshness,
        })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.core.issuer
    }

    /// Puts the issuer's present keys in the place of the former ones; a key that is gone verifies nothing more.
    pub fn replace_keys(&self, keys: KeySet) {
        self.core.replace_keys(keys);
    }

    /// The keys that are in use.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        self.core.keys.load_full()
    }

    /// The revocation state, which may be merged into at any time.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.core.revocations
    }

    /// Where this verifier learns of revocations.
    #[must_use]
    pub fn revocation_source(&self) -> RevocationSource {
        self.core.source
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

    /// How old the revocation state is at `now`, as [`Verified::freshness`] would say it; `None` where tokens
    /// are refused because of it. For health pages and metrics.
    #[must_use]
    pub fn freshness(&self, now: UnixTime) -> Option<Freshness> {
        self.core.freshness(now).ok()
    }

    /// A fresh nonce for the clients' `DPoP` proofs, if the [policy](dpop::Policy::require_nonce) requires one: the
    /// value of the header `DPoP-Nonce`.
    #[must_use]
    pub fn dpop_nonce(&self, now: UnixTime) -> Option<String> {
        self.core.dpop.nonce(now)
    }

    #[cfg(feature = "http")]
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.core.issuer)
            .field("revocation", &self.core.source)
            .finish_non_exhaustive()
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
        dpop: dpop::Checker,
    ) -> Self {
        Self {
            issuer,
            audience,
            source,
            published_lifetime_secs: AtomicU64::new(limits.max_lifetime_secs),
            limits,
            keys: ArcSwap::from_pointee(keys),
            revocations,
            dpop,
            #[cfg(feature = "http")]
            refresh_wanted: tokio::sync::Notify::new(),
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    #[cfg(feature = "http")]
    pub(crate) const fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    pub(crate) fn replace_keys(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    pub(crate) fn set_max_lifetime(&self, secs: u64) {
        self.published_lifetime_secs.store(secs, Ordering::Relaxed);
    }

    fn max_lifetime_secs(&self) -> u64 {
        self.published_lifetime_secs
            .load(Ordering::Relaxed)
            .min(self.limits.max_lifetime_secs)
    }

    /// Steps 1 to 5: form, header, key, signature, strict JSON. The claims that come out are the bytes that the
    /// signature covers, parsed once.
    fn authenticate(&self, keys: &KeySet, token: &str) -> Result<(String, Claims), Reason> {
        let compact = Compact::split(token).map_err(compact_refused)?;
        let header_json = compact.header_bytes().map_err(compact_refused)?;
        let header = Header::parse(&header_json).map_err(|source| Reason::Header { source })?;
        // RFC 9068 section 4: any other type MUST be refused, which keeps every other kind of JWT out.
        if !header.is_type(ACCESS_TOKEN_TYPE) {
            return Err(Reason::Type {
                found: Excerpt::of(header.typ.as_deref().unwrap_or_default()),
            });
        }
        let (kid, key) = self.key_of(keys, header)?;
        let signature = compact.signature_bytes().map_err(compact_refused)?;
        key.verify(compact.signing_input(), &signature)
            .map_err(|source| Reason::Signature { source })?;
        let payload = compact.payload_bytes().map_err(compact_refused)?;
        let claims = Claims::parse(&payload).map_err(|source| claims_refused(source, &payload))?;
        Ok((kid, claims))
    }

    /// RFC 8725bis section 3.1: one key, one algorithm. The algorithm comes from the key and is compared with
    /// the header, never the other way round.
    fn key_of<'k>(
        &self,
        keys: &'k KeySet,
        header: Header,
    ) -> Result<(String, &'k VerifyingKey), Reason> {
        let wrong_algorithm = |alg: &str| Reason::Algorithm {
            alg: Excerpt::of(alg),
        };
        if !ALGORITHMS
            .iter()
            .any(|algorithm| algorithm.accepts(&header.alg))
        {
            return Err(wrong_algorithm(&header.alg));
        }
        let kid = header.kid.ok_or(Reason::KidMissing)?;
        let Some(key) = keys.get(&kid) else {
            self.want_refresh();
            return Err(Reason::KidUnknown {
                kid: Excerpt::of(&kid),
            });
        };
        if !key.algorithm().accepts(&header.alg) {
            return Err(wrong_algorithm(&header.alg));
        }
        Ok((kid, key))
    }

    fn check_issuer_and_audience(&self, claims: &Claims) -> Result<(), Reason> {
        // RFC 8725bis section 3.8: byte by byte, no prefix and no normalisation.
        if claims.iss != self.issuer {
            return Err(Reason::Issuer {
                found: Excerpt::of(&claims.iss),
            });
        }
        match &self.audience {
            AcceptedAudience::Any => Ok(()),
            AcceptedAudience::OneOf(names)
                if names.iter().any(|name| claims.aud.contains(name)) =>
            {
                Ok(())
            }
            AcceptedAudience::OneOf(_) => {
                let found: Vec<_> = claims.aud.iter().collect();
                Err(Reason::Audience {
                    found: Excerpt::of(&found.join(" ")),
                })
            }
        }
    }

    fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), Reason> {
        let leeway_secs = self.limits.leeway_secs;
        let latest = now.saturating_add(leeway_secs);
        for (claim, instant) in [("iat", Some(claims.iat)), ("nbf", claims.nbf)] {
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
        if now >= claims.exp.saturating_add(leeway_secs) {
            return Err(Reason::Expired {
                now,
                expires_at: claims.exp,
                leeway_secs,
            });
        }
        if claims.exp <= claims.iat {
            return Err(Reason::LifetimeBackwards {
                issued_at: claims.iat,
                expires_at: claims.exp,
            });
        }
        let lifetime_secs = claims.exp.seconds_since(claims.iat);
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

    /// A proof that holds comes back, for [`dpop::Checker::spend`].
    fn check_confirmation(
        &self,
        claims: &Claims,
        token: &str,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Option<dpop::Unspent>, Reason> {
        if self.limits.any_binding {
            return Ok(None);
        }
        match (&claims.cnf, &presented.proof) {
            (Some(Confirmation::KeyThumbprint(key)), Some(proof)) => {
                Ok(Some(self.dpop.check(proof, token, key, now)?))
            }
            // RFC 9449 section 7.2: a bound token that comes as a bearer token MUST be refused.
            (Some(Confirmation::KeyThumbprint(_)), None) => Err(Reason::ProofMissing),
            // RFC 9449 section 7.1: the key of the proof MUST be the one that the token is bound to.
            (_, Some(_)) => Err(Reason::TokenUnbound),
            (cnf, None) => check_peer(cnf.as_ref(), presented).map(|()| None),
        }
    }

    fn check_revocation(
        &self,
        kid: &str,
        claims: &Claims,
        now: UnixTime,
    ) -> Result<Freshness, Reason> {
        if let Some(kind) = self.revocations.find(&Facts::of(kid, claims)) {
            return Err(Reason::Revoked { kind });
        }
        self.freshness(now)
    }

    /// Below the longest lifetime L an old state is accepted and named; beyond it nothing that was issued before
    /// the line was cut is alive, so that the state says nothing about any token.
    fn freshness(&self, now: UnixTime) -> Result<Freshness, Reason> {
        if self.source == RevocationSource::None {
            return Ok(Freshness::Unknown);
        }
        let as_of = self.revocations.as_of().ok_or(Reason::RevocationUnheard)?;
        // No statement is believed from so far ahead, so this clock was set back since: the age cannot be told, and
        // what is revoked now is refused with the rest of the feed.
        if as_of > now.saturating_add(MAX_LEEWAY_SECS) {
            return Err(Reason::ClockSetBack { now, as_of });
        }
        let age_secs = now.seconds_since(as_of);
        let limit_secs = self
            .limits
            .max_staleness_secs
            .unwrap_or_else(|| self.max_lifetime_secs());
        if age_secs > limit_secs {
            Err(Reason::RevocationStale {
                age_secs,
                limit_secs,
            })
        } else if age_secs > FRESH_SECS {
            Ok(Freshness::Stale { age_secs })
        } else {
            Ok(Freshness::Fresh)
        }
    }

    /// Tells the follower, if there is one. Nothing is fetched here.
    fn want_refresh(&self) {
        #[cfg(feature = "http")]
        self.refresh_wanted.notify_one();
    }
}

/// RFC 8705 section 3 and RFC 7800 section 3.1: a bound token is worth nothing without the proof.
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

fn compact_refused(source: dayfly_token::CompactError) -> Reason {
    Reason::Compact { source }
}

/// Tells an absent claim from a bad one.
fn claims_refused(source: ClaimsError, payload: &[u8]) -> Reason {
    if matches!(
        source,
        ClaimsError::Json {
            source: JsonError::Shape { .. }
        }
    ) && let Ok(members) = json::object(payload)
        && let Some(claim) = REQUIRED_CLAIMS
            .into_iter()
            .find(|claim| !members.contains_key(*claim))
    {
        return Reason::MissingClaim { claim };
    }
    Reason::Claims { source }
}
