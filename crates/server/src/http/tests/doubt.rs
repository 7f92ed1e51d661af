//! What is said of tokens that this replica cannot judge: nothing, and never that they are dead.

use http::{Request, header};
use serde_json::json;

use super::{API, World, send, write_secret};
use crate::config::RedisUrl;

#[tokio::test]
async fn nothing_is_said_of_tokens_before_control_was_heard() {
    let token = {
        let other = World::new().await;
        other.ci_access("t-1").await.text("access_token")
    };
    // Nobody listens there, so neither keys nor revocations are known.
    let world = World::open("https://localhost:0", false, |config| {
        let folder = config.data_dir.parent().unwrap().to_owned();
        write_secret(&folder, "cluster", &"s".repeat(64));
        let url = "redis://127.0.0.1:1".to_owned();
        config.ledger.redis = Some(RedisUrl::try_from(url).unwrap());
        config.ledger.cluster_secret_file = Some(folder.join("cluster"));
    })
    .await;
    let revoked = world
        .form("/oauth2/revoke", None, &[("token", &token)])
        .await;
    revoked.assert_error(503, "temporarily_unavailable");
    assert_eq!(revoked.header("retry-after"), "1");
    // What is no token at all is no less dead for that.
    let garbage = world
        .form("/oauth2/revoke", None, &[("token", "garbage")])
        .await;
    assert_eq!(garbage.status, 200);
    let console = world.svid("platform/console");
    let known = world
        .form("/oauth2/introspect", Some(&console), &[("token", &token)])
        .await;
    known.assert_error(503, "temporarily_unavailable");
    let caller = Request::get("/v1/revocations")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let caller = send(&world.public, caller).await;
    assert_eq!(caller.status, 503, "{}", caller.json());
}

/// An API must not ask in the name of those whose tokens it receives.
#[tokio::test]
async fn a_token_of_an_api_does_not_speak_for_its_workload() {
    let world = World::new().await;
    world.operate("payments/deploy").await;
    let token = world.ci_access("t-1").await.text("access_token");
    let asked = Request::post("/oauth2/introspect")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(format!("token={token}")))
        .unwrap();
    let answer = send(&world.public, asked).await;
    assert_eq!(answer.json(), json!({ "active": false }));
}

impl World {
    /// Makes a workload an operator of the API beside the others.
    async fn operate(&self, workload: &str) {
        let path = self.dir.path().join("registry/payments/payments.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let operators = format!("operators = [\"{workload}\", ");
        assert!(text.contains(API));
        std::fs::write(&path, text.replacen("operators = [", &operators, 1)).unwrap();
        assert!(self.running.reload().await.is_ok());
    }
}
