//! Our own access tokens as evidence of an exchange.

use dayfly_attest::{Attestor, Evidence, OidcIssuers};
use dayfly_policy::{Method, Principal, Source};
use dayfly_token::{Confirmation, UnixTime};
use dayfly_verifier::testing::TestToken;
use dayfly_verifier::{PeerCertificate, RevocationSource};
use serde_json::json;

use crate::ca::{Ca, TRUST_DOMAIN, WORKLOAD, leaf_params, peer, trusting};
use crate::{ISSUER, NOW, attestor, authority, no_bundles};

const AUDIENCE: &str = "https://payments.internal";

fn minted(change: impl FnOnce(TestToken<'_>) -> TestToken<'_>) -> String {
    let authority = authority();
    change(
        authority
            .token(AUDIENCE)
            .scope("deploy:read")
            .scope("deploy:write"),
    )
    .mint(NOW)
    .unwrap()
}

async fn attest(
    attestor: &Attestor,
    token: &str,
    peer: Option<&PeerCertificate>,
) -> Result<Principal, &'static str> {
    let evidence = Evidence::OwnToken { token, peer };
    attestor
        .attest(evidence, NOW)
        .await
        .map_err(|error| error.code())
}

async fn refusal(token: &str) -> &'static str {
    let attestor = attestor(no_bundles(), OidcIssuers::default());
    attest(&attestor, token, None).await.unwrap_err()
}

