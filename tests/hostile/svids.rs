//! Certificates that are almost SVIDs, each through a real handshake: one for every rule of the
//! X509-SVID standard, and a proper one of every kind first.

use std::sync::Arc;
use std::time::Duration;

use dayfly_lab::{
    BasicConstraintsKnob, CertificateKey, ExtendedKeyUsagePurpose, KeyUsageKnob, KeyUsagePurpose,
    SpiffeCa, Svid, SvidParams,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{still_serves, worker_form};
use crate::harness::{Answer, Connection, Form, Ledger, PAYMENTS_API, Reply, Scene, eventually};

const ID: &str = "spiffe://prod.example.org/payments/worker";
const PARTNER: &str = "
[[trust_domain_bundle]]
name = \"partner.example.org\"
file = \"partner.json\"
";

/// Shows a certificate as it is, whatever a client library would think of it.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn shows(scene: &Scene, svid: &Svid) -> Arc<ClientConfig> {
    let chain = svid
        .chain_der
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let key = PrivateKeyDer::try_from(svid.key_der.clone()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let mut config = (*scene.world.tls.client_config(None).unwrap()).clone();
    config.client_auth_cert_resolver = Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key))));
    Arc::new(config)
}

/// What comes of a request for a token with this certificate, in the name of the worker.
async fn attempt(scene: &Scene, svid: &Svid) -> std::io::Result<Reply> {
    let mut connection = Connection::open(&scene.server.url, shows(scene, svid)).await?;
    connection
        .post("/oauth2/token", &Form::client_credentials(ID, PAYMENTS_API))
        .await
}

async fn accepted(scene: &Scene, what: &str, svid: &Svid) {
    let reply = attempt(scene, svid)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(reply.status, 200, "{what}: {reply:?}");
}

/// The handshake fails, or the request does: no token in any case.
async fn refused(scene: &Scene, what: &str, svid: &Svid) {
    if let Ok(reply) = attempt(scene, svid).await {
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        assert!(!reply.body.contains("access_token"), "{what}: {reply:?}");
    }
}

/// A proper SVID with one thing changed.
fn with(change: impl FnOnce(&mut SvidParams)) -> SvidParams {
    let mut params = SvidParams::new(ID, 600);
    change(&mut params);
    params
}

fn usages(usages: &[KeyUsagePurpose]) -> SvidParams {
    with(|params| params.key_usage = KeyUsageKnob::Exactly(usages.to_vec()))
}

fn uris(uris: &[&str]) -> SvidParams {
    with(|params| params.uris = uris.iter().map(|uri| (*uri).to_owned()).collect())
}

