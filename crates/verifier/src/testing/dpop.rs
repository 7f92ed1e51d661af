use std::sync::atomic::{AtomicU64, Ordering};

use dayfly_keys::{Algorithm, KeyError, SigningKey};
use dayfly_token::{Confirmation, UnixTime, base64url};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// A client's key for `DPoP` proofs (RFC 9449).
///
/// ```
/// use dayfly_verifier::dpop::Presentation;
/// use dayfly_verifier::testing::{DpopKey, TestAuthority};
/// use dayfly_verifier::{Presented, RejectionCode, RevocationSource, UnixTime, UnverifiedToken};
///
/// let authority = TestAuthority::from_seed("https://sts.test", [1; 32])?;
/// let verifier = authority.verifier("https://orders.internal").revocation(RevocationSource::None).build()?;
/// let now = UnixTime::from_secs(1_800_000_000);
///
/// let key = DpopKey::from_seed([2; 32])?;
/// let token = authority.token("https://orders.internal").bound_to(&key.confirmation()).mint(now)?;
/// let uri = "https://orders.internal/orders";
/// let proof = key.proof("GET", uri, &token).sign(now)?;
///
/// let presented = Presented::proof(Presentation { proof: &proof, method: "GET", uri });
/// assert!(verifier.verify(UnverifiedToken::new(&token), &presented, now).is_ok());
/// let again = verifier.verify(UnverifiedToken::new(&token), &presented, now).unwrap_err();
/// assert_eq!(again.code(), RejectionCode::ReplayedProof);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DpopKey {
    key: SigningKey,
    /// So that no two proofs have the same `jti`, and a test does the same thing every time.
    made: AtomicU64,
}

/// A proof about to be signed: a valid one, changed as the test says.
#[must_use]
pub struct TestProof<'a> {
    key: &'a SigningKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl DpopKey {
    /// An Ed25519 key derived from `seed`.
    ///
    /// # Errors
    /// If the backend refuses the key.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new(seed)).map(Self::with_key)
    }

    /// A key of any kind.
    #[must_use]
    pub const fn with_key(key: SigningKey) -> Self {
        Self {
            key,
            made: AtomicU64::new(0),
        }
    }

    /// What binds a token to this key, for [`TestToken::bound_to`](super::TestToken::bound_to).
    #[must_use]
    pub fn confirmation(&self) -> Confirmation {
        Confirmation::KeyThumbprint(self.key.jwk().thumbprint_bytes())
    }

    /// The key itself.
    #[must_use]
    pub const fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// A valid proof for a request of `method` to `uri` with this token. Its `jti` is a new one each time.
    pub fn proof(&self, method: &str, uri: &str, token: &str) -> TestProof<'_> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let ath = base64url::encode(dayfly_keys::sha256(token.as_bytes()));
        let mut proof = TestProof {
            key: &self.key,
            header: Map::new(),
            claims: Map::new(),
        };
        for (name, value) in [
            ("alg", json!(self.key.algorithm().name())),
            ("typ", json!("dpop+jwt")),
            ("jwk", json!(self.key.jwk())),
        ] {
            proof = proof.header(name, value);
        }
        for (name, value) in [
            ("jti", json!(format!("proof-{number}"))),
            ("htm", json!(method)),
            ("htu", json!(uri)),
            ("ath", json!(ath)),
        ] {
            proof = proof.claim(name, value);
        }
        proof
    }
}

impl TestProof<'_> {
    /// The nonce that the API gave.
    pub fn nonce(self, nonce: &str) -> Self {
        self.claim("nonce", json!(nonce))
    }

    /// Sets any claim, `iat` included.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name.to_owned(), value);
        self
    }

    /// Leaves a claim out. `iat` is set by [`TestProof::payload`] and needs [`TestProof::sign_payload`] to be left out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any member of the header.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.header.insert(name.to_owned(), value);
        self
    }

    /// Leaves a member of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// The claims as made at `now`, as JSON.
    #[must_use]
    pub fn payload(&self, now: UnixTime) -> Map<String, Value> {
        let mut claims = self.claims.clone();
        claims.entry("iat").or_insert_with(|| json!(now));
        claims
    }

    /// The proof, made at `now`.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign(self, now: UnixTime) -> Result<String, KeyError> {
        let payload = Value::Object(self.payload(now)).to_string();
        self.sign_payload(&payload)
    }

    /// Any payload under this header, truly signed.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign_payload(&self, payload: &str) -> Result<String, KeyError> {
        let header = Value::Object(self.header.clone()).to_string();
        self.key.sign_compact(header.as_bytes(), payload.as_bytes())
    }
}
