//! Keys of issuers over time: refreshed in the background, kept while they cannot be fetched, then refused.

use dayfly_attest::{JwksSource, OidcIssuerConfig, OidcIssuers, RefreshTiming};
use tokio::net::TcpListener;

use crate::idp::{Idp, jwks};
use crate::issuer_keys::{MILLISECOND, knowing, knowing_one};
use crate::no_bundles;
use crate::signer::{Signer, code};

/// Everything that takes seconds and minutes in earnest, in milliseconds.
fn hurried() -> RefreshTiming {
    RefreshTiming {
        cooldown: MILLISECOND * 50,
        first_retry: MILLISECOND * 20,
        min_age: MILLISECOND * 40,
        max_age: MILLISECOND * 200,
        default_age: MILLISECOND * 40,
        max_stale: MILLISECOND * 2_000,
        fetch_timeout: MILLISECOND * 2_000,
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(MILLISECOND * 10).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn the_background_keeps_keys_fresh_and_drops_old_ones() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    let idp = Idp::start(&[&old]).await;
    idp.change(|behaviour| behaviour.etag = Some("\"1\""));
    let attestor = knowing(vec![idp.config("idp")], hurried());
    let refresh = attestor.oidc_issuers().spawn_refresh();
    eventually("an unchanged set is not sent again", async || {
        idp.not_modified() >= 2
    })
    .await;
    assert_eq!(code(&attestor, &old.token(&idp.claims())).await, "accepted");
    idp.publish(&[&new]);
    idp.change(|behaviour| behaviour.etag = Some("\"2\""));
    eventually("the old key is refused", async || {
        code(&attestor, &old.token(&idp.claims())).await == "unknown_kid"
    })
    .await;
    assert_eq!(code(&attestor, &new.token(&idp.claims())).await, "accepted");
    idp.change(|behaviour| {
        behaviour.jwks = serde_json::json!({"keys": []});
        behaviour.etag = None;
    });
    eventually("withdrawn keys are withdrawn", async || {
        code(&attestor, &new.token(&idp.claims())).await == "unknown_kid"
    })
    .await;
    refresh.abort();
}

#[tokio::test]
async fn the_last_good_keys_stay_for_a_while() {
    let (first, second) = (Signer::new("ES256", "k1"), Signer::new("ES256", "k1"));
    let (failing, sound) = (Idp::start(&[&first]).await, Idp::start(&[&second]).await);
    let configs = vec![failing.config("failing"), sound.config("sound")];
    let attestor = knowing(configs, hurried());
    let refresh = attestor.oidc_issuers().spawn_refresh();
    let of_failing = first.token(&failing.claims());
    let of_sound = second.token(&sound.claims());
    eventually("both work", async || {
        code(&attestor, &of_failing).await == "accepted"
            && code(&attestor, &of_sound).await == "accepted"
    })
    .await;
    failing.change(|behaviour| behaviour.status = Some((503, String::new())));
    let known = attestor.oidc_issuers().status();
    let failing_status = || {
        let status = attestor.oidc_issuers().status();
        status
            .into_iter()
            .find(|issuer| issuer.name.as_str() == "failing")
            .unwrap()
    };
    eventually("a refresh fails", async || failing_status().failures > 0).await;
    assert_eq!(known.len(), 2);
    assert_eq!(
        code(&attestor, &of_failing).await,
        "accepted",
        "stale but believed"
    );
    assert!(failing_status().last_error.unwrap().contains("503"));
    // A key that nobody has heard of may be a new one.
    let unheard = Signer::new("ES256", "k2").token(&failing.claims());
    assert_eq!(code(&attestor, &unheard).await, "issuer_unavailable");
    eventually("too stale", async || {
        code(&attestor, &of_failing).await == "issuer_unavailable"
    })
    .await;
    assert!(!failing_status().ready);
    assert_eq!(
        code(&attestor, &of_sound).await,
        "accepted",
        "the other one is as before"
    );
    failing.change(|behaviour| behaviour.status = None);
    eventually("healed", async || {
        code(&attestor, &of_failing).await == "accepted"
    })
    .await;
    refresh.abort();
}

#[tokio::test]
async fn a_start_waits_for_nobody() {
    let signer = Signer::new("ES256", "k1");
    let sound = Idp::start(&[&signer]).await;
    // Accepts connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hanging = sound.config("hanging");
    hanging.issuer = format!("http://{}", mute.local_addr().unwrap());
    let timing = RefreshTiming {
        fetch_timeout: MILLISECOND * 1_000,
        ..RefreshTiming::default()
    };
    let issuer = hanging.issuer.clone();
    let attestor = knowing(vec![hanging, sound.config("sound")], timing);
    let refresh = attestor.oidc_issuers().spawn_refresh();
    let limit = MILLISECOND * 5_000;
    let token = signer.token(&sound.claims());
    let outcome = tokio::time::timeout(limit, code(&attestor, &token)).await;
    assert_eq!(outcome.unwrap(), "accepted");
    let mut claims = sound.claims();
    claims["iss"] = serde_json::json!(issuer);
    let token = signer.token(&claims);
    let outcome = tokio::time::timeout(limit, code(&attestor, &token)).await;
    assert_eq!(outcome.unwrap(), "issuer_unavailable");
    refresh.abort();
}

#[tokio::test]
async fn who_goes_away_takes_no_fetch_along() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    idp.change(|behaviour| behaviour.delay = Some(MILLISECOND * 50));
    let attestor = knowing_one(&idp);
    let token = signer.token(&idp.claims());
    let impatient = tokio::time::timeout(MILLISECOND * 10, code(&attestor, &token)).await;
    assert!(impatient.is_err());
    assert_eq!(code(&attestor, &token).await, "accepted");
    assert_eq!((idp.discovery(), idp.jwks()), (1, 1));
}

