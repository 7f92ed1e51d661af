//! The store forgets: it comes back empty, is flushed, or comes back older than it was.
//! What was revoked, held or ended stays so, and what may have been used is not used again.

use std::time::{Duration, Instant};

use dayfly_lab::GithubJob;
use dayfly_ledger::testing::RedisServer;
use redis::Commands as _;
use serde_json::json;

use super::load::Load;
use super::{Bench, store_of};
use crate::harness::{Agent, Answer, Form, PAYMENTS_API, Store, Watcher, eventually, id_of, now};

const FLEET: &[&str] = &["memory/one", "memory/held", "load/one"];

/// What was done before the store forgot it.
struct Past {
    watcher: Watcher,
    revoked: String,
    of_task: String,
    live: String,
    used: String,
    unused: String,
}

impl Past {
    async fn make(bench: &Bench, round: &str) -> Self {
        let watcher = Watcher::start(&bench.world, &bench.server.url).await;
        let (agent, console) = (bench.agent("memory/one"), bench.console());
        let task = format!("task-{round}");
        let (revoked, live) = (agent.token().await, agent.token().await);
        let of_task = agent.ask_for(&task).await.access_token().to_owned();
        // Its issuer's clock is a little ahead of the store's.
        let job = GithubJob::for_audience(&bench.server.url).with("iat", now() + 2);
        let used = bench.world.github.github_token(&job);
        ci(bench, &used).await.access_token();
        let unused = bench.world.ci_token(&bench.server.url);
        console.done("revoke", "credential", &id_of(&revoked)).await;
        assert_eq!(
            console
                .end_task(&format!("memory/{task}"), "revoke")
                .await
                .status,
            200
        );
        console.done("hold", "workload", "memory/held").await;
        let since = Instant::now();
        for token in [&revoked, &of_task] {
            watcher.refuses(token, since).await;
        }
        watcher.accepts(&live).await;
        Self {
            watcher,
            revoked,
            of_task,
            live,
            used,
            unused,
        }
    }

    /// Asserts that the servers and the store know it still, or again.
    async fn is_known(&self, bench: &Bench, redis: &RedisServer, round: &str) {
        let console = bench.console();
        for token in [&self.revoked, &self.of_task] {
            assert_eq!(console.introspect(token).await, json!({ "active": false }));
            assert_eq!(self.watcher.code(token), Some("revoked"));
        }
        assert_eq!(console.introspect(&self.live).await["active"], true);
        assert_eq!(
            console.holds().await,
            [("workload".to_owned(), "memory/held".to_owned())]
        );
        bench
            .agent("memory/held")
            .ask()
            .await
            .refused(400, "unauthorized_client");
        let agent = bench.agent("memory/one");
        agent
            .ask_for(&format!("task-{round}"))
            .await
            .refused(400, "invalid_grant");
        for slot in [
            format!("cut:credential:{}", id_of(&self.revoked)),
            format!("task:memory/task-{round}"),
            "hold:workload:memory/held".to_owned(),
            format!(
                "key:{}",
                crate::harness::jwt_header(&self.live)["kid"]
                    .as_str()
                    .unwrap()
            ),
        ] {
            let known: bool = store_of(redis)
                .hexists("{df0}:control:slots", &slot)
                .unwrap();
            assert!(known, "{slot} was not written back");
        }
        // Somebody who has only just begun to follow learns all of it.
        let late = Watcher::start(&bench.world, &bench.server.url).await;
        for token in [&self.revoked, &self.of_task] {
            assert_eq!(late.code(token), Some("revoked"));
        }
        late.accepts(&self.live).await;
    }

    /// Asserts that evidence that counts once and may have been used is refused, with a word about
    /// what to do, and that fresh evidence is not.
    async fn is_not_used_again(&self, bench: &Bench) {
        for token in [&self.used, &self.unused] {
            let answer = ci(bench, token).await;
            answer.refused(400, "invalid_grant");
            let path = format!("/v1/decisions/{}", answer.text("decision_id"));
            let line = bench.console().get(&path).await.body;
            let reason = line["reason"].as_str().unwrap_or_default();
            assert!(
                ["evidence_predates_store", "replayed"].contains(&reason),
                "{line}"
            );
        }
        eventually("fresh evidence counts", async || {
            let fresh = bench.world.ci_token(&bench.server.url);
            let answer = ci(bench, &fresh).await;
            if answer.status == 200 {
                ci(bench, &fresh).await.refused(400, "invalid_grant");
                return Some(());
            }
            answer.refused(400, "invalid_grant");
            None
        })
        .await;
    }
}

async fn ci(bench: &Bench, assertion: &str) -> Answer {
    let form = Form::jwt_bearer(assertion, PAYMENTS_API).with("task", "forgotten");
    bench.server.token(None, &form).await
}

fn generation(redis: &RedisServer) -> u64 {
    store_of(redis)
        .hget("{df0}:control:head", "generation")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgot_learns_again() {
    let mut redis = RedisServer::start();
    let bench = Bench::start(&Store::Redis(redis.url()), FLEET).await;
    forgets(&bench, &mut redis, "restart", |redis| redis.restart()).await;
    forgets(&bench, &mut redis, "flush", |redis| {
        drop(redis.command(&["FLUSHALL"]))
    })
    .await;
    // An older copy: what came after it is missing.
    redis.command(&["SAVE"]);
    forgets(&bench, &mut redis, "older", |redis| redis.restart()).await;
}

async fn forgets(bench: &Bench, redis: &mut RedisServer, how: &str, forget: fn(&mut RedisServer)) {
    let past = Past::make(bench, how).await;
    let before = generation(redis);
    let load = Load::start([bench.agent("load/one")]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    forget(redis);
    let forgot = Instant::now();
    // A revocation that was acknowledged is never taken back, whatever happens here.
    let agent: Agent = bench.agent("memory/one");
    let first = eventually("issuing goes on", async || {
        assert_eq!(past.watcher.code(&past.revoked), Some("revoked"));
        let answer = agent.ask().await;
        (answer.status == 200 && generation(redis) > before)
            .then(|| answer.access_token().to_owned())
    })
    .await;
    println!("cluster: {how}: issues again after {:?}", forgot.elapsed());
    past.is_known(bench, redis, how).await;
    past.is_not_used_again(bench).await;
    past.watcher.accepts(&first).await;
    load.stop().await;
    // The record is gone with the store; the credential is not, and it can still be ended.
    let console = bench.console();
    console
        .done("revoke", "credential", &id_of(&past.live))
        .await;
    past.watcher.refuses_again(&past.live, Instant::now()).await;
    console.done("lift", "workload", "memory/held").await;
}
