//! Input that nobody would send by accident never panics, and is never accepted.

use dayfly_attest::spiffe::BundleDocument;
use dayfly_attest::{Evidence, OidcIssuers};
use dayfly_verifier::PeerCertificate;
use proptest::prelude::*;
use serde_json::json;

use crate::ca::{Ca, TRUST_DOMAIN, WORKLOAD, trusting};
use crate::signer::{Signer, code, corp, corp_claims, knowing};
use crate::{NOW, attestor, no_bundles};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(|text| json!(text)),
        Just(json!("k1")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
            prop::collection::btree_map("[a-z.]{1,4}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens(text in "[A-Za-z0-9_.-]{0,80}|.{0,40}") {
        let attestor = attestor(no_bundles(), OidcIssuers::default());
        runtime().block_on(async {
            assert_ne!(code(&attestor, &text).await, "accepted");
            let evidence = Evidence::OwnToken { token: &text, peer: None };
            assert!(attestor.attest(evidence, NOW).await.is_err());
        });
    }

    #[test]
    fn signed_claims(claim in "iss|aud|sub|exp|iat|nbf|jti|x", value in values()) {
        let signer = Signer::new("ES256", "k1");
        let attestor = knowing(corp(), &json!({"keys": [signer.jwk()]}));
        let mut claims = corp_claims();
        claims[claim.as_str()] = value;
        runtime().block_on(async {
            let outcome = code(&attestor, &signer.token(&claims)).await;
            let harmless = ["sub", "x", "jti"].contains(&claim.as_str());
            assert!(harmless || outcome != "accepted" || claim == "nbf" || claim == "iat", "{claim} {outcome}");
        });
    }

    #[test]
    fn key_sets(member in "kty|crv|x|y|n|e|kid|alg|use|key_ops|d|x5c", value in values(), alg in "ES256|ES384|EdDSA|RS256") {
        let alg = ["ES256", "ES384", "EdDSA", "RS256"].into_iter().find(|name| *name == alg).unwrap();
        let mut jwk = Signer::new(alg, "k1").jwk();
        jwk[member.as_str()] = value;
        let attestor = knowing(corp(), &json!({"keys": [jwk]}));
        assert!(attestor.oidc_issuers().status()[0].keys <= 1);
    }

    #[test]
    fn bundles(bytes in prop::collection::vec(any::<u8>(), 0..200), value in values()) {
        let trust_domain = TRUST_DOMAIN.parse().unwrap();
        drop(BundleDocument::parse(&trust_domain, &bytes));
        let document = json!({"keys": [{"use": "x509-svid", "kty": "EC", "x5c": value}]});
        let parsed = BundleDocument::parse(&trust_domain, document.to_string().as_bytes());
        assert!(parsed.is_err() || parsed.unwrap().x509.authorities().is_empty());
    }
}

#[test]
fn mangled_certificates() {
    let root = Ca::root(TRUST_DOMAIN);
    let middle = root.intermediate(crate::ca::intermediate_params("middle"));
    let leaf = middle.svid();
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    runtime().block_on(async {
        for target in 0..2 {
            let length = if target == 0 {
                leaf.der.len()
            } else {
                middle.der().len()
            };
            for position in 0..length {
                let mut chain = vec![leaf.der.clone(), middle.der()];
                chain[target][position] ^= 0x41;
                let peer = PeerCertificate::new(chain.clone(), None).unwrap();
                let evidence = Evidence::X509Svid {
                    peer: &peer,
                    client_id: WORKLOAD,
                };
                assert!(
                    attestor.attest(evidence, NOW).await.is_err(),
                    "{target} {position}"
                );
                chain[target].truncate(position);
                let peer = PeerCertificate::new(chain, None).unwrap();
                let evidence = Evidence::X509Svid {
                    peer: &peer,
                    client_id: WORKLOAD,
                };
                assert!(
                    attestor.attest(evidence, NOW).await.is_err(),
                    "{target} {position}"
                );
            }
        }
    });
}
