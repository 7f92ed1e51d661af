use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, Chosen, Verifier as _};
use crate::{Algorithm, Jwk, KeyError, SignatureError};

/// A public key, parsed once; clones share it.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Parsed>);

struct Parsed {
    algorithm: Algorithm,
    kid: String,
    jwk: Jwk,
    verifier: <Chosen as Backend>::Verifier,
}

impl VerifyingKey {
    /// Makes a key of a JWK. Its name is its `kid`, or its thumbprint where it has none.
    ///
    /// # Errors
    /// If the JWK is not a key of ours, not meant for verifying, or not a usable point.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let algorithm = jwk.algorithm()?;
        let verifier = Chosen::verifier(algorithm, &jwk.raw_public()?)?;
        let kid = jwk.kid().map_or_else(|| jwk.thumbprint(), str::to_owned);
        let jwk = jwk.clone().with_kid(kid.clone())?;
        Ok(Self(Arc::new(Parsed {
            algorithm,
            kid,
            jwk,
            verifier,
        })))
    }

    /// The one algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The key as it is published.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.0.jwk
    }

    /// Verifies a signature in the form of JOSE. ECDSA signatures are malleable: two may verify for one message, so
    /// that nothing may be remembered under a signature or a whole token.
    ///
    /// # Errors
    /// If it has not 64 bytes or does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = signature.try_into().map_err(|_| SignatureError::Length {
            length: signature.len(),
        })?;
        self.0.verifier.verify(message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.0.algorithm)
            .field("kid", &self.0.kid)
            .finish_non_exhaustive()
    }
}
