//! The feed: what may be concluded from a statement that is believed.

use std::sync::Arc;

use dayfly_token::feed::{Entry, FOREVER, Kind, Statement};
use dayfly_verifier::Revocations;
use dayfly_verifier::feed::{Cursor, FeedState, Outcome};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use proptest::prelude::*;

use crate::fixture::{ISSUER, NOW};

pub fn authority() -> TestAuthority {
    TestAuthority::from_seed(ISSUER, [5; 32]).unwrap()
}

pub fn state(authority: &TestAuthority) -> (FeedState, Arc<Revocations>) {
    let revocations = Arc::new(Revocations::new());
    (
        FeedState::new(
            ISSUER.to_owned(),
            authority.feed_keys(),
            Arc::clone(&revocations),
        ),
        revocations,
    )
}

pub fn revoked(id: &str) -> Entry {
    Entry {
        prefix: prefix(Kind::Credential, id),
        before: FOREVER,
        until: NOW.saturating_add(900),
    }
}

pub fn statement() -> Statement {
    Statement {
        iss: ISSUER.to_owned(),
        epoch: "e1".to_owned(),
        from: "1-0".to_owned(),
        to: "2-0".to_owned(),
        as_of: NOW,
        exp: NOW.saturating_add(60),
        entries: vec![revoked("a")],
        keys_changed: false,
        snapshot: false,
    }
}

#[track_caller]
pub fn applied(outcome: Outcome, expected: &str) {
    match outcome {
        Outcome::Applied { to } => assert_eq!(to, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn snapshot_then_stream() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    assert_eq!(state.cursor(), None);
    applied(
        state.apply(
            &authority.snapshot("5-0", vec![revoked("a")], NOW).unwrap(),
            NOW,
        ),
        "5-0",
    );
    let cursor = Cursor {
        epoch: "e1".to_owned(),
        id: "5-0".to_owned(),
    };
    assert_eq!(state.cursor(), Some(&cursor));
    assert_eq!(cursor.text(), "e1.5-0");
    let next = NOW.saturating_add(5);
    applied(
        state.apply(
            &authority
                .statement("5-0", "7-1", vec![revoked("b")], next)
                .unwrap(),
            next,
        ),
        "7-1",
    );
    assert_eq!(revocations.as_of(), Some(next));
    for id in ["a", "b"] {
        assert!(revocations.is_dead(&prefix(Kind::Credential, id), NOW));
    }
    // The heartbeat: nothing new up to now.
    let beat = NOW.saturating_add(10);
    applied(
        state.apply(
            &authority.statement("7-1", "7-1", vec![], beat).unwrap(),
            beat,
        ),
        "7-1",
    );
    assert_eq!(revocations.as_of(), Some(beat));
}

#[test]
fn a_gap_kills_but_does_not_vouch() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    applied(
        state.apply(&authority.snapshot("5-0", vec![], NOW).unwrap(), NOW),
        "5-0",
    );
    let later = NOW.saturating_add(20);
    let ahead = authority
        .statement("9-0", "10-0", vec![revoked("late")], later)
        .unwrap();
    assert!(matches!(
        state.apply(&ahead, later),
        Outcome::Gap {
            keys_changed: false
        }
    ));
    assert!(
        revocations.is_dead(&prefix(Kind::Credential, "late"), NOW),
        "its entries count"
    );
    assert_eq!(
        revocations.as_of(),
        Some(NOW),
        "something between may be missing"
    );
    assert_eq!(state.cursor().unwrap().id, "5-0");
    applied(
        state.apply(
            &authority
                .snapshot("10-0", vec![revoked("between")], later)
                .unwrap(),
            later,
        ),
        "10-0",
    );
    assert_eq!(revocations.as_of(), Some(later));
}

#[test]
fn the_stream_alone_says_nothing_about_before() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    let piece = authority
        .statement("0-0", "1-0", vec![revoked("a")], NOW)
        .unwrap();
    assert!(matches!(state.apply(&piece, NOW), Outcome::Gap { .. }));
    assert_eq!((revocations.as_of(), revocations.len()), (None, 1));
}

