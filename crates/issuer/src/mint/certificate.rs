//! Certificates.

use dayfly_keys::csr::CertificateRequest;

use super::{IssuedCertificate, MintError, Minted, Sealed};
use crate::issuance::Issuance;
use crate::x509::{IssuingCa, Leaf};

/// Builds, signs and checks the certificate of an issuance.
pub(crate) fn mint_certificate(
    authority: &IssuingCa,
    request: &CertificateRequest,
    dns_names: &[String],
    issuance: Issuance,
) -> Result<Sealed, MintError> {
    let leaf = Leaf {
        issuance: &issuance,
        dns_names,
    };
    let not_before = leaf.not_before();
    let der = authority.issue(&leaf, request)?;
    let life = issuance.expires_at.seconds_since(issuance.issued_at);
    let minted = Minted::Certificate(IssuedCertificate {
        chain: vec![der, authority.certificate().to_vec()],
        spiffe_id: issuance.workload.spiffe_id(authority.trust_domain()),
        serial_hex: issuance.id.to_hex(),
        not_before,
        not_after: issuance.expires_at,
        renew_after: issuance.issued_at.saturating_add(life / 3 * 2),
    });
    Ok(Sealed::new(minted, issuance))
}
