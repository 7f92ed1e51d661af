//! Certificate requests (PKCS#10, RFC 2986).
//!
//! A request proves possession of a private key, and that is all it is read for: subject, names and extensions that it
//! asks for are never looked at, so that none of them can find its way into a certificate.

mod reader;
mod roca;

use reader::{Malformed, Reader};

use crate::backend::{Backend, Chosen, X509Scheme};
use crate::{KeyError, SignatureError, edwards};

/// Longest request: one with an RSA key of 4096 bits has about 1.7 KiB, the rest is room for names that we ignore.
pub const MAX_CSR_BYTES: usize = 8 * 1024;

/// Smallest RSA modulus (NIST SP 800-57 allows it until 2030).
const MIN_RSA_BITS: u32 = 2048;
/// Largest RSA modulus: verification takes time with the square of it.
const MAX_RSA_BITS: u32 = 4096;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// An attribute that is not known, or one that stands there twice. What is not understood might have been meant to
    /// restrict.
    #[error("an attribute of the request is unknown or stands there twice")]
    Attribute,
    /// A key that is never certified.
    #[error(
        "the key of the request is not P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits with exponent 65537, or it is known to be weak"
    )]
    Key,
    /// Not one PKCS#10 request in DER.
    #[error("not a certificate request in DER")]
    Malformed,
    /// The signature by the request's own key does not verify: there is no proof of possession.
    #[error("the signature of the request does not verify")]
    Signature,
    /// A signature algorithm that is not known or not one of the key's.
    #[error("the signature algorithm of the request does not fit its key")]
    SignatureAlgorithm,
    /// Longer than [`MAX_CSR_BYTES`].
    #[error("{length} bytes, more than {MAX_CSR_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A key that this build cannot check.
    #[error("keys of this type need the feature `aws-lc`")]
    Unsupported,
}

impl From<Malformed> for CsrError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The kinds of keys that are certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrKey {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with exponent 65537.
    Rsa {
        /// Bits of the modulus, 2048 to 4096.
        bits: u32,
    },
}

/// A certificate request whose proof of possession was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    key: CsrKey,
    spki: Vec<u8>,
    raw_public: Vec<u8>,
}

impl CertificateRequest {
    /// Parses a request in DER, and checks its signature by its own key (RFC 2986 section 3, note 2).
    ///
    /// # Errors
    /// If it is not exactly one request, its key is not acceptable, it has unknown attributes, or the signature does
    /// not verify.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR_BYTES {
            return Err(CsrError::TooLong { length: der.len() });
        }
        let mut outside = Reader::new(der);
        let mut request = outside.enter(reader::SEQUENCE)?;
        outside.end()?;
        let info = request.element(reader::SEQUENCE)?;
        let algorithm = request.element(reader::SEQUENCE)?;
        let signature = request.bit_string()?;
        request.end()?;

        let spki = check_info(info.content)?;
        let (key, raw_public) = public_key(spki.content)?;
        let scheme = scheme(key, algorithm.whole)?;
        Chosen::verify_x509(scheme, raw_public, info.whole, signature).map_err(
            |error| match error {
                SignatureError::UnsupportedScheme => CsrError::Unsupported,
                SignatureError::Invalid | SignatureError::Length { .. } => CsrError::Signature,
            },
        )?;
        Ok(Self {
            key,
            spki: spki.whole.to_vec(),
            raw_public: raw_public.to_vec(),
        })
    }

    /// The public key as `SubjectPublicKeyInfo` in DER, in its one encoding.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// What kind of key it is.
    #[must_use]
    pub fn key_kind(&self) -> CsrKey {
        self.key
    }

    /// The content of the key's bit string: an uncompressed point, the 32 bytes of Ed25519, or an `RSAPublicKey`.
    #[must_use]
    pub fn raw_public(&self) -> &[u8] {
        &self.raw_public
    }
}

/// `extensionRequest`, `challengePassword` and `unstructuredName` (RFC 2985 section 5.4): what `openssl req` writes.
const KNOWN_ATTRIBUTES: [&[u8]; 3] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x02],
];

