//! What must not stand in an error, in a log or in a debug print.

use dayfly_client::{Client, ClientError, Identity, Secret, TokenRequest};
use dayfly_lab::{LOOPBACK_NAMES, TlsAuthority};
use serde_json::json;

use crate::failures::{client, everything};
use crate::stage::{AUDIENCE, Answer, METADATA, Stage, TOKEN, metadata};

#[tokio::test]
async fn nothing_shows_a_secret() {
    let stage = Stage::new().await;
    let client = client(&stage);
    let token = client.token(&TokenRequest::new(AUDIENCE)).await.unwrap();
    let admin = client.admin_with_token(Secret::new("eyJ.admin.token"));
    for text in [
        format!("{client:?}"),
        format!("{token:?}"),
        format!("{admin:?}"),
    ] {
        assert!(!text.contains("eyJ"), "{text}");
    }
}

#[test]
fn passwords_in_the_issuers_url_are_refused_and_not_repeated() {
    for issuer in [
        "https://deploy:hunter2@sts.example",
        "https://:hunter2@sts.example",
        "http://:hunter2@sts.example",
        "https://sts.example/?key=hunter2",
        "https://sts.example/#hunter2",
        "deploy:hunter2@sts.example",
        "//deploy:hunter2@sts.example",
    ] {
        let builder = Client::builder(issuer);
        assert!(!format!("{builder:?}").contains("hunter2"), "{issuer}");
        let refused = builder.build().unwrap_err();
        let shown = everything(&refused);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_key_among_certificates_is_not_repeated() {
    let tls = TlsAuthority::new().unwrap();
    let (chain, key) = tls.server_identity(LOOPBACK_NAMES).unwrap();
    let body = key.lines().nth(1).unwrap();
    // Line ends get lost in variables and templates.
    let one_line = |pem: &str| pem.replace('\n', "");
    for (chain, key) in [
        (one_line(&key), key.clone()),
        (format!("{}x", one_line(&key)), key.clone()),
        (format!("{}{chain}", one_line(&key)), key.clone()),
        (chain.clone(), one_line(&key)),
    ] {
        let identity = Identity::new(chain, Secret::new(key));
        let refused = Client::builder("https://sts.example")
            .identity(identity)
            .build()
            .unwrap_err();
        let shown = everything(&refused);
        for secret in [body.to_owned(), format!("{:?}", body.as_bytes())] {
            let secret = secret.trim_matches(['[', ']']);
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn metadata_cannot_flood_a_log_or_add_a_password() {
    let stage = Stage::new().await;
    let mut document = metadata(&stage.issuer);
    document["mtls_endpoint_aliases"] = json!("\u{1b}[31m".repeat(50_000));
    stage.script.once(METADATA, Answer::json(200, &document));
    let refused = client(&stage).metadata().await.unwrap_err();
    assert!(matches!(refused, ClientError::Malformed { .. }));
    assert!(refused.to_string().len() < 1_000);
    assert!(!refused.to_string().contains('\u{1b}'));

    let mut document = metadata(&stage.issuer);
    let endpoint = format!("{}/oauth2/token", stage.issuer);
    document["token_endpoint"] = json!(endpoint.replace("https://", "https://user:hunter2@"));
    stage.script.once(METADATA, Answer::json(200, &document));
    let refused = client(&stage)
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ClientError::Malformed { .. }),
        "{refused:?}"
    );
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    assert_eq!(stage.seen(TOKEN).len(), 0);
}
