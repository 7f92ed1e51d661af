//! `token` and `cert`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Desk;
use super::golden::assert_shape;
use crate::harness::{Cli, FLEET_API, PAYMENTS_API, free_port, has_program, jwt_claims};

pub(super) async fn a_token_by_an_svid(desk: &Desk) {
    let command = desk.with_svid("payments/worker", &["token", "--audience", PAYMENTS_API]);
    let printed = command.run().await;
    // The token alone, ready for a header.
    let claims = jwt_claims(printed.done());
    assert_eq!(claims["sub"], "spiffe://sts.example.org/payments/worker");
    assert_eq!(printed.stderr, "");

    let more = [
        "--scope",
        "ledger:read",
        "--task",
        "t-1",
        "--purpose",
        "a test",
        "--ttl",
        "60",
    ];
    let value = command
        .clone()
        .args(more)
        .args(["--rule", "svid-worker"])
        .json(0)
        .await;
    assert_shape("token", &value);
    assert_eq!(
        (&value["token_type"], &value["scope"]),
        (&json!("Bearer"), &json!("ledger:read"))
    );
    let claims = jwt_claims(value["access_token"].as_str().unwrap());
    assert_eq!(claims["txn"], "payments/t-1");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );

    // The same by the environment, as in a container.
    let svid = desk.svid("payments/worker");
    let ca = desk.scene.world.path("ca.pem");
    let printed = Cli::default()
        .args(["token", "--audience", PAYMENTS_API])
        .env("DAYFLY_ISSUER", desk.scene.issuer())
        .env("DAYFLY_CA_FILE", ca.to_str().unwrap())
        .env("DAYFLY_SVID_CERT_FILE", svid[1].to_str().unwrap())
        .env("DAYFLY_SVID_KEY_FILE", svid[3].to_str().unwrap())
        .run()
        .await;
    assert_eq!(jwt_claims(printed.done())["aud"], PAYMENTS_API);
}

pub(super) async fn a_token_by_a_file(desk: &Desk) {
    let job = desk.scene.world.ci_token(desk.scene.issuer());
    let file = desk.scene.world.write_secret("job.jwt", &job);
    let from = format!("file:{}", file.display());
    let command = desk
        .cli()
        .args([
            "token",
            "--audience",
            PAYMENTS_API,
            "--scope",
            "deploy:write",
            "--task",
            "cli-1",
        ])
        .args(["--from", &from]);
    let claims = jwt_claims(command.run().await.done());
    assert_eq!(
        (&claims["txn"], &claims["scope"]),
        (&json!("payments/cli-1"), &json!("deploy:write"))
    );

    // GitHub's tokens count once.
    let again = command.json(1).await;
    assert_shape("refused", &again);
    assert_eq!(again["error"], "invalid_grant");
}

pub(super) async fn a_token_that_is_less(desk: &Desk) {
    let parent = desk.agent("desk/exchange").token().await;
    let command = desk.cli().args([
        "token",
        "--exchange",
        "--audience",
        FLEET_API,
        "--scope",
        "deploy:read",
    ]);
    let child = command.run_with(&format!("{parent}\n")).await;
    let child = jwt_claims(child.done());
    assert_eq!(child["scope"], "deploy:read");
    assert_eq!(child["dfy"]["anc"], json!([jwt_claims(&parent)["jti"]]));
    let printed = command
        .clone()
        .args(["--task", "t"])
        .run_with(&parent)
        .await;
    assert_eq!(printed.code, 2, "{printed:?}");
}

pub(super) async fn a_refusal_says_what_to_do(desk: &Desk) {
    let command = desk.with_svid(
        "payments/worker",
        &["token", "--audience", "https://no.such.api"],
    );
    let printed = command.run().await;
    assert_eq!(
        (printed.code, printed.stdout.as_str()),
        (1, ""),
        "{printed:?}"
    );
    assert!(printed.stderr.contains("dayfly why "), "{printed:?}");
    let value = command.json(1).await;
    assert_eq!(value["error"], "invalid_target");
    assert!(
        value["decision_id"].is_string() && value["message"].is_string(),
        "{value}"
    );

    // Nobody is there: another status, because the same call may pass later.
    let away = format!("https://127.0.0.1:{}", free_port());
    let command = Cli::at(&away, &desk.scene.world.path("ca.pem"));
    let command = command.args(["token", "--audience", PAYMENTS_API]);
    let command = desk.svid("payments/worker").iter().fold(command, Cli::arg);
    let value = command.json(3).await;
    assert_eq!(value["decision_id"], json!(null), "{value}");
}

