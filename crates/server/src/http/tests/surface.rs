//! What is refused before any handler, and what every answer has.

use axum::body::Body;
use http::{Request, header};

use super::{API, World, send};
use crate::authz::{Listener, TABLE};

#[tokio::test]
async fn get_on_the_token_endpoint_is_405() {
    let world = World::new().await;
    let answer = world.get("/oauth2/token", None).await;
    answer.assert_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    world
        .get("/nothing/here", None)
        .await
        .assert_error(404, "not_found");
    world
        .get("/livez", None)
        .await
        .assert_error(404, "not_found");
    world
        .get("/metrics", None)
        .await
        .assert_error(404, "not_found");
}

#[tokio::test]
async fn every_operation_refuses_proxy_headers_and_tokens_in_the_url() {
    let world = World::new().await;
    for row in TABLE
        .iter()
        .filter(|row| row.listener != Listener::Operations)
    {
        let path = row
            .path
            .replace("{owner}", "payments")
            .replace("{task}", "t")
            .replace("{id}", "x");
        for (name, uri) in [
            ("client-cert", path.clone()),
            ("x_forwarded_client_cert", path.clone()),
            ("x-ordinary", format!("{path}?access_token=canary")),
        ] {
            let request = Request::builder()
                .method(row.method)
                .uri(&uri)
                .header(name, "By=spiffe://x;URI=spiffe://y")
                .body(Body::empty())
                .unwrap();
            let answer = send(&world.public, request).await;
            assert_eq!(answer.status, 400, "{} {uri} {name}", row.method);
            assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
            assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn every_post_refuses_what_is_too_large_or_malformed() {
    let world = World::new().await;
    let svid = world.svid("platform/console");
    for row in TABLE.iter().filter(|row| row.method == "POST") {
        let path = row
            .path
            .replace("{owner}", "payments")
            .replace("{task}", "t");
        let is_form = row.path.starts_with("/oauth2") || row.path == "/v1/x509";
        let kind = if is_form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let large = vec![b'a'; 65 * 1024];
        let nested = b"{\"a\":".repeat(10_000);
        for (body, kind, statuses) in [
            (large, kind, &[400, 413][..]),
            (nested, kind, &[400, 401]),
            (b"\xff\xfe=%zz".to_vec(), kind, &[400]),
            (b"{}x".to_vec(), "text/plain", &[400, 415]),
        ] {
            let request = Request::post(&path)
                .header(header::CONTENT_TYPE, kind)
                .body(Body::from(body))
                .unwrap();
            let answer = send(&world.public, super::with_peer(request, Some(&svid))).await;
            let status = answer.status.as_u16();
            assert!(
                statuses.contains(&status),
                "{path} {status} {}",
                answer.json()
            );
        }
    }
}

#[tokio::test]
async fn authorization_and_dpop_do_not_count_on_the_token_endpoint() {
    let world = World::new().await;
    for (name, value, status) in [
        ("authorization", "Basic dTpw", 401),
        ("authorization", "Bearer x", 401),
        ("dpop", "a.b.c", 400),
    ] {
        let request = Request::post("/oauth2/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(name, value)
            .body(Body::from(format!(
                "grant_type=client_credentials&audience={API}"
            )))
            .unwrap();
        let answer = send(&world.public, request).await;
        assert_eq!(answer.status, status, "{name}");
        if status == 401 {
            assert!(answer.header("www-authenticate").starts_with(&value[..5]));
        }
    }
}

#[tokio::test]
async fn health_and_metrics_have_their_own_listener() {
    let world = World::new().await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(send(&world.operations, get("/livez")).await.status, 200);
    let ready = send(&world.operations, get("/readyz")).await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()["ready"].as_bool()),
        (200, Some(true))
    );
    world.ci_access("t-1").await;
    let metrics = send(&world.operations, get("/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("dayfly_ready 1"), "{text}");
    assert!(
        text.contains("dayfly_oidc_issuer_ready{issuer=\"github\"} 1"),
        "{text}"
    );
    let bundle = "dayfly_bundle_authorities{trust_domain=\"prod.example.org\"} 1";
    assert!(text.contains(bundle), "{text}");
    assert!(text.contains("dayfly_decisions_total{grant=\"jwt_bearer\",outcome=\"permit\"} 1"));
    assert_eq!(send(&world.operations, get("/v1/feed")).await.status, 404);
    assert_eq!(
        send(&world.operations, get("/v1/revocations")).await.status,
        404
    );
}

#[tokio::test]
async fn metrics_do_not_grow_with_what_strangers_send() {
    let world = World::new().await;
    for n in 0..50 {
        world.get(&format!("/path/{n}"), None).await;
        let assertion = format!("{n}.{n}.{n}");
        world
            .form(
                "/oauth2/token",
                None,
                &[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", &assertion),
                    ("audience", &format!("https://a{n}.example")),
                ],
            )
            .await;
    }
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let text = send(&world.operations, request).await;
    assert!(text.body.len() < 32 * 1024, "{}", text.body.len());
    assert!(!String::from_utf8_lossy(&text.body).contains("a7.example"));
}

#[tokio::test]
async fn a_panic_is_answered_without_what_it_held() {
    let world = World::new().await;
    let app = std::sync::Arc::clone(&world.running.app);
    let router = axum::Router::new()
        .route("/oauth2/broken", axum::routing::get(broken))
        .route("/v1/broken", axum::routing::get(broken))
        .layer(axum::middleware::from_fn_with_state(
            app,
            crate::http::guard::track,
        ));
    for (path, code) in [
        ("/oauth2/broken", "server_error"),
        ("/v1/broken", "internal"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = send(&router, request).await;
        answer.assert_error(500, code);
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    }
    assert_eq!(world.running.app.metrics.panics.get(), 2);
}

async fn broken() {
    panic!("canary");
}
