//! Restarts without the issuer: what the state file may bring, and what it must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_token::UnixTime;
use dayfly_token::feed::{Kind, Statement};
use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use super::sts::{AUDIENCE, Sts, entries, quick, until, verify, verify_at};
use crate::feed::Bundle;
use crate::follow::{ConnectError, FromIssuer, StateError, Timing};
use crate::testing::TestAuthority;
use crate::{Freshness, RejectionCode, RevocationSource, Verifier};

const DOCUMENTS: [&str; 4] = [
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/v1/trust",
    "/v1/feed",
];

pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

/// From now on the issuer answers nothing; what it answered before comes back.
pub(super) fn go_away(sts: &Sts) -> impl FnOnce() {
    let saved: Vec<_> = DOCUMENTS.iter().map(|path| sts.take(path)).collect();
    for path in DOCUMENTS {
        sts.publish_answer(path, StatusCode::SERVICE_UNAVAILABLE, &[], b"");
    }
    sts.refuse_streams(true);
    sts.cut_streams();
    move || {
        sts.refuse_streams(false);
        for (path, document) in DOCUMENTS.iter().zip(saved) {
            sts.put(path, document);
        }
    }
}

pub(super) fn ago(secs: u64) -> UnixTime {
    crate::rim::now().saturating_sub(secs)
}

pub(super) fn kept(path: &Path) -> Option<Bundle> {
    Bundle::parse(&fs::read(path).ok()?).ok()
}

/// A file as of so many seconds ago, written by hand.
pub(super) fn file(authority: &TestAuthority, age_secs: u64, revoked: &[(Kind, &str)]) -> Bundle {
    let mut bundle = Bundle::new(
        authority.feed_keys().to_jwks(),
        authority.keys().to_jwks(),
        authority
            .snapshot("5-0", entries(revoked), ago(age_secs))
            .unwrap(),
    );
    bundle.keys_as_of = Some(ago(age_secs));
    bundle
}

pub(super) fn write(path: &Path, bundle: &Bundle) {
    super::super::state::replace(path, json!(bundle).to_string().as_bytes()).unwrap();
}

/// Times of the real follower, where the age of keys is counted in hours.
pub(super) fn from(sts: &Sts, path: &Path) -> FromIssuer {
    let timing = Timing {
        keys_outlive: Duration::from_secs(3600),
        ..quick()
    };
    sts.follower().timing(timing).state_file(path)
}

pub(super) async fn offline(result: FromIssuer) -> StateError {
    match result.build().await {
        Err(ConnectError::Offline { state, .. }) => state,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restart_without_the_issuer_knows_what_was_known() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    sts.publish_metadata(|metadata| metadata["dayfly_max_lifetime"] = json!(600));
    sts.publish_snapshot("1-0", &[(Kind::Rule, "one")]);
    let verifier = from(&sts, &path).build().await.unwrap();
    sts.stream_open().await;
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Rule, "two")]));
    sts.send(&sts.statement("2-0", "3-0", &[(Kind::Task, "tests/over")]));
    until("the file has it", || {
        kept(&path).is_some_and(|bundle| bundle.statements.len() == 2)
    })
    .await;
    drop(verifier);

    let come_back = go_away(&sts);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(verifier.max_lifetime_secs(), 600);
    assert_eq!(verifier.revocations().len(), 3);
    let token = |task: &str| {
        let token = sts.authority.token(AUDIENCE).task(task);
        token.mint(crate::rim::now()).unwrap()
    };
    assert!(verify(&verifier, &token("tests/other")).is_ok());
    assert_eq!(
        verify(&verifier, &token("tests/over")).unwrap_err(),
        RejectionCode::Revoked
    );
    // The age of the file is the age of the feed, up to the limit.
    let at = |secs| {
        verify_at(
            &verifier,
            &token("tests/other"),
            crate::rim::now().saturating_add(secs),
        )
    };
    assert!(matches!(at(60).unwrap().freshness(), Freshness::Stale { age_secs } if age_secs >= 60));
    let late = sts
        .authority
        .token(AUDIENCE)
        .mint(crate::rim::now().saturating_add(650))
        .unwrap();
    assert_eq!(
        verify_at(&verifier, &late, crate::rim::now().saturating_add(650)).unwrap_err(),
        RejectionCode::RevocationStale
    );

    // It heals without a restart, and goes on where the file ended.
    come_back();
    until("the stream is open", || sts.open_streams() > 0).await;
    assert_eq!(
        sts.last_asked("/v1/feed/stream"),
        "/v1/feed/stream?from=e1.3-0"
    );
    sts.send(&sts.statement("3-0", "4-0", &[(Kind::Owner, "tests")]));
    until("the next revocation arrives", || {
        verify(&verifier, &token("tests/other")).is_err_and(|code| code == RejectionCode::Revoked)
    })
    .await;
    until("the file has it too", || {
        kept(&path).is_some_and(|bundle| bundle.statements.len() == 3)
    })
    .await;
}