async fn start() -> (Scene, SpiffeCa) {
    let mut scene = Scene::prepare(Ledger::Embedded, PARTNER).await;
    let partner = SpiffeCa::new("partner.example.org").unwrap();
    scene.world.write("partner.json", &partner.bundle_json());
    scene.server.launch(&[]).await;
    (scene, partner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_an_svid_or_nothing() {
    let (scene, partner) = start().await;
    proper_ones_are_accepted(&scene).await;
    wrong_extensions_are_refused(&scene).await;
    wrong_names_are_refused(&scene).await;
    wrong_signers_are_refused(&scene, &partner).await;
    a_proven_identity_is_the_only_one(&scene, &partner).await;
    still_serves(&scene).await;
}

async fn proper_ones_are_accepted(scene: &Scene) {
    let make = |params| scene.world.spiffe.svid_with(&params).unwrap();
    accepted(scene, "P-256", &make(with(|_| {}))).await;
    for key in [
        CertificateKey::P384,
        CertificateKey::Ed25519,
        CertificateKey::Rsa2048,
    ] {
        accepted(
            scene,
            &format!("{key:?}"),
            &make(with(|params| params.key = key)),
        )
        .await;
    }
    let names = |params: &mut SvidParams| params.dns_names = vec!["worker.example.org".to_owned()];
    accepted(scene, "with a DNS name", &make(with(names))).await;
    accepted(
        scene,
        "with a subject",
        &make(with(|params| params.common_name = Some("w".to_owned()))),
    )
    .await;
    accepted(
        scene,
        "without extended usage",
        &make(with(|params| params.extended_key_usage.clear())),
    )
    .await;
    accepted(
        scene,
        "with room in its usages",
        &make(usages(&[
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyAgreement,
        ])),
    )
    .await;
}

async fn wrong_extensions_are_refused(scene: &Scene) {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign, KeyEncipherment};
    let purpose = |purpose| with(|params| params.extended_key_usage = vec![purpose]);
    for (what, params) in [
        ("expired", SvidParams::new(ID, 600).expired()),
        ("not valid yet", SvidParams::new(ID, 600).not_yet_valid()),
        (
            "a CA",
            with(|params| params.basic_constraints = BasicConstraintsKnob::Ca),
        ),
        (
            "no basic constraints",
            with(|params| params.basic_constraints = BasicConstraintsKnob::Absent),
        ),
        (
            "no key usage",
            with(|params| params.key_usage = KeyUsageKnob::Absent),
        ),
        (
            "key usage not critical",
            with(|params| params.key_usage = KeyUsageKnob::NotCritical),
        ),
        (
            "signs certificates",
            usages(&[DigitalSignature, KeyCertSign]),
        ),
        ("signs CRLs", usages(&[DigitalSignature, CrlSign])),
        ("no digital signature", usages(&[KeyEncipherment])),
        (
            "for servers only",
            purpose(ExtendedKeyUsagePurpose::ServerAuth),
        ),
        (
            "for clients only",
            purpose(ExtendedKeyUsagePurpose::ClientAuth),
        ),
        (
            "for code signing",
            purpose(ExtendedKeyUsagePurpose::CodeSigning),
        ),
        (
            "an unknown critical extension",
            with(|params| params.unknown_critical_extension = true),
        ),
    ] {
        refused(scene, what, &scene.world.spiffe.svid_with(&params).unwrap()).await;
    }
}

async fn wrong_names_are_refused(scene: &Scene) {
    let many: Vec<String> = (0..200).map(|n| format!("{ID}/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("{ID}/{}", "x".repeat(2048));
    let rows: &[&[&str]] = &[
        &[],
        &[ID, "spiffe://prod.example.org/payments/api"],
        &[ID, ID],
        &[ID, "https://example.org/"],
        &["https://prod.example.org/payments/worker"],
        &["spiffe://prod.example.org"],
        &["spiffe://prod.example.org/"],
        &["spiffe://PROD.example.org/payments/worker"],
        &["SPIFFE://prod.example.org/payments/worker"],
        &["spiffe://prod.example.org/payments/worker/"],
        &["spiffe://prod.example.org/payments//worker"],
        &["spiffe://prod.example.org/payments/./worker"],
        &["spiffe://prod.example.org/payments/api/../worker"],
        &["spiffe://prod.example.org/payments/%77orker"],
        &["spiffe://prod.example.org/payments/worker?x=y"],
        &["spiffe://prod.example.org/payments/worker#x"],
        &["spiffe://prod.example.org:443/payments/worker"],
        &["spiffe://u@prod.example.org/payments/worker"],
        &["spiffe://prod.example.org./payments/worker"],
        &["spiffe:///payments/worker"],
        &["spiffe://prod.example.org/payments/Worker"],
        &["spiffe://prod.example.org/payments/worker2"],
        &[&long],
        &many,
    ];
    for row in rows {
        let Ok(svid) = scene.world.spiffe.svid_with(&uris(row)) else {
            panic!("{row:?}")
        };
        refused(scene, &format!("{:?}", row.first()), &svid).await;
    }
    // A name is the identity, and no other field.
    let named = |params: &mut SvidParams| {
        params.uris.clear();
        params.common_name = Some(ID.to_owned());
        params.dns_names = vec!["worker.payments.prod.example.org".to_owned()];
    };
    refused(
        scene,
        "a common name",
        &scene.world.spiffe.svid_with(&with(named)).unwrap(),
    )
    .await;
}

async fn wrong_signers_are_refused(scene: &Scene, partner: &SpiffeCa) {
    let worker = scene.world.svid("payments/worker");
    let params = SvidParams::new(ID, 600);
    refused(scene, "a broken signature", &worker.with_broken_signature()).await;
    let stranger = SpiffeCa::new("prod.example.org").unwrap();
    refused(
        scene,
        "another root of that name",
        &stranger.svid_with(&params).unwrap(),
    )
    .await;
    refused(
        scene,
        "the partner's root for our domain",
        &partner.svid_with(&params).unwrap(),
    )
    .await;
    let unknown = SpiffeCa::new("other.example.org").unwrap();
    let theirs = unknown
        .svid("/payments/worker", Duration::from_secs(600))
        .unwrap();
    refused(scene, "a trust domain that nobody configured", &theirs).await;
    refused(
        scene,
        "an SVID as a CA",
        &scene.world.spiffe.svid_signed_by(&worker, &params).unwrap(),
    )
    .await;
    let deep = SpiffeCa::with_intermediate("prod.example.org").unwrap();
    refused(
        scene,
        "an intermediate of a strange root",
        &deep.svid_with(&params).unwrap(),
    )
    .await;
    let cut = with(|params| params.leave_out_intermediate = true);
    refused(scene, "a chain with a hole", &deep.svid_with(&cut).unwrap()).await;

    // The proper leaf with a crowd behind it, and with somebody else's key.
    let mut crowd = worker.clone();
    for _ in 0..12 {
        crowd.chain_der.push(stranger.root_der().to_vec());
    }
    refused(scene, "a crowd", &crowd).await;
    let mut stolen = worker.clone();
    stolen.key_der = scene.world.svid("payments/worker").key_der;
    refused(scene, "a certificate without its key", &stolen).await;
    let mut garbage = worker.clone();
    garbage.chain_der[0].truncate(200);
    refused(scene, "half a certificate", &garbage).await;
    garbage.chain_der[0] = vec![0x30; 60_000];
    refused(scene, "no certificate", &garbage).await;
    accepted(scene, "the worker itself", &worker).await;
}

async fn a_proven_identity_is_the_only_one(scene: &Scene, partner: &SpiffeCa) {
    // Proven, and somebody else: the name in the form does not help.
    let api = scene.world.svid("payments/api");
    let named = |id: &str| Form::client_credentials(id, PAYMENTS_API);
    scene
        .server
        .token(Some(&api), &named(ID))
        .await
        .refused(401, "invalid_client");
    let theirs = partner
        .svid("/payments/worker", Duration::from_secs(600))
        .unwrap();
    for id in [ID, &*theirs.spiffe_id] {
        scene
            .server
            .token(Some(&theirs), &named(id))
            .await
            .refused(401, "invalid_client");
    }
    let holds = scene.server.get("/v1/revocations", Some(&theirs)).await;
    assert_eq!(holds.status, 401, "{holds:?}");
}

/// An open connection must not keep a trust that was taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_root_ends_open_connections() {
    let (scene, partner) = start().await;
    let svid = scene.world.svid("payments/worker");
    let mut open = Connection::open(&scene.server.url, shows(&scene, &svid))
        .await
        .unwrap();
    let reply = open
        .post("/oauth2/token", &worker_form(&svid))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let console = scene.world.svid("platform/console");
    let mut operator = Connection::open(&scene.server.url, shows(&scene, &console))
        .await
        .unwrap();
    assert_eq!(
        operator
            .request("GET /v1/revocations", &[], b"")
            .await
            .unwrap()
            .status,
        200
    );

    let successor = SpiffeCa::new("prod.example.org").unwrap();
    scene.world.write("prod.pem", &successor.bundle_pem());
    let newcomer = successor
        .svid("/payments/worker", Duration::from_secs(600))
        .unwrap();
    eventually("the new root is in force", async || {
        attempt(&scene, &newcomer)
            .await
            .ok()
            .filter(|reply| reply.status == 200)
    })
    .await;
    if let Ok(reply) = open.post("/oauth2/token", &worker_form(&svid)).await {
        assert_eq!(reply.status, 401, "{reply:?}");
        assert!(reply.body.contains("invalid_client"), "{reply:?}");
    }
    if let Ok(reply) = operator.request("GET /v1/revocations", &[], b"").await {
        assert_eq!(reply.status, 401, "{reply:?}");
    }
    refused(&scene, "a new connection", &svid).await;

    // An empty or broken bundle trusts nobody new, and does not open the door.
    for broken in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "{\"keys\":[]}",
    ] {
        scene.world.write("prod.pem", broken);
        tokio::time::sleep(Duration::from_millis(600)).await;
        refused(&scene, "the old root", &svid).await;
        refused(
            &scene,
            "anybody",
            &SpiffeCa::new("prod.example.org")
                .unwrap()
                .svid_with(&with(|_| {}))
                .unwrap(),
        )
        .await;
    }
    let theirs = partner.svid("/x/y", Duration::from_secs(600)).unwrap();
    let form = Form::client_credentials(&theirs.spiffe_id, PAYMENTS_API);
    let answer: Answer = scene.server.token(Some(&theirs), &form).await;
    answer.refused(401, "invalid_client");
}
