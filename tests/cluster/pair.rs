//! Two servers on one Redis are one issuer.

use std::time::{Duration, Instant};

use dayfly_keys::KeySet;
use dayfly_ledger::testing::{Proxy, RedisServer};
use dayfly_verifier::{RevocationSource, Verifier};
use futures_util::future::join_all;

use super::load::{Load, Seen};
use super::{assert_recorded, prepare_server, races};
use crate::harness::{
    Agent, Answer, Deployment, FLEET_API, Form, Operator, PAYMENTS_API, Store, Watcher, World,
    eventually, fleet, id_of, jwt_header, verdict,
};

const FLEET: &[&str] = &["pair/one", "pair/cut", "pair/held", "load/one"];

/// How many present one token at the same time, and how often that is done.
const RIVALS: usize = 100;
const RACES: usize = 5;

/// D: how long another server may go on issuing after a hold was acknowledged here.
const HOLD_BOUND: Duration = Duration::from_secs(2);

/// Two servers, and an API behind each.
pub(super) struct Pair {
    world: World,
    redis: RedisServer,
    servers: [Deployment; 2],
    pub(super) watchers: [Watcher; 2],
    issuer: String,
    _balancer: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let (world, redis) = (World::new().await, RedisServer::start());
        fleet::write(&world, FLEET);
        let store = Store::Redis(redis.url());
        // The issuer URL leads to one server or the other, as a load balancer would.
        let balancer = Proxy::start(([127, 0, 0, 1], 9).into()).await;
        let issuer = format!("https://{}", balancer.address());
        let mut first = prepare_server(&world, "first", &store, &issuer);
        first.launch(&[]).await;
        let mut second = prepare_server(&world, "second", &store, &issuer);
        let started = Instant::now();
        second.spawn(&[]);
        second.ready(true).await;
        // Publish before use: the lead of the configuration.
        assert!(
            started.elapsed() >= Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        let mut watchers = Vec::new();
        for server in [&first, &second] {
            balancer.retarget(address_of(server));
            watchers.push(Watcher::start(&world, &issuer).await);
        }
        // Key sets are fetched from the first from now on, and each stream stays where it is.
        balancer.retarget(address_of(&first));
        let watchers = watchers.try_into().ok().expect("two");
        Self {
            world,
            redis,
            servers: [first, second],
            watchers,
            issuer,
            _balancer: balancer,
        }
    }

    pub(super) fn agents(&self, name: &str) -> [Agent; 2] {
        [0, 1].map(|n| Agent::new(&self.world, &self.servers[n], name))
    }

    pub(super) fn consoles(&self) -> [Operator; 2] {
        [0, 1].map(|n| Operator::console(&self.world, &self.servers[n]))
    }

    /// A verifier that has the key set of one server and nothing else.
    async fn verifier_of(&self, n: usize) -> Verifier {
        let jwks = self.servers[n]
            .get("/.well-known/jwks.json", None)
            .await
            .body
            .to_string();
        Verifier::builder(&self.issuer)
            .audience(FLEET_API)
            .keys(KeySet::parse(jwks.as_bytes()).unwrap())
            .revocation(RevocationSource::None)
            .build()
            .unwrap()
    }
}

fn address_of(server: &Deployment) -> std::net::SocketAddr {
    server
        .url
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_are_one_issuer() {
    let mut pair = Pair::start().await;
    keys_are_shared(&pair).await;
    for race in 0..RACES {
        one_of_many_presentations_counts(&pair, race).await;
    }
    what_one_revokes_the_other_knows(&pair).await;
    what_one_holds_the_other_holds(&pair).await;
    races::nothing_passes_a_hold(&pair).await;
    races::a_cut_off_divides_the_past_from_the_future(&pair).await;
    a_server_that_is_told_to_end_leaves_its_key(&mut pair).await;
    a_server_that_is_killed_leaves_its_key(&mut pair).await;
}

async fn keys_are_shared(pair: &Pair) {
    let mut tokens = Vec::new();
    for agent in pair.agents("pair/one") {
        tokens.push(agent.token().await);
    }
    let kid = |token: &str| jwt_header(token)["kid"].clone();
    assert_ne!(kid(&tokens[0]), kid(&tokens[1]), "no private key is shared");
    for n in 0..2 {
        let verifier = pair.verifier_of(n).await;
        for token in &tokens {
            assert!(
                verdict(&verifier, token, 0).is_ok(),
                "{:?}",
                verdict(&verifier, token, 0)
            );
            pair.watchers[n].accepts(token).await;
        }
    }
}

async fn one_of_many_presentations_counts(pair: &Pair, race: usize) {
    let assertion = pair.world.ci_token(&pair.issuer);
    let clients = [0, 1].map(|n| pair.servers[n].client(None));
    let rivals = (0..RIVALS).map(|n| {
        // Different tasks, so that nothing but the evidence is the same.
        let form =
            Form::jwt_bearer(&assertion, PAYMENTS_API).with("task", &format!("race-{race}-{n}"));
        let url = format!("{}/oauth2/token", pair.servers[n % 2].url);
        let request = clients[n % 2].post(url).form(&form.0);
        async move { Answer::read(request.send().await.unwrap()).await }
    });
    let answers = join_all(rivals).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "race {race}: {won:?}");
    for answer in lost {
        answer.refused(400, "invalid_grant");
    }
    assert_recorded(&pair.redis, &[won[0].access_token().to_owned()]);
}

