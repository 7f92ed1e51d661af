//! The feed: whom to believe, and what may be concluded.

use std::sync::Arc;

use dayfly_keys::{Algorithm, KeySet};
use dayfly_token::feed::{Entry, FOREVER, Kind, Statement};
use dayfly_verifier::feed::{Bundle, BundleError, Cursor, FeedError, FeedState, Outcome, open_statement};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{Freshness, Presented, Revocations, RevocationSource, UnixTime, UnverifiedToken};
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

fn authority() -> TestAuthority {
    TestAuthority::from_seed(ISSUER, [5; 32]).unwrap()
}

fn state(authority: &TestAuthority) -> (FeedState, Arc<Revocations>) {
    let revocations = Arc::new(Revocations::new());
    (FeedState::new(ISSUER.to_owned(), authority.feed_keys(), Arc::clone(&revocations)), revocations)
}

fn revoked(id: &str) -> Entry {
    Entry { prefix: prefix(Kind::Credential, id), before: FOREVER, until: NOW.saturating_add(900) }
}

fn statement() -> Statement {
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
fn applied(outcome: Outcome, expected: &str) {
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
    applied(state.apply(&authority.snapshot("5-0", vec![revoked("a")], NOW).unwrap(), NOW), "5-0");
    let cursor = Cursor { epoch: "e1".to_owned(), id: "5-0".to_owned() };
    assert_eq!(state.cursor(), Some(&cursor));
    assert_eq!(cursor.text(), "e1.5-0");
    let next = NOW.saturating_add(5);
    applied(state.apply(&authority.statement("5-0", "7-1", vec![revoked("b")], next).unwrap(), next), "7-1");
    assert_eq!(revocations.as_of(), Some(next));
    for id in ["a", "b"] {
        assert!(revocations.is_dead(&prefix(Kind::Credential, id), NOW));
    }
    // The heartbeat: nothing new up to now.
    let beat = NOW.saturating_add(10);
    applied(state.apply(&authority.statement("7-1", "7-1", vec![], beat).unwrap(), beat), "7-1");
    assert_eq!(revocations.as_of(), Some(beat));
}

#[test]
fn a_gap_kills_but_does_not_vouch() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    applied(state.apply(&authority.snapshot("5-0", vec![], NOW).unwrap(), NOW), "5-0");
    let later = NOW.saturating_add(20);
    let ahead = authority.statement("9-0", "10-0", vec![revoked("late")], later).unwrap();
    assert!(matches!(state.apply(&ahead, later), Outcome::Gap { keys_changed: false }));
    assert!(revocations.is_dead(&prefix(Kind::Credential, "late"), NOW), "its entries count");
    assert_eq!(revocations.as_of(), Some(NOW), "something between may be missing");
    assert_eq!(state.cursor().unwrap().id, "5-0");
    applied(state.apply(&authority.snapshot("10-0", vec![revoked("between")], later).unwrap(), later), "10-0");
    assert_eq!(revocations.as_of(), Some(later));
}

#[test]
fn the_stream_alone_says_nothing_about_before() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    let piece = authority.statement("0-0", "1-0", vec![revoked("a")], NOW).unwrap();
    assert!(matches!(state.apply(&piece, NOW), Outcome::Gap { .. }));
    assert_eq!((revocations.as_of(), revocations.len()), (None, 1));
}

#[test]
fn duplicates_reorderings_and_rollbacks() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    let old_snapshot = authority.snapshot("3-0", vec![revoked("a")], NOW.saturating_sub(30)).unwrap();
    applied(state.apply(&authority.snapshot("5-0", vec![revoked("a"), revoked("b")], NOW).unwrap(), NOW), "5-0");
    // An older snapshot lacks an entry: it stays, and so do the cursor and what was heard.
    applied(state.apply(&old_snapshot, NOW), "5-0");
    assert_eq!((revocations.len(), revocations.as_of()), (2, Some(NOW)));
    let piece = authority.statement("4-0", "5-0", vec![revoked("b")], NOW).unwrap();
    for _ in 0..2 {
        applied(state.apply(&piece, NOW), "5-0");
    }
    // Another replica cut its batches differently: what overlaps is no gap.
    applied(state.apply(&authority.statement("4-0", "8-0", vec![revoked("c")], NOW).unwrap(), NOW), "8-0");
    assert_eq!(revocations.len(), 3);
}

#[test]
fn another_epoch_needs_a_snapshot_and_forgets_nothing() {
    let authority = authority();
    let (mut state, revocations) = state(&authority);
    applied(state.apply(&authority.snapshot("900-0", vec![revoked("a")], NOW).unwrap(), NOW), "900-0");
    let later = NOW.saturating_add(9);
    let other = Statement { epoch: "e2".to_owned(), as_of: later, ..statement() };
    assert!(matches!(state.apply(&authority.sign_statement(&other).unwrap(), later), Outcome::Gap { .. }));
    assert_eq!(revocations.as_of(), Some(NOW));
    let snapshot = Statement { snapshot: true, entries: vec![], ..other };
    applied(state.apply(&authority.sign_statement(&snapshot).unwrap(), later), "2-0");
    assert_eq!(state.cursor().unwrap().text(), "e2.2-0");
    assert!(revocations.is_dead(&prefix(Kind::Credential, "a"), NOW), "a store that came back empty revives nothing");
}

