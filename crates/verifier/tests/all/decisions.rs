//! Each line of the manual's page of decisions, as tokens that are accepted and tokens that are refused.

use dayfly_keys::Algorithm;
use dayfly_verifier::{Presented, RejectionCode as Code, UnixTime, UnverifiedToken};
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

fn code_at(bench: &Bench, token: &str, now: UnixTime) -> Option<Code> {
    let token = UnverifiedToken::new(token);
    let verified = bench.verifier.verify(token, &Presented::NOTHING, now);
    verified.err().map(|rejection| rejection.code())
}

#[track_caller]
fn all(bench: &Bench, expected: Option<Code>, tokens: &[String]) {
    for token in tokens {
        assert_eq!(code_at(bench, token, NOW), expected, "{token}");
    }
}

/// The good claims with one of them written in these very letters.
fn raw(bench: &Bench, name: &str, value: &str) -> String {
    let mut payload = bench.payload();
    payload.insert(name.to_owned(), json!("a place"));
    let text = json!(payload).to_string();
    bench.signed(&text.replace("\"a place\"", value))
}

#[test]
fn headers() {
    let bench = Bench::new(Algorithm::EdDsa);
    let header = |name, value| bench.with_header(&[(name, value)]);
    let types = |types: &[&str]| -> Vec<String> {
        types.iter().map(|typ| header("typ", json!(typ))).collect()
    };
    all(
        &bench,
        None,
        &types(&["AT+JWT", "application/at+jwt", "Application/AT+jwt"]),
    );
    all(
        &bench,
        Some(Code::WrongType),
        &types(&["at+jwt; v=1", "at+jwt ", "JWT", ""]),
    );
    let algorithms = |names: &[&str]| -> Vec<String> {
        names.iter().map(|alg| header("alg", json!(alg))).collect()
    };
    all(&bench, None, &algorithms(&["EdDSA", "Ed25519"]));
    all(
        &bench,
        Some(Code::AlgMismatch),
        &algorithms(&["eddsa", "ed25519", "ES256"]),
    );
    let mut nameless = bench.header();
    nameless.remove("kid");
    let payload = json!(bench.payload()).to_string();
    let nameless = bench
        .authority
        .sign(&json!(nameless).to_string(), &payload)
        .unwrap();
    all(&bench, Some(Code::UnknownKid), &[nameless]);
    all(
        &bench,
        None,
        &[header("cty", json!("x")), header("x5t", json!(1))],
    );
    for name in ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"] {
        all(
            &bench,
            Some(Code::ForbiddenHeader),
            &[header(name, Value::Null), header(name, json!([]))],
        );
    }
}

