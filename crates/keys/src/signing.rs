use dayfly_token::{assemble, base64url};
use zeroize::Zeroizing;

use crate::backend::{Backend, Chosen, Signer as _};
use crate::{Algorithm, Jwk, KeyError, VerifyingKey, der};

/// A private key in memory, cleared when it is dropped.
///
/// It cannot be shown, copied or written:
/// ```compile_fail
/// fn show<T: std::fmt::Debug>() {}
/// show::<dayfly_keys::SigningKey>();
/// ```
/// ```compile_fail
/// fn copy<T: Clone>() {}
/// copy::<dayfly_keys::SigningKey>();
/// ```
/// ```compile_fail
/// fn write<T: serde::Serialize>() {}
/// write::<dayfly_keys::SigningKey>();
/// ```
pub struct SigningKey {
    signer: <Chosen as Backend>::Signer,
    verifying_key: VerifyingKey,
}

impl SigningKey {
    /// The key of 32 random bytes: the scalar of P-256, or the seed of Ed25519.
    ///
    /// # Errors
    /// [`KeyError::SeedOutOfRange`] if `seed` is no scalar of P-256: draw again.
    pub fn from_seed(algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let signer = Chosen::signer(algorithm, seed)?;
        let verifying_key = VerifyingKey::from_jwk(&Jwk::public(algorithm, signer.public())?)?;
        Ok(Self {
            signer,
            verifying_key,
        })
    }

    /// The one algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.verifying_key.algorithm()
    }

    /// Its name: the thumbprint of the public key (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        self.verifying_key.kid()
    }

    /// The public key as it is published.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        self.verifying_key.jwk()
    }

    /// The public key.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying_key
    }

    /// The public key as X.509 writes it: `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        der::spki(self.algorithm(), self.signer.public())
    }

    /// The public key alone: 65 bytes of an uncompressed point of P-256, or 32 of Ed25519.
    #[must_use]
    pub fn raw_public(&self) -> Vec<u8> {
        self.signer.public().to_vec()
    }

    /// Signs, in the form of JOSE: `r ‖ s`, or the 64 bytes of Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        self.signer.sign(message)
    }

    /// Signs, in the form of X.509: DER for ECDSA, the 64 bytes of Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the library fails.
    pub fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(der::signature(self.algorithm(), &self.sign(message)?))
    }

    /// Signs a compact JWS of this header and payload. That the header names this key and its algorithm is the
    /// caller's to see to.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the library fails.
    pub fn sign_compact(
        &self,
        header_json: &[u8],
        payload_json: &[u8],
    ) -> Result<String, KeyError> {
        let mut token = assemble(header_json, payload_json);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url::encode(signature));
        Ok(token)
    }
}