#[tokio::test]
async fn positive_control() {
    let attestor = attestor(no_bundles(), OidcIssuers::default());
    let token = minted(|token| token);
    let principal = attest(&attestor, &token, None).await.unwrap();
    assert_eq!(principal.method, Method::OwnToken);
    assert_eq!(principal.source, Source::Own);
    assert_eq!(principal.issuer_url.as_deref(), Some(ISSUER));
    assert_eq!(principal.subject, "spiffe://test.example/tests/caller");
    assert_eq!(principal.expires_at, NOW.saturating_add(300));
    let input = token.rsplit_once('.').unwrap().0;
    assert_eq!(principal.digest, dayfly_keys::sha256(input.as_bytes()));
    let parent = principal.parent.unwrap();
    assert_eq!(parent.id, "QAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(parent.workload.to_string(), "tests/caller");
    assert_eq!(parent.audience.as_str(), AUDIENCE);
    assert_eq!(parent.scopes.to_string(), "deploy:read deploy:write");
    assert_eq!(
        (parent.issued_at, parent.expires_at),
        (NOW, NOW.saturating_add(300))
    );
    assert_eq!(parent.rule.as_str(), "test-rule");
    assert_eq!(parent.environment.unwrap().as_str(), "test");
    assert_eq!(parent.task.unwrap().to_string(), "tests/task");
    assert!(parent.confirmation.is_none() && !parent.binding_proven);
    assert!(parent.ancestors.is_empty() && parent.actor.is_none());
}

#[tokio::test]
async fn the_rest_of_a_parent_is_kept() {
    let attestor = attestor(no_bundles(), OidcIssuers::default());
    let token = minted(|token| {
        token
            .claim(
                "dfy",
                json!({"rule": "gh", "env": "prod", "anc": ["a", "b"]}),
            )
            .claim("act", json!({"sub": "spiffe://test.example/tests/agent"}))
            .claim("authorization_details", json!([{"type": "urn:x", "n": 1}]))
            .without("txn")
    });
    let parent = attest(&attestor, &token, None)
        .await
        .unwrap()
        .parent
        .unwrap();
    assert_eq!(parent.ancestors, ["a", "b"]);
    assert_eq!(
        parent.actor.unwrap().sub,
        "spiffe://test.example/tests/agent"
    );
    assert_eq!(parent.authorization_details[0]["type"], "urn:x");
    assert!(parent.task.is_none());
}

#[tokio::test]
async fn tokens_that_the_verifier_refuses() {
    let authority = authority();
    for (token, expected) in [
        (
            minted(|token| token.claim("iss", json!("https://other.example"))),
            "wrong_issuer",
        ),
        (
            minted(|token| token.claim("exp", json!(NOW.saturating_sub(60)))),
            "expired",
        ),
        (
            minted(|token| token.claim("iat", json!(NOW.saturating_add(60)))),
            "not_yet_valid",
        ),
        (minted(|token| token.ttl_secs(100_000)), "lifetime_too_long"),
        (minted(|token| token.without("jti")), "missing_claim"),
        (
            minted(|token| token.claim("cnf", json!({"jwk": {}}))),
            "bad_claim",
        ),
        (
            authority
                .sign("{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}", "{}")
                .unwrap(),
            "wrong_type",
        ),
        ("a.b.c".to_owned(), "bad_base64"),
        (String::new(), "malformed"),
        ("x".repeat(20_000), "too_large"),
    ] {
        let found = refusal(&token).await;
        assert!(
            found == expected || (expected == "bad_base64" && found == "bad_json"),
            "{found} in place of {expected}"
        );
    }
}

#[tokio::test]
async fn tokens_that_are_not_quite_ours() {
    for (token, expected) in [
        (minted(|token| token.without("dfy")), "missing_claim"),
        (minted(|token| token.subject("somebody")), "bad_claim"),
        (
            minted(|token| token.subject("spiffe://test.example/a/b/c")),
            "bad_claim",
        ),
        (
            minted(|token| token.claim("aud", json!([AUDIENCE, "https://other.internal"]))),
            "bad_claim",
        ),
        (
            minted(|token| token.claim("txn", json!("no owner"))),
            "bad_claim",
        ),
        (
            minted(|token| {
                token.claim("dfy", json!({"rule": "Bad Rule", "env": "prod", "anc": []}))
            }),
            "bad_claim",
        ),
        (
            minted(|token| token.claim("dfy", json!({"rule": "r", "env": "PROD", "anc": []}))),
            "bad_claim",
        ),
    ] {
        assert_eq!(refusal(&token).await, expected);
    }
}

#[tokio::test]
async fn a_bound_token_needs_its_key() {
    let root = Ca::root(TRUST_DOMAIN);
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    let (holder, thief) = (
        peer(&[&root.svid().der]),
        peer(&[&root.issue(&leaf_params("spiffe://prod.example/thief")).der]),
    );
    let by_certificate = minted(|token| token.bound_to_certificate(&holder));
    let by_name =
        minted(|token| token.bound_to(&Confirmation::SpiffeId(WORKLOAD.parse().unwrap())));
    for token in [&by_certificate, &by_name] {
        let principal = attest(&attestor, token, Some(&holder)).await.unwrap();
        let parent = principal.parent.unwrap();
        assert!(parent.binding_proven && parent.confirmation.is_some());
        assert_eq!(
            principal.peer.unwrap().spiffe_id.unwrap().as_str(),
            WORKLOAD
        );
        for other in [None, Some(&thief)] {
            assert_eq!(
                attest(&attestor, token, other).await.unwrap_err(),
                "unproven_confirmation"
            );
        }
    }
    // Another certificate of the same name: the name still proves itself.
    let renewed = peer(&[&root.svid().der]);
    assert!(attest(&attestor, &by_name, Some(&renewed)).await.is_ok());
    assert!(
        attest(&attestor, &by_certificate, Some(&renewed))
            .await
            .is_err()
    );
    // A key that only DPoP could prove is never proven here.
    let by_key = minted(|token| token.bound_to(&Confirmation::KeyThumbprint([1; 32])));
    assert!(attest(&attestor, &by_key, Some(&holder)).await.is_err());
}

#[tokio::test]
async fn a_name_counts_only_while_its_domain_is_trusted() {
    let root = Ca::root(TRUST_DOMAIN);
    let leaf = root.svid();
    let name: dayfly_token::SpiffeId = WORKLOAD.parse().unwrap();
    // The listener vouched for the name when the connection was made.
    let connected = PeerCertificate::new(vec![leaf.der.clone()], Some(name.clone())).unwrap();
    let token = minted(|token| token.bound_to(&Confirmation::SpiffeId(name)));
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    assert!(attest(&attestor, &token, Some(&connected)).await.is_ok());
    attestor.trust_bundles().reconfigure(Vec::new()).unwrap();
    assert_eq!(
        attest(&attestor, &token, Some(&connected))
            .await
            .unwrap_err(),
        "unproven_confirmation"
    );
    let bearer = minted(|token| token);
    let principal = attest(&attestor, &bearer, Some(&connected)).await.unwrap();
    let peer = principal.peer.unwrap();
    assert_eq!(peer.thumbprint, dayfly_keys::sha256(&leaf.der));
    assert_eq!(peer.spiffe_id, None);
}

#[tokio::test]
async fn without_news_of_revocations_the_answer_is_later() {
    let authority = authority();
    let own = authority
        .verifier("unused")
        .danger_any_audience()
        .revocation(RevocationSource::Bundle)
        .build()
        .unwrap();
    own.revocations()
        .heard(UnixTime::from_secs(NOW.as_secs() - 100_000));
    let bundles = std::sync::Arc::new(no_bundles());
    let attestor = Attestor::new(bundles, OidcIssuers::default(), own, ISSUER.to_owned());
    let token = minted(|token| token);
    let evidence = Evidence::OwnToken {
        token: &token,
        peer: None,
    };
    let refused = attestor.attest(evidence, NOW).await.unwrap_err();
    assert_eq!(refused.code(), "revocation_stale");
    assert!(refused.is_unavailable());
}
