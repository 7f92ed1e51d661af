use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;
use dayfly_verifier::revocation;
use proptest::prelude::*;

use super::super::*;
use super::{AFTER_END_SECS, T, cut, names, put, seal, state, view};
use crate::revoke::{hold_body, task_body};
use crate::testing::{at, cluster_secret, key_record};

#[test]
fn a_forged_entry_changes_nothing() {
    let mut view = view();
    put(&mut view, hold_body(HoldKind::Owner, "payments", true));
    let before = state(&view);
    let foreign = ClusterSecret::new(zeroize::Zeroizing::new(vec![8; 32])).unwrap();
    let foreign = ControlView::new(vec![foreign], AFTER_END_SECS);
    let lifted = seal(&foreign, hold_body(HoldKind::Owner, "payments", false));
    assert!(matches!(
        view.apply(&lifted.sealed),
        Err(ControlError::Forged)
    ));
    assert!(view.apply(b"").is_err());
    assert_eq!(state(&view), before);
    assert!(view.repairs(UnixTime::EPOCH).is_empty());
}

#[test]
fn an_old_entry_that_comes_back_lifts_no_hold_and_shortens_no_cut_off() {
    let mut view = view();
    let key = Box::new(key_record("a", 1));
    let mut signed = key.clone();
    signed.signed = true;
    signed.serve_until = UnixTime::from_secs(9000);
    let history = [
        hold_body(HoldKind::Owner, "payments", true),
        hold_body(HoldKind::Owner, "payments", false),
        hold_body(HoldKind::Owner, "payments", true),
        cut(Kind::Workload, "payments/deploy", T),
        cut(Kind::Workload, "payments/deploy", T + 7),
        task_body(&names().task, TaskState::Open),
        task_body(&names().task, TaskState::Completed),
        Body::Key(key),
        Body::Key(signed),
    ];
    let old: Vec<_> = history
        .into_iter()
        .map(|body| put(&mut view, body).sealed)
        .collect();
    let before = state(&view);
    for sealed in old.iter().chain(old.iter().rev()) {
        assert_eq!(view.apply(sealed).unwrap(), None);
    }
    assert_eq!(state(&view), before);
    assert!(view.hold(HoldKind::Owner, "payments").is_some());
    let cut_off = view.cut_off(Kind::Workload, "payments/deploy");
    assert_eq!(cut_off, Some(UnixTime::from_secs(T + 7)));
    assert_eq!(view.task(&names().task).unwrap().0, TaskState::Completed);
}

#[test]
fn a_hold_that_was_just_set_can_be_lifted_before_it_comes_back() {
    let mut view = view();
    let set = seal(&view, hold_body(HoldKind::Owner, "payments", true));
    let lifted = seal(&view, hold_body(HoldKind::Owner, "payments", false));
    for sealed in [&lifted.sealed, &set.sealed] {
        view.apply(sealed).unwrap();
    }
    assert!(view.holds().is_empty());
}

#[test]
fn an_ended_task_stays_ended_and_a_later_cut_off_never_reaches_less_far() {
    let mut view = view();
    put(&mut view, task_body(&names().task, TaskState::Revoked));
    put(&mut view, task_body(&names().task, TaskState::Open));
    assert_eq!(view.task(&names().task).unwrap().0, TaskState::Revoked);
    put(&mut view, cut(Kind::Rule, "gh-deploy", T + 9));
    put(&mut view, cut(Kind::Rule, "gh-deploy", T + 3));
    assert_eq!(
        view.cut_off(Kind::Rule, "gh-deploy"),
        Some(UnixTime::from_secs(T + 9))
    );
}

