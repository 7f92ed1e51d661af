//! A server on the embedded store dies without a warning, in the middle of its work.

use std::time::Duration;

use super::Bench;
use super::load::Load;
use crate::harness::{Store, id_of};

/// How often it dies.
const KILLS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_released_was_recorded() {
    let mut bench = Bench::start(&Store::Embedded, &["load/one", "load/two"]).await;
    let mut total = 0;
    for kill in 0..KILLS {
        let agents = ["load/one", "load/two"].map(|name| bench.agent(name));
        let load = Load::start(agents.iter().cycle().take(8).cloned());
        // At another point of the work each time.
        tokio::time::sleep(Duration::from_millis(250 + 37 * kill)).await;
        bench.server.kill();
        let seen = load.stop().await;
        assert!(!seen.tokens.is_empty(), "something was released");
        bench.server.launch(&[]).await;
        let console = bench.console();
        for token in &seen.tokens {
            let (status, _) = console.standing(&id_of(token)).await;
            assert_eq!(status, "live", "released and not recorded");
        }
        assert_eq!(console.introspect(&seen.tokens[0]).await["active"], true);
        total += seen.tokens.len();
    }
    println!("cluster: {total} credentials released by a server that was killed {KILLS} times");
}
