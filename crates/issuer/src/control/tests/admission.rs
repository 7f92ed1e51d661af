use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;

use super::super::*;
use super::{AFTER_END_SECS, T, cut, names, put, view};
use crate::port::Now;
use crate::revoke::{hold_body, task_body};
use crate::testing::{at, cluster_secret};

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
