//! Holds: nothing is issued until they are lifted, and what was issued stays.

use serde_json::{Value, json};

use super::Stage;
use crate::harness::{Agent, Answer, FLEET_API, Form, now};

/// Each kind, with what is held and for whom it closes the door.
const KINDS: [(&str, &str, &str); 4] = [
    ("workload", "holds/workload", "holds/workload"),
    ("owner", "holds", "holds/owner"),
    ("rule", "svid-holds-rule", "holds/rule"),
    ("source", "oidc:forge", "holds/source"),
];

/// One after the other: the hold of the owner is in the way of the others.
pub(super) async fn each_kind_closes_its_door(stage: &Stage) {
    for (kind, value, name) in KINDS {
        let agent = stage.agent(name);
        let before = ask(stage, &agent, kind).await.access_token().to_owned();
        set(stage, kind, value).await;
        for _ in 0..2 {
            let answer = ask(stage, &agent, kind).await;
            answer.refused(400, "unauthorized_client");
            assert_eq!(reason(stage, &answer).await, "held", "{kind}");
        }
        nothing_in_any_other_way(stage, &agent, kind, &before).await;
        stage.lives(&before).await;
        lift(stage, kind, value).await;
        stage
            .lives(ask(stage, &agent, kind).await.access_token())
            .await;
    }
    // The source was one of two.
    let answer = stage.console.change("hold", "task", "holds/t").await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

/// By the evidence that the kind is about.
async fn ask(stage: &Stage, agent: &Agent, kind: &str) -> Answer {
    if kind != "source" {
        return agent.ask().await;
    }
    let claims = json!({ "sub": agent.name, "aud": stage.scene.issuer() });
    agent
        .send(&Form::jwt_bearer(
            &stage.scene.forge.token(claims),
            FLEET_API,
        ))
        .await
}

async fn set(stage: &Stage, kind: &str, value: &str) {
    let began = now();
    let outcome = stage.console.done("hold", kind, value).await;
    assert_eq!(outcome["held"], true, "{outcome}");
    assert!(
        outcome.get("before").is_none(),
        "a hold is about the future; {outcome}"
    );
    let answer = stage.console.get("/v1/revocations").await;
    let holds = answer.body["holds"].as_array().unwrap();
    let hold = holds
        .iter()
        .find(|hold| hold["kind"] == kind && hold["value"] == value);
    let hold = hold.unwrap_or_else(|| panic!("{kind} {value} is not in {answer:?}"));
    assert_eq!(hold["by"], "platform/console");
    assert_eq!(hold["reason"], "a test");
    assert!(
        (began..=now()).contains(&hold["since"].as_u64().unwrap()),
        "{hold}"
    );
}

async fn lift(stage: &Stage, kind: &str, value: &str) {
    let outcome = stage.console.done("lift", kind, value).await;
    assert_eq!(outcome["held"], false, "{outcome}");
    let name = (kind.to_owned(), value.to_owned());
    assert!(!stage.console.holds().await.contains(&name));
    // A second time changes nothing.
    stage.console.done("lift", kind, value).await;
}

/// No certificate and no child, and no way to lift it by oneself.
async fn nothing_in_any_other_way(stage: &Stage, agent: &Agent, kind: &str, token: &str) {
    if kind == "source" {
        // Only this source is closed.
        agent.token().await;
        return;
    }
    agent
        .ask_certificate()
        .await
        .refused(400, "unauthorized_client");
    let form = Form::exchange(token, "access_token", FLEET_API).with("scope", "deploy:read");
    let answer = agent.send(&form).await;
    answer.refused(400, "unauthorized_client");
    assert_eq!(reason(stage, &answer).await, "held");
}

/// The reason in the audit trail.
async fn reason(stage: &Stage, answer: &Answer) -> Value {
    let path = format!("/v1/decisions/{}", answer.text("decision_id"));
    stage.console.get(&path).await.body["reason"].clone()
}