#[test]
fn ids_without_an_order_only_equal() {
    let authority = authority();
    let (mut state, _) = state(&authority);
    let sign = |from: &str, to: &str, snapshot| {
        let statement = Statement { from: from.to_owned(), to: to.to_owned(), snapshot, ..statement() };
        authority.sign_statement(&statement).unwrap()
    };
    applied(state.apply(&sign("", "opaque-a", true), NOW), "opaque-a");
    applied(state.apply(&sign("opaque-a", "opaque-b", false), NOW), "opaque-b");
    assert!(matches!(state.apply(&sign("opaque-a", "opaque-b2", false), NOW), Outcome::Gap { .. }));
}

#[test]
fn changed_keys_are_announced_not_brought() {
    let authority = authority();
    let (mut state, _) = state(&authority);
    let snapshot = Statement { snapshot: true, keys_changed: true, ..statement() };
    let outcome = state.apply(&authority.sign_statement(&snapshot).unwrap(), NOW);
    assert!(matches!(outcome, Outcome::KeysChanged { to } if to == "2-0"));
    let gap = Statement { from: "7-0".to_owned(), to: "8-0".to_owned(), keys_changed: true, ..statement() };
    let outcome = state.apply(&authority.sign_statement(&gap).unwrap(), NOW);
    assert!(matches!(outcome, Outcome::Gap { keys_changed: true }));
}

#[test]
fn what_is_not_believed_changes_nothing() {
    let authority = authority();
    let stranger = TestAuthority::from_seed(ISSUER, [6; 32]).unwrap();
    let (mut state, revocations) = state(&authority);
    let good = authority.sign_statement(&statement()).unwrap();
    assert!(open_statement(&good, &authority.feed_keys(), ISSUER, NOW).is_ok());
    let mut forged: Vec<(String, &str)> = vec![
        (stranger.sign_statement(&statement()).unwrap(), "another key"),
        (good[..good.len() - 8].to_owned(), "cut"),
        (good.replacen('.', "", 1), "no statement"),
        (String::new(), "nothing"),
        (authority.token(AUDIENCE).mint(NOW).unwrap(), "a token"),
    ];
    for (change, what) in [
        (Statement { iss: "https://other.example".to_owned(), ..statement() }, "another issuer"),
        (Statement { iss: format!("{ISSUER}/"), ..statement() }, "almost the issuer"),
        (Statement { exp: NOW.saturating_sub(60), ..statement() }, "expired"),
        (Statement { as_of: NOW.saturating_add(61), ..statement() }, "of the future"),
    ] {
        forged.push((authority.sign_statement(&change).unwrap(), what));
    }
    for (text, what) in forged {
        let outcome = state.apply(&text, NOW);
        assert!(matches!(outcome, Outcome::Refused(_) | Outcome::UnknownKey { .. }), "{what}: {outcome:?}");
        assert_eq!((revocations.len(), revocations.as_of(), state.cursor()), (0, None, None), "{what}");
    }
}

#[test]
fn times_of_a_statement_at_the_edges() {
    let authority = authority();
    let open = |statement: Statement, now| open_statement(&authority.sign_statement(&statement).unwrap(), &authority.feed_keys(), ISSUER, now);
    let end = NOW.saturating_add(60 + 60);
    assert!(open(statement(), end.saturating_sub(1)).is_ok());
    assert!(matches!(open(statement(), end), Err(FeedError::Expired { .. })));
    let ahead = |secs| Statement { as_of: NOW.saturating_add(secs), ..statement() };
    assert!(open(ahead(60), NOW).is_ok());
    assert!(matches!(open(ahead(61), NOW), Err(FeedError::Future { .. })));
}

#[test]
fn token_keys_and_feed_keys_never_cross() {
    let authority = authority();
    // A statement signed by the token key, under the feed's type, is unknown to the feed.
    let header = json!({ "alg": "EdDSA", "typ": "dayfly-feed+jwt", "kid": authority.token_key().kid() }).to_string();
    let text = authority.sign(&header, &json!(statement()).to_string()).unwrap();
    let (mut state, _) = state(&authority);
    assert!(matches!(state.apply(&text, NOW), Outcome::UnknownKey { .. }));
    // And should someone mix the key sets up, the type still separates the two.
    let token = authority.token(AUDIENCE).mint(NOW).unwrap();
    let refused = open_statement(&token, &authority.keys(), ISSUER, NOW);
    assert!(matches!(refused, Err(FeedError::Type { .. })), "{refused:?}");
    for typ in ["at+jwt", "JWT", ""] {
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": authority.token_key().kid() }).to_string();
        let text = authority.sign(&header, &json!(statement()).to_string()).unwrap();
        assert!(matches!(open_statement(&text, &authority.keys(), ISSUER, NOW), Err(FeedError::Type { .. })), "{typ}");
    }
    for (alg, refused_as_algorithm) in [("ES256", true), ("none", true), ("HS256", true), ("EdDSA", false)] {
        let header = json!({ "alg": alg, "typ": "dayfly-feed+jwt", "kid": authority.token_key().kid() }).to_string();
        let text = authority.sign(&header, &json!(statement()).to_string()).unwrap();
        let opened = open_statement(&text, &authority.keys(), ISSUER, NOW);
        assert_eq!(matches!(opened, Err(FeedError::Algorithm { .. })), refused_as_algorithm, "{alg} {opened:?}");
    }
}

