//! A task: everything of it ends at once, and for ever.

use std::time::Instant;

use serde_json::json;

use super::Stage;
use crate::harness::{Agent, Answer, jwt_claims, now};

pub(super) async fn by_the_console_and_by_possession(stage: &Stage) {
    let agent = stage.agent("tasks/one");
    for (how, state) in [("complete", "completed"), ("revoke", "revoked")] {
        for by_possession in [false, true] {
            let name = format!("{how}-{by_possession}");
            let task = format!("tasks/{name}");
            let token = task_token(&agent, &name).await;
            let child = agent.narrowed(&token).await;
            stage.lives(&token).await;
            stage.lives(&child).await;
            let answer = if by_possession {
                end_with(stage, &token, &task, how).await
            } else {
                stage.console.end_task(&task, how).await
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.body, json!({ "task": task, "state": state }));
            stage
                .dead(
                    &format!("{how} of a task"),
                    "task",
                    &[&token, &child],
                    Instant::now(),
                )
                .await;
            stays_ended(stage, &agent, &name).await;
        }
    }
    // The name is gone, the workload is not.
    task_token(&agent, "something-else").await;
    agent.token().await;
}

async fn stays_ended(stage: &Stage, agent: &Agent, name: &str) {
    let task = format!("tasks/{name}");
    agent.ask_for(name).await.refused(400, "invalid_grant");
    // A task that is done can turn out to have gone wrong, and not the other way round.
    for how in ["revoke", "complete"] {
        let answer = stage.console.end_task(&task, how).await;
        assert_eq!(
            answer.body,
            json!({ "task": task, "state": "revoked" }),
            "{how}"
        );
    }
    let answer = stage
        .console
        .post("/v1/tasks", &json!({ "task": task }))
        .await;
    assert_eq!(
        (answer.status, answer.text("code")),
        (409, "conflict"),
        "{answer:?}"
    );
    agent.ask_for(name).await.refused(400, "invalid_grant");
}

pub(super) async fn possession_of_another_task_ends_nothing(stage: &Stage) {
    let agent = stage.agent("tasks/two");
    let (mine, other) = (
        task_token(&agent, "mine").await,
        task_token(&agent, "other").await,
    );
    let plain = agent.token().await;
    for token in [&other, &plain] {
        for how in ["complete", "revoke"] {
            let answer = end_with(stage, token, "tasks/mine", how).await;
            assert_eq!(answer.status, 403, "{answer:?}");
        }
    }
    stage.lives(&mine).await;
    // Not by a token that is dead, either.
    assert_eq!(
        end_with(stage, &other, "tasks/other", "complete")
            .await
            .status,
        200
    );
    assert_eq!(
        end_with(stage, &other, "tasks/other", "complete")
            .await
            .status,
        401
    );
    stage.lives(&mine).await;
}

pub(super) async fn a_task_may_have_a_deadline(stage: &Stage) {
    let agent = stage.agent("tasks/two");
    let deadline = now() + 60;
    let task = json!({ "task": "tasks/short", "purpose": "a minute", "deadline": deadline });
    let answer = stage.console.post("/v1/tasks", &task).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        (&answer.body["state"], &answer.body["deadline"]),
        (&json!("open"), &json!(deadline))
    );
    let claims = jwt_claims(&task_token(&agent, "short").await);
    assert!(claims["exp"].as_u64().unwrap() <= deadline, "{claims}");

    let task = json!({ "task": "tasks/over", "deadline": now() - 1 });
    assert_eq!(stage.console.post("/v1/tasks", &task).await.status, 400);
}

async fn task_token(agent: &Agent, task: &str) -> String {
    agent.ask_for(task).await.access_token().to_owned()
}

/// Ends a task by a credential of it.
async fn end_with(stage: &Stage, token: &str, task: &str, how: &str) -> Answer {
    let server = &stage.scene.server;
    let request = server
        .client(None)
        .post(format!("{}/v1/tasks/{task}/{how}", server.url));
    Answer::read(request.bearer_auth(token).send().await.unwrap()).await
}
