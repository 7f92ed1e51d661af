use std::time::Duration;

use dayfly_token::feed::{Kind, Statement};
use serde_json::json;
use tokio::time::sleep;

use super::sts::{Sts, entries, quick, until, verify, verify_at};
use crate::follow::Timing;
use crate::testing::TestAuthority;
use crate::{Freshness, RejectionCode};

#[tokio::test]
async fn a_revocation_arrives() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let token = sts.token();
    assert!(verify(&verifier, &token).is_ok());
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Task, "tests/task")]));
    until("the task's token is refused", || {
        verify(&verifier, &token).is_err_and(|code| code == RejectionCode::Revoked)
    })
    .await;
    assert_eq!(
        (
            sts.asked("/v1/feed/stream"),
            sts.asked("/v1/feed"),
            sts.asked("/v1/trust")
        ),
        (1, 2, 1)
    );
}

#[tokio::test]
async fn what_was_revoked_before_comes_with_the_snapshot() {
    let sts = Sts::start().await;
    sts.publish_snapshot("9-0", &[(Kind::Owner, "tests")]);
    let verifier = sts.follower().build().await.unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap_err(),
        RejectionCode::Revoked
    );
}

#[tokio::test]
async fn a_broken_stream_is_resumed_where_it_was() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    assert_eq!(
        sts.last_asked("/v1/feed/stream"),
        "/v1/feed/stream?from=e1.1-0"
    );
    sts.send(&sts.statement("1-0", "5-0", &[]));
    sleep(Duration::from_millis(50)).await;
    // Meanwhile something is revoked: the next stream begins with what was missed.
    sts.greet_with(sts.statement("5-0", "6-0", &[(Kind::Rule, "test-rule")]));
    sts.cut_streams();
    until("the rule's token is refused", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
    assert_eq!(
        sts.last_asked("/v1/feed/stream"),
        "/v1/feed/stream?from=e1.5-0"
    );
    assert_eq!(
        sts.asked("/v1/feed") - sts.asked("/v1/feed/stream"),
        1,
        "no second snapshot was needed"
    );
}

#[tokio::test]
async fn a_gap_fetches_a_snapshot() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.publish_snapshot("8-0", &[(Kind::Owner, "tests")]);
    sts.greet_with(sts.statement("8-0", "8-0", &[]));
    sts.send(&sts.statement("7-0", "8-0", &[(Kind::Owner, "others")]));
    until("what was between is known", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
    until("the stream is resumed behind it", || {
        sts.last_asked("/v1/feed/stream").ends_with("from=e1.8-0")
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_too_long_fetches_a_snapshot() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.publish_snapshot("8-0", &[(Kind::Owner, "tests")]);
    sts.send_raw(format!(
        "data: {}",
        "x".repeat(2 * super::super::sse::MAX_EVENT_BYTES)
    ));
    until("the snapshot is known", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_nonsense_is_given_up() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.send_raw("data: nonsense\n\n".repeat(10_000));
    until("the stream was opened again", || {
        sts.asked("/v1/feed/stream") >= 2
    })
    .await;
    // One of many that is not believed ends nothing.
    sts.stream_open().await;
    sts.send_raw("data: nonsense\n\n".repeat(100));
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Owner, "tests")]));
    until("the next statement counts", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
    assert_eq!(sts.asked("/v1/feed/stream"), 2);
}

#[tokio::test]
async fn statements_of_others_change_nothing() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let as_of = verifier.revocations().as_of();
    let token = sts.token();
    let all = [(Kind::Owner, "tests")];
    let now = crate::rim::now().saturating_add(5);
    let stranger = TestAuthority::from_seed(sts.url(), [2; 32]).unwrap();
    sts.send(
        &stranger
            .statement("1-0", "2-0", entries(&all), now)
            .unwrap(),
    );
    // Another issuer's statement, signed by a key that this issuer vouches for by mistake.
    let other = Statement {
        iss: "https://other.example".to_owned(),
        epoch: "e1".to_owned(),
        from: "1-0".to_owned(),
        to: "2-0".to_owned(),
        as_of: now,
        exp: now.saturating_add(60),
        entries: entries(&all),
        keys_changed: false,
        snapshot: false,
    };
    sts.send(&sts.authority.sign_statement(&other).unwrap());
    let cut = sts.statement("1-0", "2-0", &all);
    sts.send(&cut[..cut.len() - 4]);
    sts.send("garbage");
    sts.send_raw("event: statement\ndata\n\nevent: other\ndata: x\n\n");
    // The stream goes on: a good statement is taken on the same connection.
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Owner, "others")]));
    until("the good one is taken", || {
        verifier.revocations().len() == 1
    })
    .await;
    assert!(verify(&verifier, &token).is_ok());
    assert!(
        verifier.revocations().as_of() <= Some(crate::rim::now())
            && verifier.revocations().as_of() >= as_of
    );
    assert_eq!(sts.asked("/v1/feed/stream"), 1);
}