#[test]
fn an_unknown_key_becomes_known_by_trust_alone() {
    let old = authority();
    let new = TestAuthority::from_seed(ISSUER, [8; 32]).unwrap();
    let (mut state, revocations) = state(&old);
    applied(state.apply(&old.snapshot("1-0", vec![], NOW).unwrap(), NOW), "1-0");
    let text = new.statement("1-0", "2-0", vec![revoked("a")], NOW.saturating_add(5)).unwrap();
    assert!(matches!(state.apply(&text, NOW), Outcome::UnknownKey { .. }));
    assert_eq!((revocations.len(), revocations.as_of()), (0, Some(NOW)));
    let mut keys = old.feed_keys();
    keys.insert(new.feed_keys().iter().next().unwrap().clone());
    state.replace_keys(keys);
    applied(state.apply(&text, NOW), "2-0");
    state.replace_keys(KeySet::default());
    assert!(matches!(state.apply(&text, NOW), Outcome::UnknownKey { .. }));
}

#[test]
fn a_feed_can_only_take_away() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.authority.verifier(AUDIENCE).revocation(RevocationSource::Follow).build().unwrap();
    let mut state = FeedState::new(ISSUER.to_owned(), bench.authority.feed_keys(), Arc::clone(verifier.revocations()));
    applied(state.apply(&bench.authority.snapshot("1-0", vec![], NOW).unwrap(), NOW), "1-0");
    let verify = || verifier.verify(UnverifiedToken::new(&bench.good()), &Presented::NOTHING, NOW);
    assert_eq!(verify().unwrap().freshness(), Freshness::Fresh);
    let taint = Entry { prefix: prefix(Kind::Key, bench.authority.token_key().kid()), before: FOREVER, until: FOREVER };
    applied(state.apply(&bench.authority.statement("1-0", "2-0", vec![taint], NOW).unwrap(), NOW), "2-0");
    assert!(verify().is_err());
    // Nothing that the feed says later brings it back.
    let weaker = Entry { before: UnixTime::EPOCH, until: UnixTime::EPOCH, ..taint };
    for text in [bench.authority.statement("2-0", "3-0", vec![weaker], NOW), bench.authority.snapshot("9-0", vec![], NOW)] {
        state.apply(&text.unwrap(), NOW);
        assert!(verify().is_err());
    }
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

#[test]
fn bundles() {
    let bench = Bench::new(Algorithm::Es256);
    let verifier = || bench.authority.verifier(AUDIENCE).keys(KeySet::default()).revocation(RevocationSource::Bundle).build().unwrap();
    let bundle = Bundle {
        trust: bench.authority.feed_keys().to_jwks(),
        jwks: bench.authority.keys().to_jwks(),
        snapshot: bench.authority.snapshot("1-0", vec![revoked("other")], NOW.saturating_sub(100)).unwrap(),
    };
    let bundle = Bundle::parse(json!(bundle).to_string().as_bytes()).unwrap();
    let loaded = verifier();
    loaded.load_bundle(&bundle, NOW).unwrap();
    let verified = loaded.verify(UnverifiedToken::new(&bench.good()), &Presented::NOTHING, NOW).unwrap();
    assert_eq!(verified.freshness(), Freshness::Stale { age_secs: 100 }, "its age counts as the feed's");

    let crossed = Bundle { trust: bundle.jwks.clone(), ..bundle.clone() };
    let piece = Bundle { snapshot: bench.authority.statement("0-0", "1-0", vec![], NOW).unwrap(), ..bundle.clone() };
    for (bad, what) in [(crossed, "trust that does not know the signer"), (piece, "a piece of the stream")] {
        let unchanged = verifier();
        assert!(matches!(unchanged.load_bundle(&bad, NOW), Err(BundleError::Snapshot { .. })), "{what}");
        assert!(unchanged.keys().is_empty(), "{what}");
    }
    let old = NOW.saturating_add(4000);
    assert!(matches!(verifier().load_bundle(&bundle, old), Err(BundleError::Snapshot { source: FeedError::Expired { .. } })));
    for text in ["", "{}", "[]", r#"{"trust":{"keys":[]},"jwks":{"keys":[]},"snapshot":"x","more":1}"#, r#"{"trust":{"keys":[]},"trust":{"keys":[]},"jwks":{"keys":[]},"snapshot":"x"}"#] {
        assert!(Bundle::parse(text.as_bytes()).is_err(), "{text}");
    }
}
