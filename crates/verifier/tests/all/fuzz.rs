//! The corpus of the fuzz targets, replayed. `DAYFLY_BLESS=1` writes the seeds anew; what fuzzing finds is added to them.

#[path = "../../../../tests/fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use dayfly_token::CertificateClaims;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::{DpopKey, TestAuthority};
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, ISSUER, NOW};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 6] = [
    ("certificate", targets::certificate),
    ("dpop", targets::dpop),
    ("feed", targets::feed),
    ("json", targets::json),
    ("jwks", targets::jwks),
    ("token", targets::token),
];

/// Fewer would be a corpus that was lost.
const FEWEST_SEEDS: usize = 6;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fuzz/corpus"
    ))
    .join(target)
}

#[test]
fn the_corpus_passes() {
    if std::env::var_os("DAYFLY_BLESS").is_some() {
        write_seeds();
    }
    for (name, target) in TARGETS {
        let folder = corpus(name);
        let files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(files.len() >= FEWEST_SEEDS, "{}", folder.display());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let ran = std::panic::catch_unwind(|| target(&bytes));
            assert!(ran.is_ok(), "{}", file.display());
        }
    }
}

fn write_seeds() {
    let authority = TestAuthority::from_seed(ISSUER, [7; 32]).unwrap();
    for (target, seeds) in [
        ("certificate", certificates()),
        ("dpop", proofs(&authority)),
        ("feed", statements(&authority)),
        ("json", documents(&authority)),
        ("jwks", key_sets(&authority)),
        ("token", tokens(&authority)),
    ] {
        let folder = corpus(target);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
        }
    }
}

fn payload(authority: &TestAuthority) -> Value {
    Value::Object(authority.token(AUDIENCE).payload(NOW))
}

/// Tokens, and `header NUL payload` to be signed.
fn tokens(authority: &TestAuthority) -> Vec<Vec<u8>> {
    let good = authority.token(AUDIENCE).mint(NOW).unwrap();
    let header = authority.header();
    let mut seeds = vec![
        good.clone().into_bytes(),
        good.replace('.', "..").into_bytes(),
        br#"{"payload":"e30","protected":"e30","signature":"AAAA"}"#.to_vec(),
    ];
    let with = |name: &str, value: Value| {
        let mut payload = payload(authority);
        payload[name] = value;
        payload.to_string()
    };
    let digest = "A".repeat(43);
    for payload in [
        payload(authority).to_string(),
        with("aud", json!([AUDIENCE, "https://other.internal"])),
        with("exp", json!(1e300)),
        with("nbf", json!("1")),
        with("scope", json!("a b c")),
        with("cnf", json!({ "x5t#S256": digest })),
        with("cnf", json!({ "spiffe_id": "spiffe://td/a/b" })),
        with("act", json!({ "sub": "a", "act": { "sub": "b" } })),
        with(
            "authorization_details",
            json!([{ "type": "t", "actions": [] }]),
        ),
        with("dfy", json!({ "rule": "r", "env": "e", "anc": ["a", "b"] })),
        payload(authority)
            .to_string()
            .replacen('{', "{\"iss\":1,", 1),
    ] {
        seeds.push([b"\0", payload.as_bytes()].concat());
    }
    for (name, value) in [
        ("typ", "\"application/at+jwt\""),
        ("crit", "[\"exp\"]"),
        ("jwk", "{}"),
        ("zip", "\"DEF\""),
    ] {
        let mut header: Value = serde_json::from_str(&header).unwrap();
        header[name] = serde_json::from_str(value).unwrap();
        let payload = payload(authority).to_string();
        seeds.push([header.to_string().as_bytes(), b"\0", payload.as_bytes()].concat());
    }
    seeds
}

fn statements(authority: &TestAuthority) -> Vec<Vec<u8>> {
    let entry = Entry {
        prefix: prefix(Kind::Task, "tests/task"),
        before: NOW,
        until: FOREVER,
    };
    let mut seeds = vec![
        authority.snapshot("2-0", vec![entry], NOW).unwrap(),
        authority.statement("1-0", "2-0", vec![entry], NOW).unwrap(),
        json!({
            "trust": authority.feed_keys().to_jwks(), "jwks": authority.keys().to_jwks(),
            "snapshot": authority.snapshot("2-0", vec![entry], NOW).unwrap(),
        })
        .to_string(),
    ];
    let statement = |member: &str, value: Value| {
        let mut statement = json!({
            "iss": ISSUER, "epoch": "e1", "from": "1-0", "to": "2-0", "as_of": NOW, "exp": NOW.saturating_add(60),
            "entries": [entry],
        });
        statement[member] = value;
        statement.to_string()
    };
    seeds.extend([
        statement("snapshot", json!(true)),
        statement("keys_changed", json!(true)),
        statement("epoch", json!("e2")),
        statement("from", json!("9-0")),
        statement("as_of", json!(NOW.saturating_add(3600))),
        statement("iss", json!("https://other.example")),
        statement("entries", json!([])),
    ]);
    seeds.into_iter().map(String::into_bytes).collect()
}

