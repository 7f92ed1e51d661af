//! The way of a request, from end to end, against a ledger in memory.

mod audit;
mod ceilings;
mod faults;
mod grants;
mod properties;
mod refusals;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use dayfly_keys::{KeySet, VerifyingKey};
use dayfly_policy::{
    Attribute, CredentialKind, Limits, LoadOptions, Method, Parent, Peer, Preset, Source,
    SourceInfo,
};
use dayfly_token::{Confirmation, UnixTime};
use dayfly_verifier::{
    PeerCertificate, Presented, RevocationSource, UnverifiedToken, Verified, Verifier,
};
use rcgen::KeyPair;

use super::*;
use crate::control::{Body, StoreLife};
use crate::home::home_of;
use crate::issuance::IssuanceState;
use crate::port::Now;
use crate::reason::Reason;
use crate::testing::{FakeLedger, SeededRng, at, cluster_secret, run, signer};
use crate::x509::EphemeralRoot;

const ISSUER: &str = "https://sts.example.org";
const AUDIENCE: &str = "https://payments.internal";
const T: u64 = 1_800_000_000;

const PAYMENTS: &str = r#"
[owner]
contact = "payments@example.org"

[[audience]]
id = "https://payments.internal"
scopes = ["deploy:read", "deploy:write"]
environment = "prod"

[[audience]]
id = "https://tasks.internal"
scopes = ["run"]
environment = "prod"

[[workload]]
name = "deploy"
environment = "prod"
purpose = "deploys the payments service"

[[workload.rule]]
name = "svid-deploy"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/deploy"

[[workload.rule]]
name = "gh-deploy"
issuer = "github"
match = { repository_id = "74", repository_owner_id = "65", environment = "prod", event_name = "push" }

[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:read", "deploy:write"]
ttl = "5m"

[[workload.grant]]
audience = "https://tasks.internal"
scopes = ["run"]
require_task = true
binding = "none"

[workload.certificate]
ttl = "15m"
dns_names = ["deploy.payments.internal"]
"#;

fn registry(limits: Limits) -> Arc<Registry> {
    let options = LoadOptions {
        issuer: ISSUER.parse().unwrap(),
        trust_domain: "sts.example.org".parse().unwrap(),
        sources: vec![
            SourceInfo {
                source: Source::TrustDomain("prod.example.org".parse().unwrap()),
                preset: None,
                shared: false,
            },
            SourceInfo {
                source: Source::Issuer("github".parse().unwrap()),
                preset: Some(Preset::Github),
                shared: true,
            },
        ],
        admin_grants: Vec::new(),
        limits,
    };
    let files = vec![(
        PathBuf::from("registry/payments/all.toml"),
        PAYMENTS.to_owned(),
    )];
    match Registry::from_parts(files, Vec::new(), &options) {
        Ok((registry, _)) => Arc::new(registry),
        Err(errors) => panic!("{errors}"),
    }
}

/// A replica that is ready to issue at [`T`].
struct Rig {
    issuer: Issuer,
    ledger: Arc<FakeLedger>,
    signer: Arc<Signer>,
    rng: SeededRng,
    now: Now,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::default(), 1)
    }

    fn with(limits: Limits, partitions: u8) -> Self {
        let ledger = Arc::new(FakeLedger::new(T * 1000));
        let mut view = ControlView::new(vec![cluster_secret()], 960);
        view.heard(T * 1000, UnixTime::from_secs(T));
        view.adopt_store(StoreLife {
            generation: 1,
            since: UnixTime::from_secs(T - 100),
            epoch: "epoch".to_owned(),
        });
        let config = IssuerConfig {
            issuer: ISSUER.to_owned(),
            trust_domain: "sts.example.org".parse().unwrap(),
            replica: "a".to_owned(),
            algorithm: Algorithm::Es256,
            partitions,
            max_lifetime_secs: 900,
            bundle_endpoint: "https://sts.example.org/spiffe/bundle.json".to_owned(),
        };
        let policy = registry(limits);
        let control = Arc::new(RwLock::new(view));
        let issuer = Issuer::new(config, ledger.clone(), control, policy);
        let lease_until = UnixTime::from_secs(T + 3600);
        let signer = signer(Algorithm::Es256, KeyUse::Token, 1, lease_until);
        issuer.use_signer(Some(Arc::clone(&signer)));
        let mut rng = SeededRng::new(42);
        let (td, now) = ("sts.example.org".parse().unwrap(), UnixTime::from_secs(T));
        let root = EphemeralRoot::generate(&td, now, &mut rng).unwrap();
        let authority = IssuingCa::new(&root, &td, "a", 86_400, now, &mut rng).unwrap();
        issuer.use_authority(Some(Arc::new(authority)));
        Self {
            issuer,
            ledger,
            signer,
            rng,
            now: at(T),
        }
    }

    fn token(&mut self, principal: Principal, request: Request) -> Outcome {
        let request = IssueRequest {
            principal: Ok(principal),
            request,
            want: Want::Token,
            context: context("client_credentials"),
        };
        run(self.issuer.issue(request, self.now, &mut self.rng))
    }

    fn certificate(&mut self, principal: Principal, request: Request) -> Outcome {
        let csr = csr();
        let request = IssueRequest {
            principal: Ok(principal),
            request,
            want: Want::Certificate { request: &csr },
            context: context("x509"),
        };
        run(self.issuer.issue(request, self.now, &mut self.rng))
    }

    fn reason(&mut self, principal: Principal, request: Request) -> Reason {
        self.token(principal, request).result.unwrap_err().reason
    }

    /// Puts a fact into the control view, as if it had come back from the ledger.
    fn put(&self, body: Body) {
        let mut view = self.issuer.control().write().unwrap();
        let write = view.seal(self.now.time(), "test", "drill", body).unwrap();
        view.apply(&write.sealed).unwrap();
    }

    /// Lets time pass, with control heard.
    fn advance(&mut self, secs: u64) {
        self.now = at(self.now.time().as_secs() + secs);
        self.ledger.set_clock(self.now.unix_ms);
        self.issuer
            .control()
            .write()
            .unwrap()
            .heard(self.now.monotonic_ms, self.now.time());
    }

    fn verify(&self, token: &str, peer: Option<&PeerCertificate>) -> Verified {
        let mut keys = KeySet::default();
        keys.insert(VerifyingKey::from_jwk(self.signer.jwk()).unwrap());
        let verifier = Verifier::builder(ISSUER)
            .audience(AUDIENCE)
            .audience("https://tasks.internal")
            .keys(keys)
            .revocation(RevocationSource::None)
            .build()
            .unwrap();
        let presented = peer.map_or(Presented::NOTHING, Presented::certificate);
        verifier
            .verify(UnverifiedToken::new(token), &presented, self.now.time())
            .unwrap()
    }
}

