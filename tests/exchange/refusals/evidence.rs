//! OIDC tokens that do not count, by both grants that take them.

use dayfly_lab::Svid;
use serde_json::json;

use super::answered;
use crate::harness::{
    Answer, BILLING_API, Form, LEDGER_API, Scene, Trail, now, with_other_signature,
};

/// Every way in which an OIDC token does not count, with the reason of the trail.
fn bad_tokens(scene: &Scene) -> Vec<(String, &'static str)> {
    let (issuer, other) = (scene.issuer(), "https://other.example.org");
    let old = json!({ "iat": now() - 900, "exp": now() - 600 });
    let long = json!({ "iat": now(), "exp": now() + 25 * 3600 });
    let ahead = json!({ "nbf": now() + 600, "iat": now() + 600, "exp": now() + 900 });
    let unknown = json!({ "iss": "https://issuer.example.org" });
    let slash = json!({ "iss": format!("{}/", scene.forge.url()) });
    vec![
        (
            with_other_signature(&scene.forged(json!({}))),
            "bad_signature",
        ),
        (scene.forged(old), "expired"),
        (scene.forged(long), "lifetime_too_long"),
        (scene.forged(ahead), "not_yet_valid"),
        (scene.forged(unknown), "unknown_issuer"),
        (scene.forged(slash), "unknown_issuer"),
        (scene.forged(json!({ "aud": other })), "wrong_audience"),
        (
            scene.forged(json!({ "aud": format!("{issuer}/") })),
            "wrong_audience",
        ),
        (
            scene.forged(json!({ "aud": [issuer, other] })),
            "several_audiences",
        ),
        (scene.forged(json!({ "aud": null })), "missing_claim"),
        (scene.forged(json!({ "sub": "" })), "bad_claim"),
        (scene.forged(json!({ "exp": "4102444800" })), "bad_claim"),
        (scene.forged(json!({ "sub": "job:99" })), "no_rule"),
        ("not.a.token".to_owned(), "malformed"),
    ]
}

pub(super) async fn an_assertion_that_does_not_count(scene: &Scene) {
    do_not_count(
        scene,
        |token| Form::jwt_bearer(token, LEDGER_API),
        "invalid_grant",
    )
    .await;
}

pub(super) async fn a_subject_token_that_does_not_count(scene: &Scene) {
    do_not_count(
        scene,
        |token| Form::exchange(token, "jwt", LEDGER_API),
        "invalid_request",
    )
    .await;
}

async fn do_not_count(scene: &Scene, form: impl Fn(&str) -> Form, error: &str) {
    // Several codes of the attestation say the same: base64 or JSON or form.
    const SHAPE: [&str; 4] = ["malformed", "bad_base64", "bad_json", "bad_header"];
    let form = |token: &str| form(token).with("scope", "ledger:read");
    for (token, reason) in bad_tokens(scene) {
        let answer = answered(scene, None, reason, &form(&token), error).await;
        let line = Trail::of_denial(scene, &answer).await;
        let found = line["reason"].as_str().unwrap();
        let alike = SHAPE.contains(&reason) && SHAPE.contains(&found);
        assert!(found == reason || alike, "{reason}: {line}");
        assert_eq!(line["evidence"]["method"], "oidc", "{line}");
    }
    let good = form(&scene.forged(json!({})));
    scene.server.token(None, &good).await.access_token();
}

/// Status, code and words are the same, whichever of the reasons it was.
pub(super) async fn a_stranger_cannot_tell_one_no_from_another(scene: &Scene) {
    let told = async |svid: Option<&Svid>, form: &Form| {
        let Answer {
            status,
            mut body,
            headers,
        } = scene.server.token(svid, form).await;
        for id in ["request_id", "decision_id"] {
            body.as_object_mut().unwrap().remove(id).expect("an id");
        }
        (status, body, headers.len())
    };
    let form = |token: &str| Form::jwt_bearer(token, LEDGER_API).with("scope", "ledger:read");
    let mut answers = Vec::new();
    for (token, _) in bad_tokens(scene) {
        answers.push(told(None, &form(&token)).await);
    }
    let honest = scene.forged(json!({}));
    for rule in ["forge-job", "svid-worker", "no-such-rule"] {
        answers.push(told(None, &form(&honest).with("rule", rule)).await);
    }
    answers.push(
        told(
            None,
            &form(&scene.forged(json!({ "sub": "job:1", "project": "main" }))),
        )
        .await,
    );
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );

    let (worker, clerk) = (
        scene.world.svid("payments/worker"),
        scene.world.svid("books/clerk"),
    );
    let at = |svid: &Svid, audience: &str| Form::client_credentials(&svid.spiffe_id, audience);
    let targets = [
        told(Some(&worker), &at(&worker, "https://no.such.api")).await,
        told(Some(&worker), &at(&worker, LEDGER_API)).await,
        told(Some(&clerk), &at(&clerk, BILLING_API)).await,
    ];
    assert!(
        targets.iter().all(|target| *target == targets[0]),
        "{targets:?}"
    );
}
