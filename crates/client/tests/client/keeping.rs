use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dayfly_client::{ClientError, Source, TokenRequest};
use dayfly_lab::Svid;
use serde_json::json;

use crate::stage::{AUDIENCE, Answer, Stage, TOKEN, token_answer};

/// Longer than any wait here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers the tokens that it grants.
fn numbered(stage: &Stage, expires_in: u64) {
    let number = Arc::new(AtomicUsize::new(0));
    stage.script.always(TOKEN, move |_| {
        token_answer(
            &format!("eyJ.t.{}", number.fetch_add(1, Ordering::Relaxed)),
            expires_in,
        )
    });
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let stage = Stage::new().await;
    numbered(&stage, 3);
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    let mut keeper = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    let first = keeper.current().unwrap();
    assert_eq!(first.secret().expose(), "eyJ.t.0");
    let second = tokio::time::timeout(PATIENCE, keeper.renewed())
        .await
        .unwrap();
    assert_eq!(second.secret().expose(), "eyJ.t.1");
    assert!(second.obtained_at() <= first.expires_at());
    assert_eq!(keeper.current().unwrap().secret().expose(), "eyJ.t.1");
    assert!(keeper.failure().is_none());

    drop(keeper);
    let asked = stage.seen(TOKEN).len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        stage.seen(TOKEN).len(),
        asked,
        "a dropped keeper asks no more"
    );
}

#[tokio::test]
async fn the_last_good_token_is_kept_until_it_ends() {
    let stage = Stage::new().await;
    numbered(&stage, 3);
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    let mut keeper = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    stage.script.always(TOKEN, |_| {
        Answer::json(400, &json!({ "error": "unauthorized_client" }))
    });
    let mut waited = Duration::ZERO;
    while keeper.failure().is_none() && waited < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += Duration::from_millis(50);
    }
    assert_eq!(
        keeper.failure().unwrap().code(),
        Some("unauthorized_client")
    );
    if let Ok(current) = keeper.current() {
        assert_eq!(current.secret().expose(), "eyJ.t.0");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let expired = keeper.current().unwrap_err();
    assert!(
        matches!(expired, ClientError::Expired { .. }),
        "{expired:?}"
    );
    assert_eq!(expired.code(), Some("unauthorized_client"), "it says why");

    numbered(&stage, 300);
    tokio::time::timeout(PATIENCE, keeper.renewed())
        .await
        .unwrap();
    keeper.current().unwrap();
    assert!(keeper.failure().is_none(), "a keeper does not give up");
}

#[tokio::test]
async fn the_first_credential_or_an_error() {
    let stage = Stage::new().await;
    stage.script.always(TOKEN, |_| {
        Answer::json(400, &json!({ "error": "invalid_grant" }))
    });
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    let refused = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("invalid_grant"));
}

#[tokio::test]
async fn a_new_svid_brings_a_new_token() {
    let stage = Stage::new().await;
    numbered(&stage, 3600);
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("svid.pem"), dir.path().join("key.pem"));
    let write = |path: &str| write_svid(&cert, &key, &stage.svid(path));
    write("/payments/deploy");
    let client = stage
        .client()
        .source(Source::svid(&cert, &key))
        .build()
        .unwrap();
    let mut keeper = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    write("/payments/deploy-rotated");
    let renewed = tokio::time::timeout(PATIENCE, keeper.renewed())
        .await
        .unwrap();
    assert_eq!(renewed.secret().expose(), "eyJ.t.1");
    let peer = stage.seen(TOKEN)[1].peer.clone();
    assert_eq!(
        peer.as_deref(),
        Some("spiffe://prod.example/payments/deploy-rotated")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_of_the_svid_before_is_replaced_too() {
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("svid.pem"), dir.path().join("key.pem"));
    write_svid(&cert, &key, &stage.svid("/payments/deploy"));
    let client = stage
        .client()
        .source(Source::svid(&cert, &key))
        .build()
        .unwrap();
    // The SVID changes while the first token is asked for, and another call notices it first.
    let rotated = stage.svid("/payments/deploy-rotated");
    let (asked, is_asked) = tokio::sync::oneshot::channel();
    let (noticed, is_noticed) = std::sync::mpsc::channel();
    let once = Mutex::new(Some((asked, is_noticed)));
    stage.script.always(TOKEN, move |_| {
        if let Some((asked, is_noticed)) = once.lock().unwrap().take() {
            write_svid(&cert, &key, &rotated);
            asked.send(()).unwrap();
            tokio::task::block_in_place(|| is_noticed.recv_timeout(PATIENCE)).unwrap();
        }
        token_answer("eyJ.t.t", 3600)
    });
    let other = client.clone();
    tokio::spawn(async move {
        is_asked.await.unwrap();
        other.metadata().await.unwrap();
        noticed.send(()).unwrap();
    });
    let mut keeper = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE / 2, keeper.renewed())
        .await
        .expect("the token is bound to a certificate that is not presented any more");
    let peers: Vec<_> = stage
        .seen(TOKEN)
        .into_iter()
        .map(|seen| seen.peer)
        .collect();
    assert_ne!(peers[0], peers[1]);
}

#[tokio::test]
async fn a_new_svid_is_no_reason_to_be_impatient() {
    let stage = Stage::new().await;
    numbered(&stage, 3600);
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("svid.pem"), dir.path().join("key.pem"));
    write_svid(&cert, &key, &stage.svid("/payments/deploy"));
    let client = stage
        .client()
        .source(Source::svid(&cert, &key))
        .build()
        .unwrap();
    let keeper = client
        .keep_token(TokenRequest::new(AUDIENCE))
        .await
        .unwrap();
    stage.script.always(TOKEN, |_| Answer::unavailable("60"));
    write_svid(&cert, &key, &stage.svid("/payments/deploy-rotated"));
    // A look every two seconds: one finds the change, and those after it nothing new.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(keeper.failure().is_some());
    assert_eq!(stage.seen(TOKEN).len(), 2, "not before the minute is over");
}

fn write_svid(cert: &Path, key: &Path, svid: &Svid) {
    fs::write(cert, &svid.cert_chain_pem).unwrap();
    fs::write(key, &svid.key_pem).unwrap();
}
