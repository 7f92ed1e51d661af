//! What is asked for, and the answer with its reasons.

use dayfly_token::{AudienceId, ScopeSet, Slug, TaskId, TaskName, WorkloadId};
use serde::Serialize;
use serde_json::{Map, Value};

/// Longest purpose, in characters: a sentence for the audit.
pub const MAX_PURPOSE_CHARS: usize = 256;

/// What is to be minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A JWT access token.
    AccessToken,
    /// An X.509 certificate.
    Certificate,
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is to be minted.
    pub kind: CredentialKind,
    /// The API that the token is for. A token needs one; a certificate has none.
    pub audience: Option<AudienceId>,
    /// The scopes; `None` asks for what the grant gives.
    pub scopes: Option<ScopeSet>,
    /// The rule that the caller names. It narrows the search and grants nothing.
    pub rule: Option<Slug>,
    /// The task, without its owner.
    pub task: Option<TaskName>,
    /// What the credential is for, in words.
    pub purpose: Option<String>,
    /// Seconds; it may only shorten.
    pub requested_ttl: Option<u64>,
    /// DNS names for a certificate.
    pub dns_names: Vec<String>,
    /// The authorization details; `None` asks for what the grant gives.
    pub authorization_details: Option<Vec<Map<String, Value>>>,
}

/// Whom a token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The client certificate of the connection (`cnf.x5t#S256`).
    Certificate,
    /// Any SVID with the attested SPIFFE ID (`cnf.spiffe_id`).
    SpiffeId,
    /// Nobody: a bearer token.
    None,
}

impl Binding {
    /// The name that the configuration uses: `certificate`, `spiffe_id`, `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::SpiffeId => "spiffe_id",
            Self::None => "none",
        }
    }
}

/// Permit or deny.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Mint it.
    Permit(Permit),
    /// Do not.
    Deny(Denial),
}

/// What exactly may be minted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Permit {
    /// The workload: the subject of the credential.
    pub workload: WorkloadId,
    /// Its environment.
    pub environment: Slug,
    /// The rule by which it was found.
    pub rule: Slug,
    /// The audience; `None` for a certificate.
    pub audience: Option<AudienceId>,
    /// The scopes; empty for a certificate.
    pub scopes: ScopeSet,
    /// Seconds to live, already the least of grant, request, evidence and parent.
    pub ttl_secs: u64,
    /// Whom to bind it to. For a narrowed token whose parent is bound, the parent's `cnf` is to be copied as it is.
    pub binding: Binding,
    /// The task.
    pub task: Option<TaskId>,
    /// The purpose.
    pub purpose: Option<String>,
    /// The DNS names of a certificate, in lower case, each once.
    pub dns_names: Vec<String>,
    /// The authorization details.
    pub authorization_details: Vec<Map<String, Value>>,
    /// The grant and the policies that decided.
    pub policies: Vec<String>,
    /// Which sources were decided by: [`Registry::version`](crate::Registry::version).
    pub policy_version: String,
    /// The rate limits that this issuance counts against.
    pub limits: Vec<RateLimit>,
}

/// A rate limit of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// `workload:<owner>/<name>` or `owner:<owner>`.
    pub key: String,
    /// Issuances in a minute, over time.
    pub per_minute: u32,
    /// Issuances at once.
    pub burst: u32,
}

/// Why nothing may be minted. For the audit; the caller learns a code of the rim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The reason.
    pub reason: DenialReason,
    /// The facts, for the log.
    pub detail: String,
    /// The workload, if one was found.
    pub workload: Option<WorkloadId>,
    /// Its environment.
    pub environment: Option<Slug>,
    /// The rule by which it was found, or that the caller named in vain.
    pub rule: Option<Slug>,
    /// What kept the nearest rules from matching.
    pub near_misses: Vec<NearMiss>,
    /// The policies that decided, or failed.
    pub policies: Vec<String>,
}

/// One claim that kept a rule from matching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The rule.
    pub rule: Slug,
    /// The claim.
    pub claim: String,
    /// What the rule asks for.
    pub expected: String,
    /// What the evidence has, escaped and cut.
    pub got: String,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why a request is denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DenialReason {
            $($(#[$doc])* $name,)+
        }

        impl DenialReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// More than one rule matches, and the caller names none.
    AmbiguousRule = "ambiguous_rule",
    /// A token needs an audience.
    AudienceRequired = "audience_required",
    /// Authorization details that the grant, or the parent, does not cover.
    AuthorizationDetails = "authorization_details",
    /// The binding that the grant asks for cannot be made with this evidence.
    BindingUnavailable = "binding_unavailable",
    /// The audience belongs to another owner and does not list the caller.
    CallerNotAllowed = "caller_not_allowed",
    /// The workload may have no certificate, or not in this way.
    CertificateNotGranted = "certificate_not_granted",
    /// The grant's `when` does not hold, or fails.
    ConditionFailed = "condition_failed",
    /// Another audience than the parent's.
    DelegationUnsupported = "delegation_unsupported",
    /// A DNS name that is not granted.
    DnsNameNotGranted = "dns_name_not_granted",
    /// The parent was minted in another environment.
    EnvironmentMismatch = "environment_mismatch",
    /// A guardrail forbids it.
    Guardrail = "guardrail",
    /// A guardrail fails, which denies.
    GuardrailError = "guardrail_error",
    /// What remains to live is below the minimum.
    LifetimeTooShort = "lifetime_too_short",
    /// The workload has no grant for the audience.
    NoGrant = "no_grant",
    /// No rule matches.
    NoRule = "no_rule",
    /// The parent is bound, the binding is not proven, and the grant is not narrowable; or the chain is too long; or the
    /// parent is delegated.
    NotNarrowable = "not_narrowable",
    /// The child would be more than its parent.
    NotNarrower = "not_narrower",
    /// Too long a purpose, or one with control characters.
    PurposeInvalid = "purpose_invalid",
    /// The grant asks for a purpose.
    PurposeRequired = "purpose_required",
    /// A scope that the grant, or the parent, does not have.
    ScopeNotGranted = "scope_not_granted",
    /// The grant asks for a task.
    TaskRequired = "task_required",
    /// No such audience.
    UnknownAudience = "unknown_audience",
    /// No such rule.
    UnknownRule = "unknown_rule",
    /// The parent's workload is gone.
    UnknownWorkload = "unknown_workload",
}

impl std::fmt::Display for DenialReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reasons_are_named_once_and_in_order() {
        let names: Vec<_> = DenialReason::ALL.iter().map(|r| r.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        for reason in DenialReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
