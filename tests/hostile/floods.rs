//! Strangers who take connections and do nothing with them.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::{connect, still_serves, worker_form};
use crate::harness::{Connection, Ledger, Scene, eventually};

/// More than may be in a handshake at once.
const SILENT: usize = 300;
/// Requests that never end.
const ENDLESS: usize = 60;
/// How long an honest caller may wait meanwhile, on a machine that runs other tests.
const MOST: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_strangers_keep_nobody_out() {
    let scene = Scene::start(Ledger::Embedded).await;
    still_serves(&scene).await;
    let before = descriptors(&scene);
    let address = scene.issuer().strip_prefix("https://").unwrap();

    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    honest_callers_are_served(&scene).await;

    let mut endless: Vec<Connection> = Vec::new();
    for n in 0..ENDLESS {
        let mut connection = connect(&scene, None).await;
        let part = if n % 2 == 0 {
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nx-slow:"
        } else {
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\ngrant_type="
        };
        connection.send(part).await.unwrap();
        endless.push(connection);
    }
    honest_callers_are_served(&scene).await;
    let jwks = scene.server.get("/.well-known/jwks.json", None).await;
    assert_eq!(jwks.status, 200);

    drop((silent, endless));
    eventually("nothing is left of them", async || {
        (descriptors(&scene) <= before + 16).then_some(())
    })
    .await;
    still_serves(&scene).await;
}

/// Several, each over a new connection.
async fn honest_callers_are_served(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    for _ in 0..3 {
        let started = Instant::now();
        let answer = scene.server.token(Some(&svid), &worker_form(&svid)).await;
        answer.access_token();
        assert!(started.elapsed() < MOST, "{:?}", started.elapsed());
    }
}

/// The open descriptors of the server; none where the system does not show them.
fn descriptors(scene: &Scene) -> usize {
    let folder = format!("/proc/{}/fd", scene.server.pid());
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
