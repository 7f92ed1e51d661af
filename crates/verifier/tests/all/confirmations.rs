//! Tokens that are bound: to a certificate, to a SPIFFE ID, and in ways that cannot be checked.

use dayfly_keys::Algorithm;
use dayfly_verifier::{
    Confirmation, PeerCertificate, Presented, RejectionCode as Code, RevocationSource,
    UnverifiedToken,
};
use serde_json::json;

use crate::fixture::{AUDIENCE, Bench, NOW};

fn peer(leaf: &[u8], id: Option<&str>) -> PeerCertificate {
    PeerCertificate::new(
        vec![leaf.to_vec(), b"an issuer".to_vec()],
        id.map(|id| id.parse().unwrap()),
    )
    .unwrap()
}

#[track_caller]
fn presented(bench: &Bench, token: &str, peer: Option<&PeerCertificate>) -> Result<(), Code> {
    let presented = peer.map_or(Presented::NOTHING, Presented::certificate);
    let verified = bench
        .verifier
        .verify(UnverifiedToken::new(token), &presented, NOW);
    verified.map(drop).map_err(|rejection| rejection.code())
}

#[test]
fn a_token_bound_to_a_certificate() {
    let bench = Bench::new(Algorithm::EdDsa);
    let (ours, theirs) = (peer(b"our leaf", None), peer(b"their leaf", None));
    let token = bench
        .authority
        .token(AUDIENCE)
        .bound_to_certificate(&ours)
        .mint(NOW)
        .unwrap();
    assert_eq!(presented(&bench, &token, Some(&ours)), Ok(()));
    assert_eq!(
        presented(&bench, &token, None),
        Err(Code::UnprovenConfirmation)
    );
    assert_eq!(
        presented(&bench, &token, Some(&theirs)),
        Err(Code::UnprovenConfirmation)
    );
    // The right certificate further up the chain proves nothing: only the leaf's key signed the handshake.
    let behind =
        PeerCertificate::new(vec![b"their leaf".to_vec(), b"our leaf".to_vec()], None).unwrap();
    assert_eq!(
        presented(&bench, &token, Some(&behind)),
        Err(Code::UnprovenConfirmation)
    );
    // A bearer token does not mind a certificate.
    assert_eq!(presented(&bench, &bench.good(), Some(&theirs)), Ok(()));
    assert!(PeerCertificate::new(Vec::new(), None).is_none());
}

#[test]
fn a_token_bound_to_a_spiffe_id() {
    let bench = Bench::new(Algorithm::EdDsa);
    let id = "spiffe://prod.example/ns/a";
    let token = bench
        .authority
        .token(AUDIENCE)
        .bound_to(&Confirmation::SpiffeId(id.parse().unwrap()))
        .mint(NOW)
        .unwrap();
    // The binding survives a new certificate of the same identity.
    for leaf in [&b"one"[..], b"two"] {
        assert_eq!(
            presented(&bench, &token, Some(&peer(leaf, Some(id)))),
            Ok(())
        );
    }
    for other in [
        None,
        Some("spiffe://prod.example/ns/b"),
        Some("spiffe://prod.example/ns/A"),
        Some("spiffe://test.example/ns/a"),
    ] {
        assert_eq!(
            presented(&bench, &token, Some(&peer(b"one", other))),
            Err(Code::UnprovenConfirmation),
            "{other:?}"
        );
    }
    assert_eq!(
        presented(&bench, &token, None),
        Err(Code::UnprovenConfirmation)
    );
}

#[test]
fn only_the_issuer_itself_may_look_past_a_binding() {
    let bench = Bench::new(Algorithm::EdDsa);
    let builder = bench
        .authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::None);
    let issuers_own = builder.danger_any_binding().build().unwrap();
    let ours = peer(b"our leaf", None);
    let bound = bench
        .authority
        .token(AUDIENCE)
        .bound_to_certificate(&ours)
        .mint(NOW)
        .unwrap();
    assert_eq!(
        presented(&bench, &bound, None),
        Err(Code::UnprovenConfirmation)
    );
    let verify =
        |token: &str| issuers_own.verify(UnverifiedToken::new(token), &Presented::NOTHING, NOW);
    assert!(verify(&bound).unwrap().confirmation().is_some());
    // What is no confirmation at all is still refused.
    let odd = bench.with_claim("cnf", json!({ "kid": "x" }));
    assert_eq!(verify(&odd).unwrap_err().code(), Code::BadClaim);
}

#[test]
fn bindings_that_cannot_be_checked_are_refused() {
    let bench = Bench::new(Algorithm::EdDsa);
    let ours = peer(b"our leaf", Some("spiffe://prod.example/ns/a"));
    let jkt = bench.with_claim(
        "cnf",
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
    );
    // It needs a proof of its own kind (see `dpop`); a certificate is none.
    for peer in [Some(&ours), None] {
        assert_eq!(
            presented(&bench, &jkt, peer),
            Err(Code::UnprovenConfirmation)
        );
    }
    let thumbprint = dayfly_token::base64url::encode(ours.thumbprint());
    for cnf in [
        json!({}),
        json!(null),
        json!([]),
        json!("x"),
        json!({ "jwk": {} }),
        json!({ "kid": "x" }),
        json!({ "x5t#S256": "" }),
        json!({ "x5t#S256": thumbprint, "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({ "x5t#S256": thumbprint, "other": 1 }),
        json!({ "x5t#S256": thumbprint[1..] }),
        json!({ "x5t#S256": format!("{thumbprint}=") }),
        json!({ "x5t#S256": [thumbprint] }),
        json!({ "x5t#S256": null }),
        json!({ "X5T#S256": thumbprint }),
        json!({ "spiffe_id": "x" }),
    ] {
        let token = bench.with_claim("cnf", cnf.clone());
        assert_eq!(
            presented(&bench, &token, Some(&ours)),
            Err(Code::BadClaim),
            "{cnf}"
        );
    }
}

#[test]
fn debug_names_a_certificate_and_does_not_show_it() {
    let peer = peer(b"a leaf", Some("spiffe://test.example/a"));
    let thumbprint = dayfly_token::base64url::encode(dayfly_keys::sha256(b"a leaf"));
    let text = format!("{peer:?}");
    assert!(
        text.contains(&thumbprint) && text.contains("spiffe://test.example/a"),
        "{text}"
    );
    assert!(!text.contains("chain"), "{text}");
}
