//! Holds and cut-offs while clients ask two servers in a tight loop: what each of them was given
//! is compared with what was acknowledged, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::pair::Pair;
use crate::harness::{Agent, eventually, jwt_claims};

/// D: how long another server may go on issuing after it was acknowledged here that it must not.
const SILENCE: Duration = Duration::from_secs(2);

/// One request and its end.
struct Event {
    server: usize,
    asked: Instant,
    status: u16,
    token: String,
}

/// A client of each server that notes everything.
struct Witnesses {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Event>>,
}

impl Witnesses {
    fn start(agents: [Agent; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for (server, agent) in agents.into_iter().enumerate() {
            let stop = Arc::clone(&stop);
            clients.spawn(async move {
                let mut events = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let answer = agent.ask().await;
                    let token = answer.text("access_token").to_owned();
                    events.push(Event {
                        server,
                        asked,
                        status: answer.status,
                        token,
                    });
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                events
            });
        }
        Self { stop, clients }
    }

    async fn stop(self) -> Vec<Event> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Protocol A: from the acknowledgement of a hold until it is lifted, nothing that was asked for
/// is given; on the other server from D later.
pub(super) async fn nothing_passes_a_hold(pair: &Pair) {
    let consoles = pair.consoles();
    let witnesses = Witnesses::start(pair.agents("pair/held"));
    let mut holds = Vec::new();
    for server in [0, 1] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        consoles[server].done("hold", "workload", "pair/held").await;
        let from = Instant::now();
        tokio::time::sleep(SILENCE + Duration::from_millis(200)).await;
        holds.push((server, from, Instant::now()));
        consoles[server].done("lift", "workload", "pair/held").await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let events = witnesses.stop().await;
    let mut refused = 0;
    for event in &events {
        assert!(matches!(event.status, 200 | 400), "{}", event.status);
        for (server, from, to) in &holds {
            let bound = if event.server == *server {
                Duration::ZERO
            } else {
                SILENCE
            };
            let held = *from + bound <= event.asked && event.asked < *to;
            refused += usize::from(held);
            assert!(
                !held || event.status == 400,
                "released by server {} on hold",
                event.server
            );
        }
    }
    assert!(refused > 50, "{refused} requests met a hold");
    println!(
        "cluster: {} requests, {refused} of them during a hold",
        events.len()
    );
}

/// Protocol C: what was issued up to the instant is dead everywhere, also what the other server
/// issued meanwhile; what was issued after it is not, and nothing is post-dated.
pub(super) async fn a_cut_off_divides_the_past_from_the_future(pair: &Pair) {
    let consoles = pair.consoles();
    let agents = pair.agents("pair/cut");
    let witnesses = Witnesses::start(agents.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let outcome = consoles[1].done("cut_off", "workload", "pair/cut").await;
    let (since, before) = (Instant::now(), outcome["before"].as_u64().unwrap());
    for agent in &agents {
        eventually("a newer credential", async || {
            let answer = agent.ask().await;
            (answer.status == 200 && issued_at(answer.access_token()) > before).then_some(())
        })
        .await;
    }
    println!(
        "cluster: newer credentials {:?} after a cut-off",
        since.elapsed()
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let events = witnesses.stop().await;
    let (mut old, mut new) = (0, 0);
    for event in &events {
        if event.status != 200 {
            assert_eq!(event.status, 503);
            assert!(
                event.asked + SILENCE > since,
                "refused before there was a reason"
            );
            continue;
        }
        let dead = issued_at(&event.token) <= before;
        *(if dead { &mut old } else { &mut new }) += 1;
        assert!(!dead || event.asked < since + SILENCE, "released dead");
        for watcher in &pair.watchers {
            assert_eq!(watcher.code(&event.token), dead.then_some("revoked"));
        }
    }
    assert!(old > 10 && new > 10, "{old} old ones and {new} new ones");
    println!(
        "cluster: of {} requests {old} were cut off and {new} came after",
        events.len()
    );
}

fn issued_at(token: &str) -> u64 {
    jwt_claims(token)["iat"].as_u64().unwrap()
}
