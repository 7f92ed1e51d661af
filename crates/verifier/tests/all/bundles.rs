//! Trust bundles: what may be an authority, and which documents are believed.

use dayfly_token::TrustDomain;
use dayfly_verifier::x509::{BundleError, MAX_AUTHORITIES, MAX_BUNDLE_BYTES, TrustBundle};
use rcgen::{CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::mint::{Authority, TRUST_DOMAIN, document, signing_params, uri};

fn trust_domain() -> TrustDomain {
    TRUST_DOMAIN.parse().unwrap()
}

fn parse(text: &str) -> Result<usize, BundleError> {
    TrustBundle::parse(&trust_domain(), text.as_bytes()).map(|bundle| bundle.len())
}

fn entry(authority: &Authority) -> Value {
    let document = document(&[authority.root_der()], None);
    serde_json::from_str::<Value>(&document).unwrap()["keys"][0].clone()
}

fn with_keys(keys: &[Value]) -> Result<usize, BundleError> {
    parse(&json!({ "keys": keys }).to_string())
}

#[test]
fn three_forms_say_the_same() {
    let (one, two) = (Authority::new(), Authority::new());
    let roots = vec![one.root_der(), two.root_der()];
    let pem = format!("{}{}", one.root.pem(), two.root.pem());
    let domain = trust_domain();
    let from_der = TrustBundle::from_der(&domain, roots.clone()).unwrap();
    let from_pem = TrustBundle::parse(&domain, pem.as_bytes()).unwrap();
    let text = document(&roots, Some(7));
    let from_json = TrustBundle::parse(&domain, format!("\n {text}").as_bytes()).unwrap();
    for bundle in [&from_der, &from_pem, &from_json] {
        assert!(bundle.authorities().eq(roots.iter().map(Vec::as_slice)));
        assert_eq!(bundle.trust_domain(), &domain);
    }
    assert_eq!((from_json.sequence(), from_der.sequence()), (Some(7), None));
    assert_eq!(from_json.refresh_hint_secs(), Some(300));
}

/// THREATS: a leaf that is pinned as an authority (CVE-2024-2048).
#[test]
fn only_signing_certificates_are_authorities() {
    let authority = Authority::new();
    let leaf = authority.good().chain[0].to_vec();
    assert_eq!(with_keys(&[entry(&authority)]).unwrap(), 1);
    let refused = TrustBundle::from_der(&trust_domain(), [authority.root_der(), leaf.clone()]);
    assert!(matches!(
        refused,
        Err(BundleError::Authority { index: 1, .. })
    ));
    assert!(parse(&document(&[leaf], None)).is_err());
    let changed = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = signing_params("root", TRUST_DOMAIN, 1);
        change(&mut params);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        TrustBundle::from_der(&trust_domain(), [root.der().to_vec()]).map(|bundle| bundle.len())
    };
    assert_eq!(changed(|_| ()).unwrap(), 1);
    for wrong in [
        (|params| params.is_ca = IsCa::NoCa) as fn(&mut rcgen::CertificateParams),
        |params| params.is_ca = IsCa::ExplicitNoCa,
        |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        |params| params.key_usages.clear(),
        |params| params.subject_alt_names = vec![uri("spiffe://sts.example.org/payments/x")],
    ] {
        assert!(matches!(
            changed(wrong),
            Err(BundleError::Authority { index: 0, .. })
        ));
    }
}

#[test]
fn entries_of_other_kinds_are_ignored_and_bad_ones_refused() {
    let good = entry(&Authority::new());
    let with = |member: &str, value: Value| {
        let mut entry = good.clone();
        entry[member] = value;
        entry
    };
    let without = |member: &str| {
        let mut entry = good.clone();
        entry.as_object_mut().unwrap().remove(member);
        entry
    };
    for ignored in [
        with("use", json!("jwt-svid")),
        with("use", json!("x509-SVID")),
        with("use", json!(null)),
        without("use"),
        without("kty"),
        without("x5c"),
        with("x5c", json!([])),
    ] {
        assert_eq!(with_keys(std::slice::from_ref(&ignored)).unwrap(), 0);
        assert_eq!(with_keys(&[ignored, good.clone()]).unwrap(), 1);
    }
    let twice = good["x5c"][0].clone();
    let cut = &twice.as_str().unwrap()[..twice.as_str().unwrap().len() - 4];
    for refused in [
        with("x5c", json!([twice, twice])),
        with("x5c", json!([1])),
        with("x5c", json!("text")),
        with("x5c", json!(["!!"])),
        with("x5c", json!([""])),
        with("x5c", json!([cut])),
        with("x5c", json!([format!(" {}", twice.as_str().unwrap())])),
        json!("no key"),
    ] {
        assert!(
            with_keys(&[good.clone(), refused.clone()]).is_err(),
            "{refused}"
        );
    }
}

