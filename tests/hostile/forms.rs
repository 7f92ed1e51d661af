//! Requests that are almost forms, and headers that claim too much.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{bearer, connect, send, still_serves, worker_form};
use crate::harness::{Answer, Form, LEDGER_API, Ledger, PAYMENTS_API, Reply, Scene};

/// The longest body of a form.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The longest token.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

const FORM_TYPE: &str = "content-type: application/x-www-form-urlencoded";

/// The token endpoint.
const TOKEN: &str = "POST /oauth2/token";

/// The endpoints that take forms.
const FORMS: [&str; 4] = [
    "/oauth2/token",
    "/oauth2/introspect",
    "/oauth2/revoke",
    "/v1/x509",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_almost_right() {
    let scene = Scene::start(Ledger::Embedded).await;
    only_forms_are_read(&scene).await;
    bodies_and_tokens_are_bounded(&scene).await;
    parameters_are_read_in_one_way(&scene).await;
    other_methods_are_not_served(&scene).await;
    tokens_in_the_url_are_refused(&scene).await;
    headers_do_not_speak_for_the_connection(&scene).await;
    json_is_strict_and_bounded(&scene).await;
    framing_is_unambiguous(&scene).await;
    still_serves(&scene).await;
}

#[track_caller]
fn refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.body.contains(&format!("\"{error}\"")), "{reply:?}");
    assert!(!reply.body.contains("access_token"), "{reply:?}");
}

async fn only_forms_are_read(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let body = worker_form(&svid).encoded();
    for kind in [
        "content-type: application/json",
        "content-type: text/plain",
        "content-type: multipart/form-data; boundary=x",
        "content-type: application/x-www-form-urlencoded; charset=utf-16",
        "content-type: application/x-www-form-urlencoded, application/json",
        "x-content-type: application/x-www-form-urlencoded",
    ] {
        for path in FORMS {
            let first = format!("POST {path}");
            let reply = send(scene, Some(&svid), &first, &[kind], &body).await;
            refused(&reply.unwrap(), 400, "invalid_request");
        }
    }
    let twice = [FORM_TYPE, "content-type: application/json"];
    let reply = send(scene, Some(&svid), TOKEN, &twice, &body).await;
    refused(&reply.unwrap(), 400, "invalid_request");
    let json = json!({ "grant_type": "client_credentials", "client_id": svid.spiffe_id });
    let answer = scene
        .server
        .post_json("/oauth2/token", Some(&svid), &json)
        .await;
    answer.refused(400, "invalid_request");
}

async fn bodies_and_tokens_are_bounded(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let body = format!("{}&padding=", worker_form(&svid).encoded());
    let filled = |length: usize| format!("{body}{}", "x".repeat(length - body.len()));
    let full = filled(MAX_BODY_BYTES);
    let reply = send(scene, Some(&svid), TOKEN, &[FORM_TYPE], full)
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "what fits is served: {reply:?}");
    for length in [MAX_BODY_BYTES + 1, 10 * MAX_BODY_BYTES] {
        for path in FORMS {
            // The server may answer and hang up before it has read everything.
            let sent = send(
                scene,
                Some(&svid),
                &format!("POST {path}"),
                &[FORM_TYPE],
                filled(length),
            )
            .await;
            if let Ok(reply) = sent {
                refused(&reply, 400, "invalid_request");
            }
        }
    }
    let token = "x".repeat(MAX_TOKEN_BYTES + 1);
    for form in [
        Form::jwt_bearer(&token, LEDGER_API),
        Form::exchange(&token, "jwt", LEDGER_API),
        Form::exchange(&token, "access_token", LEDGER_API),
    ] {
        scene
            .server
            .token(None, &form)
            .await
            .refused(400, "invalid_request");
    }
    let dots = Form::jwt_bearer(&".".repeat(MAX_TOKEN_BYTES), LEDGER_API);
    scene
        .server
        .token(None, &dots)
        .await
        .refused(400, "invalid_grant");
    // A million parameters fit no body; some thousands do, and are refused by their number.
    let many = "a=&".repeat(20_000);
    refused(
        &send(scene, None, TOKEN, &[FORM_TYPE], &many).await.unwrap(),
        400,
        "invalid_request",
    );
}

