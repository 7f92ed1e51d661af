//! A verifier that was cut off: what it says meanwhile, and that it catches up.

use std::time::{Duration, Instant};

use dayfly_ledger::testing::Proxy;
use dayfly_verifier::{Freshness, Verifier};

use crate::harness::{
    Agent, Deployment, Operator, Store, Watcher, World, eventually, fleet, id_of, verdict,
};

const FLEET: &[&str] = &["quiet/one", "quiet/held"];

/// A server behind a line that can be cut. The issuer URL is the line's near end.
struct Line {
    world: World,
    server: Deployment,
    proxy: Proxy,
    issuer: String,
}

impl Line {
    async fn start() -> Self {
        let world = World::new().await;
        fleet::write(&world, FLEET);
        // Where the server listens is known only once its files are written.
        let proxy = Proxy::start(([127, 0, 0, 1], 9).into()).await;
        let issuer = format!("https://{}", proxy.address());
        let mut server = Deployment::prepare(&world, "dayfly", &Store::Embedded, &issuer);
        proxy.retarget(
            server
                .url
                .strip_prefix("https://")
                .unwrap()
                .parse()
                .unwrap(),
        );
        server.launch(&[]).await;
        Self {
            world,
            server,
            proxy,
            issuer,
        }
    }

    fn agent(&self, name: &str) -> Agent {
        Agent::new(&self.world, &self.server, name)
    }

    fn console(&self) -> Operator {
        Operator::console(&self.world, &self.server)
    }

    /// A verifier that gives up earlier than the default.
    async fn cautious(&self) -> Verifier {
        Watcher::following(&self.world, &self.issuer)
            .max_staleness_secs(15)
            .build()
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_that_was_cut_off_catches_up() {
    let mut line = Line::start().await;
    let watcher = Watcher::start(&line.world, &line.issuer).await;
    let cautious = line.cautious().await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(line.agent("quiet/one").token().await);
    }
    let console = line.console();
    for token in &tokens {
        watcher.accepts(token).await;
        assert_eq!(watcher.verdict_in(token, 0), Ok(Freshness::Fresh));
    }

    // The connection breaks, and the next one resumes where it was.
    line.proxy.cut();
    console
        .done("revoke", "credential", &id_of(&tokens[0]))
        .await;
    let took = watcher.refuses_again(&tokens[0], Instant::now()).await;
    println!("revocation/silence: caught up {took:?} after a cut");

    // No line at all. Verification goes on, says how old its knowledge is, and ends when an API
    // has said how old it may be.
    line.proxy.refuse();
    console
        .done("revoke", "credential", &id_of(&tokens[1]))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    watcher.accepts(&tokens[1]).await;
    let later = watcher.verdict_in(&tokens[2], 30);
    assert!(
        matches!(later, Ok(Freshness::Stale { age_secs: 29.. })),
        "{later:?}"
    );
    assert_eq!(verdict(&cautious, &tokens[2], 0), Ok(Freshness::Fresh));
    assert_eq!(verdict(&cautious, &tokens[2], 30), Err("revocation_stale"));
    line.proxy.mend();
    let took = watcher.refuses_again(&tokens[1], Instant::now()).await;
    println!("revocation/silence: caught up {took:?} after the line was back");
    assert_eq!(watcher.verdict_in(&tokens[2], 0), Ok(Freshness::Fresh));

    // The server dies and comes back with its store: nothing is forgotten, and nothing is lost.
    console.done("hold", "workload", "quiet/held").await;
    line.server.kill();
    watcher.accepts(&tokens[2]).await;
    line.server.launch(&[]).await;
    let console = line.console();
    for dead in &tokens[..2] {
        assert_eq!(console.introspect(dead).await["active"], false);
        assert_eq!(watcher.code(dead), Some("revoked"));
    }
    assert_eq!(
        console.holds().await,
        [("workload".to_owned(), "quiet/held".to_owned())]
    );
    line.agent("quiet/held")
        .ask()
        .await
        .refused(400, "unauthorized_client");
    // What the former process signed still counts, and can still be revoked.
    assert_eq!(console.introspect(&tokens[2]).await["active"], true);
    watcher.accepts(&tokens[2]).await;
    console
        .done("revoke", "credential", &id_of(&tokens[2]))
        .await;
    let took = watcher.refuses_again(&tokens[2], Instant::now()).await;
    println!("revocation/silence: caught up {took:?} after a restart");
    // And what the new one signs is accepted without waiting for a maximal age.
    watcher
        .accepts(&line.agent("quiet/one").token().await)
        .await;
    watcher.accepts(&tokens[3]).await;
    // Every follower comes back.
    let code = eventually("the cautious verifier is current", async || {
        verdict(&cautious, &tokens[2], 0).err()
    });
    assert_eq!(code.await, "revoked");
}
