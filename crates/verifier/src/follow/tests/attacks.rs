//! What stands between a verifier and its issuer, and means no good: over real connections.

use std::time::Duration;

use dayfly_token::feed::Kind;
use http::StatusCode;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::sts::{AUDIENCE, Sts, entries, quick, until, verify, verify_at};
use crate::fetch::FetchError;
use crate::follow::{ConnectError, Timing};
use crate::testing::TestAuthority;
use crate::{Freshness, RejectionCode, Verifiers};

fn silent_after(millis: u64) -> Timing {
    Timing {
        silence: Duration::from_millis(millis),
        ..quick()
    }
}

/// One byte now and then keeps a connection busy for ever, and is no sign of life.
#[tokio::test]
async fn a_stream_that_drips_is_given_up() {
    let sts = Sts::start().await;
    let verifier = sts
        .follower()
        .timing(silent_after(400))
        .build()
        .await
        .unwrap();
    sts.stream_open().await;
    let (opened, begun) = (sts.asked("/v1/feed/stream"), Instant::now());
    let event = format!(
        "data: {}\n\n",
        sts.statement("1-0", "2-0", &[(Kind::Owner, "tests")])
    );
    for byte in event.bytes().take(100) {
        sts.send_raw(vec![byte]);
        sleep(Duration::from_millis(20)).await;
    }
    let reopened = sts.asked("/v1/feed/stream") - opened;
    let most = begun.elapsed().as_millis() / 400 + 1;
    assert!(
        reopened >= 2 && reopened as u128 <= most,
        "{reopened} of {most}"
    );
    assert!(verify(&verifier, &sts.token()).is_ok());
    // The control: all of it at once is believed, on whichever stream is open.
    until("the event counts", || {
        sts.send_raw(format!("\n\n{event}"));
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
}

/// A cache that plays one true heartbeat again and again: the connection is given up, and the state ages.
#[tokio::test]
async fn a_recorded_heartbeat_keeps_nothing_alive() {
    let sts = Sts::start().await;
    let verifier = sts
        .follower()
        .timing(silent_after(400))
        .build()
        .await
        .unwrap();
    sts.stream_open().await;
    let recorded = sts
        .authority
        .statement("1-0", "1-0", vec![], crate::rim::now().saturating_add(1))
        .unwrap();
    sts.send(&recorded);
    until("it was heard", || {
        verifier.revocations().as_of() > Some(crate::rim::now())
    })
    .await;
    let (heard, opened) = (verifier.revocations().as_of(), sts.asked("/v1/feed/stream"));
    sts.greet_with(recorded.clone());
    for _ in 0..40 {
        sts.send(&recorded);
        sleep(Duration::from_millis(30)).await;
    }
    assert!(sts.asked("/v1/feed/stream") - opened >= 2);
    assert_eq!(verifier.revocations().as_of(), heard);
    let later = |secs| crate::rim::now().saturating_add(secs);
    assert!(matches!(
        verifier.freshness(later(100)),
        Some(Freshness::Stale { .. })
    ));
    assert_eq!(verifier.freshness(later(3700)), None);
    // The control: one that is new.
    sts.greet_with(
        sts.authority
            .statement("1-0", "1-0", vec![], later(50))
            .unwrap(),
    );
    sts.cut_streams();
    until("it is fresh again", || {
        verifier.freshness(later(50)) == Some(Freshness::Fresh)
    })
    .await;
}

#[tokio::test]
async fn no_redirect_is_followed() {
    for path in [
        "/.well-known/oauth-authorization-server",
        "/jwks",
        "/v1/trust",
        "/v1/feed",
    ] {
        let sts = Sts::start().await;
        assert!(sts.follower().build().await.is_ok());
        let good = sts.take(path);
        sts.put("/elsewhere", good);
        sts.publish_answer(path, StatusCode::FOUND, &[("location", "/elsewhere")], b"");
        assert!(
            matches!(
                sts.follower().build().await,
                Err(ConnectError::Fetch {
                    source: FetchError::Status { status: 302 },
                    ..
                })
            ),
            "{path}"
        );
        assert_eq!(sts.asked("/elsewhere"), 0, "{path}");
    }
    let sts = Sts::start().await;
    let location = [("location", "/elsewhere/stream")];
    sts.publish_answer(
        "/v1/feed/stream",
        StatusCode::TEMPORARY_REDIRECT,
        &location,
        b"",
    );
    let verifier = sts.follower().build().await.unwrap();
    until("the stream was asked for", || {
        sts.asked("/v1/feed/stream") >= 2
    })
    .await;
    assert_eq!((sts.asked("/elsewhere"), sts.open_streams()), (0, 0));
    drop(sts.take("/v1/feed/stream"));
    sts.stream_open().await;
    drop(verifier);
}

/// Waits double up to the longest, each is shortened at random, and news reset them.
#[tokio::test]
async fn reconnects_back_off_with_jitter() {
    let sts = Sts::start().await;
    let timing = Timing {
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(640),
        ..quick()
    };
    sts.refuse_streams(true);
    let verifier = sts.follower().timing(timing).build().await.unwrap();
    until("ten attempts", || sts.asked("/v1/feed/stream") >= 10).await;
    let attempts = sts.asked_at("/v1/feed/stream");
    let gaps: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut wait = timing.first_wait;
    for gap in &gaps {
        // A loaded machine may be late, never early.
        assert!(
            *gap >= wait / 2 - Duration::from_millis(2),
            "{gap:?} of {wait:?}: {gaps:?}"
        );
        wait = (wait * 2).min(timing.longest_wait);
    }
    let last = &gaps[gaps.len() - 5..];
    let spread = *last.iter().max().unwrap() - *last.iter().min().unwrap();
    assert!(spread > Duration::from_millis(5), "all alike: {last:?}");
    sts.refuse_streams(false);
    sts.greet_with(
        sts.authority
            .statement("1-0", "1-0", vec![], crate::rim::now().saturating_add(5))
            .unwrap(),
    );
    sts.stream_open().await;
    until("news", || verifier.freshness(crate::rim::now()).is_some()).await;
    sleep(Duration::from_millis(50)).await;
    let before = sts.asked("/v1/feed/stream");
    let begun = Instant::now();
    sts.cut_streams();
    until("it comes back", || sts.asked("/v1/feed/stream") > before).await;
    assert!(
        begun.elapsed() < timing.longest_wait / 2,
        "{:?}",
        begun.elapsed()
    );
}

/// After an outage one request is enough: the stream begins with what was missed.
#[tokio::test]
async fn back_within_one_round_trip() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    sts.send(&sts.statement("1-0", "2-0", &[]));
    sts.refuse_streams(true);
    sts.cut_streams();
    let tried = sts.asked("/v1/feed/stream");
    until("it tries", || sts.asked("/v1/feed/stream") > tried + 2).await;
    sts.greet_with(sts.statement("2-0", "3-0", &[(Kind::Owner, "tests")]));
    let before = sts.asked("/");
    let token = sts.token();
    assert!(verify(&verifier, &token).is_ok());
    sts.refuse_streams(false);
    until("it is current", || verify(&verifier, &token).is_err()).await;
    // One attempt may have been under way when the issuer came back.
    let asked = sts.asked("/") - before;
    assert!(asked <= 2, "{asked} requests");
    assert_eq!(
        sts.last_asked("/v1/feed/stream"),
        "/v1/feed/stream?from=e1.2-0"
    );
}

/// A feed key that was stolen and withdrawn is not believed until the next restart.
#[tokio::test]
async fn a_withdrawn_feed_key_goes_with_the_next_trust() {
    let sts = Sts::start().await;
    let age = Timing {
        default_max_age: Duration::from_millis(300),
        ..quick()
    };
    let verifier = sts.follower().timing(age).build().await.unwrap();
    sts.stream_open().await;
    let next = TestAuthority::from_seed(sts.url(), [7; 32]).unwrap();
    sts.publish("/v1/trust", &json!(next.feed_keys().to_jwks()));
    sleep(age.default_max_age).await;
    // The heartbeat of the old key is believed a last time, and reminds the follower.
    sts.send(&sts.statement("1-0", "1-0", &[]));
    until("the trust was fetched", || sts.asked("/v1/trust") >= 2).await;
    sleep(Duration::from_millis(50)).await;
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Rule, "stolen")]));
    let true_one = next
        .statement(
            "1-0",
            "2-0",
            entries(&[(Kind::Rule, "new"), (Kind::Rule, "keys")]),
            crate::rim::now(),
        )
        .unwrap();
    sts.send(&true_one);
    until("the new key is believed", || {
        verifier.revocations().len() >= 2
    })
    .await;
    assert_eq!(verifier.revocations().len(), 2);
}

