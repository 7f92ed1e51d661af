//! Keys of foreign issuers, and tokens signed with them: by OpenSSL, so by another library than most issuers use.

use std::sync::LazyLock;

use dayfly_attest::{AttestError, JwksSource, OidcIssuerConfig, OidcIssuers};
use dayfly_attest::{Attestor, Evidence};
use dayfly_policy::Principal;
use dayfly_token::{UnixTime, base64url};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jwk::alg::ed::{EdCurve, EdKeyPair};
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{ES256, ES384, EdDSA, JwsSigner, PS256, RS256};
use serde_json::{Map, Value, json};

use crate::{NOW, attestor, no_bundles};

/// Made once: an RSA key takes a while.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(2048).unwrap());

/// A key of an issuer.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pub(crate) alg: &'static str,
    public: Jwk,
    signer: Box<dyn JwsSigner>,
}

impl Signer {
    pub(crate) fn new(alg: &'static str, kid: &str) -> Self {
        let (public, signer): (Jwk, Box<dyn JwsSigner>) = match alg {
            "RS256" => {
                let jwk = RSA.to_jwk_private_key();
                (
                    RSA.to_jwk_public_key(),
                    Box::new(RS256.signer_from_jwk(&jwk).unwrap()),
                )
            }
            "PS256" => {
                let jwk = RSA.to_jwk_private_key();
                (
                    RSA.to_jwk_public_key(),
                    Box::new(PS256.signer_from_jwk(&jwk).unwrap()),
                )
            }
            "ES256" => {
                let pair = EcKeyPair::generate(EcCurve::P256).unwrap();
                let signer = ES256.signer_from_jwk(&pair.to_jwk_private_key()).unwrap();
                (pair.to_jwk_public_key(), Box::new(signer))
            }
            "ES384" => {
                let pair = EcKeyPair::generate(EcCurve::P384).unwrap();
                let signer = ES384.signer_from_jwk(&pair.to_jwk_private_key()).unwrap();
                (pair.to_jwk_public_key(), Box::new(signer))
            }
            "EdDSA" => {
                let pair = EdKeyPair::generate(EdCurve::Ed25519).unwrap();
                let signer = EdDSA.signer_from_jwk(&pair.to_jwk_private_key()).unwrap();
                (pair.to_jwk_public_key(), Box::new(signer))
            }
            other => panic!("{other}"),
        };
        Self {
            kid: kid.to_owned(),
            alg,
            public,
            signer,
        }
    }

    /// The public key as issuers publish it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["alg"] = json!(self.alg);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public key with a `kid` and nothing else.
    pub(crate) fn bare_jwk(&self) -> Value {
        let mut members: Map<String, Value> = self.public.as_ref().clone();
        members.retain(|member, _| ["kty", "crv", "x", "y", "n", "e"].contains(&member.as_str()));
        members.insert("kid".to_owned(), json!(self.kid));
        Value::Object(members)
    }

    pub(crate) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.alg, "kid": self.kid, "x5t": base64url::encode([1; 20])})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let input = dayfly_token::assemble(header.as_bytes(), payload.as_bytes());
        let signature = self.signature(&input);
        format!("{input}.{}", base64url::encode(signature))
    }

    pub(crate) fn signature(&self, input: &str) -> Vec<u8> {
        self.signer.sign(input.as_bytes()).unwrap()
    }
}

pub(crate) const CORP: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://sts.example";

/// An issuer of any kind whose keys are in a file.
pub(crate) fn corp() -> OidcIssuerConfig {
    let mut config = OidcIssuerConfig::custom(
        "corp".parse().unwrap(),
        CORP.to_owned(),
        vec![AUDIENCE.to_owned()],
    );
    config.algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
        .map(str::to_owned)
        .to_vec();
    config
}

pub(crate) fn corp_claims() -> Value {
    json!({
        "iss": CORP, "aud": AUDIENCE, "sub": "job 7", "jti": "one",
        "iat": NOW.as_secs() - 10, "nbf": NOW.as_secs() - 10, "exp": NOW.as_secs() + 290,
    })
}

/// An attestor that knows one issuer.
pub(crate) struct Knowing {
    attestor: Attestor,
    /// Read again for every unknown `kid`.
    _jwks: tempfile::NamedTempFile,
}

impl std::ops::Deref for Knowing {
    type Target = Attestor;

    fn deref(&self) -> &Attestor {
        &self.attestor
    }
}

/// An attestor that knows one issuer, whose JWK Set is `jwks`.
pub(crate) fn knowing(mut config: OidcIssuerConfig, jwks: &Value) -> Knowing {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks.to_string()).unwrap();
    config.jwks = JwksSource::File(file.path().to_owned());
    Knowing {
        attestor: attestor(no_bundles(), OidcIssuers::new(vec![config]).unwrap()),
        _jwks: file,
    }
}

pub(crate) async fn attest(
    attestor: &Attestor,
    token: &str,
    now: UnixTime,
) -> Result<Principal, AttestError> {
    attestor
        .attest(Evidence::Oidc { token, peer: None }, now)
        .await
}

/// The code of the refusal, or `accepted`.
pub(crate) async fn code(attestor: &Attestor, token: &str) -> &'static str {
    match attest(attestor, token, NOW).await {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}
