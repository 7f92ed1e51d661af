use std::sync::Arc;

use dayfly_client::{Admin, ClientError, HoldKind, NewTask, Secret, Source};
use dayfly_token::feed::Kind;
use dayfly_token::{CredentialId, DecisionId, UnixTime};
use serde_json::{Value, json};

use crate::stage::{Answer, Script, Stage, TOKEN, identity, router, token_answer};

const REVOCATIONS: &str = "/v1/revocations";

fn outcome(asked: &Value) -> Value {
    json!({
        "action": asked["action"], "kind": asked["kind"], "value": asked["value"],
        "before": 1_793_700_007, "held": asked["action"] == "hold",
    })
}

/// The whole of `/v1`, as the issuer answers.
fn script(script: &Script) {
    script.always(REVOCATIONS, |seen| match seen.method.as_str() {
        "GET" => {
            let hold = json!({ "kind": "workload", "value": "payments/deploy", "since": 7, "by": "ops/oncall",
                "reason": "incident 12" });
            Answer::json(200, &json!({ "holds": [hold] }))
        }
        _ => Answer::json(200, &outcome(&seen.json())),
    });
    script.always("/v1/tasks", |_| {
        Answer::json(
            201,
            &json!({ "task": "payments/deploy-1", "state": "open" }),
        )
    });
    for (how, state) in [("complete", "completed"), ("revoke", "revoked")] {
        script.always(&format!("/v1/tasks/payments/deploy-1/{how}"), move |_| {
            Answer::json(200, &json!({ "task": "payments/deploy-1", "state": state }))
        });
    }
    script.always("/v1/decisions/QAAAAAAAAAAAAAAAAAAAAA", |_| {
        Answer::json(200, &json!({ "outcome": "deny" }))
    });
    script.always("/v1/issuances/QAAAAAAAAAAAAAAAAAAAAA", |_| {
        Answer::json(
            200,
            &json!({ "issuance": { "sub": "x" }, "status": "revoked", "revoked_by": "task" }),
        )
    });
    script.always("/oauth2/introspect", |_| {
        Answer::json(200, &json!({ "active": true, "sub": "x" }))
    });
}

/// Calls everything once, and checks what is understood of the answers.
async fn call_everything(admin: &Admin) {
    let revoked = admin
        .revoke(Kind::Workload, "payments/deploy", Some("stolen"))
        .await
        .unwrap();
    assert_eq!(
        (revoked.action.as_str(), revoked.before),
        ("revoke", Some(UnixTime::from_secs(1_793_700_007)))
    );
    admin
        .cut_off(Kind::Task, "payments/deploy-1", None)
        .await
        .unwrap();
    assert!(
        admin
            .hold(HoldKind::Source, "oidc:github", Some("incident 12"))
            .await
            .unwrap()
            .held
    );
    assert!(
        !admin
            .lift(HoldKind::Source, "oidc:github", None)
            .await
            .unwrap()
            .held
    );
    let holds = admin.holds().await.unwrap();
    assert_eq!(
        (holds[0].kind, holds[0].value.as_str()),
        (HoldKind::Workload, "payments/deploy")
    );

    let task = "payments/deploy-1".parse().unwrap();
    let new = NewTask::new("payments/deploy-1".parse().unwrap())
        .purpose("release")
        .deadline(UnixTime::from_secs(9));
    assert_eq!(admin.open_task(&new).await.unwrap().state, "open");
    assert_eq!(
        admin.complete_task(&task, None).await.unwrap().state,
        "completed"
    );
    assert_eq!(
        admin
            .revoke_task(&task, Some("wrong one"))
            .await
            .unwrap()
            .state,
        "revoked"
    );

    let decision: DecisionId = "QAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    assert_eq!(admin.decision(&decision).await.unwrap()["outcome"], "deny");
    let credential: CredentialId = "QAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    let issuance = admin.issuance(&credential).await.unwrap();
    assert_eq!(
        (issuance.status.as_str(), issuance.revoked_by.as_deref()),
        ("revoked", Some("task"))
    );
    let introspection = admin
        .introspect(&Secret::new("eyJ.some.token"))
        .await
        .unwrap();
    assert!(introspection.active);
    assert_eq!(introspection.claims["sub"], "x");
}

