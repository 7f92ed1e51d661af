//! Every grant, permitted and denied, on both ledgers.

mod certificates;
mod ci;
mod introspection;
mod narrow;
mod rates;
mod refusals;
mod svid;
mod tenants;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Answer, Form, LEDGER_API, PAYMENTS_API, Scene};

/// The names of an object's members.
fn members(object: &Value) -> BTreeSet<&str> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// The claims of every token that has no binding and no task.
const CLAIMS: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "client_id",
    "iat",
    "nbf",
    "exp",
    "jti",
    "scope",
    "dfy",
];

/// A set of names.
fn names<const N: usize>(names: [&str; N]) -> BTreeSet<&str> {
    BTreeSet::from(names)
}

/// `client_credentials` of a workload with a fresh SVID of its own.
async fn token_of(scene: &Scene, workload: &str, audience: &str) -> Answer {
    let svid = scene.world.svid(workload);
    scene
        .server
        .token(
            Some(&svid),
            &Form::client_credentials(&svid.spiffe_id, audience),
        )
        .await
}

/// A bearer token: of `books/clerk`, for the ledger API.
async fn bearer(scene: &Scene) -> String {
    token_of(scene, "books/clerk", LEDGER_API)
        .await
        .access_token()
        .to_owned()
}

/// The form of the default CI job, with a fresh token of GitHub and a task.
fn ci_form(scene: &Scene, task: &str) -> Form {
    let assertion = scene.world.ci_token(scene.issuer());
    Form::jwt_bearer(&assertion, PAYMENTS_API).with("task", task)
}
