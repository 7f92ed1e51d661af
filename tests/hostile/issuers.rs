//! An OIDC issuer that the operator trusts, and that misbehaves: its own tokens do not count
//! meanwhile, and nobody else notices.

use dayfly_lab::{Behaviour, DocumentKind};
use serde_json::json;

use super::still_serves;
use crate::harness::{Form, LEDGER_API, Ledger, PAYMENTS_API, Scene, Trail};

/// Far more than a server needs, and far less than the body without an end.
const MAX_RESIDENT_KIB: u64 = 200 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misbehaving_issuer_harms_itself_alone() {
    use Behaviour::{DuplicateMembers, Garbage, Hang, HugeBody, Redirect, SlowDrip, WrongIssuer};
    for (document, behaviour) in [
        (DocumentKind::Discovery, WrongIssuer),
        (DocumentKind::Discovery, Redirect),
        (DocumentKind::Discovery, HugeBody),
        (DocumentKind::Jwks, Redirect),
        (DocumentKind::Jwks, HugeBody),
        (DocumentKind::Jwks, SlowDrip),
        (DocumentKind::Jwks, Garbage),
        (DocumentKind::Jwks, DuplicateMembers),
        (DocumentKind::Jwks, Hang),
    ] {
        let mut scene = Scene::prepare(Ledger::Embedded, "").await;
        scene.forge.behave(document, behaviour);
        scene.server.launch(&[]).await;
        let what = format!("{document:?} {behaviour:?}");
        let form = Form::jwt_bearer(&scene.forged(json!({})), LEDGER_API);
        let answer = scene
            .server
            .token(None, &form.with("scope", "ledger:read"))
            .await;
        assert_eq!(answer.status, 503, "{what}: {answer:?}");
        answer.refused(503, "temporarily_unavailable");
        let line = Trail::of_denial(&scene, &answer).await;
        assert_eq!(line["reason"], "issuer_unavailable", "{what}");
        assert_eq!(
            scene.forge.requests().followed,
            0,
            "{what}: it went elsewhere"
        );

        let job = scene.world.ci_token(scene.issuer());
        let form = Form::jwt_bearer(&job, PAYMENTS_API).with("task", "t");
        scene.server.token(None, &form).await.access_token();
        still_serves(&scene).await;
        let resident = resident_kib(scene.server.pid());
        assert!(resident < MAX_RESIDENT_KIB, "{what}: {resident} KiB");
    }
}

/// A key that is new is found by its `kid`, once; one that was withdrawn is not kept for ever, and
/// one that was never published is never accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_found() {
    let scene = Scene::start(Ledger::Embedded).await;
    let present = async |token: &str| {
        let form = Form::jwt_bearer(token, LEDGER_API).with("scope", "ledger:read");
        scene.server.token(None, &form).await
    };
    present(&scene.forged(json!({}))).await.access_token();
    let before = scene.forge.requests().jwks;
    scene.forge.rotate().await.unwrap();
    present(&scene.forged(json!({}))).await.access_token();
    assert_eq!(
        scene.forge.requests().jwks,
        before + 1,
        "one look for one unknown key"
    );
    scene.forge.rotate().await.unwrap();
    // Within the cooldown nobody looks again: strangers could make it look with every token.
    for _ in 0..5 {
        let answer = present(&scene.forged(json!({}))).await;
        assert_ne!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(scene.forge.requests().jwks, before + 1);
}

fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a size");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
