//! The answers 429 and 503, and that they pass.

use std::time::Duration;

use super::token_of;
use crate::harness::{
    Answer, Form, LEDGER_API, Ledger, PAYMENTS_API, Scene, Trail, eventually, jwt_claims,
};

/// Two at once and sixty in a minute for a workload, three at once for an owner.
const LIMITS: &str = "
[limits]
workload_per_minute = 60
workload_burst = 2
owner_per_minute = 60
owner_burst = 3
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_used_up_and_fills_again() {
    for ledger in [Ledger::Embedded, Ledger::Redis] {
        let scene = Scene::start_with(ledger, LIMITS, &[]).await;
        let ask = async |workload: &str, audience: &str| token_of(&scene, workload, audience).await;
        for _ in 0..2 {
            ask("payments/worker", PAYMENTS_API).await.access_token();
        }
        let answer = ask("payments/worker", PAYMENTS_API).await;
        answer.refused(429, "temporarily_unavailable");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(
            Trail::of_denial(&scene, &answer).await["reason"],
            "rate_limited"
        );

        // The neighbours of the same owner share the owner's rate; other owners do not feel it.
        let form = super::ci_form(&scene, "t");
        let neighbour = scene.server.token(None, &form).await;
        assert!(
            neighbour.status == 200 || neighbour.status == 429,
            "{neighbour:?}"
        );
        ask("books/clerk", LEDGER_API).await.access_token();

        // A job that was refused for the rate has not used up its token.
        let mut refused = neighbour;
        let mut form = form;
        for task in 0..5 {
            if refused.status == 429 {
                break;
            }
            form = super::ci_form(&scene, &format!("t-{task}"));
            refused = scene.server.token(None, &form).await;
        }
        refused.refused(429, "temporarily_unavailable");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let answer = eventually("the rate fills", async || {
            let answer = scene.server.token(None, &form).await;
            (answer.status != 429).then_some(answer)
        })
        .await;
        assert_eq!(
            jwt_claims(answer.access_token())["sub"],
            "spiffe://sts.example.org/payments/deploy"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_without_keys_is_a_503_for_its_jobs_alone() {
    // The forge's keys cannot be fetched from the start: nothing is known of it.
    let mut scene = Scene::prepare(Ledger::Embedded, "").await;
    for document in [
        dayfly_lab::DocumentKind::Discovery,
        dayfly_lab::DocumentKind::Jwks,
    ] {
        scene
            .forge
            .behave(document, dayfly_lab::Behaviour::ServerError);
    }
    scene.server.spawn(&[]);
    let url = format!("{}/livez", scene.server.operations);
    let client = crate::harness::client(&scene.world.tls.ca_pem(), None);
    eventually("it lives", async || {
        client
            .get(&url)
            .send()
            .await
            .ok()
            .filter(|a| a.status() == 200)
    })
    .await;
    eventually("it issues to others", async || {
        let svid = scene.world.svid("payments/worker");
        let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
        let url = format!("{}/oauth2/token", scene.issuer());
        let sent = scene
            .server
            .client(Some(&svid))
            .post(url)
            .form(&form.0)
            .send()
            .await
            .ok()?;
        (sent.status() == 200).then_some(())
    })
    .await;
    let form = Form::jwt_bearer(&scene.forged(serde_json::json!({})), LEDGER_API);
    let answer: Answer = scene.server.token(None, &form).await;
    answer.refused(503, "temporarily_unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    assert_eq!(
        Trail::of_denial(&scene, &answer).await["reason"],
        "issuer_unavailable"
    );
    scene
        .server
        .token(None, &super::ci_form(&scene, "t"))
        .await
        .access_token();

    for document in [
        dayfly_lab::DocumentKind::Discovery,
        dayfly_lab::DocumentKind::Jwks,
    ] {
        scene.forge.behave(document, dayfly_lab::Behaviour::Honest);
    }
    eventually("the forge is known", async || {
        (scene.server.token(None, &form).await.status != 503).then_some(())
    })
    .await;
    scene
        .server
        .token(None, &form.with("scope", "ledger:read"))
        .await
        .access_token();
}
