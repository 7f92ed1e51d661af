//! The record of one credential.

use dayfly_token::{
    AudienceId, CredentialId, DecisionId, ScopeSet, Slug, TaskId, UnixTime, WorkloadId,
};
use serde::{Deserialize, Serialize};

/// First byte of an encoded issuance: the layout of what follows.
const VERSION: u8 = 1;

/// What was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuanceKind {
    /// A JWT by RFC 9068.
    AccessToken,
    /// An X.509 leaf.
    Certificate,
}

/// Whether the credential may be out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuanceState {
    /// It may have been released.
    Recorded,
    /// It was not released.
    Void,
}

/// The record of one credential in the ledger, kept until the credential has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuance {
    /// The credential: `jti`, or the serial number.
    pub id: CredentialId,
    /// Token or certificate.
    pub kind: IssuanceKind,
    /// Recorded or void.
    pub state: IssuanceState,
    /// The decision that permitted it.
    pub decision: DecisionId,
    /// Who it is for.
    pub workload: WorkloadId,
    /// The environment of the workload.
    pub environment: Slug,
    /// The rule that mapped the evidence to the workload.
    pub rule: Slug,
    /// The API it is for; a certificate has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audience: Option<AudienceId>,
    /// What it may do.
    #[serde(skip_serializing_if = "ScopeSet::is_empty", default)]
    pub scopes: ScopeSet,
    /// The task it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskId>,
    /// The issuing instant that cut-offs are compared with.
    pub issued_at: UnixTime,
    /// When it ends by itself.
    pub expires_at: UnixTime,
    /// The key that signed it.
    pub kid: String,
    /// The credentials it was derived from, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ancestors: Vec<String>,
    /// Where the evidence came from, as `spiffe:<td>`, `oidc:<issuer>` or `own`.
    pub source: String,
    /// Whom the evidence named.
    pub subject: String,
    /// SHA-256 of the evidence, hexadecimal.
    pub evidence_sha256: String,
    /// The policy that decided.
    pub policy_version: String,
}

/// An encoded issuance cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuanceError {
    /// The bytes after the version are not the record.
    #[error("an issuance record cannot be read")]
    Body(#[source] serde_json::Error),
    /// A later version wrote it.
    #[error("an issuance record has the unknown version {version}")]
    Version {
        /// The version found.
        version: u8,
    },
}

impl Issuance {
    /// The bytes that a ledger keeps: a version byte, then the record.
    ///
    /// # Errors
    /// If the record cannot be serialised, which its types rule out.
    pub fn encode(&self) -> Result<Vec<u8>, IssuanceError> {
        let mut bytes = Vec::with_capacity(512);
        bytes.push(VERSION);
        serde_json::to_writer(&mut bytes, self).map_err(IssuanceError::Body)?;
        Ok(bytes)
    }

    /// Reads what [`Issuance::encode`] wrote.
    ///
    /// # Errors
    /// If the version is unknown or the record is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, IssuanceError> {
        match bytes.split_first() {
            Some((&VERSION, body)) => serde_json::from_slice(body).map_err(IssuanceError::Body),
            found => Err(IssuanceError::Version {
                version: found.map_or(0, |(v, _)| *v),
            }),
        }
    }
}
