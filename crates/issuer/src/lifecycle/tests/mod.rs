//! One replica or several, stepped by hand.

mod end;
mod start;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::*;
use crate::control::{ControlFollower, KeyRecord};
use crate::port::Ledger as _;
use crate::testing::{FakeLedger, SeededRng, at, cluster_secret, run};

const T: u64 = 1_000_000;
const AFTER_END_SECS: u64 = 960;

fn config(replica: &str) -> LifecycleConfig {
    let issuer = "https://sts.example.org".to_owned();
    LifecycleConfig::new(issuer, replica.to_owned(), Algorithm::EdDsa, AFTER_END_SECS)
}

/// A replica with one ledger, stepped by hand.
struct Replica {
    ledger: Arc<FakeLedger>,
    view: Arc<RwLock<ControlView>>,
    follower: ControlFollower,
    lifecycle: KeyLifecycle,
    rng: SeededRng,
}

impl Replica {
    fn boot(ledger: &Arc<FakeLedger>, name: &str, seed: u64) -> Self {
        let view = Arc::new(RwLock::new(ControlView::new(
            vec![cluster_secret()],
            AFTER_END_SECS,
        )));
        Self {
            ledger: Arc::clone(ledger),
            follower: ControlFollower::new(ledger.clone(), Arc::clone(&view)),
            view,
            lifecycle: KeyLifecycle::new(config(name)).unwrap(),
            rng: SeededRng::new(seed),
        }
    }

    fn follow(&mut self, secs: u64) {
        self.ledger.set_clock(secs * 1000);
        run(self.follower.step(at(secs), Duration::ZERO)).unwrap();
    }

    fn tick(&mut self, secs: u64) -> Vec<Action> {
        let view = self.view.read().unwrap();
        self.lifecycle.tick(at(secs), &view, &mut self.rng)
    }

    fn publish(&self, secs: u64, actions: &[Action]) {
        let view = self.view.read().unwrap();
        for action in actions {
            if let Action::Publish(body) = action {
                let at = UnixTime::from_secs(secs);
                let write = view.seal(at, "replica", "", body.clone()).unwrap();
                let generation = view.store().unwrap().generation;
                drop(run(self.ledger.write_control(generation, &[write])));
            }
        }
    }

    /// Follows, ticks and publishes until nothing more happens in this second.
    fn run(&mut self, secs: u64) -> Vec<Action> {
        let mut all = Vec::new();
        loop {
            self.follow(secs);
            let actions = self.tick(secs);
            self.publish(secs, &actions);
            if actions.is_empty() {
                return all;
            }
            all.extend(actions);
        }
    }

    fn record(&self, key_use: KeyUse) -> KeyRecord {
        let view = self.view.read().unwrap();
        view.key_records()
            .find(|record| record.key_use == key_use)
            .unwrap()
            .clone()
    }

    fn readiness(&self, secs: u64) -> Result<(), NotReady> {
        self.lifecycle
            .readiness(at(secs), &self.view.read().unwrap())
    }

    fn token_kid(&self) -> Option<String> {
        self.lifecycle
            .signer(KeyUse::Token)
            .map(|signer| signer.kid().to_owned())
    }
}

fn ledger() -> Arc<FakeLedger> {
    Arc::new(FakeLedger::new(T * 1000))
}
