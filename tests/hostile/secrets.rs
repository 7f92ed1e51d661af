//! After a run with everything in it, at the loudest log level: no token, key or proof anywhere.

use std::path::Path;

use dayfly_lab::{GithubJob, Svid};
use dayfly_token::base64url;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{metrics, worker_form};
use crate::harness::{Answer, Form, LEDGER_API, Ledger, PAYMENTS_API, Scene, eventually};

/// Texts that must stand nowhere, each with what it is.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A JWS: the text, each part that is secret, and its first 16 characters.
    fn token(&mut self, what: &str, token: &str) {
        self.add(what, token);
        let signature = token.rsplit('.').next().unwrap();
        if signature.len() >= 16 {
            self.add(&format!("{what}, signature"), signature);
            self.add(
                &format!("{what}, 16 characters of its signature"),
                &signature[..16],
            );
        }
        self.add(
            &format!("{what}, 16 characters"),
            &token[..token.len().min(16)],
        );
        self.add(&format!("{what}, escaped"), &token.replace('.', "%2E"));
    }

    /// A private key: its PEM line by line, and the scalar in hexadecimal and base64.
    fn key(&mut self, what: &str, pem: &str, der: &[u8]) {
        for line in pem.lines().filter(|line| !line.starts_with('-')).skip(1) {
            self.add(what, line);
        }
        // PKCS#8 of P-256: the scalar stands behind 36 bytes.
        let scalar = &der[36..68];
        self.add(
            what,
            &scalar
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        );
        self.add(what, &base64url::encode(scalar));
    }

    fn add(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 15, "{what} is too short to look for");
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// What the first one is that stands in these bytes.
    fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        let text = String::from_utf8_lossy(bytes);
        let found = self
            .0
            .iter()
            .find(|(_, canary)| text.contains(canary.as_str()));
        found.map(|(what, _)| what.as_str())
    }

    #[track_caller]
    fn search(&self, sink: &str, bytes: &[u8]) {
        assert_eq!(self.first_in(bytes), None, "it stands in {sink}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_leaves_with_the_embedded_store() {
    leaves_nothing(Ledger::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_leaves_with_redis() {
    leaves_nothing(Ledger::Redis).await;
}

async fn leaves_nothing(ledger: Ledger) {
    let scene = Scene::start_with(ledger, "", &[("DAYFLY_LOG", "trace")]).await;
    let mut canaries = Canaries::default();
    everything_good(&scene, &mut canaries).await;
    everything_bad(&scene, &mut canaries).await;
    canaries.add("the cluster secret", "0123456789abcdef0123456789abcdef");
    let seen = format!("x{}y", &scene.world.ci_token(scene.issuer())[..30]);
    assert!(
        canaries.first_in(seen.as_bytes()).is_some(),
        "the search finds the beginning of any token"
    );
    assert!(canaries.0.len() > 50, "{}", canaries.0.len());

    the_trail_is_complete(&scene).await;
    let log = std::fs::read(&scene.server.log).unwrap();
    assert!(log.len() > 1000, "the log says something");
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("\"level\":\"DEBUG\""), "it is really loud");
    canaries.search("the log", &log);
    canaries.search(
        "the audit trail",
        &std::fs::read(&scene.server.audit).unwrap(),
    );
    canaries.search("the metrics", metrics::text(&scene).await.as_bytes());
    the_trail_is_made_of_lines(&scene);
    lines_of_the_log_are_json(&text);
    match &scene.redis {
        None => search_folder(&canaries, &scene.world.path("dayfly/data")),
        Some(redis) => {
            redis.command(&["SAVE"]);
            search_folder(&canaries, redis.directory());
        }
    }
    let pid = scene.server.pid();
    for name in ["cmdline", "environ"] {
        let path = format!("/proc/{pid}/{name}");
        // A process that is not dumpable does not let others look.
        if let Ok(bytes) = std::fs::read(&path) {
            canaries.search(&path, &bytes);
        }
    }
}

/// Every way to a credential, and every way to use one.
async fn everything_good(scene: &Scene, canaries: &mut Canaries) {
    let worker = scene.world.svid("payments/worker");
    let clerk = scene.world.svid("books/clerk");
    let console = scene.world.svid("platform/console");
    for svid in [&worker, &clerk, &console] {
        canaries.key("a client's key", &svid.key_pem, &svid.key_der);
    }
    let server = &scene.server;
    let bound = server.token(Some(&worker), &worker_form(&worker)).await;
    canaries.token("a bound token", bound.access_token());
    let form = Form::client_credentials(&clerk.spiffe_id, LEDGER_API);
    let bearer = server
        .token(Some(&clerk), &form)
        .await
        .access_token()
        .to_owned();
    canaries.token("a bearer token", &bearer);

    let job = scene.world.ci_token(scene.issuer());
    canaries.token("a CI token", &job);
    let form = Form::jwt_bearer(&job, PAYMENTS_API)
        .with("task", "t")
        .with("purpose", &bearer[..200]);
    canaries.token(
        "a job's token",
        server.token(None, &form).await.access_token(),
    );
    server
        .token(None, &form)
        .await
        .refused(400, "invalid_grant");

    let child = server
        .token(None, &Form::exchange(&bearer, "access_token", LEDGER_API))
        .await;
    canaries.token("a child", child.access_token());
    let key = KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    canaries.key(
        "a certificate's key",
        &key.serialize_pem(),
        &key.serialize_der(),
    );
    let form = Form::default()
        .with("client_id", &worker.spiffe_id)
        .with("csr", &base64url::encode(csr.der()));
    assert_eq!(
        server.post("/v1/x509", Some(&worker), &form).await.status,
        200
    );

    let form = Form::client_credentials(&console.spiffe_id, scene.issuer());
    let right = server
        .token(Some(&console), &form)
        .await
        .access_token()
        .to_owned();
    canaries.token("an operator's token", &right);
    let client = server.client(Some(&console));
    let url = |path: &str| format!("{}{path}", scene.issuer());
    let listed = client
        .get(url("/v1/revocations"))
        .bearer_auth(&right)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.status(), 200);
    let form = Form::default().with("token", &bearer);
    assert_eq!(
        server
            .post("/oauth2/introspect", Some(&console), &form)
            .await
            .body["active"],
        true
    );
    assert_eq!(server.post("/oauth2/revoke", None, &form).await.status, 200);
    let body =
        json!({ "action": "hold", "kind": "rule", "value": "svid-biller", "reason": "a test" });
    assert_eq!(
        server
            .post_json("/v1/revocations", Some(&console), &body)
            .await
            .status,
        200
    );
}

/// The same secrets where they are refused, and texts that want to leave their line.
async fn everything_bad(scene: &Scene, canaries: &mut Canaries) {
    let server = &scene.server;
    let evil = "a\r\nb\u{1b}[2J\"}\u{2028}{\"outcome\":\"permit\"\u{202e}";
    let claims = json!({ "sub": evil, "aud": scene.issuer(), "project": evil });
    let mut header = scene.forge.header();
    let wrong = scene.forge.token(claims.clone());
    header["kid"] = json!(evil);
    let strange = scene
        .forge
        .sign_with(&header, &json!({ "iss": scene.forge.url(), "sub": evil }));
    let unknown = scene
        .forge
        .token(json!({ "iss": evil, "sub": evil, "aud": evil }));
    let job = GithubJob::for_audience(scene.issuer())
        .with("repository_id", evil)
        .with("environment", evil);
    let job = scene.world.github.github_token(&job);
    let other = scene
        .world
        .github
        .github_token(&GithubJob::for_audience("https://other.example.org"));
    for token in [&wrong, &strange, &unknown, &job, &other] {
        canaries.token("a refused token", token);
        for form in [
            Form::jwt_bearer(token, LEDGER_API),
            Form::exchange(token, "jwt", LEDGER_API),
            Form::exchange(token, "access_token", LEDGER_API),
            Form::default().with("grant_type", token),
            Form::jwt_bearer("x", token),
            Form::jwt_bearer("x", LEDGER_API).with("scope", token),
            Form::jwt_bearer("x", LEDGER_API).with("task", token),
            Form::jwt_bearer("x", LEDGER_API).with("rule", token),
            Form::jwt_bearer("x", LEDGER_API).with("client_secret", token),
        ] {
            let answer = server.token(None, &form).await;
            assert!((400..=401).contains(&answer.status), "{answer:?}");
            assert!(
                !answer.body.to_string().contains(&token[token.len() - 16..]),
                "{answer:?}"
            );
        }
        astray(scene, token).await;
    }
    let svid: Svid = scene.world.svid("payments/worker").with_broken_signature();
    let form = worker_form(&svid).encoded();
    if let Ok(config) = scene.world.tls.client_config(Some(&svid))
        && let Ok(mut connection) = crate::harness::Connection::open(scene.issuer(), config).await
    {
        let headers = ["content-type: application/x-www-form-urlencoded"];
        assert!(
            connection
                .request("POST /oauth2/token", &headers, form.as_bytes())
                .await
                .is_err()
        );
    }
}

/// A token in every place where it does not belong.
async fn astray(scene: &Scene, token: &str) {
    let client = scene.server.client(None);
    let url = |path: &str| format!("{}{path}", scene.issuer());
    let requests = [
        client.get(url("/v1/revocations")).bearer_auth(token),
        client.get(url(&format!("/v1/revocations?access_token={token}"))),
        client.get(url(&format!(
            "/v1/feed/stream?from={token}&access_token={token}"
        ))),
        client
            .get(url(&format!("/v1/decisions/{token}")))
            .bearer_auth(token),
        client.get(url(&format!("/{token}"))),
        client.post(url("/oauth2/token")).bearer_auth(token),
        client
            .get(url("/v1/revocations"))
            .header("authorization", format!("DPoP {token}")),
        client
            .get(url("/v1/revocations"))
            .header("cookie", token)
            .header("user-agent", token),
        client
            .get(url("/v1/revocations"))
            .header("x-request-id", token)
            .header("traceparent", token),
        client
            .post(url("/v1/tasks"))
            .bearer_auth(token)
            .json(&json!({ "task": token })),
    ];
    for request in requests {
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert!((400..=404).contains(&answer.status), "{answer:?}");
        assert!(answer.headers.values().all(|value| {
            !value
                .as_bytes()
                .ends_with(&token.as_bytes()[token.len() - 16..])
        }));
    }
}

/// Waits until what has happened is written.
async fn the_trail_is_complete(scene: &Scene) {
    let denied = |line: &Value| line["outcome"] == "deny";
    eventually("each refused token has its line", async || {
        let lines = scene.server.audit_lines();
        (lines.iter().filter(|line| denied(line)).count() >= 15).then_some(())
    })
    .await;
}

/// Each line is one JSON object, whatever strangers wrote.
fn the_trail_is_made_of_lines(scene: &Scene) {
    for line in scene.server.audit_lines() {
        assert!(
            line["unix_ms"].is_u64() && line["request_id"].is_string(),
            "{line}"
        );
    }
    let text = std::fs::read_to_string(&scene.server.audit).unwrap();
    let plain =
        |character: char| !character.is_control() && !matches!(character, '\u{2028}'..='\u{202e}');
    assert!(
        text.lines().all(|line| line.chars().all(plain)),
        "a line breaks out"
    );
}

fn lines_of_the_log_are_json(log: &str) {
    let (complete, _) = log.rsplit_once('\n').expect("a line");
    for line in complete.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{202e}'),
        "a terminal would obey"
    );
}

fn search_folder(canaries: &Canaries, folder: &Path) {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search_folder(canaries, &path);
        } else if path.is_file() {
            files += 1;
            canaries.search(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
    assert!(files > 0, "{} is empty", folder.display());
}
