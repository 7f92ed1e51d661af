//! Restarts without the issuer: what the state file may bring, and what it must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_token::UnixTime;
use dayfly_token::feed::{Kind, Statement};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::sts::{AUDIENCE, Sts, entries, quick, until, verify, verify_at};
use crate::feed::{Bundle, BundleError, FeedError};
use crate::follow::{ConnectError, FromIssuer, StateError, Timing};
use crate::testing::TestAuthority;
use crate::{Freshness, RejectionCode, RevocationSource, Verifier};

const DOCUMENTS: [&str; 4] = [
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/v1/trust",
    "/v1/feed",
];

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

/// From now on the issuer answers nothing; what it answered before comes back.
fn go_away(sts: &Sts) -> impl FnOnce() {
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

fn ago(secs: u64) -> UnixTime {
    crate::rim::now().saturating_sub(secs)
}

fn kept(path: &Path) -> Option<Bundle> {
    Bundle::parse(&fs::read(path).ok()?).ok()
}

/// A file as of so many seconds ago, written by hand.
fn file(authority: &TestAuthority, age_secs: u64, revoked: &[(Kind, &str)]) -> Bundle {
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

fn write(path: &Path, bundle: &Bundle) {
    super::super::state::replace(path, json!(bundle).to_string().as_bytes()).unwrap();
}

/// Times of the real follower, where the age of keys is counted in hours.
fn from(sts: &Sts, path: &Path) -> FromIssuer {
    let timing = Timing {
        keys_outlive: Duration::from_secs(3600),
        ..quick()
    };
    sts.follower().timing(timing).state_file(path)
}

async fn offline(result: FromIssuer) -> StateError {
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
async fn the_file_is_private_whole_and_written_seldom() {
    let (sts, (folder, path)) = (Sts::start().await, folder());
    let seldom = Timing {
        keep: Duration::from_millis(300),
        ..quick()
    };
    let verifier = sts
        .follower()
        .timing(seldom)
        .state_file(&path)
        .build()
        .await
        .unwrap();
    sts.stream_open().await;
    until("the first state is written at once", || {
        kept(&path).is_some()
    })
    .await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let (mut versions, mut last) = (0, fs::read(&path).unwrap());
    let begun = tokio::time::Instant::now();
    for number in 1..200_u32 {
        let (from, to) = (format!("{number}-0"), format!("{}-0", number + 1));
        sts.send(&sts.statement(&from, &to, &[(Kind::Rule, &to)]));
        sleep(Duration::from_millis(5)).await;
        // At no moment is there half a file.
        let now = fs::read(&path).unwrap();
        assert!(Bundle::parse(&now).is_ok());
        if now != last {
            (versions, last) = (versions + 1, now);
        }
    }
    let most = begun.elapsed().as_millis() / seldom.keep.as_millis() + 1;
    assert!(versions >= 1 && versions <= most, "{versions} of {most}");
    until("all of it is there", || {
        kept(&path).is_some_and(|bundle| bundle.statements.len() == 199)
    })
    .await;
    // A state that has not changed is not written, and nothing is left beside it.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    sleep(seldom.keep * 3).await;
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(verifier);
}

/// A hostile cache that repeats what was signed long ago makes no file grow and no knowledge younger.
#[tokio::test]
async fn repetitions_do_not_fill_the_file() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    let verifier = from(&sts, &path).build().await.unwrap();
    sts.stream_open().await;
    let piece = sts.statement("1-0", "2-0", &[(Kind::Rule, "one")]);
    let beat = sts
        .authority
        .statement("2-0", "2-0", vec![], crate::rim::now().saturating_add(2))
        .unwrap();
    let old_beat = sts
        .authority
        .statement("2-0", "2-0", vec![], ago(50))
        .unwrap();
    for text in [&piece, &beat, &old_beat, &piece, &old_beat, &beat, &piece] {
        sts.send(text);
    }
    sts.send(&sts.statement("2-0", "3-0", &[(Kind::Rule, "two")]));
    until("the last one is there", || {
        verifier.revocations().len() == 2
            && kept(&path).is_some_and(|bundle| bundle.statements.len() >= 2)
    })
    .await;
    let bundle = kept(&path).unwrap();
    assert_eq!(
        bundle.statements.len(),
        2,
        "a beat goes with the next piece: {bundle:?}"
    );
    assert_eq!(bundle.statements[0], piece);
}

#[tokio::test]
async fn files_that_are_refused() {
    let sts = Sts::start().await;
    let come_back = go_away(&sts);
    let good = file(&sts.authority, 30, &[(Kind::Rule, "x")]);
    let stranger = TestAuthority::from_seed("https://other.example", [2; 32]).unwrap();
    let changed = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        json!(bundle).to_string().into_bytes()
    };
    let text = json!(good).to_string();
    let future = sts
        .authority
        .snapshot("6-0", vec![], crate::rim::now().saturating_add(300))
        .unwrap();
    let foreign_piece = stranger.statement("5-0", "6-0", vec![], ago(10)).unwrap();
    let piece = sts
        .authority
        .statement("5-0", "6-0", vec![], ago(10))
        .unwrap();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("cut", text.as_bytes()[..text.len() / 2].to_vec()),
        ("no JSON", vec![0xff; 100]),
        (
            "one member more",
            text.replacen('{', "{\"x\":1,", 1).into_bytes(),
        ),
        (
            "another issuer's",
            json!(file(&stranger, 30, &[])).to_string().into_bytes(),
        ),
        (
            "another issuer's feed keys",
            changed(&|bundle| bundle.trust = stranger.feed_keys().to_jwks()),
        ),
        (
            "token keys as trust",
            changed(&|bundle| bundle.trust = bundle.jwks.clone()),
        ),
        (
            "a snapshot of the future",
            changed(&|bundle| bundle.snapshot.clone_from(&future)),
        ),
        (
            "keys of the future",
            changed(&|bundle| bundle.keys_as_of = Some(crate::rim::now().saturating_add(300))),
        ),
        (
            "a piece as snapshot",
            changed(&|bundle| bundle.snapshot.clone_from(&piece)),
        ),
        (
            "a foreign statement",
            changed(&|bundle| bundle.statements.push(foreign_piece.clone())),
        ),
        (
            "a cut statement",
            changed(&|bundle| bundle.statements.push(piece[..piece.len() - 6].to_owned())),
        ),
        (
            "a changed snapshot",
            changed(&|bundle| bundle.snapshot = bundle.snapshot.replacen('A', "B", 1)),
        ),
    ];
    for (what, bytes) in bad {
        let (_folder, path) = folder();
        super::super::state::replace(&path, &bytes).unwrap();
        let refused = offline(from(&sts, &path)).await;
        assert!(
            matches!(
                refused,
                StateError::Bundle { .. } | StateError::Future { .. }
            ),
            "{what}: {refused:?}"
        );
    }
    // The control: the good file, and one with a statement more.
    let (_folder, path) = folder();
    assert!(matches!(
        offline(from(&sts, &path)).await,
        StateError::Absent
    ));
    write(&path, &good);
    assert!(verify(&from(&sts, &path).build().await.unwrap(), &sts.token()).is_ok());
    fs::write(
        &path,
        changed(&|bundle| bundle.statements.push(piece.clone())),
    )
    .unwrap();
    assert!(verify(&from(&sts, &path).build().await.unwrap(), &sts.token()).is_ok());
    // And a bad file is no obstacle where the issuer is there; it is written anew.
    come_back();
    fs::write(&path, b"garbage").unwrap();
    let verifier = from(&sts, &path).build().await.unwrap();
    assert!(verify(&verifier, &sts.token()).is_ok());
    until("the file is whole again", || kept(&path).is_some()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let sts = Sts::start().await;
    let _away = go_away(&sts);
    let (folder, path) = folder();
    write(&path, &file(&sts.authority, 30, &[]));
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (of_file, of_folder, accepted) in [
        (0o600, 0o700, true),
        (0o644, 0o755, true),
        (0o620, 0o700, false),
        (0o602, 0o700, false),
        (0o600, 0o770, false),
        (0o600, 0o707, false),
        (0o600, 0o1777, true),
    ] {
        mode(&path, of_file);
        mode(folder.path(), of_folder);
        if accepted {
            assert!(
                from(&sts, &path).build().await.is_ok(),
                "{of_file:o} {of_folder:o}"
            );
        } else {
            let refused = offline(from(&sts, &path)).await;
            assert!(
                matches!(refused, StateError::Insecure { .. }),
                "{of_file:o} {of_folder:o} {refused:?}"
            );
        }
    }
    mode(folder.path(), 0o700);
    assert!(matches!(
        offline(from(&sts, folder.path())).await,
        StateError::Insecure { .. }
    ));
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

/// What a snapshot lacks stays in the file, as it stays in the memory.
#[tokio::test]
async fn an_issuer_that_forgets_makes_the_file_forget_nothing() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    sts.publish_snapshot("5-0", &[(Kind::Task, "tests/task")]);
    let verifier = from(&sts, &path).build().await.unwrap();
    until("it is written", || kept(&path).is_some()).await;
    drop(verifier);
    let empty = Statement {
        iss: sts.url().to_owned(),
        epoch: "e2".to_owned(),
        from: "0-0".to_owned(),
        to: "1-0".to_owned(),
        as_of: crate::rim::now(),
        exp: crate::rim::now().saturating_add(600),
        entries: vec![],
        keys_changed: false,
        snapshot: true,
    };
    let empty = sts.authority.sign_statement(&empty).unwrap();
    sts.publish_answer("/v1/feed", StatusCode::OK, &[], empty.as_bytes());
    let verifier = from(&sts, &path).build().await.unwrap();
    until("the new history is written", || {
        kept(&path).is_some_and(|bundle| bundle.snapshot == empty)
    })
    .await;
    assert_eq!(kept(&path).unwrap().older.len(), 1);
    drop(verifier);
    let _away = go_away(&sts);
    let verifier = from(&sts, &path).build().await.unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::Revoked
    );
    assert!(matches!(
        verifier.freshness(crate::rim::now()),
        Some(Freshness::Fresh)
    ));
}

