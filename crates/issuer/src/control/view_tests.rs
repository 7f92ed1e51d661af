use dayfly_token::feed::Kind;
use dayfly_token::{Slug, TaskId, UnixTime, WorkloadId};
use dayfly_verifier::revocation;
use proptest::prelude::*;

use super::*;
use crate::port::{ControlWrite, Now};
use crate::revoke::{hold_body, task_body};
use crate::testing::{at, cluster_secret, key_record};

const AFTER_END_SECS: u64 = 960;
const T: u64 = 1_000_000;

fn view() -> ControlView {
    let mut view = ControlView::new(vec![cluster_secret()], AFTER_END_SECS);
    view.heard(T * 1000, UnixTime::from_secs(T));
    view
}

fn seal(view: &ControlView, body: Body) -> ControlWrite {
    view.seal(UnixTime::from_secs(T), "replica:a", "", body)
        .unwrap()
}

fn put(view: &mut ControlView, body: Body) -> ControlWrite {
    let write = seal(view, body);
    view.apply(&write.sealed).unwrap();
    write
}

fn cut(kind: Kind, value: &str, before: u64) -> Body {
    let (before, until) = (
        UnixTime::from_secs(before),
        UnixTime::from_secs(before + 960),
    );
    Body::CutOff {
        kind,
        value: value.to_owned(),
        before,
        until,
    }
}

struct Names {
    workload: WorkloadId,
    rule: Slug,
    task: TaskId,
}

fn names() -> Names {
    Names {
        workload: "payments/deploy".parse().unwrap(),
        rule: "gh-deploy".parse().unwrap(),
        task: "payments/deploy-1".parse().unwrap(),
    }
}

impl Names {
    fn target(&self) -> Target<'_> {
        Target {
            workload: &self.workload,
            rule: &self.rule,
            source: "oidc:github",
            task: Some(&self.task),
        }
    }

    fn lineage(&self, issued_at: u64) -> Lineage<'_> {
        Lineage {
            id: "child",
            ancestors: &[],
            workload: &self.workload,
            rule: &self.rule,
            task: Some(&self.task),
            kid: Some("kid"),
            issued_at: UnixTime::from_secs(issued_at),
        }
    }
}

