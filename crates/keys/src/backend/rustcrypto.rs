//! p256 and ed25519-dalek: Rust alone, for targets without a C compiler. Keys are cleared when they are dropped.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use zeroize::Zeroizing;

use super::{Backend, Signer, Verifier, X509Scheme};
use crate::edwards;
use crate::{Algorithm, KeyError, SignatureError};

/// The backend.
#[derive(Debug, Clone, Copy)]
pub struct RustCrypto;

impl Backend for RustCrypto {
    type Signer = RustCryptoSigner;
    type Verifier = RustCryptoVerifier;

    fn signer(
        algorithm: Algorithm,
        seed: &Zeroizing<[u8; 32]>,
    ) -> Result<RustCryptoSigner, KeyError> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(seed.as_slice())
                    .map_err(|_| KeyError::SeedOutOfRange)?;
                let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                RustCryptoSigner {
                    public,
                    key: Private::P256(key),
                }
            }
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(seed);
                let public = key.verifying_key().as_bytes().to_vec();
                RustCryptoSigner {
                    public,
                    key: Private::Ed25519(key),
                }
            }
        })
    }

    fn verifier(algorithm: Algorithm, public: &[u8]) -> Result<RustCryptoVerifier, KeyError> {
        match algorithm {
            Algorithm::Es256 => p256_public(public).map(RustCryptoVerifier::P256),
            Algorithm::EdDsa => ed25519_public(public).map(RustCryptoVerifier::Ed25519),
        }
    }

    fn verify_x509(
        scheme: X509Scheme,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        match scheme {
            X509Scheme::EcdsaP256Sha256 => {
                let key = p256_public(public).map_err(|_| SignatureError::Invalid)?;
                let signature = p256::ecdsa::Signature::from_der(signature);
                verify_p256(&key, message, signature)
            }
            X509Scheme::Ed25519 => {
                let key = ed25519_public(public).map_err(|_| SignatureError::Invalid)?;
                verify_ed25519(
                    &key,
                    message,
                    signature.try_into().map_err(|_| SignatureError::Invalid)?,
                )
            }
            X509Scheme::EcdsaP256Sha384
            | X509Scheme::EcdsaP384Sha256
            | X509Scheme::EcdsaP384Sha384
            | X509Scheme::RsaSha256
            | X509Scheme::RsaSha384
            | X509Scheme::RsaSha512 => Err(SignatureError::UnsupportedScheme),
        }
    }
}

fn p256_public(public: &[u8]) -> Result<p256::ecdsa::VerifyingKey, KeyError> {
    // The library would take compressed points too.
    if public.len() != 65 {
        return Err(KeyError::Point);
    }
    p256::ecdsa::VerifyingKey::from_sec1_bytes(public).map_err(|_| KeyError::Point)
}

fn ed25519_public(public: &[u8]) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
    let public = public.try_into().map_err(|_| KeyError::Point)?;
    edwards::check_encoding(public)?;
    ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point)
}

fn verify_p256(
    key: &p256::ecdsa::VerifyingKey,
    message: &[u8],
    signature: Result<p256::ecdsa::Signature, p256::ecdsa::Error>,
) -> Result<(), SignatureError> {
    signature
        .and_then(|signature| key.verify(message, &signature))
        .map_err(|_| SignatureError::Invalid)
}

fn verify_ed25519(
    key: &ed25519_dalek::VerifyingKey,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), SignatureError> {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    // `verify` alone would accept keys and commitments of small order.
    key.verify_strict(message, &signature)
        .map_err(|_| SignatureError::Invalid)
}

/// A private key.
pub struct RustCryptoSigner {
    public: Vec<u8>,
    key: Private,
}

enum Private {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl Signer for RustCryptoSigner {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        match &self.key {
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.try_sign(message).map_err(|_| KeyError::Signing)?;
                Ok(signature.to_bytes().into())
            }
            Private::Ed25519(key) => Ok(key
                .try_sign(message)
                .map_err(|_| KeyError::Signing)?
                .to_bytes()),
        }
    }
}

/// A parsed public key.
#[derive(Debug)]
pub enum RustCryptoVerifier {
    /// Of P-256.
    P256(p256::ecdsa::VerifyingKey),
    /// Of Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Verifier for RustCryptoVerifier {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        match self {
            Self::P256(key) => {
                verify_p256(key, message, p256::ecdsa::Signature::from_slice(signature))
            }
            Self::Ed25519(key) => verify_ed25519(key, message, signature),
        }
    }
}
