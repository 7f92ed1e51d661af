//! Keys of issuers over the network: fetched, refetched, kept, and refused.

use std::time::Duration;

use dayfly_attest::{Attestor, JwksSource, OidcIssuerConfig, OidcIssuers, RefreshTiming};

use crate::idp::{Behaviour, Idp, jwks};
use crate::signer::{Signer, attest, code};
use crate::{NOW, attestor, no_bundles};

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) fn knowing(configs: Vec<OidcIssuerConfig>, timing: RefreshTiming) -> Attestor {
    attestor(
        no_bundles(),
        OidcIssuers::with_timing(configs, timing).unwrap(),
    )
}

pub(crate) fn knowing_one(idp: &Idp) -> Attestor {
    knowing(vec![idp.config("idp")], RefreshTiming::default())
}

#[tokio::test]
async fn first_token_fetches_once_however_many_there_are() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    idp.change(|behaviour| behaviour.delay = Some(MILLISECOND * 50));
    let attestor = knowing_one(&idp);
    assert_eq!(idp.requests(), 0);
    let token = signer.token(&idp.claims());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (attestor, token) = (attestor.clone(), token.clone());
        tasks.spawn(async move { code(&attestor, &token).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap(), "accepted");
    }
    assert_eq!((idp.discovery(), idp.jwks()), (1, 1));
    let status = &attestor.oidc_issuers().status()[0];
    assert!(status.ready && status.keys == 1 && status.fetches == 1 && status.last_error.is_none());
}

#[tokio::test]
async fn over_tls_with_a_private_ca() {
    let signer = Signer::new("RS256", "k1");
    let idp = Idp::start_tls(&[&signer], "localhost").await;
    let token = signer.token(&idp.claims());
    assert_eq!(code(&knowing_one(&idp), &token).await, "accepted");
    // Other CAs, the public ones among them, do not vouch for it.
    let other = Idp::start_tls(&[&signer], "localhost").await;
    let requests = idp.requests();
    for ca in [None, other.ca_pem.clone()] {
        let mut config = idp.config("idp");
        config.ca_pem = ca.map(String::into_bytes);
        let attestor = knowing(vec![config], RefreshTiming::default());
        let refused = attest(&attestor, &token, NOW).await.unwrap_err();
        assert!(refused.is_unavailable(), "{refused}");
    }
    assert_eq!(idp.requests(), requests);
    let misnamed = Idp::start_tls(&[&signer], "elsewhere.example").await;
    let token = signer.token(&misnamed.claims());
    assert_eq!(
        code(&knowing_one(&misnamed), &token).await,
        "issuer_unavailable"
    );
    assert_eq!(misnamed.requests(), 0);
}

#[tokio::test]
async fn rotation_is_noticed_by_the_first_token_of_the_new_key() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    let idp = Idp::start(&[&old]).await;
    let attestor = knowing_one(&idp);
    assert_eq!(code(&attestor, &old.token(&idp.claims())).await, "accepted");
    idp.publish(&[&new]);
    assert_eq!(code(&attestor, &new.token(&idp.claims())).await, "accepted");
    assert_eq!((idp.discovery(), idp.jwks()), (1, 2));
    // The old key is gone, and asking again has to wait.
    assert_eq!(
        code(&attestor, &old.token(&idp.claims())).await,
        "unknown_kid"
    );
    assert_eq!(idp.jwks(), 2);
}

#[tokio::test]
async fn made_up_kids_cause_one_fetch_per_cooldown() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    let attestor = knowing_one(&idp);
    assert_eq!(
        code(&attestor, &signer.token(&idp.claims())).await,
        "accepted"
    );
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let header = format!("{{\"alg\":\"ES256\",\"kid\":\"random {n}\"}}");
        let token = signer.sign(&header, &idp.claims().to_string());
        let attestor = attestor.clone();
        tasks.spawn(async move { code(&attestor, &token).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome.unwrap();
        assert!(
            ["unknown_kid", "issuer_unavailable"].contains(&outcome),
            "{outcome}"
        );
    }
    assert_eq!((idp.discovery(), idp.jwks()), (1, 2));
    assert_eq!(
        code(&attestor, &signer.token(&idp.claims())).await,
        "accepted"
    );
    assert_eq!(idp.jwks(), 2);
}

#[tokio::test]
async fn a_flood_does_not_hide_a_slow_issuer_from_others() {
    let (slow_key, fast_key) = (Signer::new("ES256", "k1"), Signer::new("ES256", "k1"));
    let (slow, fast) = (
        Idp::start(&[&slow_key]).await,
        Idp::start(&[&fast_key]).await,
    );
    slow.change(|behaviour| behaviour.delay = Some(MILLISECOND * 300));
    let attestor = knowing(
        vec![slow.config("slow"), fast.config("fast")],
        RefreshTiming::default(),
    );
    let token = slow_key.token(&slow.claims());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (attestor, token) = (attestor.clone(), token.clone());
        tasks.spawn(async move { code(&attestor, &token).await });
    }
    tokio::task::yield_now().await;
    assert_eq!(
        code(&attestor, &fast_key.token(&fast.claims())).await,
        "accepted"
    );
    let mut accepted = 0;
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            "accepted" => accepted += 1,
            other => assert_eq!(other, "issuer_unavailable"),
        }
    }
    assert_eq!(accepted, 64, "so many may wait");
    assert_eq!(slow.jwks(), 1);
}