fn state(view: &ControlView) -> Vec<ControlWrite> {
    let mut writes = view.write_back(UnixTime::EPOCH);
    writes.sort_by(|a, b| a.slot.cmp(&b.slot));
    writes
}

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
fn a_new_secret_seals_and_the_old_one_still_opens() {
    let secret = |byte| ClusterSecret::new(zeroize::Zeroizing::new(vec![byte; 32])).unwrap();
    let old = ControlView::new(vec![secret(1)], AFTER_END_SECS);
    let by_old = seal(&old, hold_body(HoldKind::Rule, "ci", true));
    let mut new = ControlView::new(vec![secret(2), secret(1)], AFTER_END_SECS);
    assert!(new.apply(&by_old.sealed).unwrap().is_some());
    let by_new = seal(&new, hold_body(HoldKind::Rule, "ci", false));
    assert!(secret(2).open(&by_new.sealed).is_ok());
    assert!(secret(1).open(&by_new.sealed).is_err());
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
fn nothing_is_admitted_when_control_was_silent_for_longer_than_d() {
    let (view, names) = (view(), names());
    let after = |ms: u64| Now {
        unix_ms: T * 1000 + ms,
        monotonic_ms: T * 1000 + ms,
    };
    assert_eq!(view.admit(&names.target(), after(2000)), Ok(()));
    assert_eq!(
        view.admit(&names.target(), after(2001)),
        Err(Refusal::Silent)
    );
    let never = ControlView::new(vec![cluster_secret()], AFTER_END_SECS);
    assert_eq!(never.admit(&names.target(), at(0)), Err(Refusal::Silent));
}

#[test]
fn nothing_is_admitted_by_a_clock_that_stepped() {
    let (view, names) = (view(), names());
    let step = |secs: i64| {
        let unix_ms = (T * 1000).checked_add_signed(secs * 1000).unwrap();
        view.admit(
            &names.target(),
            Now {
                unix_ms,
                monotonic_ms: T * 1000,
            },
        )
    };
    for secs in [-3, -1, 0, 1, 5] {
        assert_eq!(step(secs), Ok(()), "{secs}");
    }
    for secs in [-3600, -4, 6, 3600] {
        assert!(
            matches!(step(secs), Err(Refusal::ClockStep { .. })),
            "{secs}"
        );
    }
}

#[test]
fn a_hold_of_each_kind_closes_the_door_until_it_is_lifted() {
    for (kind, value) in [
        (HoldKind::Workload, "payments/deploy"),
        (HoldKind::Owner, "payments"),
        (HoldKind::Rule, "gh-deploy"),
        (HoldKind::Source, "oidc:github"),
    ] {
        let (mut view, names) = (view(), names());
        put(&mut view, hold_body(kind, "other", true));
        assert_eq!(view.admit(&names.target(), at(T)), Ok(()));
        put(&mut view, hold_body(kind, value, true));
        let refused = view.admit(&names.target(), at(T));
        assert!(
            matches!(&refused, Err(Refusal::Held(hold)) if (hold.kind, hold.value.as_str()) == (kind, value)),
            "{refused:?}"
        );
        assert_eq!(view.holds().len(), 2);
        put(&mut view, hold_body(kind, value, false));
        assert_eq!(view.admit(&names.target(), at(T)), Ok(()));
    }
}

#[test]
fn a_cut_off_of_each_kind_ends_one_second_after_its_last_dead_instant() {
    for (kind, value) in [
        (Kind::Workload, "payments/deploy"),
        (Kind::Owner, "payments"),
        (Kind::Rule, "gh-deploy"),
    ] {
        let (mut view, names) = (view(), names());
        put(&mut view, cut(kind, value, T + 1));
        let before = UnixTime::from_secs(T + 1);
        let refused = Err(Refusal::CutOff { kind, before });
        assert_eq!(view.admit(&names.target(), at(T + 1)), refused);
        assert_eq!(view.admit(&names.target(), at(T + 2)), Ok(()));
    }
}

#[test]
fn nothing_is_admitted_for_a_task_that_ended_or_is_overdue() {
    let names = names();
    for state in [TaskState::Completed, TaskState::Revoked] {
        let mut view = view();
        put(&mut view, task_body(&names.task, state));
        assert_eq!(
            view.admit(&names.target(), at(T)),
            Err(Refusal::TaskEnded { state })
        );
    }
    let mut cut_off = view();
    put(&mut cut_off, cut(Kind::Task, "payments/deploy-1", T - 100));
    let ended = Err(Refusal::TaskEnded {
        state: TaskState::Revoked,
    });
    assert_eq!(
        cut_off.admit(&names.target(), at(T)),
        ended,
        "a task's cut-off is for ever"
    );
    let deadline = UnixTime::from_secs(T + 1);
    let mut overdue = view();
    let body = Body::Task {
        task: names.task.clone(),
        state: TaskState::Open,
        purpose: String::new(),
        deadline: Some(deadline),
    };
    put(&mut overdue, body);
    assert_eq!(overdue.admit(&names.target(), at(T)), Ok(()));
    let refused = Err(Refusal::TaskOverdue { deadline });
    assert_eq!(overdue.admit(&names.target(), at(T + 1)), refused);
}

#[test]
fn each_kind_of_cut_off_kills_what_was_issued_by_its_instant() {
    let names = names();
    for (kind, value) in [
        (Kind::Credential, "child"),
        (Kind::Credential, "parent"),
        (Kind::Task, "payments/deploy-1"),
        (Kind::Workload, "payments/deploy"),
        (Kind::Owner, "payments"),
        (Kind::Rule, "gh-deploy"),
        (Kind::Key, "kid"),
    ] {
        let mut view = view();
        let ancestors = ["parent".to_owned()];
        let lineage = |issued_at| Lineage {
            ancestors: &ancestors,
            ..names.lineage(issued_at)
        };
        put(&mut view, cut(kind, "another/name", T));
        assert_eq!(view.death(&lineage(T)), None);
        put(&mut view, cut(kind, value, T));
        assert_eq!(view.death(&lineage(T)), Some(kind), "{value}");
        assert_eq!(view.death(&lineage(T + 1)), None, "{value}");
    }
    let mut view = view();
    put(&mut view, task_body(&names.task, TaskState::Completed));
    assert_eq!(view.death(&names.lineage(T + 5000)), Some(Kind::Task));
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
    assert!(view.feed_entries(UnixTime::from_secs(last)).is_empty());
}

#[test]
fn served_keys_are_bounded_and_in_the_same_order_everywhere() {
    let mut view = view();
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
    view.purge(UnixTime::from_secs(T + 960));
    assert_eq!(view.len(), 3, "the cut-off is over");
    view.purge(UnixTime::from_secs(T + TOMBSTONE_SECS));
    assert_eq!(view.len(), 1);
    view.purge(UnixTime::from_secs(T * 1000));
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