fn documents(authority: &TestAuthority) -> Vec<Vec<u8>> {
    [
        payload(authority).to_string().as_str(),
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"#,
        r#"{"a":[1e400,-0,1.5E-3,18446744073709551616,true,null]}"#,
        r#"{"\ud83d\ude00":"\ud83d"}"#,
        r#"{"$serde_json::private::RawValue":"{}"}"#,
        " {\t\"a\" :\n[ ] } ",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn key_sets(authority: &TestAuthority) -> Vec<Vec<u8>> {
    let key = json!(authority.token_key().jwk());
    let with = |member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        key
    };
    [
        json!({ "keys": [key] }),
        json!({ "keys": [key, authority.feed_keys().to_jwks().keys[0]] }),
        json!({ "keys": [key, key] }),
        json!({ "keys": [with("use", json!("enc")), with("kid", json!("another"))] }),
        json!({ "keys": [with("d", json!("AAAA"))] }),
        json!({ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "r" }, { "kty": "oct", "k": "AAAA" }] }),
        json!({ "keys": [] }),
    ]
    .map(|set| set.to_string().into_bytes())
    .to_vec()
}

/// Certificates, contents of the private extension, bundles.
fn certificates() -> Vec<Vec<u8>> {
    let mut seeds = crate::pki::specimens();
    let ca = base64::engine::general_purpose::STANDARD.encode(&seeds[0]);
    let key = |certificate: &str| json!({ "use": "x509-svid", "kty": "EC", "x5c": [certificate] });
    let leaf = base64::engine::general_purpose::STANDARD.encode(&seeds[8]);
    for bundle in [
        json!({ "keys": [key(&ca), { "use": "jwt-svid", "kty": "EC", "kid": "k" }], "spiffe_sequence": 1 }),
        json!({ "keys": [], "spiffe_refresh_hint": 60 }),
        json!({ "keys": [key(&leaf)] }),
        json!({ "keys": [{ "use": "x509-svid", "kty": "EC", "x5c": [ca, ca] }] }),
    ] {
        seeds.push(bundle.to_string().into_bytes());
    }
    let pem = format!("-----BEGIN CERTIFICATE-----\n{ca}\n-----END CERTIFICATE-----\n");
    seeds.push(pem.into_bytes());
    let claims: CertificateClaims = serde_json::from_value(json!({
        "iat": NOW, "txn": "tests/task", "dfy": { "rule": "r", "env": "e", "anc": ["a", "b"], "src": { "a": 1.5 } },
    }))
    .unwrap();
    let der = claims.to_der();
    seeds.push([&der[..], b"x"].concat());
    seeds.push([b"\x0c\x82\x00", &der[1..]].concat());
    seeds.push(der);
    seeds
}

/// Proofs that are good for another key or another token, and `header NUL payload` to be signed.
fn proofs(authority: &TestAuthority) -> Vec<Vec<u8>> {
    let uri = "https://orders.internal/orders/7";
    let (key, other) = (
        DpopKey::from_seed([5; 32]).unwrap(),
        DpopKey::from_seed([6; 32]).unwrap(),
    );
    let token = authority.token(AUDIENCE).bound_to(&key.confirmation());
    let token = token.mint(NOW).unwrap();
    let payload = |name: &str, value: Value| {
        let proof = key.proof("GET", uri, &token).claim(name, value);
        Value::Object(proof.payload(NOW)).to_string()
    };
    let mut seeds = vec![
        other
            .proof("GET", uri, &token)
            .sign(NOW)
            .unwrap()
            .into_bytes(),
        key.proof("GET", uri, "another")
            .sign(NOW)
            .unwrap()
            .into_bytes(),
    ];
    for payload in [
        payload("jti", json!("a")),
        payload("jti", json!("")),
        payload("htm", json!("get")),
        payload(
            "htu",
            json!("HTTPS://Orders.internal:443/a/../%6frders/./7?x#y"),
        ),
        payload(
            "htu",
            json!("https://orders.internal@evil.example/orders/7"),
        ),
        payload("iat", json!(NOW.saturating_sub(61))),
        payload("nbf", json!(NOW)),
        payload("exp", json!(null)),
        payload("nonce", json!("n")),
        payload("jti", json!("a")).replacen('{', "{\"htm\":\"GET\",", 1),
    ] {
        seeds.push([b"\0", payload.as_bytes()].concat());
    }
    let jwk = json!(key.signing_key().jwk());
    for header in [
        json!({ "alg": "Ed25519", "typ": "dpop+jwt", "jwk": jwk }),
        json!({ "alg": "EdDSA", "typ": "jwt", "jwk": jwk }),
        json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": other.signing_key().jwk() }),
        json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk, "crit": ["jwk"] }),
    ] {
        let payload = payload("jti", json!("a"));
        seeds.push([header.to_string().as_bytes(), b"\0", payload.as_bytes()].concat());
    }
    seeds
}
