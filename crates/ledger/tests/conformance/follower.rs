//! The issuer's own follower on a Redis that restarts, forgets or goes back in time: every replica
//! finds its way back by itself, and what any of them knew is in the store again.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use dayfly_issuer::control::{Body, ClusterSecret, ControlFollower, ControlView, HoldKind};
use dayfly_issuer::{Ledger, LedgerError, Now};
use dayfly_ledger::RedisLedger;
use dayfly_ledger::testing::RedisServer;
use zeroize::Zeroizing;

use crate::draft::{Draft, now, unix_ms};
use crate::store::redis_ledger;

struct Replica {
    ledger: Arc<RedisLedger>,
    view: Arc<RwLock<ControlView>>,
    follower: ControlFollower,
}

impl Replica {
    async fn new(server: &RedisServer) -> Self {
        let ledger = Arc::new(redis_ledger(&server.url()).await);
        let secret = ClusterSecret::new(Zeroizing::new(vec![7; 32])).unwrap();
        let view = Arc::new(RwLock::new(ControlView::new(vec![secret], 960)));
        let follower = ControlFollower::new(ledger.clone(), view.clone());
        let mut replica = Self {
            ledger,
            view,
            follower,
        };
        replica.recovers().await;
        replica
    }

    /// Follows until a credential can be recorded.
    async fn recovers(&mut self) {
        let start = Instant::now();
        loop {
            let present = Now {
                unix_ms: unix_ms(),
                monotonic_ms: unix_ms(),
            };
            let step = self.follower.step(present, Duration::from_millis(20)).await;
            if step.is_ok() && self.records().await.is_ok() {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{step:?}");
        }
    }

    /// Follows until a step after a reload succeeds.
    async fn follows(&mut self) {
        for _ in 0..6 {
            let present = Now {
                unix_ms: unix_ms(),
                monotonic_ms: unix_ms(),
            };
            let wait = Duration::from_millis(20);
            let _ = self.follower.step(present, wait).await;
        }
    }

    fn generation(&self) -> Option<u64> {
        let view = self.view.read().unwrap();
        view.store().map(|store| store.generation)
    }

    /// Records by what the view believes, as issuing does.
    async fn records(&self) -> Result<(), LedgerError> {
        let Some(generation) = self.generation() else {
            return Err(LedgerError::Gap);
        };
        self.ledger.record(Draft::new().commit_in(generation)).await
    }

    async fn holds(&mut self, owner: &str) {
        let body = Body::Hold {
            kind: HoldKind::Owner,
            value: owner.to_owned(),
            active: true,
        };
        let sealed = {
            let view = self.view.read().unwrap();
            view.seal(now(), "test", "", body).unwrap()
        };
        let generation = self.generation().unwrap();
        self.ledger
            .write_control(generation, &[sealed])
            .await
            .unwrap();
        self.recovers().await;
        assert!(self.knows(owner));
    }

    fn knows(&self, owner: &str) -> bool {
        let view = self.view.read().unwrap();
        view.hold(HoldKind::Owner, owner).is_some()
    }
}

/// Three replicas, a change of the store, and a fourth that comes after it.
async fn all_come_back(server: &mut RedisServer, change: impl Fn(&mut RedisServer)) {
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Replica::new(server).await);
    }
    for round in 0..3 {
        let owner = format!("owner-{round}");
        replicas[round].holds(&owner).await;
        let before = replicas[round].generation();
        change(server);
        for replica in &mut replicas {
            assert!(replica.records().await.is_err());
            replica.recovers().await;
        }
        // Once more for those whose generation a later one raised.
        for replica in &mut replicas {
            replica.recovers().await;
            assert!(replica.knows(&owner));
            assert!(replica.generation() > before);
        }
        let fourth = Replica::new(server).await;
        assert!(fourth.knows(&owner), "round {round}");
        assert_eq!(fourth.generation(), replicas[0].generation());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_back_after_a_restart_with_data() {
    let mut server = RedisServer::start();
    all_come_back(&mut server, RedisServer::restart_with_data).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_back_after_a_restart_without_data() {
    let mut server = RedisServer::start();
    all_come_back(&mut server, RedisServer::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_back_after_a_flush() {
    let mut server = RedisServer::start();
    all_come_back(&mut server, |server| {
        server.command(&["FLUSHALL"]);
    })
    .await;
}

/// Only followers can see it, so issuing goes on until they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_back_after_a_step_back() {
    let server = RedisServer::start_with(&["--enable-debug-command", "yes"]);
    let mut replicas = [Replica::new(&server).await, Replica::new(&server).await];
    server.command(&["SAVE"]);
    replicas[0].holds("payments").await;
    replicas[1].recovers().await;
    assert!(replicas[1].knows("payments"));
    server.command(&["DEBUG", "RELOAD", "NOSAVE"]);
    // The first writes back what was lost under the same number; the second, which does not
    // record, is told all the same.
    replicas[0].follows().await;
    replicas[0].holds("billing").await;
    replicas[1].follows().await;
    assert!(replicas[1].knows("billing"));
    assert_eq!(replicas[0].generation(), Some(2));
    assert_eq!(replicas[1].generation(), Some(2));
    assert!(Replica::new(&server).await.knows("payments"));
}
