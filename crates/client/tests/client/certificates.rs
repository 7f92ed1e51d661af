use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_client::{CertificateRequest, ClientError, Source, TokenRequest};
use dayfly_token::base64url;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    DistinguishedName, IsCa, KeyPair, SanType,
};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use crate::stage::{AUDIENCE, Answer, Seen, Stage, TOKEN, identity};

const ID: &str = "spiffe://sts.example/payments/deploy";

type Answering = Box<dyn Fn(&Seen) -> Value + Send + Sync>;

/// A CA that certifies the key of a request, or another one.
struct Issuing(CertifiedIssuer<'static, KeyPair>);

impl Issuing {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn answer(&self, asked: &Seen, other_key: Option<&KeyPair>, id: &str) -> Value {
        let csr = csr_of(asked);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        let request = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        let leaf = match other_key {
            Some(key) => params.signed_by(key, &self.0),
            None => params.signed_by(&request.public_key, &self.0),
        };
        let chain = [
            STANDARD.encode(leaf.unwrap().der()),
            STANDARD.encode(self.0.der()),
        ];
        json!({
            "certificate_chain": chain,
            "spiffe_id": ID,
            "serial": "40aa",
            "not_before": 1_793_700_000,
            "not_after": 1_793_700_900,
            "renew_after": 1_793_700_600,
            "bundle_endpoint": "https://sts.example/spiffe/bundle.json",
        })
    }
}

fn csr_of(asked: &Seen) -> Vec<u8> {
    let csr = asked
        .body
        .split('&')
        .find_map(|pair| pair.strip_prefix("csr="))
        .unwrap();
    base64url::decode(csr).unwrap()
}

#[tokio::test]
async fn a_certificate_for_a_key_made_here() {
    let stage = Stage::new().await;
    let issuing = Arc::new(Issuing::new());
    let signer = Arc::clone(&issuing);
    stage.script.always("/v1/x509", move |asked| {
        Answer::json(200, &signer.answer(asked, None, ID))
    });
    let svid = stage.svid("/payments/deploy");
    let client = stage.client().identity(identity(&svid)).build().unwrap();
    let request = CertificateRequest::new()
        .dns_name("deploy.internal")
        .task("deploy-4711");
    let certificate = client.certificate(&request).await.unwrap();
    assert_eq!(certificate.spiffe_id(), ID);
    assert_eq!(certificate.serial(), "40aa");
    assert_eq!(certificate.not_after().as_secs(), 1_793_700_900);
    assert_eq!(certificate.renew_after().unwrap().as_secs(), 1_793_700_600);
    assert_eq!(
        certificate.chain_pem().matches("BEGIN CERTIFICATE").count(),
        2
    );
    assert!(
        certificate
            .key_pem()
            .expose()
            .starts_with("-----BEGIN PRIVATE KEY-----")
    );
    assert!(!format!("{certificate:?}").contains("PRIVATE"));

    let [asked] = &stage.seen("/v1/x509")[..] else {
        panic!("one request")
    };
    let rest = "&dns_name=deploy.internal&task=deploy-4711";
    assert!(
        asked
            .body
            .starts_with("client_id=spiffe%3A%2F%2Fprod.example%2Fpayments%2Fdeploy&csr=")
    );
    assert!(asked.body.ends_with(rest), "{}", asked.body);
    let csr = csr_of(asked);
    let (trailing, parsed) = X509CertificationRequest::from_der(&csr).unwrap();
    assert!(trailing.is_empty());
    parsed.verify_signature().unwrap();
    assert_eq!(parsed.certification_request_info.subject.iter().count(), 0);
    assert_eq!(
        parsed.certification_request_info.attributes().len(),
        0,
        "names are the issuer's to choose"
    );

    // It is a usable identity, and the next request has another key.
    stage
        .client()
        .identity(certificate.identity())
        .build()
        .unwrap();
    client.certificate(&request).await.unwrap();
    assert_ne!(csr_of(&stage.seen("/v1/x509")[1]), csr);
}

#[tokio::test]
async fn evidence_of_a_pipeline_gets_a_certificate_too() {
    let stage = Stage::new().await;
    let issuing = Issuing::new();
    stage.script.always("/v1/x509", move |asked| {
        Answer::json(200, &issuing.answer(asked, None, ID))
    });
    let client = stage
        .client()
        .source(Source::token("eyJ.oidc.token".to_owned()))
        .build()
        .unwrap();
    client
        .certificate(&CertificateRequest::new())
        .await
        .unwrap();
    assert!(
        stage.seen("/v1/x509")[0]
            .body
            .starts_with("assertion=eyJ.oidc.token&csr=")
    );
}

#[tokio::test]
async fn anothers_certificate_is_refused() {
    let stage = Stage::new().await;
    let other = KeyPair::generate().unwrap();
    let issuing = Issuing::new();
    let wrong_id = "spiffe://sts.example/payments/admin";
    let answers: [Answering; 4] = [
        Box::new({
            let issuing = Issuing::new();
            move |asked| issuing.answer(asked, Some(&other), ID)
        }),
        Box::new(move |asked| issuing.answer(asked, None, wrong_id)),
        Box::new({
            let issuing = Issuing::new();
            move |asked| {
                let mut answer = issuing.answer(asked, None, ID);
                answer["certificate_chain"] = json!([]);
                answer
            }
        }),
        Box::new({
            let issuing = Issuing::new();
            move |asked| {
                let mut answer = issuing.answer(asked, None, ID);
                answer["certificate_chain"][0] = json!("AAAA");
                answer
            }
        }),
    ];
    let client = stage
        .client()
        .source(Source::token("eyJ.o.t".to_owned()))
        .build()
        .unwrap();
    for answer in answers {
        stage
            .script
            .always("/v1/x509", move |asked| Answer::json(200, &answer(asked)));
        let refused = client
            .certificate(&CertificateRequest::new())
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                ClientError::Certificate { .. } | ClientError::Malformed { .. }
            ),
            "{refused:?}"
        );
    }
    // The same client still gets tokens.
    client.token(&TokenRequest::new(AUDIENCE)).await.unwrap();
    assert_eq!(stage.seen(TOKEN).len(), 1);
}
