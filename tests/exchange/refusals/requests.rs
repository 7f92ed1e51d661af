//! Requests that cannot be read, and callers that do not prove who they are.

use super::{denied, unread};
use crate::exchange::ci_form;
use crate::harness::{Form, LEDGER_API, PAYMENTS_API, Scene};

const INVALID: &str = "invalid_request";

pub(super) async fn a_request_that_cannot_be_read(scene: &Scene) {
    forms_of_an_svid(scene).await;
    let job = ci_form(scene, "t");
    forms_of_a_job(scene, &job).await;
    // None of it has used up the job's token.
    scene.server.token(None, &job).await.access_token();
}

async fn forms_of_an_svid(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let and = |name: &str, value: &str| form.clone().with(name, value);
    let rows = [
        ("no parameter at all", Form::default(), INVALID),
        ("no grant type", form.clone().without("grant_type"), INVALID),
        (
            "two grant types",
            and("grant_type", "client_credentials"),
            INVALID,
        ),
        ("two audiences", and("audience", LEDGER_API), INVALID),
        ("two kinds of evidence", and("assertion", "a.b.c"), INVALID),
        (
            "a scope with a quote",
            and("scope", "a\"b"),
            "invalid_scope",
        ),
        (
            "an audience with a space",
            form.clone().replace("audience", "a b"),
            "invalid_target",
        ),
    ];
    unread(scene, Some(&svid), rows).await;
    let lifetimes = ["0", "-1", "1.5", "1e3", " 60", "x", "99999999999999999999"];
    let rows = lifetimes.map(|lifetime| (lifetime, and("requested_ttl", lifetime), INVALID));
    unread(scene, Some(&svid), rows).await;
    let grants = [
        "password",
        "authorization_code",
        "refresh_token",
        "CLIENT_CREDENTIALS",
        "x ",
    ];
    let unsupported = "unsupported_grant_type";
    let rows = grants.map(|name| (name, form.clone().replace("grant_type", name), unsupported));
    unread(scene, Some(&svid), rows).await;
}

async fn forms_of_a_job(scene: &Scene, job: &Form) {
    let and = |name: &str, value: &str| job.clone().with(name, value);
    let but = |name: &str, value: &str| job.clone().replace(name, value);
    let bare = job.clone().without("assertion");
    let untyped = Form::exchange("a.b.c", "jwt", LEDGER_API).without("subject_token_type");
    let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
    let rows = [
        ("no assertion", bare.clone(), INVALID),
        ("an empty assertion", but("assertion", ""), INVALID),
        (
            "evidence of another grant",
            bare.with("subject_token", "a.b.c"),
            INVALID,
        ),
        ("two tokens", and("subject_token", "a.b.c"), INVALID),
        ("a task that is a path", but("task", "../x"), INVALID),
        (
            "a task that is too long",
            but("task", &"x".repeat(101)),
            INVALID,
        ),
        (
            "a purpose that is too long",
            and("purpose", &"x".repeat(257)),
            INVALID,
        ),
        (
            "another token type",
            and("requested_token_type", refresh),
            INVALID,
        ),
        ("a subject without its type", untyped, INVALID),
    ];
    unread(scene, None, rows).await;
}

pub(super) async fn a_caller_that_does_not_prove_itself(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let error = "invalid_client";
    unread(scene, None, [("no certificate", form.clone(), error)]).await;
    let rows = [
        ("no client id", form.clone().without("client_id"), error),
        (
            "a client secret",
            form.clone().with("client_secret", "x"),
            error,
        ),
        (
            "a client assertion",
            form.clone().with("client_assertion", "a.b.c"),
            error,
        ),
    ];
    unread(scene, Some(&svid), rows).await;
    let rows = [
        "spiffe://prod.example.org/payments/api",
        "spiffe://PROD.example.org/payments/worker",
        "spiffe://sts.example.org/payments/worker",
        "payments/worker",
    ]
    .map(|id| {
        (
            id,
            form.clone().replace("client_id", id),
            error,
            "client_id_mismatch",
        )
    });
    denied(scene, Some(&svid), rows).await;
}