pub(super) async fn wrong_calls_are_wrong_calls(desk: &Desk) {
    let token = ["token", "--audience", PAYMENTS_API];
    let missing = ["--from", "file:/no/such/file"];
    let no_ca = Cli::at(desk.scene.issuer(), Path::new("/no/such/ca.pem")).args(token);
    for command in [
        desk.cli().args(["token"]),
        desk.cli().args(token).args(["--from", "nowhere"]),
        desk.cli().args(token).args(["--from", "spiffe"]),
        desk.cli().args(token).args(missing),
        desk.cli().args(token).args(["--svid-cert", "alone.pem"]),
        desk.cli().args(token).args(["--ttl", "soon"]),
        desk.cli().args(["no-such-command"]),
        Cli::default().args(token).args(missing),
        desk.svid("payments/worker").iter().fold(no_ca, Cli::arg),
    ] {
        let printed = command.run().await;
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{command:?}: {printed:?}"
        );
        assert!(!printed.stderr.is_empty(), "{command:?}");
        assert!(!printed.stderr.contains("panicked"), "{printed:?}");
    }
    // In JSON too, where the arguments could be read.
    let value = Cli::default().args(token).args(missing).json(2).await;
    assert_eq!(value["error"], "usage");
    assert!(
        value["advice"].as_str().unwrap().contains("DAYFLY_ISSUER"),
        "{value}"
    );
}

pub(super) async fn a_certificate_in_files(desk: &Desk) {
    let world = &desk.scene.world;
    let (cert, key) = (world.path("leaf.pem"), world.path("leaf.key"));
    let command = desk.with_svid(
        "payments/worker",
        &["cert", "--dns-name", "worker.payments.internal"],
    );
    let command = command
        .args(["--ttl", "300"])
        .arg("--out-cert")
        .arg(&cert)
        .arg("--out-key")
        .arg(&key);
    let value = command.json(0).await;
    assert_shape("cert", &value);
    assert_eq!(
        value["spiffe_id"],
        "spiffe://sts.example.org/payments/worker"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&cert) & 0o022, 0);
    let first = std::fs::read_to_string(&key).unwrap();
    assert!(first.starts_with("-----BEGIN PRIVATE KEY-----"));

    // Again, over the files that are there: another key, and nothing left behind.
    let printed = command.run().await;
    assert!(
        printed
            .done()
            .starts_with("spiffe://sts.example.org/payments/worker"),
        "{printed:?}"
    );
    assert_ne!(std::fs::read_to_string(&key).unwrap(), first);
    assert_eq!(mode(&key), 0o600);
    let beside = std::fs::read_dir(world.folder.path()).unwrap();
    let left = beside.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".new")
    });
    assert_eq!(left.count(), 0);

    openssl_agrees(desk, &cert, &key).await;

    // What is not granted leaves no files.
    let refused = desk.with_svid("payments/api", &["cert", "--out-cert", "/dev/null/x"]);
    let printed = refused
        .arg("--out-key")
        .arg(world.path("none.key"))
        .run()
        .await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(!world.path("none.key").exists());
}

/// The chain ends in the published root, and the key belongs to the leaf.
async fn openssl_agrees(desk: &Desk, cert: &Path, key: &Path) {
    if !has_program("openssl") {
        println!("skipped: no openssl");
        return;
    }
    let bundle = desk
        .scene
        .server
        .get("/spiffe/bundle.json", None)
        .await
        .body;
    let der = STANDARD
        .decode(bundle["keys"][0]["x5c"][0].as_str().unwrap())
        .unwrap();
    let root = desk.scene.world.path("root.der");
    std::fs::write(&root, der).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (cert, key, root_pem) = (
        path(cert),
        path(key),
        path(&desk.scene.world.path("root.pem")),
    );
    openssl(&[
        "x509",
        "-inform",
        "DER",
        "-in",
        &path(&root),
        "-out",
        &root_pem,
    ]);
    let verified = openssl(&[
        "verify",
        "-x509_strict",
        "-CAfile",
        &root_pem,
        "-untrusted",
        &cert,
        &cert,
    ]);
    assert!(verified.contains(": OK"), "{verified}");
    let names = openssl(&["x509", "-in", &cert, "-noout", "-ext", "subjectAltName"]);
    assert!(
        names.contains("URI:spiffe://sts.example.org/payments/worker"),
        "{names}"
    );
    assert!(names.contains("DNS:worker.payments.internal"), "{names}");
    let of_cert = openssl(&["x509", "-in", &cert, "-noout", "-pubkey"]);
    assert_eq!(openssl(&["pkey", "-in", &key, "-pubout"]), of_cert);
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
