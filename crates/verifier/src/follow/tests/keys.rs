use std::time::Duration;

use dayfly_token::feed::Kind;
use http::StatusCode;
use serde_json::json;
use tokio::time::sleep;

use super::sts::{AUDIENCE, Sts, quick, until, verify};
use crate::RejectionCode;
use crate::follow::Timing;
use crate::testing::TestAuthority;

fn next(sts: &Sts, seed: u8) -> TestAuthority {
    TestAuthority::from_seed(sts.url(), [seed; 32]).unwrap()
}

fn token_of(authority: &TestAuthority) -> String {
    authority.token(AUDIENCE).mint(crate::rim::now()).unwrap()
}

#[tokio::test]
async fn an_unknown_key_id_is_fetched_and_a_flood_is_not() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let rotated = next(&sts, 7);
    let token = token_of(&rotated);
    assert_eq!(
        verify(&verifier, &token).unwrap_err(),
        RejectionCode::UnknownKid
    );
    let mut both = sts.authority.keys();
    both.insert(rotated.token_key().verifying_key().clone());
    sts.publish("/jwks", &json!(both.to_jwks()));
    until("the new key is known", || verify(&verifier, &token).is_ok()).await;
    assert!(verify(&verifier, &sts.token()).is_ok());

    let before = sts.asked("/jwks");
    let begun = tokio::time::Instant::now();
    for number in 0..10_000 {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": format!("made-up-{number}") })
            .to_string();
        let token = format!("{}.AAAA", dayfly_token::assemble(header.as_bytes(), b"{}"));
        assert_eq!(
            verify(&verifier, &token).unwrap_err(),
            RejectionCode::UnknownKid
        );
        if number % 100 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    sleep(quick().cooldown * 2).await;
    let allowed = begun.elapsed().as_millis() / quick().cooldown.as_millis() + 1;
    let fetched = sts.asked("/jwks") - before;
    assert!(
        fetched >= 1 && fetched as u128 <= allowed,
        "{fetched} fetches, {allowed} allowed"
    );
}

#[tokio::test]
async fn keys_are_refreshed_by_their_age_and_a_key_that_went_is_gone() {
    let sts = Sts::start().await;
    let age = Timing {
        default_max_age: Duration::from_millis(200),
        ..quick()
    };
    let verifier = sts.follower().timing(age).build().await.unwrap();
    assert!(verify(&verifier, &sts.token()).is_ok());
    let rotated = next(&sts, 7);
    sts.publish("/jwks", &json!(rotated.keys().to_jwks()));
    let old = sts.token();
    until("the old key is gone", || {
        verify(&verifier, &old).is_err_and(|code| code == RejectionCode::UnknownKid)
    })
    .await;
    assert!(verify(&verifier, &token_of(&rotated)).is_ok());
}

#[tokio::test]
async fn unchanged_keys_cost_a_304() {
    let sts = Sts::start().await;
    let keys = json!(sts.authority.keys().to_jwks()).to_string();
    sts.publish_answer(
        "/jwks",
        StatusCode::OK,
        &[("etag", "\"v1\"")],
        keys.as_bytes(),
    );
    let age = Timing {
        default_max_age: Duration::from_millis(150),
        ..quick()
    };
    let verifier = sts.follower().timing(age).build().await.unwrap();
    until("it was asked again", || sts.asked("304 /jwks") >= 3).await;
    assert!(verify(&verifier, &sts.token()).is_ok());
}

