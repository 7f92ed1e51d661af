//! The end: SIGTERM finishes what has begun, and nothing new begins.

use std::time::{Duration, Instant};

use super::{connect, worker_form};
use crate::harness::{Ledger, Scene, eventually, id_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_stop_finishes_its_work() {
    for ledger in [Ledger::Embedded, Ledger::Redis] {
        let mut scene = Scene::start(ledger).await;
        let svid = scene.world.svid("payments/worker");
        let body = worker_form(&svid).encoded();
        let (first, rest) = body.split_at(10);
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        );
        let mut begun = connect(&scene, Some(&svid)).await;
        begun.send(head).await.unwrap();
        let mut follower = connect(&scene, None).await;
        follower
            .send("GET /v1/feed/stream HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let idle = connect(&scene, None).await;
        tokio::time::sleep(Duration::from_millis(200)).await;

        let started = Instant::now();
        scene.server.signal("TERM");
        let client = scene.server.client(None);
        let url = format!("{}/.well-known/jwks.json", scene.issuer());
        eventually("no new connections", async || {
            client.get(&url).send().await.is_err().then_some(())
        })
        .await;
        begun.send(rest).await.unwrap();
        let reply = begun.reply().await.unwrap();
        assert_eq!(reply.status, 200, "what has begun is finished: {reply:?}");
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let id = id_of(body["access_token"].as_str().unwrap());
        drop(idle);
        assert!(scene.server.wait(), "it ends well");
        assert!(
            started.elapsed() < Duration::from_secs(12),
            "{:?}",
            started.elapsed()
        );
        let lines = scene.server.audit_lines();
        assert!(
            lines.iter().any(|line| line["credential_id"] == id),
            "and it is in the trail"
        );
        assert!(!scene.server.socket.exists(), "the socket is gone");
        // It starts again on what it left behind.
        scene.server.launch(&[]).await;
        scene
            .server
            .token(Some(&svid), &worker_form(&svid))
            .await
            .access_token();
    }
}