#[test]
fn two_that_wrote_at_once_come_to_the_same_and_the_store_gets_it() {
    let (mut a, mut b) = (view(), view());
    let far = seal(&a, cut(Kind::Owner, "payments", T + 9));
    let near = seal(&b, cut(Kind::Owner, "payments", T + 7));
    // Both writes reach the store, the nearer one last; it is what the slot holds now.
    for view in [&mut a, &mut b] {
        view.apply(&far.sealed).unwrap();
        view.apply(&near.sealed).unwrap();
    }
    assert_eq!(state(&a), state(&b));
    assert_eq!(
        a.cut_off(Kind::Owner, "payments"),
        Some(UnixTime::from_secs(T + 9))
    );
    let repairs = a.repairs(UnixTime::from_secs(T));
    assert_eq!(repairs, b.repairs(UnixTime::from_secs(T)));
    assert_eq!(repairs.len(), 1);
    // A replica that boots from the repaired slot knows the further instant.
    let mut late = view();
    late.apply(&repairs[0].sealed).unwrap();
    assert_eq!(
        late.cut_off(Kind::Owner, "payments"),
        Some(UnixTime::from_secs(T + 9))
    );
    a.apply(&repairs[0].sealed).unwrap();
    assert!(a.repairs(UnixTime::from_secs(T)).is_empty());
}

#[test]
fn reasons_are_cut_to_their_limit() {
    let reason = "é".repeat(MAX_REASON_CHARS + 9);
    let body = hold_body(HoldKind::Rule, "ci", true);
    let write = view()
        .seal(UnixTime::from_secs(T), "x", &reason, body)
        .unwrap();
    let entry = cluster_secret().open(&write.sealed).unwrap();
    assert_eq!(entry.reason.chars().count(), MAX_REASON_CHARS);
}

#[test]
fn the_feed_says_what_is_dead_in_the_words_of_a_verifier() {
    let mut view = view();
    let names = names();
    put(&mut view, cut(Kind::Owner, "payments", T + 7));
    put(&mut view, task_body(&names.task, TaskState::Revoked));
    put(&mut view, hold_body(HoldKind::Owner, "payments", true));
    put(&mut view, Body::Key(Box::new(key_record("a", 1))));
    let revocations = revocation::Revocations::new();
    let now = UnixTime::from_secs(T);
    revocations.merge(&view.feed_entries(now), now);
    assert_eq!(revocations.len(), 2);
    let dead = |kind, value: &str, issued_at: u64| {
        revocations.is_dead(
            &revocation::prefix(kind, value),
            UnixTime::from_secs(issued_at),
        )
    };
    assert!(dead(Kind::Owner, "payments", T + 7) && !dead(Kind::Owner, "payments", T + 8));
    // As long as anything of the task can matter it is dead: the end is the end of its second,
    // 2δ + D + 1 later nothing new exists, and after L + S nothing at all.
    let last = T + 1 + 7 + AFTER_END_SECS;
    let task = view.feed_entry("task:payments/deploy-1").unwrap();
    assert_eq!(
        (task.before, task.until),
        (UnixTime::from_secs(last), UnixTime::from_secs(last))
    );
    assert!(dead(Kind::Task, "payments/deploy-1", last));
    assert_eq!(view.feed_entry("hold:owner:payments"), None);
    view.heard(T * 1000, UnixTime::from_secs(last));
    assert!(view.feed_entries(UnixTime::from_secs(last)).is_empty());
}