#[tokio::test]
async fn keys_outlive_an_issuer_that_is_away_but_not_for_ever() {
    let sts = Sts::start().await;
    let age = Timing {
        default_max_age: Duration::from_millis(100),
        keys_outlive: Duration::from_millis(1500),
        ..quick()
    };
    let verifier = sts.follower().timing(age).build().await.unwrap();
    let keys = json!(sts.authority.keys().to_jwks());
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "x"),
        (StatusCode::OK, "garbage"),
        (StatusCode::NOT_FOUND, ""),
    ] {
        sts.publish_answer("/jwks", status, &[], body.as_bytes());
        let asked = sts.asked("/jwks");
        until("it was asked again", || sts.asked("/jwks") > asked).await;
        assert!(verify(&verifier, &sts.token()).is_ok(), "{status}");
        sts.publish("/jwks", &keys);
        let asked = sts.asked("/jwks");
        until("it was asked again", || sts.asked("/jwks") > asked).await;
    }
    sts.publish_answer("/jwks", StatusCode::INTERNAL_SERVER_ERROR, &[], b"");
    let token = sts.token();
    until("the keys are dropped", || {
        verify(&verifier, &token).is_err_and(|code| code == RejectionCode::KeysUnavailable)
    })
    .await;
    sts.publish("/jwks", &keys);
    until("the keys are back", || {
        verify(&verifier, &sts.token()).is_ok()
    })
    .await;
}

/// A cache before the issuer that answers 200 with something else keeps a withdrawn key alive no longer than one that
/// answers nothing.
#[tokio::test]
async fn an_answer_that_is_refused_confirms_no_key() {
    let sts = Sts::start().await;
    let age = Timing {
        default_max_age: Duration::from_millis(100),
        keys_outlive: Duration::from_millis(500),
        ..quick()
    };
    let verifier = sts.follower().timing(age).build().await.unwrap();
    assert!(verify(&verifier, &sts.token()).is_ok());
    sts.publish_answer("/jwks", StatusCode::OK, &[], b"<html>be right back</html>");
    let token = sts.token();
    until("the keys are dropped", || {
        verify(&verifier, &token).is_err_and(|code| code == RejectionCode::KeysUnavailable)
    })
    .await;
}

#[tokio::test]
async fn a_raised_lifetime_is_learnt() {
    let sts = Sts::start().await;
    sts.publish_metadata(|metadata| metadata["dayfly_max_lifetime"] = json!(300));
    let verifier = sts.verifier().await;
    let long = || {
        sts.authority
            .token(AUDIENCE)
            .ttl_secs(900)
            .mint(crate::rim::now())
            .unwrap()
    };
    assert_eq!(
        verify(&verifier, &long()).unwrap_err(),
        RejectionCode::LifetimeTooLong
    );
    sts.publish_metadata(|metadata| metadata["dayfly_max_lifetime"] = json!(900));
    until("the new limit is known", || {
        verify(&verifier, &long()).is_ok()
    })
    .await;
}

#[tokio::test]
async fn the_feed_announces_changed_keys_and_taints_one() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let rotated = next(&sts, 7);
    sts.publish("/jwks", &json!(rotated.keys().to_jwks()));
    sleep(quick().cooldown).await;
    assert_eq!(sts.asked("/jwks"), 1);
    let kid = sts.authority.token_key().kid().to_owned();
    let mut statement = dayfly_token::feed::Statement {
        iss: sts.url().to_owned(),
        epoch: "e1".to_owned(),
        from: "1-0".to_owned(),
        to: "2-0".to_owned(),
        as_of: crate::rim::now(),
        exp: crate::rim::now().saturating_add(60),
        entries: super::sts::entries(&[(Kind::Key, &kid)]),
        keys_changed: true,
        snapshot: false,
    };
    sts.send(&sts.authority.sign_statement(&statement).unwrap());
    until("the announced key is known", || {
        verify(&verifier, &token_of(&rotated)).is_ok()
    })
    .await;
    // The tainted key stays dead, even if an old key set brings it back.
    sts.publish("/jwks", &json!(sts.authority.keys().to_jwks()));
    sleep(quick().cooldown).await;
    let asked = sts.asked("/jwks");
    (statement.from, statement.to) = ("2-0".to_owned(), "3-0".to_owned());
    sts.send(&sts.authority.sign_statement(&statement).unwrap());
    until("the keys were fetched", || {
        sts.asked("/jwks") > asked && verifier.keys().get(&kid).is_some()
    })
    .await;
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::Revoked
    );
}
