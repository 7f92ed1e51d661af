use std::error::Error;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use dayfly_client::{Client, ClientError, Identity, RetryPolicy, Source, TokenRequest};
use dayfly_lab::{LOOPBACK_NAMES, SpiffeCa, TlsAuthority, guard};
use rustls::ServerConfig;
use serde_json::json;

use crate::stage::{AUDIENCE, Answer, METADATA, Stage, TOKEN, metadata, router, token_answer};

const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0aGUtc2VjcmV0LXBheWxvYWQtb2YtdGhpcy10b2tlbiJ9.c2lnbmF0dXJl\
                         LXNpZ25hdHVyZS1zaWduYXR1cmUtc2lnbmF0dXJlLXNpZ25hdHVyZQ";

pub(crate) fn client(stage: &Stage) -> Client {
    stage
        .client()
        .source(Source::token(ASSERTION.to_owned()))
        .build()
        .unwrap()
}

/// Display and Debug of the error and of all its sources.
pub(crate) fn everything(error: &ClientError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source: Option<&dyn Error> = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "tests of waiting")]
fn instant() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_refusal_has_its_code_decision_and_advice() {
    let stage = Stage::new().await;
    let answer = json!({
        "error": "invalid_grant",
        "error_description": format!("the assertion {ASSERTION} was refused"),
        "request_id": "r-1",
        "decision_id": "QAAAAAAAAAAAAAAAAAAAAA",
    });
    stage.script.once(TOKEN, Answer::json(400, &answer));
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("invalid_grant"));
    assert_eq!(error.decision_id(), Some("QAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(error.request_id(), Some("r-1"));
    assert_eq!(error.refusal().unwrap().status, 400);
    assert!(error.advice().unwrap().contains("fresh evidence"));
    assert_eq!(
        error.refusal().unwrap().description.as_deref(),
        Some("the assertion […] was refused"),
        "a server that sends back what it was given must not put it into our logs"
    );
    assert!(
        !everything(&error).contains("the-secret"),
        "{}",
        everything(&error)
    );
    assert!(
        !everything(&error).contains("eyJ"),
        "{}",
        everything(&error)
    );
    assert_eq!(stage.seen(TOKEN).len(), 1, "a refusal is final");
}

#[tokio::test]
async fn problem_documents_and_bare_answers_are_refusals_too() {
    let stage = Stage::new().await;
    let problem = json!({
        "type": "about:blank", "title": "Forbidden", "status": 403, "detail": "this needs dayfly:task",
        "code": "insufficient_scope", "request_id": "r-2",
    });
    stage.script.once(TOKEN, Answer::json(403, &problem));
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.request_id()),
        (Some("insufficient_scope"), Some("r-2"))
    );
    assert_eq!(
        error.refusal().unwrap().description.as_deref(),
        Some("this needs dayfly:task")
    );

    let bare = Answer {
        status: 401,
        headers: vec![("x-request-id", "r-3".into())],
        body: "<html>".into(),
    }
    .header("www-authenticate", r#"Bearer error="invalid_token""#);
    stage.script.once(TOKEN, bare);
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.request_id()),
        (Some("invalid_token"), Some("r-3"))
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let stage = Stage::new().await;
    stage.script.once(TOKEN, Answer::unavailable("1"));
    stage.script.once(
        TOKEN,
        Answer::json(429, &json!({ "error": "temporarily_unavailable" })),
    );
    let begin = instant();
    client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(stage.seen(TOKEN).len(), 3);
}

#[tokio::test]
async fn patience_has_an_end() {
    let stage = Stage::new().await;
    stage.script.always(TOKEN, |_| Answer::unavailable("0"));
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("temporarily_unavailable"));
    assert_eq!(stage.seen(TOKEN).len(), 4);

    stage.script.always(TOKEN, |_| Answer::unavailable("3600"));
    let begin = instant();
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "too long to wait is said at once"
    );
    assert_eq!(
        error.refusal().unwrap().retry_after,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(stage.seen(TOKEN).len(), 5);

    let once = stage
        .client()
        .retry(RetryPolicy::NONE)
        .source(Source::token(ASSERTION.to_owned()))
        .build()
        .unwrap();
    assert!(once.token(&TokenRequest::new(AUDIENCE)).await.is_err());
    assert_eq!(stage.seen(TOKEN).len(), 6);
}

#[tokio::test]
async fn metadata_of_another_issuer_stop_everything() {
    let stage = Stage::new().await;
    for other in [
        "https://evil.example".to_owned(),
        format!("{}/", stage.issuer),
    ] {
        let mut document = metadata(&stage.issuer);
        document["issuer"] = json!(other);
        stage
            .script
            .always(METADATA, move |_| Answer::json(200, &document));
        let error = client(&stage)
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClientError::IssuerMismatch { .. }),
            "{error:?}"
        );
        assert!(error.advice().is_some());
    }
    assert_eq!(stage.seen(TOKEN).len(), 0, "no evidence is sent");
}

#[tokio::test]
async fn evidence_never_travels_in_the_clear() {
    let stage = Stage::new().await;
    let mut document = metadata(&stage.issuer);
    document["token_endpoint"] = json!("http://127.0.0.1:9/oauth2/token");
    stage
        .script
        .always(METADATA, move |_| Answer::json(200, &document));
    // Leave to use plain HTTP elsewhere (to the platform, for tests) does not let an issuer over TLS change to it.
    let lenient = stage.client().danger_allow_http();
    let lenient = lenient.source(Source::token(ASSERTION)).build().unwrap();
    for client in [client(&stage), lenient] {
        let error = client
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClientError::Unencrypted { .. }),
            "{error:?}"
        );
    }

    for issuer in [
        "http://127.0.0.1:9",
        "ftp://sts.example",
        "sts.example",
        "https://user@sts.example",
        "https://s/?a",
    ] {
        assert!(Client::builder(issuer).build().is_err(), "{issuer}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let stage = Stage::new().await;
    let elsewhere = format!("{}/elsewhere", stage.issuer);
    let redirect = |target: &str| Answer {
        status: 307,
        headers: vec![("location", target.to_owned())],
        body: String::new(),
    };
    stage.script.once(TOKEN, redirect(&elsewhere));
    stage
        .script
        .always("/elsewhere", |_| token_answer("eyJ.from.elsewhere", 300));
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().status, 307);
    stage.script.once(METADATA, redirect(&elsewhere));
    assert!(
        client(&stage)
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .is_err()
    );
    assert_eq!(stage.seen("/elsewhere").len(), 0);
}

