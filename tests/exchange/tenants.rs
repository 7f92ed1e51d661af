//! Who may do what to whom: the right of one owner ends at the next one's door.

use serde_json::json;

use super::token_of;
use crate::harness::{
    Answer, BILLING_API, Form, LEDGER_API, Operator, PAYMENTS_API, Scene, id_of, on_both_ledgers,
};

on_both_ledgers!(
    a_limited_right_reaches_its_owner_only,
    a_workload_without_rights_has_none,
    a_right_is_for_what_it_says,
    a_limited_right_sees_its_owner_only,
    a_hold_cannot_be_lifted_by_the_held,
    a_credential_of_a_task_ends_that_task,
    a_token_for_the_issuer_carries_rights,
);

/// The one whose rights are limited to `payments`.
const LIMITED: &str = "platform/payments-admin";

#[track_caller]
fn forbidden(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.text("code")),
        (403, "forbidden"),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

fn operator(scene: &Scene, workload: &str) -> Operator {
    Operator::new(&scene.world.svid(workload), &scene.server)
}

async fn jti_of(scene: &Scene, workload: &str, audience: &str) -> String {
    let answer = token_of(scene, workload, audience).await;
    id_of(answer.access_token())
}

async fn a_limited_right_reaches_its_owner_only(scene: &Scene) {
    let (limited, console) = (
        operator(scene, LIMITED),
        operator(scene, "platform/console"),
    );
    let theirs = jti_of(scene, "billing/biller", BILLING_API).await;
    let ours = jti_of(scene, "payments/worker", PAYMENTS_API).await;
    for (action, kind, value) in [
        ("revoke", "credential", &*theirs),
        ("revoke", "task", "billing/t"),
        ("revoke", "workload", "billing/biller"),
        ("cut_off", "workload", "billing/biller"),
        ("revoke", "owner", "billing"),
        ("revoke", "rule", "svid-biller"),
        ("hold", "workload", "billing/biller"),
        ("hold", "owner", "billing"),
        ("hold", "rule", "svid-biller"),
        ("hold", "source", "oidc:github"),
        ("hold", "source", "spiffe:prod.example.org"),
        ("lift", "workload", "billing/biller"),
        // A name that begins like ours is not ours.
        ("hold", "owner", "payments2"),
    ] {
        forbidden(&limited.change(action, kind, value).await);
    }
    forbidden(
        &limited
            .post("/v1/tasks", &json!({ "task": "billing/t" }))
            .await,
    );
    forbidden(&limited.end_task("billing/t", "revoke").await);
    assert_eq!(
        console.standing(&theirs).await.0,
        "live",
        "and nothing has changed"
    );
    assert_eq!(console.holds().await, []);
    token_of(scene, "billing/biller", BILLING_API)
        .await
        .access_token();

    // What belongs to the owner is within reach.
    limited.done("revoke", "credential", &ours).await;
    assert_eq!(console.standing(&ours).await.0, "revoked");
    let done = limited.done("hold", "workload", "payments/worker").await;
    assert_eq!(done["held"], true);
    let held = token_of(scene, "payments/worker", PAYMENTS_API).await;
    held.refused(400, "unauthorized_client");
    limited.done("lift", "workload", "payments/worker").await;
    token_of(scene, "payments/worker", PAYMENTS_API)
        .await
        .access_token();
}

async fn a_workload_without_rights_has_none(scene: &Scene) {
    let ours = jti_of(scene, "payments/worker", PAYMENTS_API).await;
    for workload in ["payments/worker", "payments/api", "billing/biller"] {
        let nobody = operator(scene, workload);
        forbidden(&nobody.change("revoke", "credential", &ours).await);
        forbidden(&nobody.change("hold", "workload", "payments/worker").await);
        forbidden(&nobody.get("/v1/revocations").await);
        forbidden(&nobody.get(&format!("/v1/issuances/{ours}")).await);
        forbidden(&nobody.get("/v1/decisions/AAAAAAAAAAAAAAAAAAAAAA").await);
        forbidden(
            &nobody
                .post("/v1/tasks", &json!({ "task": "payments/t" }))
                .await,
        );
    }
    assert_eq!(
        operator(scene, "platform/console").standing(&ours).await.0,
        "live"
    );
}

