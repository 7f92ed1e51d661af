//! Several issuers in one verifier: nothing crosses, and everything changes while requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::assemble;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::feed::{FeedState, Outcome};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    BuildError, Freshness, MAX_ISSUERS, Presented, RejectionCode as Code, RevocationSource,
    TooManyIssuers, UnverifiedToken, Verified, Verifier, Verifiers,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::fixture::{AUDIENCE, NOW};

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn authority(issuer: &str, seed: u8) -> TestAuthority {
    TestAuthority::from_seed(issuer, [seed; 32]).unwrap()
}

fn verifier(authority: &TestAuthority) -> Verifier {
    let builder = authority.verifier(AUDIENCE);
    builder.revocation(RevocationSource::None).build().unwrap()
}

fn set(authorities: &[&TestAuthority]) -> Verifiers {
    let verifiers = Verifiers::new();
    for authority in authorities {
        assert!(verifiers.insert(verifier(authority)).unwrap().is_none());
    }
    verifiers
}

fn verify(verifiers: &Verifiers, token: &str) -> Result<Verified, Code> {
    verifiers
        .verify(UnverifiedToken::new(token), &Presented::NOTHING, NOW)
        .map_err(|rejection| rejection.code())
}

fn good(authority: &TestAuthority) -> String {
    authority.token(AUDIENCE).mint(NOW).unwrap()
}

#[test]
fn each_token_goes_to_its_issuer() {
    let (a, b) = (authority(A, 1), authority(B, 2));
    let verifiers = set(&[&a, &b]);
    for authority in [&a, &b] {
        let verified = verify(&verifiers, &good(authority)).unwrap();
        assert_eq!(verified.issuer(), authority.issuer());
    }
    assert_eq!(
        verify(&verifiers, &good(&authority("https://c.example", 3))).unwrap_err(),
        Code::WrongIssuer
    );
}

/// Both issuers use the id of the same key, as it may happen with opaque ids; the keys differ.
#[test]
fn keys_never_cross() {
    let key = |seed| SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new([seed; 32])).unwrap();
    let (a, b) = (
        TestAuthority::with_key(A, key(1)).unwrap(),
        TestAuthority::with_key(B, key(2)).unwrap(),
    );
    let verifiers = set(&[&a, &b]);
    let named = |key: &SigningKey| {
        let mut jwk = json!(key.verifying_key().jwk());
        jwk["kid"] = json!("same");
        dayfly_verifier::KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
    };
    for authority in [&a, &b] {
        let one = verifiers.get(authority.issuer()).unwrap();
        one.replace_keys(named(authority.token_key()));
    }
    let signed = |signer: &TestAuthority, issuer: &str| {
        let payload = signer
            .token(AUDIENCE)
            .claim("iss", json!(issuer))
            .payload(NOW);
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "same" });
        signer
            .sign(&header.to_string(), &Value::Object(payload).to_string())
            .unwrap()
    };
    assert!(verify(&verifiers, &signed(&a, A)).is_ok());
    assert!(verify(&verifiers, &signed(&b, B)).is_ok());
    // A token of B by the key of A, and one that B signs in the name of A.
    for (signer, issuer) in [(&a, B), (&b, A)] {
        assert_eq!(
            verify(&verifiers, &signed(signer, issuer)).unwrap_err(),
            Code::BadSignature,
            "{issuer}"
        );
    }
    // Under ids of their own the key is not even known there.
    let verifiers = set(&[&a, &b]);
    let foreign = a.token(AUDIENCE).claim("iss", json!(B)).mint(NOW).unwrap();
    assert_eq!(verify(&verifiers, &foreign).unwrap_err(), Code::UnknownKid);
    assert!(verify(&verifiers, &good(&a)).is_ok());
}

