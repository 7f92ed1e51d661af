//! An authority, a verifier, a moment, and a token that is good before it is made bad.

use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::{assemble, base64url};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Presented, Rejection, RejectionCode, RevocationSource, UnixTime, UnverifiedToken, Verified,
    Verifier,
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub const ISSUER: &str = "https://sts.example.org";
pub const AUDIENCE: &str = "https://orders.internal";
pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

pub struct Bench {
    pub authority: TestAuthority,
    pub verifier: Verifier,
}

impl Bench {
    pub fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::from_seed(algorithm, &Zeroizing::new([9; 32])).unwrap();
        let authority = TestAuthority::with_key(ISSUER, key).unwrap();
        let verifier = authority
            .verifier(AUDIENCE)
            .revocation(RevocationSource::None)
            .build()
            .unwrap();
        let bench = Self {
            authority,
            verifier,
        };
        bench.accepts(&bench.good());
        bench
    }

    pub fn both() -> [Self; 2] {
        [Self::new(Algorithm::EdDsa), Self::new(Algorithm::Es256)]
    }

    /// A verifier that wants to hear of revocations, and has heard nothing.
    pub fn following(&self) -> Verifier {
        let builder = self.authority.verifier(AUDIENCE);
        builder
            .revocation(RevocationSource::Follow)
            .build()
            .unwrap()
    }

    pub fn good(&self) -> String {
        self.authority.token(AUDIENCE).mint(NOW).unwrap()
    }

    /// The claims of the good token.
    pub fn payload(&self) -> Map<String, Value> {
        self.authority.token(AUDIENCE).payload(NOW)
    }

    /// The header of the good token.
    pub fn header(&self) -> Map<String, Value> {
        serde_json::from_str(&self.authority.header()).unwrap()
    }

    /// Signed claims of any form, under the good header.
    pub fn signed(&self, payload: &str) -> String {
        self.authority
            .sign(&self.authority.header(), payload)
            .unwrap()
    }

    /// The good token with one claim set, or removed by `Value::Null`-free absence.
    pub fn with_claim(&self, name: &str, value: Value) -> String {
        let mut payload = self.payload();
        payload.insert(name.to_owned(), value);
        self.signed(&Value::Object(payload).to_string())
    }

    pub fn without_claim(&self, name: &str) -> String {
        let mut payload = self.payload();
        payload.remove(name).expect("the good token has the claim");
        self.signed(&Value::Object(payload).to_string())
    }

    /// The good claims under the good header with some members set.
    pub fn with_header(&self, members: &[(&str, Value)]) -> String {
        let mut header = self.header();
        for (name, value) in members {
            header.insert((*name).to_owned(), value.clone());
        }
        self.authority
            .sign(
                &json!(header).to_string(),
                &json!(self.payload()).to_string(),
            )
            .unwrap()
    }

    /// A token with any signature under an encoded header and payload.
    pub fn assembled(header: &str, payload: &str, signature: &[u8]) -> String {
        format!(
            "{}.{}",
            assemble(header.as_bytes(), payload.as_bytes()),
            base64url::encode(signature)
        )
    }

    /// A token whose signing input is this very text, truly signed.
    pub fn signed_input(&self, input: &str) -> String {
        format!(
            "{input}.{}",
            base64url::encode(self.authority.token_key().sign(input.as_bytes()).unwrap())
        )
    }

    pub fn verify(&self, token: &str) -> Result<Verified, Rejection> {
        self.verifier
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, NOW)
    }

    #[track_caller]
    pub fn accepts(&self, token: &str) -> Verified {
        self.verify(token).unwrap_or_else(|rejection| {
            panic!(
                "{}: {rejection}: {:?}",
                rejection.code(),
                std::error::Error::source(&rejection)
            )
        })
    }

    #[track_caller]
    pub fn refuses(&self, token: &str, code: RejectionCode) {
        match self.verify(token) {
            Ok(verified) => panic!("accepted: {verified:?}"),
            Err(rejection) => assert_eq!(
                rejection.code(),
                code,
                "{rejection}: {:?}",
                std::error::Error::source(&rejection)
            ),
        }
    }
}
