//! The store fails in every way there is: each answer is a credential with its record, or a quick
//! refusal; everything else goes on; and it heals by itself.

use std::time::{Duration, Instant};

use dayfly_ledger::testing::{Proxy, RedisServer};

use super::load::Load;
use super::{Bench, assert_recorded};
use crate::harness::{Answer, Store, client, id_of};

/// How long each failure lasts: longer than D, after which control is silent as well.
const OUTAGE: Duration = Duration::from_secs(3);

/// The longest that a public document may take meanwhile.
const DOCUMENT_BOUND: Duration = Duration::from_millis(500);

/// A server, a Redis that keeps what it acknowledged, and a line between them.
struct Failing {
    bench: Bench,
    redis: RedisServer,
    line: Proxy,
}

impl Failing {
    async fn start() -> Self {
        let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let line = Proxy::start(redis.address()).await;
        let bench = Bench::start(&Store::Redis(line.url()), &["load/one", "load/two"]).await;
        Self { bench, redis, line }
    }

    /// Load before, during and after a failure.
    async fn survives(&mut self, what: &str, fail: fn(&mut Self), heal: fn(&mut Self)) {
        let agents = ["load/one", "load/two"].map(|name| self.bench.agent(name));
        let load = Load::start(agents.iter().cycle().take(4).cloned());
        tokio::time::sleep(Duration::from_millis(300)).await;
        fail(self);
        let failed = Instant::now();
        self.goes_on(what).await;
        let revocation = self
            .bench
            .console()
            .change("revoke", "task", "load/unheard")
            .await;
        assert_eq!(revocation.status, 503, "never a false yes: {revocation:?}");
        assert!(
            !revocation.header("retry-after").is_empty(),
            "{revocation:?}"
        );
        tokio::time::sleep(OUTAGE.saturating_sub(failed.elapsed())).await;
        self.bench.server.ready(false).await;
        self.goes_on(what).await;
        heal(self);
        let healed = Instant::now();
        self.bench.server.ready(true).await;
        crate::harness::eventually("issuing goes on", async || {
            (agents[0].ask().await.status == 200).then_some(())
        })
        .await;
        println!(
            "cluster: {what}: issues again {:?} after the end of it",
            healed.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut seen = load.stop().await;
        seen.assert_bounded(what);
        assert!(
            !seen.tokens.is_empty() && !seen.refusals.is_empty(),
            "{what}: both were seen"
        );
        assert_eq!(seen.broken, 0, "{what}: every request was answered");
        assert_recorded(&self.redis, &seen.tokens);
        // The ledger says so too, and nothing that was refused is a live credential there.
        let (status, _) = self.bench.console().standing(&id_of(&seen.tokens[0])).await;
        assert_eq!(status, "live");
    }

    /// What needs no store answers as ever.
    async fn goes_on(&self, what: &str) {
        let server = &self.bench.server;
        let client = client(&self.bench.world.tls.ca_pem(), None);
        for url in [
            format!("{}/livez", server.operations),
            format!("{}/.well-known/jwks.json", server.url),
            format!("{}/v1/trust", server.url),
            format!("{}/v1/feed", server.url),
            format!("{}/.well-known/oauth-authorization-server", server.url),
        ] {
            // The first one opens the connection.
            client.get(&url).send().await.unwrap();
            let started = Instant::now();
            let answer = Answer::read(client.get(&url).send().await.unwrap()).await;
            assert_eq!(answer.status, 200, "{what}: {url}: {answer:?}");
            assert!(
                started.elapsed() < DOCUMENT_BOUND,
                "{what}: {url}: {:?}",
                started.elapsed()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_released_without_a_record_and_nobody_waits() {
    let mut failing = Failing::start().await;
    failing
        .survives(
            "Redis is killed",
            |it| it.redis.kill(),
            |it| it.redis.start_again(),
        )
        .await;
    failing
        .survives("Redis hangs", |it| it.redis.pause(), |it| it.redis.resume())
        .await;
    failing
        .survives("Redis refuses", |it| it.line.refuse(), |it| it.line.mend())
        .await;
    failing
        .survives(
            "the line is dead",
            |it| it.line.freeze(true),
            |it| it.line.freeze(false),
        )
        .await;
    let slow = |it: &mut Failing| it.line.delay(Duration::from_millis(400));
    failing
        .survives("the line is slow", slow, |it| it.line.delay(Duration::ZERO))
        .await;
}