#[tokio::test]
async fn a_rollback_revives_nothing() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.send(&sts.statement("1-0", "7-0", &[(Kind::Owner, "tests")]));
    let token = sts.token();
    until("the owner is cut off", || {
        verify(&verifier, &token).is_err()
    })
    .await;
    // An older snapshot without the entry, through a gap and over another epoch.
    sts.publish_snapshot("3-0", &[]);
    sts.send(&sts.statement("90-0", "91-0", &[]));
    until("a snapshot was fetched", || {
        sts.asked("/v1/feed") - sts.asked("/v1/feed/stream") == 2
    })
    .await;
    sts.stream_open().await;
    assert_eq!(
        verify(&verifier, &token).unwrap_err(),
        RejectionCode::Revoked
    );
    until("the cursor stayed", || {
        sts.last_asked("/v1/feed/stream").ends_with("from=e1.7-0")
    })
    .await;
}

#[tokio::test]
async fn a_new_feed_key_is_taken_from_trust_alone() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let next = TestAuthority::from_seed(sts.url(), [7; 32]).unwrap();
    let statement = |to: &str| {
        next.statement(
            "1-0",
            to,
            entries(&[(Kind::Owner, "tests")]),
            crate::rim::now(),
        )
        .unwrap()
    };
    sleep(quick().cooldown).await;
    // Not vouched for: asked about once per cooldown, however many come.
    for _ in 0..50 {
        sts.send(&statement("2-0"));
    }
    until("trust was asked", || sts.asked("/v1/trust") == 2).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(sts.asked("/v1/trust"), 2);
    assert!(verify(&verifier, &sts.token()).is_ok());
    let mut both = sts.authority.feed_keys();
    both.insert(next.feed_keys().iter().next().unwrap().clone());
    sts.publish("/v1/trust", &json!(both.to_jwks()));
    sleep(quick().cooldown).await;
    sts.send(&statement("3-0"));
    until("its statement is believed", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
}

#[tokio::test]
async fn silence_makes_stale_and_a_reconnect_mends_it() {
    let sts = Sts::start().await;
    let silence = Timing {
        silence: Duration::from_millis(500),
        ..quick()
    };
    let verifier = sts
        .follower()
        .timing(silence)
        .max_staleness_secs(100)
        .build()
        .await
        .unwrap();
    sts.stream_open().await;
    // Comments and old statements keep a connection busy, and are no sign of life.
    let old = sts
        .authority
        .statement("1-0", "1-0", vec![], crate::rim::now().saturating_sub(100))
        .unwrap();
    let streams = sts.asked("/v1/feed/stream");
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        sts.send_raw(": keep-alive\n\n");
        sts.send(&old);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(
        sts.asked("/v1/feed/stream") > streams,
        "the silent stream was given up"
    );
    let token = sts.token();
    let later = |secs| crate::rim::now().saturating_add(secs);
    assert!(matches!(
        verify_at(&verifier, &token, later(60)).unwrap().freshness(),
        Freshness::Stale { .. }
    ));
    assert_eq!(
        verify_at(&verifier, &token, later(110)).unwrap_err(),
        RejectionCode::RevocationStale
    );
    // The line is back: a statement of now.
    let ahead = later(50);
    sts.greet_with(
        sts.authority
            .statement("1-0", "1-0", vec![], ahead)
            .unwrap(),
    );
    sts.cut_streams();
    until("it is fresh again", || {
        verify_at(&verifier, &token, ahead)
            .is_ok_and(|verified| verified.freshness() == Freshness::Fresh)
    })
    .await;
}

#[tokio::test]
async fn an_issuer_that_comes_back_empty_revives_nothing() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.send(&sts.statement("1-0", "700-0", &[(Kind::Owner, "tests")]));
    let token = sts.token();
    until("the owner is cut off", || {
        verify(&verifier, &token).is_err()
    })
    .await;
    let fresh = Statement {
        iss: sts.url().to_owned(),
        epoch: "e2".to_owned(),
        from: "0-0".to_owned(),
        to: "1-0".to_owned(),
        as_of: crate::rim::now(),
        exp: crate::rim::now().saturating_add(60),
        entries: vec![],
        keys_changed: false,
        snapshot: true,
    };
    let snapshot = sts.authority.sign_statement(&fresh).unwrap();
    sts.publish_answer("/v1/feed", http::StatusCode::OK, &[], snapshot.as_bytes());
    let heartbeat = Statement {
        from: "1-0".to_owned(),
        snapshot: false,
        ..fresh
    };
    sts.greet_with(sts.authority.sign_statement(&heartbeat).unwrap());
    sts.cut_streams();
    until("the new epoch is followed", || {
        sts.last_asked("/v1/feed/stream").ends_with("from=e2.1-0")
    })
    .await;
    assert_eq!(
        verify(&verifier, &token).unwrap_err(),
        RejectionCode::Revoked
    );
}
