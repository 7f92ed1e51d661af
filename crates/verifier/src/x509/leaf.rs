//! What a leaf of a dayfly issuer says, beyond what makes it an SVID.

use dayfly_token::{CertificateClaims, CredentialId, ExtensionError, extension_oid_der};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;

use super::chain::Validity;
use crate::svid::{self, SvidError};

/// Why a certificate is not a leaf of a dayfly issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// No extended key usage, which every leaf of ours has.
    #[error("no extended key usage")]
    ExtendedKeyUsage,
    /// No private extension: another CA of the trust domain made it, and nothing in it can be revoked.
    #[error("no private extension of a dayfly issuer")]
    ExtensionMissing,
    /// A private extension that cannot be read.
    #[error("the private extension is refused")]
    ExtensionRefused {
        /// What is wrong with it.
        source: ExtensionError,
    },
    /// The private extension is there more than once.
    #[error("the private extension is there twice")]
    ExtensionTwice,
    /// A serial number that is no credential id: not 16 bytes that begin with the bits 01.
    #[error("the serial number is no credential id")]
    Serial,
    /// Not one certificate that can be read.
    #[error("the certificate cannot be read")]
    Unreadable {
        /// What is wrong with it.
        source: SvidError,
    },
}

/// Reads the private extension of a leaf. Neither its signature nor its path are checked: the claims are unverified.
///
/// # Errors
/// If the certificate cannot be read, or does not have exactly one such extension, or a malformed one.
pub fn claims_of(leaf_der: &[u8]) -> Result<CertificateClaims, LeafError> {
    let certificate = svid::parse(leaf_der).map_err(|source| LeafError::Unreadable { source })?;
    extension_of(&certificate)
}

/// A leaf, read once.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) serial: CredentialId,
    pub(super) validity: Validity,
    pub(super) claims: CertificateClaims,
}

impl Leaf {
    pub(super) fn read(der: &[u8]) -> Result<Self, LeafError> {
        let certificate = svid::parse(der).map_err(|source| LeafError::Unreadable { source })?;
        // With both usages, if it is there: the rules of an SVID have looked.
        if certificate
            .extended_key_usage()
            .map_err(malformed)?
            .is_none()
        {
            return Err(LeafError::ExtendedKeyUsage);
        }
        Ok(Self {
            serial: serial_of(&certificate).ok_or(LeafError::Serial)?,
            validity: Validity::of(&certificate),
            claims: extension_of(&certificate)?,
        })
    }
}

/// The serial number as the feed names it. Another length or sign could be written in two ways, and only one of them
/// would be found among the revoked.
fn serial_of(certificate: &X509Certificate<'_>) -> Option<CredentialId> {
    let bytes: [u8; 16] = certificate.raw_serial().try_into().ok()?;
    let [first, ..] = bytes;
    (first & 0xc0 == 0x40).then(|| CredentialId::from_bytes(bytes))
}

fn extension_of(certificate: &X509Certificate<'_>) -> Result<CertificateClaims, LeafError> {
    let oid = extension_oid_der();
    let mut found = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid.as_bytes() == oid);
    let extension = found.next().ok_or(LeafError::ExtensionMissing)?;
    if found.next().is_some() {
        return Err(LeafError::ExtensionTwice);
    }
    CertificateClaims::from_der(extension.value)
        .map_err(|source| LeafError::ExtensionRefused { source })
}

fn malformed(error: X509Error) -> LeafError {
    let source = SvidError::Encoding {
        detail: error.to_string(),
    };
    LeafError::Unreadable { source }
}