#[tokio::test]
async fn old_keys_are_not_used_and_an_old_feed_is_stale() {
    let sts = Sts::start().await;
    let come_back = go_away(&sts);
    let (_folder, path) = folder();
    let mut bundle = file(&sts.authority, 3500, &[(Kind::Rule, "x")]);
    write(&path, &bundle);
    assert!(verify(&from(&sts, &path).build().await.unwrap(), &sts.token()).is_ok());
    // The keys' age counts, and without it the snapshot's.
    for as_of in [Some(ago(3601)), Some(UnixTime::EPOCH), None] {
        bundle = file(&sts.authority, 3700, &[(Kind::Rule, "x")]);
        bundle.keys_as_of = as_of;
        write(&path, &bundle);
        assert!(matches!(
            offline(from(&sts, &path)).await,
            StateError::KeysTooOld {
                limit_secs: 3600,
                ..
            }
        ));
    }
    // What followed upon an old snapshot has no gap before it, and says how it is now.
    bundle.keys_as_of = Some(ago(10));
    let piece = sts
        .authority
        .statement("5-0", "6-0", entries(&[(Kind::Rule, "y")]), ago(40));
    bundle.statements = vec![
        piece.unwrap(),
        sts.authority
            .statement("6-0", "6-0", vec![], ago(5))
            .unwrap(),
    ];
    write(&path, &bundle);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(verifier.revocations().len(), 2);
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap().freshness(),
        Freshness::Fresh
    );
    // But not where a piece is missing.
    bundle.statements.remove(0);
    write(&path, &bundle);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::RevocationStale
    );
    // Nor where the statement itself has expired, however young it is.
    let expired = Statement {
        iss: sts.url().to_owned(),
        epoch: "e1".to_owned(),
        from: "5-0".to_owned(),
        to: "5-0".to_owned(),
        as_of: ago(100),
        exp: ago(70),
        entries: entries(&[(Kind::Rule, "x")]),
        keys_changed: false,
        snapshot: true,
    };
    let mut short = bundle.clone();
    short.statements.clear();
    for (exp, fresh) in [(ago(70), false), (ago(0), true)] {
        let statement = Statement {
            exp,
            ..expired.clone()
        };
        short.snapshot = sts.authority.sign_statement(&statement).unwrap();
        write(&path, &short);
        let verifier = from(&sts, &path).build().await.unwrap();
        assert_eq!(verifier.revocations().len(), 1);
        assert_eq!(verify(&verifier, &sts.token()).is_ok(), fresh);
    }
    bundle.statements.clear();
    // Young keys and an old feed: it comes up, names what it knows, and refuses.
    bundle.keys_as_of = Some(ago(10));
    write(&path, &bundle);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(verifier.revocations().len(), 1);
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::RevocationStale
    );
    come_back();
    until("it heals", || verify(&verifier, &sts.token()).is_ok()).await;
}

#[tokio::test]
async fn keys_from_the_file_end_with_their_hour() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    let come_back = go_away(&sts);
    write(&path, &file(&sts.authority, 2, &[]));
    let outlive = Timing {
        keys_outlive: Duration::from_secs(4),
        ..quick()
    };
    let verifier = sts
        .follower()
        .timing(outlive)
        .state_file(&path)
        .build()
        .await
        .unwrap();
    assert!(verify(&verifier, &sts.token()).is_ok());
    let begun = tokio::time::Instant::now();
    until("the keys are dropped", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "two of four seconds were over"
    );
    come_back();
    until("they are back", || verify(&verifier, &sts.token()).is_ok()).await;
}

