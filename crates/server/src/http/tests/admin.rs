//! `/v1`: tasks, revocations, holds, records, and whose things they reach.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use super::{API, World, send, write};

pub(crate) fn change(action: &str, kind: &str, value: &str) -> Value {
    json!({ "action": action, "kind": kind, "value": value, "reason": "drill" })
}

pub(crate) async fn introspect(world: &World, token: &str) -> Value {
    let api = world.svid("payments/api");
    let answer = world
        .form("/oauth2/introspect", Some(&api), &[("token", token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

#[tokio::test]
async fn a_holder_revokes_and_an_unknown_token_is_answered_alike() {
    let world = World::new().await;
    let token = world.ci_access("t-1").await.text("access_token");
    assert_eq!(introspect(&world, &token).await["active"], true);
    let answer = world
        .form("/oauth2/revoke", None, &[("token", &token)])
        .await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(introspect(&world, &token).await, json!({ "active": false }));
    for unknown in [&token[..], "garbage", "a.b.c"] {
        let answer = world
            .form("/oauth2/revoke", None, &[("token", unknown)])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, 0),
            "{unknown}"
        );
    }
    world
        .form("/oauth2/revoke", None, &[])
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn introspection_is_for_operators_of_the_audience() {
    let world = World::new().await;
    let token = world.ci_access("t-1").await.text("access_token");
    let active = introspect(&world, &token).await;
    assert_eq!(active["sub"], "spiffe://sts.example.org/payments/deploy");
    assert_eq!(
        (&active["aud"], &active["txn"]),
        (&json!(API), &json!("payments/t-1"))
    );
    let fields = [("token", &*token)];
    let worker = world.svid("payments/worker");
    let other = world
        .form("/oauth2/introspect", Some(&worker), &fields)
        .await;
    assert_eq!(other.json(), json!({ "active": false }));
    let nobody = world.form("/oauth2/introspect", None, &fields).await;
    nobody.assert_error(401, "invalid_client");
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    let stranger = world.svid("payments/unknown");
    let stranger = world
        .form("/oauth2/introspect", Some(&stranger), &fields)
        .await;
    stranger.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_bound_token_can_be_introspected_by_its_api() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let token = world.worker_token(&svid).await;
    let active = introspect(&world, &token).await;
    assert_eq!(active["active"], true);
    assert!(active["cnf"]["x5t#S256"].is_string());
    let answer = world
        .form("/oauth2/revoke", None, &[("token", &token)])
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(introspect(&world, &token).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_task_ends_with_everything_of_it() {
    let world = World::new().await;
    let token = world.ci_access("deploy-1").await.text("access_token");
    let complete = |token: String| {
        Request::post("/v1/tasks/payments/deploy-1/complete")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
    let other = world.ci_access("deploy-2").await.text("access_token");
    send(&world.public, complete(other))
        .await
        .assert_error(403, "forbidden");
    let ended = send(&world.public, complete(token.clone())).await;
    assert_eq!(ended.status, 200, "{}", ended.json());
    assert_eq!(
        ended.json(),
        json!({ "task": "payments/deploy-1", "state": "completed" })
    );
    assert_eq!(introspect(&world, &token).await, json!({ "active": false }));
    world
        .ci_access("deploy-1")
        .await
        .assert_error(400, "invalid_grant");
    send(&world.public, complete(token))
        .await
        .assert_error(401, "unauthenticated");
    let again = world
        .admin("/v1/tasks/payments/deploy-1/revoke", Some(&json!({})))
        .await;
    assert_eq!(again.json()["state"], "revoked", "the stricter end stands");
    let again = world
        .admin("/v1/tasks/payments/deploy-1/complete", None)
        .await;
    assert_eq!(again.status, 405);
    let again = world
        .admin("/v1/tasks/payments/deploy-1/complete", Some(&json!({})))
        .await;
    assert_eq!(again.json()["state"], "revoked");
    let reopened = world
        .admin("/v1/tasks", Some(&json!({ "task": "payments/deploy-1" })))
        .await;
    reopened.assert_error(409, "conflict");
}

#[tokio::test]
async fn a_declared_task_has_a_deadline() {
    let world = World::new().await;
    let now = world.running.app.clock_secs();
    let declaration = json!({ "task": "payments/t", "purpose": "drill", "deadline": now + 60 });
    let answer = world.admin("/v1/tasks", Some(&declaration)).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let token = world.ci_access("t").await;
    assert!(
        token.json()["expires_in"].as_u64().unwrap() <= 60,
        "{}",
        token.json()
    );
    for bad in [
        json!({ "task": "payments/u", "deadline": now - 1 }),
        json!({ "task": "payments" }),
        json!({ "task": "payments/u", "extra": 1 }),
        json!({ "task": "payments/u", "purpose": "x".repeat(257) }),
    ] {
        world
            .admin("/v1/tasks", Some(&bad))
            .await
            .assert_error(400, "bad_request");
    }
}

#[tokio::test]
async fn a_hold_closes_the_door_until_it_is_lifted() {
    let world = World::new().await;
    let held = world
        .admin(
            "/v1/revocations",
            Some(&change("hold", "workload", "payments/deploy")),
        )
        .await;
    assert_eq!(held.json()["held"], true);
    world
        .ci_access("t")
        .await
        .assert_error(400, "unauthorized_client");
    let holds = world.admin("/v1/revocations", None).await.json();
    assert_eq!(holds["holds"][0]["value"], "payments/deploy");
    assert_eq!(holds["holds"][0]["by"], "socket:0");
    let lifted = world
        .admin(
            "/v1/revocations",
            Some(&change("lift", "workload", "payments/deploy")),
        )
        .await;
    assert_eq!(lifted.json()["held"], false);
    assert_eq!(world.ci_access("t").await.status, 200);
}

#[tokio::test]
async fn revoking_a_workload_cuts_off_and_holds() {
    let world = World::new().await;
    let token = world.ci_access("t").await.text("access_token");
    let revoked = world
        .admin(
            "/v1/revocations",
            Some(&change("revoke", "workload", "payments/deploy")),
        )
        .await
        .json();
    assert_eq!(revoked["held"], true);
    assert!(revoked["before"].as_u64().unwrap() > world.running.app.clock_secs());
    assert_eq!(introspect(&world, &token).await, json!({ "active": false }));
    world
        .ci_access("t")
        .await
        .assert_error(400, "unauthorized_client");
    let cut = world
        .admin(
            "/v1/revocations",
            Some(&change("cut_off", "owner", "payments")),
        )
        .await
        .json();
    assert_eq!(cut["held"], false);
    for bad in [
        change("hold", "task", "payments/t"),
        change("revoke", "source", "oidc:github"),
        change("revoke", "workload", "payments"),
        change("explode", "workload", "payments/deploy"),
    ] {
        world
            .admin("/v1/revocations", Some(&bad))
            .await
            .assert_error(400, "bad_request");
    }
}

#[tokio::test]
async fn a_cut_off_answers_503_until_it_has_passed() {
    let world = World::new().await;
    world
        .admin(
            "/v1/revocations",
            Some(&change("cut_off", "rule", "gh-deploy")),
        )
        .await;
    let answer = world.ci_access("t").await;
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_right_limited_to_one_owner_reaches_no_other() {
    let world = World::new().await;
    let admin = world.svid("platform/billing-admin");
    let issued = world.ci_access("t").await;
    let token = issued.text("access_token");
    let jti = introspect(&world, &token).await["jti"]
        .as_str()
        .unwrap()
        .to_owned();
    for body in [
        change("revoke", "credential", &jti),
        change("revoke", "task", "payments/t"),
        change("revoke", "workload", "payments/deploy"),
        change("cut_off", "owner", "payments"),
        change("revoke", "rule", "gh-deploy"),
        change("revoke", "key", "some-kid"),
        change("hold", "workload", "payments/deploy"),
        change("hold", "source", "oidc:github"),
        change("hold", "rule", "no-such-rule"),
    ] {
        let answer = world.json("/v1/revocations", Some(&admin), &body).await;
        answer.assert_error(403, "forbidden");
    }
    for path in [
        format!("/v1/issuances/{jti}"),
        "/v1/issuances/QAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "/v1/decisions/QAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    ] {
        world
            .get(&path, Some(&admin))
            .await
            .assert_error(403, "forbidden");
    }
    let declare = json!({ "task": "payments/x" });
    world
        .json("/v1/tasks", Some(&admin), &declare)
        .await
        .assert_error(403, "forbidden");
    assert_eq!(
        introspect(&world, &token).await["active"],
        true,
        "nothing has changed"
    );
    assert_eq!(world.ci_access("t").await.status, 200);
    let own = change("hold", "workload", "billing/reader");
    assert_eq!(
        world
            .json("/v1/revocations", Some(&admin), &own)
            .await
            .status,
        200
    );
    world
        .admin(
            "/v1/revocations",
            Some(&change("hold", "owner", "payments")),
        )
        .await;
    let seen = world.get("/v1/revocations", Some(&admin)).await.json();
    assert_eq!(
        seen["holds"].as_array().unwrap().len(),
        1,
        "only its own: {seen}"
    );
}

#[tokio::test]
async fn a_held_operator_cannot_lift_its_own_hold() {
    let world = World::new().await;
    let console = world.svid("platform/console");
    let hold = change("hold", "workload", "platform/console");
    assert_eq!(
        world.admin("/v1/revocations", Some(&hold)).await.status,
        200
    );
    let lift = change("lift", "workload", "platform/console");
    let answer = world.json("/v1/revocations", Some(&console), &lift).await;
    answer.assert_error(403, "forbidden");
}

#[tokio::test]
async fn a_name_that_nothing_has_is_recorded_and_said_to_be_unknown() {
    let world = World::new().await;
    for (action, kind, name, known) in [
        ("revoke", "workload", "payments/worker", true),
        ("revoke", "workload", "payments/wroker", false),
        ("cut_off", "owner", "payments", true),
        ("cut_off", "owner", "paymnets", false),
        ("cut_off", "rule", "gh-deploy", true),
        ("cut_off", "rule", "gh-deplyo", false),
        ("hold", "source", "oidc:github", true),
        ("hold", "source", "oidc:gihtub", false),
        ("revoke", "credential", "QAAAAAAAAAAAAAAAAAAAAA", false),
    ] {
        let body = change(action, kind, name);
        let answer = world.admin("/v1/revocations", Some(&body)).await;
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.json()["known"], known, "{name}");
    }
}

#[tokio::test]
async fn a_guardrail_holds_for_a_certificate_as_for_a_token() {
    let world = World::new().await;
    let console = world.svid("platform/console");
    let hold = change("hold", "workload", "payments/worker");
    let answer = world.json("/v1/revocations", Some(&console), &hold).await;
    assert_eq!(answer.status, 200);
    let issuer = world.running.public_url().to_owned();
    write(
        world.dir.path(),
        "policies/issuer.cedar",
        &format!(
            "forbid(principal, action, resource == Audience::\"{issuer}\") \
             when {{ context.scopes.contains(\"dayfly:hold\") }};"
        ),
    );
    let report = world.running.reload().await;
    assert!(report.is_ok(), "{report:?}");
    let lift = change("lift", "workload", "payments/worker");
    let answer = world.json("/v1/revocations", Some(&console), &lift).await;
    answer.assert_error(403, "forbidden");
    let cut_off = change("cut_off", "workload", "payments/worker");
    let answer = world
        .json("/v1/revocations", Some(&console), &cut_off)
        .await;
    assert_eq!(answer.status, 200, "the other rights stay");
}

#[tokio::test]
async fn a_token_for_the_issuer_brings_its_scopes_and_no_more() {
    let world = World::new().await;
    let console = world.svid("platform/console");
    let issuer = world.running.public_url().to_owned();
    let answer = world
        .form(
            "/oauth2/token",
            Some(&console),
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &console.spiffe_id),
                ("audience", &issuer),
                ("scope", "dayfly:hold"),
            ],
        )
        .await;
    let token = answer.text("access_token");
    let ask = |body: Value, peer: bool| {
        let request = Request::post("/v1/revocations")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        super::with_peer(request, peer.then_some(&console))
    };
    let hold = change("hold", "workload", "payments/deploy");
    assert_eq!(
        send(&world.public, ask(hold.clone(), true)).await.status,
        200
    );
    let revoke = change("revoke", "workload", "payments/deploy");
    send(&world.public, ask(revoke, true))
        .await
        .assert_error(403, "forbidden");
    // Bound to the certificate: without it the token proves nothing.
    send(&world.public, ask(hold, false))
        .await
        .assert_error(401, "unauthenticated");
}
