//! Several servers on one Redis, and what holds when something fails: nothing that a client has
//! seen is without its record, nothing that was revoked comes back, and nobody waits for long.

mod cuts;
mod failures;
mod forgery;
mod kills;
mod load;
mod oblivion;
mod pair;
mod races;
mod starts;

use dayfly_ledger::testing::RedisServer;
use redis::Connection;

use crate::harness::{Agent, Deployment, Operator, Store, World, fleet, free_port, id_of};

/// Rates that no load of these tests reaches.
const NO_LIMITS: &str = "\n[limits]\nworkload_per_minute = 1000000\nworkload_burst = 100000\nowner_per_minute = 1000000\nowner_burst = 100000\n";

/// A server on a store, in a world with a fleet.
struct Bench {
    world: World,
    server: Deployment,
}

impl Bench {
    /// A server that is ready.
    async fn start(store: &Store, workloads: &[&str]) -> Self {
        let mut bench = Self::prepare(store, workloads).await;
        bench.server.launch(&[]).await;
        bench
    }

    /// A server that is not started yet.
    async fn prepare(store: &Store, workloads: &[&str]) -> Self {
        let world = World::new().await;
        fleet::write(&world, workloads);
        let issuer = format!("https://127.0.0.1:{}", free_port());
        let server = prepare_server(&world, "dayfly", store, &issuer);
        Self { world, server }
    }

    fn agent(&self, name: &str) -> Agent {
        Agent::new(&self.world, &self.server, name)
    }

    fn console(&self) -> Operator {
        Operator::console(&self.world, &self.server)
    }
}

/// The files of a server without rates.
fn prepare_server(world: &World, name: &str, store: &Store, issuer: &str) -> Deployment {
    let server = Deployment::prepare(world, name, store, issuer);
    let main = std::fs::read_to_string(&server.config).unwrap();
    std::fs::write(&server.config, main + NO_LIMITS).unwrap();
    server
}

/// The store as somebody sees it who has taken it over.
fn store_of(redis: &RedisServer) -> Connection {
    redis::Client::open(redis.url())
        .unwrap()
        .get_connection()
        .unwrap()
}

/// Asserts that every credential that a client has seen has its record, and that none of them
/// counts as never released.
#[track_caller]
fn assert_recorded(redis: &RedisServer, tokens: &[String]) {
    let mut store = store_of(redis);
    for tokens in tokens.chunks(500) {
        let mut pipe = redis::pipe();
        for token in tokens {
            let key = format!("{{df0}}:issuance:{}", id_of(token));
            pipe.cmd("GETRANGE").arg(key).arg(0).arg(0);
        }
        let states: Vec<String> = pipe.query(&mut store).unwrap();
        let lost: Vec<_> = states
            .iter()
            .zip(tokens)
            .filter(|(state, _)| *state != "R")
            .map(|(s, t)| (s, id_of(t)))
            .collect();
        assert!(lost.is_empty(), "released and not recorded: {lost:?}");
    }
}