#[tokio::test]
async fn what_did_not_change_keeps_its_keys() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    let attestor = knowing_one(&idp);
    let token = signer.token(&idp.claims());
    assert_eq!(code(&attestor, &token).await, "accepted");
    let again = |config: OidcIssuerConfig| {
        let issuers = attestor.oidc_issuers();
        let timing = RefreshTiming::default();
        crate::attestor(
            no_bundles(),
            issuers.reconfigured(vec![config], timing).unwrap(),
        )
    };
    assert_eq!(code(&again(idp.config("idp")), &token).await, "accepted");
    assert_eq!(idp.jwks(), 1);
    let mut changed = idp.config("idp");
    changed.audiences = vec!["https://other.example".to_owned()];
    assert_eq!(code(&again(changed), &token).await, "wrong_audience");
    assert_eq!(idp.jwks(), 2);
}

#[tokio::test]
async fn files_are_read_again() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    std::fs::write(&path, jwks(&[&old]).to_string()).unwrap();
    let mut config = crate::signer::corp();
    config.jwks = JwksSource::File(path.clone());
    let attestor = knowing(vec![config.clone()], hurried());
    let refresh = attestor.oidc_issuers().spawn_refresh();
    let claims = crate::signer::corp_claims();
    assert_eq!(code(&attestor, &old.token(&claims)).await, "accepted");
    std::fs::write(&path, "half a fi").unwrap();
    tokio::time::sleep(MILLISECOND * 100).await;
    assert_eq!(code(&attestor, &old.token(&claims)).await, "accepted");
    std::fs::write(&path, jwks(&[&new]).to_string()).unwrap();
    eventually("the new file is read", async || {
        code(&attestor, &new.token(&claims)).await == "accepted"
    })
    .await;
    refresh.abort();
    for (name, text) in [("garbage", "garbage"), ("empty", ""), ("no set", "{}")] {
        std::fs::write(&path, text).unwrap();
        assert!(OidcIssuers::new(vec![config.clone()]).is_err(), "{name}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(OidcIssuers::new(vec![config]).is_err());
}
