use std::time::Duration;

use dayfly_client::{ExchangeRequest, Secret, Source, TokenRequest};
use serde_json::json;

use crate::stage::{AUDIENCE, Answer, METADATA, Stage, TOKEN, identity, metadata, token_answer};

#[tokio::test]
async fn client_credentials_with_an_svid() {
    let stage = Stage::new().await;
    let svid = stage.svid("/payments/deploy");
    let client = stage.client().identity(identity(&svid)).build().unwrap();
    let request = TokenRequest::new(AUDIENCE)
        .scope("deploy:write")
        .task("deploy-4711")
        .purpose("release 1.4");
    let token = client.token(&request).await.unwrap();
    assert_eq!(token.secret().expose(), "eyJ.granted.token");
    assert_eq!(token.token_type(), "Bearer");
    assert_eq!(token.scopes(), ["deploy:write"]);
    assert_eq!(token.decision_id(), Some("QAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(token.expires_at().seconds_since(token.obtained_at()), 300);

    let [asked] = &stage.seen(TOKEN)[..] else {
        panic!("one request")
    };
    assert_eq!(asked.method, "POST");
    assert_eq!(
        asked.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(asked.header("authorization"), None);
    assert!(
        asked
            .header("user-agent")
            .unwrap()
            .starts_with("dayfly-client/")
    );
    assert_eq!(
        asked.peer.as_deref(),
        Some("spiffe://prod.example/payments/deploy")
    );
    assert_eq!(
        asked.body,
        "grant_type=client_credentials&client_id=spiffe%3A%2F%2Fprod.example%2Fpayments%2Fdeploy&\
         audience=https%3A%2F%2Fpayments.internal&scope=deploy%3Awrite&task=deploy-4711&purpose=release+1.4"
    );
}

#[tokio::test]
async fn jwt_bearer_with_an_oidc_token() {
    let stage = Stage::new().await;
    let client = stage
        .client()
        .source(Source::token("eyJ.oidc.token".to_owned()))
        .build()
        .unwrap();
    let request = TokenRequest::new(AUDIENCE)
        .rule("gh-deploy")
        .requested_ttl(Duration::from_secs(60));
    client.token(&request).await.unwrap();
    let [asked] = &stage.seen(TOKEN)[..] else {
        panic!("one request")
    };
    assert_eq!(asked.peer, None);
    assert_eq!(
        asked.body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=eyJ.oidc.token&\
         audience=https%3A%2F%2Fpayments.internal&rule=gh-deploy&requested_ttl=60"
    );
}

#[tokio::test]
async fn a_certificate_beside_an_oidc_token_is_no_evidence() {
    let stage = Stage::new().await;
    let svid = stage.svid("/payments/runner");
    let client = stage
        .client()
        .identity(identity(&svid))
        .source(Source::token("eyJ.oidc.token".to_owned()))
        .build()
        .unwrap();
    client.token(&TokenRequest::new(AUDIENCE)).await.unwrap();
    let [asked] = &stage.seen(TOKEN)[..] else {
        panic!("one request")
    };
    assert!(
        asked.peer.is_some(),
        "it is the key that the token is bound to"
    );
    assert!(
        !asked.body.contains("client_id"),
        "naming it would make it evidence"
    );
}

#[tokio::test]
async fn exchange_for_less() {
    let stage = Stage::new().await;
    let client = stage.client().build().unwrap();
    let parent = Secret::new("eyJ.parent.token");
    let request = ExchangeRequest::new()
        .scope("deploy:read")
        .requested_ttl(Duration::from_secs(45));
    client.exchange(&parent, &request).await.unwrap();
    let [asked] = &stage.seen(TOKEN)[..] else {
        panic!("one request")
    };
    assert_eq!(
        asked.body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=eyJ.parent.token&\
         subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&scope=deploy%3Aread&\
         requested_ttl=45"
    );
}

#[tokio::test]
async fn revoke_what_one_has() {
    let stage = Stage::new().await;
    stage.script.always("/oauth2/revoke", |_| Answer {
        status: 200,
        headers: vec![],
        body: String::new(),
    });
    let client = stage.client().build().unwrap();
    client.revoke(&Secret::new("eyJ.a.token")).await.unwrap();
    let [asked] = &stage.seen("/oauth2/revoke")[..] else {
        panic!("one request")
    };
    assert_eq!(asked.body, "token=eyJ.a.token&token_type_hint=access_token");
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn end_ones_own_task() {
    let stage = Stage::new().await;
    let path = "/v1/tasks/payments/deploy-4711/complete";
    stage.script.always(path, |_| {
        Answer::json(
            200,
            &json!({ "task": "payments/deploy-4711", "state": "completed" }),
        )
    });
    let client = stage.client().build().unwrap();
    let task = "payments/deploy-4711".parse().unwrap();
    let state = client
        .complete_task(&task, &Secret::new("eyJ.a.token"))
        .await
        .unwrap();
    assert_eq!(state.state, "completed");
    let [asked] = &stage.seen(path)[..] else {
        panic!("one request")
    };
    assert_eq!((asked.method.as_str(), asked.body.as_str()), ("POST", ""));
    assert_eq!(asked.header("authorization"), Some("Bearer eyJ.a.token"));
}

#[tokio::test]
async fn metadata_are_fetched_once() {
    let stage = Stage::new().await;
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    for _ in 0..3 {
        client
            .clone()
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap();
    }
    assert_eq!(stage.seen(METADATA).len(), 1);
    assert_eq!(stage.seen(TOKEN).len(), 3);
    assert_eq!(client.metadata().await.unwrap().issuer, stage.issuer);
}

#[tokio::test]
async fn callers_with_a_certificate_take_the_alias() {
    let stage = Stage::new().await;
    let mut document = metadata(&stage.issuer);
    document["mtls_endpoint_aliases"] =
        json!({ "token_endpoint": format!("{}/mtls/oauth2/token", stage.issuer) });
    stage
        .script
        .always(METADATA, move |_| Answer::json(200, &document));
    stage
        .script
        .always("/mtls/oauth2/token", |_| token_answer("eyJ.by.alias", 300));
    let svid = stage.svid("/payments/deploy");
    let with = stage.client().identity(identity(&svid)).build().unwrap();
    assert_eq!(
        with.token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap()
            .secret()
            .expose(),
        "eyJ.by.alias"
    );
    let without = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    assert_eq!(
        without
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap()
            .secret()
            .expose(),
        "eyJ.granted.token"
    );
}
