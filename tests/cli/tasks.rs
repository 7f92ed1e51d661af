//! `task` and `why`.

use serde_json::json;

use super::Desk;
use super::golden::assert_shape;
use crate::harness::{PAYMENTS_API, now};

pub(super) async fn are_opened_and_ended(desk: &Desk) {
    let deadline = (now() + 120).to_string();
    for (how, state) in [("complete", "completed"), ("revoke", "revoked")] {
        let task = format!("desk/cli-{how}");
        let open = [
            "task",
            "open",
            &task,
            "--purpose",
            "a drill",
            "--deadline",
            &deadline,
        ];
        let opened = desk.over_socket(&open).json(0).await;
        assert_eq!(opened, json!({ "task": task, "state": "open" }));
        let agent = desk.agent("desk/task");
        let token = agent
            .ask_for(&format!("cli-{how}"))
            .await
            .access_token()
            .to_owned();
        let printed = desk
            .over_socket(&["task", how, &task, "--reason", "done"])
            .run()
            .await;
        assert_eq!(printed.done(), format!("task {task} is {state}"));
        assert!(!desk.is_alive(&token).await);
        // It stays ended, and its name is not used again.
        let again = desk.over_socket(&["task", how, &task]).json(0).await;
        assert_eq!(again, json!({ "task": task, "state": state }));
        assert_shape("task", &again);
        let refused = desk.over_socket(&["task", "open", &task]).json(1).await;
        assert_eq!(refused["error"], "conflict", "{refused}");
    }
    let printed = desk
        .over_socket(&["task", "complete", "no-owner"])
        .run()
        .await;
    assert_eq!(printed.code, 2, "{printed:?}");
}

pub(super) async fn why_explains_a_decision(desk: &Desk) {
    let token = [
        "token",
        "--audience",
        PAYMENTS_API,
        "--scope",
        "deploy:write",
    ];
    let refused = desk.with_svid("payments/worker", &token).json(1).await;
    assert_eq!(refused["error"], "invalid_scope");
    let id = refused["decision_id"].as_str().unwrap();
    let line = desk.over_socket(&["why", id]).json(0).await;
    assert_eq!(line["outcome"], "deny", "{line}");
    assert_eq!(line["reason"], "scope_not_granted", "{line}");
    assert_eq!(line["workload"], "payments/worker", "{line}");
    let printed = desk.with_svid("platform/console", &["why", id]).run().await;
    let text = printed.done();
    for fact in ["scope_not_granted", "payments/worker", PAYMENTS_API, id] {
        assert!(text.contains(fact), "{fact} is not in {text}");
    }

    let unknown = dayfly_token::DecisionId::new(0, [3; 15]).to_string();
    let refused = desk.over_socket(&["why", &unknown]).json(1).await;
    assert_eq!(refused["error"], "not_found", "{refused}");
    let printed = desk.over_socket(&["why", "no-id"]).run().await;
    assert_eq!(printed.code, 2, "{printed:?}");
}
