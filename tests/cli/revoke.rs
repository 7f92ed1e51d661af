//! `revoke`, by each selector.

use serde_json::json;

use super::Desk;
use super::golden::assert_shape;
use crate::harness::{Agent, id_of, jwt_header};

pub(super) async fn by_each_selector(desk: &Desk) {
    let agent = desk.agent("desk/id");
    let (token, other) = (agent.token().await, agent.token().await);
    let value = desk
        .over_socket(&["revoke", "--id", &id_of(&token), "--reason", "lost"])
        .json(0)
        .await;
    assert_shape("revoke", &value);
    assert!(!desk.is_alive(&token).await);
    assert!(desk.is_alive(&other).await);

    // A certificate by the serial number as tools print it.
    let answer = desk.agent("desk/server").ask_certificate().await;
    let serial = answer.text("serial").to_uppercase();
    let pairs: Vec<_> = serial
        .as_bytes()
        .chunks(2)
        .map(|two| std::str::from_utf8(two).unwrap())
        .collect();
    let printed = desk
        .over_socket(&["revoke", "--id", &pairs.join(":")])
        .run()
        .await;
    let id = printed.done().split_whitespace().nth(1).unwrap();
    assert_eq!(desk.console.standing(id).await.0, "revoked");

    let of_task = desk
        .agent("desk/task")
        .ask_for("cli-task")
        .await
        .access_token()
        .to_owned();
    let value = desk
        .over_socket(&["revoke", "--task", "desk/cli-task"])
        .json(0)
        .await;
    assert_eq!(
        value,
        json!({ "task": "desk/cli-task", "state": "revoked" })
    );
    assert!(!desk.is_alive(&of_task).await);

    let of_rule = desk.agent("ruled/one").token().await;
    desk.over_socket(&["revoke", "--rule", "svid-ruled-one"])
        .run()
        .await
        .done();
    assert!(!desk.is_alive(&of_rule).await);

    workload(desk, &desk.agent("desk/workload")).await;

    let of_owner = desk.agent("lot/one").token().await;
    let value = desk
        .over_socket(&["revoke", "--owner", "lot"])
        .json(0)
        .await;
    assert_eq!(
        (&value["held"], &value["kind"]),
        (&json!(true), &json!("owner"))
    );
    assert!(!desk.is_alive(&of_owner).await);
    desk.over_socket(&["hold", "lift", "--owner", "lot"])
        .run()
        .await
        .done();
}

async fn workload(desk: &Desk, agent: &Agent) {
    let token = agent.token().await;
    // The past alone, by the SPIFFE ID that stands in tokens.
    let id = "spiffe://sts.example.org/desk/workload";
    let value = desk
        .over_socket(&["revoke", "--workload", id, "--cut-off-only"])
        .json(0)
        .await;
    assert_eq!(
        (&value["action"], &value["held"]),
        (&json!("cut_off"), &json!(false))
    );
    assert!(value["before"].is_u64(), "{value}");
    assert!(!desk.is_alive(&token).await);
    agent.ask().await.refused(503, "temporarily_unavailable");
    // And the future.
    let printed = desk
        .over_socket(&["revoke", "--workload", "desk/workload"])
        .run()
        .await;
    assert!(
        printed.done().contains("until the hold is lifted"),
        "{printed:?}"
    );
    agent.ask().await.refused(400, "unauthorized_client");
    desk.over_socket(&["hold", "lift", "--workload", "desk/workload"])
        .run()
        .await
        .done();
}

pub(super) async fn takes_a_right_or_the_token(desk: &Desk) {
    let token = desk.agent("desk/id").token().await;
    let id = id_of(&token);
    let refused = desk
        .with_svid("payments/worker", &["revoke", "--id", &id])
        .json(1)
        .await;
    assert_eq!(refused["error"], "forbidden", "{refused}");
    assert!(desk.is_alive(&token).await);

    // By an SVID, and by a token for the issuer itself in a file.
    let svid = desk.svid("platform/console");
    desk.with(&svid, &["revoke", "--id", &id])
        .run()
        .await
        .done();
    assert!(!desk.is_alive(&token).await);
    let scope = [
        "token",
        "--audience",
        desk.scene.issuer(),
        "--scope",
        "dayfly:revoke",
    ];
    let own = desk.with(&svid, &scope).run().await;
    let file = desk
        .scene
        .world
        .write_secret("own.jwt", &format!("{}\n", own.done()));
    let token = desk.agent("desk/id").token().await;
    let id = id_of(&token);
    // It is bound to the SVID that asked for it.
    let revoke = ["revoke", "--id", &id];
    for (svid, code) in [(vec![], 1), (desk.svid("platform/console"), 1), (svid, 0)] {
        let printed = desk
            .with(&svid, &revoke)
            .arg("--token-file")
            .arg(&file)
            .run()
            .await;
        assert_eq!(printed.code, code, "{printed:?}");
    }
    assert!(!desk.is_alive(&token).await);

    // Whoever has a token may end it.
    let token = desk.agent("desk/id").token().await;
    let command = desk.cli().args(["revoke", "--token"]);
    assert_eq!(
        command.json_with(&token, 0).await,
        json!({ "revoked": true })
    );
    assert!(!desk.is_alive(&token).await);
    command.run_with("unknown").await.done();

    for args in [
        &["revoke"][..],
        &["revoke", "--id", "x", "--task", "a/b"],
        &["revoke", "--task", "no-owner"],
        &["revoke", "--workload", "no-owner"],
    ] {
        let printed = desk.over_socket(args).run().await;
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{args:?}: {printed:?}"
        );
    }
    let printed = desk.over_socket(&["revoke", "--id", "x"]).run().await;
    assert_eq!(printed.code, 1, "the issuer says no: {printed:?}");
}

/// Ends everything that was signed so far.
pub(super) async fn by_key(desk: &Desk) {
    let token = desk.agent("desk/key").token().await;
    let header = jwt_header(&token);
    let kid = header["kid"].as_str().unwrap();
    let value = desk.over_socket(&["revoke", "--key", kid]).json(0).await;
    assert_eq!(
        (&value["kind"], &value["value"]),
        (&json!("key"), &json!(kid))
    );
    assert!(!desk.is_alive(&token).await);
}
