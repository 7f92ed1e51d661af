//! Hot reload: what is broken never takes effect, and what is good does.

use std::time::Duration;

use super::{still_serves, worker_form};
use crate::harness::{Answer, Form, LEDGER_API, Ledger, Scene, eventually, now};

/// Longer than the server needs to see that a file has changed.
const SEEN: Duration = Duration::from_secs(3);

const FILE: &str = "registry/payments/payments.toml";

async fn worker(scene: &Scene, scope: &str) -> Answer {
    let svid = scene.world.svid("payments/worker");
    scene
        .server
        .token(Some(&svid), &worker_form(&svid).with("scope", scope))
        .await
}

fn log(scene: &Scene) -> String {
    std::fs::read_to_string(&scene.server.log).unwrap()
}

/// The log has said something since it had this length.
async fn says(scene: &Scene, from: usize, words: &[&str]) {
    eventually(&format!("{words:?} in the log"), async || {
        let text = log(scene);
        let line = text[from..]
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        line.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_registry_changes_nothing() {
    let scene = Scene::start(Ledger::Embedded).await;
    let path = scene.world.path(FILE);
    let good = std::fs::read_to_string(&path).unwrap();
    worker(&scene, "ledger:read").await.access_token();
    let half = &good[..good.len() / 2];
    let wider = good.replace(
        "scopes = [\"ledger:read\", \"deploy:read\"]",
        "scopes = [\"deploy:write\", \"ledger:read\"]",
    );
    assert_ne!(wider, good);
    for broken in [
        String::new(),
        "\n\n".to_owned(),
        half.to_owned(),
        format!("{wider}\nunknown = 1\n"),
        wider.replace(
            "environment = \"prod\"\npurpose = \"books",
            "environment = \"PROD\"\npurpose = \"books",
        ),
        wider.replace("repository_owner_id = \"65\", ", ""),
        "\u{0}\u{0}\u{0}".to_owned(),
    ] {
        let from = log(&scene).len();
        std::fs::write(&path, &broken).unwrap();
        says(&scene, from, &["\"level\":\"ERROR\"", "payments.toml"]).await;
        worker(&scene, "ledger:read").await.access_token();
        worker(&scene, "deploy:write")
            .await
            .refused(400, "invalid_scope");
        let metrics = super::metrics::text(&scene).await;
        assert!(
            metrics.contains("dayfly_stale_config{part=\"policy\"} 1"),
            "{metrics}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(SEEN).await;
    worker(&scene, "ledger:read").await.access_token();

    // What is good takes effect, and what it takes away is gone.
    std::fs::write(&path, &wider).unwrap();
    let answer = eventually("the wider grant", async || {
        Some(worker(&scene, "deploy:write").await).filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(answer.body["scope"], "deploy:write");
    worker(&scene, "deploy:read")
        .await
        .refused(400, "invalid_scope");
    let metrics = super::metrics::text(&scene).await;
    assert!(
        metrics.contains("dayfly_stale_config{part=\"policy\"} 0"),
        "{metrics}"
    );
    still_serves(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_guardrail_still_guards() {
    let scene = Scene::start(Ledger::Embedded).await;
    let path = scene.world.path("policies/guardrails.cedar");
    let good = std::fs::read_to_string(&path).unwrap();
    let audit = async || {
        let long = serde_json::json!({ "exp": now() + 1800 });
        let form = Form::jwt_bearer(&scene.forged(long), LEDGER_API);
        scene
            .server
            .token(None, &form.with("scope", "ledger:audit"))
            .await
    };
    audit().await.refused(400, "unauthorized_client");
    for broken in [
        &good[..good.len() - 20],
        "forbid(",
        "permit(principal, action, resource);",
        &good.replace("context.lifetime", "context.nothing"),
    ] {
        let from = log(&scene).len();
        std::fs::write(&path, broken).unwrap();
        says(&scene, from, &["\"level\":\"ERROR\"", "guardrails.cedar"]).await;
        audit().await.refused(400, "unauthorized_client");
    }
    std::fs::write(&path, good.replace("> 600", "> 3600")).unwrap();
    eventually("the wider guardrail", async || {
        (audit().await.status == 200).then_some(())
    })
    .await;
    // One more guardrail takes effect as well: adding one never adds a permission.
    let more = "@id(\"closed\") @reason(\"a test\") forbid(principal, action, resource);";
    scene.world.write("policies/closed.cedar", more);
    eventually("the door is closed", async || {
        (audit().await.status == 400).then_some(())
    })
    .await;
    worker(&scene, "ledger:read")
        .await
        .refused(400, "unauthorized_client");
    std::fs::remove_file(scene.world.path("policies/closed.cedar")).unwrap();
    eventually("the door is open", async || {
        (audit().await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_file_is_reloaded_with_care() {
    let scene = Scene::start(Ledger::Embedded).await;
    let good = std::fs::read_to_string(&scene.server.config).unwrap();
    let write = |text: &str| std::fs::write(&scene.server.config, text).unwrap();
    let api = scene.world.svid("payments/api");
    let listed = async || scene.server.get("/v1/revocations", Some(&api)).await.status;
    assert_eq!(listed().await, 403);
    for broken in [
        String::new(),
        good[..200].to_owned(),
        format!("{good}\nunknown = 1\n"),
        good.replace("prod.pem", "missing.pem"),
    ] {
        let from = log(&scene).len();
        write(&broken);
        says(&scene, from, &["\"level\":\"ERROR\""]).await;
        worker(&scene, "ledger:read").await.access_token();
        assert_eq!(listed().await, 403);
    }
    let more = "\n[[grant]]\nworkload = \"payments/api\"\nscopes = [\"dayfly:hold\"]\nowner = \"payments\"\n";
    write(&format!("{good}{more}"));
    eventually("the new right", async || {
        (listed().await == 200).then_some(())
    })
    .await;
    write(&good);
    eventually("it is taken back", async || {
        (listed().await == 403).then_some(())
    })
    .await;

    // What cannot change while the process runs is said, and does not change.
    let from = log(&scene).len();
    write(&good.replace(
        "trust_domain = \"sts.example.org\"",
        "trust_domain = \"other.example.org\"",
    ));
    says(&scene, from, &["trust_domain"]).await;
    let answer = worker(&scene, "ledger:read").await;
    let claims = crate::harness::jwt_claims(answer.access_token());
    assert_eq!(claims["sub"], "spiffe://sts.example.org/payments/worker");
}

/// The server's own certificate is replaced without a restart, and never by half of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_the_listener_is_renewed() {
    let scene = Scene::start(Ledger::Embedded).await;
    let other = dayfly_lab::TlsAuthority::new().unwrap();
    let (cert, key) = other.server_identity(dayfly_lab::LOOPBACK_NAMES).unwrap();
    let trusts_other = crate::harness::client(&other.ca_pem(), None);
    let url = format!("{}/.well-known/jwks.json", scene.issuer());
    assert!(trusts_other.get(&url).send().await.is_err());
    scene.world.write("dayfly/server.pem", &cert);
    tokio::time::sleep(SEEN).await;
    assert_eq!(
        scene
            .server
            .get("/.well-known/jwks.json", None)
            .await
            .status,
        200,
        "not without its key"
    );
    // A key that lost its line ends is refused, and what is said of it does not show it.
    let from = log(&scene).len();
    let one_line = key.replace('\n', "");
    scene.world.write_secret("dayfly/server.key", &one_line);
    says(&scene, from, &["\"level\":\"ERROR\"", "\"part\":\"tls\""]).await;
    let said = log(&scene);
    let middle = &one_line[60..100];
    let bytes: Vec<String> = middle.bytes().map(|byte| byte.to_string()).collect();
    assert!(
        !said.contains(middle) && !said.contains(&bytes.join(", ")),
        "the key is in the log"
    );
    scene.world.write_secret("dayfly/server.key", &key);
    eventually("the new certificate", async || {
        trusts_other
            .get(&url)
            .send()
            .await
            .ok()
            .filter(|answer| answer.status() == 200)
    })
    .await;
}
