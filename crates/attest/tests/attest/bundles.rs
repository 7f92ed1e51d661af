//! Bundles: what is read, what is refused, and what stays in force.

use std::path::PathBuf;

use dayfly_attest::spiffe::BundleDocument;
use dayfly_attest::{
    Attestor, BundleSource, Evidence, OidcIssuers, ReloadOutcome, TrustBundles, TrustBundlesError,
};
use dayfly_verifier::PeerCertificate;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ca::{Ca, TRUST_DOMAIN, WORKLOAD, bundle_of, leaf_params, outcome, peer, trusting};
use crate::{NOW, attestor};

fn base64(der: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(der)
}

fn entry(ca: &Ca) -> Value {
    json!({"use": "x509-svid", "kty": "EC", "crv": "P-256", "x5c": [base64(&ca.der())]})
}

fn document(sequence: u64, keys: &[Value]) -> String {
    json!({"spiffe_sequence": sequence, "spiffe_refresh_hint": 300, "keys": keys}).to_string()
}

fn load(text: impl Into<Vec<u8>>) -> Result<TrustBundles, TrustBundlesError> {
    TrustBundles::load(vec![BundleSource::text(
        TRUST_DOMAIN.parse().unwrap(),
        text,
    )])
}

struct File {
    path: PathBuf,
    _dir: TempDir,
}

impl File {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = Self {
            path: dir.path().join("bundle"),
            _dir: dir,
        };
        file.write(text);
        file
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.path, text).unwrap();
    }

    fn source(&self) -> BundleSource {
        BundleSource::file(TRUST_DOMAIN.parse().unwrap(), &self.path)
    }
}

