//! `POST /oauth2/introspect` (RFC 7662) and `POST /oauth2/revoke` (RFC 7009).

use serde_json::json;

use super::{bearer, members, token_of};
use crate::harness::{
    Answer, BILLING_API, Form, LEDGER_API, PAYMENTS_API, Scene, id_of, jwt_claims, on_both_ledgers,
    with_other_signature,
};

on_both_ledgers!(
    an_operator_learns_what_the_token_says,
    others_learn_nothing,
    what_is_no_live_token_is_inactive,
    whoever_holds_a_token_may_revoke_it,
    revoking_what_is_no_token_is_no_error,
);

/// Who may ask, and gets an answer.
const OPERATOR: &str = "books/api";

async fn introspect(scene: &Scene, caller: &str, token: &str) -> Answer {
    let svid = scene.world.svid(caller);
    let form = Form::default().with("token", token);
    scene
        .server
        .post("/oauth2/introspect", Some(&svid), &form)
        .await
}

async fn is_active(scene: &Scene, caller: &str, token: &str) -> bool {
    let answer = introspect(scene, caller, token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let active = answer.body["active"].as_bool().expect("active");
    if !active {
        // RFC 7662 section 2.2: nothing else about a token that is not active.
        assert_eq!(answer.body, json!({ "active": false }));
    }
    active
}

async fn an_operator_learns_what_the_token_says(scene: &Scene) {
    let token = bearer(scene).await;
    let claims = jwt_claims(&token);
    let body = introspect(scene, OPERATOR, &token).await.body;
    assert_eq!(body["active"], true);
    for same in [
        "iss",
        "sub",
        "aud",
        "client_id",
        "scope",
        "exp",
        "iat",
        "nbf",
        "jti",
    ] {
        assert_eq!(body[same], claims[same], "{same} of {body}");
    }
    assert!(!body.to_string().contains(&token));
    // The right to introspect, without a limit and limited to the owner of the audience.
    assert!(is_active(scene, "platform/console", &token).await);
    let worker = token_of(scene, "payments/worker", PAYMENTS_API).await;
    let worker = worker.access_token();
    assert!(
        is_active(scene, "payments/api", worker).await,
        "bound, and shown by another party"
    );
    assert!(is_active(scene, "platform/payments-admin", worker).await);
    let body = introspect(scene, "payments/api", worker).await.body;
    assert_eq!(body["cnf"], jwt_claims(worker)["cnf"]);
}

async fn others_learn_nothing(scene: &Scene) {
    let token = bearer(scene).await;
    // Another owner's operator, a workload without any right, the subject itself, a limited right.
    for caller in [
        "payments/api",
        "payments/worker",
        "books/clerk",
        "platform/payments-admin",
    ] {
        assert!(!is_active(scene, caller, &token).await, "{caller}");
    }
    let form = Form::default().with("token", &token);
    let anonymous = scene.server.post("/oauth2/introspect", None, &form).await;
    anonymous.refused(401, "invalid_client");
    assert!(
        anonymous.header("www-authenticate").starts_with("Bearer"),
        "{anonymous:?}"
    );
    let unregistered = introspect(scene, "nobody/knows", &token).await;
    unregistered.refused(401, "invalid_client");
    // The token that is asked about does not authenticate the caller.
    let url = format!("{}/oauth2/introspect", scene.issuer());
    let request = scene
        .server
        .client(None)
        .post(url)
        .bearer_auth(&token)
        .form(&form.0);
    let answer = Answer::read(request.send().await.unwrap()).await;
    assert!(
        answer.status == 401 || answer.body == json!({ "active": false }),
        "{answer:?}"
    );
}

async fn what_is_no_live_token_is_inactive(scene: &Scene) {
    let token = bearer(scene).await;
    let job = scene.world.ci_token(scene.issuer());
    let (head, _) = token.rsplit_once('.').unwrap();
    for dead in [
        "x",
        "a.b.c",
        head,
        &job,
        &token[..token.len() - 1],
        &format!("{token}A"),
    ] {
        assert!(!is_active(scene, OPERATOR, dead).await, "{dead}");
        assert!(!is_active(scene, "platform/console", dead).await, "{dead}");
    }
    let empty = introspect(scene, OPERATOR, "").await;
    empty.refused(400, "invalid_request");
    let twice = Form::default().with("token", &token).with("token", &token);
    let svid = scene.world.svid(OPERATOR);
    let twice = scene
        .server
        .post("/oauth2/introspect", Some(&svid), &twice)
        .await;
    twice.refused(400, "invalid_request");
    assert!(members(&twice.body).contains("request_id"));
}

async fn whoever_holds_a_token_may_revoke_it(scene: &Scene) {
    // A bearer token, a bound token by its holder, and a bound token by somebody who found it: to
    // end what leaked must never be hard.
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let bound = scene
        .server
        .token(Some(&svid), &form)
        .await
        .access_token()
        .to_owned();
    let found = scene
        .server
        .token(Some(&svid), &form)
        .await
        .access_token()
        .to_owned();
    let bearer = bearer(scene).await;
    let untouched = super::bearer(scene).await;
    for (token, presented) in [(&bearer, None), (&bound, Some(&svid)), (&found, None)] {
        assert!(is_active(scene, "platform/console", token).await);
        let form = Form::default()
            .with("token", token)
            .with("token_type_hint", "access_token");
        let answer = scene.server.post("/oauth2/revoke", presented, &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!is_active(scene, "platform/console", token).await);
    }
    assert!(
        is_active(scene, "platform/console", &untouched).await,
        "that one and no other"
    );
    let id = id_of(&bearer);
    let console = scene.world.svid("platform/console");
    let issuance = scene
        .server
        .get(&format!("/v1/issuances/{id}"), Some(&console))
        .await;
    assert_eq!(issuance.body["status"], "revoked", "{issuance:?}");
    assert_eq!(issuance.body["issuance"]["workload"], "books/clerk");
}

async fn revoking_what_is_no_token_is_no_error(scene: &Scene) {
    let token = bearer(scene).await;
    let (head, _) = token.rsplit_once('.').unwrap();
    let forged = with_other_signature(&token);
    // RFC 7009 section 2.2: 200 also for invalid tokens, and nothing happens.
    for token in ["x", "a.b.c", &forged, head] {
        let form = Form::default().with("token", token);
        let answer = scene.server.post("/oauth2/revoke", None, &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(
        is_active(scene, OPERATOR, &token).await,
        "a forged twin revokes nothing"
    );
    let answer = scene
        .server
        .post("/oauth2/revoke", None, &Form::default())
        .await;
    answer.refused(400, "invalid_request");
    let billing = token_of(scene, "billing/biller", BILLING_API).await;
    assert!(is_active(scene, "billing/biller", billing.access_token()).await);
    assert!(!is_active(scene, OPERATOR, billing.access_token()).await);
    let ledger = token_of(scene, "books/clerk", LEDGER_API).await;
    assert!(!is_active(scene, "billing/biller", ledger.access_token()).await);
}