#[test]
fn served_keys_are_bounded_and_in_the_same_order_everywhere() {
    let mut view = ControlView::new(vec![cluster_secret()], AFTER_END_SECS);
    let now = UnixTime::from_secs(10);
    for seed in 0..70 {
        let mut record = key_record("a", seed);
        record.sign_from = UnixTime::from_secs(u64::from(seed));
        record.signed = seed == 69;
        put(&mut view, Body::Key(Box::new(record)));
    }
    let served: Vec<_> = view
        .keys(KeyUse::Token, now)
        .map(|key| key.sign_from.as_secs())
        .collect();
    let expected: Vec<u64> = std::iter::once(69).chain(0..63).collect();
    assert_eq!(
        served, expected,
        "what signed goes first, then by age, and 64 at most"
    );
    assert_eq!(view.keys(KeyUse::Feed, now).count(), 0);
    assert_eq!(
        view.keys(KeyUse::Token, UnixTime::from_secs(3600)).count(),
        0,
        "all lapsed"
    );
    let tainted = view.keys(KeyUse::Token, now).next().unwrap().kid.clone();
    put(
        &mut view,
        crate::revoke::cut_off_body(Kind::Key, &tainted, at(T), 900, 60),
    );
    assert!(view.keys(KeyUse::Token, now).all(|key| key.kid != tainted));
    assert!(
        view.key_record(&tainted).is_some(),
        "its record may come back, it is not served"
    );
}

#[test]
fn what_no_longer_matters_is_forgotten_and_holds_never_are() {
    let mut view = view();
    put(&mut view, cut(Kind::Owner, "payments", T));
    put(&mut view, hold_body(HoldKind::Owner, "payments", true));
    put(&mut view, hold_body(HoldKind::Owner, "billing", false));
    put(&mut view, task_body(&names().task, TaskState::Completed));
    for (secs, left) in [(960, 3), (TOMBSTONE_SECS, 1), (T * 1000, 1)] {
        let now = UnixTime::from_secs(T + secs);
        view.heard(0, now);
        view.purge(now);
        assert_eq!(view.len(), left, "after {secs} s");
    }
    assert!(view.hold(HoldKind::Owner, "payments").is_some());
    assert!(!view.is_empty());
}

fn bodies() -> impl Strategy<Value = Body> {
    let task_state = prop_oneof![
        Just(TaskState::Open),
        Just(TaskState::Completed),
        Just(TaskState::Revoked)
    ];
    prop_oneof![
        (0..3_u64).prop_map(|n| cut(Kind::Owner, "payments", T + n)),
        (0..3_u64).prop_map(|n| cut(Kind::Rule, "ci", T + n)),
        any::<bool>().prop_map(|active| hold_body(HoldKind::Owner, "payments", active)),
        task_state.prop_map(|state| task_body(&names().task, state)),
        (0..2_u8, any::<bool>(), 0..50_u64).prop_map(|(seed, signed, secs)| {
            let mut record = key_record("a", seed);
            record.signed = signed;
            record.lease_until = UnixTime::from_secs(T + secs);
            record.serve_until = record.lease_until;
            Body::Key(Box::new(record))
        }),
    ]
}

proptest! {
    /// Several writers, each of which saw some of what the others wrote; every reader, whatever
    /// the order and the repetitions, comes to the same state.
    #[test]
    fn all_readers_agree(
        writes in proptest::collection::vec((0..3_usize, bodies(), any::<u8>()), 1..24),
        order in proptest::collection::vec(any::<u16>(), 48),
    ) {
        let mut writers = [view(), view(), view()];
        let mut stream: Vec<Vec<u8>> = Vec::new();
        for (writer, body, saw) in writes {
            let seen = stream.len() * usize::from(saw) / 255;
            for sealed in &stream[..seen] {
                writers[writer].apply(sealed).unwrap();
            }
            stream.push(seal(&writers[writer], body).sealed);
        }
        let mut in_order = view();
        for sealed in &stream {
            in_order.apply(sealed).unwrap();
        }
        let mut shuffled = view();
        for pick in order {
            shuffled.apply(&stream[usize::from(pick) % stream.len()]).unwrap();
        }
        for sealed in stream.iter().rev() {
            shuffled.apply(sealed).unwrap();
        }
        prop_assert_eq!(state(&in_order), state(&shuffled));
        // Whoever boots from what the repairs put into the store agrees as well.
        let mut booted = view();
        for write in state(&in_order) {
            booted.apply(&write.sealed).unwrap();
        }
        prop_assert_eq!(state(&booted), state(&in_order));
    }
}
