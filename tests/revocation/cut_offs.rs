//! Cut-offs: what was issued up to now is dead, and what comes after is not.

use std::time::Instant;

use serde_json::json;

use super::{Stage, comes_back};
use crate::harness::{FLEET_API, Form};

pub(super) async fn of_a_workload(stage: &Stage) {
    let agent = stage.agent("cuts/workload");
    let (old, older) = (agent.token().await, agent.token().await);
    let child = agent.narrowed(&old).await;
    stage.lives(&old).await;
    stage.lives(&child).await;
    let outcome = stage
        .console
        .done("cut_off", "workload", "cuts/workload")
        .await;
    let since = Instant::now();
    assert_eq!(outcome["held"], false, "{outcome}");
    assert!(outcome["before"].is_u64(), "{outcome}");
    let all = [old.as_str(), &older, &child];
    let dead = stage.dead("a cut-off of a workload", "workload", &all, since);
    let (new, ()) = tokio::join!(comes_back(stage, &agent, since), dead);
    assert!(stage.watcher.code(&old).is_some(), "the old ones stay dead");
    stage.lives(&new).await;
}

pub(super) async fn and_hold_of_a_workload(stage: &Stage) {
    let agent = stage.agent("cuts/revoked");
    let old = agent.token().await;
    stage.lives(&old).await;
    let outcome = stage
        .console
        .done("revoke", "workload", "cuts/revoked")
        .await;
    let since = Instant::now();
    assert_eq!(outcome["held"], true, "{outcome}");
    agent.ask().await.refused(400, "unauthorized_client");
    stage
        .dead("revocation of a workload", "workload", &[&old], since)
        .await;
    assert_eq!(
        stage.console.done("lift", "workload", "cuts/revoked").await["held"],
        false
    );
    comes_back(stage, &agent, since).await;
    assert_eq!(stage.watcher.code(&old), Some("revoked"));
}

pub(super) async fn and_hold_of_an_owner(stage: &Stage) {
    let (one, two) = (stage.agent("house/one"), stage.agent("house/two"));
    let (first, second) = (one.token().await, two.token().await);
    stage.lives(&first).await;
    stage.lives(&second).await;
    let outcome = stage.console.done("revoke", "owner", "house").await;
    let since = Instant::now();
    assert_eq!(outcome["held"], true, "{outcome}");
    for agent in [&one, &two] {
        agent.ask().await.refused(400, "unauthorized_client");
    }
    stage
        .dead("revocation of an owner", "owner", &[&first, &second], since)
        .await;
    stage.console.done("lift", "owner", "house").await;
    comes_back(stage, &two, since).await;
    one.token().await;
}

pub(super) async fn of_a_rule(stage: &Stage) {
    let agent = stage.agent("cuts/rule");
    let old = agent.token().await;
    let claims = json!({ "sub": "cuts/rule", "aud": stage.scene.issuer() });
    let forged = Form::jwt_bearer(&stage.scene.forge.token(claims), FLEET_API);
    let other = agent.send(&forged).await.access_token().to_owned();
    stage.lives(&old).await;
    let outcome = stage.console.done("revoke", "rule", "svid-cuts-rule").await;
    let since = Instant::now();
    assert_eq!(outcome["held"], false, "a rule is cut off; {outcome}");
    stage
        .dead("a cut-off of a rule", "rule", &[&old], since)
        .await;
    // The same workload by another rule is as it was.
    stage.lives(&other).await;
    agent.send(&forged).await.access_token();
    comes_back(stage, &agent, since).await;
}