fn check_bodies(script: &Script) {
    let bodies: Vec<_> = script
        .seen(REVOCATIONS)
        .iter()
        .filter(|seen| seen.method == "POST")
        .map(super::stage::Seen::json)
        .collect();
    assert_eq!(
        bodies,
        [
            json!({ "action": "revoke", "kind": "workload", "value": "payments/deploy", "reason": "stolen" }),
            json!({ "action": "cut_off", "kind": "task", "value": "payments/deploy-1" }),
            json!({ "action": "hold", "kind": "source", "value": "oidc:github", "reason": "incident 12" }),
            json!({ "action": "lift", "kind": "source", "value": "oidc:github" }),
        ]
    );
    let opened = script.seen("/v1/tasks")[0].json();
    assert_eq!(
        opened,
        json!({ "task": "payments/deploy-1", "purpose": "release", "deadline": 9 })
    );
    assert_eq!(
        script.seen("/v1/tasks/payments/deploy-1/complete")[0].body,
        ""
    );
    assert_eq!(
        script.seen("/v1/tasks/payments/deploy-1/revoke")[0].json(),
        json!({ "reason": "wrong one" })
    );
    assert_eq!(
        script.seen("/oauth2/introspect")[0].body,
        "token=eyJ.some.token"
    );
}

#[tokio::test]
async fn with_an_svid() {
    let stage = Stage::new().await;
    script(&stage.script);
    let svid = stage.svid("/ops/oncall");
    let client = stage.client().identity(identity(&svid)).build().unwrap();
    call_everything(&client.admin()).await;
    check_bodies(&stage.script);
    let seen = &stage.seen(REVOCATIONS)[0];
    assert_eq!(
        seen.peer.as_deref(),
        Some("spiffe://prod.example/ops/oncall")
    );
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(stage.seen(TOKEN).len(), 0);
}

#[tokio::test]
async fn with_a_token_of_its_own_for_each_call() {
    let stage = Stage::new().await;
    script(&stage.script);
    stage
        .script
        .always(TOKEN, |_| token_answer("eyJ.for.issuer", 60));
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    call_everything(&client.admin()).await;
    check_bodies(&stage.script);
    let audience = format!(
        "&audience={}",
        stage.issuer.replace(':', "%3A").replace('/', "%2F")
    );
    let scopes: Vec<_> = stage
        .seen(TOKEN)
        .iter()
        .map(|seen| {
            seen.body
                .split_once(&audience)
                .unwrap()
                .1
                .replace("&scope=dayfly%3A", "")
        })
        .collect();
    assert_eq!(
        scopes,
        [
            "revoke",
            "revoke",
            "hold",
            "hold",
            "hold",
            "task",
            "task",
            "task",
            "audit",
            "audit",
            "introspect"
        ]
    );
    assert_eq!(
        stage.seen(REVOCATIONS)[0].header("authorization"),
        Some("Bearer eyJ.for.issuer")
    );
}

#[tokio::test]
async fn patience_is_not_multiplied() {
    let stage = Stage::new().await;
    stage.script.always(TOKEN, |_| Answer::unavailable("0"));
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    let admin = client.admin();
    let error = admin.holds().await.unwrap_err();
    assert_eq!(error.code(), Some("temporarily_unavailable"));
    assert_eq!(
        stage.seen(TOKEN).len(),
        4,
        "the attempts of one call, not their square"
    );
    admin.introspect(&Secret::new("eyJ.a.b")).await.unwrap_err();
    assert_eq!(stage.seen(TOKEN).len(), 8);
}

#[tokio::test]
async fn with_the_given_token() {
    let stage = Stage::new().await;
    script(&stage.script);
    let admin = stage
        .client()
        .build()
        .unwrap()
        .admin_with_token(Secret::new("eyJ.given.token"));
    call_everything(&admin).await;
    for path in [REVOCATIONS, "/oauth2/introspect"] {
        assert_eq!(
            stage.seen(path)[0].header("authorization"),
            Some("Bearer eyJ.given.token"),
            "{path}"
        );
    }
    let problem = json!({ "type": "about:blank", "title": "Forbidden", "status": 403, "code": "insufficient_scope" });
    stage.script.once(REVOCATIONS, Answer::json(403, &problem));
    let refused = admin
        .revoke(Kind::Owner, "payments", None)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_scope"));
}

#[tokio::test]
async fn over_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let missing = Admin::over_socket(&path)
        .unwrap()
        .holds()
        .await
        .unwrap_err();
    assert!(matches!(missing, ClientError::Http { .. }), "{missing:?}");

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let socket_script = Arc::new(Script::default());
    script(&socket_script);
    let router = router(Arc::clone(&socket_script));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let admin = Admin::over_socket(&path).unwrap();
    call_everything(&admin).await;
    check_bodies(&socket_script);
    assert_eq!(
        socket_script.seen(REVOCATIONS)[0].header("authorization"),
        None
    );
}
