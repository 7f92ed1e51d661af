//! The audit line: one JSON object for each decision, permit or deny.
//!
//! It says who got what, on whose evidence, by which policies, and why not. No token, key or proof
//! is ever in it, and whatever strangers put into their requests, it stays one line, valid JSON,
//! and below [`MAX_AUDIT_BYTES`].

mod text;

use std::net::IpAddr;

use dayfly_policy::{CredentialKind, Denial, NearMiss, Permit, Principal, Request};
use dayfly_token::{DecisionId, UnixTime, WorkloadId};
use serde::Serialize;
use time::OffsetDateTime;

use crate::issuance::Issuance;
use crate::port::Now;
use crate::reason::{EvidenceRefused, Reason};
pub(crate) use text::hex;
use text::{Joined, Text};

/// The longest audit line in bytes. The ledger keeps a day of them, and a log line of 8 KiB passes
/// every collector.
pub const MAX_AUDIT_BYTES: usize = 8 * 1024;

// Each member has its share, counted as it is written, escapes included. Their sum, with the names
// of the members, stays below the whole; the test with the worst texts holds it there.
const ID_BYTES: usize = 128;
const ISSUER_BYTES: usize = 256;
const SUBJECT_BYTES: usize = 512;
const SOURCE_BYTES: usize = 264;
const NAME_BYTES: usize = 170;
const PURPOSE_BYTES: usize = 512;
const AUDIENCE_BYTES: usize = 256;
const SCOPES_BYTES: usize = 1024;
const POLICIES_BYTES: usize = 768;
const DETAIL_BYTES: usize = 768;
const NEAR_MISSES: usize = 4;
const NEAR_MISS_BYTES: usize = 96;

/// What a request says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The id that the rim gave the request.
    pub request_id: &'a str,
    /// Where it came from.
    pub peer_address: Option<IpAddr>,
    /// `client_credentials`, `jwt_bearer`, `token_exchange` or `x509`.
    pub grant: &'static str,
}

/// What is known of a request when its line is written.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) now: Now,
    pub(crate) decision: DecisionId,
    pub(crate) context: Context<'a>,
    pub(crate) request: &'a Request,
    pub(crate) principal: Option<&'a Principal>,
    pub(crate) evidence: Option<&'a EvidenceRefused>,
    pub(crate) permit: Option<&'a Permit>,
    pub(crate) issuance: Option<&'a Issuance>,
    pub(crate) policy_version: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    unix_ms: u64,
    decision_id: DecisionId,
    request_id: Text<'a, ID_BYTES>,
    outcome: &'static str,
    reason: &'static str,
    grant: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    evidence: Evidence<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<&'a WorkloadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Text<'a, NAME_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Text<'a, PURPOSE_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<Text<'a, AUDIENCE_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Joined<SCOPES_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Joined::is_empty")]
    policies: Joined<POLICIES_BYTES>,
    policy_version: Text<'a, ID_BYTES>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<dayfly_token::CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Text<'a, ID_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Text<'a, DETAIL_BYTES>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_misses: Vec<Near<'a>>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Joined<SOURCE_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Text<'a, ISSUER_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Text<'a, SUBJECT_BYTES>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

#[derive(Serialize)]
struct Near<'a> {
    rule: &'a str,
    claim: Text<'a, NEAR_MISS_BYTES>,
    expected: Text<'a, NEAR_MISS_BYTES>,
    got: Text<'a, NEAR_MISS_BYTES>,
}