async fn parameters_are_read_in_one_way(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let honest = worker_form(&svid).encoded();
    for (what, more) in [
        ("the same twice", "&scope=ledger:read&scope=ledger:read"),
        (
            "twice, once escaped",
            "&scope=ledger:read&sc%6Fpe=deploy:read",
        ),
        ("twice, once empty", "&scope=&scope=ledger:read"),
        ("twice, once without a value", "&scope&scope=ledger:read"),
        ("a broken escape", "&scope=%"),
        ("half an escape", "&scope=%4"),
        ("no hexadecimal", "&scope=%zz"),
        ("not UTF-8", "&scope=%ff%fe"),
        ("an overlong slash", "&scope=%c0%af"),
        ("NUL", "&purpose=a%00b"),
        ("a line break", "&purpose=a%0d%0ab"),
        ("an escape sequence", "&purpose=%1b[2J"),
        (
            "both names of the audience",
            "&resource=https://payments.internal",
        ),
        (
            "a second kind of evidence",
            "&subject_token=a.b.c&subject_token_type=x",
        ),
    ] {
        let reply = send(
            scene,
            Some(&svid),
            TOKEN,
            &[FORM_TYPE],
            &format!("{honest}{more}"),
        )
        .await
        .unwrap();
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        refused(&reply, 400, "invalid_request");
    }
    // RFC 6749 section 3.2: unknown parameters are ignored, names are compared as they are.
    for more in [
        "&Scope=deploy:write",
        "&scope[]=deploy:write",
        "&iss=x&sub=y&aud=z&cnf={}&act={}",
        "&&&",
    ] {
        let reply = send(
            scene,
            Some(&svid),
            TOKEN,
            &[FORM_TYPE],
            &format!("{honest}{more}"),
        )
        .await
        .unwrap();
        assert_eq!(reply.status, 200, "{more}: {reply:?}");
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["scope"], "deploy:read ledger:read", "{more}");
        let claims = crate::harness::jwt_claims(body["access_token"].as_str().unwrap());
        assert_eq!(claims["iss"], scene.issuer());
        assert!(claims.get("act").is_none());
    }
}

async fn other_methods_are_not_served(scene: &Scene) {
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        for path in FORMS.iter().chain(&["/v1/tasks"]) {
            let reply = send(scene, None, &format!("{method} {path}"), &[], b"")
                .await
                .unwrap();
            assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
            assert!(reply.head.contains("allow: post"), "{reply:?}");
        }
    }
    let overridden = ["x-http-method-override: POST", "x-method-override: POST"];
    let reply = send(
        scene,
        None,
        "GET /oauth2/token?_method=POST",
        &overridden,
        b"",
    )
    .await;
    assert_eq!(reply.unwrap().status, 405);
    for method in ["TRACE", "CONNECT", "FOO"] {
        let reply = send(scene, None, &format!("{method} /oauth2/token"), &[], b"").await;
        if let Ok(reply) = reply {
            assert!((400..=501).contains(&reply.status), "{reply:?}");
        }
    }
}

async fn tokens_in_the_url_are_refused(scene: &Scene) {
    let token = bearer(scene).await;
    for path in [
        "/v1/revocations",
        "/v1/feed",
        "/.well-known/jwks.json",
        "/oauth2/token",
        "/nowhere",
    ] {
        for name in ["access_token", "access%5Ftoken"] {
            let reply = send(scene, None, &format!("GET {path}?{name}={token}"), &[], b"")
                .await
                .unwrap();
            assert_eq!(reply.status, 400, "{path}: {reply:?}");
            assert!(!reply.body.contains(&token));
        }
    }
    let log = std::fs::read_to_string(&scene.server.log).unwrap();
    assert!(
        !log.contains(&token[..20]) && !log.contains("access_token="),
        "a token in the log"
    );
}

async fn headers_do_not_speak_for_the_connection(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let pem = svid.cert_chain_pem.replace('\n', "%0A");
    let id = "spiffe://prod.example.org/payments/worker";
    let form = worker_form(&svid);
    for header in [
        format!("x-forwarded-client-cert: URI={id};Cert=\"{pem}\""),
        format!("x_forwarded_client_cert: URI={id}"),
        "client-cert: :MIIB:".to_owned(),
        "client-cert-chain: :MIIB:".to_owned(),
        format!("x-ssl-client-cert: {pem}"),
        "ssl-client-verify: SUCCESS".to_owned(),
        format!("x-spiffe-id: {id}"),
    ] {
        let reply = send(scene, None, TOKEN, &[FORM_TYPE, &header], form.encoded()).await;
        refused(&reply.unwrap(), 400, "invalid_request");
        let reply = send(scene, None, "GET /v1/revocations", &[&header], b"")
            .await
            .unwrap();
        assert!(
            reply.status == 400 || reply.status == 401,
            "{header}: {reply:?}"
        );
    }
    // A header that says where the request came from is no evidence either; it is not believed.
    let forwarded = [
        FORM_TYPE,
        "x-forwarded-for: 203.0.113.9",
        "forwarded: for=203.0.113.9",
    ];

    let reply = send(scene, Some(&svid), TOKEN, &forwarded, form.encoded())
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(
        scene
            .server
            .audit_lines()
            .iter()
            .all(|line| line["peer"] == "127.0.0.1")
    );

    for value in ["Basic d29ya2VyOnB3", "Bearer x", "DPoP x", "Negotiate x"] {
        let header = format!("authorization: {value}");

        let reply = send(
            scene,
            Some(&svid),
            TOKEN,
            &[FORM_TYPE, &header],
            form.encoded(),
        )
        .await;
        let reply = reply.unwrap();
        refused(&reply, 401, "invalid_client");
        assert!(reply.head.contains("www-authenticate: "), "{reply:?}");
    }
    let twice = ["authorization: Bearer a", "authorization: Bearer b"];
    let reply = send(scene, Some(&svid), "GET /v1/revocations", &twice, b"")
        .await
        .unwrap();
    assert_eq!(reply.status, 400, "{reply:?}");
    let dpop = [FORM_TYPE, "dpop: eyJ.eyJ.x"];
    let reply = send(scene, Some(&svid), TOKEN, &dpop, form.encoded()).await;
    refused(&reply.unwrap(), 400, "invalid_request");
}

