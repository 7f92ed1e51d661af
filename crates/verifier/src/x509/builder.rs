use std::sync::Arc;

use super::bundle::{BundleError, TrustBundle};
use super::verifier::{CertificateVerifier, Knowledge};
use crate::{DEFAULT_MAX_LIFETIME_SECS, RevocationSource, Revocations};

/// Why a verifier of certificates was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateBuildError {
    /// The bundle has an authority of another trust domain.
    #[error("the bundle is refused")]
    Bundle {
        /// What is wrong with it.
        source: BundleError,
    },
    /// A longest lifetime of zero.
    #[error("a longest lifetime of 0 s accepts nothing")]
    Lifetime,
    /// Nothing was said about revocations.
    #[error("nothing said about revocations: call `revocation` with `Follow`, `Bundle` or `None`")]
    RevocationUnspecified,
}

/// Collects what a [`CertificateVerifier`] needs to know that shares nothing with a
/// [`Verifier`](crate::Verifier).
#[must_use]
pub struct CertificateVerifierBuilder {
    bundle: TrustBundle,
    source: Option<RevocationSource>,
    revocations: Option<Arc<Revocations>>,
    max_lifetime_secs: u64,
    max_staleness_secs: Option<u64>,
}

impl CertificateVerifierBuilder {
    pub(super) const fn new(bundle: TrustBundle) -> Self {
        Self {
            bundle,
            source: None,
            revocations: None,
            max_lifetime_secs: DEFAULT_MAX_LIFETIME_SECS,
            max_staleness_secs: None,
        }
    }

    /// Where revocations come from; must be called.
    pub const fn revocation(mut self, source: RevocationSource) -> Self {
        self.source = Some(source);
        self
    }

    /// A revocation state that something else keeps up to date.
    pub fn revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// The longest lifetime that is accepted, in seconds from the issuing instant; 3600 if not called, the longest
    /// that a dayfly issuer can be configured to.
    pub const fn max_lifetime_secs(mut self, secs: u64) -> Self {
        self.max_lifetime_secs = secs;
        self
    }

    /// The oldest revocation state that is accepted, in seconds; the longest lifetime if not called, because nothing
    /// that was issued before the line was cut is alive after it.
    pub const fn max_staleness_secs(mut self, secs: u64) -> Self {
        self.max_staleness_secs = Some(secs);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// If the choice about revocations is missing, or the bundle has an authority of another trust domain.
    pub fn build(self) -> Result<CertificateVerifier, CertificateBuildError> {
        if self.max_lifetime_secs == 0 {
            return Err(CertificateBuildError::Lifetime);
        }
        let source = self
            .source
            .ok_or(CertificateBuildError::RevocationUnspecified)?;
        let knowledge = Knowledge::Own {
            source,
            revocations: self.revocations.unwrap_or_default(),
            max_lifetime_secs: self.max_lifetime_secs,
            max_staleness_secs: self.max_staleness_secs.unwrap_or(self.max_lifetime_secs),
        };
        CertificateVerifier::new(self.bundle, knowledge)
            .map_err(|source| CertificateBuildError::Bundle { source })
    }
}
