//! A trust bundle as the SPIFFE crates know it, beside the one that paths are built with.

use dayfly_token::TrustDomain;
use dayfly_verifier::x509::{BundleError, TrustBundle};
use spiffe::X509Bundle;

/// What a bundle says of its trust domain. A domain with no authority is one whose SVIDs are all refused.
#[derive(Debug, Clone)]
pub struct BundleDocument {
    /// The X.509 authorities.
    pub x509: X509Bundle,
    /// `spiffe_sequence`: it grows with every change of the document.
    pub sequence: Option<u64>,
    /// `spiffe_refresh_hint`, in seconds.
    pub refresh_hint_secs: Option<u64>,
    pub(super) trust: TrustBundle,
}

impl BundleDocument {
    /// Reads a bundle of `trust_domain`: SPIFFE JSON if it begins with a brace, else PEM.
    ///
    /// # Errors
    /// If it cannot be read, or one of its authorities could not sign SVIDs.
    pub fn parse(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        let trust = TrustBundle::parse(trust_domain, bytes)?;
        Ok(Self {
            x509: x509_bundle(&trust)?,
            sequence: trust.sequence(),
            refresh_hint_secs: trust.refresh_hint_secs(),
            trust,
        })
    }
}

fn x509_bundle(trust: &TrustBundle) -> Result<X509Bundle, BundleError> {
    let name = spiffe::TrustDomain::new(trust.trust_domain().as_str()).map_err(|error| {
        BundleError::TrustDomain {
            reason: error.to_string(),
        }
    })?;
    let mut bundle = X509Bundle::new(name);
    for (index, der) in trust.authorities().enumerate() {
        bundle
            .add_authority(der)
            .map_err(|error| BundleError::Certificate {
                index,
                reason: error.to_string(),
            })?;
    }
    Ok(bundle)
}
