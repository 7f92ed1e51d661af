use std::sync::{Arc, RwLock};
use std::time::Duration;

use dayfly_token::UnixTime;

use super::super::*;
use super::T;
use crate::port::{Ledger as _, LedgerError};
use crate::revoke::hold_body;
use crate::testing::{Call, FakeLedger, Fault, at, cluster_secret, run};

const SLOT: &str = "hold:owner:payments";

/// A replica as far as control goes.
struct Replica {
    ledger: Arc<FakeLedger>,
    view: Arc<RwLock<ControlView>>,
    follower: ControlFollower,
}

impl Replica {
    fn of(ledger: &Arc<FakeLedger>) -> Self {
        let view = Arc::new(RwLock::new(ControlView::new(vec![cluster_secret()], 960)));
        let follower = ControlFollower::new(ledger.clone(), Arc::clone(&view));
        Self {
            ledger: Arc::clone(ledger),
            view,
            follower,
        }
    }

    fn step(&mut self) -> Result<Followed, LedgerError> {
        run(self.follower.step(at(T), Duration::ZERO))
    }

    fn write(&self, body: Body) {
        let view = self.view.read().unwrap();
        let write = view.seal(UnixTime::from_secs(T), "test", "", body).unwrap();
        let generation = view.store().unwrap().generation;
        run(self.ledger.write_control(generation, &[write])).unwrap();
    }

    fn holds(&self) -> usize {
        self.view.read().unwrap().holds().len()
    }

    fn store(&self) -> Option<StoreLife> {
        self.view.read().unwrap().store().cloned()
    }
}

fn ledger() -> Arc<FakeLedger> {
    Arc::new(FakeLedger::new(T * 1000))
}

fn hold(active: bool) -> Body {
    hold_body(HoldKind::Owner, "payments", active)
}

#[test]
fn the_first_step_reads_everything_and_the_next_ones_what_is_new() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    assert_eq!(a.store(), None);
    let first = a.step().unwrap();
    assert!(first.reloaded && first.changed.is_empty());
    assert_eq!(a.store().unwrap().generation, 1);
    a.write(hold(true));
    let second = a.step().unwrap();
    assert_eq!(
        (second.reloaded, second.changed),
        (false, vec![SLOT.to_owned()])
    );
    assert_eq!(second.as_of, UnixTime::from_secs(T));
    assert!(a.step().unwrap().changed.is_empty());
    let mut b = Replica::of(&ledger);
    assert_eq!(b.step().unwrap().changed, [SLOT]);
    assert_eq!(
        b.store(),
        a.store(),
        "the feed's epoch is the same at every replica"
    );
    assert!(!b.store().unwrap().epoch.contains('.'));
}

#[test]
fn a_store_that_lost_everything_learns_it_again_before_anyone_issues() {
    let ledger = ledger();
    let (mut a, mut b) = (Replica::of(&ledger), Replica::of(&ledger));
    a.step().unwrap();
    a.write(hold(true));
    a.step().unwrap();
    b.step().unwrap();
    let epoch = a.store().unwrap().epoch;

    ledger.wipe();
    assert!(
        matches!(a.step(), Err(LedgerError::Gap)),
        "the stream is gone"
    );
    ledger.fail_next(Call::WriteControl, Fault::Refused);
    assert!(a.step().is_err());
    assert_eq!(a.store(), None, "not before everything is written back");
    assert_eq!(ledger.slot(SLOT), None);

    let again = a.step().unwrap();
    assert!(again.reloaded);
    assert!(ledger.slot(SLOT).is_some());
    let life = a.store().unwrap();
    assert!(life.generation > 1);
    assert_eq!(
        life.since,
        UnixTime::from_secs(T + 1),
        "evidence of this second may have been used"
    );
    assert_ne!(life.epoch, epoch);

    // The other replica comes second, raises nothing, and issues in the same generation.
    while b.step().is_err() {}
    assert_eq!(b.store(), a.store());
    assert_eq!((a.holds(), b.holds()), (1, 1));
    // And a replica that starts only now knows the hold from the store.
    let mut late = Replica::of(&ledger);
    late.step().unwrap();
    assert_eq!(late.holds(), 1);
}

#[test]
fn a_restart_of_the_store_raises_the_generation_once() {
    let ledger = ledger();
    let (mut a, mut b) = (Replica::of(&ledger), Replica::of(&ledger));
    a.step().unwrap();
    b.step().unwrap();
    ledger.restart();
    // The adapter sees another identity on its connection.
    for replica in [&mut a, &mut b] {
        replica
            .follower
            .start_again_after(&LedgerError::StoreChanged {
                identity: crate::port::StoreIdentity("2".to_owned()),
            });
        assert_eq!(replica.store(), None);
        replica.step().unwrap();
    }
    assert_eq!(ledger.generation(), 2);
    assert_eq!(a.store(), b.store());
}

