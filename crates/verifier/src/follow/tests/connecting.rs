use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::pki::Pki;
use super::sts::{AUDIENCE, Sts, until, verify};
use crate::fetch::{FetchError, FetchOptions, Fetcher};
use crate::follow::ConnectError;
use crate::{BuildError, Freshness, RejectionCode, RevocationSource, Verifier};

#[tokio::test]
async fn a_verifier_that_comes_out_is_ready() {
    let sts = Sts::start().await;
    sts.publish_metadata(|metadata| metadata["dayfly_max_lifetime"] = json!(600));
    let verifier = sts.follower().build().await.unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap().freshness(),
        Freshness::Fresh
    );
    assert_eq!(verifier.max_lifetime_secs(), 600);
    let long = sts
        .authority
        .token(AUDIENCE)
        .ttl_secs(601)
        .mint(crate::rim::now())
        .unwrap();
    assert_eq!(
        verify(&verifier, &long).unwrap_err(),
        RejectionCode::LifetimeTooLong
    );
}

#[tokio::test]
async fn the_task_ends_with_the_last_clone() {
    let sts = Sts::start().await;
    let verifier = sts.verifier().await;
    let clone = verifier.clone();
    drop(verifier);
    sts.send_raw(": still there?\n");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sts.open_streams(), 1);
    drop(clone);
    until("the stream is closed", || {
        sts.send_raw(": still there?\n");
        sts.open_streams() == 0
    })
    .await;
}

