//! How a key comes to sign: alone, beside others, in turn.

use super::super::*;
use super::{AFTER_END_SECS, Replica, T, config, ledger};
use crate::control::MAX_SERVED_KEYS;
use crate::testing::key_record;
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
