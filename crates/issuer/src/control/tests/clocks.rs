//! A replica whose clock steps: it forgets nothing, and what it writes does what it says.

use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;

use super::super::*;
use super::{T, cut, names, put, view};
use crate::port::Now;
use crate::revoke::{Retention, Revocation};
use crate::testing::key_record;

const HOUR: u64 = 3600;

const RETENTION: Retention = Retention {
    max_lifetime_secs: 900,
    leeway_secs: 60,
};

fn by_a_clock_that_says(secs: u64) -> Now {
    Now {
        unix_ms: secs * 1000,
        monotonic_ms: T * 1000,
    }
}

/// Answering `revoked` while every token of the workload lives on is the worst answer.
#[test]
fn a_revocation_by_a_clock_that_was_set_back_kills_the_present() {
    let names = names();
    for (behind, last_dead) in [(0, T + 7), (3, T + 4), (4, T + 9), (HOUR, T + 9)] {
        let mut view = view();
        let now = by_a_clock_that_says(T - behind);
        for body in Revocation::Workload(names.workload.clone()).bodies(now, RETENTION) {
            let write = view.seal(now.time(), "operator", "", body).unwrap();
            view.apply(&write.sealed).unwrap();
        }
        let dead = |issued_at| view.death(&names.lineage(issued_at)).is_some();
        assert!(dead(last_dead) && !dead(last_dead + 1), "{behind}");
        let entry = view.feed_entry("cut:workload:payments/deploy").unwrap();
        assert_eq!(entry.until.as_secs(), last_dead + 960);
    }
}

#[test]
fn a_task_that_ends_by_a_clock_that_was_set_back_is_remembered_as_long_as_any() {
    let mut view = view();
    let now = by_a_clock_that_says(T - HOUR);
    let bodies = Revocation::Task(names().task).bodies(now, RETENTION);
    let write = view.seal(now.time(), "operator", "", bodies[0].clone());
    view.apply(&write.unwrap().sealed).unwrap();
    let entry = view.feed_entry("task:payments/deploy-1").unwrap();
    assert!(entry.until >= UnixTime::from_secs(T + 960), "{entry:?}");
}

#[test]
fn a_taint_stays_for_ever_whatever_the_clock() {
    let mut view = view();
    let now = by_a_clock_that_says(T - HOUR);
    let kid = "k".to_owned();
    let bodies = Revocation::Key { kid }.bodies(now, RETENTION);
    let write = view.seal(now.time(), "operator", "", bodies[0].clone());
    view.apply(&write.unwrap().sealed).unwrap();
    let forever = Some(dayfly_token::feed::FOREVER);
    assert_eq!(view.cut_off(Kind::Key, "k"), forever);
}

#[test]
fn a_clock_that_runs_ahead_forgets_nothing_and_serves_every_key() {
    let mut view = view();
    put(&mut view, cut(Kind::Owner, "payments", T));
    let mut key = key_record("a", 1);
    key.serve_until = UnixTime::from_secs(T + 60);
    put(&mut view, Body::Key(Box::new(key)));
    let ahead = UnixTime::from_secs(T + HOUR);
    view.purge(ahead);
    assert_eq!(view.len(), 2);
    assert_eq!(view.feed_entries(ahead).len(), 1);
    assert_eq!(view.write_back(ahead).len(), 2);
    assert_eq!(view.keys(KeyUse::Token, ahead).count(), 1);
    view.heard(T * 1000, ahead);
    assert_eq!(view.keys(KeyUse::Token, ahead).count(), 0);
    view.purge(ahead);
    assert!(view.is_empty());
}