impl Record<'_> {
    /// The line of a permit.
    pub(crate) fn permit(&self) -> String {
        self.line("permit", "permitted", "", None)
    }

    /// The line of a denial.
    pub(crate) fn deny(&self, reason: Reason, detail: &str, denial: Option<&Denial>) -> String {
        self.line("deny", reason.as_str(), detail, denial)
    }

    fn line(
        &self,
        outcome: &'static str,
        reason: &'static str,
        detail: &str,
        denial: Option<&Denial>,
    ) -> String {
        let (permit, request) = (self.permit, self.request);
        let workload = permit
            .map(|p| &p.workload)
            .or_else(|| denial.and_then(|d| d.workload.as_ref()));
        let environment = permit
            .map(|p| &p.environment)
            .or_else(|| denial.and_then(|d| d.environment.as_ref()));
        let rule = permit
            .map(|p| &p.rule)
            .or_else(|| denial.and_then(|d| d.rule.as_ref()))
            .or(request.rule.as_ref());
        let task = match (permit.and_then(|p| p.task.as_ref()), &request.task) {
            (Some(task), _) => Some(task.to_string()),
            (None, Some(task)) => Some(task.to_string()),
            (None, None) => None,
        };
        let scopes = permit.map(|p| &p.scopes).or(request.scopes.as_ref());
        let policies = permit
            .map(|p| &p.policies)
            .or_else(|| denial.map(|d| &d.policies));
        let audience = permit
            .and_then(|p| p.audience.as_ref())
            .or(request.audience.as_ref());
        let line = Line {
            time: Timestamp(self.now),
            unix_ms: self.now.unix_ms,
            decision_id: self.decision,
            request_id: Text(self.context.request_id),
            outcome,
            reason,
            grant: self.context.grant,
            kind: match request.kind {
                CredentialKind::AccessToken => "access_token",
                CredentialKind::Certificate => "certificate",
            },
            peer: self.context.peer_address,
            evidence: self.evidence(),
            workload,
            owner: workload.map(|workload| workload.owner.as_str()),
            environment: environment.map(|slug| slug.as_str()),
            rule: rule.map(|slug| slug.as_str()),
            task: task.as_deref().map(Text),
            purpose: permit
                .and_then(|p| p.purpose.as_deref())
                .or(request.purpose.as_deref())
                .map(Text),
            audience: audience.map(|audience| Text(audience.as_str())),
            scopes: scopes
                .filter(|scopes| !scopes.is_empty())
                .map(Joined::of_display),
            lifetime: self
                .issuance
                .map(|i| i.expires_at.seconds_since(i.issued_at)),
            expires_at: self.issuance.map(|i| i.expires_at),
            policies: Joined::of_words(policies.into_iter().flatten()),
            policy_version: Text(self.policy_version),
            credential_id: self.issuance.map(|i| i.id),
            kid: self.issuance.map(|i| Text(&i.kid)),
            detail: Some(detail).filter(|detail| !detail.is_empty()).map(Text),
            near_misses: near_misses(denial),
        };
        // Strings, numbers and lists of them always serialise.
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn evidence(&self) -> Evidence<'_> {
        let principal = self.principal;
        Evidence {
            method: principal
                .map(|p| p.method)
                .or_else(|| self.evidence.and_then(|refused| refused.method))
                .map(dayfly_policy::Method::as_str),
            source: principal.map(|p| Joined::of_display(&p.source)),
            issuer: principal.and_then(|p| p.issuer_url.as_deref()).map(Text),
            subject: principal.map(|p| Text(&p.subject)),
            sha256: principal.map(|p| hex(&p.digest)),
        }
    }
}

fn near_misses(denial: Option<&Denial>) -> Vec<Near<'_>> {
    let misses = denial.into_iter().flat_map(|denial| &denial.near_misses);
    misses.take(NEAR_MISSES).map(Near::of).collect()
}

impl<'a> Near<'a> {
    fn of(miss: &'a NearMiss) -> Self {
        Self {
            rule: miss.rule.as_str(),
            claim: Text(&miss.claim),
            expected: Text(&miss.expected),
            got: Text(&miss.got),
        }
    }
}

/// RFC 3339 with milliseconds, in UTC.
struct Timestamp(Now);

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let secs = i64::try_from(self.0.unix_ms / 1000).unwrap_or_default();
        let at = OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        serializer.collect_str(&format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            self.0.unix_ms % 1000,
        ))
    }
}