async fn json_is_strict_and_bounded(scene: &Scene) {
    let console = scene.world.svid("platform/console");
    let deep =
        |levels: usize| format!("{{\"task\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let long = format!(
        "{{\"task\":\"payments/t\",\"reason\":\"{}\"}}",
        "x".repeat(MAX_BODY_BYTES)
    );
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("null", 400),
        ("\"payments/t\"", 400),
        ("{\"task\":\"payments/t\"} {}", 400),
        ("{\"task\":\"payments/t\",\"task\":\"payments/u\"}", 400),
        (
            "{\"task\":\"payments/t\",\"\\u0074ask\":\"payments/u\"}",
            400,
        ),
        ("{\"task\":\"payments/t\",\"unknown\":1}", 400),
        ("{\"task\":\"payments/t\",\"deadline\":1e400}", 400),
        ("{\"task\":\"payments/t\",\"deadline\":\"2999-01-01\"}", 400),
        ("{\"task\":\"payments/t\",\"deadline\":-1}", 400),
        ("{\"task\":\"../t\"}", 400),
        ("\u{feff}{\"task\":\"payments/t\"}", 400),
        (&*deep(15), 400),
        (&*deep(30_000), 400),
        (&*"[".repeat(MAX_BODY_BYTES), 400),
        (&*long, 413),
    ] {
        let started = Instant::now();
        let shown = &body[..body.len().min(60)];
        for (svid, wanted) in [(Some(&console), status), (None, 401)] {
            let kind = ["content-type: application/json"];
            let reply = send(scene, svid, "POST /v1/tasks", &kind, &body).await;
            // Without a caller the body need not even be read.
            match reply {
                Ok(reply) => assert_eq!(reply.status, wanted, "{shown}: {reply:?}"),
                Err(error) => assert!(wanted == 401 || wanted == 413, "{shown}: {error}"),
            }
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{shown}");
    }
    let details = "[".repeat(8000);
    let svid = scene.world.svid("books/clerk");
    let form = Form::client_credentials(&svid.spiffe_id, LEDGER_API)
        .with("authorization_details", &details);
    scene
        .server
        .token(Some(&svid), &form)
        .await
        .refused(400, "invalid_authorization_details");
    let typed = scene
        .server
        .client(Some(&console))
        .post(format!("{}/v1/tasks", scene.issuer()));
    let typed = typed
        .header("content-type", "text/plain")
        .body("{\"task\":\"payments/t\"}");
    assert_eq!(Answer::read(typed.send().await.unwrap()).await.status, 415);
}

async fn framing_is_unambiguous(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let body = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API).encoded();
    let length = body.len();
    let head = format!("POST /oauth2/token HTTP/1.1\r\nhost: x\r\n{FORM_TYPE}\r\n");
    for framing in [
        format!(
            "content-length: {length}\r\ncontent-length: {}\r\n\r\n{body}",
            length + 1
        ),
        format!("content-length: +{length}\r\n\r\n{body}"),
        format!("content-length: {length}\r\ntransfer-encoding: xchunked\r\n\r\n{body}"),
        format!("content-length : {length}\r\n\r\n{body}"),
        format!("{}\r\n\r\n{body}", "x".repeat(200 * 1024)),
        format!(
            "x: {}\r\ncontent-length: {length}\r\n\r\n{body}",
            "x".repeat(500 * 1024)
        ),
        format!(
            "{}content-length: {length}\r\n\r\n{body}",
            "a: b\r\n".repeat(2000)
        ),
    ] {
        let mut connection = connect(scene, Some(&svid)).await;
        let sent = connection.send(format!("{head}{framing}")).await;
        if let (Ok(()), Ok(reply)) = (sent, connection.reply().await) {
            assert!(
                (400..=501).contains(&reply.status),
                "{}: {reply:?}",
                &framing[..40]
            );
        }
    }
    // A request behind a request that was refused is answered for itself or not at all.
    let mut connection = connect(scene, None).await;
    let smuggled = "GET /v1/revocations HTTP/1.1\r\nhost: x\r\n\r\n";
    connection
        .send(format!("{head}content-length: 5\r\n\r\nx=1&y{smuggled}"))
        .await
        .unwrap();
    assert_eq!(connection.reply().await.unwrap().status, 400);
    if let Ok(second) = connection.reply().await {
        assert_eq!(second.status, 401, "{second:?}");
    }
}
