//! The state file itself: how it is written, what is kept in it, and which one is refused.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dayfly_token::feed::{Kind, Statement};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::state::{ago, file, folder, from, go_away, kept, offline, write};
use super::sts::{AUDIENCE, Sts, quick, until, verify};
use crate::feed::{Bundle, BundleError, FeedError};
use crate::follow::{StateError, Timing};
use crate::testing::TestAuthority;
use crate::{Freshness, RejectionCode, RevocationSource};

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
