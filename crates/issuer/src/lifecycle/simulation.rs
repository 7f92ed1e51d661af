//! Replicas with clocks of their own that start, crash, rotate and lose the store, and verifiers
//! that fetch keys only when their copy has expired. No verifier may meet a token by a key that it
//! does not know, but within max-age + sync of a cold start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::*;
use crate::control::ControlFollower;
use crate::port::Ledger as _;
use crate::testing::{Call, FakeLedger, Fault, SeededRng, cluster_secret, run};

const STEP_MS: u64 = 200;
const START_MS: u64 = 1_000_000_000;
const MAX_AGE_SECS: u64 = 3;
const SYNC_SECS: u64 = 1;
const LIFETIME_SECS: u64 = 8;
const LEEWAY_SECS: u64 = 4;

fn config(replica: usize) -> LifecycleConfig {
    LifecycleConfig {
        issuer: "https://sts.example.org".to_owned(),
        replica: format!("r{replica}"),
        algorithm: Algorithm::EdDsa,
        max_age_secs: MAX_AGE_SECS,
        sync_secs: SYNC_SECS,
        lead_secs: MAX_AGE_SECS + 2 * SYNC_SECS + CLOCK_DISTANCE_SECS,
        lease_secs: 6,
        renew_secs: 1,
        rotate_secs: 20,
        after_end_secs: LIFETIME_SECS + LEEWAY_SECS,
    }
}

/// One life of a replica.
struct Life {
    view: Arc<RwLock<ControlView>>,
    follower: ControlFollower,
    lifecycle: KeyLifecycle,
    followed_ms: u64,
}

impl Life {
    fn new(ledger: &Arc<FakeLedger>, replica: usize) -> Self {
        let secrets = vec![cluster_secret()];
        let view = ControlView::new(secrets, LIFETIME_SECS + LEEWAY_SECS);
        let view = Arc::new(RwLock::new(view));
        Self {
            follower: ControlFollower::new(ledger.clone(), Arc::clone(&view)),
            view,
            lifecycle: KeyLifecycle::new(config(replica)).unwrap(),
            followed_ms: 0,
        }
    }

    /// The key set that this replica serves; none before it has read the store.
    fn jwks(&self, now: Now) -> Option<BTreeSet<String>> {
        let view = self.view.read().unwrap();
        view.as_of()?;
        Some(
            view.keys(KeyUse::Token, now.time())
                .map(|key| key.kid.clone())
                .collect(),
        )
    }
}

struct Replica {
    offset_ms: i64,
    life: Option<Life>,
    down_until_ms: u64,
}

impl Replica {
    fn now(&self, real_ms: u64) -> Now {
        let unix_ms = real_ms.checked_add_signed(self.offset_ms).unwrap();
        Now {
            unix_ms,
            monotonic_ms: real_ms,
        }
    }
}

#[derive(Default)]
struct Verifier {
    kids: BTreeSet<String>,
    fetched_ms: Option<u64>,
}

