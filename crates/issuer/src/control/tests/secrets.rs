//! A cluster secret that is exchanged for another one, replica by replica.

use std::collections::BTreeSet;

use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;
use zeroize::Zeroizing;

use super::super::*;
use super::{AFTER_END_SECS, T, cut, seal};
use crate::revoke::hold_body;

const OLD: u8 = 1;
const NEW: u8 = 2;

fn secret(byte: u8) -> ClusterSecret {
    ClusterSecret::new(Zeroizing::new(vec![byte; 32])).unwrap()
}

fn with(secrets: &[u8]) -> ControlView {
    let secrets = secrets.iter().map(|byte| secret(*byte)).collect();
    ControlView::new(secrets, AFTER_END_SECS)
}

fn now() -> UnixTime {
    UnixTime::from_secs(T)
}

#[test]
fn a_new_secret_seals_and_the_old_one_still_opens() {
    let old = with(&[OLD]);
    let by_old = seal(&old, hold_body(HoldKind::Rule, "ci", true));
    let mut new = with(&[NEW, OLD]);
    assert!(new.apply(&by_old.sealed).unwrap().is_some());
    let by_new = seal(&new, hold_body(HoldKind::Rule, "ci", false));
    assert!(secret(NEW).open(&by_new.sealed).is_ok());
    assert!(secret(OLD).open(&by_new.sealed).is_err());
}

/// Otherwise the last hold of an owner would be lifted by the end of a secret.
#[test]
fn what_the_former_secret_sealed_outlives_it() {
    let by_old = seal(&with(&[OLD]), hold_body(HoldKind::Rule, "ci", true));
    let mut new = with(&[NEW, OLD]);
    new.apply(&by_old.sealed).unwrap();
    assert!(new.repairs(now()).is_empty());
    new.seal_anew().unwrap();
    let repairs = new.repairs(now());
    assert_eq!(repairs.len(), 1);
    let mut later = with(&[NEW]);
    assert!(later.apply(&by_old.sealed).is_err());
    later.apply(&repairs[0].sealed).unwrap();
    assert!(later.hold(HoldKind::Rule, "ci").is_some());
    // Once it stands in the store there is nothing left to do.
    new.apply(&repairs[0].sealed).unwrap();
    new.seal_anew().unwrap();
    assert!(new.repairs(now()).is_empty());
    let mut only = with(&[NEW]);
    only.apply(&repairs[0].sealed).unwrap();
    only.compare_with_store(&BTreeSet::from([repairs[0].slot.clone()]));
    only.seal_anew().unwrap();
    assert!(only.repairs(now()).is_empty());
}

/// During the roll-out two replicas seal by different secrets. Both have to unite the same two
/// entries; neither may take the other's seal for something to be repaired, for ever.
#[test]
fn two_first_secrets_come_to_rest() {
    let (mut a, mut b) = (with(&[NEW, OLD]), with(&[OLD, NEW]));
    let far = seal(&a, cut(Kind::Owner, "payments", T + 9));
    let near = seal(&b, cut(Kind::Owner, "payments", T + 7));
    let mut stream = vec![far.sealed, near.sealed];
    for round in 0..4 {
        for sealed in std::mem::take(&mut stream) {
            a.apply(&sealed).unwrap();
            b.apply(&sealed).unwrap();
        }
        for view in [&a, &b] {
            stream.extend(view.repairs(now()).into_iter().map(|write| write.sealed));
        }
        assert!(round < 2 || stream.is_empty(), "round {round}");
    }
    assert_eq!(
        a.cut_off(Kind::Owner, "payments"),
        b.cut_off(Kind::Owner, "payments")
    );
}
