//! `client_credentials` with an X.509-SVID.

use std::time::Duration;

use dayfly_token::base64url;

use super::{CLAIMS, members, names, token_of};
use crate::harness::{
    Answer, BOOKING, Form, LEDGER_API, PAYMENTS_API, Scene, Trail, jwt_claims, jwt_header, now,
    on_both_ledgers,
};

on_both_ledgers!(
    the_token_says_exactly_what_was_decided,
    the_answer_is_the_one_of_rfc_6749,
    the_trail_tells_the_whole_story,
    a_lifetime_is_only_ever_shortened,
    a_token_never_outlives_its_svid,
    the_grant_decides_about_the_binding,
    details_come_with_the_token_and_can_be_less,
    a_resource_is_an_audience,
);

const WORKER: &str = "spiffe://sts.example.org/payments/worker";

async fn the_token_says_exactly_what_was_decided(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let before = now();
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let answer = scene.server.token(Some(&svid), &form).await;
    let token = answer.access_token();

    let header = jwt_header(token);
    assert_eq!(members(&header), names(["alg", "kid", "typ"]));
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&"ES256".into(), &"at+jwt".into())
    );
    let jwks = scene.server.get("/.well-known/jwks.json", None).await.body;
    let kids: Vec<_> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert!(kids.contains(&&header["kid"]), "{jwks}");

    let claims = jwt_claims(token);
    let mut expected = names(CLAIMS);
    expected.insert("cnf");
    assert_eq!(members(&claims), expected, "{claims}");
    assert_eq!(claims["iss"], scene.issuer());
    assert_eq!(claims["sub"], WORKER);
    assert_eq!(claims["client_id"], WORKER);
    assert_eq!(claims["aud"], PAYMENTS_API);
    assert_eq!(claims["scope"], "deploy:read ledger:read");
    let thumbprint = base64url::encode(svid.thumbprint());
    assert_eq!(claims["cnf"], serde_json::json!({ "x5t#S256": thumbprint }));
    let issued = claims["iat"].as_u64().unwrap();
    assert!((before..=now()).contains(&issued), "{claims}");
    assert_eq!(claims["nbf"], issued - 5);
    assert_eq!(claims["exp"], issued + 600);
    let id = base64url::decode(claims["jti"].as_str().unwrap()).unwrap();
    assert_eq!(
        (id.len(), id[0]),
        (16, 0x40),
        "16 bytes, the first one is the partition"
    );

    let dfy = &claims["dfy"];
    assert_eq!(members(dfy), names(["rule", "env", "anc", "src"]), "{dfy}");
    assert_eq!(dfy["rule"], "svid-worker");
    assert_eq!(dfy["env"], "prod");
    assert_eq!(dfy["anc"], serde_json::json!([]));
    assert_eq!(dfy["src"]["method"], "x509_svid");
    assert!(dfy["src"].to_string().len() <= 1024);
    assert!(token.len() < 2048, "{} bytes", token.len());
}

async fn the_answer_is_the_one_of_rfc_6749(scene: &Scene) {
    let answer = token_of(scene, "payments/worker", PAYMENTS_API).await;
    answer.access_token();
    assert_eq!(
        members(&answer.body),
        names(["access_token", "token_type", "expires_in", "scope"]),
        "above all no refresh token"
    );
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 600);
    assert_eq!(answer.body["scope"], "deploy:read ledger:read");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
    assert!(!answer.header("x-request-id").is_empty());
}

async fn the_trail_tells_the_whole_story(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API)
        .with("scope", "ledger:read")
        .with("task", "book-4711")
        .with("purpose", "the night's bookings");
    let answer = scene.server.token(Some(&svid), &form).await;
    let claims = jwt_claims(answer.access_token());
    assert_eq!(claims["txn"], "payments/book-4711");
    assert_eq!(claims["scope"], "ledger:read");

    let line = Trail::of_credential(scene, claims["jti"].as_str().unwrap()).await;
    assert_eq!(line["request_id"], answer.header("x-request-id"));
    assert_eq!(line["evidence"]["method"], "x509_svid");
    assert_eq!(line["evidence"]["subject"], svid.spiffe_id.as_str());
    assert!(
        line["evidence"]["sha256"]
            .as_str()
            .is_some_and(|digest| digest.len() == 64),
        "{line}"
    );
    assert_eq!(line["evidence"]["source"], "spiffe:prod.example.org");
    assert_eq!(line["workload"], "payments/worker");
    assert_eq!(line["owner"], "payments");
    assert_eq!(line["environment"], "prod");
    assert_eq!(line["task"], "payments/book-4711");
    assert_eq!(line["purpose"], "the night's bookings");
    assert_eq!(line["audience"], PAYMENTS_API);
    assert_eq!(line["scopes"], "ledger:read");
    assert_eq!(line["lifetime"], 600);
    assert!(!line["policies"].as_str().unwrap().is_empty(), "{line}");
    assert_eq!(line["peer"], "127.0.0.1");
    assert!(!line.to_string().contains(answer.access_token()));
}