#[tokio::test]
async fn documents_of_another_issuer_are_refused() {
    let signer = Signer::new("ES256", "k1");
    for change in [
        |url: &str| format!("{url}/"),
        |url: &str| url.replace("127.0.0.1", "localhost"),
        |_: &str| "https://accounts.example".to_owned(),
        |_: &str| String::new(),
    ] {
        let idp = Idp::start(&[&signer]).await;
        let other = change(idp.url());
        idp.change(|behaviour| behaviour.issuer = Some(other.clone()));
        let refused = attest(&knowing_one(&idp), &signer.token(&idp.claims()), NOW)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "issuer_unavailable", "{other}");
        assert!(refused.is_unavailable());
        assert_eq!((idp.discovery(), idp.jwks()), (1, 0), "{other}");
    }
}

#[tokio::test]
async fn a_trailing_slash_belongs_to_the_identifier() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    let identifier = format!("{}/", idp.url());
    idp.change(|behaviour| behaviour.issuer = Some(identifier.clone()));
    let mut config = idp.config("idp");
    config.issuer.clone_from(&identifier);
    let attestor = knowing(vec![config], RefreshTiming::default());
    let mut claims = idp.claims();
    assert_eq!(
        code(&attestor, &signer.token(&claims)).await,
        "unknown_issuer"
    );
    claims["iss"] = serde_json::json!(identifier);
    assert_eq!(code(&attestor, &signer.token(&claims)).await, "accepted");
    assert_eq!(idp.other(), 0, "one slash before .well-known");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let signer = Signer::new("ES256", "k1");
    let target = Idp::start(&[&signer]).await;
    for status in [301, 302, 303, 307, 308] {
        let idp = Idp::start(&[&signer]).await;
        let path = "/.well-known/openid-configuration";
        let location = format!("{}{path}", target.url());
        idp.change(|behaviour| behaviour.status = Some((status, location)));
        let token = signer.token(&idp.claims());
        assert_eq!(code(&knowing_one(&idp), &token).await, "issuer_unavailable");
        let keys = format!("{}/keys", target.url());
        idp.change(|behaviour| {
            behaviour.status = None;
            behaviour.jwks_status = Some((status, keys));
        });
        assert_eq!(code(&knowing_one(&idp), &token).await, "issuer_unavailable");
    }
    assert_eq!(target.requests(), 0);
}

/// What is wrong with an answer.
type Change = Box<dyn Fn(&mut Behaviour)>;

#[tokio::test]
async fn bad_answers_are_refused() {
    let signer = Signer::new("ES256", "k1");
    let good = jwks(&[&signer]);
    let twice = good
        .to_string()
        .replacen("\"keys\"", "\"keys\":[],\"keys\"", 1);
    let many: Vec<_> = (0..65).map(|_| signer.jwk()).collect();
    let changes: Vec<(&str, Change)> = vec![
        (
            "too long",
            Box::new(|answer| answer.raw = Some(vec![b' '; 300 * 1024])),
        ),
        ("endless", Box::new(|answer| answer.endless = true)),
        ("empty", Box::new(|answer| answer.raw = Some(Vec::new()))),
        (
            "no JSON",
            Box::new(|answer| answer.raw = Some(b"<html>".to_vec())),
        ),
        (
            "a list",
            Box::new(|answer| answer.raw = Some(b"[]".to_vec())),
        ),
        (
            "no keys",
            Box::new(|answer| answer.raw = Some(b"{}".to_vec())),
        ),
        (
            "keys no list",
            Box::new(|answer| answer.raw = Some(b"{\"keys\":{}}".to_vec())),
        ),
        (
            "keys twice",
            Box::new(move |answer| answer.raw = Some(twice.clone().into_bytes())),
        ),
        (
            "65 keys",
            Box::new(move |answer| answer.jwks = serde_json::json!({"keys": many})),
        ),
        (
            "deep",
            Box::new(|answer| {
                answer.raw = Some(format!("{{\"keys\":{}", "[".repeat(100_000)).into_bytes())
            }),
        ),
        (
            "500",
            Box::new(|answer| answer.jwks_status = Some((500, String::new()))),
        ),
        (
            "404",
            Box::new(|answer| answer.jwks_status = Some((404, String::new()))),
        ),
        (
            "204",
            Box::new(|answer| answer.jwks_status = Some((204, String::new()))),
        ),
        (
            "compressed",
            Box::new(|answer| answer.encoding = Some("gzip")),
        ),
        ("drop by drop", Box::new(|answer| answer.drip = true)),
        (
            "304 unasked",
            Box::new(|answer| answer.jwks_status = Some((304, String::new()))),
        ),
    ];
    for (name, change) in changes {
        let idp = Idp::start(&[&signer]).await;
        idp.change(change);
        let token = signer.token(&idp.claims());
        let timing = RefreshTiming {
            fetch_timeout: MILLISECOND * 1_000,
            ..RefreshTiming::default()
        };
        assert_eq!(
            code(&knowing(vec![idp.config("idp")], timing), &token).await,
            "issuer_unavailable",
            "{name}"
        );
        assert_eq!(idp.jwks(), 1, "{name}");
    }
}