fn context(grant: &'static str) -> Context<'static> {
    Context {
        request_id: "req-1",
        peer_address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        grant,
    }
}

fn peer_certificate() -> PeerCertificate {
    let id = "spiffe://prod.example.org/payments/deploy".parse().unwrap();
    PeerCertificate::new(vec![b"a certificate".to_vec()], Some(id)).unwrap()
}

/// A workload with an SVID.
fn svid() -> Principal {
    Principal {
        method: Method::X509Svid,
        source: Source::TrustDomain("prod.example.org".parse().unwrap()),
        issuer_url: None,
        subject: "spiffe://prod.example.org/payments/deploy".to_owned(),
        attributes: BTreeMap::new(),
        issued_at: None,
        expires_at: UnixTime::from_secs(T + 3000),
        peer: Some(Peer {
            thumbprint: *peer_certificate().thumbprint(),
            spiffe_id: peer_certificate().spiffe_id().cloned(),
        }),
        single_use: None,
        digest: [0xab; 32],
        informational: serde_json::Map::new(),
        parent: None,
    }
}

/// A CI job, whose evidence counts once.
fn job() -> Principal {
    let claims = [
        ("repository_id", "74"),
        ("repository_owner_id", "65"),
        ("environment", "prod"),
        ("event_name", "push"),
    ];
    Principal {
        method: Method::Oidc,
        source: Source::Issuer("github".parse().unwrap()),
        issuer_url: Some("https://token.actions.githubusercontent.com".to_owned()),
        subject: "repo:acme@65/payments@74:environment:prod".to_owned(),
        attributes: claims
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Attribute::Text(value.to_owned())))
            .collect(),
        issued_at: Some(UnixTime::from_secs(T - 10)),
        expires_at: UnixTime::from_secs(T + 290),
        peer: None,
        single_use: Some([0xcd; 32]),
        informational: [("run_id".to_owned(), serde_json::json!("4711"))]
            .into_iter()
            .collect(),
        ..svid()
    }
}

/// The holder of a token that is to be narrowed.
fn holder(parent: Parent) -> Principal {
    Principal {
        method: Method::OwnToken,
        source: Source::Own,
        subject: format!("spiffe://sts.example.org/{}", parent.workload),
        expires_at: parent.expires_at,
        parent: Some(Box::new(parent)),
        ..svid()
    }
}

fn parent() -> Parent {
    Parent {
        id: CredentialId::new(0, [7; 15]).to_string(),
        workload: "payments/deploy".parse().unwrap(),
        audience: AUDIENCE.parse().unwrap(),
        scopes: "deploy:read deploy:write".parse().unwrap(),
        expires_at: UnixTime::from_secs(T + 200),
        issued_at: UnixTime::from_secs(T - 50),
        rule: "svid-deploy".parse().unwrap(),
        environment: Some("prod".parse().unwrap()),
        task: None,
        confirmation: Some(Confirmation::CertificateThumbprint(
            *peer_certificate().thumbprint(),
        )),
        binding_proven: true,
        ancestors: Vec::new(),
        actor: None,
        authorization_details: Vec::new(),
    }
}

fn wants(audience: &str) -> Request {
    Request {
        kind: CredentialKind::AccessToken,
        audience: Some(audience.parse().unwrap()),
        scopes: None,
        rule: None,
        task: None,
        purpose: None,
        requested_ttl: None,
        dns_names: Vec::new(),
        authorization_details: None,
    }
}

fn wants_certificate() -> Request {
    Request {
        kind: CredentialKind::Certificate,
        audience: None,
        ..wants(AUDIENCE)
    }
}

fn csr() -> CertificateRequest {
    let key = KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    CertificateRequest::parse(request.der()).unwrap()
}

fn refused(outcome: &Outcome) -> Refused {
    *outcome.result.as_ref().unwrap_err()
}

fn issued(outcome: &Outcome) -> &crate::mint::IssuedToken {
    match outcome.result.as_ref().unwrap() {
        Credential::Token(token) => token,
        other => panic!("{other:?}"),
    }
}

fn line(outcome: &Outcome) -> serde_json::Value {
    assert!(!outcome.audit.contains('\n'));
    serde_json::from_str(&outcome.audit).unwrap()
}