async fn code(attestor: &Attestor, peer: &PeerCertificate) -> &'static str {
    let evidence = Evidence::X509Svid {
        peer,
        client_id: WORKLOAD,
    };
    match attestor.attest(evidence, NOW).await {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

#[tokio::test]
async fn spiffe_documents_and_pem_mean_the_same() {
    let (old, new) = (Ca::root(TRUST_DOMAIN), Ca::root(TRUST_DOMAIN));
    let json = document(7, &[entry(&old), entry(&new)]);
    for ca in [&old, &new] {
        let bundles = load(json.clone()).unwrap();
        assert_eq!(outcome(bundles, &[&ca.svid().der]).await, "accepted");
        let pem = load(format!("# authorities\n{}\n{}", old.pem(), new.pem())).unwrap();
        assert_eq!(outcome(pem, &[&ca.svid().der]).await, "accepted");
    }
    let status = load(json).unwrap().status();
    assert_eq!(status.len(), 1);
    assert_eq!(
        (
            status[0].authorities,
            status[0].sequence,
            status[0].refresh_hint_secs
        ),
        (2, Some(7), Some(300))
    );
}

#[tokio::test]
async fn entries_for_others_are_ignored() {
    let root = Ca::root(TRUST_DOMAIN);
    let other = Ca::root(TRUST_DOMAIN);
    let certificate = base64(&other.der());
    let ignored = [
        json!({"use": "jwt-svid", "kty": "EC", "kid": "k", "x5c": [certificate]}),
        json!({"use": "wit-svid", "kty": "EC", "kid": "k", "x5c": [certificate]}),
        json!({"use": "sig", "kty": "EC", "x5c": [certificate]}),
        json!({"kty": "EC", "x5c": [certificate]}),
        json!({"use": 7, "kty": "EC", "x5c": [certificate]}),
        json!({"use": "x509-svid", "x5c": [certificate]}),
        json!({"use": "x509-svid", "kty": "EC"}),
        json!({"use": "x509-svid", "kty": "EC", "x5c": []}),
    ];
    for entry_for_others in ignored {
        let text = document(1, &[entry_for_others.clone(), entry(&root)]);
        let trusts = async |ca: &Ca| outcome(load(text.clone()).unwrap(), &[&ca.svid().der]).await;
        assert_eq!(trusts(&root).await, "accepted", "{entry_for_others}");
        assert_eq!(
            trusts(&other).await,
            "untrusted_chain",
            "{entry_for_others}"
        );
    }
}

#[tokio::test]
async fn an_empty_document_distrusts_its_domain() {
    let root = Ca::root(TRUST_DOMAIN);
    let (partner, theirs) = ("partner.example", Ca::root("partner.example"));
    let bundles = || {
        TrustBundles::load(vec![
            BundleSource::text(TRUST_DOMAIN.parse().unwrap(), "{\"keys\":[]}"),
            bundle_of(partner, &[&theirs]),
        ])
        .unwrap()
    };
    assert_eq!(
        outcome(bundles(), &[&root.svid().der]).await,
        "untrusted_domain"
    );
    let leaf = theirs.issue(&leaf_params("spiffe://partner.example/a"));
    assert_eq!(
        outcome(bundles(), &[&leaf.der]).await,
        "client_id_mismatch",
        "the other domain is as before"
    );
}

#[test]
fn unreadable_bundles_stop_the_start() {
    let root = Ca::root(TRUST_DOMAIN);
    let leaf = root.svid();
    let leaf_pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64(&leaf.der)
    );
    let two =
        json!({"use": "x509-svid", "kty": "EC", "x5c": [base64(&root.der()), base64(&root.der())]});
    let with =
        |x5c: Value| json!({"keys": [{"use": "x509-svid", "kty": "EC", "x5c": x5c}]}).to_string();
    let twice = document(1, &[entry(&root)]).replacen("\"keys\"", "\"keys\":[],\"\\u006beys\"", 1);
    let cases: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("white space", "  \n".to_owned()),
        ("not PEM", "Not PEM encoded file".to_owned()),
        (
            "a private key",
            format!("{}{}", root.pem(), leaf.key.serialize_pem()),
        ),
        (
            "half a certificate",
            root.pem()[..root.pem().len() / 2].to_owned(),
        ),
        ("a leaf as root", leaf_pem.clone()),
        ("a leaf beside a root", format!("{}{leaf_pem}", root.pem())),
        (
            "garbage in PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ("no keys", "{\"spiffe_sequence\":1}".to_owned()),
        ("keys null", "{\"keys\":null}".to_owned()),
        ("keys of no objects", "{\"keys\":[1]}".to_owned()),
        ("two certificates in an entry", document(1, &[two])),
        ("x5c no list", with(json!("x"))),
        ("x5c of no text", with(json!([7]))),
        ("x5c no base64", with(json!(["not base64!"]))),
        ("x5c no certificate", with(json!(["AAAA"]))),
        ("x5c a leaf", with(json!([base64(&leaf.der)]))),
        (
            "sequence negative",
            "{\"keys\":[],\"spiffe_sequence\":-1}".to_owned(),
        ),
        (
            "sequence text",
            "{\"keys\":[],\"spiffe_sequence\":\"1\"}".to_owned(),
        ),
        ("member twice", twice),
        ("truncated", document(1, &[entry(&root)])[..200].to_owned()),
        (
            "too long",
            format!("{}{}", root.pem(), " ".repeat(1024 * 1024)),
        ),
        ("too many", root.pem().repeat(65)),
    ];
    assert!(load(root.pem()).is_ok() && load(document(1, &[entry(&root)])).is_ok());
    for (name, text) in cases {
        assert!(
            matches!(load(text.clone()), Err(TrustBundlesError::Refused { .. })),
            "{name}"
        );
    }
    let missing = BundleSource::file(TRUST_DOMAIN.parse().unwrap(), "/nonexistent/bundle.pem");
    assert!(matches!(
        TrustBundles::load(vec![missing]),
        Err(TrustBundlesError::Unreadable { .. })
    ));
    let duplicate = || bundle_of(TRUST_DOMAIN, &[&root]);
    assert!(matches!(
        TrustBundles::load(vec![duplicate(), duplicate()]),
        Err(TrustBundlesError::Duplicate { .. })
    ));
}

#[tokio::test]
async fn reload_keeps_the_last_good_one_and_says_so() {
    let (old, new) = (Ca::root(TRUST_DOMAIN), Ca::root(TRUST_DOMAIN));
    let file = File::new(old.pem());
    let attestor = attestor(
        TrustBundles::load(vec![file.source()]).unwrap(),
        OidcIssuers::default(),
    );
    let bundles = attestor.trust_bundles();
    let (first, second) = (peer(&[&old.svid().der]), peer(&[&new.svid().der]));
    assert_eq!(code(&attestor, &first).await, "accepted");
    assert_eq!(code(&attestor, &second).await, "untrusted_chain");

    let version = bundles.version();
    assert!(matches!(
        bundles.reload()[0].outcome,
        ReloadOutcome::Unchanged
    ));
    for broken in ["", "garbage", &old.pem()[..100]] {
        file.write(broken);
        let reports = bundles.reload();
        assert!(matches!(reports[0].outcome, ReloadOutcome::Kept { .. }));
        assert_eq!(reports[0].trust_domain.as_str(), TRUST_DOMAIN);
        assert_eq!(code(&attestor, &first).await, "accepted");
    }
    std::fs::remove_file(&file.path).unwrap();
    assert!(matches!(
        bundles.reload()[0].outcome,
        ReloadOutcome::Kept { .. }
    ));
    assert_eq!(
        (bundles.version(), code(&attestor, &first).await),
        (version, "accepted")
    );

    // The connection is still open; the trust behind it is gone.
    file.write(new.pem());
    assert!(matches!(
        bundles.reload()[0].outcome,
        ReloadOutcome::Replaced { authorities: 1 }
    ));
    assert_eq!(bundles.version(), version + 1);
    assert_eq!(code(&attestor, &first).await, "untrusted_chain");
    assert_eq!(code(&attestor, &second).await, "accepted");
}