/// Even where both issuers share a key, by mistake or in one hand, the names and the revocations do not cross.
#[test]
fn one_key_in_two_hands_is_two_keys() {
    let (a, b) = (authority(A, 1), authority(B, 1));
    let verifiers = set(&[&a, &b]);
    let revoked = Entry {
        prefix: prefix(Kind::Credential, "QAAAAAAAAAAAAAAAAAAAAA"),
        before: FOREVER,
        until: NOW.saturating_add(900),
    };
    assert!(verify(&verifiers, &good(&a)).is_ok() && verify(&verifiers, &good(&b)).is_ok());
    let of_a = verifiers.get(A).unwrap();
    of_a.revocations().merge(&[revoked], NOW);
    assert_eq!(verify(&verifiers, &good(&a)).unwrap_err(), Code::Revoked);
    assert!(
        verify(&verifiers, &good(&b)).is_ok(),
        "the same id, and the revocation is the other issuer's"
    );
}

#[test]
fn a_feed_speaks_for_its_issuer_alone() {
    let (a, b) = (authority(A, 1), authority(B, 2));
    let verifiers = Verifiers::new();
    for authority in [&a, &b] {
        let builder = authority.verifier(AUDIENCE);
        let one = builder.revocation(RevocationSource::Follow).build();
        verifiers.insert(one.unwrap()).unwrap();
    }
    let feed_of = |trusted: &TestAuthority, issuer: &str| {
        let revocations = Arc::clone(verifiers.get(issuer).unwrap().revocations());
        FeedState::new(issuer.to_owned(), trusted.feed_keys(), revocations)
    };
    let owner = Entry {
        prefix: prefix(Kind::Owner, "tests"),
        before: FOREVER,
        until: NOW.saturating_add(900),
    };
    let heard = a.snapshot("1-0", vec![owner], NOW).unwrap();
    // B's follower believes nothing of A, not even with A's keys among its trust.
    assert!(matches!(
        feed_of(&b, B).apply(&heard, NOW),
        Outcome::UnknownKey { .. }
    ));
    assert!(matches!(
        feed_of(&a, B).apply(&heard, NOW),
        Outcome::Refused(_)
    ));
    assert!(matches!(
        feed_of(&a, A).apply(&heard, NOW),
        Outcome::Applied { .. }
    ));
    assert_eq!(verify(&verifiers, &good(&a)).unwrap_err(), Code::Revoked);
    // Each issuer has a freshness of its own: B was never heard.
    assert_eq!(
        verify(&verifiers, &good(&b)).unwrap_err(),
        Code::RevocationStale
    );
    let beat = b.snapshot("1-0", vec![], NOW).unwrap();
    feed_of(&b, B).apply(&beat, NOW);
    assert_eq!(
        verify(&verifiers, &good(&b)).unwrap().freshness(),
        Freshness::Fresh
    );
}

/// What is read to choose decides nothing: whoever is chosen compares `iss` again.
#[test]
fn choosing_is_strict_and_bounded() {
    let (a, b) = (authority(A, 1), authority(B, 2));
    let (several, one) = (set(&[&a, &b]), set(&[&a]));
    let signed = |payload: &str| a.sign(&a.header(), payload).unwrap();
    let claims = Value::Object(a.token(AUDIENCE).payload(NOW)).to_string();
    let with = |iss: &str| claims.replace(&format!("\"iss\":\"{A}\""), iss);
    assert!(verify(&several, &signed(&claims)).is_ok());
    for (token, code) in [
        (
            signed(&with(&format!("\"iss\":\"{A}/\""))),
            Code::WrongIssuer,
        ),
        (
            signed(&with("\"iss\":\"HTTPS://a.example\"")),
            Code::WrongIssuer,
        ),
        (signed(&with("\"iss\":\"\"")), Code::WrongIssuer),
        (signed(&with(&format!("\"iss\":[\"{A}\"]"))), Code::BadClaim),
        (signed(&with("\"iss\":null")), Code::BadClaim),
        (signed(&with("\"iss\":7")), Code::BadClaim),
        (signed(&with("\"x\":\"y\"")), Code::MissingClaim),
        (
            signed(&with(&format!("\"iss\":\"{B}\",\"iss\":\"{A}\""))),
            Code::BadJson,
        ),
        (
            signed(&with(&format!("\"iss\":\"{A}\",\"\\u0069ss\":\"{B}\""))),
            Code::BadJson,
        ),
        (signed(&format!("[{claims}]")), Code::BadJson),
        (signed(&format!("{claims}{claims}")), Code::BadJson),
        (signed("{"), Code::BadJson),
        (assemble(b"{}", claims.as_bytes()), Code::Malformed),
        (String::new(), Code::Malformed),
        ("a.b.c".repeat(16 * 1024), Code::TooLarge),
    ] {
        assert_eq!(verify(&several, &token).unwrap_err(), code, "{token:.60}");
        assert!(verify(&one, &token).is_err());
    }
    // The same name in another spelling of JSON is the same name.
    let escaped = with(&format!("\"iss\":\"{}\"", A.replace('a', "\\u0061")));
    assert!(verify(&several, &signed(&escaped)).is_ok());
}

