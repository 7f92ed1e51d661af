//! Headers and signatures.

use dayfly_token::base64url;
use serde_json::{Value, json};

use super::{Listener, genuine, honest, refused, with};
use crate::harness::{Scene, jwt_header};
use crate::hostile::forgery::{compact, impossible, mac, secrets_of};

pub(super) async fn forged(scene: &Scene, listener: &Listener) {
    let (proper, claims) = (scene.forge.header(), honest(scene));
    let text = claims.to_string();
    for alg in [
        "none", "None", "NONE", "nOnE", "", " none", "HS256", "RS256", "ES384", "ES512", "PS256",
        "es256", "ES256 ", "ES256K", "EdDSA",
    ] {
        let header = with(proper.clone(), "alg", alg);
        refused(scene, alg, &compact(&header.to_string(), &text, "")).await;
        refused(scene, alg, &scene.forge.sign_with(&header, &claims)).await;
    }
    let jwks: Value = serde_json::from_str(&scene.forge.jwks()).unwrap();
    for secret in secrets_of(&jwks["keys"][0]) {
        for alg in ["HS256", "hs256"] {
            let header = with(proper.clone(), "alg", alg).to_string();
            refused(scene, "a public secret", &mac(&secret, &header, &text)).await;
        }
    }
    // Rightly signed, and still: what a header may not say, it may not say.
    let local = format!("{}/keys", listener.url("https"));
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("jwk", jwks["keys"][0].clone()),
        ("jku", json!(local)),
        ("x5u", json!(local)),
        ("x5c", json!(["AAAA"])),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("p2c", json!(2_147_483_647_u32)),
        ("epk", json!({})),
        ("typ", json!("at+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("dayfly-feed+jwt")),
        ("kid", json!(7)),
        ("kid", json!(null)),
    ] {
        let header = with(proper.clone(), name, value);
        refused(scene, name, &scene.forge.sign_with(&header, &claims)).await;
    }
    // Each is a name in a map and nothing else: no path, no query, no first key that fits.
    let github = jwt_header(&scene.world.ci_token(scene.issuer()))["kid"].clone();
    for kid in [
        json!(""),
        json!("x"),
        json!("../../../../dev/null"),
        json!("' OR 1=1 --"),
        json!("a\r\nb"),
        json!("\u{1b}[2J"),
        json!("k".repeat(4000)),
        json!("0"),
        github,
    ] {
        let header = with(proper.clone(), "kid", kid.clone());
        refused(
            scene,
            &kid.to_string(),
            &scene.forge.sign_with(&header, &claims),
        )
        .await;
    }
    let mut nameless = proper.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    refused(scene, "no kid", &scene.forge.sign_with(&nameless, &claims)).await;
    // Another issuer's key does not sign for this one, nor this one's for another.
    refused(
        scene,
        "signed by GitHub",
        &scene
            .world
            .github
            .sign_with(&scene.world.github.header(), &claims),
    )
    .await;
    let theirs = with(claims.clone(), "iss", scene.world.github.url());
    refused(
        scene,
        "in GitHub's name",
        &scene.forge.sign_with(&proper, &theirs),
    )
    .await;
}

pub(super) async fn unsigned(scene: &Scene) {
    let token = genuine(scene);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let bytes = base64url::decode(signature).unwrap();
    for (what, forged) in impossible(&bytes) {
        refused(
            scene,
            what,
            &format!("{input}.{}", base64url::encode(forged)),
        )
        .await;
    }
    let other = genuine(scene);
    let (other, _) = other.rsplit_once('.').unwrap();
    refused(scene, "of another token", &format!("{other}.{signature}")).await;
}
