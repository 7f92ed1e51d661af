//! A clock that steps: nothing revoked comes back to life, and nothing unknown is called fresh.

use std::sync::Arc;

use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, Kind};
use dayfly_verifier::feed::Outcome;
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::{Freshness, Presented, RejectionCode as Code, UnixTime, UnverifiedToken};

use crate::feed::{authority, state};
use crate::fixture::{AUDIENCE, Bench, NOW};

const HOUR: u64 = 3600;

fn dying(value: &str, until: UnixTime) -> Entry {
    Entry {
        prefix: prefix(Kind::Credential, value),
        before: NOW,
        until,
    }
}

/// With a clock an hour behind, every new statement is one from the future: what is revoked now does not arrive, and
/// the age of what was heard cannot be told.
#[test]
fn a_clock_that_was_set_back_makes_no_state_fresh() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    verifier.revocations().heard(NOW);
    for (behind_secs, fresh) in [(0, true), (60, true), (61, false), (HOUR, false)] {
        let now = NOW.saturating_sub(behind_secs);
        let token = bench.authority.token(AUDIENCE).mint(now).unwrap();
        let verified = verifier.verify(UnverifiedToken::new(&token), &Presented::NOTHING, now);
        if fresh {
            assert_eq!(verified.unwrap().freshness(), Freshness::Fresh);
        } else {
            let rejection = verified.unwrap_err();
            assert_eq!(rejection.code(), Code::RevocationStale, "{behind_secs}");
            assert!(rejection.to_string().contains("set back"), "{rejection}");
        }
        assert_eq!(verifier.freshness(now).is_some(), fresh);
    }
}

#[test]
fn a_clock_that_ran_ahead_for_a_while_forgets_nothing() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    let token = bench.authority.token(AUDIENCE).id("a").mint(NOW).unwrap();
    let revocations = Arc::clone(verifier.revocations());
    revocations.heard(NOW);
    revocations.merge(&[dying("a", NOW.saturating_add(300))], NOW);
    let ahead = NOW.saturating_add(HOUR);
    revocations.purge(ahead);
    // So many that the state is folded, and what has expired would be left out.
    let others: Vec<_> = (0..5000)
        .map(|number| dying(&format!("x{number}"), ahead.saturating_add(HOUR)))
        .collect();
    revocations.merge(&others, ahead);
    let later = NOW.saturating_add(10);
    let refused = verifier
        .verify(UnverifiedToken::new(&token), &Presented::NOTHING, later)
        .unwrap_err();
    assert_eq!(refused.code(), Code::Revoked);
    // Once the issuer's own clock is there, it goes.
    revocations.heard(ahead);
    revocations.purge(ahead);
    assert_eq!(revocations.len(), 5000);
}

#[test]
fn a_statement_that_is_read_by_a_clock_ahead_counts_when_the_clock_is_right_again() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    let entries = vec![dying("a", NOW.saturating_add(300))];
    let snapshot = authority.snapshot("1-0", entries, NOW).unwrap();
    let ahead = NOW.saturating_add(500);
    assert!(matches!(
        state.apply(&snapshot, ahead),
        Outcome::Applied { .. }
    ));
    assert!(revocations.is_dead(&prefix(Kind::Credential, "a"), NOW));
}