/// A failover to a machine with a wrong clock, and back.
#[test]
fn a_clock_that_was_wrong_is_forgotten_with_its_store() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    a.step().unwrap();
    let admits = |a: &Replica| a.view.read().unwrap().admit_clock(at(T)).is_ok();
    for (store_secs, fits) in [
        (T + 3600, false),
        (T, true),
        (T - 3600, false),
        (T + 1, true),
    ] {
        ledger.restart();
        ledger.set_clock(store_secs * 1000);
        a.follower.start_again_after(&LedgerError::Gap);
        let followed = a.step().unwrap();
        assert_eq!(
            (followed.reloaded, admits(&a)),
            (true, fits),
            "{store_secs}"
        );
    }
    // Of one and the same store it is kept.
    ledger.set_clock((T - 3600) * 1000);
    a.step().unwrap();
    assert!(admits(&a));
}

#[test]
fn a_generation_that_another_replica_raised_is_taken_over() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    a.step().unwrap();
    run(ledger.raise_generation(1, UnixTime::from_secs(T + 9))).unwrap();
    a.view.write().unwrap().forget_store(1);
    assert_eq!(a.store(), None);
    a.step().unwrap();
    let life = a.store().unwrap();
    assert_eq!(
        (life.generation, life.since),
        (2, UnixTime::from_secs(T + 9))
    );
    assert_eq!(ledger.generation(), 2);
}

#[test]
fn an_old_dump_gets_a_generation_that_nobody_issued_in() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    a.step().unwrap();
    for generation in 1..9 {
        run(ledger.raise_generation(generation, UnixTime::from_secs(T))).unwrap();
    }
    a.view.write().unwrap().forget_store(1);
    a.step().unwrap();
    ledger.wipe();
    assert!(a.step().is_err());
    a.step().unwrap();
    assert_eq!(a.store().unwrap().generation, 10);
}

#[test]
fn a_gap_is_closed_by_reading_everything() {
    let ledger = ledger();
    let (mut a, mut b) = (Replica::of(&ledger), Replica::of(&ledger));
    a.step().unwrap();
    b.step().unwrap();
    b.write(hold(true));
    ledger.trim();
    assert!(matches!(a.step(), Err(LedgerError::Gap)));
    assert!(a.store().is_some(), "the store is the same");
    assert_eq!(a.step().unwrap().changed, [SLOT]);
}

#[test]
fn what_whoever_controls_the_store_puts_there_is_counted_and_written_over() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    a.step().unwrap();
    a.write(hold(false));
    a.step().unwrap();
    let lifted = ledger.slot(SLOT).unwrap();
    a.write(hold(true));
    a.step().unwrap();
    let set = ledger.slot(SLOT).unwrap();

    ledger.plant(SLOT, lifted);
    assert!(a.step().unwrap().changed.is_empty());
    assert_eq!(a.holds(), 1);
    assert_eq!(
        ledger.slot(SLOT).unwrap(),
        set,
        "the old entry was replaced again"
    );

    ledger.plant(SLOT, b"rubbish".to_vec());
    assert_eq!(a.step().unwrap().refused, 1);
    ledger.plant(SLOT, b"more of it".to_vec());
    ledger.trim();
    assert!(a.step().is_err());
    let reloaded = a.step().unwrap();
    assert_eq!(reloaded.refused, 1);
    assert_eq!(
        ledger.slot(SLOT).unwrap(),
        set,
        "what cannot be read counts as missing"
    );
}

#[test]
fn an_outage_loses_nothing_and_silences_the_replica() {
    let ledger = ledger();
    let mut a = Replica::of(&ledger);
    a.step().unwrap();
    for fault in [
        Fault::Refused,
        Fault::TimedOut,
        Fault::AnswerLost,
        Fault::TimedOutLate,
    ] {
        ledger.fail_next(Call::FollowControl, fault);
        assert!(a.step().is_err());
    }
    assert!(a.view.read().unwrap().hears(at(T + 2)));
    assert!(!a.view.read().unwrap().hears(at(T + 3)));
    a.write(hold(true));
    assert_eq!(
        a.step().unwrap().changed,
        [SLOT],
        "it goes on from where it was"
    );
}
