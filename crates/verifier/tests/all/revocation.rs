//! Revocation: every kind, the edges of cut-offs, and the matrix of staleness.

use std::sync::Arc;

use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::{
    Freshness, Presented, RejectionCode as Code, RevocationSource, Revocations, UnixTime,
    UnverifiedToken, Verifier,
};
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{AUDIENCE, Bench, NOW};

fn entry(kind: Kind, value: &str, before: UnixTime) -> Entry {
    Entry {
        prefix: prefix(kind, value),
        before,
        until: NOW.saturating_add(3600),
    }
}

/// A token with everything that a revocation can name.
fn rich(bench: &Bench) -> String {
    let actor = json!({ "sub": "spiffe://test.example/agents/planner", "act": { "sub": "spiffe://test.example/people/asker" } });
    let dfy = json!({ "rule": "gh-deploy", "env": "prod", "anc": ["parent-id", "grandparent-id"] });
    let token = bench
        .authority
        .token(AUDIENCE)
        .subject("spiffe://test.example/payments/deploy")
        .task("payments/release-7");
    token
        .id("credential-id")
        .claim("act", actor)
        .claim("dfy", dfy)
        .mint(NOW)
        .unwrap()
}

#[test]
fn the_bytes_of_a_prefix() {
    // SHA-256("task" || 0x00 || "payments/release-7"), first 16 bytes.
    let digest = dayfly_keys::sha256(b"task\0payments/release-7");
    assert_eq!(
        prefix(Kind::Task, "payments/release-7").as_bytes()[..],
        digest[..16]
    );
    assert_ne!(
        prefix(Kind::Owner, "payments"),
        prefix(Kind::Rule, "payments")
    );
}

#[test]
fn every_kind_kills() {
    for bench in Bench::both() {
        let token = rich(&bench);
        let kid = bench.authority.token_key().kid().to_owned();
        for (kind, value) in [
            (Kind::Credential, "credential-id"),
            (Kind::Credential, "parent-id"),
            (Kind::Credential, "grandparent-id"),
            (Kind::Task, "payments/release-7"),
            (Kind::Workload, "payments/deploy"),
            (Kind::Owner, "payments"),
            (Kind::Workload, "agents/planner"),
            (Kind::Owner, "agents"),
            (Kind::Workload, "people/asker"),
            (Kind::Owner, "people"),
            (Kind::Rule, "gh-deploy"),
            (Kind::Key, &kid),
        ] {
            let fresh = bench
                .authority
                .verifier(AUDIENCE)
                .revocation(RevocationSource::None)
                .build()
                .unwrap();
            let verify = || fresh.verify(UnverifiedToken::new(&token), &Presented::NOTHING, NOW);
            assert!(verify().is_ok());
            // Everything of another name, kind, or instant leaves it alone.
            let others = Kind::ALL
                .into_iter()
                .filter(|other| *other != kind)
                .map(|other| entry(other, value, FOREVER));
            fresh.revocations().merge(&others.collect::<Vec<_>>(), NOW);
            fresh
                .revocations()
                .merge(&[entry(kind, &format!("{value}x"), FOREVER)], NOW);
            fresh
                .revocations()
                .merge(&[entry(kind, value, NOW.saturating_sub(1))], NOW);
            assert!(verify().is_ok(), "{kind} {value}");
            fresh.revocations().merge(&[entry(kind, value, NOW)], NOW);
            assert_eq!(
                verify().unwrap_err().code(),
                Code::Revoked,
                "{kind} {value}"
            );
        }
    }
}

#[test]
fn a_cut_off_kills_the_past_only() {
    let bench = Bench::new(Algorithm::EdDsa);
    let cut = NOW.saturating_add(10);
    bench
        .verifier
        .revocations()
        .merge(&[entry(Kind::Owner, "tests", cut)], NOW);
    for (issued, alive) in [(NOW, false), (cut, false), (cut.saturating_add(1), true)] {
        let token = bench.authority.token(AUDIENCE).mint(issued).unwrap();
        let verified =
            bench
                .verifier
                .verify(UnverifiedToken::new(&token), &Presented::NOTHING, issued);
        assert_eq!(verified.is_ok(), alive, "{issued}");
    }
}