#[test]
fn a_set_of_one_and_of_none() {
    let (a, b) = (authority(A, 1), authority(B, 2));
    assert_eq!(
        verify(&Verifiers::new(), &good(&a)).unwrap_err(),
        Code::WrongIssuer
    );
    let one = Verifiers::from(verifier(&a));
    assert!(verify(&one, &good(&a)).is_ok());
    let named_b = a.token(AUDIENCE).claim("iss", json!(B)).mint(NOW).unwrap();
    assert_eq!(verify(&one, &named_b).unwrap_err(), Code::WrongIssuer);
    assert_eq!(verify(&one, &good(&b)).unwrap_err(), Code::UnknownKid);
    // A set that grows later chooses as well, and its clones with it.
    let clone = one.clone();
    one.insert(verifier(&b)).unwrap();
    assert!(verify(&clone, &good(&b)).is_ok() && verify(&clone, &good(&a)).is_ok());
    assert_eq!(format!("{clone:?}"), format!("{{\"{A}\", \"{B}\"}}"));
}

#[test]
fn a_set_is_bounded() {
    let verifiers = Verifiers::new();
    let named = |number: usize| verifier(&authority(&format!("https://{number}.example"), 1));
    for number in 0..MAX_ISSUERS {
        verifiers.insert(named(number)).unwrap();
    }
    assert_eq!(
        verifiers.insert(named(MAX_ISSUERS)).unwrap_err(),
        TooManyIssuers
    );
    assert!(
        verifiers.insert(named(0)).unwrap().is_some(),
        "one in the place of another"
    );
    assert!(verifiers.remove("https://0.example").is_some());
    assert!(verifiers.remove("https://0.example").is_none());
    verifiers.insert(named(MAX_ISSUERS)).unwrap();
    assert_eq!(verifiers.all().len(), MAX_ISSUERS);
}

#[test]
fn audiences_change_at_once() {
    let a = authority(A, 1);
    let one = verifier(&a);
    let verifiers = Verifiers::from(&one);
    let of = |audience: &str| a.token(audience).mint(NOW).unwrap();
    assert!(verify(&verifiers, &of(AUDIENCE)).is_ok());
    one.replace_audiences(["https://new.internal", "https://newer.internal"])
        .unwrap();
    for audience in ["https://new.internal", "https://newer.internal"] {
        assert!(verify(&verifiers, &of(audience)).is_ok());
    }
    assert_eq!(
        verify(&verifiers, &of(AUDIENCE)).unwrap_err(),
        Code::WrongAudience
    );
    assert_eq!(
        one.replace_audiences(Vec::<String>::new()),
        Err(BuildError::AudienceMissing)
    );
    assert_eq!(
        one.replace_audiences([AUDIENCE, ""]),
        Err(BuildError::AudienceEmpty)
    );
    assert!(verify(&verifiers, &of("https://new.internal")).is_ok());
    // It narrows a verifier of any audience as well.
    let any = a.verifier(AUDIENCE).danger_any_audience();
    let any = any.revocation(RevocationSource::None).build().unwrap();
    assert!(verify(&(&any).into(), &of("https://any.internal")).is_ok());
    any.replace_audiences([AUDIENCE]).unwrap();
    assert!(verify(&(&any).into(), &of("https://any.internal")).is_err());
}

