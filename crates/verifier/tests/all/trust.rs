//! Whom the feed's reader believes.

use std::sync::Arc;

use dayfly_keys::{Algorithm, KeySet};
use dayfly_token::feed::{Entry, FOREVER, Kind, Statement};
use dayfly_verifier::feed::{Bundle, BundleError, FeedError, FeedState, Outcome, open_statement};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{Freshness, Presented, RevocationSource, UnixTime, UnverifiedToken};
use serde_json::json;

use crate::feed::{applied, authority, revoked, state, statement};
use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

#[test]
fn what_is_not_believed_changes_nothing() {
    let authority = authority();
    let stranger = TestAuthority::from_seed(ISSUER, [6; 32]).unwrap();
    let (mut state, revocations) = state(&authority);
    let good = authority.sign_statement(&statement()).unwrap();
    assert!(open_statement(&good, &authority.feed_keys(), ISSUER, NOW).is_ok());
    let mut forged: Vec<(String, &str)> = vec![
        (
            stranger.sign_statement(&statement()).unwrap(),
            "another key",
        ),
        (good[..good.len() - 8].to_owned(), "cut"),
        (good.replacen('.', "", 1), "no statement"),
        (String::new(), "nothing"),
        (authority.token(AUDIENCE).mint(NOW).unwrap(), "a token"),
    ];
    for (change, what) in [
        (
            Statement {
                iss: "https://other.example".to_owned(),
                ..statement()
            },
            "another issuer",
        ),
        (
            Statement {
                iss: format!("{ISSUER}/"),
                ..statement()
            },
            "almost the issuer",
        ),
        (
            Statement {
                exp: NOW.saturating_sub(60),
                ..statement()
            },
            "expired",
        ),
        (
            Statement {
                as_of: NOW.saturating_add(61),
                ..statement()
            },
            "of the future",
        ),
    ] {
        forged.push((authority.sign_statement(&change).unwrap(), what));
    }
    for (text, what) in forged {
        let outcome = state.apply(&text, NOW);
        assert!(
            matches!(outcome, Outcome::Refused(_) | Outcome::UnknownKey { .. }),
            "{what}: {outcome:?}"
        );
        assert_eq!(
            (revocations.len(), revocations.as_of(), state.cursor()),
            (0, None, None),
            "{what}"
        );
    }
}

#[test]
fn times_of_a_statement_at_the_edges() {
    let authority = authority();
    let open = |statement: Statement, now| {
        open_statement(
            &authority.sign_statement(&statement).unwrap(),
            &authority.feed_keys(),
            ISSUER,
            now,
        )
    };
    let end = NOW.saturating_add(60 + 60);
    assert!(open(statement(), end.saturating_sub(1)).is_ok());
    assert!(matches!(
        open(statement(), end),
        Err(FeedError::Expired { .. })
    ));
    let ahead = |secs| Statement {
        as_of: NOW.saturating_add(secs),
        ..statement()
    };
    assert!(open(ahead(60), NOW).is_ok());
    assert!(matches!(
        open(ahead(61), NOW),
        Err(FeedError::Future { .. })
    ));
}

#[test]
fn token_keys_and_feed_keys_never_cross() {
    let authority = authority();
    // A statement signed by the token key, under the feed's type, is unknown to the feed.
    let header =
        json!({ "alg": "EdDSA", "typ": "dayfly-feed+jwt", "kid": authority.token_key().kid() })
            .to_string();
    let text = authority
        .sign(&header, &json!(statement()).to_string())
        .unwrap();
    let (mut state, _) = state(&authority);
    assert!(matches!(
        state.apply(&text, NOW),
        Outcome::UnknownKey { .. }
    ));
    // And should someone mix the key sets up, the type still separates the two.
    let token = authority.token(AUDIENCE).mint(NOW).unwrap();
    let refused = open_statement(&token, &authority.keys(), ISSUER, NOW);
    assert!(
        matches!(refused, Err(FeedError::Type { .. })),
        "{refused:?}"
    );
    for typ in ["at+jwt", "JWT", ""] {
        let header =
            json!({ "alg": "EdDSA", "typ": typ, "kid": authority.token_key().kid() }).to_string();
        let text = authority
            .sign(&header, &json!(statement()).to_string())
            .unwrap();
        assert!(
            matches!(
                open_statement(&text, &authority.keys(), ISSUER, NOW),
                Err(FeedError::Type { .. })
            ),
            "{typ}"
        );
    }
    for (alg, refused_as_algorithm) in [
        ("ES256", true),
        ("none", true),
        ("HS256", true),
        ("EdDSA", false),
    ] {
        let header =
            json!({ "alg": alg, "typ": "dayfly-feed+jwt", "kid": authority.token_key().kid() })
                .to_string();
        let text = authority
            .sign(&header, &json!(statement()).to_string())
            .unwrap();
        let opened = open_statement(&text, &authority.keys(), ISSUER, NOW);
        assert_eq!(
            matches!(opened, Err(FeedError::Algorithm { .. })),
            refused_as_algorithm,
            "{alg} {opened:?}"
        );
    }
}

