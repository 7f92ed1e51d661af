//! AWS-LC, by `aws-lc-rs`: the fast one, in C and assembly. Its allocator clears what it frees.

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm,
};
use zeroize::Zeroizing;

use super::{Backend, Signer, Verifier, X509Scheme};
use crate::edwards;
use crate::{Algorithm, KeyError, SignatureError};

/// The backend.
#[derive(Debug, Clone, Copy)]
pub struct AwsLc;

impl Backend for AwsLc {
    type Signer = AwsLcSigner;
    type Verifier = AwsLcVerifier;

    fn signer(algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Result<AwsLcSigner, KeyError> {
        Ok(AwsLcSigner(match algorithm {
            Algorithm::Es256 => Pair::P256(p256_pair(seed)?),
            // There is no public key to check the seed against: it is made from it.
            Algorithm::EdDsa => Pair::Ed25519(
                Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
                    .map_err(|_| KeyError::SeedOutOfRange)?,
            ),
        }))
    }

    fn verifier(algorithm: Algorithm, public: &[u8]) -> Result<AwsLcVerifier, KeyError> {
        let scheme: &'static dyn VerificationAlgorithm = match algorithm {
            // The library would take other encodings of the point too, and a whole SubjectPublicKeyInfo.
            Algorithm::Es256 if public.len() == 65 && public.first() == Some(&4) => {
                &ECDSA_P256_SHA256_FIXED
            }
            Algorithm::Es256 => return Err(KeyError::Point),
            Algorithm::EdDsa => {
                edwards::check_encoding(public.try_into().map_err(|_| KeyError::Point)?)?;
                &ED25519
            }
        };
        let key = ParsedPublicKey::new(scheme, public).map_err(|_| KeyError::Point)?;
        Ok(AwsLcVerifier { algorithm, key })
    }

    fn verify_x509(
        scheme: X509Scheme,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if scheme == X509Scheme::Ed25519 {
            check_ed25519(public, signature)?;
        }
        UnparsedPublicKey::new(x509_algorithm(scheme), public)
            .verify(message, signature)
            .map_err(|_| SignatureError::Invalid)
    }
}

/// The library makes an ECDSA pair of a scalar only together with its point, and computes the point only for ECDH.
fn p256_pair(scalar: &Zeroizing<[u8; 32]>) -> Result<EcdsaKeyPair, KeyError> {
    let point = agreement::PrivateKey::from_private_key(&ECDH_P256, scalar.as_slice())
        .map_err(|_| KeyError::SeedOutOfRange)?
        .compute_public_key()
        .map_err(|_| KeyError::SeedOutOfRange)?;
    EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        scalar.as_slice(),
        point.as_ref(),
    )
    .map_err(|_| KeyError::SeedOutOfRange)
}

/// What [`crate::backend::rustcrypto`] refuses by `verify_strict`, so that both accept the same signatures.
fn check_ed25519(public: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let public: &[u8; 32] = public.try_into().map_err(|_| SignatureError::Invalid)?;
    let r: &[u8; 32] = signature.first_chunk().ok_or(SignatureError::Invalid)?;
    edwards::check_encoding(public)
        .and_then(|()| edwards::check_encoding(r))
        .map_err(|_| SignatureError::Invalid)
}

fn x509_algorithm(scheme: X509Scheme) -> &'static dyn VerificationAlgorithm {
    match scheme {
        X509Scheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
        X509Scheme::EcdsaP256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
        X509Scheme::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
        X509Scheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        X509Scheme::Ed25519 => &ED25519,
        X509Scheme::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        X509Scheme::RsaSha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        X509Scheme::RsaSha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

/// A private key.
pub struct AwsLcSigner(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer for AwsLcSigner {
    fn public(&self) -> &[u8] {
        match &self.0 {
            Pair::P256(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let signature = match &self.0 {
            // The library takes a generator for the sake of its interface, and draws the nonce itself.
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        let signature = signature.map_err(|_| KeyError::Signing)?;
        signature.as_ref().try_into().map_err(|_| KeyError::Signing)
    }
}

/// A parsed public key.
#[derive(Debug)]
pub struct AwsLcVerifier {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl Verifier for AwsLcVerifier {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        if self.algorithm == Algorithm::EdDsa {
            check_ed25519(self.key.as_ref(), signature)?;
        }
        self.key
            .verify_sig(message, signature)
            .map_err(|_| SignatureError::Invalid)
    }
}
