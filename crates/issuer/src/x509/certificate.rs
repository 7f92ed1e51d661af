//! What reading and writing certificates have in common.

use dayfly_token::UnixTime;
use rcgen::{PublicKeyData, SignatureAlgorithm};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::CaError;

/// A certificate's time, in whole seconds.
pub(super) fn date(at: UnixTime) -> Result<OffsetDateTime, CaError> {
    let secs = at.as_secs();
    let out_of_range = || CaError::Time { secs };
    let date =
        OffsetDateTime::from_unix_timestamp(i64::try_from(secs).map_err(|_| out_of_range())?);
    // GeneralizedTime ends with the year 9999 (RFC 5280 section 4.1.2.5).
    date.ok()
        .filter(|date| date.year() <= 9999)
        .ok_or_else(out_of_range)
}

/// Exactly one certificate in DER.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CaError> {
    let malformed = |detail: String| CaError::Malformed { detail };
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(malformed("something follows it".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Verifies that the holder of `key`, as `SubjectPublicKeyInfo`, signed a certificate.
pub(super) fn verify(
    certificate: &X509Certificate<'_>,
    key: &x509_parser::x509::SubjectPublicKeyInfo<'_>,
) -> Result<(), CaError> {
    certificate
        .verify_signature(Some(key))
        .map_err(|_| CaError::Signature)
}

/// A public key for the encoder.
pub(super) struct PublicKey<'a> {
    pub(super) raw: &'a [u8],
    pub(super) algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for PublicKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.raw
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}