#[test]
fn an_unknown_key_becomes_known_by_trust_alone() {
    let old = authority();
    let new = TestAuthority::from_seed(ISSUER, [8; 32]).unwrap();
    let (mut state, revocations) = state(&old);
    applied(
        state.apply(&old.snapshot("1-0", vec![], NOW).unwrap(), NOW),
        "1-0",
    );
    let text = new
        .statement("1-0", "2-0", vec![revoked("a")], NOW.saturating_add(5))
        .unwrap();
    assert!(matches!(
        state.apply(&text, NOW),
        Outcome::UnknownKey { .. }
    ));
    assert_eq!((revocations.len(), revocations.as_of()), (0, Some(NOW)));
    let mut keys = old.feed_keys();
    keys.insert(new.feed_keys().iter().next().unwrap().clone());
    state.replace_keys(keys);
    applied(state.apply(&text, NOW), "2-0");
    state.replace_keys(KeySet::default());
    assert!(matches!(
        state.apply(&text, NOW),
        Outcome::UnknownKey { .. }
    ));
}

#[test]
fn a_feed_can_only_take_away() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    let mut state = FeedState::new(
        ISSUER.to_owned(),
        bench.authority.feed_keys(),
        Arc::clone(verifier.revocations()),
    );
    applied(
        state.apply(&bench.authority.snapshot("1-0", vec![], NOW).unwrap(), NOW),
        "1-0",
    );
    let verify = || {
        verifier.verify(
            UnverifiedToken::new(&bench.good()),
            &Presented::NOTHING,
            NOW,
        )
    };
    assert_eq!(verify().unwrap().freshness(), Freshness::Fresh);
    let taint = Entry {
        prefix: prefix(Kind::Key, bench.authority.token_key().kid()),
        before: FOREVER,
        until: FOREVER,
    };
    applied(
        state.apply(
            &bench
                .authority
                .statement("1-0", "2-0", vec![taint], NOW)
                .unwrap(),
            NOW,
        ),
        "2-0",
    );
    assert!(verify().is_err());
    // Nothing that the feed says later brings it back.
    let weaker = Entry {
        before: UnixTime::EPOCH,
        until: UnixTime::EPOCH,
        ..taint
    };
    for text in [
        bench.authority.statement("2-0", "3-0", vec![weaker], NOW),
        bench.authority.snapshot("9-0", vec![], NOW),
    ] {
        state.apply(&text.unwrap(), NOW);
        assert!(verify().is_err());
    }
}

#[test]
fn bundles() {
    let bench = Bench::new(Algorithm::Es256);
    let verifier = || {
        bench
            .authority
            .verifier(AUDIENCE)
            .keys(KeySet::default())
            .revocation(RevocationSource::Bundle)
            .build()
            .unwrap()
    };
    let bundle = Bundle::new(
        bench.authority.feed_keys().to_jwks(),
        bench.authority.keys().to_jwks(),
        bench
            .authority
            .snapshot("1-0", vec![revoked("other")], NOW.saturating_sub(100))
            .unwrap(),
    );
    let bundle = Bundle::parse(json!(bundle).to_string().as_bytes()).unwrap();
    let loaded = verifier();
    loaded.load_bundle(&bundle, NOW).unwrap();
    let verified = loaded
        .verify(
            UnverifiedToken::new(&bench.good()),
            &Presented::NOTHING,
            NOW,
        )
        .unwrap();
    assert_eq!(
        verified.freshness(),
        Freshness::Stale { age_secs: 100 },
        "its age counts as the feed's"
    );

    // A younger bundle withdraws the keys, and the older one does not bring them back; what it revokes counts.
    let withdrawn = Bundle::new(
        bench.authority.feed_keys().to_jwks(),
        dayfly_verifier::JwkSet::default(),
        bench.authority.snapshot("2-0", vec![], NOW).unwrap(),
    );
    let moved_on = verifier();
    moved_on.load_bundle(&withdrawn, NOW).unwrap();
    assert!(matches!(
        moved_on.load_bundle(&bundle, NOW),
        Err(BundleError::Older { as_of, known }) if as_of == NOW.saturating_sub(100) && known == NOW
    ));
    assert!(moved_on.keys().is_empty());
    assert_eq!(moved_on.revocations().len(), 1);
    assert_eq!(moved_on.revocations().as_of(), Some(NOW));

    let (mut crossed, mut piece) = (bundle.clone(), bundle.clone());
    crossed.trust = bundle.jwks.clone();
    piece.snapshot = bench
        .authority
        .statement("0-0", "1-0", vec![], NOW)
        .unwrap();
    for (bad, what) in [
        (crossed, "trust that does not know the signer"),
        (piece, "a piece of the stream"),
    ] {
        let unchanged = verifier();
        assert!(
            matches!(
                unchanged.load_bundle(&bad, NOW),
                Err(BundleError::Snapshot { .. })
            ),
            "{what}"
        );
        assert!(unchanged.keys().is_empty(), "{what}");
    }
    let old = NOW.saturating_add(4000);
    assert!(matches!(
        verifier().load_bundle(&bundle, old),
        Err(BundleError::Snapshot {
            source: FeedError::Expired { .. }
        })
    ));
    for text in [
        "",
        "{}",
        "[]",
        r#"{"trust":{"keys":[]},"jwks":{"keys":[]},"snapshot":"x","more":1}"#,
        r#"{"trust":{"keys":[]},"trust":{"keys":[]},"jwks":{"keys":[]},"snapshot":"x"}"#,
    ] {
        assert!(Bundle::parse(text.as_bytes()).is_err(), "{text}");
    }
}
