//! What strangers send must not become labels.

use futures_util::StreamExt as _;
use serde_json::json;

use super::still_serves;
use crate::harness::{Form, LEDGER_API, Ledger, Scene};

/// Different values of each kind.
const VALUES: usize = 500;

/// The metrics of a scene's server.
pub async fn text(scene: &Scene) -> String {
    let client = crate::harness::client(&scene.world.tls.ca_pem(), None);
    let sent = client
        .get(format!("{}/metrics", scene.server.operations))
        .send()
        .await;
    sent.unwrap().text().await.unwrap()
}

/// One stranger's request, different from all others.
async fn strange(scene: &Scene, client: &reqwest::Client, n: usize) {
    let url = scene.issuer();
    let iss = json!({ "iss": format!("https://issuer-{n}.example.org"), "sub": "x", "aud": url });
    let mut header = scene.forge.header();
    header["kid"] = json!(format!("kid-{n}"));
    let claims = json!({ "iss": scene.forge.url(), "sub": format!("sub-{n}"), "aud": url });
    let tokens = [
        scene.forge.token(iss),
        scene.forge.sign_with(&header, &claims),
    ];
    for token in tokens {
        let form = Form::jwt_bearer(&token, &format!("{LEDGER_API}/{n}"))
            .with("rule", &format!("rule-{n}"));
        let sent = client
            .post(format!("{url}/oauth2/token"))
            .form(&form.0)
            .send()
            .await;
        assert_eq!(sent.unwrap().status(), 400);
    }
    let sent = client
        .get(format!("{url}/v1/decisions/{n}/x"))
        .header("user-agent", format!("agent-{n}"))
        .send();
    assert_eq!(sent.await.unwrap().status(), 404);
    let grant = Form::default().with("grant_type", &format!("grant-{n}"));
    let sent = client
        .post(format!("{url}/oauth2/token"))
        .form(&grant.0)
        .send()
        .await;
    assert_eq!(sent.unwrap().status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cannot_make_metrics_grow() {
    let scene = Scene::start(Ledger::Embedded).await;
    let client = scene.server.client(None);
    strange(&scene, &client, 0).await;
    still_serves(&scene).await;
    let before = text(&scene).await;
    futures_util::stream::iter(1..=VALUES)
        .for_each_concurrent(8, |n| strange(&scene, &client, n))
        .await;
    let after = text(&scene).await;
    assert_eq!(
        series(&before),
        series(&after),
        "the same series, only counted further"
    );
    for word in ["issuer-", "kid-", "sub-", "rule-", "agent-", "grant-"] {
        assert!(!after.contains(word), "{word} in the metrics");
    }
    assert!(after.len() < 64 * 1024, "{} bytes", after.len());
    // Strangers' tokens with unknown keys have made the server ask their issuer once or twice.
    assert!(
        scene.forge.requests().jwks <= 4,
        "{:?}",
        scene.forge.requests()
    );
    still_serves(&scene).await;
}

/// The names and labels, without the values.
fn series(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name)
        .collect();
    series.sort_unstable();
    series
}
