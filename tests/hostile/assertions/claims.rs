//! Claims.

use serde_json::{Value, json};

use super::{Listener, honest, present, refused, with};
use crate::harness::{LEDGER_API, Scene, jwt_claims, now};

pub(super) async fn forged(scene: &Scene, listener: &Listener) {
    let honest = honest(scene);
    let soon = now() + 300;
    let mut rows: Vec<(&str, Value)> = Vec::new();
    for exp in [
        json!(null),
        json!("never"),
        json!(soon.to_string()),
        json!(true),
        json!(-1),
        json!(0),
        json!(soon * 1000),
        json!(1e300),
        json!(u64::MAX),
        json!([soon]),
        json!({}),
    ] {
        rows.push(("exp", exp));
    }
    for iat in [json!(null), json!("now"), json!(soon + 4000), json!(-5)] {
        rows.push(("iat", iat));
    }
    for nbf in [json!("now"), json!(soon), json!(true)] {
        rows.push(("nbf", nbf));
    }
    let url = scene.forge.url();
    for iss in [
        json!(null),
        json!(""),
        json!([url]),
        json!(format!("{url}/")),
        json!(format!("{url}.evil.example")),
        json!(format!("{url}?x")),
        json!(format!("{url}#x")),
        json!(format!("{url}%2f")),
        json!(url.to_uppercase()),
        json!(url.replace("https", "http")),
        json!(url.replace("127.0.0.1", "127.1")),
        json!(&url[..url.len() - 1]),
        json!(listener.url("http")),
        json!(listener.url("https")),
        json!("file:///etc/passwd"),
        json!("forge"),
    ] {
        rows.push(("iss", iss));
    }
    let issuer = scene.issuer();
    for aud in [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(7),
        json!("https://other.example"),
        json!(format!("{issuer}/x")),
        json!([issuer, "https://other.example"]),
        json!([issuer, issuer]),
        json!(issuer.to_uppercase()),
        json!(LEDGER_API),
    ] {
        rows.push(("aud", aud));
    }
    for sub in [
        json!(null),
        json!(""),
        json!("null"),
        json!(2),
        json!(["job:2"]),
        json!("job:2 "),
        json!("JOB:2"),
        json!("job:*"),
        json!("job:2\u{0}"),
    ] {
        rows.push(("sub", sub));
    }
    for (claim, value) in rows {
        let what = format!("{claim} = {value}");
        let mut forged = with(honest.clone(), claim, value.clone());
        if value.is_null() && claim != "sub" {
            forged.as_object_mut().unwrap().remove(claim);
            if claim == "iat" {
                continue;
            }
        }
        refused(
            scene,
            &what,
            &scene.forge.sign_with(&scene.forge.header(), &forged),
        )
        .await;
    }
    // 1e400 is no number of JSON that anyone could mean.
    let infinite =
        honest
            .to_string()
            .replacen(&format!("\"exp\":{}", honest["exp"]), "\"exp\":1e400", 1);
    let header = scene.forge.header().to_string();
    refused(
        scene,
        "1e400",
        &scene
            .forge
            .sign_bytes(header.as_bytes(), infinite.as_bytes()),
    )
    .await;
    // A caller's own claims never become ours.
    let mut loud = honest;
    for (name, value) in [
        ("scope", "ledger:audit"),
        ("client_id", "x"),
        ("txn", "payments/t"),
        ("act", "x"),
        ("cnf", "x"),
        ("dfy", "x"),
    ] {
        loud[name] = json!(value);
    }
    let answer = present(scene, &scene.forge.sign_with(&scene.forge.header(), &loud)).await;
    let minted = jwt_claims(answer.access_token());
    assert_eq!(
        (
            &minted["scope"],
            minted.get("txn"),
            minted.get("act"),
            minted.get("cnf")
        ),
        (&json!("ledger:read"), None, None, None)
    );
    assert_eq!(minted["client_id"], "spiffe://sts.example.org/books/forged");
}
