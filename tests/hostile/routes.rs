//! Doors: what is open, on which listener, and that there is no other way to write a path.

use serde_json::json;

use super::{send, still_serves};
use crate::harness::{Answer, Ledger, Scene};

/// Everything under `/v1` that takes a right.
const GUARDED: &[(&str, &str)] = &[
    ("POST", "/v1/tasks"),
    ("POST", "/v1/tasks/payments/t/complete"),
    ("POST", "/v1/tasks/payments/t/revoke"),
    ("POST", "/v1/revocations"),
    ("GET", "/v1/revocations"),
    ("GET", "/v1/decisions/AAAAAAAAAAAAAAAAAAAAAA"),
    ("GET", "/v1/issuances/QAAAAAAAAAAAAAAAAAAAAA"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_is_closed_unless_it_is_meant_to_be_open() {
    let scene = Scene::start(Ledger::Embedded).await;
    strangers_are_turned_away(&scene).await;
    a_path_has_one_spelling(&scene).await;
    listeners_do_not_mix(&scene).await;
    the_admin_socket_is_the_operators(&scene).await;
    still_serves(&scene).await;
}

async fn strangers_are_turned_away(scene: &Scene) {
    let unregistered = scene.world.svid("nobody/knows");
    let bad = ["authorization: Bearer x.y.z"];
    for (method, path) in GUARDED {
        let first = format!("{method} {path}");
        for (svid, headers, challenge) in [
            (
                None,
                &[][..],
                "www-authenticate: bearer realm=\"dayfly\"\r\n",
            ),
            (None, &bad[..], "error=\"invalid_token\""),
            (Some(&unregistered), &[][..], "error=\"invalid_token\""),
        ] {
            let reply = send(scene, svid, &first, headers, b"").await.unwrap();
            assert_eq!(reply.status, 401, "{first}: {reply:?}");
            assert!(reply.head.contains(challenge), "{first}: {reply:?}");
            assert!(
                reply
                    .head
                    .contains("content-type: application/problem+json"),
                "{reply:?}"
            );
            assert!(reply.head.contains("cache-control: no-store"), "{reply:?}");
        }
    }
    let console = scene.world.svid("platform/console");
    let holds = scene.server.get("/v1/revocations", Some(&console)).await;
    assert_eq!((holds.status, &holds.body), (200, &json!({ "holds": [] })));
}

async fn a_path_has_one_spelling(scene: &Scene) {
    for path in [
        "//v1/revocations",
        "/v1//revocations",
        "/v1/revocations/",
        "/V1/revocations",
        "/v1/./revocations",
        "/v1/feed/../revocations",
        "/v1/feed/%2e%2e/revocations",
        "/v1%2frevocations",
        "/v1/revocations%00",
        "/v1/revocations;x=y",
        "/v1/feed%2f..%2frevocations",
        "/oauth2/../v1/revocations",
        "/v1/decisions",
        "/v1/decisions/",
        "/v1/keys",
        "/v1/admin",
        "/debug/pprof",
        "/.env",
        "/",
        "*",
    ] {
        let reply = send(scene, None, &format!("GET {path}"), &[], b"")
            .await
            .unwrap();
        assert!(
            [400, 401, 404, 405].contains(&reply.status),
            "{path}: {reply:?}"
        );
        assert!(!reply.body.contains("holds"), "{path}");
    }
    // What stands in a path is a name and nothing else.
    let console = scene.world.svid("platform/console");
    for path in [
        "/v1/tasks/payments/..%2f..%2frevocations/complete",
        "/v1/tasks/pay%6Dents%2f/t/revoke",
        "/v1/tasks/PAYMENTS/t/revoke",
        "/v1/tasks/payments/%2e%2e/revoke",
        "/v1/tasks/payments/a%20b/revoke",
    ] {
        let answer = scene
            .server
            .post_json(path, Some(&console), &json!({}))
            .await;
        assert!((400..=404).contains(&answer.status), "{path}: {answer:?}");
    }
    for path in [
        "/v1/decisions/x",
        "/v1/decisions/AAAA%2f",
        "/v1/issuances/%00",
        "/v1/issuances/..%2f",
    ] {
        let answer = scene.server.get(path, Some(&console)).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
}

async fn listeners_do_not_mix(scene: &Scene) {
    // Whatever name the caller uses, the issuer has its own.
    let named = [
        "x-forwarded-host: evil.example.org",
        "forwarded: host=evil.example.org",
    ];
    let metadata = "GET /.well-known/oauth-authorization-server";
    let reply = send(scene, None, metadata, &named, b"").await.unwrap();
    assert!(
        reply
            .body
            .contains(&format!("\"issuer\":\"{}\"", scene.issuer())),
        "{reply:?}"
    );
    assert!(
        !reply.body.contains("evil") && !reply.body.contains("localhost"),
        "{reply:?}"
    );
    let console = scene.world.svid("platform/console");
    for path in ["/metrics", "/readyz", "/livez"] {
        assert_eq!(
            scene.server.get(path, Some(&console)).await.status,
            404,
            "{path}"
        );
    }
    let client = crate::harness::client(&scene.world.tls.ca_pem(), None);
    for path in [
        "/v1/revocations",
        "/v1/feed",
        "/oauth2/token",
        "/.well-known/jwks.json",
    ] {
        let url = format!("{}{path}", scene.server.operations);
        assert_eq!(
            client.get(&url).send().await.unwrap().status(),
            404,
            "{path}"
        );
        assert_eq!(
            client.post(&url).send().await.unwrap().status(),
            404,
            "{path}"
        );
    }
    // Plain HTTP on the TLS port, and a line of the PROXY protocol, are not listened to.
    for greeting in [
        "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    ] {
        let text = plain(scene.issuer().strip_prefix("https://").unwrap(), greeting).await;
        assert!(!text.contains("200 OK"), "{text}");
    }
}

async fn plain(address: &str, greeting: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(greeting.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(
        std::time::Duration::from_secs(12),
        stream.read_to_end(&mut bytes),
    );
    // To hang up in any way is right.
    drop(read.await.expect("the server hangs up"));
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn the_admin_socket_is_the_operators(scene: &Scene) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&scene.server.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let ask = async |request: &str| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::UnixStream::connect(&scene.server.socket)
            .await
            .unwrap();
        let text = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("GET /v1/revocations").await.starts_with("HTTP/1.1 200"));
    assert!(
        ask("POST /v1/tasks/payments/by-socket/revoke")
            .await
            .starts_with("HTTP/1.1 200")
    );
    // It operates; it does not issue.
    for request in [
        "POST /oauth2/token",
        "POST /v1/x509",
        "POST /oauth2/revoke",
        "GET /metrics",
    ] {
        assert!(ask(request).await.starts_with("HTTP/1.1 404"), "{request}");
    }
    let form = crate::harness::Form::jwt_bearer(
        &scene.world.ci_token(scene.issuer()),
        crate::harness::PAYMENTS_API,
    );
    let ended: Answer = scene
        .server
        .token(None, &form.with("task", "by-socket"))
        .await;
    ended.refused(400, "invalid_grant");
}