#[tokio::test]
async fn a_document_never_goes_back() {
    let (old, new) = (Ca::root(TRUST_DOMAIN), Ca::root(TRUST_DOMAIN));
    let file = File::new(document(5, &[entry(&new)]));
    let attestor = attestor(
        TrustBundles::load(vec![file.source()]).unwrap(),
        OidcIssuers::default(),
    );
    let bundles = attestor.trust_bundles();
    file.write(document(4, &[entry(&old), entry(&new)]));
    assert!(matches!(
        bundles.reload()[0].outcome,
        ReloadOutcome::Kept { .. }
    ));
    assert_eq!(
        code(&attestor, &peer(&[&old.svid().der])).await,
        "untrusted_chain"
    );
    file.write(document(6, &[]));
    assert!(matches!(
        bundles.reload()[0].outcome,
        ReloadOutcome::Replaced { authorities: 0 }
    ));
    assert_eq!(
        code(&attestor, &peer(&[&new.svid().der])).await,
        "untrusted_domain"
    );
}

#[tokio::test]
async fn domains_come_and_go() {
    let root = Ca::root(TRUST_DOMAIN);
    let theirs = Ca::root("partner.example");
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    let bundles = attestor.trust_bundles();
    let peer = peer(&[&root.svid().der]);

    let unreadable = BundleSource::text("partner.example".parse().unwrap(), "garbage");
    let refused = bundles.reconfigure(vec![bundle_of(TRUST_DOMAIN, &[&root]), unreadable]);
    assert!(matches!(refused, Err(TrustBundlesError::Refused { .. })));
    assert_eq!(bundles.status().len(), 1);

    let reports = bundles
        .reconfigure(vec![bundle_of("partner.example", &[&theirs])])
        .unwrap();
    assert_eq!(reports.len(), 2);
    assert!(matches!(
        reports[0].outcome,
        ReloadOutcome::Replaced { authorities: 1 }
    ));
    assert!(matches!(reports[1].outcome, ReloadOutcome::Removed));
    assert_eq!(code(&attestor, &peer).await, "unknown_trust_domain");
    assert!(
        bundles
            .x509_bundle(&TRUST_DOMAIN.parse().unwrap())
            .is_none()
    );
    let bundle = bundles
        .x509_bundle(&"partner.example".parse().unwrap())
        .unwrap();
    assert_eq!(bundle.authorities()[0].as_bytes(), theirs.der());
}

#[tokio::test]
async fn what_was_proven_is_still_checked_against_the_clock() {
    let root = Ca::root(TRUST_DOMAIN);
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    let peer = peer(&[&root.svid().der]);
    let at = async |now| {
        let evidence = Evidence::X509Svid {
            peer: &peer,
            client_id: WORKLOAD,
        };
        attestor
            .attest(evidence, now)
            .await
            .map(|_| ())
            .map_err(|error| error.code())
    };
    for _ in 0..3 {
        assert_eq!(at(NOW).await, Ok(()));
    }
    assert_eq!(at(NOW.saturating_add(3_601)).await, Err("expired"));
    assert_eq!(at(NOW.saturating_sub(601)).await, Err("not_yet_valid"));
    assert_eq!(at(NOW).await, Ok(()));
}

#[test]
fn documents_hand_out_spiffe_types() {
    let root = Ca::root(TRUST_DOMAIN);
    let parsed =
        BundleDocument::parse(&TRUST_DOMAIN.parse().unwrap(), root.pem().as_bytes()).unwrap();
    assert_eq!(parsed.x509.trust_domain().as_str(), TRUST_DOMAIN);
    assert_eq!(parsed.x509.authorities()[0].as_bytes(), root.der());
}

#[test]
fn a_key_that_was_put_there_by_accident_is_not_shown() {
    // Line ends get lost in variables and templates; then a whole file is one line.
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let body = key.lines().nth(1).unwrap().to_owned();
    let one_line = key.replace('\n', "");
    for text in [
        one_line.clone(),
        one_line.trim_end_matches('-').to_owned(),
        format!("{one_line}x"),
        key.replace("-----END", "----END"),
        key,
    ] {
        let refused = load(text).unwrap_err();
        let shown = crate::shown(&refused);
        for secret in [body.clone(), format!("{:?}", body.as_bytes())] {
            let secret = secret.trim_matches(['[', ']']);
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
