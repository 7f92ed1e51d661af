use std::sync::{Arc, RwLock};
use std::time::Duration;

use dayfly_token::feed::Kind;

use super::*;
use crate::control::{ControlFollower, KeyRecord, MAX_SERVED_KEYS};
use crate::port::Ledger as _;
use crate::revoke::cut_off_body;
use crate::testing::{Call, FakeLedger, Fault, SeededRng, at, cluster_secret, key_record, run};

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

#[test]
fn the_times_of_the_design_fit_together_and_shorter_leads_do_not() {
    assert_eq!(config("a").check(), Ok(()));
    let short = LifecycleConfig {
        lead_secs: 41,
        ..config("a")
    };
    let refused = LifecycleError::LeadTooShort {
        lead_secs: 41,
        least: 42,
    };
    assert_eq!(KeyLifecycle::new(short).err(), Some(refused));
    let exact = LifecycleConfig {
        lead_secs: 42,
        ..config("a")
    };
    assert_eq!(exact.check(), Ok(()));
    let lease = LifecycleConfig {
        lease_secs: 9,
        ..config("a")
    };
    assert_eq!(
        lease.check(),
        Err(LifecycleError::LeaseTooShort {
            lease_secs: 9,
            least: 10
        })
    );
    let never = LifecycleConfig {
        renew_secs: 0,
        ..config("a")
    };
    assert!(never.check().is_err());
    let fast = LifecycleConfig {
        rotate_secs: 74,
        ..config("a")
    };
    assert_eq!(
        fast.check(),
        Err(LifecycleError::RotationTooFast {
            rotate_secs: 74,
            least: 75
        })
    );
}

#[test]
fn a_single_replica_signs_at_once_but_not_before_the_ledger_says_so() {
    let mut a = Replica::boot(&ledger(), "a", 1);
    assert!(
        a.tick(T).is_empty(),
        "nothing is published before control is heard"
    );
    assert_eq!(a.readiness(T), Err(NotReady::ControlSilent));
    a.follow(T);

    // Generated, written, and not yet back: no signature.
    let published = a.tick(T);
    assert_eq!(
        published.len(),
        2,
        "a token key and a feed key: {published:?}"
    );
    assert_eq!(
        (a.token_kid(), a.readiness(T)),
        (None, Err(NotReady::Publishing))
    );
    a.publish(T, &published);
    assert!(a.tick(T).is_empty());
    a.follow(T);
    let record = a.record(KeyUse::Token);
    assert!(!record.signed);
    assert_eq!(record.serve_until, record.lease_until);

    // Back: now the write that says `signed`, and no signature before that is back, too.
    let signed = a.tick(T);
    assert_eq!((signed.len(), a.token_kid()), (2, None));
    a.publish(T, &signed);
    assert_eq!(a.tick(T), [], "written, but not read back");
    a.follow(T);
    let activated = a.tick(T);
    assert!(
        matches!(
            activated[0],
            Action::Activated {
                cold_start: true,
                ..
            }
        ),
        "{activated:?}"
    );
    let record = a.record(KeyUse::Token);
    assert!(record.signed);
    assert_eq!(
        record.serve_until,
        record.lease_until.saturating_add(AFTER_END_SECS)
    );
    assert_eq!(a.token_kid(), Some(record.kid));
    assert_eq!((a.readiness(T), a.lifecycle.cold_starts()), (Ok(()), 1));
    let feed = a.lifecycle.signer(KeyUse::Feed).unwrap();
    assert_eq!(feed.key_use(), KeyUse::Feed);
    assert_ne!(Some(feed.kid().to_owned()), a.token_kid());
}

