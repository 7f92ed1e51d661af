//! Texts of a token, and of the JSON inside.

use serde_json::json;

use super::{genuine, honest, refused};
use crate::harness::Scene;

/// One token has one text.
pub(super) async fn forged(scene: &Scene) {
    let token = genuine(scene);
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let last = signature.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    let pad = |text: &str| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    let json = json!({ "protected": header, "payload": payload, "signature": signature });
    let polyglot = format!(
        r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}","x":".{payload}."}}"#
    );
    for (what, text) in [
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("four parts", format!("{token}.x")),
        ("five parts", format!("{header}.x.x.{payload}.{signature}")),
        ("a space before", format!(" {token}")),
        ("a space after", format!("{token} ")),
        (
            "padding",
            format!("{}.{}.{}", pad(header), pad(payload), pad(signature)),
        ),
        (
            "other bits at the end",
            format!(
                "{header}.{payload}.{}{next}",
                &signature[..signature.len() - 1]
            ),
        ),
        ("a JSON serialisation", json.to_string()),
        ("a polyglot", polyglot),
        (
            "nested",
            scene.forge.sign_bytes(
                scene.forge.header().to_string().as_bytes(),
                token.as_bytes(),
            ),
        ),
        ("quoted", format!("\"{token}\"")),
        ("bearer", format!("Bearer {token}")),
    ] {
        refused(scene, what, &text).await;
    }
    let header = scene.forge.header().to_string();
    let honest = honest(scene).to_string();
    let open = &honest[..honest.len() - 1];
    let sub = "\"sub\":\"job:2\"";
    let utf16: Vec<u8> = honest.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut broken = honest.clone().into_bytes();
    let at = honest.find("job:2").unwrap();
    broken[at] = 0xff;
    let mut payloads: Vec<(&str, Vec<u8>)> = vec![
        ("a member twice", format!("{open},{sub}}}").into_bytes()),
        (
            "a member twice, once escaped",
            format!("{open},\"\\u0073ub\":\"job:1\"}}").into_bytes(),
        ),
        (
            "a member twice, deep inside",
            format!("{open},\"x\":{{\"a\":[{{\"b\":1,\"b\":2}}]}}}}").into_bytes(),
        ),
        (
            "a byte order mark",
            format!("\u{feff}{honest}").into_bytes(),
        ),
        ("something after it", format!("{honest}{{}}").into_bytes()),
        ("a comment", format!("{honest}//").into_bytes()),
        ("UTF-16", utf16),
        ("not UTF-8", broken),
        ("an array", format!("[{honest}]").into_bytes()),
        ("a string", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("nothing", Vec::new()),
        ("NUL after it", format!("{honest}\0").into_bytes()),
    ];
    payloads.push((
        "deep",
        format!("{open},\"x\":{}{}}}", "[".repeat(2000), "]".repeat(2000)).into_bytes(),
    ));
    for (what, payload) in &payloads {
        refused(
            scene,
            what,
            &scene.forge.sign_bytes(header.as_bytes(), payload),
        )
        .await;
    }
    for (what, text) in [
        (
            "a header twice",
            header.replacen('{', "{\"alg\":\"ES256\",", 1),
        ),
        ("a header that is an array", format!("[{header}]")),
        ("a header with something after it", format!("{header} x")),
        (
            "a deep header",
            header.replacen(
                '{',
                &format!("{{\"x\":{}{},", "[".repeat(1000), "]".repeat(1000)),
                1,
            ),
        ),
    ] {
        refused(
            scene,
            what,
            &scene.forge.sign_bytes(text.as_bytes(), honest.as_bytes()),
        )
        .await;
    }
}
