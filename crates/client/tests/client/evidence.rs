use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dayfly_client::{
    ClientError, GithubActions, OidcSource, RetryPolicy, Secret, Source, TokenRequest,
};
use dayfly_lab::{
    GithubJob, OidcIssuer, OidcOptions, Svid, SvidParams, TlsAuthority, TokenAlgorithm,
};
use dayfly_token::{Compact, json};

use crate::stage::{AUDIENCE, Answer, Stage, TOKEN, identity};

fn write(dir: &Path, svid: &Svid) {
    fs::write(dir.join("svid.pem"), &svid.cert_chain_pem).unwrap();
    fs::write(dir.join("svid_key.pem"), &svid.key_pem).unwrap();
}

fn files(dir: &Path) -> Source {
    Source::svid(dir.join("svid.pem"), dir.join("svid_key.pem"))
}

#[tokio::test]
async fn svid_files_are_read_again_when_they_change() {
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let client = stage.client().source(files(dir.path())).build().unwrap();
    let request = TokenRequest::new(AUDIENCE);
    let early = client.token(&request).await.unwrap_err();
    assert!(
        matches!(early, ClientError::EvidenceFile { .. }),
        "{early:?}"
    );

    write(dir.path(), &stage.svid("/payments/deploy"));
    client.token(&request).await.unwrap();
    client.token(&request).await.unwrap();
    let next = stage.svid("/payments/deploy-2");
    write(dir.path(), &next);
    client.token(&request).await.unwrap();
    let peers: Vec<_> = stage
        .seen(TOKEN)
        .into_iter()
        .map(|seen| seen.peer.unwrap())
        .collect();
    let id = |path: &str| format!("spiffe://prod.example{path}");
    assert_eq!(
        peers,
        [
            id("/payments/deploy"),
            id("/payments/deploy"),
            id("/payments/deploy-2")
        ]
    );
}

#[tokio::test]
async fn a_half_written_svid_leaves_the_last_good_one() {
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let client = stage.client().source(files(dir.path())).build().unwrap();
    let first = stage.svid("/payments/deploy");
    write(dir.path(), &first);
    let request = TokenRequest::new(AUDIENCE);
    client.token(&request).await.unwrap();

    let next = stage.svid("/payments/deploy-2");
    fs::write(dir.path().join("svid.pem"), &next.cert_chain_pem).unwrap();
    client.token(&request).await.unwrap();
    fs::write(dir.path().join("svid_key.pem"), "-----BEGIN PRIV").unwrap();
    client.token(&request).await.unwrap();
    fs::remove_file(dir.path().join("svid_key.pem")).unwrap();
    client.token(&request).await.unwrap();
    write(dir.path(), &next);
    client.token(&request).await.unwrap();
    let peers: Vec<_> = stage
        .seen(TOKEN)
        .into_iter()
        .map(|seen| seen.peer.unwrap())
        .collect();
    assert!(
        peers[..4].iter().all(|peer| peer == &first.spiffe_id),
        "{peers:?}"
    );
    assert_eq!(peers[4], next.spiffe_id);
}

#[tokio::test]
async fn what_is_no_svid_is_no_evidence() {
    let stage = Stage::new().await;
    let params = SvidParams::new("spiffe://prod.example/a", 600);
    let two = SvidParams {
        uris: vec![
            "spiffe://prod.example/a".into(),
            "spiffe://prod.example/b".into(),
        ],
        ..params.clone()
    };
    let none = SvidParams {
        uris: vec![],
        dns_names: vec!["a.internal".into()],
        ..params
    };
    for params in [two, none] {
        let svid = stage.spiffe.svid_with(&params).unwrap();
        let client = stage
            .client()
            .retry(RetryPolicy::NONE)
            .identity(identity(&svid))
            .build()
            .unwrap();
        let refused = client
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap_err();
        // The stage's own handshake refuses it as well; either way nothing is asked for.
        assert!(
            matches!(
                refused,
                ClientError::EvidenceMissing { .. } | ClientError::Http { .. }
            ),
            "{refused:?}"
        );
    }
    let nothing = stage
        .client()
        .build()
        .unwrap()
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(nothing.to_string().contains("set a source"), "{nothing}");
    assert_eq!(stage.seen(TOKEN).len(), 0);
}

