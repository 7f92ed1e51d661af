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
        assert_eq!(world.ci_access("t").await.status, 200, "the old policy stays");
    }
    let text = world.running.app.metrics.text();
    assert!(text.contains("dayfly_stale_config{part=\"policy\"} 1"), "{text}");
    write(world.dir.path(), path, &good.replace("require_task = true", "require_task = false"));
    let report = world.running.reload().await;
    assert!(report.is_ok(), "{report:?}");
    assert!(world.running.app.metrics.text().contains("dayfly_stale_config{part=\"policy\"} 0"));
    let token = world.ci_token();
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*token),
        ("audience", super::API),
    ];
    assert_eq!(world.form("/oauth2/token", None, &fields).await.status, 200, "the new one counts");
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
