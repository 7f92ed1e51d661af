//! A right that is limited to one owner ends there.

use serde_json::json;

use super::Stage;
use crate::harness::{Operator, id_of};

pub(super) async fn end_at_the_owner(stage: &Stage) {
    let agent = stage.agent("rights/one");
    let token = agent.ask_for("work").await.access_token().to_owned();
    let kid = crate::harness::jwt_header(&token)["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = id_of(&token);
    let unknown = dayfly_token::CredentialId::new(0, [9; 15]).to_string();
    // It may revoke and hold what belongs to `payments`, and keys not at all.
    let svid = stage.scene.world.svid("platform/payments-admin");
    let limited = Operator::new(&svid, &stage.scene.server);
    let stranger = Operator::new(&stage.scene.world.svid("rights/one"), &stage.scene.server);
    let changes = [
        ("revoke", "credential", id.as_str()),
        ("revoke", "credential", &unknown),
        ("cut_off", "workload", "rights/one"),
        ("revoke", "workload", "rights/one"),
        ("revoke", "owner", "rights"),
        ("revoke", "rule", "svid-rights-one"),
        ("revoke", "task", "rights/work"),
        ("revoke", "key", &kid),
        ("hold", "workload", "rights/one"),
        ("hold", "owner", "rights"),
        ("hold", "rule", "svid-rights-one"),
        ("hold", "source", "spiffe:prod.example.org"),
        ("lift", "source", "spiffe:prod.example.org"),
    ];
    for caller in [&limited, &stranger] {
        for (action, kind, value) in changes {
            let answer = caller.change(action, kind, value).await;
            assert_eq!(answer.status, 403, "{action} {kind}: {answer:?}");
            assert_eq!(answer.text("code"), "forbidden", "{answer:?}");
        }
        for how in ["complete", "revoke"] {
            assert_eq!(caller.end_task("rights/work", how).await.status, 403);
        }
        assert_eq!(caller.get(&format!("/v1/issuances/{id}")).await.status, 403);
        assert_eq!(caller.introspect(&token).await, json!({ "active": false }));
    }
    // Nothing has changed.
    stage.lives(&token).await;
    agent.ask_for("work").await.access_token();

    // What it may see and end is its own.
    let (mine, other) = (("workload", "payments/worker"), ("workload", "rights/one"));
    limited.done("hold", mine.0, mine.1).await;
    stage.console.done("hold", other.0, other.1).await;
    assert_eq!(
        limited.holds().await,
        [(mine.0.to_owned(), mine.1.to_owned())]
    );
    limited.done("lift", mine.0, mine.1).await;
    stage.console.done("lift", other.0, other.1).await;

    // Without a certificate there is no caller at all.
    let body = json!({ "action": "revoke", "kind": "credential", "value": id });
    let answer = stage
        .scene
        .server
        .post_json("/v1/revocations", None, &body)
        .await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(
        answer.header("www-authenticate").starts_with("Bearer"),
        "{answer:?}"
    );
}
