//! Proven callers who get nothing: no grant for it, a hold, an end.

use dayfly_lab::Svid;

use super::denied;
use crate::exchange::{bearer, ci_form};
use crate::harness::{Answer, BILLING_API, Form, LEDGER_API, Operator, PAYMENTS_API, Scene, Trail};

pub(super) async fn nothing_granted(scene: &Scene) {
    let at = |svid: &Svid, audience: &str| Form::client_credentials(&svid.spiffe_id, audience);
    let stranger = scene.world.svid("nobody/knows");
    let form = at(&stranger, PAYMENTS_API);
    denied(
        scene,
        Some(&stranger),
        [("a stranger", form, "invalid_client", "no_rule")],
    )
    .await;

    let clerk = scene.world.svid("books/clerk");
    let form = at(&clerk, BILLING_API);
    let row = (
        "it lists no callers",
        form,
        "invalid_target",
        "caller_not_allowed",
    );
    denied(scene, Some(&clerk), [row]).await;

    let worker = scene.world.svid("payments/worker");
    let form = at(&worker, PAYMENTS_API);
    let slash = format!("{PAYMENTS_API}/");
    let targets = [
        ("https://no.such.api", "unknown_audience"),
        (&slash, "unknown_audience"),
        ("https://PAYMENTS.internal", "unknown_audience"),
        (LEDGER_API, "no_grant"),
    ];
    let rows = targets.map(|(audience, reason)| {
        (
            audience,
            form.clone().replace("audience", audience),
            "invalid_target",
            reason,
        )
    });
    denied(scene, Some(&worker), rows).await;
    let scopes = [
        "deploy:write",
        "ledger:read deploy:write",
        "*",
        "dayfly:revoke",
        "LEDGER:READ",
    ];
    let rows = scopes.map(|scope| {
        (
            scope,
            form.clone().with("scope", scope),
            "invalid_scope",
            "scope_not_granted",
        )
    });
    denied(scene, Some(&worker), rows).await;
    let (details, error) = ("authorization_details", "invalid_authorization_details");
    let rows = [
        (
            "no audience",
            form.clone().without("audience"),
            "invalid_request",
            "audience_required",
        ),
        (
            "a rule of another",
            form.clone().with("rule", "svid-api"),
            "invalid_client",
            "no_rule",
        ),
        (
            "details",
            form.with(details, r#"[{"type":"x"}]"#),
            error,
            details,
        ),
    ];
    denied(scene, Some(&worker), rows).await;
    let parent = bearer(scene).await;
    let narrow = Form::exchange(&parent, "access_token", "");
    // An exchange needs no audience: it is the parent's.
    scene.server.token(None, &narrow).await.access_token();
}

pub(super) async fn what_is_held_or_ended(scene: &Scene) {
    let console = Operator::console(&scene.world, &scene.server);
    let reader = scene.world.svid("billing/reader");
    let form = Form::client_credentials(&reader.spiffe_id, PAYMENTS_API);
    for (kind, value) in [
        ("workload", "billing/reader"),
        ("owner", "billing"),
        ("rule", "svid-reader"),
    ] {
        console.done("hold", kind, value).await;
        let row = (kind, form.clone(), "unauthorized_client", "held");
        denied(scene, Some(&reader), [row]).await;
        console.done("lift", kind, value).await;
        scene
            .server
            .token(Some(&reader), &form)
            .await
            .access_token();
    }
    console.done("hold", "source", "oidc:github").await;
    let row = ("source", ci_form(scene, "t"), "unauthorized_client", "held");
    denied(scene, None, [row]).await;
    console.done("lift", "source", "oidc:github").await;

    console.done("revoke", "task", "payments/over").await;
    let row = (
        "an ended task",
        ci_form(scene, "over"),
        "invalid_grant",
        "task_ended",
    );
    denied(scene, None, [row]).await;

    // After a cut-off nothing is minted into the past: come back in some seconds.
    console.done("cut_off", "workload", "billing/reader").await;
    let soon: Answer = scene.server.token(Some(&reader), &form).await;
    soon.refused(503, "temporarily_unavailable");
    let wait: u64 = soon.header("retry-after").parse().expect("seconds");
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(Trail::of_denial(scene, &soon).await["reason"], "cut_off");
}
