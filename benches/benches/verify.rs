//! One verification of an access token: every check of the verifier, beside the bare signature
//! check of each backend and the full verification of its peers.
//!
//! `cargo bench -p dayfly-benches --bench verify`
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of constants stops where it fails"
)]

use aws_lc_rs::signature::{self, ParsedPublicKey};
use dayfly_benches::{Suite, Table, Target};
use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::feed::Entry;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Presented, RevocationSource, UnixTime, UnverifiedToken, Verifier, revocation,
};
use ed25519_dalek::Verifier as _;
use josekit::jws::JwsVerifier;

const ISSUER: &str = "https://sts.example.org";
const AUDIENCE: &str = "https://payments.internal";
const NOW: UnixTime = UnixTime::from_secs(1_793_700_000);

/// V1 of the targets: all checks over the bare signature check of the same backend.
const COLD: [(Algorithm, f64); 2] = [(Algorithm::Es256, 1.05), (Algorithm::EdDsa, 1.07)];

/// How many revocation entries the second verifier knows.
const REVOKED: u64 = 1_000_000;

fn main() {
    let mut table = Table::new("verify");
    for (algorithm, target) in COLD {
        one_algorithm(&mut table, algorithm, target);
    }
    table.finish();
}

struct Token {
    text: String,
    message: Vec<u8>,
    signature: Vec<u8>,
    public: Vec<u8>,
    jwk: String,
    authority: TestAuthority,
}

fn token(algorithm: Algorithm) -> Token {
    let key = || SigningKey::from_seed(algorithm, &[7; 32].into()).unwrap();
    let authority = TestAuthority::with_key(ISSUER, key()).unwrap();
    let text = authority
        .token(AUDIENCE)
        .subject("spiffe://sts.example.org/payments/deploy")
        .scope("deploy:write deploy:read")
        .task("payments/deploy-4711")
        .mint(NOW)
        .unwrap();
    let (message, signature) = text.rsplit_once('.').unwrap();
    Token {
        message: message.as_bytes().to_vec(),
        signature: dayfly_token::base64url::decode(signature).unwrap(),
        public: key().raw_public(),
        jwk: serde_json::to_string(key().jwk()).unwrap(),
        text,
        authority,
    }
}

fn verifier(token: &Token) -> Verifier {
    token
        .authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::Bundle)
        .build()
        .unwrap()
}

fn one_algorithm(table: &mut Table, algorithm: Algorithm, target: f64) {
    let token = token(algorithm);
    let name = algorithm.name();
    let quiet = verifier(&token);
    quiet.revocations().heard(NOW);
    let busy = verifier(&token);
    busy.revocations().heard(NOW);
    let entries: Vec<_> = (0..REVOKED).map(revoked).collect();
    busy.revocations().merge(&entries, NOW);

    let bare = bare_aws_lc(algorithm, &token);
    let mut suite = Suite::default();
    let check = |verifier: &Verifier| {
        verifier
            .verify(
                UnverifiedToken::new(&token.text),
                &Presented::default(),
                NOW,
            )
            .unwrap()
    };
    suite.add("dayfly", || check(&quiet));
    suite.add("dayfly, 1 M revoked", || check(&busy));
    suite.add("bare", || {
        bare.verify_sig(&token.message, &token.signature).unwrap()
    });
    add_rustcrypto(&mut suite, algorithm, &token);
    add_jsonwebtoken(&mut suite, algorithm, &token);
    add_josekit(&mut suite, algorithm, &token);
    let medians = suite.run();

    let floor = medians.nanoseconds("bare");
    let mut row = |subject: &str, target| {
        table.row(
            &format!("{name} {subject}"),
            medians.nanoseconds(subject),
            floor,
            target,
        );
    };
    row("bare", Target::None);
    row("bare, pure Rust", Target::None);
    row("dayfly", Target::AtMost(target));
    row("dayfly, 1 M revoked", Target::None);
    row("jsonwebtoken", Target::None);
    row("josekit", Target::None);
    let fastest = medians
        .nanoseconds("jsonwebtoken")
        .min(medians.nanoseconds("josekit"));
    table.row(
        &format!("{name} dayfly over its fastest peer"),
        medians.nanoseconds("dayfly"),
        fastest,
        Target::AtMost(1.0),
    );
}

fn revoked(number: u64) -> Entry {
    Entry {
        prefix: revocation::prefix(dayfly_token::feed::Kind::Credential, &number.to_string()),
        before: NOW,
        until: NOW.saturating_add(3600),
    }
}

fn bare_aws_lc(algorithm: Algorithm, token: &Token) -> ParsedPublicKey {
    match algorithm {
        Algorithm::Es256 => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &token.public)
        }
        Algorithm::EdDsa => ParsedPublicKey::new(&signature::ED25519, &token.public),
    }
    .unwrap()
}

fn add_rustcrypto<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    match algorithm {
        Algorithm::Es256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&token.public).unwrap();
            let signature = p256::ecdsa::Signature::from_slice(&token.signature).unwrap();
            suite.add("bare, pure Rust", move || {
                key.verify(&token.message, &signature).unwrap()
            });
        }
        Algorithm::EdDsa => {
            let public = <[u8; 32]>::try_from(token.public.as_slice()).unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&token.signature).unwrap();
            suite.add("bare, pure Rust", move || {
                key.verify(&token.message, &signature).unwrap()
            });
        }
    }
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
    // The token lives in the benchmark's own time.
    checks.validate_exp = false;
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