#[test]
fn beside_a_living_replica_a_new_one_waits_its_lead() {
    let ledger = ledger();
    let (mut a, mut b) = (
        Replica::boot(&ledger, "a", 1),
        Replica::boot(&ledger, "b", 2),
    );
    a.run(T);
    b.run(T);
    let from = UnixTime::from_secs(T + LEAD_SECS);
    assert_eq!(
        (b.token_kid(), b.readiness(T)),
        (None, Err(NotReady::Lead { from }))
    );
    for secs in T + 1..T + LEAD_SECS {
        a.run(secs);
        b.run(secs);
        assert_eq!(b.token_kid(), None, "{secs}");
    }
    b.run(T + LEAD_SECS);
    assert!(b.token_kid().is_some());
    assert_eq!(b.lifecycle.cold_starts(), 0);
}

#[test]
fn when_the_other_replica_dies_the_wait_ends_with_its_lease() {
    let ledger = ledger();
    let (mut a, mut b) = (
        Replica::boot(&ledger, "a", 1),
        Replica::boot(&ledger, "b", 2),
    );
    a.run(T);
    for secs in T..T + LEASE_SECS {
        b.run(secs);
        assert_eq!(b.token_kid(), None, "{secs}");
    }
    b.run(T + LEASE_SECS);
    assert!(b.token_kid().is_some());
    assert_eq!(b.lifecycle.cold_starts(), 1);
}

#[test]
fn a_restart_of_a_single_replica_is_a_cold_start() {
    let ledger = ledger();
    Replica::boot(&ledger, "a", 1).run(T);
    let mut again = Replica::boot(&ledger, "a", 2);
    again.run(T + 1);
    assert!(
        again.token_kid().is_some(),
        "its own former life is nobody to wait for"
    );
    assert_eq!(again.lifecycle.cold_starts(), 1);
}

#[test]
fn a_replica_that_dies_before_it_signs_leaves_nothing_behind() {
    let ledger = ledger();
    let mut witness = Replica::boot(&ledger, "a", 1);
    witness.run(T);
    for seed in 2..9 {
        let mut crashing = Replica::boot(&ledger, "b", seed);
        crashing.follow(T);
        let published = crashing.tick(T);
        crashing.publish(T, &published);
    }
    witness.run(T + 1);
    let served =
        |view: &ControlView, secs| view.keys(KeyUse::Token, UnixTime::from_secs(secs)).count();
    assert_eq!(served(&witness.view.read().unwrap(), T + 1), 8);
    witness.run(T + LEASE_SECS);
    assert_eq!(served(&witness.view.read().unwrap(), T + LEASE_SECS), 1);
}

#[test]
fn the_lease_is_renewed_and_without_renewal_signing_stops_before_it_ends() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    assert!(a.run(T + 4).is_empty());
    let renewed = a.run(T + 5);
    assert_eq!(renewed.len(), 2, "{renewed:?}");
    assert_eq!(
        a.record(KeyUse::Token).lease_until,
        UnixTime::from_secs(T + 20)
    );

    // The store is gone: the signer that everyone has ends by itself.
    let signer = a.lifecycle.signer(KeyUse::Token).unwrap();
    assert!(signer.may_sign(at(T + 17)));
    assert!(!signer.may_sign(at(T + 18)), "δ before the lease ends");
    assert!(matches!(
        signer.sign(b"{}", at(T + 18)),
        Err(crate::signer::SignerError::LeaseOver { since_ms: 0 })
    ));
    a.follow(T + 18);
    ledger.fail_next(Call::WriteControl, Fault::Refused);
    ledger.fail_next(Call::WriteControl, Fault::Refused);
    let actions = a.tick(T + 18);
    a.publish(T + 18, &actions);
    assert_eq!(a.readiness(T + 18), Err(NotReady::LeaseOver));

    // It is back: the key was served all the time, so it signs again at once.
    let kid = a.token_kid();
    a.run(T + 20);
    assert_eq!((a.token_kid(), a.readiness(T + 20)), (kid, Ok(())));
}

#[test]
fn a_renewal_that_does_not_come_back_is_written_again() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    for _ in 0..2 {
        ledger.fail_next(Call::WriteControl, Fault::TimedOut);
    }
    assert_eq!(a.run(T + 5).len(), 2);
    assert_eq!(
        a.record(KeyUse::Token).lease_until,
        UnixTime::from_secs(T + 15)
    );
    assert_eq!(a.run(T + 6).len(), 2);
    assert_eq!(
        a.record(KeyUse::Token).lease_until,
        UnixTime::from_secs(T + 21)
    );
}