#[tokio::test]
async fn without_revocations_only_keys_are_followed() {
    let sts = Sts::start().await;
    let without_feed = |metadata: &mut serde_json::Value| {
        metadata
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !name.starts_with("dayfly"));
    };
    sts.publish_metadata(without_feed);
    assert!(matches!(
        sts.follower().build().await,
        Err(ConnectError::NoFeed)
    ));
    let verifier = sts
        .follower()
        .revocation(RevocationSource::None)
        .build()
        .await
        .unwrap();
    assert_eq!(
        verify(&verifier, &sts.token()).unwrap().freshness(),
        Freshness::Unknown
    );
    assert_eq!((sts.asked("/v1/"), sts.asked("/jwks")), (0, 1));
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let sts = Sts::start().await;
    let no_audience = Verifier::from_issuer(sts.url())
        .ca_pem(sts.pki.ca_pem())
        .build()
        .await;
    assert!(matches!(
        no_audience,
        Err(ConnectError::Build {
            source: BuildError::AudienceMissing
        })
    ));
    for (path, what) in [
        ("/jwks", "keys"),
        ("/v1/trust", "feed keys"),
        ("/v1/feed", "revocation snapshot"),
        ("/.well-known/oauth-authorization-server", "metadata"),
    ] {
        let sts = Sts::start().await;
        sts.publish_answer(path, StatusCode::SERVICE_UNAVAILABLE, &[], b"");
        match sts.follower().build().await {
            Err(ConnectError::Fetch {
                what: found,
                url,
                source: FetchError::Status { status: 503 },
            }) => {
                assert_eq!(found, what);
                assert!(url.ends_with(path), "{url}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn documents_of_another_issuer_or_origin() {
    let sts = Sts::start().await;
    assert!(sts.follower().build().await.is_ok());
    sts.publish_metadata(|metadata| metadata["issuer"] = json!("https://other.example"));
    assert!(matches!(
        sts.follower().build().await,
        Err(ConnectError::IssuerMismatch { .. })
    ));
    for member in ["jwks_uri", "dayfly_trust_uri", "dayfly_feed_uri"] {
        sts.publish_metadata(|metadata| metadata[member] = json!("https://127.0.0.1:1/x"));
        assert!(
            matches!(
                sts.follower().build().await,
                Err(ConnectError::Origin { .. })
            ),
            "{member}"
        );
    }
    // The slash at the end is another name.
    let slash = Verifier::from_issuer(format!("{}/", sts.url()))
        .audience(AUDIENCE)
        .ca_pem(sts.pki.ca_pem());
    sts.publish_metadata(|_| ());
    assert!(matches!(
        slash.build().await,
        Err(ConnectError::IssuerMismatch { .. })
    ));
}

#[tokio::test]
async fn documents_that_are_refused() {
    let sts = Sts::start().await;
    let good = sts
        .authority
        .snapshot("1-0", vec![], crate::rim::now())
        .unwrap();
    let stranger = crate::testing::TestAuthority::from_seed(sts.url(), [2; 32]).unwrap();
    let unsigned = stranger.snapshot("1-0", vec![], crate::rim::now()).unwrap();
    let piece = sts.statement("0-0", "1-0", &[]);
    for (path, bad) in [
        ("/jwks", "{}"),
        ("/jwks", "{\"keys\":[],\"keys\":[]}"),
        ("/v1/trust", "[]"),
        ("/v1/feed", "x"),
        ("/v1/feed", &unsigned),
        ("/v1/feed", &piece),
        ("/.well-known/oauth-authorization-server", "{\"issuer\":1}"),
    ] {
        let sts = Sts::start().await;
        sts.publish_answer(path, StatusCode::OK, &[], bad.as_bytes());
        let refused = sts.follower().build().await;
        assert!(
            matches!(
                refused,
                Err(ConnectError::Keys { .. }
                    | ConnectError::Feed { .. }
                    | ConnectError::Metadata { .. })
            ),
            "{path} {bad} {refused:?}"
        );
    }
    sts.publish_answer(
        "/v1/feed",
        StatusCode::OK,
        &[],
        format!("{good}\n").as_bytes(),
    );
    assert!(
        sts.follower().build().await.is_ok(),
        "a line feed at the end is no part of the statement"
    );
}

#[tokio::test]
async fn tls_to_the_issuer_is_verified() {
    let sts = Sts::start().await;
    let other_ca = Verifier::from_issuer(sts.url())
        .audience(AUDIENCE)
        .ca_pem(Pki::new().ca_pem());
    assert!(matches!(
        other_ca.build().await,
        Err(ConnectError::Fetch { .. })
    ));
    let wrong_name = sts.url().replace("localhost", "127.0.0.1");
    let wrong_name = Verifier::from_issuer(wrong_name)
        .audience(AUDIENCE)
        .ca_pem(sts.pki.ca_pem());
    assert!(matches!(
        wrong_name.build().await,
        Err(ConnectError::Fetch { .. })
    ));
    for pem in ["", "garbage"] {
        let no_ca = Verifier::from_issuer(sts.url())
            .audience(AUDIENCE)
            .ca_pem(pem);
        assert!(matches!(
            no_ca.build().await,
            Err(ConnectError::Client {
                source: FetchError::Authorities { .. },
            })
        ));
    }
    let plain = Verifier::from_issuer("http://localhost:1").audience(AUDIENCE);
    assert!(matches!(
        plain.build().await,
        Err(ConnectError::Issuer { .. })
    ));
}

#[tokio::test]
async fn a_get_is_bounded() {
    let sts = Sts::start().await;
    let fetcher = Fetcher::new(FetchOptions {
        ca_pem: Some(sts.pki.ca_pem().into_bytes()),
        max_bytes: 1000,
        ..FetchOptions::default()
    })
    .unwrap();
    let get = async |path: &str| {
        fetcher
            .get(&format!("{}{path}", sts.url()).parse().unwrap(), None)
            .await
    };
    sts.publish_answer(
        "/fits",
        StatusCode::OK,
        &[("etag", "\"a\""), ("cache-control", "max-age=30")],
        &[b'x'; 1000],
    );
    let fetched = get("/fits").await.unwrap();
    assert_eq!(
        (fetched.body.len(), fetched.etag.as_deref(), fetched.max_age),
        (1000, Some("\"a\""), Some(30))
    );
    sts.publish_answer("/long", StatusCode::OK, &[], &[b'x'; 1001]);
    assert!(matches!(
        get("/long").await,
        Err(FetchError::TooLong { limit: 1000 })
    ));
    sts.publish_answer(
        "/packed",
        StatusCode::OK,
        &[("content-encoding", "gzip")],
        b"x",
    );
    assert!(matches!(get("/packed").await, Err(FetchError::Encoded)));
    for status in [301, 302, 307, 308] {
        sts.publish_answer(
            "/moved",
            StatusCode::from_u16(status).unwrap(),
            &[("location", "/fits")],
            b"",
        );
        assert!(
            matches!(get("/moved").await, Err(FetchError::Status { status: found }) if found == status)
        );
    }
    sts.publish_answer("/unasked", StatusCode::NOT_MODIFIED, &[], b"");
    assert!(matches!(
        get("/unasked").await,
        Err(FetchError::Status { status: 304 })
    ));
    assert!(matches!(
        get("/nowhere").await,
        Err(FetchError::Status { status: 404 })
    ));
    assert_eq!(sts.asked("/fits"), 1, "no redirect was followed");
}

/// An endless body, an endless head, and silence: by plain HTTP, which the limits do not depend on.
#[tokio::test]
async fn slow_and_endless_answers_end() {
    for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nx: ", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    while !answer.is_empty() && stream.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        let options = FetchOptions {
            timeout: Duration::from_millis(300),
            allow_http: true,
            ..FetchOptions::default()
        };
        let fetcher = Fetcher::new(options).unwrap();
        assert!(
            matches!(
                fetcher.get(&url, None).await,
                Err(FetchError::TimedOut { .. })
            ),
            "{answer:?}"
        );
        let small = fetcher.with_limits(20, Duration::from_secs(10));
        let ended = tokio::time::timeout(Duration::from_secs(1), small.get(&url, None)).await;
        assert_eq!(
            matches!(ended, Ok(Err(FetchError::TooLong { .. }))),
            answer.ends_with("\r\n\r\n"),
            "{answer:?} {ended:?}"
        );
    }
}