#[test]
fn sameness_of_names_is_exact() {
    let bench = Bench::new(Algorithm::EdDsa);
    let names = [
        (Kind::Owner, "test"),
        (Kind::Owner, "tests/caller"),
        (Kind::Workload, "tests"),
        (Kind::Workload, "caller"),
        (Kind::Task, "task"),
        (Kind::Credential, ""),
    ];
    let entries: Vec<_> = names
        .into_iter()
        .map(|(kind, name)| entry(kind, name, FOREVER))
        .collect();
    bench.verifier.revocations().merge(&entries, NOW);
    bench.accepts(&bench.good());
}

#[test]
fn entries_outlive_every_token_they_kill() {
    let revocations = Revocations::new();
    let until = NOW.saturating_add(100);
    revocations.merge(
        &[Entry {
            prefix: prefix(Kind::Credential, "a"),
            before: NOW,
            until,
        }],
        NOW,
    );
    let dead = || revocations.is_dead(&prefix(Kind::Credential, "a"), NOW);
    // Twice the largest leeway beyond its `until`, and not a second longer.
    revocations.purge(until.saturating_add(120));
    assert!(dead() && revocations.entries(until.saturating_add(120)).len() == 1);
    assert!(revocations.entries(until.saturating_add(121)).is_empty());
    revocations.purge(until.saturating_add(121));
    assert!(!dead() && revocations.is_empty());
    // What has expired does not come in again.
    revocations.merge(
        &[Entry {
            prefix: prefix(Kind::Credential, "a"),
            before: NOW,
            until,
        }],
        until.saturating_add(121),
    );
    assert!(revocations.is_empty());
}

#[test]
fn a_large_state_settles_and_stays_right() {
    let revocations = Revocations::new();
    let ids: Vec<String> = (0..30_000).map(|number| format!("id-{number}")).collect();
    for batch in ids.chunks(1000) {
        let entries: Vec<_> = batch
            .iter()
            .map(|id| entry(Kind::Credential, id, NOW))
            .collect();
        revocations.merge(&entries, NOW);
        revocations.merge(&entries, NOW);
    }
    assert_eq!(
        (revocations.len(), revocations.entries(NOW).len()),
        (30_000, 30_000)
    );
    assert!(
        ids.iter()
            .all(|id| revocations.is_dead(&prefix(Kind::Credential, id), NOW))
    );
    assert!(!revocations.is_dead(&prefix(Kind::Credential, "id-30000"), NOW));
    // Raised after it has settled.
    revocations.merge(
        &[entry(Kind::Credential, "id-7", NOW.saturating_add(50))],
        NOW,
    );
    assert!(revocations.is_dead(&prefix(Kind::Credential, "id-7"), NOW.saturating_add(50)));
    assert_eq!(revocations.entries(NOW).len(), 30_000);
}

