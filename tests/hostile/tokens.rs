//! Our own tokens, forged, where they are credentials.

use dayfly_token::base64url;
use serde_json::{Value, json};

use super::assertions::present;
use super::forgery::{compact, impossible, mac, secrets_of, twin};
use super::{bearer, still_serves};
use crate::harness::{Form, LEDGER_API, Ledger, Operator, Scene, jwt_header, now};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_genuine_token_opens_a_door() {
    let scene = Scene::start(Ledger::Embedded).await;
    let console = scene.world.svid("platform/console");
    // A right may be had as a bearer token only through a grant that says so; here it is bound.
    let form = Form::client_credentials(&console.spiffe_id, scene.issuer());
    let token = scene
        .server
        .token(Some(&console), &form)
        .await
        .access_token()
        .to_owned();
    let client = scene.server.client(Some(&console));
    let url = format!("{}/v1/revocations", scene.issuer());
    let get = async |token: &str| {
        let sent = client
            .get(&url)
            .header("authorization", format!("Bearer {token}"))
            .send()
            .await;
        sent.unwrap().status().as_u16()
    };
    assert_eq!(get(&token).await, 200);
    let parts: Vec<&str> = token.split('.').collect();
    let text = |part: &str| String::from_utf8(base64url::decode(part).unwrap()).unwrap();
    let (header, payload) = (text(parts[0]), text(parts[1]));
    let signature = base64url::decode(parts[2]).unwrap();
    let jwks = scene.server.get("/.well-known/jwks.json", None).await.body;
    let trust = scene.server.get("/v1/trust", None).await.body;

    let mut forged: Vec<(String, String)> = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "HS256", "RS256", "EdDSA", "es256", "",
    ] {
        let header = header.replace("ES256", alg);
        forged.push((alg.to_owned(), compact(&header, &payload, "")));
        forged.push((alg.to_owned(), compact(&header, &payload, &signature)));
    }
    let key = &jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == jwt_header(&token)["kid"])
        .unwrap();
    for secret in secrets_of(key) {
        forged.push((
            "a public secret".to_owned(),
            mac(&secret, &header.replace("ES256", "HS256"), &payload),
        ));
    }
    for (what, signature) in impossible(&signature) {
        forged.push((what.to_owned(), compact(&header, &payload, signature)));
    }
    let mut claims: Value = serde_json::from_str(&payload).unwrap();
    for (claim, value) in [
        ("exp", json!(now() + 86_400)),
        ("scope", json!("dayfly:keys")),
        ("jti", json!("QAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        claims[claim] = value;
        forged.push((
            claim.to_owned(),
            compact(&header, &claims.to_string(), &signature),
        ));
    }
    let feed_key = header.replace(
        jwt_header(&token)["kid"].as_str().unwrap(),
        trust["keys"][0]["kid"].as_str().unwrap(),
    );
    forged.push((
        "a feed key".to_owned(),
        compact(&feed_key, &payload, &signature),
    ));
    for cut in [1, 2, 10, 43, 80] {
        forged.push((
            format!("{cut} characters less"),
            token[..token.len() - cut].to_owned(),
        ));
    }
    forged.push(("a character more".to_owned(), format!("{token}A")));
    // Genuine texts of another kind, each signed by somebody that the server trusts.
    forged.push((
        "a CI token".to_owned(),
        scene.world.ci_token(scene.issuer()),
    ));
    forged.push((
        "a statement of the feed".to_owned(),
        scene
            .server
            .get("/v1/feed", None)
            .await
            .body
            .as_str()
            .unwrap()
            .to_owned(),
    ));
    let operator = Operator::new(&scene.world.svid("books/api"), &scene.server);
    let inactive = json!({ "active": false });
    for (what, token) in &forged {
        assert_eq!(get(token).await, 401, "{what}");
        assert_eq!(operator.introspect(token).await, inactive, "{what}");
    }
    a_feed_statement_is_evidence_for_nothing(&scene).await;
    a_twin_dies_with_its_token(&scene).await;
    still_serves(&scene).await;
}

async fn a_feed_statement_is_evidence_for_nothing(scene: &Scene) {
    let statement = scene
        .server
        .get("/v1/feed", None)
        .await
        .body
        .as_str()
        .unwrap()
        .to_owned();
    for kind in ["jwt", "id_token", "access_token"] {
        let form = Form::exchange(&statement, kind, LEDGER_API);
        scene
            .server
            .token(None, &form)
            .await
            .refused(400, "invalid_request");
    }
    present(scene, &statement)
        .await
        .refused(400, "invalid_grant");
    // Our own token is no assertion either: the issuer is nobody's platform.
    present(scene, &bearer(scene).await)
        .await
        .refused(400, "invalid_grant");
}

/// ECDSA signatures are malleable: revocation is by id, so the other text is as dead.
async fn a_twin_dies_with_its_token(scene: &Scene) {
    let token = bearer(scene).await;
    let twin = twin(&token);
    assert_ne!(token, twin);
    let operator = Operator::new(&scene.world.svid("books/api"), &scene.server);
    let active = async |token: &str| operator.introspect(token).await["active"] == true;
    assert!(
        active(&token).await && active(&twin).await,
        "both are valid signatures"
    );
    let revoke = Form::default().with("token", &twin);
    assert_eq!(
        scene
            .server
            .post("/oauth2/revoke", None, &revoke)
            .await
            .status,
        200
    );
    assert!(!active(&token).await && !active(&twin).await);
    let form = Form::exchange(&twin, "access_token", LEDGER_API);
    scene
        .server
        .token(None, &form)
        .await
        .refused(400, "invalid_request");
}