#[tokio::test]
async fn keys_are_fetched_from_acceptable_places_only() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start_tls(&[&signer], "localhost").await;
    let plain = Idp::start(&[&signer]).await;
    let token = signer.token(&idp.claims());
    for jwks_uri in [
        format!("{}/keys", plain.url()),
        "file:///etc/passwd".to_owned(),
        "data:application/json,{\"keys\":[]}".to_owned(),
        "ftp://localhost/keys".to_owned(),
        format!(
            "{}/keys",
            idp.url().replace("https://", "https://user:secret@")
        ),
        format!("{}/keys#x", idp.url()),
        format!("{}\\keys", idp.url()),
        "/keys".to_owned(),
        String::new(),
    ] {
        idp.change(|behaviour| behaviour.jwks_uri = Some(jwks_uri.clone()));
        assert_eq!(
            code(&knowing_one(&idp), &token).await,
            "issuer_unavailable",
            "{jwks_uri}"
        );
    }
    assert_eq!((plain.requests(), idp.jwks()), (0, 0));
    // On another host is allowed: Google does it.
    let elsewhere = Idp::start_tls(&[&signer], "localhost").await;
    let mut config = idp.config("idp");
    let both = format!(
        "{}{}",
        idp.ca_pem.clone().unwrap(),
        elsewhere.ca_pem.clone().unwrap()
    );
    config.ca_pem = Some(both.into_bytes());
    idp.change(|behaviour| behaviour.jwks_uri = Some(format!("{}/keys", elsewhere.url())));
    let attestor = knowing(vec![config], RefreshTiming::default());
    assert_eq!(code(&attestor, &token).await, "accepted");
    assert_eq!((idp.jwks(), elsewhere.jwks()), (0, 1));
}

#[test]
fn authorities_have_to_be_certificates() {
    for pem in [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let mut config = crate::signer::corp();
        config.ca_pem = Some(pem.as_bytes().to_vec());
        assert!(OidcIssuers::new(vec![config]).is_err(), "{pem}");
    }
}

#[tokio::test]
async fn private_places_need_leave() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start_tls(&[&signer], "localhost").await;
    let mut config = idp.config("idp");
    config.allow_private = false;
    assert!(
        OidcIssuers::new(vec![config.clone()]).is_err(),
        "the issuer itself"
    );
    config.issuer = "https://idp.example".to_owned();
    config.jwks = JwksSource::Url(format!("{}/keys", idp.url()).parse().unwrap());
    assert!(OidcIssuers::new(vec![config]).is_err(), "its keys");
    assert_eq!(idp.requests(), 0);
}

#[tokio::test]
async fn keys_may_have_a_url_of_their_own() {
    let signer = Signer::new("ES256", "k1");
    let idp = Idp::start(&[&signer]).await;
    let mut config = idp.config("idp");
    config.jwks = JwksSource::Url(format!("{}/keys", idp.url()).parse().unwrap());
    let attestor = knowing(vec![config], RefreshTiming::default());
    assert_eq!(
        code(&attestor, &signer.token(&idp.claims())).await,
        "accepted"
    );
    assert_eq!((idp.discovery(), idp.jwks()), (0, 1));
}

#[tokio::test]
async fn strangers_cause_no_request() {
    let signer = Signer::new("ES256", "k1");
    let (idp, stranger) = (Idp::start(&[&signer]).await, Idp::start(&[&signer]).await);
    let attestor = knowing_one(&idp);
    let token = signer.token(&stranger.claims());
    assert_eq!(code(&attestor, &token).await, "unknown_issuer");
    // Nor do tokens of a known issuer that cannot be any good.
    let header = "{\"alg\":\"ES256\",\"kid\":\"k1\",\"jku\":\"http://127.0.0.1:1/\"}";
    let token = signer.sign(header, &idp.claims().to_string());
    assert_eq!(code(&attestor, &token).await, "forbidden_header");
    assert_eq!((idp.requests(), stranger.requests()), (0, 0));
}