#[test]
fn what_is_no_bundle() {
    let pem = Authority::new().root.pem();
    assert_eq!(parse(&pem).unwrap(), 1);
    assert_eq!(parse("{\"keys\":[]}").unwrap(), 0, "distrusted on purpose");
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(
        parse(&format!("{pem}{key}")),
        Err(BundleError::OtherSection { index: 1 })
    ));
    for wrong in [
        String::new(),
        "garbage".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "{\"keys\":{}}".to_owned(),
        "{\"keys\":[],\"keys\":[]}".to_owned(),
        "{\"keys\":[],\"spiffe_sequence\":-1}".to_owned(),
        "{\"keys\":[],\"spiffe_sequence\":\"1\"}".to_owned(),
        "{\"keys\":[],\"spiffe_sequence\":1.0}".to_owned(),
        "{\"keys\":[]} {\"keys\":[]}".to_owned(),
        format!("{pem}{key}"),
        pem.replace("END CERT", "END_CERT"),
        pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
    ] {
        let refused = parse(&wrong).unwrap_err();
        assert!(
            !format!("{refused} {refused:?}").contains("PRIVATE"),
            "{wrong}"
        );
    }
}

#[test]
fn bundles_have_limits() {
    let authority = Authority::new();
    let most = vec![authority.root_der(); MAX_AUTHORITIES];
    let domain = trust_domain();
    assert!(TrustBundle::from_der(&domain, most.clone()).is_ok());
    let more = [most, vec![authority.root_der()]].concat();
    assert!(matches!(
        TrustBundle::from_der(&domain, more.clone()),
        Err(BundleError::TooMany)
    ));
    assert!(matches!(
        parse(&document(&more, None)),
        Err(BundleError::TooMany)
    ));
    let padded = |length: usize| format!("{{\"keys\":[]}}{}", " ".repeat(length - 11));
    assert!(parse(&padded(MAX_BUNDLE_BYTES)).is_ok());
    assert!(matches!(
        parse(&padded(MAX_BUNDLE_BYTES + 1)),
        Err(BundleError::TooLong { .. })
    ));
}

/// THREATS: an older bundle brings back an authority that was taken out.
#[test]
fn sequences_only_grow() {
    let authority = Authority::new();
    for (current, next, follows) in [
        (None, None, true),
        (None, Some(0), true),
        (Some(5), Some(5), true),
        (Some(5), Some(6), true),
        (Some(5), Some(4), false),
        (Some(5), Some(0), false),
        (Some(u64::MAX), Some(u64::MAX), true),
        (Some(5), None, false),
    ] {
        let checked = authority.document(next).check_follows(current);
        assert_eq!(checked.is_ok(), follows, "{current:?} {next:?}");
    }
    assert!(authority.bundle().check_follows(Some(5)).is_ok());
}

/// The files of go-spiffe, where they are at hand (`DAYFLY_VECTORS`).
#[test]
fn the_bundles_of_go_spiffe() {
    let Some(vectors) = std::env::var_os("DAYFLY_VECTORS") else {
        println!("skipped: DAYFLY_VECTORS is not set");
        return;
    };
    let folder = std::path::Path::new(&vectors).join("go-spiffe/bundle/spiffebundle/testdata");
    let domain = "domain.test".parse().unwrap();
    for (file, authorities) in [
        ("spiffebundle_valid_1.json", Some(1)),
        ("spiffebundle_valid_2.json", Some(1)),
        ("spiffebundle_valid_with_wit.json", Some(1)),
        // go-spiffe refuses it for a JWT key, which is not read here.
        ("spiffebundle_missing_kid.json", Some(1)),
        ("spiffebundle_multiple_x509.json", None),
        ("spiffebundle_no_keys.json", None),
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let parsed = TrustBundle::parse(&domain, &bytes);
        assert_eq!(
            parsed.ok().map(|bundle| bundle.len()),
            authorities,
            "{file}"
        );
    }
}
