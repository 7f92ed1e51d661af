//! The libraries that sign and verify. All of them do the same: one suite runs over each.

#[cfg(feature = "aws-lc")]
pub mod aws_lc;
#[cfg(feature = "rustcrypto")]
pub mod rustcrypto;

use zeroize::Zeroizing;

use crate::{Algorithm, KeyError, SignatureError};

/// The backend that [`crate::SigningKey`] and [`crate::VerifyingKey`] stand on: aws-lc where it is switched on.
#[cfg(feature = "aws-lc")]
pub type Chosen = aws_lc::AwsLc;
/// The backend that [`crate::SigningKey`] and [`crate::VerifyingKey`] stand on: aws-lc where it is switched on.
#[cfg(not(feature = "aws-lc"))]
pub type Chosen = rustcrypto::RustCrypto;

/// One library. Public keys are the 65 bytes of an uncompressed point of P-256, or the 32 of Ed25519.
pub trait Backend {
    /// A private key.
    type Signer: Signer;
    /// A parsed public key.
    type Verifier: Verifier;

    /// The key of a seed: the scalar of P-256, or the seed of Ed25519 (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::SeedOutOfRange`] if the seed is no scalar.
    fn signer(algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Result<Self::Signer, KeyError>;

    /// Parses a public key.
    ///
    /// # Errors
    /// [`KeyError::Point`] if it is no point of P-256, or a non-canonical or small-order encoding of Ed25519.
    /// Another encoding of Ed25519 that is no point either is refused, or the key verifies nothing.
    fn verifier(algorithm: Algorithm, public: &[u8]) -> Result<Self::Verifier, KeyError>;

    /// Verifies a signature of X.509, once, by a key as it stands in a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// If it does not verify, or the backend does not know the scheme.
    fn verify_x509(
        scheme: X509Scheme,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError>;
}

/// A private key.
pub trait Signer: Send + Sync {
    /// The public key.
    fn public(&self) -> &[u8];

    /// Signs, in the form of JOSE: `r ‖ s`, or the 64 bytes of Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the library fails.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError>;
}

/// A parsed public key.
pub trait Verifier: Send + Sync {
    /// Verifies a signature in the form of JOSE. Zero or unreduced `r`, `s` or `S` are refused, and a small-order `R`.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] if it does not verify.
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError>;
}

/// A signature scheme of X.509. ECDSA signatures are DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum X509Scheme {
    /// ECDSA on P-256 with SHA-256; every backend has it.
    EcdsaP256Sha256,
    /// ECDSA on P-256 with SHA-384.
    EcdsaP256Sha384,
    /// ECDSA on P-384 with SHA-256.
    EcdsaP384Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// Ed25519; every backend has it.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256, keys of 2048 bits and more.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-384, keys of 2048 bits and more.
    RsaSha384,
    /// RSA PKCS#1 v1.5 with SHA-512, keys of 2048 bits and more.
    RsaSha512,
}