async fn what_one_revokes_the_other_knows(pair: &Pair) {
    let (agents, consoles) = (pair.agents("pair/one"), pair.consoles());
    for (minted, ended) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let token = agents[minted].token().await;
        for (console, watcher) in consoles.iter().zip(&pair.watchers) {
            watcher.accepts(&token).await;
            assert_eq!(console.introspect(&token).await["active"], true);
        }
        consoles[ended]
            .done("revoke", "credential", &id_of(&token))
            .await;
        let since = Instant::now();
        let (near, far) = (&pair.watchers[ended], &pair.watchers[1 - ended]);
        let (near, far) = tokio::join!(near.refuses(&token, since), far.refuses(&token, since));
        println!("cluster: a revocation took {near:?}, and {far:?} by way of the other server");
        for console in &consoles {
            assert_eq!(console.introspect(&token).await["active"], false);
        }
    }
}

async fn what_one_holds_the_other_holds(pair: &Pair) {
    let (agents, consoles) = (pair.agents("pair/held"), pair.consoles());
    for n in 0..2 {
        consoles[n].done("hold", "workload", "pair/held").await;
        let since = Instant::now();
        agents[n].ask().await.refused(400, "unauthorized_client");
        let other = 1 - n;
        eventually("the other server holds", async || {
            (agents[other].ask().await.status == 400).then_some(())
        })
        .await;
        assert!(since.elapsed() < HOLD_BOUND, "{:?}", since.elapsed());
        assert_eq!(consoles[other].holds().await.len(), 1);
        consoles[other].done("lift", "workload", "pair/held").await;
        agents[other].token().await;
        eventually("the first server is free", async || {
            (agents[n].ask().await.status == 200).then_some(())
        })
        .await;
    }
}

/// Load on both servers, while something happens to the second.
async fn under_load(pair: &mut Pair, happens: impl AsyncFnOnce(&mut Deployment)) -> Seen {
    let agents = pair.agents("load/one");
    let load = Load::start(agents.iter().cycle().take(4).cloned());
    tokio::time::sleep(Duration::from_millis(300)).await;
    happens(&mut pair.servers[1]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seen = load.stop().await;
    assert_recorded(&pair.redis, &seen.tokens);
    seen
}

/// Asserts that every token that a client has seen is accepted, by whoever asks the first server.
async fn all_are_accepted(pair: &Pair, seen: &Seen) {
    let kids: std::collections::BTreeSet<_> = seen
        .tokens
        .iter()
        .map(|token| jwt_header(token)["kid"].to_string())
        .collect();
    assert_eq!(kids.len(), 2, "both servers have signed");
    let verifier = pair.verifier_of(0).await;
    for token in &seen.tokens {
        assert!(
            verdict(&verifier, token, 0).is_ok(),
            "{:?}",
            verdict(&verifier, token, 0)
        );
    }
    println!(
        "cluster: {} tokens of two servers are accepted after the end of one",
        seen.tokens.len()
    );
}

async fn a_server_that_is_told_to_end_leaves_its_key(pair: &mut Pair) {
    let seen = under_load(pair, async |second| {
        second.signal("TERM");
        assert!(second.wait(), "it ends well");
    })
    .await;
    all_are_accepted(pair, &seen).await;
    pair.servers[1].launch(&[]).await;
}

async fn a_server_that_is_killed_leaves_its_key(pair: &mut Pair) {
    let seen = under_load(pair, async |second| second.kill()).await;
    all_are_accepted(pair, &seen).await;
    // Nobody waits for the one that is gone.
    pair.agents("pair/one")[0].token().await;
}
