use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use dayfly_token::base64url;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

use crate::LabError;

/// RSA keys that no issuer uses any more. Generating one takes a tenth of a second and more, and tests start many
/// issuers; a key is never in two living issuers at once, so they stay as strange to each other as real ones.
static IDLE_RSA_KEYS: Mutex<Vec<RsaKeyPair>> = Mutex::new(Vec::new());

/// RSA keys kept for the next issuer: as many as tests run at once on a large machine.
const MAX_IDLE_RSA_KEYS: usize = 32;

/// The JWS algorithms (RFC 7518, RFC 8037) that a lab issuer signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// RSA with 2048 bits, PKCS#1 v1.5, SHA-256: what most platforms use.
    #[default]
    Rs256,
    /// RSA with 2048 bits, PSS, SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl TokenAlgorithm {
    /// The value of `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// One signing key of an issuer.
pub(super) struct LabKey {
    algorithm: TokenAlgorithm,
    pair: Option<Pair>,
    jwk: Value,
    kid: String,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl LabKey {
    /// A key that no other living issuer has. Blocks while an RSA key is generated.
    pub(super) fn generate(algorithm: TokenAlgorithm) -> Result<Self, LabError> {
        let failed = |_| LabError::Key {
            what: algorithm.name(),
        };
        let pair = match algorithm {
            TokenAlgorithm::Rs256 | TokenAlgorithm::Ps256 => Pair::Rsa(rsa_key()?),
            TokenAlgorithm::Es256 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(failed)?,
            ),
            TokenAlgorithm::Es384 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)
                    .map_err(failed)?,
            ),
            TokenAlgorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        let (jwk, thumbprint_input) = pair.jwk(algorithm)?;
        let kid = base64url::encode(dayfly_keys::sha256(thumbprint_input.as_bytes()));
        let mut jwk = jwk;
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), kid.clone().into());
            members.insert("alg".to_owned(), algorithm.name().into());
            members.insert("use".to_owned(), "sig".into());
        }
        Ok(Self {
            algorithm,
            pair: Some(pair),
            jwk,
            kid,
        })
    }

    pub(super) const fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// The RFC 7638 thumbprint.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The JWS signature; fails only if the library cannot allocate.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, LabError> {
        let failed = |_| LabError::Key {
            what: self.algorithm.name(),
        };
        let random = SystemRandom::new();
        match self.pair.as_ref() {
            Some(Pair::Rsa(key)) => {
                let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    TokenAlgorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Some(Pair::Ecdsa(key)) => Ok(key
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            Some(Pair::Ed25519(key)) => Ok(key.sign(message).as_ref().to_vec()),
            None => Err(LabError::Key {
                what: self.algorithm.name(),
            }),
        }
    }
}

impl Drop for LabKey {
    fn drop(&mut self) {
        if let Some(Pair::Rsa(key)) = self.pair.take() {
            let mut idle = IDLE_RSA_KEYS.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_IDLE_RSA_KEYS {
                idle.push(key);
            }
        }
    }
}

impl Pair {
    /// The public JWK without `kid`, and the JSON of its required members whose digest is the thumbprint (RFC 7638
    /// section 3.2: lexicographic order, no white space).
    fn jwk(&self, algorithm: TokenAlgorithm) -> Result<(Value, String), LabError> {
        let unreadable = || LabError::Key {
            what: algorithm.name(),
        };
        match self {
            Self::Rsa(key) => {
                let (_, public) =
                    RSAPublicKey::from_der(key.public_key().as_ref()).map_err(|_| unreadable())?;
                let n = base64url::encode(without_leading_zeros(public.modulus));
                let e = base64url::encode(without_leading_zeros(public.exponent));
                let thumbprint = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
                Ok((json!({ "kty": "RSA", "n": n, "e": e }), thumbprint))
            }
            Self::Ecdsa(key) => {
                // An uncompressed point: 0x04, x, y.
                let coordinates = key.public_key().as_ref().get(1..).ok_or_else(unreadable)?;
                let (x, y) = coordinates
                    .split_at_checked(coordinates.len() / 2)
                    .ok_or_else(unreadable)?;
                let (x, y) = (base64url::encode(x), base64url::encode(y));
                let crv = if algorithm == TokenAlgorithm::Es384 {
                    "P-384"
                } else {
                    "P-256"
                };
                let thumbprint = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
                Ok((
                    json!({ "kty": "EC", "crv": crv, "x": x, "y": y }),
                    thumbprint,
                ))
            }
            Self::Ed25519(key) => {
                let x = base64url::encode(key.public_key().as_ref());
                let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
                Ok((
                    json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
                    thumbprint,
                ))
            }
        }
    }
}

fn rsa_key() -> Result<RsaKeyPair, LabError> {
    let idle = IDLE_RSA_KEYS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop();
    idle.map_or_else(
        || RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| LabError::Key { what: "RSA" }),
        Ok,
    )
}

/// JWK integers have no leading zero octets (RFC 7518 section 2, Base64urlUInt); DER integers may have one.
fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or(bytes)
}
