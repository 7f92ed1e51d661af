//! Metadata, key sets, caching, and issuers with a path.

use axum::body::Body;
use http::{Request, header};

use super::{API, World, send};

#[tokio::test]
async fn metadata_say_what_is_built() {
    let world = World::new().await;
    let issuer = world.running.public_url();
    let answer = world
        .get("/.well-known/oauth-authorization-server", None)
        .await;
    let document = answer.json();
    assert_eq!(document["issuer"], issuer);
    assert_eq!(document["token_endpoint"], format!("{issuer}/oauth2/token"));
    assert_eq!(document["dayfly_trust_uri"], format!("{issuer}/v1/trust"));
    assert_eq!(document["dayfly_feed_uri"], format!("{issuer}/v1/feed"));
    assert_eq!(
        document["dayfly_max_lifetime"], 900,
        "the longest lifetime of the registry"
    );
    assert!(document.get("dpop_signing_alg_values_supported").is_none());
    assert!(document.get("subject_types_supported").is_none());
    let openid = world
        .get("/.well-known/openid-configuration", None)
        .await
        .json();
    assert_eq!(openid["subject_types_supported"][0], "public");
    assert_eq!(openid["id_token_signing_alg_values_supported"][0], "ES256");
    assert_eq!(openid["issuer"], document["issuer"]);
    // Every URL that is advertised is served.
    for (name, value) in document.as_object().unwrap() {
        let Some(path) = value.as_str().and_then(|url| url.strip_prefix(issuer)) else {
            continue;
        };
        if path.is_empty() || name.ends_with("_endpoint") {
            continue;
        }
        assert_eq!(world.get(path, None).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn keys_are_cached_by_their_tag() {
    let world = World::new().await;
    let answer = world.get("/.well-known/jwks.json", None).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=30");
    assert_eq!(answer.header("content-type"), "application/json");
    let key = &answer.json()["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["alg"].as_str()),
        (Some("EC"), Some("ES256"))
    );
    assert!(key.get("d").is_none());
    let tag = answer.header("etag").to_owned();
    let ask = |tag: String| {
        Request::get("/.well-known/jwks.json")
            .header(header::IF_NONE_MATCH, tag)
            .body(Body::empty())
            .unwrap()
    };
    for tag in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let answer = send(&world.public, ask(tag)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
        assert!(!answer.header("etag").is_empty());
    }
    assert_eq!(
        send(&world.public, ask("\"other\"".to_owned()))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn token_keys_and_feed_keys_never_meet() {
    let world = World::new().await;
    let kids = |document: serde_json::Value| -> Vec<String> {
        let keys = document["keys"].as_array().unwrap().clone();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let tokens = kids(world.get("/.well-known/jwks.json", None).await.json());
    let feeds = kids(world.get("/v1/trust", None).await.json());
    assert!(!tokens.is_empty() && !feeds.is_empty());
    assert!(tokens.iter().all(|kid| !feeds.contains(kid)));
}

#[tokio::test]
async fn an_issuer_with_a_path() {
    let world = World::with("https://localhost:0/tenants/one", |_| {}).await;
    let issuer = world.running.public_url().to_owned();
    assert!(issuer.ends_with("/tenants/one"));
    // RFC 8414 section 3.1 puts the well-known segment between host and path, OpenID at the end.
    let get = |path: &str| Request::get(path.to_owned()).body(Body::empty()).unwrap();
    let path = "/.well-known/oauth-authorization-server/tenants/one";
    let oauth = send(&world.public, get(path)).await.json();
    assert_eq!(oauth["issuer"], issuer);
    let openid = send(
        &world.public,
        get("/tenants/one/.well-known/openid-configuration"),
    )
    .await;
    assert_eq!(openid.json()["issuer"], issuer);
    for wrong in [
        "/.well-known/oauth-authorization-server",
        "/tenants/one/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/oauth2/token",
    ] {
        assert_eq!(send(&world.public, get(wrong)).await.status, 404, "{wrong}");
    }
    let svid = world.svid("payments/worker");
    let answer = world
        .form(
            "/oauth2/token",
            Some(&svid),
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &svid.spiffe_id),
                ("audience", API),
            ],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}