/// Issuers, keys and audiences change as fast as they can, and not one request of an issuer that stays is refused.
#[test]
fn changes_drop_no_request() {
    let (a, b) = (authority(A, 1), authority(B, 2));
    let verifiers = set(&[&a, &b]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (verifiers, stop, a, b) = (&verifiers, &stop, &a, &b);
        scope.spawn(move || {
            let of_a = verifiers.get(A).unwrap();
            while !stop.load(Ordering::Relaxed) {
                verifiers.remove(B);
                of_a.replace_keys(a.keys());
                of_a.replace_audiences([AUDIENCE, "https://other.internal"])
                    .unwrap();
                verifiers.insert(verifier(b)).unwrap();
                verifiers.insert(of_a.clone()).unwrap();
            }
        });
        let (of_a, of_b) = (good(a), good(b));
        let (mut accepted, mut refused, mut asked) = (0, 0, 0);
        // Long enough that the other thread had its turns.
        while asked < 3000 || ((accepted == 0 || refused == 0) && asked < 10_000_000) {
            asked += 1;
            verify(verifiers, &of_a).unwrap();
            match verify(verifiers, &of_b) {
                Ok(_) => accepted += 1,
                // With A alone in the set its verifier is asked, and does not know the key.
                Err(code) => {
                    assert!(
                        [Code::WrongIssuer, Code::UnknownKid].contains(&code),
                        "{code}"
                    );
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(
            accepted > 0 && refused > 0,
            "{accepted} accepted, {refused} refused"
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Among several issuers a token is accepted iff the verifier of the issuer that signed it accepts it alone.
    #[test]
    fn a_set_accepts_what_one_of_it_accepts(signer in 0..3_usize, named in 0..3_usize, audience in any::<bool>(), late in any::<bool>()) {
        let all = [authority(A, 1), authority(B, 2), authority("https://c.example", 3)];
        let verifiers = set(&[&all[0], &all[1]]);
        let token = all[signer]
            .token(if audience { AUDIENCE } else { "https://other.internal" })
            .claim("iss", json!(all[named].issuer()))
            .mint(if late { NOW.saturating_sub(4000) } else { NOW })
            .unwrap();
        let alone = verifiers.all().iter().any(|one| verify(&one.into(), &token).is_ok());
        prop_assert_eq!(verify(&verifiers, &token).is_ok(), alone);
        prop_assert_eq!(alone, signer == named && signer < 2 && audience && !late);
    }
}

#[tokio::test]
async fn the_layer_takes_a_set_and_follows_its_changes() {
    use axum::{Router, body::Body, routing};
    use dayfly_verifier::axum::Caller;
    use http::{Request, StatusCode, header::AUTHORIZATION};
    use tower::ServiceExt as _;

    let (a, b) = (authority(A, 1), authority(B, 2));
    let verifiers = set(&[&a]);
    let api = Router::new()
        .route(
            "/",
            routing::get(async |Caller(caller): Caller| caller.issuer().to_owned()),
        )
        .layer(verifiers.layer().clock(|| NOW));
    let status = async |authority: &TestAuthority| {
        let request =
            Request::get("/").header(AUTHORIZATION, format!("Bearer {}", good(authority)));
        let request = request.body(Body::empty()).unwrap();
        api.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(
        (status(&a).await, status(&b).await),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    verifiers.insert(verifier(&b)).unwrap();
    assert_eq!(
        (status(&a).await, status(&b).await),
        (StatusCode::OK, StatusCode::OK)
    );
    verifiers.remove(A);
    assert_eq!(
        (status(&a).await, status(&b).await),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );
    // A gate takes one verifier or a set.
    let _ = dayfly_verifier::tower::Gate::new(verifier(&a));
    let _ = dayfly_verifier::tower::Gate::new(verifiers);
}
