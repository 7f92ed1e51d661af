//! A signing key that must not be believed any more.

use std::time::Instant;

use super::Stage;
use crate::harness::{eventually, jwt_header};

/// Ends everything that the server has signed so far.
pub(super) async fn a_taint_kills_what_the_key_signed(stage: &Stage, bystander: &str) {
    let agent = stage.agent("keys/signed");
    let old = agent.token().await;
    stage.lives(&old).await;
    let kid = kid_of(&old);
    assert_eq!(kid_of(bystander), kid, "one key signs");
    assert!(served(stage).await.contains(&kid));

    let outcome = stage.console.done("revoke", "key", &kid).await;
    let since = Instant::now();
    assert_eq!(outcome["held"], false, "{outcome}");
    stage
        .dead("a taint of a key", "key", &[&old, bystander], since)
        .await;
    assert!(
        !served(stage).await.contains(&kid),
        "the key is not served any more"
    );

    // The server goes on with another key, by itself, and verifiers learn it.
    let new = eventually("a new key signs", async || {
        let answer = agent.ask().await;
        (answer.status == 200).then(|| answer.access_token().to_owned())
    })
    .await;
    println!(
        "revocation/{:?}: another key signs after {:?}",
        stage.ledger,
        since.elapsed()
    );
    assert_ne!(kid_of(&new), kid);
    stage.lives(&new).await;
    assert!(stage.watcher.code(&old).is_some());
    assert!(!served(stage).await.contains(&kid));
}

fn kid_of(token: &str) -> String {
    jwt_header(token)["kid"].as_str().unwrap().to_owned()
}

async fn served(stage: &Stage) -> Vec<String> {
    let jwks = stage
        .scene
        .server
        .get("/.well-known/jwks.json", None)
        .await
        .body;
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().map(str::to_owned))
        .map(Option::unwrap)
        .collect()
}