#[test]
fn a_key_that_was_gone_longer_than_its_life_waits_its_lead_again() {
    let ledger = ledger();
    let (mut a, mut b) = (
        Replica::boot(&ledger, "a", 1),
        Replica::boot(&ledger, "b", 2),
    );
    a.run(T);
    let later = T + LEASE_SECS + AFTER_END_SECS;
    b.run(later);
    assert!(b.token_kid().is_some());
    a.run(later);
    assert_eq!(a.token_kid(), None);
    assert!(matches!(a.readiness(later), Err(NotReady::Lead { .. })));
    for secs in later + 1..=later + LEAD_SECS {
        b.run(secs);
        a.run(secs);
    }
    assert!(a.token_kid().is_some());
}

#[test]
fn rotation_publishes_the_next_key_and_switches_after_its_lead() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    let first = a.token_kid().unwrap();
    a.lifecycle.rotate(KeyUse::Token);
    for secs in T..T + LEAD_SECS {
        a.run(secs);
        assert_eq!(
            a.token_kid().as_ref(),
            Some(&first),
            "alone or not, the lead is waited"
        );
    }
    assert_eq!(
        a.view
            .read()
            .unwrap()
            .keys(KeyUse::Token, UnixTime::from_secs(T + 1))
            .count(),
        2
    );
    a.run(T + LEAD_SECS);
    let second = a.token_kid().unwrap();
    assert_ne!(first, second);
    assert_eq!(a.lifecycle.cold_starts(), 1, "the boot, not the rotation");
    // The first one is not renewed and stays served for what it signed.
    let view = a.view.read().unwrap();
    let record = view.key_record(&first).unwrap();
    assert!(record.lease_until <= UnixTime::from_secs(T + LEAD_SECS + LEASE_SECS));
    assert_eq!(
        record.serve_until,
        record.lease_until.saturating_add(AFTER_END_SECS)
    );
}

#[test]
fn rotation_comes_by_itself() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.lifecycle.config.rotate_secs = 100;
    let mut kids = std::collections::BTreeSet::new();
    for secs in T..T + 400 {
        a.run(secs);
        kids.insert(a.token_kid().unwrap());
        assert_eq!(a.readiness(secs), Ok(()));
    }
    // The next key is published every 100 s after the switch, and takes over its lead later.
    assert_eq!(kids.len(), 3);
}

#[test]
fn a_taint_ends_a_key_at_once_and_the_next_one_takes_over() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    let tainted = a.token_kid().unwrap();
    let body = cut_off_body(Kind::Key, &tainted, at(T), 900, 60);
    a.publish(T, &[Action::Publish(body)]);
    a.follow(T + 1);
    let actions = a.tick(T + 1);
    assert!(
        matches!(&actions[0], Action::Tainted { kid, key_use: KeyUse::Token } if *kid == tainted),
        "{actions:?}"
    );
    assert_eq!(a.token_kid(), None);
    a.publish(T + 1, &actions);
    a.run(T + 1);
    let next = a.token_kid().unwrap();
    assert_ne!(next, tainted);
    let view = a.view.read().unwrap();
    let mut served = view.keys(KeyUse::Token, UnixTime::from_secs(T + 1));
    assert!(served.all(|key| key.kid != tainted));
}

#[test]
fn the_65th_key_is_not_published() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 200);
    a.follow(T);
    let crowd: Vec<_> = (0..MAX_SERVED_KEYS)
        .map(|seed| {
            let mut record = key_record("crowd", u8::try_from(seed).unwrap());
            record.lease_until = UnixTime::from_secs(T + 15);
            record.serve_until = UnixTime::from_secs(T + 100);
            Action::Publish(Body::Key(Box::new(record)))
        })
        .collect();
    a.publish(T, &crowd);
    let actions = a.run(T);
    let token_keys = actions.iter().filter(
        |action| matches!(action, Action::Publish(Body::Key(record)) if record.key_use == KeyUse::Token),
    );
    assert_eq!(token_keys.count(), 0);
    assert_eq!(a.readiness(T), Err(NotReady::KeyCap));
    a.run(T + 100);
    assert_eq!(a.readiness(T + 100), Ok(()), "places became free");
}