#[test]
fn duplicates_reorderings_and_rollbacks() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    let old_snapshot = authority
        .snapshot("3-0", vec![revoked("a")], NOW.saturating_sub(30))
        .unwrap();
    applied(
        state.apply(
            &authority
                .snapshot("5-0", vec![revoked("a"), revoked("b")], NOW)
                .unwrap(),
            NOW,
        ),
        "5-0",
    );
    // An older snapshot lacks an entry: it stays, and so do the cursor and what was heard.
    applied(state.apply(&old_snapshot, NOW), "5-0");
    assert_eq!((revocations.len(), revocations.as_of()), (2, Some(NOW)));
    let piece = authority
        .statement("4-0", "5-0", vec![revoked("b")], NOW)
        .unwrap();
    for _ in 0..2 {
        applied(state.apply(&piece, NOW), "5-0");
    }
    // Another replica cut its batches differently: what overlaps is no gap.
    applied(
        state.apply(
            &authority
                .statement("4-0", "8-0", vec![revoked("c")], NOW)
                .unwrap(),
            NOW,
        ),
        "8-0",
    );
    assert_eq!(revocations.len(), 3);
}

#[test]
fn another_epoch_needs_a_snapshot_and_forgets_nothing() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    applied(
        state.apply(
            &authority
                .snapshot("900-0", vec![revoked("a")], NOW)
                .unwrap(),
            NOW,
        ),
        "900-0",
    );
    let later = NOW.saturating_add(9);
    let other = Statement {
        epoch: "e2".to_owned(),
        as_of: later,
        ..statement()
    };
    assert!(matches!(
        state.apply(&authority.sign_statement(&other).unwrap(), later),
        Outcome::Gap { .. }
    ));
    assert_eq!(revocations.as_of(), Some(NOW));
    let snapshot = Statement {
        snapshot: true,
        entries: vec![],
        ..other
    };
    applied(
        state.apply(&authority.sign_statement(&snapshot).unwrap(), later),
        "2-0",
    );
    assert_eq!(state.cursor().unwrap().text(), "e2.2-0");
    assert!(
        revocations.is_dead(&prefix(Kind::Credential, "a"), NOW),
        "a store that came back empty revives nothing"
    );
}

#[test]
fn ids_without_an_order_only_equal() {
    let authority = authority();
    let (mut state, _) = state(&authority);
    let sign = |from: &str, to: &str, snapshot| {
        let statement = Statement {
            from: from.to_owned(),
            to: to.to_owned(),
            snapshot,
            ..statement()
        };
        authority.sign_statement(&statement).unwrap()
    };
    applied(state.apply(&sign("", "opaque-a", true), NOW), "opaque-a");
    applied(
        state.apply(&sign("opaque-a", "opaque-b", false), NOW),
        "opaque-b",
    );
    assert!(matches!(
        state.apply(&sign("opaque-a", "opaque-b2", false), NOW),
        Outcome::Gap { .. }
    ));
}

#[test]
fn changed_keys_are_announced_not_brought() {
    let authority = authority();
    let (mut state, _) = state(&authority);
    let snapshot = Statement {
        snapshot: true,
        keys_changed: true,
        ..statement()
    };
    let outcome = state.apply(&authority.sign_statement(&snapshot).unwrap(), NOW);
    assert!(matches!(outcome, Outcome::KeysChanged { to } if to == "2-0"));
    let gap = Statement {
        from: "7-0".to_owned(),
        to: "8-0".to_owned(),
        keys_changed: true,
        ..statement()
    };
    let outcome = state.apply(&authority.sign_statement(&gap).unwrap(), NOW);
    assert!(matches!(outcome, Outcome::Gap { keys_changed: true }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever arrives in whatever order: `heard` never claims more than is known. The model: every revocation
    /// with an id up to the cursor is in the state.
    #[test]
    fn heard_means_complete(steps in proptest::collection::vec((0..8_u64, 0..8_u64, any::<bool>()), 1..20)) {
        let authority = authority();
        let (mut state, revocations) = state(&authority);
        let covering = |from: u64, to: u64| (from + 1..=to).map(|id| revoked(&id.to_string())).collect::<Vec<_>>();
        for (from, length, snapshot) in steps {
            let to = from + length;
            let as_of = NOW.saturating_add(to);
            let text = if snapshot {
                authority.snapshot(&to.to_string(), covering(0, to), as_of)
            } else {
                authority.statement(&from.to_string(), &to.to_string(), covering(from, to), as_of)
            };
            state.apply(&text.unwrap(), NOW);
            if let Some(as_of) = revocations.as_of() {
                // Control entry `n` was written at NOW + n.
                for id in 1..=as_of.seconds_since(NOW) {
                    prop_assert!(revocations.is_dead(&prefix(Kind::Credential, &id.to_string()), NOW), "{} as of {}", id, as_of);
                }
            }
        }
    }
}