#[test]
fn readers_and_writers_at_once() {
    let revocations = Arc::new(Revocations::new());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let revocations = Arc::clone(&revocations);
            std::thread::spawn(move || {
                for number in 0..500 {
                    let id = format!("{writer}-{number}");
                    revocations.merge(&[entry(Kind::Credential, &id, NOW)], NOW);
                    assert!(
                        revocations.is_dead(&prefix(Kind::Credential, &id), NOW),
                        "a merge that came back is seen"
                    );
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(revocations.len(), 2000);
}

proptest! {
    /// Order, repetition and partition of what is heard change nothing: a grow-only set with maxima.
    #[test]
    fn merging_is_a_union(
        entries in proptest::collection::vec((0..20_u8, 0..50_u64, 0..50_u64), 0..60),
        order in any::<u64>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|(id, before, until)| Entry {
                prefix: prefix(Kind::Credential, &id.to_string()),
                before: UnixTime::from_secs(before),
                until: UnixTime::from_secs(1000 + until),
            })
            .collect();
        let now = UnixTime::from_secs(500);
        let (one, other) = (Revocations::new(), Revocations::new());
        one.merge(&entries, now);
        let mut shuffled = entries.clone();
        shuffled.sort_by_key(|entry| (entry.before.as_secs() ^ order, entry.until));
        let cut = cut.index(shuffled.len() + 1);
        for part in [&shuffled[cut..], &shuffled[..cut], &shuffled[..cut]] {
            other.merge(part, now);
        }
        prop_assert_eq!(one.entries(now), other.entries(now));
        for entry in &entries {
            prop_assert!(one.is_dead(&entry.prefix, entry.before));
        }
    }
}

fn following(bench: &Bench, source: RevocationSource, staleness: Option<u64>) -> Verifier {
    let builder = bench
        .authority
        .verifier(AUDIENCE)
        .revocation(source)
        .max_lifetime_secs(3600);
    match staleness {
        Some(secs) => builder.max_staleness_secs(secs),
        None => builder,
    }
    .build()
    .unwrap()
}

/// What a verifier says of a good token when the feed was last heard `age` seconds ago.
fn says(bench: &Bench, verifier: &Verifier) -> Result<Freshness, Code> {
    let verified = verifier.verify(
        UnverifiedToken::new(&bench.good()),
        &Presented::NOTHING,
        NOW,
    );
    verified
        .map(|verified| verified.freshness())
        .map_err(|rejection| rejection.code())
}

#[test]
fn the_matrix_of_staleness() {
    let bench = Bench::new(Algorithm::EdDsa);
    let stale = |age_secs| Ok(Freshness::Stale { age_secs });
    let refused = Err(Code::RevocationStale);
    for source in [RevocationSource::Follow, RevocationSource::Bundle] {
        for (age, to_the_end, to_a_minute) in [
            (Some(0), Ok(Freshness::Fresh), Ok(Freshness::Fresh)),
            (Some(15), Ok(Freshness::Fresh), Ok(Freshness::Fresh)),
            (Some(16), stale(16), stale(16)),
            (Some(60), stale(60), stale(60)),
            (Some(61), stale(61), refused),
            (Some(3600), stale(3600), refused),
            (Some(3601), refused, refused),
            (None, refused, refused),
        ] {
            for (staleness, expected) in [(None, to_the_end), (Some(60), to_a_minute)] {
                let verifier = following(&bench, source, staleness);
                if let Some(age) = age {
                    verifier.revocations().heard(NOW.saturating_sub(age));
                }
                assert_eq!(
                    says(&bench, &verifier),
                    expected,
                    "{source:?} age {age:?} limit {staleness:?}"
                );
                assert_eq!(verifier.freshness(NOW), expected.ok());
            }
        }
    }
    let unfollowed = following(&bench, RevocationSource::None, None);
    assert_eq!(says(&bench, &unfollowed), Ok(Freshness::Unknown));
    unfollowed.revocations().heard(NOW);
    assert_eq!(says(&bench, &unfollowed), Ok(Freshness::Unknown));
    unfollowed
        .revocations()
        .merge(&[entry(Kind::Owner, "tests", NOW)], NOW);
    assert_eq!(says(&bench, &unfollowed), Err(Code::Revoked));
}

#[test]
fn the_issuers_lifetime_bounds_staleness() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = following(&bench, RevocationSource::Follow, None);
    verifier.set_max_lifetime(300);
    verifier.revocations().heard(NOW.saturating_sub(300));
    assert_eq!(
        says(&bench, &verifier),
        Ok(Freshness::Stale { age_secs: 300 })
    );
    let later = NOW.saturating_add(1);
    let refused = verifier
        .verify(
            UnverifiedToken::new(&bench.good()),
            &Presented::NOTHING,
            later,
        )
        .unwrap_err();
    assert_eq!(refused.code(), Code::RevocationStale);
}

#[test]
fn what_was_heard_never_goes_back() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = following(&bench, RevocationSource::Follow, None);
    verifier.revocations().heard(NOW);
    verifier.revocations().heard(NOW.saturating_sub(4000));
    assert_eq!(verifier.revocations().as_of(), Some(NOW));
    assert_eq!(says(&bench, &verifier), Ok(Freshness::Fresh));
}

#[test]
fn a_revoked_token_is_refused_in_a_stale_state_too() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = following(&bench, RevocationSource::Follow, None);
    verifier
        .revocations()
        .merge(&[entry(Kind::Task, "tests/task", FOREVER)], NOW);
    assert_eq!(says(&bench, &verifier), Err(Code::Revoked));
}

#[test]
fn freshness_on_the_wire() {
    for (freshness, wire) in [
        (Freshness::Fresh, json!({ "state": "fresh" })),
        (
            Freshness::Stale { age_secs: 42 },
            json!({ "state": "stale", "age": 42 }),
        ),
        (Freshness::Unknown, json!({ "state": "unknown" })),
    ] {
        assert_eq!(json!(freshness), wire);
    }
}
