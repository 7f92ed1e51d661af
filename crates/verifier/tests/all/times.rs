//! Times, exact at the edges.

use dayfly_keys::Algorithm;
use dayfly_verifier::{
    Presented, RejectionCode as Code, RevocationSource, UnixTime, UnverifiedToken, Verifier,
};
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, Bench, NOW};

fn verifier(bench: &Bench, leeway: u64, lifetime: u64) -> Verifier {
    let builder = bench
        .authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::None);
    builder
        .leeway_secs(leeway)
        .max_lifetime_secs(lifetime)
        .build()
        .unwrap()
}

fn at(verifier: &Verifier, token: &str, now: UnixTime) -> Result<(), Code> {
    let verified = verifier.verify(UnverifiedToken::new(token), &Presented::NOTHING, now);
    verified.map(drop).map_err(|rejection| rejection.code())
}

#[test]
fn expiry() {
    let bench = Bench::new(Algorithm::EdDsa);
    let token = bench
        .authority
        .token(AUDIENCE)
        .ttl_secs(300)
        .mint(NOW)
        .unwrap();
    for leeway in [0, 1, 30, 60] {
        let verifier = verifier(&bench, leeway, 3600);
        let end = NOW.saturating_add(300 + leeway);
        assert_eq!(at(&verifier, &token, end.saturating_sub(1)), Ok(()));
        // RFC 7519 section 4.1.4: "on or after" is too late.
        assert_eq!(at(&verifier, &token, end), Err(Code::Expired));
        assert_eq!(at(&verifier, &token, UnixTime::MAX), Err(Code::Expired));
    }
}

#[test]
fn beginning() {
    let bench = Bench::new(Algorithm::EdDsa);
    for leeway in [0, 1, 30, 60] {
        let verifier = verifier(&bench, leeway, 3600);
        let begin = NOW.saturating_sub(leeway);
        let issued = bench.authority.token(AUDIENCE).mint(NOW).unwrap();
        let begins = bench
            .authority
            .token(AUDIENCE)
            .claim("nbf", json!(NOW))
            .claim("iat", json!(NOW.saturating_sub(100)))
            .mint(NOW)
            .unwrap();
        for token in [issued, begins] {
            assert_eq!(at(&verifier, &token, begin), Ok(()));
            assert_eq!(
                at(&verifier, &token, begin.saturating_sub(1)),
                Err(Code::NotYetValid)
            );
            assert_eq!(
                at(&verifier, &token, UnixTime::EPOCH),
                Err(Code::NotYetValid)
            );
        }
    }
}

#[test]
fn default_leeway_is_thirty_seconds() {
    let bench = Bench::new(Algorithm::EdDsa);
    let token = bench
        .authority
        .token(AUDIENCE)
        .ttl_secs(300)
        .mint(NOW)
        .unwrap();
    assert_eq!(at(&bench.verifier, &token, NOW.saturating_add(329)), Ok(()));
    assert_eq!(
        at(&bench.verifier, &token, NOW.saturating_add(330)),
        Err(Code::Expired)
    );
}

#[test]
fn lifetime() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = verifier(&bench, 30, 900);
    let token = |ttl| {
        bench
            .authority
            .token(AUDIENCE)
            .ttl_secs(ttl)
            .mint(NOW)
            .unwrap()
    };
    assert_eq!(at(&verifier, &token(900), NOW), Ok(()));
    assert_eq!(at(&verifier, &token(901), NOW), Err(Code::LifetimeTooLong));
    assert_eq!(at(&verifier, &token(1), NOW), Ok(()));
    for ttl in [0_u64, 1_000_000_000] {
        assert!(at(&verifier, &token(ttl), NOW).is_err());
    }
    let backwards = bench
        .authority
        .token(AUDIENCE)
        .claim("exp", json!(NOW.saturating_sub(5)))
        .mint(NOW)
        .unwrap();
    assert_eq!(at(&verifier, &backwards, NOW), Err(Code::BadClaim));
    // The issuer's own limit narrows, and never widens.
    verifier.set_max_lifetime(300);
    assert_eq!(at(&verifier, &token(301), NOW), Err(Code::LifetimeTooLong));
    assert_eq!(at(&verifier, &token(300), NOW), Ok(()));
    verifier.set_max_lifetime(1_000_000);
    assert_eq!(verifier.max_lifetime_secs(), 900);
    assert_eq!(at(&verifier, &token(901), NOW), Err(Code::LifetimeTooLong));
}

#[test]
fn instants_are_whole_seconds() {
    let bench = Bench::new(Algorithm::EdDsa);
    for claim in ["iat", "exp", "nbf"] {
        for value in [
            json!("1800000100"),
            json!(true),
            json!(null),
            json!([1_800_000_100]),
            json!({}),
            json!(1_800_000_100.5),
            json!(-1),
            json!(u64::MAX),
            json!(1_u64 << 53),
            json!("never"),
            json!(""),
        ] {
            bench.refuses(&bench.with_claim(claim, value), Code::BadClaim);
        }
        // Numbers that serde_json cannot even write: too large, and a float of an integral value.
        let payload = json!(bench.payload()).to_string();
        for (number, code) in [
            ("1e400", Code::BadJson),
            ("-1e400", Code::BadJson),
            ("1.8e9", Code::BadClaim),
            ("99999999999999999999", Code::BadClaim),
            ("0x7f", Code::BadJson),
            ("NaN", Code::BadJson),
        ] {
            let mut payload: serde_json::Map<String, Value> =
                serde_json::from_str(&payload).unwrap();
            payload.insert(claim.to_owned(), json!("@"));
            bench.refuses(
                &bench.signed(&json!(payload).to_string().replace("\"@\"", number)),
                code,
            );
        }
    }
    // Milliseconds in the place of seconds lie in the far future.
    bench.refuses(
        &bench.with_claim("exp", json!(NOW.as_secs() * 1000)),
        Code::LifetimeTooLong,
    );
    bench.refuses(
        &bench.with_claim("iat", json!(NOW.as_secs() * 1000)),
        Code::NotYetValid,
    );
}
