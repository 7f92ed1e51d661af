//! The proof and the request that it came with: RFC 9449 section 4.3, numbers 8 to 12.

use dayfly_keys::Algorithm;
use dayfly_token::base64url;
use dayfly_verifier::dpop::{Policy, Presentation, WINDOW_SECS};
use dayfly_verifier::{Presented, RejectionCode as Code, UnixTime};
use serde_json::json;

use super::{Scene, URI, key};
use crate::fixture::{AUDIENCE, NOW};

/// Section 4.3 number 8.
#[test]
fn the_method() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    for htm in ["POST", "get", "Get", "GET ", "*", "GETX", "HEAD"] {
        scene.refuses(scene.proof().claim("htm", json!(htm)), &htm);
    }
}

/// Section 4.3 number 9.
#[test]
fn the_uri() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    for same in [
        URI,
        "HTTPS://ORDERS.internal/orders/7",
        "https://orders.internal:443/orders/7",
        "https://orders.internal:/orders/7",
        "https://orders.internal/%6Frders/7",
        "https://orders.internal/orders/7?query=1",
        "https://orders.internal/orders/7#fragment",
        "https://orders.internal/x/../orders/./7",
        "https://orders.internal/%2e%2e/orders/7",
    ] {
        assert_eq!(
            scene.told(scene.proof().claim("htu", json!(same))),
            Ok(()),
            "{same}"
        );
    }
    for other in [
        "",
        "/orders/7",
        "//orders.internal/orders/7",
        "http://orders.internal/orders/7",
        "https://orders.internal:8443/orders/7",
        "https://billing.internal/orders/7",
        "https://orders.internal.evil.example/orders/7",
        "https://orders.internal./orders/7",
        "https://orders.internal@evil.example/orders/7",
        "https://user@orders.internal/orders/7",
        "https://evil.example/https://orders.internal/orders/7",
        "https://orders.internal/orders/7/",
        "https://orders.internal/orders/7/..",
        "https://orders.internal//orders/7",
        "https://orders.internal/orders//7",
        "https://orders.internal/Orders/7",
        "https://orders.internal/orders/70",
        "https://orders.internal/orders%2F7",
        "https://orders.internal/orders/7%00",
        "https://orders.internal/orders/7%3F",
        "https://orders.internal?/orders/7",
        "https://orders.internal",
        "https://orders.internal/",
        "https://orders.internal/orders/7\\",
        " https://orders.internal/orders/7",
    ] {
        scene.refuses(scene.proof().claim("htu", json!(other)), &other);
    }
    // An empty path is the root.
    let root = |htu: &str, uri: &str| {
        let proof = scene.key.proof("GET", htu, &scene.token).sign(NOW).unwrap();
        let presented = Presented::proof(Presentation {
            proof: &proof,
            method: "GET",
            uri,
        });
        scene.verify(&scene.token, &presented, NOW)
    };
    assert_eq!(
        root("https://orders.internal", "https://orders.internal/"),
        Ok(())
    );
    assert_eq!(
        root("https://orders.internal/", "https://orders.internal"),
        Ok(())
    );
    // The request's own path has one meaning, or is refused: a router may see more in it than we do.
    for odd in [
        "https://orders.internal/x/../orders/7",
        "https://orders.internal/%2e/orders/7",
        "https://orders.internal/orders/7 ",
        "https://orders.internal/orders/%zz",
        "/orders/7",
        "",
    ] {
        assert_eq!(root(URI, odd), Err(Code::BadProof), "{odd}");
        assert_eq!(root(odd, odd), Err(Code::BadProof), "{odd}");
    }
}

/// Section 4.3 number 11.
#[test]
fn the_time() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let at = |now| scene.presents(&scene.token, &scene.proof().sign(NOW).unwrap(), now);
    // The token's own times are far enough from these.
    for now in [NOW.saturating_sub(29), NOW, NOW.saturating_add(WINDOW_SECS)] {
        assert_eq!(at(now), Ok(()), "{now}");
    }
    assert_eq!(at(NOW.saturating_add(WINDOW_SECS + 1)), Err(Code::BadProof));
    let made = |iat: UnixTime| scene.told(scene.proof().claim("iat", json!(iat)));
    assert_eq!(made(NOW.saturating_add(WINDOW_SECS)), Ok(()));
    assert_eq!(made(NOW.saturating_sub(WINDOW_SECS)), Ok(()));
    for iat in [
        NOW.saturating_add(WINDOW_SECS + 1),
        NOW.saturating_sub(WINDOW_SECS + 1),
        UnixTime::EPOCH,
        UnixTime::MAX,
    ] {
        assert_eq!(made(iat), Err(Code::BadProof), "{iat}");
    }
    // What a proof says about itself binds it.
    let past = NOW.saturating_sub(WINDOW_SECS);
    scene.refuses(scene.proof().claim("exp", json!(past)), &"exp");
    let edge = scene
        .proof()
        .claim("nbf", json!(NOW.saturating_add(WINDOW_SECS)));
    assert_eq!(scene.told(edge), Ok(()));
    let edge = scene.proof().claim("exp", json!(past.saturating_add(1)));
    assert_eq!(scene.told(edge), Ok(()));
    let future = NOW.saturating_add(WINDOW_SECS + 1);
    scene.refuses(scene.proof().claim("nbf", json!(future)), &"nbf");
    scene.refuses(scene.proof().claim("exp", json!("soon")), &"exp as text");
}

/// Section 4.3 number 12.
#[test]
fn the_token_and_its_key() {
    for scene in Scene::both() {
        assert_eq!(scene.told(scene.proof()), Ok(()));
        // A proof for another token of the same key.
        let token = scene
            .bench
            .authority
            .token(AUDIENCE)
            .id("BBBBBBBBBBBBBBBBBBBBBB");
        let second = token.bound_to(&scene.key.confirmation()).mint(NOW).unwrap();
        let for_second = scene.key.proof("GET", URI, &second);
        assert_eq!(scene.told(for_second), Err(Code::BadProof));
        // Another key, with a proof that is valid in itself.
        let other = key(scene.key.signing_key().algorithm(), 4);
        let by_other = other.proof("GET", URI, &scene.token);
        assert_eq!(scene.told(by_other), Err(Code::UnprovenConfirmation));
        // The key of the token in the header, and another one's signature.
        let stolen = other
            .proof("GET", URI, &scene.token)
            .header("jwk", json!(scene.key.signing_key().jwk()));
        assert_eq!(scene.told(stolen), Err(Code::BadProof));
        let ath = scene.proof().payload(NOW)["ath"]
            .as_str()
            .unwrap()
            .to_owned();
        for odd in [
            ath[1..].to_owned(),
            format!("{ath}="),
            ath.to_uppercase(),
            base64url::encode([0; 32]),
            base64url::encode(dayfly_keys::sha256(b"")),
        ] {
            scene.refuses(scene.proof().claim("ath", json!(odd)), &odd);
        }
    }
}
