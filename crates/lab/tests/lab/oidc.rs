use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use dayfly_lab::{
    Behaviour, DocumentKind, GithubJob, OidcIssuer, OidcOptions, TlsAuthority, TokenAlgorithm,
};
use dayfly_token::{Compact, base64url, json};
use serde_json::{Map, Value, json as value};

async fn start(tls: &TlsAuthority) -> OidcIssuer {
    OidcIssuer::start(OidcOptions {
        tls: Some(tls),
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    })
    .await
    .unwrap()
}

async fn get(client: &reqwest::Client, url: &str) -> Map<String, Value> {
    let body = client
        .get(url)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .bytes()
        .await
        .unwrap();
    json::object(&body).unwrap()
}

/// The claims of `token`, once its signature verifies with the key of the JWKS that its header names.
fn verified(token: &str, jwks: &str) -> Result<Map<String, Value>, &'static str> {
    let compact = Compact::split(token).unwrap();
    let header = json::object(&compact.header_bytes().unwrap()).unwrap();
    let jwks = json::object(jwks.as_bytes()).unwrap();
    let key = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .ok_or("unknown kid")?;
    assert_eq!(key["alg"], header["alg"]);
    let part = |name: &str| base64url::decode(key[name].as_str().unwrap()).unwrap();
    let point = || [vec![4], part("x"), part("y")].concat();
    let (message, signature) = (compact.signing_input(), compact.signature_bytes().unwrap());
    let raw = |algorithm: &'static dyn VerificationAlgorithm, bytes: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, bytes).verify(message, &signature)
    };
    let rsa = RsaPublicKeyComponents {
        n: key["n"].as_str().map(|_| part("n")),
        e: key["e"].as_str().map(|_| part("e")),
    };
    let rsa = || RsaPublicKeyComponents {
        n: rsa.n.clone().unwrap(),
        e: rsa.e.clone().unwrap(),
    };
    match header["alg"].as_str().unwrap() {
        "RS256" => rsa().verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature),
        "PS256" => rsa().verify(&RSA_PSS_2048_8192_SHA256, message, &signature),
        "ES256" => raw(&ECDSA_P256_SHA256_FIXED, point()),
        "ES384" => raw(&ECDSA_P384_SHA384_FIXED, point()),
        "EdDSA" => raw(&ED25519, part("x")),
        other => panic!("{other}"),
    }
    .map_err(|_| "bad signature")?;
    Ok(json::object(&compact.payload_bytes().unwrap()).unwrap())
}

#[tokio::test]
async fn tokens_of_every_algorithm_verify_with_the_served_keys() {
    let tls = TlsAuthority::new().unwrap();
    let issuer = start(&tls).await;
    let client = super::http(&tls, None);
    let discovery = get(
        &client,
        &format!("{}/.well-known/openid-configuration", issuer.url()),
    )
    .await;
    assert_eq!(discovery["issuer"], issuer.url());
    for algorithm in [
        TokenAlgorithm::Es256,
        TokenAlgorithm::Rs256,
        TokenAlgorithm::Ps256,
        TokenAlgorithm::Es384,
        TokenAlgorithm::EdDsa,
    ] {
        issuer.rotate_to(algorithm).await.unwrap();
        let response = client
            .get(discovery["jwks_uri"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        let jwks = response.text().await.unwrap();
        let token = issuer.token(value!({ "sub": "someone", "aud": "https://sts.example" }));
        let claims = verified(&token, &jwks).unwrap();
        assert_eq!(claims["iss"], issuer.url());
        assert_eq!(claims["sub"], "someone");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            300
        );
        let other_end = if token.ends_with('A') { "w" } else { "A" };
        let forged = format!("{}{other_end}", &token[..token.len() - 1]);
        assert!(
            Compact::split(&forged).unwrap().signature_bytes().is_err()
                || verified(&forged, &jwks).is_err()
        );
    }
    let jwks = json::object(issuer.jwks().as_bytes()).unwrap();
    let kids: BTreeSet<_> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].to_string())
        .collect();
    assert_eq!(kids.len(), 6);
}

#[tokio::test]
async fn github_tokens_look_like_the_real_ones() {
    let issuer = OidcIssuer::start(OidcOptions::default()).await.unwrap();
    let job = GithubJob::for_audience("https://sts.example");
    let before = super::now();
    let token = issuer.github_token(&job);
    let claims = verified(&token, &issuer.jwks()).unwrap();
    let iat = claims["iat"].as_u64().unwrap();
    assert!((before..=super::now()).contains(&iat));
    assert_eq!(claims["nbf"].as_u64().unwrap(), iat - 600);
    assert_eq!(claims["exp"].as_u64().unwrap(), iat + 300);
    assert_eq!(claims["repository_id"], "74");
    assert_eq!(claims["repository_owner_id"], "65");
    assert_eq!(claims["sub"], "repo:octo-org/octo-repo:environment:prod");
    let header = json::object(&Compact::split(&token).unwrap().header_bytes().unwrap()).unwrap();
    let members: BTreeSet<_> = header.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["alg", "kid", "typ", "x5t"]));
    assert_eq!(header["alg"], "RS256");
    let ids: BTreeSet<_> = (0..50)
        .map(|_| verified(&issuer.github_token(&job), &issuer.jwks()).unwrap()["jti"].to_string())
        .collect();
    assert_eq!(
        ids.len(),
        50,
        "each token counts once, so each has its own id"
    );
}

