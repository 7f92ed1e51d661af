//! A server does not start on what it cannot trust, and says why without showing a secret.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Ledger, Scene};

/// Stands in every file that holds a secret here.
const SECRET: &str = "s3cr3t-canary-0123456789";

/// A file with another content, its mode, and what of the server's words must name it.
struct Row {
    what: &'static str,
    file: &'static str,
    content: String,
    mode: u32,
    named: &'static str,
}

fn row(what: &'static str, file: &'static str, content: &str, named: &'static str) -> Row {
    Row {
        what,
        file,
        content: content.to_owned(),
        mode: 0o600,
        named,
    }
}

async fn refused(ledger: Ledger, row: Row) {
    let mut scene = Scene::prepare(ledger, "").await;
    let path = scene.world.path(row.file);
    // A file that is written again keeps its mode.
    drop(std::fs::remove_file(&path));
    scene.world.write(row.file, &row.content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(row.mode)).unwrap();
    scene.server.spawn(&[]);
    let what = row.what;
    assert!(!scene.server.wait(), "{what}: it ended well");
    let log = std::fs::read_to_string(&scene.server.log).unwrap();
    assert!(
        log.contains(row.named),
        "{what}, and {} is not named: {log}",
        row.named
    );
    let bytes: Vec<String> = SECRET.bytes().map(|byte| byte.to_string()).collect();
    assert!(
        !log.contains(SECRET) && !log.contains(&bytes.join(", ")),
        "{what}: {log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_on_a_broken_trust() {
    let world = Scene::prepare(Ledger::Embedded, "").await.world;
    let leaf = world.svid("a/b").cert_chain_pem;
    let key = world.svid("a/b").key_pem;
    for row in [
        row("an empty bundle", "prod.pem", "", "prod.example.org"),
        row("a leaf as a root", "prod.pem", &leaf, "prod.example.org"),
        row("a key as a bundle", "prod.pem", &key, "prod.example.org"),
        row(
            "half a registry",
            "registry/payments/payments.toml",
            "[owner",
            "payments.toml",
        ),
        row(
            "an empty registry file",
            "registry/payments/payments.toml",
            "",
            "payments.toml",
        ),
        row(
            "a guardrail that permits",
            "policies/guardrails.cedar",
            "permit(principal, action, resource);",
            "guardrails.cedar",
        ),
        row("no main file", "dayfly.toml", "", "dayfly.toml"),
        row(
            "a main file that is none",
            "dayfly.toml",
            "{}",
            "dayfly.toml",
        ),
    ] {
        refused(Ledger::Embedded, row).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_shown_when_it_is_refused() {
    let broken = format!("-----BEGIN PRIVATE KEY-----{SECRET}{SECRET}");
    let readable = |file, named| Row {
        mode: 0o644,
        ..row("a secret for all", file, SECRET, named)
    };
    for row in [
        row("a key that is none", "dayfly/server.key", SECRET, "TLS"),
        row("a broken key", "dayfly/server.key", &broken, "TLS"),
        readable("dayfly/server.key", "server.key"),
    ] {
        refused(Ledger::Embedded, row).await;
    }
    for row in [
        row("a short secret", "cluster.secret", SECRET, "cluster secret"),
        row("an empty secret", "cluster.secret", "", "cluster"),
        readable("cluster.secret", "cluster.secret"),
    ] {
        refused(Ledger::Redis, row).await;
    }
}

/// A password belongs into a file of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_a_url_is_refused_and_not_repeated() {
    let mut scene = Scene::prepare(Ledger::Redis, "").await;
    let text = std::fs::read_to_string(&scene.server.config).unwrap();
    let with = text.replace("redis://", &format!("redis://:{SECRET}@"));
    assert_ne!(with, text);
    std::fs::write(&scene.server.config, with).unwrap();
    scene.server.spawn(&[]);
    assert!(!scene.server.wait(), "it ended well");
    let log = std::fs::read_to_string(&scene.server.log).unwrap();
    assert!(
        log.contains("redis_password_file") && !log.contains(SECRET),
        "{log}"
    );
}
