//! One access token: built, signed, parsed again and compared, beside the bare signature of each
//! backend and the minting of its peers.
//!
//! `cargo bench -p dayfly-benches --bench mint`
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of constants stops where it fails"
)]

use std::cell::Cell;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use dayfly_benches::{Suite, Table, Target};
use dayfly_issuer::Now;
use dayfly_issuer::testing::MintBench;
use dayfly_keys::Algorithm;
use ed25519_dalek::Signer as _;
use josekit::jws::{JwsHeader, JwsSigner};
use serde_json::{Value, json};

/// I1 of the targets: the whole token over the bare ES256 signature.
const TARGET: f64 = 1.15;

const NOW: Now = Now {
    unix_ms: 1_793_700_000_000,
    monotonic_ms: 0,
};

fn main() {
    let mut table = Table::new("mint");
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        one_algorithm(&mut table, algorithm);
    }
    table.finish();
}

/// What the peers sign: the claims of a typical token.
fn claims() -> Value {
    json!({
        "iss": "https://sts.example.org", "sub": "spiffe://sts.example.org/payments/deploy",
        "aud": "https://orders.internal", "client_id": "spiffe://sts.example.org/payments/deploy",
        "iat": 1_793_700_000, "nbf": 1_793_699_995, "exp": 1_793_700_300,
        "jti": "QAAAAAAAAAAAAAAAAAAAAA", "scope": "orders:read orders:write",
        "txn": "payments/deploy-4711",
        "cnf": { "x5t#S256": "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk" },
        "dfy": { "rule": "deploy-svid", "env": "prod", "anc": [], "src": { "method": "x509_svid" } },
    })
}

fn one_algorithm(table: &mut Table, algorithm: Algorithm) {
    let name = algorithm.name();
    let message = claims().to_string();
    let nonce = Cell::new(0);
    let dayfly = MintBench::new(algorithm, NOW);

    let mut suite = Suite::default();
    suite.add("dayfly", || {
        nonce.set(nonce.get() + 1);
        dayfly.mint(nonce.get());
    });
    let pkcs8 = match algorithm {
        Algorithm::Es256 => es256(&mut suite, &message),
        Algorithm::EdDsa => ed25519(&mut suite, &message),
    };
    add_jsonwebtoken(&mut suite, algorithm, &pkcs8);
    add_josekit(&mut suite, algorithm, &pkcs8);
    let medians = suite.run();

    let floor = medians.nanoseconds("bare");
    let target = match algorithm {
        Algorithm::Es256 => Target::AtMost(TARGET),
        Algorithm::EdDsa => Target::None,
    };
    for (subject, target) in [
        ("bare", Target::None),
        ("bare, pure Rust", Target::None),
        ("dayfly", target),
        ("jsonwebtoken", Target::None),
        ("josekit", Target::None),
    ] {
        table.row(
            &format!("{name} {subject}"),
            medians.nanoseconds(subject),
            floor,
            target,
        );
    }
}

/// Adds the bare signatures; the key as PKCS#8 for the peers.
fn es256<'a>(suite: &mut Suite<'a>, message: &'a str) -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let pkcs8 = key.to_pkcs8v1().unwrap().as_ref().to_vec();
    let random = SystemRandom::new();
    suite.add("bare", move || {
        key.sign(&random, message.as_bytes()).unwrap()
    });
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    suite.add("bare, pure Rust", move || -> p256::ecdsa::Signature {
        key.sign(message.as_bytes())
    });
    pkcs8
}

fn ed25519<'a>(suite: &mut Suite<'a>, message: &'a str) -> Vec<u8> {
    let key = Ed25519KeyPair::generate().unwrap();
    assert_eq!(key.public_key().as_ref().len(), 32);
    let pkcs8 = key.to_pkcs8v1().unwrap().as_ref().to_vec();
    suite.add("bare", move || key.sign(message.as_bytes()));
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    suite.add("bare, pure Rust", move || key.sign(message.as_bytes()));
    pkcs8
}

fn add_jsonwebtoken(suite: &mut Suite<'_>, algorithm: Algorithm, pkcs8: &[u8]) {
    let (key, algorithm) = match algorithm {
        Algorithm::Es256 => (
            jsonwebtoken::EncodingKey::from_ec_der(pkcs8),
            jsonwebtoken::Algorithm::ES256,
        ),
        Algorithm::EdDsa => (
            jsonwebtoken::EncodingKey::from_ed_der(pkcs8),
            jsonwebtoken::Algorithm::EdDSA,
        ),
    };
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned());
    let claims = claims();
    suite.add("jsonwebtoken", move || {
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    });
}

fn add_josekit(suite: &mut Suite<'_>, algorithm: Algorithm, pkcs8: &[u8]) {
    let signer: Box<dyn JwsSigner> = match algorithm {
        Algorithm::Es256 => Box::new(josekit::jws::ES256.signer_from_der(pkcs8).unwrap()),
        Algorithm::EdDsa => Box::new(josekit::jws::EdDSA.signer_from_der(pkcs8).unwrap()),
    };
    let mut header = JwsHeader::new();
    header.set_token_type("at+jwt");
    header.set_key_id("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let claims = claims();
    suite.add("josekit", move || {
        let payload = serde_json::to_vec(&claims).unwrap();
        josekit::jws::serialize_compact(&payload, &header, &*signer).unwrap()
    });
}
