//! What the ledger and the audit trail remember.

use serde_json::{Value, json};

use super::admin::{change, introspect};
use super::{API, World};

#[tokio::test]
async fn a_decision_is_explained_and_an_issuance_shown() {
    let world = World::new().await;
    let denied = world
        .form(
            "/oauth2/token",
            None,
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &world.ci_token()),
                ("audience", API),
            ],
        )
        .await;
    denied.assert_error(400, "invalid_request");
    let id = denied.json()["decision_id"].as_str().unwrap().to_owned();
    let why = world
        .admin(&format!("/v1/decisions/{id}"), None)
        .await
        .json();
    assert_eq!(
        (&why["outcome"], &why["reason"]),
        (&json!("deny"), &json!("task_required"))
    );
    let token = world.ci_access("t").await.text("access_token");
    let jti = introspect(&world, &token).await["jti"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/issuances/{jti}");
    let record = world.admin(&path, None).await.json();
    assert_eq!(
        (&record["status"], &record["issuance"]["id"]),
        (&json!("live"), &json!(jti))
    );
    world
        .admin(
            "/v1/revocations",
            Some(&change("revoke", "credential", &jti)),
        )
        .await;
    let record = world.admin(&path, None).await.json();
    assert_eq!(
        (&record["status"], &record["revoked_by"]),
        (&json!("revoked"), &json!("credential"))
    );
    for missing in ["/v1/decisions/none", "/v1/issuances/QAAAAAAAAAAAAAAAAAAAAA"] {
        world
            .admin(missing, None)
            .await
            .assert_error(404, "not_found");
    }
}

#[tokio::test]
async fn a_tainted_key_ends_its_tokens() {
    let world = World::new().await;
    let token = world.ci_access("t").await.text("access_token");
    let jwks = world.get("/.well-known/jwks.json", None).await.json();
    let kid = jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
    let answer = world
        .admin("/v1/revocations", Some(&change("revoke", "key", &kid)))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let jwks = world.get("/.well-known/jwks.json", None).await.json();
    let kids: Vec<_> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert!(!kids.contains(&&json!(kid)));
    assert_eq!(introspect(&world, &token).await, json!({ "active": false }));
}

#[tokio::test]
async fn what_operators_do_is_in_the_audit_trail() {
    let world = World::new().await;
    world
        .admin(
            "/v1/revocations",
            Some(&change("hold", "owner", "payments")),
        )
        .await;
    let path = world.dir.path().join("data/audit.jsonl");
    let mut text = String::new();
    for _ in 0..200 {
        text = std::fs::read_to_string(&path).unwrap_or_default();
        if !text.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["by"], &line["outcome"]),
        (&json!("socket:0"), &json!("recorded"))
    );
    assert_eq!(line["reason"], "drill");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!(line["facts"][0]["value"], "payments");
}
