use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use dayfly_keys::VerifyingKey;
use dayfly_token::{
    Actor, Audiences, Claims, Confirmation, ScopeSet, SpiffeId, UnixTime, WorkloadId,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::revocation::Marks;

/// How old the revocation state was when a token was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Freshness {
    /// Heard within [`FRESH_SECS`](crate::FRESH_SECS).
    Fresh,
    /// Heard longer ago, but within what this API accepts.
    Stale {
        /// Seconds since the issuer was last heard.
        #[serde(rename = "age")]
        age_secs: u64,
    },
    /// This verifier follows no revocations, as its builder was told.
    Unknown,
}

/// An access token that passed every check of [`Verifier::verify`](crate::Verifier::verify), which alone makes it.
///
/// Cloning is cheap. For authorisation use the subject, the outermost actor, the scopes and the details; the
/// other accessors are for audit and for support.
#[derive(Clone)]
pub struct Verified {
    pub(crate) token: Arc<Handle>,
    pub(crate) freshness: Freshness,
}

/// A reference to a token, with what is asked of it every time. Threads that are handed the same token count their
/// references apart, or they would wait for each other's caches.
pub(crate) struct Handle {
    checked: Arc<Checked>,
    pub(crate) times: Times,
    is_bound: bool,
    /// The state of the revocations that the token was last found to live under; 0 before.
    pub(crate) alive_under: AtomicU64,
    /// Keeps the count of the next one off this one's cache line; an alignment would do so too, and cost an allocation
    /// that is twice as slow.
    _apart: [u8; CACHE_LINE_BYTES],
}

/// What processors of today read and write at once.
const CACHE_LINE_BYTES: usize = 64;

/// The instants of a token.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) iat: UnixTime,
    pub(crate) nbf: Option<UnixTime>,
    pub(crate) exp: UnixTime,
}

impl Handle {
    pub(crate) fn new(checked: Arc<Checked>) -> Self {
        let Claims {
            iat, nbf, exp, cnf, ..
        } = &checked.claims;
        Self {
            times: Times {
                iat: *iat,
                nbf: *nbf,
                exp: *exp,
            },
            is_bound: cnf.is_some(),
            alive_under: AtomicU64::new(0),
            _apart: [0; CACHE_LINE_BYTES],
            checked,
        }
    }

    pub(crate) const fn checked(&self) -> &Arc<Checked> {
        &self.checked
    }

    pub(crate) fn confirmation(&self) -> Option<&Confirmation> {
        if self.is_bound {
            self.checked.claims.cnf.as_ref()
        } else {
            None
        }
    }
}

/// A token whose content was checked, with what is needed to check the rest again and again.
pub(crate) struct Checked {
    pub(crate) key: VerifyingKey,
    pub(crate) claims: Claims,
    pub(crate) marks: Marks,
    /// The keys and audiences that the content was checked under.
    pub(crate) generation: u64,
}

impl Checked {
    pub(crate) fn workload(&self) -> Option<WorkloadId> {
        let id: SpiffeId = self.claims.sub.parse().ok()?;
        WorkloadId::from_spiffe_id(&id).ok()
    }
}

static NO_SCOPES: LazyLock<ScopeSet> = LazyLock::new(ScopeSet::default);

impl Verified {
    /// The claims as one value, for those who issue from them or print them; not for logs.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.token.checked().claims
    }

    /// The issuer, which is the verifier's.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.claims().iss
    }

    /// Whom the token speaks for: in dayfly's own tokens the SPIFFE ID of a registered workload.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.claims().sub
    }

    /// The subject as `owner/workload`, if it is a SPIFFE ID of that form.
    #[must_use]
    pub fn workload(&self) -> Option<WorkloadId> {
        self.token.checked().workload()
    }

    /// The client that the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.claims().client_id
    }

    /// The APIs that the token is for; this one is among them.
    #[must_use]
    pub fn audience(&self) -> &Audiences {
        &self.claims().aud
    }

    /// What the token may do; empty if it carries no scope.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        self.claims().scope.as_ref().unwrap_or(&NO_SCOPES)
    }

    /// Whether `scope` is among [`Verified::scopes`]; exact, without wildcards.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(scope)
    }

    /// The task, `owner/task`.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.claims().txn.as_deref()
    }

    /// The credential id (`jti`): what logs, revocations and one-time checks name. Never use the token's text
    /// or its hash for that: an ECDSA signature has a twin.
    #[must_use]
    pub fn credential_id(&self) -> &str {
        &self.claims().jti
    }

    /// When the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> UnixTime {
        self.claims().iat
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.claims().exp
    }

    /// What the token is bound to. The caller has proved it, unless the builder was told `danger_any_binding`.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.claims().cnf.as_ref()
    }

    /// Who acts for the subject: the outermost actor, the only one that may decide anything (RFC 8693 section 4.1).
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.actor_chain().map(|actor| actor.sub.as_str())
    }

    /// All actors, outermost first. For the audit only.
    #[must_use]
    pub fn actor_chain(&self) -> Option<&Actor> {
        self.claims().act.as_ref()
    }

    /// The rule that mapped the evidence to the workload.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.claims().dfy.as_ref().map(|dfy| dfy.rule.as_str())
    }

    /// The environment of the workload.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.claims().dfy.as_ref().map(|dfy| dfy.env.as_str())
    }

    /// Ids of the credentials that this one descends from.
    #[must_use]
    pub fn ancestors(&self) -> &[String] {
        self.claims()
            .dfy
            .as_ref()
            .map_or(&[], |dfy| dfy.anc.as_slice())
    }

    /// The authorization details (RFC 9396), each with a `type`.
    #[must_use]
    pub fn authorization_details(&self) -> &[Map<String, Value>] {
        self.claims()
            .authorization_details
            .as_deref()
            .unwrap_or_default()
    }

    /// The id of the key that signed the token.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.token.checked().key.kid()
    }

    /// How old the revocation state was.
    #[must_use]
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The claims as JSON, without the unknown ones. For people and tools; not for logs.
    #[must_use]
    pub fn claims_json(&self) -> Value {
        serde_json::to_value(self.claims()).unwrap_or_default()
    }
}

/// Subject and credential id; a log must not collect full claims.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("subject", &self.subject())
            .field("credential_id", &self.credential_id())
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}
