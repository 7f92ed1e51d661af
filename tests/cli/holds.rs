//! `hold`.

use serde_json::json;

use super::Desk;
use super::golden::assert_shape;

pub(super) async fn are_set_lifted_and_listed(desk: &Desk) {
    let agent = desk.agent("desk/hold");
    let kinds = [
        ("--workload", "workload", "desk/hold"),
        ("--rule", "rule", "svid-desk-hold"),
        ("--source", "source", "oidc:unused"),
    ];
    for (option, kind, value) in kinds {
        let set = ["hold", "set", option, value, "--reason", "a drill"];
        let outcome = desk.over_socket(&set).json(0).await;
        assert_shape("hold", &outcome);
        assert_eq!(
            (&outcome["kind"], &outcome["held"]),
            (&json!(kind), &json!(true))
        );
        let listed = desk.over_socket(&["hold", "list"]).json(0).await;
        let holds = listed["holds"].as_array().unwrap();
        let hold = holds.iter().find(|hold| hold["value"] == value);
        let hold = hold.unwrap_or_else(|| panic!("{listed}"));
        assert_shape("hold-list", &json!({ "holds": [hold] }));
        assert_eq!(
            (&hold["kind"], &hold["reason"]),
            (&json!(kind), &json!("a drill"))
        );
        assert!(
            hold["by"].as_str().unwrap().starts_with("socket:"),
            "{hold}"
        );
        let printed = desk.over_socket(&["hold", "list"]).run().await;
        assert!(printed.done().contains(&format!("{value} ")), "{printed:?}");

        if kind != "source" {
            agent.ask().await.refused(400, "unauthorized_client");
        }
        let lifted = desk
            .over_socket(&["hold", "lift", option, value])
            .run()
            .await;
        let (first, note) = lifted
            .done()
            .split_once('\n')
            .unwrap_or((lifted.done(), ""));
        assert_eq!(first, format!("{kind} {value} is free"));
        assert_eq!(note.starts_with("note: "), kind == "source", "{note}");
        agent.token().await;
    }
    for args in [
        &["hold"][..],
        &["hold", "set"],
        &["hold", "set", "--workload", "nobody"],
    ] {
        let printed = desk.over_socket(args).run().await;
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{args:?}: {printed:?}"
        );
    }
    let refused = desk
        .with_svid("payments/worker", &["hold", "list"])
        .json(1)
        .await;
    assert_eq!(refused["error"], "forbidden");
}
