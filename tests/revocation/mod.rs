//! Revocations and holds of every kind, and how those who must know of them learn of them.

mod credentials;
mod cut_offs;
mod holds;
mod keys;
mod rights;
mod silence;
mod tasks;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Agent, Ledger, Operator, Scene, Watcher, fleet, id_of};

/// Each check has workloads of its own, so that all of them can run at the same time.
const FLEET: &[&str] = &[
    "bystander/one",
    "credentials/parent",
    "credentials/holder",
    "credentials/server",
    "cuts/workload",
    "cuts/revoked",
    "cuts/rule",
    "holds/owner",
    "holds/rule",
    "holds/source",
    "holds/workload",
    "house/one",
    "house/two",
    "keys/signed",
    "rights/one",
    "tasks/one",
    "tasks/two",
];

/// A server, an API that follows it, and somebody who operates it.
struct Stage {
    scene: Scene,
    watcher: Watcher,
    console: Operator,
    ledger: Ledger,
}

impl Stage {
    async fn start(ledger: Ledger) -> Self {
        let mut scene = Scene::prepare(ledger, "").await;
        fleet::write_with_forge(&scene.world, FLEET);
        scene.server.launch(&[]).await;
        let watcher = Watcher::start(&scene.world, scene.issuer()).await;
        let console = Operator::console(&scene.world, &scene.server);
        Self {
            scene,
            watcher,
            console,
            ledger,
        }
    }

    fn agent(&self, name: &str) -> Agent {
        Agent::new(&self.scene.world, &self.scene.server, name)
    }

    /// Asserts that a token counts for everybody.
    async fn lives(&self, token: &str) {
        self.watcher.accepts(token).await;
        assert_eq!(self.console.introspect(token).await["active"], true);
        assert_eq!(
            self.console.standing(&id_of(token)).await,
            ("live".to_owned(), String::new())
        );
    }

    /// Asserts that tokens that were ended at `since` do not count any more: for the follower
    /// within its bound, for the issuer by now.
    async fn dead(&self, what: &str, by: &str, tokens: &[&str], since: Instant) {
        for (n, token) in tokens.iter().enumerate() {
            let took = self.watcher.refuses(token, since).await;
            if n == 0 {
                println!(
                    "revocation/{:?}: {what} reached the API after {took:?}",
                    self.ledger
                );
            }
            assert_eq!(
                self.console.introspect(token).await,
                json!({ "active": false })
            );
            let expected = ("revoked".to_owned(), by.to_owned());
            assert_eq!(
                self.console.standing(&id_of(token)).await,
                expected,
                "{what}"
            );
        }
    }
}

/// Asserts that a workload whose past was cut off at `since` gets nothing at first, never a
/// post-dated credential, and one that counts as soon as it was told to come back.
async fn comes_back(stage: &Stage, agent: &Agent, since: Instant) -> String {
    let wait = agent.ask().await.not_now();
    tokio::time::sleep(wait).await;
    let token = agent.token().await;
    let took = since.elapsed();
    println!(
        "revocation/{:?}: {} has a new credential after {took:?}",
        stage.ledger, agent.name
    );
    // Protocol C: ceil(now + 2δ + D) + 1 is dead, and the next second is not. The rounding up of
    // both instants and of Retry-After makes it at most 10 s.
    assert!(took < Duration::from_secs(11), "{took:?}");
    stage.lives(&token).await;
    token
}

/// All checks at once, and at the end what nothing outlives.
async fn every_kind(ledger: Ledger) {
    let stage = Stage::start(ledger).await;
    let bystander = stage.agent("bystander/one").token().await;
    tokio::join!(
        credentials::one_by_its_id(&stage),
        credentials::one_by_whoever_holds_it(&stage),
        credentials::a_certificate_by_its_serial(&stage),
        credentials::what_is_unknown_is_not_alive(&stage),
        tasks::by_the_console_and_by_possession(&stage),
        tasks::possession_of_another_task_ends_nothing(&stage),
        tasks::a_task_may_have_a_deadline(&stage),
        cut_offs::of_a_workload(&stage),
        cut_offs::and_hold_of_a_workload(&stage),
        cut_offs::and_hold_of_an_owner(&stage),
        cut_offs::of_a_rule(&stage),
        holds::each_kind_closes_its_door(&stage),
        rights::end_at_the_owner(&stage),
    );
    stage.lives(&bystander).await;
    assert!(
        stage.console.holds().await.is_empty(),
        "every hold was lifted"
    );
    keys::a_taint_kills_what_the_key_signed(&stage, &bystander).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store() {
    every_kind(Ledger::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    every_kind(Ledger::Redis).await;
}