/// An issuer that withdraws all of its keys means it: neither they nor what they signed come back with a restart.
#[tokio::test]
async fn withdrawn_keys_do_not_come_back_from_the_file() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    let timing = Timing {
        keys_outlive: Duration::from_secs(3600),
        default_max_age: Duration::from_millis(200),
        ..quick()
    };
    let start = || sts.follower().timing(timing).state_file(&path).build();
    let verifier = start().await.unwrap();
    let token = sts.token();
    assert!(verify(&verifier, &token).is_ok());
    until("the file has the keys", || {
        kept(&path).is_some_and(|bundle| !bundle.jwks.keys.is_empty())
    })
    .await;
    sts.publish("/jwks", &json!({ "keys": [] }));
    let refused = |code| code == RejectionCode::KeysUnavailable;
    until("they are withdrawn", || {
        verify(&verifier, &token).is_err_and(refused)
    })
    .await;
    until("the file knows it", || {
        kept(&path).is_some_and(|bundle| bundle.jwks.keys.is_empty())
    })
    .await;
    drop(verifier);
    let _come_back = go_away(&sts);
    let verifier = start().await.unwrap();
    assert!(verify(&verifier, &token).is_err_and(refused));
}

/// A file never takes anything back, and the issuer's own keys win over those of the file.
#[tokio::test]
async fn a_file_adds_revocations_and_nothing_else_while_the_issuer_is_there() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    let withdrawn = TestAuthority::from_seed(sts.url(), [7; 32]).unwrap();
    let mut bundle = file(&sts.authority, 100, &[(Kind::Task, "tests/task")]);
    bundle.jwks = withdrawn.keys().to_jwks();
    write(&path, &bundle);
    // The issuer itself was set back, and says that nothing is revoked.
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::Revoked
    );
    let other = sts
        .authority
        .token(AUDIENCE)
        .task("tests/other")
        .mint(crate::rim::now())
        .unwrap();
    assert!(verify(&verifier, &other).is_ok());
    let old = withdrawn
        .token(AUDIENCE)
        .task("tests/other")
        .mint(crate::rim::now())
        .unwrap();
    assert_eq!(
        verify(&verifier, &old).unwrap_err(),
        RejectionCode::UnknownKid
    );
    // Nor do they come back if only the feed is away.
    sts.publish_answer("/v1/feed", StatusCode::SERVICE_UNAVAILABLE, &[], b"");
    write(&path, &bundle);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(
        verify(&verifier, &old).unwrap_err(),
        RejectionCode::UnknownKid
    );
    assert!(verify(&verifier, &other).is_ok());
}

#[tokio::test]
async fn a_start_without_anything_is_a_choice() {
    let sts = Sts::start().await;
    let come_back = go_away(&sts);
    assert!(matches!(
        sts.follower().build().await,
        Err(ConnectError::Fetch { .. })
    ));
    let verifier = sts.follower().start_without_issuer().build().await.unwrap();
    let token = sts.token();
    assert_eq!(
        verify(&verifier, &token).unwrap_err(),
        RejectionCode::KeysUnavailable
    );
    assert_eq!(verifier.freshness(crate::rim::now()), None);
    come_back();
    until("it heals", || verify(&verifier, &token).is_ok()).await;
    assert_eq!(
        verifier.freshness(crate::rim::now()),
        Some(Freshness::Fresh)
    );
    // What is there and wrong is no outage.
    sts.publish_metadata(|metadata| metadata["issuer"] = json!("https://other.example"));
    assert!(matches!(
        sts.follower().start_without_issuer().build().await,
        Err(ConnectError::IssuerMismatch { .. })
    ));
    let keys_only = Verifier::from_issuer(sts.url())
        .audience(AUDIENCE)
        .revocation(RevocationSource::None)
        .state_file("x");
    assert!(matches!(
        keys_only.build().await,
        Err(ConnectError::StateWithoutFeed)
    ));
}
