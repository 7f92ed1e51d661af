//! One credential.

use std::time::Instant;

use dayfly_token::feed::Kind;
use dayfly_token::{CredentialId, UnixTime};
use dayfly_verifier::revocation::prefix;
use serde_json::json;

use super::Stage;
use crate::harness::{Answer, Form, eventually, id_of, now, with_other_signature};

pub(super) async fn one_by_its_id(stage: &Stage) {
    let agent = stage.agent("credentials/parent");
    let (parent, other) = (agent.token().await, agent.token().await);
    let child = agent.narrowed(&parent).await;
    let grandchild = agent.narrowed(&child).await;
    for token in [&parent, &child, &grandchild, &other] {
        stage.lives(token).await;
    }
    let outcome = stage
        .console
        .done("revoke", "credential", &id_of(&child))
        .await;
    assert_eq!(outcome["held"], false, "{outcome}");
    let since = Instant::now();
    stage
        .dead("a child", "credential", &[&child, &grandchild], since)
        .await;
    stage.lives(&parent).await;

    stage
        .console
        .done("revoke", "credential", &id_of(&parent))
        .await;
    stage
        .dead(
            "a credential by its id",
            "credential",
            &[&parent],
            Instant::now(),
        )
        .await;
    stage.lives(&other).await;
    agent.token().await;

    // What is dead has no more children.
    let form = Form::exchange(&parent, "access_token", crate::harness::FLEET_API);
    agent.send(&form).await.refused(400, "invalid_request");
}

pub(super) async fn one_by_whoever_holds_it(stage: &Stage) {
    let agent = stage.agent("credentials/holder");
    let (token, other) = (agent.token().await, agent.token().await);
    let child = agent.narrowed(&token).await;
    stage.lives(&token).await;
    stage.lives(&child).await;
    assert_eq!(revoked(stage, &token).await.status, 200);
    stage
        .dead(
            "a credential by possession",
            "credential",
            &[&token, &child],
            Instant::now(),
        )
        .await;
    // A second time changes nothing.
    assert_eq!(revoked(stage, &token).await.status, 200);
    stage.lives(&other).await;
}

pub(super) async fn a_certificate_by_its_serial(stage: &Stage) {
    let agent = stage.agent("credentials/server");
    let answer = agent.ask_certificate().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = credential_id(answer.text("serial"));
    assert_eq!(stage.console.standing(&id).await.0, "live");
    stage.console.done("revoke", "credential", &id).await;
    let since = Instant::now();
    // Plain SPIFFE peers see the short life alone; whoever follows the feed sees this.
    let entry = prefix(Kind::Credential, &id);
    let issued = UnixTime::from_secs(now());
    eventually("the follower knows the serial", async || {
        stage
            .watcher
            .verifier
            .revocations()
            .is_dead(&entry, issued)
            .then_some(())
    })
    .await;
    println!(
        "revocation/{:?}: a certificate reached the API after {:?}",
        stage.ledger,
        since.elapsed()
    );
    let expected = ("revoked".to_owned(), "credential".to_owned());
    assert_eq!(stage.console.standing(&id).await, expected);
}

pub(super) async fn what_is_unknown_is_not_alive(stage: &Stage) {
    let token = stage.agent("credentials/holder").token().await;
    let (head, _) = token.rsplit_once('.').unwrap();
    let forged = with_other_signature(&token);
    let foreign = stage.scene.world.ci_token(stage.scene.issuer());
    for unknown in ["x", "a.b.c", &forged, head, &foreign] {
        // RFC 7009 section 2.2: the purpose is reached already.
        let answer = revoked(stage, unknown).await;
        assert_eq!(answer.status, 200, "{unknown}: {answer:?}");
        assert_eq!(
            stage.console.introspect(unknown).await,
            json!({ "active": false })
        );
    }
    stage.lives(&token).await;

    // By its id, one that nobody knows can be revoked all the same: the ledger may have lost it.
    let unknown = CredentialId::new(0, [7; 15]).to_string();
    stage.console.done("revoke", "credential", &unknown).await;
    assert_eq!(
        stage
            .console
            .change("revoke", "credential", "short")
            .await
            .status,
        400
    );
}

async fn revoked(stage: &Stage, token: &str) -> Answer {
    let form = Form::default().with("token", token);
    stage.scene.server.post("/oauth2/revoke", None, &form).await
}

/// The credential id of a certificate: the bytes of its serial number.
fn credential_id(serial_hex: &str) -> String {
    assert_eq!(serial_hex.len(), 32, "{serial_hex}");
    let bytes: Vec<u8> = (0..16)
        .map(|n| u8::from_str_radix(&serial_hex[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    CredentialId::from_bytes(bytes.try_into().unwrap()).to_string()
}
