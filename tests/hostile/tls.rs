//! The TLS of the public listener, seen by programs of other people: `openssl` and `curl`.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::worker_form;
use crate::harness::{Answer, Form, Ledger, PAYMENTS_API, Scene, has_program, jwt_claims};

const REQUEST: &str =
    "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Whether a program is there; says so if it is not.
fn found(program: &str) -> bool {
    let found = has_program(program);
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// `openssl s_client` with these arguments, which sends a request and reads to the end.
fn s_client(scene: &Scene, arguments: &[&str]) -> (bool, String) {
    use std::io::Write as _;
    let address = scene.issuer().strip_prefix("https://").unwrap();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", address, "-CAfile"])
        .arg(scene.world.path("ca.pem"))
        .args(["-verify_return_error", "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(REQUEST.as_bytes()));
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = [stdout, stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    (status.success(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_gets_tls_13_and_no_session_to_keep() {
    if !found("openssl") {
        return;
    }
    let scene = Scene::start(Ledger::Embedded).await;
    let (good, text) = s_client(&scene, &["-tls1_3"]);
    assert!(
        good && text.contains("HTTP/1.1 200") && text.contains("TLSv1.3"),
        "{text}"
    );
    for old in ["-tls1_2", "-tls1_1", "-no_tls1_3"] {
        let (_, text) = s_client(&scene, &[old]);
        assert!(!text.contains("HTTP/1.1 200"), "{old}: {text}");
    }
    let (_, text) = s_client(&scene, &["-ciphersuites", "TLS_AES_128_CCM_8_SHA256"]);
    assert!(!text.contains("HTTP/1.1 200"), "{text}");

    let session = scene.world.path("session.pem");
    let name = session.to_str().unwrap();
    let (svid, key) = identity(&scene, "payments/worker");
    let shown = [
        "-cert",
        svid.to_str().unwrap(),
        "-key",
        key.to_str().unwrap(),
    ];
    let (_, text) = s_client(&scene, &[&shown[..], &["-sess_out", name]].concat());
    assert!(text.contains("HTTP/1.1 200"), "{text}");
    assert!(!text.contains("New Session Ticket"), "a ticket: {text}");
    assert!(
        text.contains("Acceptable client certificate CA names")
            || text.contains("No client certificate CA names sent"),
        "{text}"
    );
    if session.exists() {
        let (_, text) = s_client(&scene, &["-sess_in", name]);
        assert!(!text.contains("Reused, TLSv1.3"), "{text}");
    }
    // Early data would be replayable.
    assert!(!text.contains("Early data was accepted"), "{text}");
    let (_, text) = s_client(&scene, &["-servername", "evil.example.org"]);
    assert!(
        text.contains("HTTP/1.1 200"),
        "the name of the listener decides nothing: {text}"
    );
}

/// Files with an SVID and its key, as programs want them.
fn identity(scene: &Scene, workload: &str) -> (PathBuf, PathBuf) {
    let svid = scene.world.svid(workload);
    let chain = scene.world.write("client.pem", &svid.cert_chain_pem);
    (chain, scene.world.write_secret("client.key", &svid.key_pem))
}

/// `curl`, and what it got as JSON.
fn curl(scene: &Scene, path: &str, arguments: &[&str]) -> (u16, Value) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "15",
            "--noproxy",
            "*",
            "--write-out",
            "\n%{http_code}",
            "--cacert",
        ])
        .arg(scene.world.path("ca.pem"))
        .args(arguments)
        .arg(format!("{}{path}", scene.issuer()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (
        status.parse().unwrap(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_a_client() {
    if !found("curl") {
        return;
    }
    let scene = Scene::start(Ledger::Embedded).await;
    let (chain, key) = identity(&scene, "payments/worker");
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let client_id = "client_id=spiffe://prod.example.org/payments/worker";
    let audience = format!("audience={PAYMENTS_API}");
    let form = [
        "--cert",
        chain,
        "--key",
        key,
        "--data-urlencode",
        "grant_type=client_credentials",
        "--data-urlencode",
        client_id,
        "--data-urlencode",
        &audience,
    ];
    for version in ["--http1.1", "--http2"] {
        let (status, body) = curl(&scene, "/oauth2/token", &[&form[..], &[version]].concat());
        assert_eq!(status, 200, "{version}: {body}");
        let claims = jwt_claims(body["access_token"].as_str().unwrap());
        assert_eq!(claims["sub"], "spiffe://sts.example.org/payments/worker");
        assert!(claims["cnf"]["x5t#S256"].is_string());
    }
    let (status, body) = curl(&scene, "/oauth2/token", &form[4..]);
    assert_eq!(
        (status, &body["error"]),
        (401, &"invalid_client".into()),
        "without the certificate"
    );
    let (status, _) = curl(
        &scene,
        "/oauth2/token",
        &[&form[..], &["--tls-max", "1.2"]].concat(),
    );
    assert_eq!(status, 0, "no TLS 1.2");

    let assertion = format!("assertion={}", scene.world.ci_token(scene.issuer()));
    let job = [
        "--data-urlencode",
        "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer",
        "--data-urlencode",
        &assertion,
        "--data-urlencode",
        &audience,
        "--data",
        "task=curl-1",
    ];
    let (status, body) = curl(&scene, "/oauth2/token", &job);
    assert_eq!(status, 200, "{body}");
    let header = format!(
        "authorization: Bearer {}",
        body["access_token"].as_str().unwrap()
    );
    let (status, body) = curl(
        &scene,
        "/v1/tasks/payments/curl-1/complete",
        &["--request", "POST", "--header", &header],
    );
    assert_eq!(
        (status, &body["state"]),
        (200, &"completed".into()),
        "{body}"
    );
    let socket = scene.server.socket.to_str().unwrap();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--noproxy",
            "*",
            "--unix-socket",
            socket,
            "http://localhost/v1/revocations",
        ])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"{\"holds\":[]}");
}

/// A certificate of ours satisfies `openssl verify`, with nothing but the published bundle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_verifies_our_certificates() {
    if !found("openssl") {
        return;
    }
    let scene = Scene::start(Ledger::Embedded).await;
    let svid = scene.world.svid("payments/worker");
    let key = scene.world.path("new.key");
    let csr = scene.world.path("new.csr");
    let made = Command::new("openssl")
        .args([
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=x",
        ])
        .args(["-outform", "DER", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&csr)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let csr = dayfly_token::base64url::encode(std::fs::read(csr).unwrap());
    let form = Form::default()
        .with("client_id", &svid.spiffe_id)
        .with("csr", &csr);
    let answer: Answer = scene.server.post("/v1/x509", Some(&svid), &form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let bundle = scene.server.get("/spiffe/bundle.json", None).await.body;
    let pem = |base64: &Value| {
        let lines: Vec<_> = base64
            .as_str()
            .unwrap()
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    };
    let root = scene
        .world
        .write("root.pem", &pem(&bundle["keys"][0]["x5c"][0]));
    let leaf = scene
        .world
        .write("leaf.pem", &pem(&answer.body["certificate_chain"][0]));
    let between = scene
        .world
        .write("between.pem", &pem(&answer.body["certificate_chain"][1]));
    for purpose in ["sslclient", "sslserver"] {
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
            .arg(&root)
            .arg("-untrusted")
            .arg(&between)
            .arg(&leaf)
            .output()
            .unwrap();
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stderr)
        );
    }
    // It is for TLS between workloads; here it proves nobody: our own domain is no source.
    let (chain, key) = (
        std::fs::read_to_string(leaf).unwrap() + &std::fs::read_to_string(between).unwrap(),
        std::fs::read_to_string(key).unwrap(),
    );
    let ours = dayfly_lab::Svid {
        cert_chain_pem: chain,
        key_pem: key,
        ..svid
    };
    let url = format!("{}/oauth2/token", scene.issuer());
    let sent = scene
        .server
        .client(Some(&ours))
        .post(url)
        .form(&worker_form(&ours).0)
        .send()
        .await;
    if let Ok(answer) = sent {
        assert_eq!(answer.status(), 401);
    }
}
