//! Several issuers in one verifier: each with its own keys, audiences, limits and revocations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dayfly_token::{ClaimsError, Compact, Excerpt, JsonError, UnixTime, json};
use serde::Deserialize;

use crate::peer::Presented;
use crate::rejection::{Reason, Rejection};
use crate::unverified::UnverifiedToken;
use crate::verified::Verified;
use crate::verifier::Verifier;

/// Most issuers in one set. A lookup would bear more; what each may keep would not: a connection, a background task
/// and up to 130 MB of revocations. And whoever accepts tokens of more issuers than this knows none of them.
pub const MAX_ISSUERS: usize = 64;

/// The verifiers of an API that accepts tokens of several issuers, one for each. Cloning is cheap, and clones share
/// the set, which may be changed at any time: requests that are being verified see the set as it was or as it is.
///
/// Nothing crosses from one issuer to another: a token is checked by the verifier of the issuer that it names, with
/// that verifier's keys, audiences, limits and revocations, `iss` included. A `kid` or a `jti` that two issuers use
/// means two different things.
///
/// ```
/// use dayfly_verifier::testing::TestAuthority;
/// use dayfly_verifier::{Presented, RevocationSource, UnixTime, UnverifiedToken, Verifiers};
///
/// let (old, new) = (
///     TestAuthority::from_seed("https://sts.old.example", [1; 32])?,
///     TestAuthority::from_seed("https://sts.new.example", [2; 32])?,
/// );
/// let verifiers = Verifiers::new();
/// for authority in [&old, &new] {
///     verifiers.insert(authority.verifier("https://orders.internal").revocation(RevocationSource::None).build()?)?;
/// }
/// let now = UnixTime::from_secs(1_800_000_000);
/// let token = old.token("https://orders.internal").mint(now)?;
/// let caller = verifiers.verify(UnverifiedToken::new(&token), &Presented::NOTHING, now)?;
/// assert_eq!(caller.issuer(), "https://sts.old.example");
///
/// verifiers.remove("https://sts.old.example");
/// assert!(verifiers.verify(UnverifiedToken::new(&token), &Presented::NOTHING, now).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Verifiers {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    by_issuer: ArcSwap<BTreeMap<String, Verifier>>,
    writer: Mutex<()>,
}

/// The set is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_ISSUERS} issuers already")]
pub struct TooManyIssuers;

impl Verifiers {
    /// No issuer: every token is refused with `wrong_issuer`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a verifier, in the place of the one that its issuer had, which is given back. Build it with
    /// [`shared_revocations`](crate::VerifierBuilder::shared_revocations) and
    /// [`shared_proofs`](crate::VerifierBuilder::shared_proofs) of that one: by itself it knows nothing of what was heard
    /// and used before.
    ///
    /// # Errors
    /// If the issuer is new and there are [`MAX_ISSUERS`] already.
    pub fn insert(&self, verifier: Verifier) -> Result<Option<Verifier>, TooManyIssuers> {
        self.change(|verifiers| {
            let issuer = verifier.issuer().to_owned();
            if verifiers.len() >= MAX_ISSUERS && !verifiers.contains_key(&issuer) {
                return Err(TooManyIssuers);
            }
            Ok(verifiers.insert(issuer, verifier))
        })
    }

    /// Takes an issuer's verifier out: from now on its tokens are refused.
    pub fn remove(&self, issuer: &str) -> Option<Verifier> {
        self.change(|verifiers| verifiers.remove(issuer))
    }

    /// The verifier of an issuer, for its keys, its revocations and its freshness.
    #[must_use]
    pub fn get(&self, issuer: &str) -> Option<Verifier> {
        self.shared.by_issuer.load().get(issuer).cloned()
    }

    /// A fresh nonce for the clients' `DPoP` proofs, if a verifier requires one. Let all of them share one
    /// [`Nonces`](crate::dpop::Nonces): a client does not know which verifier will check its proof.
    #[must_use]
    pub fn dpop_nonce(&self, now: UnixTime) -> Option<String> {
        let verifiers = self.all();
        verifiers
            .iter()
            .find_map(|verifier| verifier.dpop_nonce(now))
    }

    /// All of them, in the order of the issuers' names.
    #[must_use]
    pub fn all(&self) -> Vec<Verifier> {
        self.shared.by_issuer.load().values().cloned().collect()
    }

    /// Checks a token completely, by [`Verifier::verify`] of the issuer that it names.
    ///
    /// With several issuers, `iss` is read before anything is verified, to choose the verifier and for nothing else:
    /// the verifier compares it again, with the payload that the signature covers. With one there is nothing to choose.
    ///
    /// # Errors
    /// The first check that failed; `wrong_issuer` if there is no verifier for the issuer.
    pub fn verify(
        &self,
        token: UnverifiedToken<'_>,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Verified, Rejection> {
        let verifiers = self.shared.by_issuer.load();
        let mut all = verifiers.values();
        if let (Some(only), None) = (all.next(), all.next()) {
            return only.verify(token, presented, now);
        }
        choose(&verifiers, token)?.verify(token, presented, now)
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Verifier>) -> T) -> T {
        let _writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut verifiers = BTreeMap::clone(&self.shared.by_issuer.load());
        let changed = change(&mut verifiers);
        self.shared.by_issuer.store(Arc::new(verifiers));
        changed
    }
}

impl From<Verifier> for Verifiers {
    fn from(verifier: Verifier) -> Self {
        let by_issuer = BTreeMap::from([(verifier.issuer().to_owned(), verifier)]);
        Self {
            shared: Arc::new(Shared {
                by_issuer: ArcSwap::from_pointee(by_issuer),
                writer: Mutex::default(),
            }),
        }
    }
}

impl From<&Verifier> for Verifiers {
    fn from(verifier: &Verifier) -> Self {
        verifier.clone().into()
    }
}

/// Names the issuers; a log needs no more.
impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.shared.by_issuer.load().keys())
            .finish()
    }
}

/// The one claim that is read of a token that is not verified, and goes nowhere.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
}

/// Bounded and strict, as the verifier reads it after the signature: by the same functions for size, form and JSON.
fn choose<'v>(
    verifiers: &'v BTreeMap<String, Verifier>,
    token: UnverifiedToken<'_>,
) -> Result<&'v Verifier, Reason> {
    let refused = |source| Reason::Compact { source };
    let compact = Compact::split(token.text()).map_err(refused)?;
    let payload = compact.payload_bytes().map_err(refused)?;
    let named: Named<'_> =
        json::from_slice(&payload).map_err(|source| unnamed(source, &payload))?;
    verifiers.get(&*named.iss).ok_or_else(|| Reason::Issuer {
        found: Excerpt::of(&named.iss),
    })
}

/// Tells an absent `iss` from a bad one.
fn unnamed(source: JsonError, payload: &[u8]) -> Reason {
    let absent = matches!(source, JsonError::Shape { .. })
        && json::object(payload).is_ok_and(|members| !members.contains_key("iss"));
    if absent {
        Reason::MissingClaim { claim: "iss" }
    } else {
        Reason::Claims {
            source: ClaimsError::Json { source },
        }
    }
}
