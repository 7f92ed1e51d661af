//! Vectors of others, and our own table of issuer URLs.

use std::path::PathBuf;

use dayfly_attest::spiffe::BundleDocument;
use dayfly_attest::{BundleSource, Evidence, OidcIssuerConfig, OidcIssuers, TrustBundles};
use dayfly_token::UnixTime;
use dayfly_verifier::PeerCertificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::idp::Idp;
use crate::signer::{AUDIENCE, Signer, code};
use crate::{attestor, no_bundles};

/// 47 URLs, some of them from advisories, and whether an issuer may have them.
const ISSUER_URLS: &str = include_str!("../../../../tests/vectors/oidc-issuer.json");

fn config_for(issuer: &str) -> OidcIssuerConfig {
    OidcIssuerConfig::custom(
        "some".parse().unwrap(),
        issuer.to_owned(),
        vec![AUDIENCE.to_owned()],
    )
}

#[tokio::test]
async fn issuer_urls() {
    let table: Value = serde_json::from_str(ISSUER_URLS).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 47);
    let signer = Signer::new("ES256", "k1");
    let known = Idp::start(&[&signer]).await;
    let attestor = attestor(
        no_bundles(),
        OidcIssuers::new(vec![known.config("known")]).unwrap(),
    );
    for case in cases {
        let issuer = case["issuer"].as_str().unwrap();
        // Whatever it is, a token cannot make us fetch it.
        let mut claims = known.claims();
        claims["iss"] = json!(issuer);
        assert_eq!(
            code(&attestor, &signer.token(&claims)).await,
            "unknown_issuer",
            "{issuer}"
        );
        let configured = OidcIssuers::new(vec![config_for(issuer)]).is_ok();
        match case["expect"].as_str().unwrap() {
            "accept" => assert!(configured, "{case}"),
            "policy" if issuer.starts_with("http:") => {
                let mut config = config_for(issuer);
                config.danger_allow_http = true;
                assert!(
                    !configured && OidcIssuers::new(vec![config]).is_ok(),
                    "{case}"
                );
            }
            "policy" => assert!(configured, "{case}"),
            // A good URL of somebody else: it is refused because it is not the configured one.
            "reject" if case["why"] == "prefix match trick (CVE-2026-14336)" => {
                assert_eq!(issuer, "https://ci.example.com.evil.example");
            }
            "reject" => assert!(!configured, "{case}"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(known.requests(), 0);
}

/// The folder of third-party vectors; they are not part of the project.
fn go_spiffe(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("DAYFLY_VECTORS") else {
        eprintln!("skipped: DAYFLY_VECTORS does not name the folder of vectors");
        return None;
    };
    Some(PathBuf::from(folder).join("go-spiffe").join(path))
}

#[test]
fn go_spiffe_x509_bundles() {
    let Some(folder) = go_spiffe("bundle/x509bundle/testdata") else {
        return;
    };
    // Its own authorities are of X.509 version 1 and so no CAs, which go-spiffe does not look at in a bundle.
    for file in [
        "cert.pem",
        "certs.pem",
        "corrupted.pem",
        "empty.pem",
        "key.pem",
        "not-pem.pem",
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let parsed = BundleDocument::parse(&"domain.test".parse().unwrap(), &bytes);
        assert!(parsed.is_err(), "{file}");
    }
}

#[test]
fn go_spiffe_bundle_documents() {
    let Some(folder) = go_spiffe("bundle/spiffebundle/testdata") else {
        return;
    };
    for (file, authorities) in [
        ("spiffebundle_valid_1.json", Some(1)),
        ("spiffebundle_valid_2.json", Some(1)),
        ("spiffebundle_valid_with_wit.json", Some(1)),
        // go-spiffe refuses it for a JWT key that we do not read.
        ("spiffebundle_missing_kid.json", Some(1)),
        ("spiffebundle_multiple_x509.json", None),
        ("spiffebundle_no_keys.json", None),
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let parsed = BundleDocument::parse(&"domain.test".parse().unwrap(), &bytes);
        let found = parsed
            .ok()
            .map(|document| document.x509.authorities().len());
        assert_eq!(found, authorities, "{file}");
    }
}

#[tokio::test]
async fn go_spiffe_svids() {
    let Some(folder) = go_spiffe("svid/x509svid/testdata") else {
        return;
    };
    let chain_of = |file: &str| -> Vec<Vec<u8>> {
        let pem = std::fs::read(folder.join(file)).unwrap();
        CertificateDer::pem_slice_iter(&pem)
            .filter_map(Result::ok)
            .map(|der| der.to_vec())
            .collect()
    };
    // The SVID of the first file ended in March 2020, with its intermediate as the only authority that is there.
    let good = chain_of("good-leaf-and-intermediate.pem");
    let pem = std::fs::read_to_string(folder.join("good-leaf-and-intermediate.pem")).unwrap();
    let authority = pem
        .split_inclusive("-----END CERTIFICATE-----\n")
        .nth(1)
        .unwrap();
    let bundle = || BundleSource::text("example.org".parse().unwrap(), authority);
    let attestor = attestor(
        TrustBundles::load(vec![bundle()]).unwrap(),
        OidcIssuers::default(),
    );
    let outcome = async |chain: Vec<Vec<u8>>, now| {
        let peer = PeerCertificate::new(chain, None).unwrap();
        let evidence = Evidence::X509Svid {
            peer: &peer,
            client_id: "spiffe://example.org/workload-1",
        };
        let attested = attestor.attest(evidence, UnixTime::from_secs(now)).await;
        attested.map_or_else(|error| error.code(), |_| "accepted")
    };
    let then = 1_585_060_200;
    assert_eq!(outcome(good.clone(), then).await, "accepted");
    assert_eq!(outcome(good[..1].to_vec(), then).await, "accepted");
    assert_eq!(outcome(good, 1_704_067_200).await, "expired");
    // 2024-01-01, when these are valid.
    for (file, expected) in [
        ("good-leaf-only.pem", "untrusted_chain"),
        ("wrong-leaf-ca-true.pem", "not_an_svid"),
        ("wrong-leaf-cert-sign.pem", "not_an_svid"),
        ("wrong-leaf-crl-sign.pem", "not_an_svid"),
        ("wrong-leaf-empty-id.pem", "not_an_svid"),
        ("wrong-leaf-no-digital-signature.pem", "not_an_svid"),
        ("wrong-intermediate-no-ca.pem", "untrusted_chain"),
        ("wrong-intermediate-no-key-cert-sign.pem", "untrusted_chain"),
    ] {
        assert_eq!(
            outcome(chain_of(file), 1_704_067_200).await,
            expected,
            "{file}"
        );
    }
}