#[tokio::test]
async fn only_the_pinned_authority_is_trusted() {
    let stage = Stage::new().await;
    let stranger = TlsAuthority::new().unwrap();
    let client = Client::builder(&stage.issuer)
        .ca_pem(stranger.ca_pem())
        .retry(RetryPolicy::NONE)
        .source(Source::token(ASSERTION.to_owned()))
        .build()
        .unwrap();
    let error = client
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Http { .. }), "{error:?}");
    assert!(error.advice().unwrap().contains("CA"));
    assert!(!everything(&error).contains("eyJ"));
    assert_eq!(stage.seen(METADATA).len(), 0);
    for pem in [
        "",
        "rubbish",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let refused = Client::builder(&stage.issuer)
            .ca_pem(pem)
            .build()
            .unwrap_err();
        assert!(
            matches!(refused, ClientError::Configuration { .. }),
            "{pem}"
        );
    }
}

#[tokio::test]
async fn a_refused_certificate_is_named_and_not_shown_again() {
    let stage = Stage::new().await;
    let stranger = SpiffeCa::new("elsewhere.example").unwrap();
    let svid = stranger
        .svid("/payments/worker", Duration::from_secs(600))
        .unwrap();
    let client = stage
        .client()
        .identity(Identity::new(svid.cert_chain_pem, svid.key_pem))
        .build()
        .unwrap();
    let error = client.metadata().await.unwrap_err();
    assert!(!error.is_temporary(), "{error:?}");
    let advice = error.advice().unwrap_or_default();
    assert!(
        advice.contains("refused the client certificate"),
        "{advice}"
    );
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let tls = TlsAuthority::new().unwrap();
    let (chain, key) = tls.server_identity(LOOPBACK_NAMES).unwrap();
    let pem_chain = rustls_pki_types::pem::PemObject::from_pem_slice(chain.as_bytes()).unwrap();
    let pem_key = rustls_pki_types::pem::PemObject::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS12])
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![pem_chain], pem_key)
    .unwrap();
    let config = Arc::new(config);
    let listener = guard::listen(guard::any_port()).await.unwrap();
    let issuer = format!("https://{}", listener.local_addr().unwrap());
    let script = Arc::default();
    let server = dayfly_verifier::tls::Server::new(listener, move || Arc::clone(&config));
    tokio::spawn(server.serve(router(Arc::clone(&script)), std::future::pending()));
    let client = Client::builder(issuer)
        .ca_pem(tls.ca_pem())
        .retry(RetryPolicy::NONE)
        .build()
        .unwrap();
    let error = client.metadata().await.unwrap_err();
    assert!(matches!(error, ClientError::Http { .. }), "{error:?}");
    assert_eq!(script.seen(METADATA).len(), 0);
}

#[tokio::test]
async fn answers_that_are_none() {
    let stage = Stage::new().await;
    let ok = |body: &str| Answer {
        status: 200,
        headers: vec![],
        body: body.to_owned(),
    };
    let cases = [
        ok(""),
        ok("<html>"),
        ok(r#"{"token_type":"Bearer","expires_in":300}"#),
        ok(r#"{"access_token":"","token_type":"Bearer","expires_in":300}"#),
        ok(r#"{"access_token":"a b","token_type":"Bearer","expires_in":300}"#),
        ok(r#"{"access_token":"a\r\nx: y","token_type":"Bearer","expires_in":300}"#),
        ok(r#"{"access_token":"a.b.c","token_type":"N_A","expires_in":300}"#),
        ok(r#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":"300"}"#),
        ok(r#"{"access_token":"a.b.c","token_type":"Bearer"}"#),
        ok(
            r#"{"access_token":"a.b.c","access_token":"d.e.f","token_type":"Bearer","expires_in":300}"#,
        ),
    ];
    for case in cases {
        stage.script.once(TOKEN, case.clone());
        let error = client(&stage)
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClientError::Malformed { .. }),
            "{case:?}: {error:?}"
        );
    }
    stage.script.once(TOKEN, ok(&" ".repeat(1024 * 1024 + 1)));
    let error = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
}

/// While an issuer hangs nobody waits for the others' turns: a hundred callers would wait a hundred times as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn callers_do_not_queue_for_metadata() {
    const CALLERS: usize = 3;
    let stage = Stage::new().await;
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let answer = Arc::clone(&asked);
    stage.script.always(METADATA, move |_| {
        let (count, changed) = &*answer;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let patience = Duration::from_secs(2);
        let (together, _) = tokio::task::block_in_place(|| {
            changed.wait_timeout_while(count, patience, |count| *count < CALLERS)
        })
        .unwrap();
        let status = if *together < CALLERS { 500 } else { 404 };
        Answer::json(status, &json!({}))
    });
    let client = client(&stage);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move { client.metadata().await.unwrap_err() });
    }
    while let Some(error) = callers.join_next().await {
        let status = error.unwrap().refusal().unwrap().status;
        assert_eq!(status, 404, "they all asked at the same time");
    }
}
