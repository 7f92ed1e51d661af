use std::time::Duration;

use dayfly_lab::{ClientBundle, SampleApi, SampleApiOptions, SpiffeCa, TlsAuthority};
use dayfly_token::{Confirmation, SpiffeId, UnixTime};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{RevocationSource, Verifier};
use serde_json::Value;

const AUDIENCE: &str = "https://payments.internal";

struct Stage {
    authority: TestAuthority,
    tls: TlsAuthority,
    spiffe: SpiffeCa,
    api: SampleApi,
    verifier: Verifier,
}

impl Stage {
    async fn new() -> Self {
        let authority = TestAuthority::from_seed("https://sts.example", [7; 32]).unwrap();
        let verifier = authority
            .verifier(AUDIENCE)
            .revocation(RevocationSource::None)
            .build()
            .unwrap();
        let tls = TlsAuthority::new().unwrap();
        let spiffe = SpiffeCa::with_intermediate("prod.example").unwrap();
        let bundle_pem = spiffe.bundle_pem();
        let bundles = [ClientBundle {
            trust_domain: "prod.example",
            pem: &bundle_pem,
        }];
        let options = SampleApiOptions::new(verifier.clone(), &tls).client_bundles(&bundles);
        let api = SampleApi::start(options).await.unwrap();
        Self {
            authority,
            tls,
            spiffe,
            api,
            verifier,
        }
    }

    async fn get(
        &self,
        client: &reqwest::Client,
        path: &str,
        token: &str,
    ) -> (u16, Option<String>, Value) {
        let response = client
            .get(format!("{}{path}", self.api.url()))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        let challenge = response
            .headers()
            .get("www-authenticate")
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (
            status,
            challenge,
            serde_json::from_slice(&body).unwrap_or(Value::Null),
        )
    }
}

fn present() -> UnixTime {
    UnixTime::from_secs(super::now())
}

#[tokio::test]
async fn yes_no_scope_and_who_are_you() {
    let stage = Stage::new().await;
    let client = super::http(&stage.tls, None);
    let writer = stage
        .authority
        .token(AUDIENCE)
        .scope("deploy:write")
        .mint(present())
        .unwrap();
    let (status, _, body) = stage.get(&client, "/deployments", &writer).await;
    assert_eq!(status, 200);
    assert_eq!(body["task"], "tests/task");

    let reader = stage
        .authority
        .token(AUDIENCE)
        .scope("deploy:read")
        .mint(present())
        .unwrap();
    let (status, challenge, _) = stage.get(&client, "/deployments", &reader).await;
    assert_eq!(status, 403);
    assert!(challenge.unwrap().contains(r#"error="insufficient_scope""#));
    let (status, _, body) = stage.get(&client, "/whoami", &reader).await;
    assert_eq!(status, 200);
    assert_eq!(body["workload"], "tests/caller");
    assert_eq!(body["scopes"], "deploy:read");
    assert_eq!(body["bound"], false);

    let foreign = stage
        .authority
        .token("https://other.internal")
        .scope("deploy:write")
        .mint(present())
        .unwrap();
    for (path, token) in [
        ("/deployments", foreign.as_str()),
        ("/whoami", foreign.as_str()),
        ("/whoami", "rubbish"),
    ] {
        let (status, challenge, _) = stage.get(&client, path, token).await;
        assert_eq!(status, 401, "{path}");
        assert!(
            challenge.unwrap().contains(r#"error="invalid_token""#),
            "{path}"
        );
    }
    let bare = client
        .get(format!("{}/whoami", stage.api.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(stage.verifier.issuer(), "https://sts.example");
}

#[tokio::test]
async fn bound_tokens_are_proven_by_the_certificate_on_the_connection() {
    let stage = Stage::new().await;
    let svid = stage
        .spiffe
        .svid("/tests/caller", Duration::from_secs(300))
        .unwrap();
    let next = stage
        .spiffe
        .svid("/tests/caller", Duration::from_secs(300))
        .unwrap();
    let other = stage
        .spiffe
        .svid("/tests/other", Duration::from_secs(300))
        .unwrap();
    let to_certificate = Confirmation::CertificateThumbprint(svid.thumbprint());
    let to_id = Confirmation::SpiffeId(svid.spiffe_id.parse::<SpiffeId>().unwrap());
    let bound = stage
        .authority
        .token(AUDIENCE)
        .bound_to(&to_certificate)
        .mint(present())
        .unwrap();
    let named = stage
        .authority
        .token(AUDIENCE)
        .bound_to(&to_id)
        .mint(present())
        .unwrap();
    for (who, client, by_certificate, by_name) in [
        ("nobody", super::http(&stage.tls, None), 401, 401),
        ("the holder", super::http(&stage.tls, Some(&svid)), 200, 200),
        (
            "the holder after rotation",
            super::http(&stage.tls, Some(&next)),
            401,
            200,
        ),
        (
            "another workload",
            super::http(&stage.tls, Some(&other)),
            401,
            401,
        ),
    ] {
        assert_eq!(
            stage.get(&client, "/whoami", &bound).await.0,
            by_certificate,
            "{who}"
        );
        assert_eq!(
            stage.get(&client, "/whoami", &named).await.0,
            by_name,
            "{who}"
        );
    }
}

#[tokio::test]
async fn another_domains_authority_cannot_speak_for_this_one() {
    let stage = Stage::new().await;
    let usurper = SpiffeCa::new("prod.example").unwrap();
    let forged = usurper
        .svid("/tests/caller", Duration::from_secs(300))
        .unwrap();
    let unknown = SpiffeCa::new("test.example")
        .unwrap()
        .svid("/tests/caller", Duration::from_secs(300))
        .unwrap();
    for svid in [forged, unknown] {
        let refused = super::http(&stage.tls, Some(&svid))
            .get(format!("{}/whoami", stage.api.url()))
            .send()
            .await;
        assert!(refused.is_err(), "the handshake must fail");
    }
}
