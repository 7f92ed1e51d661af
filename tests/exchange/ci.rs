//! OIDC tokens, by `jwt-bearer` and by `token-exchange`: one handler, one meaning.

use dayfly_lab::GithubJob;
use serde_json::{Value, json};

use super::{CLAIMS, ci_form, members, names};
use crate::harness::{
    Form, LEDGER_API, PAYMENTS_API, Scene, Trail, id_of, jwt_claims, now, on_both_ledgers,
};

on_both_ledgers!(
    a_job_gets_a_token_for_its_task,
    the_trail_names_the_job,
    a_job_without_a_task_gets_nothing,
    a_job_that_is_not_quite_the_one_gets_nothing,
    a_token_of_github_counts_once,
    a_token_of_the_forge_may_come_again,
    an_exchange_of_an_oidc_token_is_the_same,
    a_token_never_outlives_its_evidence,
    rules_must_be_unique_or_named,
    a_condition_and_a_guardrail_have_the_last_word,
    a_certificate_beside_a_job_is_its_binding,
);

/// A form with a fresh token of the forge, by the rule that is named.
fn forge_form(scene: &Scene, rule: &str, more: Value) -> Form {
    let mut over = json!({ "sub": "job:1", "project": "main" });
    over.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Form::jwt_bearer(&scene.forged(over), LEDGER_API)
        .with("rule", rule)
        .with("scope", "ledger:read")
}

async fn a_job_gets_a_token_for_its_task(scene: &Scene) {
    let answer = scene.server.token(None, &ci_form(scene, "deploy-1")).await;
    let claims = jwt_claims(answer.access_token());
    let mut expected = names(CLAIMS);
    expected.insert("txn");
    assert_eq!(
        members(&claims),
        expected,
        "no binding: a job has no key; {claims}"
    );
    assert_eq!(claims["sub"], "spiffe://sts.example.org/payments/deploy");
    assert_eq!(claims["txn"], "payments/deploy-1");
    assert_eq!(claims["scope"], "deploy:read deploy:write");
    assert_eq!(claims["dfy"]["rule"], "gh-deploy");

    let source = &claims["dfy"]["src"];
    assert_eq!(source["method"], "oidc");
    assert_eq!(source["iss"], scene.world.github.url());
    let told = members(&source["claims"]);
    for claim in ["repository_id", "repository_owner_id", "run_id", "sha"] {
        assert!(told.contains(claim), "{source}");
    }
    for claim in ["actor", "actor_id", "repository", "sub", "jti", "head_ref"] {
        assert!(
            !told.contains(claim),
            "{claim} is personal, or a name, or nobody's business"
        );
    }
    assert!(source.to_string().len() <= 1024);
}

async fn the_trail_names_the_job(scene: &Scene) {
    let form = ci_form(scene, "deploy-2")
        .with("purpose", "release 1.4")
        .with("scope", "deploy:write");
    let answer = scene.server.token(None, &form).await;
    let id = id_of(answer.access_token());
    let line = Trail::of_credential(scene, &id).await;
    assert_eq!(line["evidence"]["method"], "oidc");
    assert_eq!(line["evidence"]["issuer"], scene.world.github.url());
    assert_eq!(
        line["evidence"]["subject"],
        "repo:octo-org/octo-repo:environment:prod"
    );
    assert_eq!(line["workload"], "payments/deploy");
    assert_eq!(line["task"], "payments/deploy-2");
    assert_eq!(line["purpose"], "release 1.4");
    assert_eq!(line["lifetime"], answer.body["expires_in"]);
}

async fn a_job_without_a_task_gets_nothing(scene: &Scene) {
    let answer = scene
        .server
        .token(None, &ci_form(scene, "x").without("task"))
        .await;
    answer.refused(400, "invalid_request");
    let line = Trail::of_denial(scene, &answer).await;
    assert_eq!(line["reason"], "task_required");
    assert_eq!(
        line["workload"], "payments/deploy",
        "what was known by then"
    );
}

async fn a_job_that_is_not_quite_the_one_gets_nothing(scene: &Scene) {
    let job = GithubJob::for_audience(scene.issuer());
    for (claim, value) in [
        ("repository_id", "75"),
        ("repository_owner_id", "66"),
        ("environment", "staging"),
        ("event_name", "pull_request"),
        ("repository_id", "74 "),
        ("environment", "PROD"),
    ] {
        let assertion = scene
            .world
            .github
            .github_token(&job.clone().with(claim, value));
        let form = Form::jwt_bearer(&assertion, PAYMENTS_API).with("task", "t");
        let answer = scene.server.token(None, &form).await;
        answer.refused(400, "invalid_grant");
        let line = Trail::of_denial(scene, &answer).await;
        assert_eq!(line["reason"], "no_rule", "{claim}");
        // The operator sees what was missing; the caller does not.
        assert!(line.to_string().contains(claim), "{line}");
        assert!(!answer.body.to_string().contains(claim), "{answer:?}");
    }
}