struct World {
    ledger: Arc<FakeLedger>,
    replicas: Vec<Replica>,
    verifiers: Vec<Verifier>,
    tokens: Vec<(String, u64)>,
    cold: BTreeMap<String, u64>,
    signed: u64,
    cold_starts: u64,
    rng: SeededRng,
    real_ms: u64,
    store_down_until_ms: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let ledger = Arc::new(FakeLedger::new(START_MS));
        let replicas = (0..3)
            .map(|_| Replica {
                offset_ms: i64::try_from(rng.below(4001)).unwrap() - 2000,
                life: None,
                down_until_ms: START_MS + rng.below(4000),
            })
            .collect();
        let verifiers = (0..3).map(|_| Verifier::default()).collect();
        Self {
            ledger,
            replicas,
            verifiers,
            tokens: Vec::new(),
            cold: BTreeMap::new(),
            signed: 0,
            cold_starts: 0,
            rng,
            real_ms: START_MS,
            store_down_until_ms: 0,
        }
    }

    fn store_is_up(&self) -> bool {
        self.store_down_until_ms <= self.real_ms
    }

    fn step(&mut self) {
        self.real_ms += STEP_MS;
        self.ledger.set_clock(self.real_ms);
        if self.rng.below(400) == 0 {
            self.store_down_until_ms = self.real_ms + self.rng.below(9000);
        }
        for replica in 0..self.replicas.len() {
            self.live_or_die(replica);
            self.run_replica(replica);
        }
        self.fetch_keys();
        self.sign_tokens();
        self.verify_tokens();
    }

    fn live_or_die(&mut self, at: usize) {
        let die = self.rng.below(120) == 0;
        let drain = self.rng.below(2) == 0;
        let down_ms = self.rng.below(12_000);
        let now = self.replicas[at].now(self.real_ms);
        if die && let Some(mut life) = self.replicas[at].life.take() {
            if drain && self.store_is_up() {
                let actions = life.lifecycle.drain(now);
                self.publish(&life, now, actions);
            }
            self.replicas[at].down_until_ms = self.real_ms + down_ms;
        }
        if self.replicas[at].life.is_none() && self.replicas[at].down_until_ms <= self.real_ms {
            self.replicas[at].life = Some(Life::new(&self.ledger, at));
        }
    }

    fn run_replica(&mut self, at: usize) {
        let now = self.replicas[at].now(self.real_ms);
        let Some(mut life) = self.replicas[at].life.take() else {
            return;
        };
        // Any delay of the stream below the sync time.
        let late = self.real_ms - life.followed_ms >= (SYNC_SECS * 1000).saturating_sub(STEP_MS);
        if self.store_is_up() && (late || self.rng.below(3) == 0) {
            life.followed_ms = self.real_ms;
            drop(run(life.follower.step(now, Duration::ZERO)));
        }
        if self.rng.below(150) == 0 {
            life.lifecycle.rotate(KeyUse::Token);
        }
        let actions = {
            let view = life.view.read().unwrap();
            life.lifecycle.tick(now, &view, &mut self.rng)
        };
        self.publish(&life, now, actions);
        self.replicas[at].life = Some(life);
    }

    fn publish(&mut self, life: &Life, now: Now, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish(body) if self.store_is_up() => {
                    if self.rng.below(20) == 0 {
                        let faults = [Fault::TimedOut, Fault::TimedOutLate];
                        let fault = faults[usize::from(self.rng.below(2) == 0)];
                        self.ledger.fail_next(Call::WriteControl, fault);
                    }
                    let view = life.view.read().unwrap();
                    let Some(store) = view.store() else { continue };
                    let write = view.seal(now.time(), "replica", "", body).unwrap();
                    drop(run(self.ledger.write_control(store.generation, &[write])));
                }
                Action::Activated {
                    key_use: KeyUse::Token,
                    kid,
                    cold_start: true,
                } => {
                    self.cold_starts += 1;
                    self.cold.insert(kid, self.real_ms);
                }
                _ => {}
            }
        }
    }

    /// Each verifier fetches exactly when its copy has expired, from any replica.
    fn fetch_keys(&mut self) {
        for at in 0..self.verifiers.len() {
            let fresh = |fetched_ms: u64| self.real_ms < fetched_ms + MAX_AGE_SECS * 1000;
            if self.verifiers[at].fetched_ms.is_some_and(fresh) {
                continue;
            }
            let first = usize::try_from(self.rng.below(3)).unwrap();
            let jwks = (0..3)
                .map(|offset| &self.replicas[(first + offset) % 3])
                .find_map(|replica| replica.life.as_ref()?.jwks(replica.now(self.real_ms)));
            if let Some(kids) = jwks {
                self.verifiers[at] = Verifier {
                    kids,
                    fetched_ms: Some(self.real_ms),
                };
            }
        }
    }

    fn sign_tokens(&mut self) {
        for at in 0..self.replicas.len() {
            let now = self.replicas[at].now(self.real_ms);
            let Some(life) = &self.replicas[at].life else {
                continue;
            };
            let Some(signer) = life.lifecycle.signer(KeyUse::Token) else {
                continue;
            };
            if !signer.may_sign(now) {
                continue;
            }
            // What the store says of the key that signs: published, signed, not lapsed.
            let sealed = self.ledger.slot(&format!("key:{}", signer.kid())).unwrap();
            let entry = cluster_secret().open(&sealed).unwrap();
            let Body::Key(record) = entry.body else {
                panic!("{:?}", entry.body)
            };
            assert!(
                record.signed && now.time() < record.serve_until,
                "{record:?}"
            );
            self.signed += 1;
            self.tokens.push((signer.kid().to_owned(), self.real_ms));
        }
    }

    /// Every verifier that could fetch sees every token, from its first instant to its last.
    fn verify_tokens(&mut self) {
        let real_ms = self.real_ms;
        self.tokens
            .retain(|(_, signed_ms)| real_ms < signed_ms + LIFETIME_SECS * 1000);
        for (kid, signed_ms) in &self.tokens {
            for verifier in &self.verifiers {
                let fresh = |fetched_ms| real_ms <= fetched_ms + MAX_AGE_SECS * 1000;
                if !verifier.fetched_ms.is_some_and(fresh) || verifier.kids.contains(kid) {
                    continue;
                }
                let exempt_until = self.cold.get(kid).map_or(0, |cold_ms| {
                    cold_ms + (MAX_AGE_SECS + SYNC_SECS) * 1000 + STEP_MS
                });
                assert!(
                    real_ms <= exempt_until,
                    "unknown key at {real_ms}, signed at {signed_ms}, cold {:?}",
                    self.cold.get(kid)
                );
            }
        }
    }
}

#[test]
fn no_verifier_meets_an_unknown_key() {
    let (mut signed, mut cold_starts) = (0, 0);
    for seed in 0..14 {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
        }
        signed += world.signed;
        cold_starts += world.cold_starts;
    }
    // The simulation is worth something only if much was signed and things went wrong.
    assert!(signed > 8_000, "{signed}");
    assert!(cold_starts > 8, "{cold_starts}");
}
