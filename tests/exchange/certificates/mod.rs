//! `POST /v1/x509`: certificates, read by a parser and a path validator that are not ours.

mod profile;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_token::base64url;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData as _, SanType};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use x509_parser::prelude::*;

use crate::harness::{Answer, Form, Scene, Trail, now, on_both_ledgers};

on_both_ledgers!(
    profile::the_leaf_has_the_profile_of_an_svid,
    only_the_key_is_taken_from_the_request,
    names_must_be_granted,
    a_job_gets_certificates_too,
    lifetimes_are_bounded,
    bad_requests_get_no_certificate,
    profile::a_certificate_says_what_it_is_for,
);

const WORKER: &str = "spiffe://sts.example.org/payments/worker";

/// A key, and a request that asks for nothing but itself.
fn plain_request() -> (KeyPair, Vec<u8>) {
    request(CertificateParams::default())
}

fn request(params: CertificateParams) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let der = params.serialize_request(&key).unwrap().der().to_vec();
    (key, der)
}

async fn certified(scene: &Scene, workload: &str, csr: &[u8], more: &[(&str, &str)]) -> Answer {
    let svid = scene.world.svid(workload);
    let mut form = Form::default()
        .with("client_id", &svid.spiffe_id)
        .with("csr", &base64url::encode(csr));
    for (name, value) in more {
        form = form.with(name, value);
    }
    scene.server.post("/v1/x509", Some(&svid), &form).await
}

/// The chain of an answer as DER, leaf first.
#[track_caller]
fn chain_of(answer: &Answer) -> Vec<Vec<u8>> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let chain = answer.body["certificate_chain"].as_array().unwrap();
    chain
        .iter()
        .map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap())
        .collect()
}

/// The roots that the server publishes.
async fn roots(scene: &Scene) -> Vec<Vec<u8>> {
    let bundle = scene.server.get("/spiffe/bundle.json", None).await.body;
    let keys = bundle["keys"].as_array().unwrap().clone();
    let roots = keys.iter().filter(|key| key["use"] == "x509-svid");
    roots
        .map(|key| STANDARD.decode(key["x5c"][0].as_str().unwrap()).unwrap())
        .collect()
}

/// Path validation by webpki, as any TLS server does it, from the published roots.
fn validate(chain: &[Vec<u8>], roots: &[Vec<u8>]) {
    let roots: Vec<_> = roots
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let anchors: Vec<_> = roots
        .iter()
        .map(|der| webpki::anchor_from_trusted_cert(der).unwrap())
        .collect();
    let ders: Vec<_> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let leaf = webpki::EndEntityCert::try_from(&ders[0]).unwrap();
    for usage in [
        webpki::KeyUsage::client_auth(),
        webpki::KeyUsage::server_auth(),
    ] {
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &ders[1..],
            UnixTime::since_unix_epoch(Duration::from_secs(now())),
            usage,
            None,
            None,
        )
        .unwrap();
    }
}

/// The URI and DNS names of a certificate.
fn names_of(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let san = certificate
        .subject_alternative_name()
        .unwrap()
        .expect("a subject alternative name");
    let (mut uris, mut dns) = (Vec::new(), Vec::new());
    for name in &san.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            other => panic!("another name: {other:?}"),
        }
    }
    (uris, dns)
}

async fn only_the_key_is_taken_from_the_request(scene: &Scene) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "admin");
    params.subject_alt_names = vec![
        SanType::URI(
            "spiffe://sts.example.org/platform/console"
                .try_into()
                .unwrap(),
        ),
        SanType::DnsName("admin.example.org".try_into().unwrap()),
        SanType::IpAddress([127, 0, 0, 1].into()),
        SanType::Rfc822Name("root@example.org".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Any];
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    // basicConstraints, critical, CA:TRUE.
    let mut authority =
        CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
    authority.set_criticality(true);
    params.custom_extensions = vec![authority];
    let (key, csr) = request(params);
    let answer = certified(scene, "payments/worker", &csr, &[]).await;
    if answer.status == 400 {
        // To refuse what asks for too much is right as well; then there is nothing to look at.
        answer.refused(400, "invalid_request");
        return;
    }
    let chain = chain_of(&answer);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(names_of(&leaf), (vec![WORKER.to_owned()], Vec::new()));
    assert!(!leaf.is_ca());
    assert_eq!(leaf.subject().iter().count(), 0);
    assert!(!leaf.extended_key_usage().unwrap().unwrap().value.any);
    assert!(!leaf.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert_eq!(
        leaf.public_key().subject_public_key.data.as_ref(),
        key.der_bytes()
    );
    validate(&chain, &roots(scene).await);
}

async fn names_must_be_granted(scene: &Scene) {
    let (_, csr) = plain_request();
    let granted = [("dns_name", "worker.payments.internal")];
    let answer = certified(scene, "payments/worker", &csr, &granted).await;
    let chain = chain_of(&answer);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(names_of(&leaf).1, ["worker.payments.internal"]);
    for name in [
        "other.payments.internal",
        "*.payments.internal",
        "worker.payments.internal.evil",
        ".",
    ] {
        let answer = certified(
            scene,
            "payments/worker",
            &csr,
            &[granted[0], ("dns_name", name)],
        )
        .await;
        answer.refused(400, "unauthorized_client");
        assert_eq!(
            Trail::of_denial(scene, &answer).await["reason"],
            "dns_name_not_granted"
        );
    }
    // Without a grant for certificates there are none.
    let answer = certified(scene, "payments/api", &csr, &[]).await;
    answer.refused(400, "unauthorized_client");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "certificate_not_granted"
    );
}

