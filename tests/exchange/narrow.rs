//! `token-exchange` of our own tokens, in the narrow form: the same audience, and less.

use serde_json::{Value, json};

use super::{bearer, token_of};
use crate::harness::{
    BILLING_API, Form, LEDGER_API, Operator, PAYMENTS_API, Scene, Trail, jwt_claims,
    on_both_ledgers, with_other_signature,
};

on_both_ledgers!(
    a_child_is_less_than_its_parent,
    a_child_is_never_more_than_its_parent,
    a_bound_parent_is_narrowed_by_its_holder_only,
    a_grant_may_say_that_its_tokens_are_narrowable,
    details_are_narrowed_too,
    another_audience_takes_a_delegation,
    a_chain_of_children_ends,
    a_child_dies_with_its_parent,
    what_is_no_live_token_is_no_subject,
);

fn narrow(token: &str, audience: &str) -> Form {
    Form::exchange(token, "access_token", audience)
}

async fn denied(scene: &Scene, form: &Form, error: &str, reason: &str) -> Value {
    let answer = scene.server.token(None, form).await;
    answer.refused(400, error);
    let line = Trail::of_denial(scene, &answer).await;
    assert_eq!(line["reason"], reason, "{line}");
    line
}

async fn a_child_is_less_than_its_parent(scene: &Scene) {
    let parent = bearer(scene).await;
    let before = jwt_claims(&parent);
    let form = narrow(&parent, LEDGER_API)
        .with("scope", "ledger:read")
        .with("requested_ttl", "60")
        .with("task", "audit-1")
        .with(
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        );
    let answer = scene.server.token(None, &form).await;
    let child = jwt_claims(answer.access_token());
    assert_eq!(
        answer.text("issued_token_type"),
        "urn:ietf:params:oauth:token-type:access_token"
    );
    for same in ["iss", "sub", "client_id", "aud"] {
        assert_eq!(child[same], before[same], "{same}");
    }
    assert_ne!(child["jti"], before["jti"]);
    assert_eq!(child["scope"], "ledger:read");
    assert_eq!(child["txn"], "books/audit-1");
    assert_eq!(child["dfy"]["anc"], json!([before["jti"]]));
    assert_eq!(child["dfy"]["rule"], before["dfy"]["rule"]);
    assert_eq!(
        child["exp"].as_u64().unwrap(),
        child["iat"].as_u64().unwrap() + 60
    );
    assert!(child.get("act").is_none(), "narrowing is no delegation");
    let line = Trail::of_credential(scene, child["jti"].as_str().unwrap()).await;
    assert_eq!(line["evidence"]["method"], "own_token");
    assert!(
        !line
            .to_string()
            .contains(parent.rsplit('.').next().unwrap())
    );
}

async fn a_child_is_never_more_than_its_parent(scene: &Scene) {
    let parent = bearer(scene).await;
    let form = narrow(&parent, LEDGER_API)
        .with("scope", "ledger:read")
        .with("task", "t-1");
    let child = scene.server.token(None, &form).await;
    let child = child.access_token();
    let again = narrow(child, LEDGER_API);

    denied(
        scene,
        &again.clone().with("scope", "ledger:write"),
        "invalid_scope",
        "scope_not_granted",
    )
    .await;
    denied(
        scene,
        &again.clone().with("scope", "*"),
        "invalid_scope",
        "scope_not_granted",
    )
    .await;
    denied(
        scene,
        &again.clone().with("task", "t-2"),
        "invalid_request",
        "not_narrower",
    )
    .await;
    denied(
        scene,
        &again.clone().with("rule", "forge-job"),
        "invalid_request",
        "no_rule",
    )
    .await;

    // Asking for nothing and for an age gives what the parent has and no more.
    let answer = scene
        .server
        .token(None, &again.with("requested_ttl", "1000000000"))
        .await;
    let (least, most) = (jwt_claims(answer.access_token()), jwt_claims(child));
    assert_eq!(least["scope"], "ledger:read");
    assert_eq!(least["txn"], "books/t-1");
    assert!(
        least["exp"].as_u64() <= most["exp"].as_u64(),
        "{least} {most}"
    );
}