async fn a_right_is_for_what_it_says(scene: &Scene) {
    // This one may revoke and hold for `payments`, and has neither `audit` nor `keys`.
    let limited = operator(scene, LIMITED);
    let ours = jti_of(scene, "payments/worker", PAYMENTS_API).await;
    forbidden(&limited.get(&format!("/v1/issuances/{ours}")).await);
    let answer = token_of(scene, "payments/worker", LEDGER_API).await;
    let decision = answer.refused(400, "invalid_target").text("decision_id");
    forbidden(&limited.get(&format!("/v1/decisions/{decision}")).await);
    let jwks = scene.server.get("/.well-known/jwks.json", None).await;
    let kid = jwks.body["keys"][0]["kid"].as_str().unwrap();
    forbidden(&limited.change("revoke", "key", kid).await);
    token_of(scene, "payments/worker", PAYMENTS_API)
        .await
        .access_token();
}

async fn a_limited_right_sees_its_owner_only(scene: &Scene) {
    let (limited, console) = (
        operator(scene, LIMITED),
        operator(scene, "platform/console"),
    );
    let holds = [
        ("owner", "payments"),
        ("rule", "svid-biller"),
        ("rule", "svid-worker"),
        ("source", "oidc:github"),
        ("workload", "billing/biller"),
    ];
    for (kind, value) in holds {
        console.done("hold", kind, value).await;
    }
    let pairs = |holds: &[(&str, &str)]| {
        let owned = holds
            .iter()
            .map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned()));
        owned.collect::<std::collections::BTreeSet<_>>()
    };
    let seen = async |who: &Operator| who.holds().await.into_iter().collect();
    assert_eq!(pairs(&holds), seen(&console).await);
    assert_eq!(
        pairs(&[("owner", "payments"), ("rule", "svid-worker")]),
        seen(&limited).await
    );
    for (kind, value) in holds {
        console.done("lift", kind, value).await;
    }
}

async fn a_hold_cannot_be_lifted_by_the_held(scene: &Scene) {
    let (limited, console) = (
        operator(scene, LIMITED),
        operator(scene, "platform/console"),
    );
    console.done("hold", "workload", LIMITED).await;
    forbidden(&limited.change("lift", "workload", LIMITED).await);
    forbidden(&limited.change("hold", "workload", "payments/worker").await);
    forbidden(&limited.get("/v1/revocations").await);
    let token = token_of(scene, LIMITED, scene.issuer()).await;
    token.refused(400, "unauthorized_client");
    console.done("lift", "workload", LIMITED).await;
    assert_eq!(limited.holds().await, []);
}

async fn a_credential_of_a_task_ends_that_task(scene: &Scene) {
    let form = super::ci_form(scene, "ends-itself");
    let token = scene
        .server
        .token(None, &form)
        .await
        .access_token()
        .to_owned();
    let post = async |task: &str, token: &str| {
        let url = format!("{}/v1/tasks/payments/{task}/complete", scene.issuer());
        let request = scene.server.client(None).post(url).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    };
    forbidden(&post("another", &token).await);
    let answer = post("ends-itself", &token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("task"), "payments/ends-itself");
    assert_eq!(
        post("ends-itself", &token).await.status,
        401,
        "the credential died with its task"
    );
    let late = scene
        .server
        .token(None, &super::ci_form(scene, "ends-itself"))
        .await;
    late.refused(400, "invalid_grant");
}

async fn a_token_for_the_issuer_carries_rights(scene: &Scene) {
    let svid = scene.world.svid("platform/console");
    let form = Form::client_credentials(&svid.spiffe_id, scene.issuer());
    let narrow = form.clone().with("scope", "dayfly:hold");
    let token = scene
        .server
        .token(Some(&svid), &narrow)
        .await
        .access_token()
        .to_owned();
    let client = scene.server.client(Some(&svid));
    let url = format!("{}/v1/revocations", scene.issuer());
    let answer = Answer::read(client.get(&url).bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = json!({ "action": "revoke", "kind": "task", "value": "payments/t" });
    let request = client.post(&url).bearer_auth(&token).json(&body);
    forbidden(&Answer::read(request.send().await.unwrap()).await);
    // Bound to the certificate, it is worth nothing without it.
    let stolen = scene.server.client(None).get(&url).bearer_auth(&token);
    assert_eq!(Answer::read(stolen.send().await.unwrap()).await.status, 401);
    // A token of another API carries none.
    let other = super::bearer(scene).await;
    let request = scene.server.client(None).get(&url).bearer_auth(&other);
    forbidden(&Answer::read(request.send().await.unwrap()).await);
    // And who has no such right gets no such token.
    let worker = token_of(scene, "payments/worker", scene.issuer()).await;
    worker.refused(400, "invalid_target");
    let more = form.with("scope", "dayfly:everything");
    scene
        .server
        .token(Some(&svid), &more)
        .await
        .refused(400, "invalid_scope");
}