#[test]
fn forms() {
    let bench = Bench::new(Algorithm::EdDsa);
    let spaced = serde_json::to_string_pretty(&bench.payload()).unwrap();
    all(&bench, None, &[bench.signed(&format!("\n{spaced}\t "))]);
    let good = bench.good();
    all(
        &bench,
        Some(Code::Malformed),
        &[
            format!("{good}\n"),
            format!(" {good}"),
            good.replacen('.', " .", 1),
        ],
    );
    all(
        &bench,
        Some(Code::BadJson),
        &[raw(&bench, "unread", r#"{"a":[{"b":1,"b":1}]}"#)],
    );
    all(
        &bench,
        None,
        &[
            raw(&bench, "unread", "null"),
            raw(&bench, "unread", r#"{"a":[{"b":1}]}"#),
        ],
    );
    for name in [
        "nbf",
        "scope",
        "txn",
        "cnf",
        "act",
        "dfy",
        "authorization_details",
    ] {
        all(
            &bench,
            Some(Code::BadClaim),
            &[bench.with_claim(name, Value::Null)],
        );
    }
}

#[test]
fn identities_and_audiences() {
    let bench = Bench::new(Algorithm::EdDsa);
    let claims = |name: &str, values: &[Value]| -> Vec<String> {
        values
            .iter()
            .map(|value| bench.with_claim(name, value.clone()))
            .collect()
    };
    let others = [
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER}:443")),
    ];
    all(&bench, Some(Code::WrongIssuer), &claims("iss", &others));
    all(
        &bench,
        None,
        &claims(
            "aud",
            &[
                json!([AUDIENCE]),
                json!(["https://other.internal", AUDIENCE]),
            ],
        ),
    );
    let odd = [
        json!([]),
        json!([AUDIENCE, ""]),
        json!([AUDIENCE, 1]),
        json!({ "a": AUDIENCE }),
    ];
    all(&bench, Some(Code::BadClaim), &claims("aud", &odd));
    for name in ["sub", "client_id", "jti", "txn"] {
        all(
            &bench,
            Some(Code::BadClaim),
            &claims(name, &[json!(""), json!("a\nb"), json!("a\u{85}b")]),
        );
    }
    all(
        &bench,
        None,
        &[bench.without_claim("txn"), bench.without_claim("dfy")],
    );
    all(
        &bench,
        None,
        &claims("scope", &[json!(""), json!("a"), json!("b a")]),
    );
    all(
        &bench,
        Some(Code::BadClaim),
        &claims(
            "scope",
            &[json!("a  b"), json!("a a"), json!(["a"]), json!(" ")],
        ),
    );
}

#[test]
fn times() {
    let bench = Bench::new(Algorithm::EdDsa);
    let good = bench.good();
    let end = NOW.saturating_add(300 + 30);
    assert_eq!(code_at(&bench, &good, end), Some(Code::Expired));
    assert_eq!(code_at(&bench, &good, end.saturating_sub(1)), None);
    for name in ["iat", "nbf"] {
        let at = |secs| bench.with_claim(name, json!(NOW.saturating_add(secs)));
        all(&bench, None, &[at(30)]);
        all(&bench, Some(Code::NotYetValid), &[at(31)]);
    }
    let backwards = |exp: u64| {
        let mut payload = bench.payload();
        payload.insert("iat".to_owned(), json!(NOW));
        payload.insert("exp".to_owned(), json!(exp));
        bench.signed(&json!(payload).to_string())
    };
    all(
        &bench,
        Some(Code::BadClaim),
        &[backwards(NOW.as_secs()), backwards(NOW.as_secs() - 1)],
    );
    all(&bench, None, &[backwards(NOW.as_secs() + 1)]);
    for name in ["iat", "nbf", "exp"] {
        for value in ["1800000000.0", "18e8", "\"1800000000\"", "-1", "true"] {
            all(&bench, Some(Code::BadClaim), &[raw(&bench, name, value)]);
        }
    }
}

#[test]
fn bindings_delegation_and_details() {
    let bench = Bench::new(Algorithm::EdDsa);
    let digest = "A".repeat(43);
    for cnf in [
        json!({ "x5t#S256": digest, "jkt": digest }),
        json!({ "kid": "a" }),
        json!({}),
        json!([]),
    ] {
        all(
            &bench,
            Some(Code::BadClaim),
            &[bench.with_claim("cnf", cnf)],
        );
    }
    let act = |depth: usize| {
        (1..depth).fold(
            json!({ "sub": "a" }),
            |act, _| json!({ "sub": "b", "act": act }),
        )
    };
    all(&bench, None, &[bench.with_claim("act", act(4))]);
    let odd = [act(5), json!("a"), json!([act(1)]), json!({ "iss": "a" })];
    for act in odd {
        all(
            &bench,
            Some(Code::BadClaim),
            &[bench.with_claim("act", act)],
        );
    }
    let details = |value| bench.with_claim("authorization_details", value);
    all(
        &bench,
        None,
        &[details(json!([])), details(json!([{ "type": "a" }]))],
    );
    for value in [
        json!([{ "actions": [] }]),
        json!({ "type": "a" }),
        json!(["a"]),
        json!([{ "type": 1 }]),
    ] {
        all(&bench, Some(Code::BadClaim), &[details(value)]);
    }
}