async fn a_token_of_github_counts_once(scene: &Scene) {
    let form = ci_form(scene, "once");
    scene.server.token(None, &form).await.access_token();
    for again in [form.clone(), form.clone().replace("task", "other")] {
        let answer = scene.server.token(None, &again).await;
        answer.refused(400, "invalid_grant");
        assert_eq!(Trail::of_denial(scene, &answer).await["reason"], "replayed");
    }
    let assertion = &form
        .0
        .iter()
        .find(|(name, _)| name == "assertion")
        .unwrap()
        .1;
    let exchange = Form::exchange(assertion, "id_token", PAYMENTS_API).with("task", "once");
    scene
        .server
        .token(None, &exchange)
        .await
        .refused(400, "invalid_request");
}

async fn a_token_of_the_forge_may_come_again(scene: &Scene) {
    let form = forge_form(scene, "forge-job", json!({}));
    let first = scene.server.token(None, &form).await;
    let second = scene.server.token(None, &form).await;
    assert_ne!(
        id_of(first.access_token()),
        id_of(second.access_token()),
        "two credentials"
    );
}

async fn an_exchange_of_an_oidc_token_is_the_same(scene: &Scene) {
    for kind in ["jwt", "id_token"] {
        let assertion = scene.world.ci_token(scene.issuer());
        let form = Form::exchange(&assertion, kind, PAYMENTS_API).with("task", "deploy-3");
        let answer = scene.server.token(None, &form).await;
        let claims = jwt_claims(answer.access_token());
        assert_eq!(claims["sub"], "spiffe://sts.example.org/payments/deploy");
        assert_eq!(
            answer.text("issued_token_type"),
            "urn:ietf:params:oauth:token-type:access_token"
        );
        assert!(claims.get("act").is_none(), "nobody acts for it");
        assert!(answer.body.get("refresh_token").is_none());
    }
}

async fn a_token_never_outlives_its_evidence(scene: &Scene) {
    let end = now() + 90;
    let form = forge_form(scene, "forge-job", json!({ "exp": end }));
    let claims = jwt_claims(scene.server.token(None, &form).await.access_token());
    assert!(claims["exp"].as_u64().unwrap() <= end, "{claims}");

    let form = forge_form(scene, "forge-job", json!({ "exp": now() + 20 }));
    let answer = scene.server.token(None, &form).await;
    answer.refused(400, "invalid_request");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "lifetime_too_short"
    );
}

async fn rules_must_be_unique_or_named(scene: &Scene) {
    let unnamed = forge_form(scene, "", json!({})).without("rule");
    let cases = [
        (unnamed, "ambiguous_rule"),
        (forge_form(scene, "forge-other", json!({})), "no_rule"),
        (forge_form(scene, "no-such-rule", json!({})), "unknown_rule"),
        // A weaker evidence does not get what a stronger one is asked for.
        (
            forge_form(
                scene,
                "svid-batch",
                json!({ "sub": "spiffe://prod.example.org/books/batch" }),
            ),
            "no_rule",
        ),
        (
            forge_form(scene, "forge-project", json!({ "project": "other" })),
            "no_rule",
        ),
    ];
    for (form, reason) in cases {
        let answer = scene.server.token(None, &form).await;
        answer.refused(400, "invalid_grant");
        assert_eq!(Trail::of_denial(scene, &answer).await["reason"], reason);
    }
    let named = scene
        .server
        .token(None, &forge_form(scene, "forge-project", json!({})))
        .await;
    assert_eq!(
        jwt_claims(named.access_token())["dfy"]["rule"],
        "forge-project"
    );
    let other = forge_form(scene, "forge-other", json!({ "sub": "job:2" }));
    let other = scene.server.token(None, &other).await;
    assert_eq!(
        jwt_claims(other.access_token())["dfy"]["rule"],
        "forge-other"
    );
}

async fn a_condition_and_a_guardrail_have_the_last_word(scene: &Scene) {
    let branch = forge_form(scene, "forge-job", json!({ "branch": "evil" }));
    let audit = forge_form(scene, "forge-job", json!({ "exp": now() + 1800 }));
    let audit = audit.replace("scope", "ledger:audit");
    for (form, reason) in [(branch, "condition_failed"), (audit.clone(), "guardrail")] {
        let answer = scene.server.token(None, &form).await;
        answer.refused(400, "unauthorized_client");
        let line = Trail::of_denial(scene, &answer).await;
        assert_eq!(line["reason"], reason);
        if reason == "guardrail" {
            assert!(
                line["policies"]
                    .to_string()
                    .contains("nobody-audits-for-an-hour"),
                "{line}"
            );
        }
    }
    let shorter = audit.with("requested_ttl", "600");
    scene.server.token(None, &shorter).await.access_token();
}

async fn a_certificate_beside_a_job_is_its_binding(scene: &Scene) {
    let form = Form::jwt_bearer(&scene.forged(json!({ "sub": "job:3" })), LEDGER_API);
    let answer = scene.server.token(None, &form).await;
    answer.refused(400, "unauthorized_client");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "binding_unavailable"
    );

    let svid = scene.world.svid("anybody/at-all");
    let answer = scene.server.token(Some(&svid), &form).await;
    let claims = jwt_claims(answer.access_token());
    let thumbprint = dayfly_token::base64url::encode(svid.thumbprint());
    assert_eq!(claims["cnf"], json!({ "x5t#S256": thumbprint }));
    assert_eq!(
        claims["sub"], "spiffe://sts.example.org/books/bound",
        "the job, not the certificate"
    );
}
