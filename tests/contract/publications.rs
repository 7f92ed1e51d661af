//! The documents that everybody may read: metadata, key sets, bundle, feed.

use dayfly_keys::JwkSet;
use serde_json::{Value, json};

use crate::harness::{Answer, Ledger, Scene, on_both_ledgers};

on_both_ledgers!(
    the_metadata_name_what_is_built,
    the_key_sets_are_apart_and_public,
    documents_can_be_cached,
    the_bundle_is_one_of_spiffe,
    the_feed_is_signed_by_the_feeds_key,
);

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/.well-known/jwks.json";

async fn the_metadata_name_what_is_built(scene: &Scene) {
    let oauth = scene.server.get(OAUTH, None).await.body;
    let openid = scene.server.get(OPENID, None).await.body;
    let issuer = scene.issuer();
    assert_eq!(oauth["issuer"], issuer);
    assert_eq!(
        oauth["grant_types_supported"],
        json!([
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:token-exchange"
        ])
    );
    assert_eq!(
        oauth["response_types_supported"],
        json!([]),
        "there is no authorization endpoint"
    );
    assert_eq!(oauth["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(
        oauth["dayfly_max_lifetime"], 3600,
        "the longest grant of the registry"
    );
    // Each address that is named answers, with whatever it thinks of a GET.
    for (name, value) in oauth.as_object().unwrap() {
        let Some(url) = value.as_str().filter(|text| text.starts_with("https://")) else {
            continue;
        };
        let path = url
            .strip_prefix(issuer)
            .unwrap_or_else(|| panic!("{name} is elsewhere: {url}"));
        if !path.is_empty() {
            let status = scene.server.get(path, None).await.status;
            assert!(status == 200 || status == 405, "{name} at {path}: {status}");
        }
    }
    for later in [
        "dpop_signing_alg_values_supported",
        "status_list_aggregation_endpoint",
        "mtls_endpoint_aliases",
        "authorization_endpoint",
        "registration_endpoint",
        "userinfo_endpoint",
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
    ] {
        assert!(
            oauth.get(later).is_none() && openid.get(later).is_none(),
            "{later} is not built"
        );
    }
    let methods = oauth["token_endpoint_auth_methods_supported"].to_string();
    for later in [
        "spiffe_jwt",
        "private_key_jwt",
        "client_secret",
        "spiffe_wit",
    ] {
        assert!(!methods.contains(later), "{later} is not built: {methods}");
    }
    // The copy for OpenID says the same, and what only OpenID asks for.
    for (name, value) in oauth.as_object().unwrap() {
        assert_eq!(openid[name], *value, "{name}");
    }
    for only in [
        "id_token_signing_alg_values_supported",
        "subject_types_supported",
        "claims_supported",
    ] {
        assert!(
            openid.get(only).is_some() && oauth.get(only).is_none(),
            "{only}"
        );
    }
    let claims = openid["claims_supported"].as_array().unwrap();
    assert!(!claims.contains(&json!("act")), "delegation is not built");
}

async fn the_key_sets_are_apart_and_public(scene: &Scene) {
    let tokens = scene.server.get(JWKS, None).await;
    let feeds = scene.server.get("/v1/trust", None).await;
    let ids = |answer: &Answer| {
        let text = answer.body.to_string();
        let keys = JwkSet::parse(text.as_bytes()).unwrap().keys;
        assert_eq!(
            keys.len(),
            answer.body["keys"].as_array().unwrap().len(),
            "{text}"
        );
        assert!(!keys.is_empty());
        for (key, raw) in keys.iter().zip(answer.body["keys"].as_array().unwrap()) {
            assert_eq!(key.kid(), Some(&*key.thumbprint()), "RFC 7638");
            assert_eq!(
                (&raw["kty"], &raw["crv"], &raw["alg"], &raw["use"]),
                (
                    &json!("EC"),
                    &json!("P-256"),
                    &json!("ES256"),
                    &json!("sig")
                )
            );
            assert!(
                ["d", "k", "p", "q", "x5c", "jku"]
                    .iter()
                    .all(|member| raw.get(member).is_none()),
                "{raw}"
            );
        }
        keys.iter()
            .map(|key| key.kid().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (tokens, feeds) = (ids(&tokens), ids(&feeds));
    assert!(
        tokens.iter().all(|kid| !feeds.contains(kid)),
        "a key has one use"
    );
    let bundle = scene
        .server
        .get("/spiffe/bundle.json", None)
        .await
        .body
        .to_string();
    assert!(
        tokens.iter().chain(&feeds).all(|kid| !bundle.contains(kid)),
        "{bundle}"
    );
}

async fn documents_can_be_cached(scene: &Scene) {
    let client = scene.server.client(None);
    for (path, age) in [
        (OAUTH, 300),
        (OPENID, 300),
        (JWKS, 1),
        ("/v1/trust", 1),
        ("/spiffe/bundle.json", 300),
    ] {
        let answer = scene.server.get(path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.header("cache-control"),
            format!("public, max-age={age}"),
            "{path}"
        );
        assert!(
            answer
                .header("content-type")
                .starts_with("application/json"),
            "{path}"
        );
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        let url = format!("{}{path}", scene.issuer());
        for known in [
            tag.clone(),
            format!("\"x\", {tag}"),
            format!("W/{tag}"),
            "*".to_owned(),
        ] {
            let again = Answer::read(
                client
                    .get(&url)
                    .header("if-none-match", &known)
                    .send()
                    .await
                    .unwrap(),
            )
            .await;
            assert_eq!(again.status, 304, "{path} with {known}");
            assert_eq!(again.header("etag"), tag);
            assert_eq!(
                again.header("cache-control"),
                answer.header("cache-control")
            );
            assert_eq!(again.body, "");
        }
        let other = client
            .get(&url)
            .header("if-none-match", "\"x\"")
            .send()
            .await
            .unwrap();
        assert_eq!(other.status(), 200, "{path}");
    }
}

async fn the_bundle_is_one_of_spiffe(scene: &Scene) {
    let answer = scene.server.get("/spiffe/bundle.json", None).await;
    let bundle = &answer.body;
    assert!(
        bundle["spiffe_sequence"].is_u64() && bundle["spiffe_refresh_hint"].is_u64(),
        "{bundle}"
    );
    let keys = bundle["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert_eq!(
            key["use"], "x509-svid",
            "and above all no jwt-svid: our tokens are none"
        );
        assert!(key.get("kid").is_none() && key["kty"].is_string(), "{key}");
        assert_eq!(key["x5c"].as_array().unwrap().len(), 1);
    }
    // Another implementation reads it, too.
    let text = bundle.to_string();
    let source =
        dayfly_attest::BundleSource::text("sts.example.org".parse().unwrap(), text.into_bytes());
    let bundles = dayfly_attest::TrustBundles::load(vec![source]).unwrap();
    assert_eq!(bundles.status().len(), 1);
}

async fn the_feed_is_signed_by_the_feeds_key(scene: &Scene) {
    let answer = scene.server.get("/v1/feed", None).await;
    assert_eq!(answer.header("content-type"), "application/jwt");
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    let text = answer.body.as_str().unwrap();
    let header = crate::harness::jwt_header(text);
    assert_eq!(header["typ"], "dayfly-feed+jwt");
    let trust = scene.server.get("/v1/trust", None).await.body;
    let keys = trust["keys"].as_array().unwrap();
    assert!(
        keys.iter().any(|key| key["kid"] == header["kid"]),
        "{trust}"
    );
    let claims: Value = crate::harness::jwt_claims(text);
    assert_eq!(claims["iss"], scene.issuer());
    assert_eq!(
        claims["exp"].as_u64().unwrap(),
        claims["as_of"].as_u64().unwrap() + 3600
    );
    assert_eq!(claims["snapshot"], true);
}

/// An issuer with a path: RFC 8414 puts the well-known part before it, OpenID behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_may_have_a_path() {
    let mut scene = Scene::prepare(Ledger::Embedded, "").await;
    let issuer = format!("{}/tenant/a", scene.issuer());
    let text = std::fs::read_to_string(&scene.server.config).unwrap();
    let text = text.replacen(
        &format!("issuer = \"{}\"", scene.issuer()),
        &format!("issuer = \"{issuer}\""),
        1,
    );
    std::fs::write(&scene.server.config, text).unwrap();
    scene.server.launch(&[]).await;
    for path in [
        "/.well-known/oauth-authorization-server/tenant/a",
        "/tenant/a/.well-known/openid-configuration",
    ] {
        let answer = scene.server.get(path, None).await;
        assert_eq!(
            (answer.status, &answer.body["issuer"]),
            (200, &json!(issuer)),
            "{path}"
        );
        assert_eq!(
            answer.body["token_endpoint"],
            format!("{issuer}/oauth2/token")
        );
    }
    assert_eq!(scene.server.get(OAUTH, None).await.status, 404);
    assert_eq!(scene.server.get(JWKS, None).await.status, 404);
    let svid = scene.world.svid("payments/worker");
    let form =
        crate::harness::Form::client_credentials(&svid.spiffe_id, crate::harness::PAYMENTS_API);
    let answer = scene
        .server
        .post("/tenant/a/oauth2/token", Some(&svid), &form)
        .await;
    assert_eq!(
        crate::harness::jwt_claims(answer.access_token())["iss"],
        issuer
    );
}