async fn a_bound_parent_is_narrowed_by_its_holder_only(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let parent = scene.server.token(Some(&svid), &form).await;
    let parent = parent.access_token();
    let form = narrow(parent, PAYMENTS_API).with("scope", "deploy:read");

    let child = scene.server.token(Some(&svid), &form).await;
    let child = jwt_claims(child.access_token());
    assert_eq!(
        child["cnf"],
        jwt_claims(parent)["cnf"],
        "the binding is kept as it is"
    );

    // Without a certificate, with another one of the same workload, and with a stranger's.
    let renewed = scene.world.svid("payments/worker");
    let stranger = scene.world.svid("payments/api");
    for presented in [None, Some(&renewed), Some(&stranger)] {
        let answer = scene.server.token(presented, &form).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.refused(400, "invalid_request");
        let reason = Trail::of_denial(scene, &answer).await["reason"].clone();
        assert!(
            reason == "not_narrowable" || reason == "unproven_confirmation",
            "{reason}"
        );
    }

    // Bound to the SPIFFE ID, a token outlives the rotation of the SVID.
    let (first, second) = (
        scene.world.svid("billing/reader"),
        scene.world.svid("billing/reader"),
    );
    let form = Form::client_credentials(&first.spiffe_id, PAYMENTS_API);
    let parent = scene.server.token(Some(&first), &form).await;
    let form = narrow(parent.access_token(), PAYMENTS_API);
    let child = scene.server.token(Some(&second), &form).await;
    assert_eq!(
        jwt_claims(child.access_token())["cnf"],
        json!({ "spiffe_id": first.spiffe_id })
    );
    let answer = scene.server.token(Some(&stranger), &form).await;
    answer.refused(400, "invalid_request");
}

async fn a_grant_may_say_that_its_tokens_are_narrowable(scene: &Scene) {
    let svid = scene.world.svid("books/batch");
    let form = Form::client_credentials(&svid.spiffe_id, LEDGER_API);
    let answer = scene.server.token(Some(&svid), &form).await;
    answer.refused(400, "invalid_request");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "purpose_required"
    );

    let parent = scene
        .server
        .token(Some(&svid), &form.with("purpose", "closing"))
        .await;
    let parent = parent.access_token();
    let form = narrow(parent, LEDGER_API)
        .with("scope", "ledger:read")
        .with("purpose", "closing");
    let child = scene.server.token(None, &form).await;
    let child = jwt_claims(child.access_token());
    assert_eq!(
        child["cnf"],
        jwt_claims(parent)["cnf"],
        "narrowed without proof, and still bound"
    );
}

