//! What stands in a certificate.

use dayfly_token::base64url;
use rcgen::PublicKeyData as _;
use x509_parser::prelude::*;

use super::{WORKER, certified, chain_of, names_of, plain_request, roots, validate};
use crate::exchange::{members, names};
use crate::harness::{Scene, Trail, now};

pub(super) async fn the_leaf_has_the_profile_of_an_svid(scene: &Scene) {
    let (key, csr) = plain_request();
    let before = now();
    let answer = certified(scene, "payments/worker", &csr, &[]).await;
    let chain = chain_of(&answer);
    let expected = names([
        "certificate_chain",
        "spiffe_id",
        "serial",
        "not_before",
        "not_after",
        "bundle_endpoint",
        "renew_after",
    ]);
    assert_eq!(members(&answer.body), expected);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["spiffe_id"], WORKER);
    assert_eq!(
        answer.body["bundle_endpoint"],
        format!("{}/spiffe/bundle.json", scene.issuer())
    );
    assert_eq!(
        chain.len(),
        2,
        "the leaf and the intermediate, and never the root"
    );
    validate(&chain, &roots(scene).await);
    assert_eq!(
        dayfly_verifier::svid::identity_of(&chain[0])
            .unwrap()
            .as_str(),
        WORKER
    );

    let (rest, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(leaf.version(), X509Version::V3);
    assert_eq!(
        leaf.signature_algorithm.algorithm.to_id_string(),
        "1.2.840.10045.4.3.2"
    );
    assert_eq!(leaf.subject().iter().count(), 0, "an empty subject");
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(
        san.critical,
        "RFC 5280 section 4.2.1.6: critical because the subject is empty"
    );
    assert_eq!(names_of(&leaf), (vec![WORKER.to_owned()], Vec::new()));
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(
        usage.critical && usage.value.digital_signature() && usage.value.flags == 1,
        "{usage:?}"
    );
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(
        extended.server_auth && extended.client_auth && !extended.any && extended.other.is_empty()
    );
    let constraints = leaf.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && !constraints.value.ca);
    assert_eq!(
        leaf.public_key().subject_public_key.data.as_ref(),
        key.der_bytes()
    );

    let critical = |oid: &str| {
        leaf.extensions()
            .iter()
            .find(|e| e.oid.to_id_string() == oid)
            .map(|e| e.critical)
    };
    assert_eq!(
        critical("2.5.29.56"),
        Some(false),
        "noRevAvail, not critical (RFC 9608)"
    );
    assert_eq!(critical("2.5.29.14"), Some(false), "subject key identifier");
    assert_eq!(
        critical("2.5.29.35"),
        Some(false),
        "authority key identifier"
    );
    assert_eq!(
        critical("2.5.29.31"),
        None,
        "no CRL distribution point beside noRevAvail"
    );
    assert_eq!(
        critical("1.3.6.1.5.5.7.1.1"),
        None,
        "no OCSP responder beside noRevAvail"
    );

    let serial = leaf.raw_serial();
    assert_eq!(serial.len(), 16);
    assert_eq!(serial[0], 0x40, "positive, and the partition");
    let hex: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.text("serial"), hex);

    let (begin, end) = (
        seconds(leaf.validity().not_before),
        seconds(leaf.validity().not_after),
    );
    assert_eq!(answer.body["not_before"], begin);
    assert_eq!(answer.body["not_after"], end);
    assert!(
        (before - 30..=now() - 30).contains(&begin),
        "dated back by 30 s"
    );
    assert_eq!(end - begin, 15 * 60 + 30);
    let renew = answer.body["renew_after"].as_u64().unwrap();
    assert!(before < renew && renew < end, "{renew}");
    authorities_are_proper(scene, &chain).await;
}

async fn authorities_are_proper(scene: &Scene, chain: &[Vec<u8>]) {
    let (_, intermediate) = X509Certificate::from_der(&chain[1]).unwrap();
    let constraints = intermediate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(leaf.validity().not_after.timestamp() <= intermediate.validity().not_after.timestamp());
    assert!(
        intermediate
            .extensions()
            .iter()
            .all(|e| e.oid.to_id_string() != "2.5.29.56")
    );
    dayfly_verifier::svid::check_issuer(&chain[1]).unwrap();
    for root in roots(scene).await {
        dayfly_verifier::svid::check_issuer(&root).unwrap();
        assert_ne!(root, chain[1]);
    }
}

pub(super) async fn a_certificate_says_what_it_is_for(scene: &Scene) {
    let (_, csr) = plain_request();
    let answer = certified(scene, "books/batch", &csr, &[]).await;
    answer.refused(400, "invalid_request");
    assert_eq!(
        Trail::of_denial(scene, &answer).await["reason"],
        "task_required"
    );

    let answer = certified(
        scene,
        "books/batch",
        &csr,
        &[("task", "close-7"), ("purpose", "closing")],
    )
    .await;
    let chain = chain_of(&answer);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let oid = &dayfly_issuer::x509::EXTENSION_OID;
    let ours = leaf
        .extensions()
        .iter()
        .find(|e| e.oid.to_id_string() == dotted(oid));
    let ours = ours.expect("our extension");
    assert!(!ours.critical);
    assert!(
        String::from_utf8_lossy(ours.value).contains("books/close-7"),
        "{ours:?}"
    );
    assert_eq!(
        names_of(&leaf).0,
        ["spiffe://sts.example.org/books/batch"],
        "the task is no name"
    );

    let serial = leaf.raw_serial().to_vec();
    let line = Trail::of_credential(scene, &base64url::encode(serial)).await;
    assert_eq!(line["task"], "books/close-7");
    assert_eq!(line["purpose"], "closing");
    assert_eq!(line["lifetime"], 300);
    assert_eq!(line["kind"], "certificate");
    assert!(
        line.get("audience").is_none() && line.get("scopes").is_none(),
        "{line}"
    );
}

fn seconds(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap()
}

fn dotted(oid: &[u64]) -> String {
    oid.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}