#[test]
fn of_two_that_take_the_last_place_at_once_one_steps_back() {
    let ledger = ledger();
    let mut crowd = Replica::boot(&ledger, "crowd", 99);
    crowd.follow(T);
    let records: Vec<_> = (0..MAX_SERVED_KEYS - 1)
        .map(|seed| {
            let mut record = key_record("crowd", u8::try_from(seed).unwrap());
            record.lease_until = UnixTime::from_secs(T + 500);
            record.serve_until = UnixTime::from_secs(T + 500);
            Action::Publish(Body::Key(Box::new(record)))
        })
        .collect();
    crowd.publish(T, &records);
    let (mut a, mut b) = (
        Replica::boot(&ledger, "a", 1),
        Replica::boot(&ledger, "b", 2),
    );
    a.follow(T);
    b.follow(T);
    let (by_a, by_b) = (a.tick(T), b.tick(T));
    a.publish(T, &by_a);
    b.publish(T, &by_b);
    a.run(T);
    b.run(T);
    let states = [a.readiness(T), b.readiness(T)];
    assert!(states.contains(&Err(NotReady::KeyCap)), "{states:?}");
    assert!(
        states
            .iter()
            .any(|state| matches!(state, Err(NotReady::Lead { .. }))),
        "{states:?}"
    );
}

/// The union of records keeps the longest time that a key is served, so one record of a clock in
/// another century would be served for ever, and every other replica would see a living peer.
#[test]
fn a_clock_that_is_off_publishes_nothing() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    let known = [a.record(KeyUse::Token), a.record(KeyUse::Feed)];
    for wrong in [T * 2, T - 3600] {
        for later in 0..20 {
            a.follow(T + later);
            let now = Now {
                unix_ms: wrong * 1000,
                monotonic_ms: (T + later) * 1000,
            };
            let view = a.view.read().unwrap();
            assert_eq!(a.lifecycle.tick(now, &view, &mut a.rng), []);
            assert_eq!(a.lifecycle.readiness(now, &view), Err(NotReady::ClockOff));
        }
    }
    // Nor when it shuts down by such a clock.
    let now = Now {
        unix_ms: T * 2000,
        monotonic_ms: T * 1000,
    };
    for action in a.lifecycle.drain(now) {
        let Action::Publish(Body::Key(record)) = action else {
            panic!("{action:?}")
        };
        let before = known.iter().find(|key| key.kid == record.kid).unwrap();
        assert_eq!(record.lease_until, before.lease_until);
    }
}

#[test]
fn a_drained_replica_signs_nothing_and_ends_its_lease() {
    let ledger = ledger();
    let mut a = Replica::boot(&ledger, "a", 1);
    a.run(T);
    let actions = a.lifecycle.drain(at(T + 1));
    assert_eq!(actions.len(), 2);
    assert!(a.lifecycle.signer(KeyUse::Token).is_none());
    a.publish(T + 1, &actions);
    a.follow(T + 1);
    assert_eq!(
        a.record(KeyUse::Token).lease_until,
        UnixTime::from_secs(T + 1)
    );
    assert!(a.tick(T + 2).is_empty());
    assert!(a.lifecycle.drain(at(T + 2)).is_empty());
    assert_eq!(a.readiness(T + 1), Err(NotReady::Draining));
    // A replica that starts now need not wait for it.
    let mut b = Replica::boot(&ledger, "b", 2);
    b.run(T + 1);
    assert!(b.token_kid().is_some());
    // What the drained one signed verifies until it has ended.
    let view = b.view.read().unwrap();
    assert_eq!(
        view.keys(KeyUse::Token, UnixTime::from_secs(T + 900))
            .count(),
        2
    );
}