#[tokio::test]
async fn a_feed_that_moves_is_found() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let moved = sts.take("/v1/feed");
    sts.put("/v2/feed", moved);
    let url = format!("{}/v2/feed", sts.url());
    sts.publish_metadata(|metadata| metadata["dayfly_feed_uri"] = json!(url));
    let stranger = TestAuthority::from_seed(sts.url(), [9; 32]).unwrap();
    let asking = stranger.token(AUDIENCE).mint(crate::rim::now()).unwrap();
    sleep(quick().cooldown).await;
    assert_eq!(
        verify(&verifier, &asking).unwrap_err(),
        RejectionCode::UnknownKid
    );
    until("the metadata were read", || sts.asked("/.well-known") >= 2).await;
    sleep(Duration::from_millis(50)).await;
    sts.cut_streams();
    until("the stream is there", || sts.asked("/v2/feed/stream") >= 1).await;
    sts.stream_open().await;
    sts.send(&sts.statement("1-0", "2-0", &[(Kind::Owner, "tests")]));
    until("it is followed", || {
        verify(&verifier, &sts.token()).is_err()
    })
    .await;
}

/// Two issuers side by side: a flood at one asks nothing of the other, an outage of one ages nothing of the other, and
/// a revocation by one touches no token of the other, although both have the same keys here.
#[tokio::test]
async fn issuers_are_followed_apart() {
    let (a, b) = (Sts::start().await, Sts::start().await);
    let verifiers = Verifiers::new();
    for sts in [&a, &b] {
        verifiers.insert(sts.verifier().await).unwrap();
    }
    let says = |token: &str| {
        let token = crate::UnverifiedToken::new(token);
        let verified = verifiers.verify(token, &crate::Presented::NOTHING, crate::rim::now());
        verified.map(|_| ()).map_err(|rejection| rejection.code())
    };
    assert_eq!((says(&a.token()), says(&b.token())), (Ok(()), Ok(())));
    sleep(quick().cooldown).await;
    let before = (a.asked("/jwks"), b.asked("/jwks"));
    let begun = Instant::now();
    for number in 0..2000 {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": format!("made-up-{number}") });
        let payload = json!({ "iss": a.url() });
        let input = dayfly_token::assemble(
            header.to_string().as_bytes(),
            payload.to_string().as_bytes(),
        );
        assert_eq!(
            says(&format!("{input}.AAAA")),
            Err(RejectionCode::UnknownKid)
        );
        if number % 50 == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    sleep(quick().cooldown * 2).await;
    let fetched = a.asked("/jwks") - before.0;
    let allowed = begun.elapsed().as_millis() / quick().cooldown.as_millis() + 1;
    assert!(
        fetched >= 1 && fetched as u128 <= allowed,
        "{fetched} of {allowed}"
    );
    assert_eq!(b.asked("/jwks"), before.1);
    a.send(&a.statement(
        "1-0",
        "2-0",
        &[(Kind::Credential, "QAAAAAAAAAAAAAAAAAAAAA")],
    ));
    until("A revokes", || {
        says(&a.token()) == Err(RejectionCode::Revoked)
    })
    .await;
    assert_eq!(says(&b.token()), Ok(()), "the same id, another issuer");
    // The follower of an issuer that is taken out ends.
    verifiers.remove(a.url());
    until("its stream is closed", || {
        a.send_raw(": there?\n");
        a.open_streams() == 0
    })
    .await;
    assert_eq!(b.open_streams(), 1);
    let one = verifiers.get(b.url()).unwrap();
    assert_eq!(
        verify_at(&one, &a.token(), crate::rim::now()).unwrap_err(),
        RejectionCode::WrongIssuer
    );
}