#[tokio::test]
async fn a_job_presents_a_fresh_token_with_every_attempt() {
    let stage = Stage::new().await;
    let platform_tls = TlsAuthority::new().unwrap();
    let options = OidcOptions {
        tls: Some(&platform_tls),
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    };
    let platform = OidcIssuer::start(options).await.unwrap();
    let runtime = platform.github_runtime(GithubJob::default()).unwrap();
    let github = GithubActions::new(&runtime.request_url, runtime.request_token.clone())
        .ca_pem(platform_tls.ca_pem());
    let client = stage
        .client()
        .source(Source::Oidc(OidcSource::Github(github)))
        .build()
        .unwrap();
    stage.script.once(TOKEN, Answer::unavailable("0"));
    client.token(&TokenRequest::new(AUDIENCE)).await.unwrap();

    let assertions: Vec<_> = stage
        .seen(TOKEN)
        .iter()
        .map(|seen| assertion(&seen.body))
        .collect();
    assert_eq!(assertions.len(), 2);
    let claims = |token: &str| {
        json::object(&Compact::split(token).unwrap().payload_bytes().unwrap()).unwrap()
    };
    let (first, second) = (claims(&assertions[0]), claims(&assertions[1]));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(
        first["aud"],
        stage.issuer.as_str(),
        "the audience is the issuer"
    );
    assert_eq!(platform.requests().id_tokens, 2);
}

#[tokio::test]
async fn a_platform_that_refuses_is_named_without_its_secrets() {
    let stage = Stage::new().await;
    let platform_tls = TlsAuthority::new().unwrap();
    let options = OidcOptions {
        tls: Some(&platform_tls),
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    };
    let platform = OidcIssuer::start(options).await.unwrap();
    let runtime = platform.github_runtime(GithubJob::default()).unwrap();
    let github = GithubActions::new(&runtime.request_url, "stolen-request-token".to_owned())
        .ca_pem(platform_tls.ca_pem());
    let client = stage
        .client()
        .source(Source::Oidc(OidcSource::Github(github)))
        .build()
        .unwrap();
    let refused = client
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ClientError::EvidenceRefused { status: 401, .. }),
        "{refused:?}"
    );
    for text in [
        refused.to_string(),
        format!("{refused:?}"),
        format!("{client:?}"),
    ] {
        assert!(!text.contains("stolen-request-token"), "{text}");
    }
    let plain = GithubActions::new("http://127.0.0.1:9/idtoken", "t".to_owned());
    let client = stage
        .client()
        .source(Source::Oidc(OidcSource::Github(plain)))
        .build()
        .unwrap();
    let refused = client
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ClientError::Unencrypted { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_callback_is_asked_each_time() {
    let stage = Stage::new().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let source = Source::callback(move |_| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Secret::new(format!("eyJ.o.{number}"))) }
    });
    let client = stage.client().source(source).build().unwrap();
    stage.script.once(TOKEN, Answer::unavailable("0"));
    client.token(&TokenRequest::new(AUDIENCE)).await.unwrap();
    let assertions: Vec<_> = stage
        .seen(TOKEN)
        .iter()
        .map(|seen| assertion(&seen.body))
        .collect();
    assert_eq!(assertions, ["eyJ.o.0", "eyJ.o.1"]);

    let broken = Source::callback(|_| async { Err("no metadata server".into()) });
    let client = stage.client().source(broken).build().unwrap();
    let error = client
        .token(&TokenRequest::new(AUDIENCE))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no metadata server"), "{error}");
}

fn assertion(body: &str) -> String {
    body.split('&')
        .find_map(|pair| pair.strip_prefix("assertion="))
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn endless_files_are_no_evidence() {
    let stage = Stage::new().await;
    let zero = "/dev/zero";
    for source in [Source::file(zero), Source::svid(zero, zero)] {
        let client = stage.client().source(source).build().unwrap();
        let refused = client
            .token(&TokenRequest::new(AUDIENCE))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, ClientError::EvidenceFile { .. }),
            "{refused:?}"
        );
    }
}
