use std::fmt;
use std::sync::Arc;

use dayfly_token::{CredentialId, SpiffeId, UnixTime, WorkloadId};

use super::verifier::Proven;
use crate::Freshness;

/// A certificate that passed every check of a [`CertificateVerifier`](super::CertificateVerifier), which alone makes
/// it. Cloning is cheap.
#[derive(Clone)]
pub struct VerifiedCertificate {
    pub(super) proven: Arc<Proven>,
    pub(super) freshness: Freshness,
}

impl VerifiedCertificate {
    /// Who it is: the SPIFFE ID of a registered workload.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.proven.id
    }

    /// The same as `owner/workload`.
    #[must_use]
    pub fn workload(&self) -> &WorkloadId {
        &self.proven.workload
    }

    /// The task, `owner/task`.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.proven.leaf.claims.txn.as_deref()
    }

    /// The rule that mapped the evidence to the workload.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.proven.leaf.claims.dfy.rule
    }

    /// The environment of the workload.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.proven.leaf.claims.dfy.env
    }

    /// Ids of the credentials that this one descends from.
    #[must_use]
    pub fn ancestors(&self) -> &[String] {
        &self.proven.leaf.claims.dfy.anc
    }

    /// The serial number, which is the credential id: as text what logs, revocations and the issuer's records name, in
    /// hexadecimal what other tools print.
    #[must_use]
    pub fn serial(&self) -> &CredentialId {
        &self.proven.leaf.serial
    }

    /// When it was issued; `notBefore` lies before it.
    #[must_use]
    pub fn issued_at(&self) -> UnixTime {
        self.proven.leaf.claims.iat
    }

    /// The last second in which it is valid (`notAfter`).
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.proven.leaf.validity.not_after
    }

    /// The id of the key that signed it: base64url of the SHA-256 of the public key of the issuing CA.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.proven.key_ids.first().map_or("", String::as_str)
    }

    /// How old the revocation state was.
    #[must_use]
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }
}

impl fmt::Debug for VerifiedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCertificate")
            .field("spiffe_id", &self.proven.id)
            .field("serial", &self.proven.leaf.serial)
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}