async fn a_lifetime_is_only_ever_shortened(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    for (asked, lifetime) in [("30", 30), ("599", 599), ("601", 600), ("1000000000", 600)] {
        let answer = scene
            .server
            .token(Some(&svid), &form.clone().with("requested_ttl", asked))
            .await;
        assert_eq!(lifetime_of(&answer), lifetime, "{asked}");
    }
    let answer = scene
        .server
        .token(Some(&svid), &form.with("requested_ttl", "29"))
        .await;
    answer.refused(400, "invalid_request");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "lifetime_too_short"
    );
}

async fn a_token_never_outlives_its_svid(scene: &Scene) {
    let svid = scene
        .world
        .spiffe
        .svid("/payments/worker", Duration::from_secs(120))
        .unwrap();
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let answer = scene.server.token(Some(&svid), &form).await;
    let claims = jwt_claims(answer.access_token());
    assert!(claims["exp"].as_u64().unwrap() <= now() + 120, "{claims}");

    let dying = scene
        .world
        .spiffe
        .svid("/payments/worker", Duration::from_secs(20))
        .unwrap();
    let answer = scene.server.token(Some(&dying), &form).await;
    answer.refused(400, "invalid_request");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "lifetime_too_short"
    );
}

async fn the_grant_decides_about_the_binding(scene: &Scene) {
    let reader = token_of(scene, "billing/reader", PAYMENTS_API).await;
    let id = "spiffe://prod.example.org/billing/reader";
    let claims = jwt_claims(reader.access_token());
    assert_eq!(claims["cnf"], serde_json::json!({ "spiffe_id": id }));

    let clerk = token_of(scene, "books/clerk", LEDGER_API).await;
    assert!(jwt_claims(clerk.access_token()).get("cnf").is_none());
}

async fn details_come_with_the_token_and_can_be_less(scene: &Scene) {
    let svid = scene.world.svid("books/clerk");
    let form = Form::client_credentials(&svid.spiffe_id, LEDGER_API);
    let granted: serde_json::Value = serde_json::from_str(BOOKING).unwrap();
    let answer = scene.server.token(Some(&svid), &form).await;
    assert_eq!(answer.body["authorization_details"], granted);
    assert_eq!(
        jwt_claims(answer.access_token())["authorization_details"],
        granted
    );

    let less = r#"[{"type":"urn:example:booking","actions":["read"],"book":"main"}]"#;
    let asked = form.clone().with("authorization_details", less);
    let answer = scene.server.token(Some(&svid), &asked).await;
    let expected: serde_json::Value = serde_json::from_str(less).unwrap();
    assert_eq!(
        jwt_claims(answer.access_token())["authorization_details"],
        expected
    );

    for more in [
        r#"[{"type":"urn:example:booking","actions":["erase"],"book":"main"}]"#,
        r#"[{"type":"urn:example:booking","actions":["read"],"book":"other"}]"#,
        r#"[{"type":"urn:example:payment","actions":["read"]}]"#,
        r#"[]"#,
        r#"[{"actions":["read"]}]"#,
    ] {
        let answer = scene
            .server
            .token(
                Some(&svid),
                &form.clone().with("authorization_details", more),
            )
            .await;
        answer.refused(400, "invalid_authorization_details");
    }
}

async fn a_resource_is_an_audience(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let named = form
        .clone()
        .without("audience")
        .with("resource", PAYMENTS_API);
    let answer = scene.server.token(Some(&svid), &named).await;
    assert_eq!(jwt_claims(answer.access_token())["aud"], PAYMENTS_API);
    let both = form.with("resource", PAYMENTS_API);
    scene
        .server
        .token(Some(&svid), &both)
        .await
        .refused(400, "invalid_request");
}

fn lifetime_of(answer: &Answer) -> u64 {
    let claims = jwt_claims(answer.access_token());
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(answer.body["expires_in"], lifetime);
    lifetime
}