async fn details_are_narrowed_too(scene: &Scene) {
    let parent = bearer(scene).await;
    let details = |actions: &str| {
        format!(r#"[{{"type":"urn:example:booking","actions":[{actions}],"book":"main"}}]"#)
    };
    let form = narrow(&parent, LEDGER_API).with("authorization_details", &details(r#""read""#));
    let child = scene.server.token(None, &form).await;
    let child = child.access_token();
    let expected: Value = serde_json::from_str(&details(r#""read""#)).unwrap();
    assert_eq!(jwt_claims(child)["authorization_details"], expected);
    let wider =
        narrow(child, LEDGER_API).with("authorization_details", &details(r#""read","write""#));
    denied(
        scene,
        &wider,
        "invalid_authorization_details",
        "authorization_details",
    )
    .await;
    let kept = scene.server.token(None, &narrow(child, LEDGER_API)).await;
    assert_eq!(
        jwt_claims(kept.access_token())["authorization_details"],
        expected
    );
}

async fn another_audience_takes_a_delegation(scene: &Scene) {
    let parent = bearer(scene).await;
    for other in [PAYMENTS_API, BILLING_API, "https://no.such.api"] {
        let answer = scene.server.token(None, &narrow(&parent, other)).await;
        answer.refused(400, "invalid_target");
        assert!(
            answer.text("error_description").contains("delegation"),
            "{answer:?}"
        );
        let line = Trail::of_denial(scene, &answer).await;
        assert_eq!(line["reason"], "delegation_unsupported");
    }
    let actor = narrow(&parent, LEDGER_API)
        .with("actor_token", &parent)
        .with(
            "actor_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        );
    let answer = scene.server.token(None, &actor).await;
    answer.refused(400, "invalid_request");
    assert!(
        answer
            .text("error_description")
            .contains("not supported yet"),
        "{answer:?}"
    );
}

async fn a_chain_of_children_ends(scene: &Scene) {
    let mut token = bearer(scene).await;
    let mut ancestors: Vec<Value> = Vec::new();
    let first_end = jwt_claims(&token)["exp"].as_u64();
    for depth in 1..=4 {
        ancestors.insert(0, jwt_claims(&token)["jti"].clone());
        let child = scene.server.token(None, &narrow(&token, LEDGER_API)).await;
        token = child.access_token().to_owned();
        let claims = jwt_claims(&token);
        assert_eq!(
            claims["dfy"]["anc"],
            json!(ancestors),
            "the nearest first, at depth {depth}"
        );
        assert!(claims["exp"].as_u64() <= first_end);
    }
    denied(
        scene,
        &narrow(&token, LEDGER_API),
        "invalid_request",
        "not_narrowable",
    )
    .await;
}

async fn a_child_dies_with_its_parent(scene: &Scene) {
    let parent = bearer(scene).await;
    let child = scene.server.token(None, &narrow(&parent, LEDGER_API)).await;
    let child = child.access_token();
    assert_eq!(introspected(scene, child).await["active"], true);
    let answer = scene
        .server
        .post(
            "/oauth2/revoke",
            None,
            &Form::default().with("token", &parent),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(introspected(scene, child).await, json!({ "active": false }));
    for dead in [&*parent, child] {
        let line = denied(
            scene,
            &narrow(dead, LEDGER_API),
            "invalid_request",
            "revoked",
        )
        .await;
        assert_eq!(line["evidence"]["method"], "own_token");
    }
}

async fn what_is_no_live_token_is_no_subject(scene: &Scene) {
    let parent = bearer(scene).await;
    let (head, _) = parent.rsplit_once('.').unwrap();
    let twisted = with_other_signature(&parent);
    let job = scene.world.ci_token(scene.issuer());
    for subject in [&*twisted, head, "x", "..", &job] {
        let answer = scene.server.token(None, &narrow(subject, LEDGER_API)).await;
        answer.refused(400, "invalid_request");
        Trail::of_denial(scene, &answer).await;
    }
    // The type decides how a token is read: one of ours is no OIDC token.
    for kind in ["jwt", "id_token"] {
        let answer = scene
            .server
            .token(None, &Form::exchange(&parent, kind, LEDGER_API))
            .await;
        answer.refused(400, "invalid_request");
    }
    for kind in ["refresh_token", "saml2", "saml1", "", "Access_Token"] {
        let answer = scene
            .server
            .token(None, &Form::exchange(&parent, kind, LEDGER_API))
            .await;
        answer.refused(400, "invalid_request");
    }
}

async fn introspected(scene: &Scene, token: &str) -> Value {
    Operator::new(&scene.world.svid("books/api"), &scene.server)
        .introspect(token)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_lost_its_grant_narrows_nothing() {
    let scene = Scene::start(crate::harness::Ledger::Embedded).await;
    let parent = token_of(&scene, "books/clerk", LEDGER_API)
        .await
        .access_token()
        .to_owned();
    let path = scene.world.path("registry/books/books.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let less = text.replacen(
        "scopes = [\"ledger:read\", \"ledger:write\"]\nbinding = \"none\"",
        "scopes = [\"ledger:read\"]\nbinding = \"none\"",
        1,
    );
    assert_ne!(less, text);
    std::fs::write(&path, less).unwrap();
    crate::harness::eventually("the smaller grant is in force", async || {
        let answer = token_of(&scene, "books/clerk", LEDGER_API).await;
        (answer.body["scope"] == "ledger:read").then_some(())
    })
    .await;
    // The parent still says more, and the child gets what is granted by now.
    let child = scene.server.token(None, &narrow(&parent, LEDGER_API)).await;
    assert_eq!(child.body["scope"], "ledger:read");
    let more = narrow(&parent, LEDGER_API).with("scope", "ledger:write");
    denied(&scene, &more, "invalid_scope", "scope_not_granted").await;
}