/// The signer of the file's snapshot must stay known, so a new snapshot begins it after half a lifetime.
#[tokio::test]
async fn a_file_that_grows_old_begins_anew() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    sts.publish_metadata(|metadata| metadata["dayfly_max_lifetime"] = json!(60));
    let old = sts.authority.snapshot("1-0", vec![], ago(40)).unwrap();
    sts.publish_answer("/v1/feed", StatusCode::OK, &[], old.as_bytes());
    let verifier = from(&sts, &path).build().await.unwrap();
    sts.stream_open().await;
    sts.publish_snapshot("2-0", &[]);
    sleep(quick().compact).await;
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Rule, "x")]));
    until("a new snapshot was taken", || {
        kept(&path).is_some_and(|bundle| bundle.snapshot != old && bundle.statements.is_empty())
    })
    .await;
    assert_eq!(sts.asked("/v1/feed") - sts.asked("/v1/feed/stream"), 2);
    drop(verifier);
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
    assert!(verify(&verifier, &token).is_err());
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

/// An exported bundle is a state file, and a state file is a bundle.
#[tokio::test]
async fn a_state_file_and_a_bundle_are_one_thing() {
    let (sts, (_folder, path)) = (Sts::start().await, folder());
    let verifier = from(&sts, &path).build().await.unwrap();
    sts.stream_open().await;
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Owner, "tests")]));
    until("it is written", || {
        kept(&path).is_some_and(|bundle| bundle.statements.len() == 1)
    })
    .await;
    drop(verifier);
    let loaded = sts
        .authority
        .verifier(AUDIENCE)
        .keys(crate::KeySet::default());
    let loaded = loaded.revocation(RevocationSource::Bundle).build().unwrap();
    loaded
        .load_bundle(&kept(&path).unwrap(), crate::rim::now())
        .unwrap();
    assert_eq!(
        verify(&loaded, &sts.token()).unwrap_err(),
        RejectionCode::Revoked
    );
    // In a bundle that is loaded by hand a statement that is not believed is an error as well.
    let mut bad = kept(&path).unwrap();
    bad.statements = vec!["x".to_owned()];
    assert!(matches!(
        loaded.load_bundle(&bad, crate::rim::now()),
        Err(BundleError::Snapshot {
            source: FeedError::Compact { .. }
        })
    ));
    let _away = go_away(&sts);
    let exported: Value = json!({
        "trust": sts.authority.feed_keys().to_jwks(),
        "jwks": sts.authority.keys().to_jwks(),
        "snapshot": sts.authority.snapshot("1-0", vec![], ago(20)).unwrap(),
    });
    super::super::state::replace(&path, exported.to_string().as_bytes()).unwrap();
    let verifier = from(&sts, &path).build().await.unwrap();
    assert!(matches!(
        verify(&verifier, &sts.token()).unwrap().freshness(),
        Freshness::Stale { age_secs } if age_secs >= 20
    ));
}