#[tokio::test]
async fn anything_can_be_signed() {
    let issuer = OidcIssuer::start(OidcOptions {
        algorithm: TokenAlgorithm::EdDsa,
        ..OidcOptions::default()
    })
    .await
    .unwrap();
    let twice = issuer.sign_bytes(
        issuer.header().to_string().as_bytes(),
        br#"{"sub":"a","sub":"b"}"#,
    );
    let payload = Compact::split(&twice).unwrap().payload_bytes().unwrap();
    assert_eq!(payload, br#"{"sub":"a","sub":"b"}"#);
    let bare = issuer.sign_with(&value!({ "alg": "none" }), &value!({}));
    assert!(bare.starts_with("eyJhbGciOiJub25lIn0.e30."));
}

#[tokio::test]
async fn documents_are_cacheable_and_counted() {
    let tls = TlsAuthority::new().unwrap();
    let issuer = start(&tls).await;
    let client = super::http(&tls, None);
    let jwks_url = format!("{}/.well-known/jwks", issuer.url());
    let first = client.get(&jwks_url).send().await.unwrap();
    assert_eq!(first.headers()["cache-control"], "public, max-age=300");
    let etag = first.headers()["etag"].clone();
    let again = client
        .get(&jwks_url)
        .header("if-none-match", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    issuer.rotate().await.unwrap();
    let rotated = client
        .get(&jwks_url)
        .header("if-none-match", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(rotated.status(), 200);
    let counts = issuer.requests();
    assert_eq!(
        (counts.discovery, counts.jwks, counts.not_modified),
        (0, 3, 1)
    );
}

#[tokio::test]
async fn retired_keys_leave_the_set() {
    let issuer = OidcIssuer::start(OidcOptions {
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    })
    .await
    .unwrap();
    let old = issuer.token(value!({}));
    issuer.rotate().await.unwrap();
    verified(&old, &issuer.jwks()).unwrap();
    issuer.retire();
    assert_eq!(verified(&old, &issuer.jwks()), Err("unknown kid"));
    verified(&issuer.token(value!({})), &issuer.jwks()).unwrap();
}

#[tokio::test]
async fn hostile_answers() {
    let tls = TlsAuthority::new().unwrap();
    let issuer = start(&tls).await;
    let client = super::http(&tls, None);
    let discovery_url = format!("{}/.well-known/openid-configuration", issuer.url());
    let ask = |behaviour| {
        issuer.behave(DocumentKind::Discovery, behaviour);
        client.get(&discovery_url).send()
    };

    let redirect = ask(Behaviour::Redirect).await.unwrap();
    assert_eq!(redirect.status(), 302);
    let elsewhere = redirect.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(get(&client, &elsewhere).await["issuer"], issuer.url());
    assert_eq!(issuer.requests().followed, 1);

    let wrong = ask(Behaviour::WrongIssuer)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(
        json::object(&wrong).unwrap()["issuer"],
        format!("{}/", issuer.url())
    );
    assert_eq!(ask(Behaviour::ServerError).await.unwrap().status(), 500);
    for behaviour in [Behaviour::Garbage, Behaviour::DuplicateMembers] {
        let body = ask(behaviour).await.unwrap().bytes().await.unwrap();
        assert!(json::object(&body).is_err(), "{behaviour:?}");
    }

    let mut huge = ask(Behaviour::HugeBody).await.unwrap();
    let mut read = 0;
    while read < 8 * 1024 * 1024 {
        read += huge.chunk().await.unwrap().unwrap().len();
    }
    drop(huge);
    let slow = ask(Behaviour::SlowDrip).await.unwrap();
    let patience = Duration::from_millis(500);
    assert!(tokio::time::timeout(patience, slow.bytes()).await.is_err());
    assert!(
        tokio::time::timeout(patience, ask(Behaviour::Hang))
            .await
            .is_err()
    );

    let jwks = get(&client, &format!("{}/.well-known/jwks", issuer.url())).await;
    assert_eq!(
        jwks["keys"].as_array().unwrap().len(),
        1,
        "the other document stays honest"
    );
}

#[tokio::test]
async fn a_job_asks_for_its_token_as_on_the_platform() {
    let tls = TlsAuthority::new().unwrap();
    let issuer = start(&tls).await;
    let client = super::http(&tls, None);
    let runtime = issuer.github_runtime(GithubJob::default()).unwrap();
    let url = format!("{}&audience=https%3A%2F%2Fsts.example", runtime.request_url);
    let stranger = client.get(&url).bearer_auth("guess").send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let response = client
        .get(&url)
        .bearer_auth(&runtime.request_token)
        .send()
        .await
        .unwrap();
    let body = json::object(&response.bytes().await.unwrap()).unwrap();
    let claims = verified(body["value"].as_str().unwrap(), &issuer.jwks()).unwrap();
    assert_eq!(claims["aud"], "https://sts.example");
    assert_eq!(issuer.requests().id_tokens, 2);
    assert!(!format!("{runtime:?}").contains(&runtime.request_token));
}

#[tokio::test]
async fn issuers_may_have_a_path_and_end_when_stopped() {
    let tls = TlsAuthority::new().unwrap();
    let options = OidcOptions {
        tls: Some(&tls),
        issuer_path: "/tenant/1",
        host: "localhost",
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    };
    let issuer = OidcIssuer::start(options).await.unwrap();
    assert!(issuer.url().starts_with("https://localhost:") && issuer.url().ends_with("/tenant/1"));
    let client = super::http(&tls, None);
    let url = format!("{}/.well-known/openid-configuration", issuer.url());
    assert_eq!(get(&client, &url).await["issuer"], issuer.url());
    let address = issuer.address();
    issuer.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());

    let outside = OidcOptions {
        address: "0.0.0.0:0".parse().unwrap(),
        ..OidcOptions::default()
    };
    assert!(OidcIssuer::start(outside).await.is_err());
}
