//! The other ways to verify a token in Rust, each with the checks that it has.

use dayfly_benches::Suite;
use dayfly_keys::Algorithm;
use dayfly_verifier::UnixTime;
use dayfly_verifier::testing::TestAuthority;
use josekit::jws::JwsVerifier;
use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike as _, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike as _,
    NoCustomClaims, VerificationOptions,
};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};

use crate::{AUDIENCE, ISSUER};

pub(crate) const NAMES: [&str; 4] = [
    "jsonwebtoken",
    "josekit",
    "jwt-simple, pure Rust",
    "oauth-resource-server",
];

/// One token in all the forms that the subjects take.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) public: Vec<u8>,
    jwk: String,
    pub(crate) authority: TestAuthority,
}

impl Token {
    pub(crate) fn new(algorithm: Algorithm, now: UnixTime) -> Self {
        let authority = crate::authority(algorithm);
        let text = crate::token(&authority, 4711, now);
        let (message, signature) = text.rsplit_once('.').unwrap();
        Self {
            message: message.as_bytes().to_vec(),
            signature: dayfly_token::base64url::decode(signature).unwrap(),
            public: crate::key(algorithm).raw_public(),
            jwk: serde_json::to_string(crate::key(algorithm).jwk()).unwrap(),
            text,
            authority,
        }
    }
}

pub(crate) fn add<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    add_jsonwebtoken(suite, algorithm, token);
    add_josekit(suite, algorithm, token);
    add_jwt_simple(suite, algorithm, token);
    add_oauth_resource_server(suite, algorithm, token);
}

fn add_jsonwebtoken<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&token.jwk).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let mut checks = jsonwebtoken::Validation::new(match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    });
    checks.set_audience(&[AUDIENCE]);
    checks.set_issuer(&[ISSUER]);
    suite.add("jsonwebtoken", move || {
        jsonwebtoken::decode::<dayfly_token::Claims>(&token.text, &key, &checks).unwrap()
    });
}

fn add_josekit<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    let jwk = josekit::jwk::Jwk::from_bytes(&token.jwk).unwrap();
    let verifier: Box<dyn JwsVerifier> = match algorithm {
        Algorithm::Es256 => Box::new(josekit::jws::ES256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::EdDsa => Box::new(josekit::jws::EdDSA.verifier_from_jwk(&jwk).unwrap()),
    };
    suite.add("josekit", move || {
        let (payload, _) = josekit::jws::deserialize_compact(&token.text, &*verifier).unwrap();
        serde_json::from_slice::<dayfly_token::Claims>(&payload).unwrap()
    });
}

fn add_jwt_simple<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    let options = VerificationOptions {
        allowed_issuers: Some([ISSUER.to_owned()].into()),
        allowed_audiences: Some([AUDIENCE.to_owned()].into()),
        ..VerificationOptions::default()
    };
    match algorithm {
        Algorithm::Es256 => {
            let key = ES256PublicKey::from_bytes(&token.public).unwrap();
            suite.add("jwt-simple, pure Rust", move || {
                key.verify_token::<NoCustomClaims>(&token.text, Some(options.clone()))
                    .unwrap()
            });
        }
        Algorithm::EdDsa => {
            let key = Ed25519PublicKey::from_bytes(&token.public).unwrap();
            suite.add("jwt-simple, pure Rust", move || {
                key.verify_token::<NoCustomClaims>(&token.text, Some(options.clone()))
                    .unwrap()
            });
        }
    }
}

fn add_oauth_resource_server<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        resource: AUDIENCE.to_owned(),
        require_at_jwt: true,
        algorithms: vec![algorithm.name().to_owned()],
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).unwrap().unwrap();
    let validator = OAuthValidator::builder(&config)
        .initial_jwks(&format!("{{\"keys\":[{}]}}", token.jwk))
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    suite.add("oauth-resource-server", move || {
        runtime.block_on(validator.validate(&token.text)).unwrap()
    });
}