async fn a_job_gets_certificates_too(scene: &Scene) {
    let (_, csr) = plain_request();
    let csr = base64url::encode(csr);
    let assertion = scene.forged(json!({}));
    let by_assertion = Form::default()
        .with("assertion", &assertion)
        .with("csr", &csr);
    let by_subject = Form::default()
        .with("subject_token", &assertion)
        .with("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        .with("csr", &csr);
    for form in [&by_assertion, &by_subject] {
        let answer = scene.server.post("/v1/x509", None, form).await;
        validate(&chain_of(&answer), &roots(scene).await);
        assert_eq!(
            answer.body["spiffe_id"],
            "spiffe://sts.example.org/books/forged"
        );
    }
    // An access token is no evidence for a certificate: a scope of an API is no identity.
    let token = super::bearer(scene).await;
    let form = Form::default()
        .with("subject_token", &token)
        .with(
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        )
        .with("csr", &csr);
    let answer = scene.server.post("/v1/x509", None, &form).await;
    answer.refused(400, "unauthorized_client");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "certificate_not_granted"
    );
}

async fn lifetimes_are_bounded(scene: &Scene) {
    let (_, csr) = plain_request();
    for (asked, lifetime) in [("60", 60), ("900", 900), ("3600", 900)] {
        let answer = certified(scene, "payments/worker", &csr, &[("requested_ttl", asked)]).await;
        chain_of(&answer);
        let (begin, end) = (&answer.body["not_before"], &answer.body["not_after"]);
        assert_eq!(
            end.as_u64().unwrap() - begin.as_u64().unwrap(),
            lifetime + 30,
            "{asked}"
        );
    }
    let answer = certified(scene, "payments/worker", &csr, &[("requested_ttl", "59")]).await;
    answer.refused(400, "invalid_request");

    let svid = scene
        .world
        .spiffe
        .svid("/payments/worker", Duration::from_secs(120))
        .unwrap();
    let form = Form::default()
        .with("client_id", &svid.spiffe_id)
        .with("csr", &base64url::encode(&csr));
    let answer = scene.server.post("/v1/x509", Some(&svid), &form).await;
    chain_of(&answer);
    assert!(
        answer.body["not_after"].as_u64().unwrap() <= now() + 120,
        "never beyond the evidence"
    );
}

async fn bad_requests_get_no_certificate(scene: &Scene) {
    let (_, good) = plain_request();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let trailing = [&*good, b"\0"].concat();
    let (_, other) = plain_request();
    let twice = [&*good, &*other].concat();
    for (what, csr) in [
        (
            "a broken signature: no proof of possession",
            base64url::encode(flipped),
        ),
        ("something after it", base64url::encode(trailing)),
        ("two of them", base64url::encode(twice)),
        ("too long", base64url::encode(vec![0x30; 9 * 1024])),
        ("not DER", base64url::encode(b"hello")),
        ("standard base64", format!("{}==", STANDARD.encode(&good))),
        ("PEM", "-----BEGIN CERTIFICATE REQUEST-----".to_owned()),
        ("nothing", String::new()),
    ] {
        let svid = scene.world.svid("payments/worker");
        let form = Form::default()
            .with("client_id", &svid.spiffe_id)
            .with("csr", &csr);
        let answer = scene.server.post("/v1/x509", Some(&svid), &form).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.refused(400, "invalid_request");
    }
    let csr = base64url::encode(&good);
    let svid = scene.world.svid("payments/worker");
    let form = Form::default().with("csr", &csr);
    let refused = scene.server.post("/v1/x509", None, &form).await;
    refused.refused(401, "invalid_client");
    let stranger = form
        .clone()
        .with("client_id", "spiffe://prod.example.org/payments/api");
    let refused = scene.server.post("/v1/x509", Some(&svid), &stranger).await;
    refused.refused(401, "invalid_client");
    for (name, value) in [
        ("audience", "https://payments.internal"),
        ("scope", "ledger:read"),
    ] {
        let form = form
            .clone()
            .with("client_id", &svid.spiffe_id)
            .with(name, value);
        let refused = scene.server.post("/v1/x509", Some(&svid), &form).await;
        refused.refused(400, "invalid_request");
    }
}
