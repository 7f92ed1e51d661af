//! What keeps a key signing, and what ends it.

use dayfly_token::feed::Kind;

use super::super::*;
use super::{AFTER_END_SECS, Replica, T, ledger};
use crate::revoke::cut_off_body;
use crate::testing::{Call, Fault, at};
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
