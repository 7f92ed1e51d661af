//! Hot reload keeps the last good state, part by part.

use super::{World, write};

#[tokio::test]
async fn a_broken_registry_keeps_the_last_good_one() {
    let world = World::new().await;
    let path = "registry/payments/payments.toml";
    let good = std::fs::read_to_string(world.dir.path().join(path)).unwrap();
    for broken in ["", "[[workload]\n", "[[audience]]\nid = 5\n"] {
        write(world.dir.path(), path, broken);
        let report = world.running.reload().await;
        assert_eq!(report.kept.len(), 1, "{report:?}");
        assert_eq!(report.kept[0].0, "policy");
        assert_eq!(
            world.ci_access("t").await.status,
            200,
            "the old policy stays"
        );
    }
    let text = world.running.app.metrics.text();
    assert!(
        text.contains("dayfly_stale_config{part=\"policy\"} 1"),
        "{text}"
    );
    write(
        world.dir.path(),
        path,
        &good.replace("require_task = true", "require_task = false"),
    );
    let report = world.running.reload().await;
    assert!(report.is_ok(), "{report:?}");
    assert!(
        world
            .running
            .app
            .metrics
            .text()
            .contains("dayfly_stale_config{part=\"policy\"} 0")
    );
    let token = world.ci_token();
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*token),
        ("audience", super::API),
    ];
    assert_eq!(
        world.form("/oauth2/token", None, &fields).await.status,
        200,
        "the new one counts"
    );
}

#[tokio::test]
async fn an_empty_bundle_or_certificate_keeps_the_last_good_one() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    write(world.dir.path(), "prod.pem", "");
    write(world.dir.path(), "tls.crt", "garbage");
    let report = world.running.reload().await;
    let kept: Vec<_> = report.kept.iter().map(|(part, _)| *part).collect();
    assert_eq!(kept, ["bundles", "tls"], "{report:?}");
    assert!(!world.worker_token(&svid).await.is_empty());
}

#[tokio::test]
async fn another_bundle_takes_the_trust_away() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let other = dayfly_lab::SpiffeCa::new("prod.example.org").unwrap();
    write(world.dir.path(), "prod.pem", &other.bundle_pem());
    assert!(world.running.reload().await.is_ok());
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &*svid.spiffe_id),
        ("audience", super::API),
    ];
    let answer = world.form("/oauth2/token", Some(&svid), &fields).await;
    answer.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let world = World::start("https://localhost:0", true, |_| {}).await;
    let path = "registry/payments/payments.toml";
    let text = std::fs::read_to_string(world.dir.path().join(path)).unwrap();
    let before = world.running.app.issuer.policy().version().to_owned();
    // The watch begins in the background; what changes before it is seen by the next change.
    for attempt in 0..20 {
        write(world.dir.path(), path, &format!("{text}\n# {attempt}\n"));
        for _ in 0..10 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if world.running.app.issuer.policy().version() != before {
                return;
            }
        }
    }
    panic!("the change was not noticed");
}

#[tokio::test]
async fn the_main_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = dayfly_lab::TlsAuthority::new()
        .unwrap()
        .server_identity(dayfly_lab::LOOPBACK_NAMES)
        .unwrap();
    write(dir.path(), "tls.crt", &cert);
    super::write_secret(dir.path(), "tls.key", &key);
    for folder in ["registry", "policies"] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let main = "issuer = \"https://localhost:0\"\ntrust_domain = \"sts.example.org\"\n\
        [listen]\npublic = \"127.0.0.1:0\"\noperations = \"127.0.0.1:0\"\n\
        [tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n";
    write(dir.path(), "dayfly.toml", main);
    let settings = crate::app::Settings::load(&dir.path().join("dayfly.toml")).unwrap();
    let running = crate::app::Server::start(settings).await.unwrap();
    assert!(running.reload().await.is_ok());
    write(dir.path(), "dayfly.toml", &format!("{main}nonsense = 1\n"));
    let report = running.reload().await;
    assert_eq!(report.kept[0].0, "config");
    assert!(report.kept[0].1.contains("dayfly.toml:9"), "{report:?}");
    let audited = main.replace("[tls]", "[audit]\nstdout = true\n[tls]");
    write(dir.path(), "dayfly.toml", &audited);
    let report = running.reload().await;
    assert_eq!((report.kept.len(), report.at_restart), (0, vec!["audit"]));
    // In order, so that the same folder can be served again.
    running.shutdown().await;
    write(dir.path(), "dayfly.toml", main);
    let settings = crate::app::Settings::load(&dir.path().join("dayfly.toml")).unwrap();
    let again = crate::app::Server::start(settings).await.unwrap();
    again
        .ready(std::time::Duration::from_secs(5))
        .await
        .unwrap();
}