/// `CertificationRequestInfo` (RFC 2986 section 4.1): gives the key, checks the frame of the rest.
fn check_info(content: &[u8]) -> Result<reader::Element<'_>, CsrError> {
    let mut info = Reader::new(content);
    if info.element(reader::INTEGER)?.content != [0] {
        return Err(CsrError::Malformed);
    }
    info.element(reader::SEQUENCE)?;
    let spki = info.element(reader::SEQUENCE)?;
    let mut attributes = info.enter(reader::ATTRIBUTES)?;
    info.end()?;

    let mut seen = Vec::new();
    while !attributes.is_empty() {
        let mut attribute = attributes.enter(reader::SEQUENCE)?;
        let kind = attribute.element(reader::OID)?.content;
        attribute.element(reader::SET)?;
        attribute.end()?;
        if !KNOWN_ATTRIBUTES.contains(&kind) || seen.contains(&kind) {
            return Err(CsrError::Attribute);
        }
        seen.push(kind);
    }
    Ok(spki)
}

/// `AlgorithmIdentifier` of keys, whole: the named curve belongs to it, and explicit curve parameters do not pass.
const KEY_P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
const KEY_P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
const KEY_RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

fn public_key(spki: &[u8]) -> Result<(CsrKey, &[u8]), CsrError> {
    let mut spki = Reader::new(spki);
    let algorithm = spki.element(reader::SEQUENCE)?.whole;
    let raw = spki.bit_string()?;
    spki.end()?;
    let key = match (algorithm, raw) {
        // Uncompressed points only: one key, one encoding.
        (KEY_P256, [4, point @ ..]) if point.len() == 64 => CsrKey::P256,
        (KEY_P384, [4, point @ ..]) if point.len() == 96 => CsrKey::P384,
        (ED25519, key) => {
            let encoded = key.try_into().map_err(|_| CsrError::Key)?;
            edwards::check_encoding(encoded).map_err(|_: KeyError| CsrError::Key)?;
            CsrKey::Ed25519
        }
        (KEY_RSA, key) => CsrKey::Rsa {
            bits: rsa_bits(key)?,
        },
        _ => return Err(CsrError::Key),
    };
    Ok((key, raw))
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1) with a modulus that is odd, of an allowed length, and not known to be weak.
fn rsa_bits(raw: &[u8]) -> Result<u32, CsrError> {
    let mut outside = Reader::new(raw);
    let mut key = outside.enter(reader::SEQUENCE)?;
    outside.end()?;
    let modulus = key.positive_integer()?;
    let exponent = key.positive_integer()?;
    key.end()?;
    let (Some(first), Some(last)) = (modulus.first(), modulus.last()) else {
        return Err(CsrError::Malformed);
    };
    let bits = u32::try_from(modulus.len() * 8).map_err(|_| CsrError::Key)? - first.leading_zeros();
    let sized = (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits);
    if exponent != [1, 0, 1] || last % 2 == 0 || !sized || roca::is_flawed(modulus) {
        return Err(CsrError::Key);
    }
    Ok(bits)
}

/// `AlgorithmIdentifier` of signatures, whole: parameters absent for ECDSA (RFC 5758 section 3.2), NULL for RSA
/// (RFC 4055 section 5).
const ECDSA_SHA256: &[u8] = &[
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
const ECDSA_SHA384: &[u8] = &[
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
];
const RSA_SHA256: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
];
const RSA_SHA384: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00,
];
const RSA_SHA512: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00,
];

fn scheme(key: CsrKey, algorithm: &[u8]) -> Result<X509Scheme, CsrError> {
    match (key, algorithm) {
        (CsrKey::P256, ECDSA_SHA256) => Ok(X509Scheme::EcdsaP256Sha256),
        (CsrKey::P256, ECDSA_SHA384) => Ok(X509Scheme::EcdsaP256Sha384),
        (CsrKey::P384, ECDSA_SHA256) => Ok(X509Scheme::EcdsaP384Sha256),
        (CsrKey::P384, ECDSA_SHA384) => Ok(X509Scheme::EcdsaP384Sha384),
        (CsrKey::Ed25519, ED25519) => Ok(X509Scheme::Ed25519),
        (CsrKey::Rsa { .. }, RSA_SHA256) => Ok(X509Scheme::RsaSha256),
        (CsrKey::Rsa { .. }, RSA_SHA384) => Ok(X509Scheme::RsaSha384),
        (CsrKey::Rsa { .. }, RSA_SHA512) => Ok(X509Scheme::RsaSha512),
        _ => Err(CsrError::SignatureAlgorithm),
    }
}
