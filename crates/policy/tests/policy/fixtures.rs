use std::collections::BTreeMap;
use std::path::PathBuf;

use dayfly_policy::*;
use dayfly_token::{AudienceId, UnixTime};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const PAYMENTS: &str = "https://payments.internal";

/// Two owners; a pipeline, a service with certificates, and somebody else's job.
pub(crate) const BASE: &[(&str, &str)] = &[
    (
        "registry/payments/payments.toml",
        r#"
[owner]
contact = "payments@example.org"

[[audience]]
id = "https://payments.internal"
environment = "prod"
scopes = ["deploy:read", "deploy:write"]
operators = ["payments/api"]
callers = ["billing/reports"]

[[workload]]
name = "deploy"
environment = "prod"
purpose = "deploys the payments service"
[[workload.rule]]
name = "gh-deploy"
issuer = "github"
match = { repository_id = "74", repository_owner_id = "65", environment = "prod", event_name = "push" }
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:read", "deploy:write"]
require_task = true

[[workload]]
name = "api"
environment = "prod"
purpose = "the payments service"
[[workload.rule]]
name = "svid-api"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/api"
[[workload.rule]]
name = "svid-instances"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/api/*"
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:read"]
ttl = "10m"
[workload.certificate]
dns_names = ["payments.internal", "api.payments.internal"]
"#,
    ),
    (
        "registry/billing/billing.toml",
        r#"
[owner]
contact = "billing@example.org"

[[audience]]
id = "https://billing.internal"
environment = "prod"
scopes = ["invoices:read"]

[[workload]]
name = "reports"
environment = "prod"
purpose = "reports"
[[workload.rule]]
name = "ci-reports"
issuer = "ci"
match = { sub = "job-7", level = 3, protected = true }
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:read"]
require_purpose = true
authorization_details = [{ type = "report", actions = ["read", "list"] }]
"#,
    ),
];

pub(crate) fn options() -> LoadOptions {
    let source = |source, preset, shared| SourceInfo {
        source,
        preset,
        shared,
    };
    let issuer = |name: &str| Source::Issuer(name.parse().unwrap());
    LoadOptions {
        issuer: "https://sts.example.org".parse().unwrap(),
        trust_domain: "sts.example.org".parse().unwrap(),
        sources: vec![
            source(issuer("github"), Some(Preset::Github), true),
            source(issuer("ci"), Some(Preset::Custom), false),
            source(issuer("cloud"), Some(Preset::Custom), true),
            source(issuer("cluster-eu"), None, false),
            source(
                Source::TrustDomain("prod.example.org".parse().unwrap()),
                None,
                false,
            ),
            source(
                Source::TrustDomain("partner.example".parse().unwrap()),
                None,
                true,
            ),
        ],
        admin_grants: Vec::new(),
        limits: Limits::default(),
    }
}

pub(crate) fn parts(files: &[(&str, &str)]) -> Vec<(PathBuf, String)> {
    files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect()
}

pub(crate) fn load(
    files: &[(&str, &str)],
    policies: &[(&str, &str)],
) -> Result<(Registry, Vec<Lint>), LoadErrors> {
    Registry::from_parts(parts(files), parts(policies), &options())
}

/// The registry with `policy` as its only guardrail.
pub(crate) fn guarded(policy: &str) -> Registry {
    load(BASE, &[("policies/p.cedar", policy)]).unwrap().0
}

pub(crate) fn base() -> Registry {
    let (registry, warnings) = load(BASE, &[]).unwrap();
    assert_eq!(warnings, []);
    registry
}

/// `BASE` with `from` replaced by `to` in its texts.
pub(crate) fn edited(from: &str, to: &str) -> Registry {
    let texts: Vec<(&str, String)> = BASE
        .iter()
        .map(|(path, text)| (*path, text.replace(from, to)))
        .collect();
    assert!(
        texts
            .iter()
            .zip(BASE)
            .any(|((_, new), (_, old))| new != old)
    );
    let files: Vec<(&str, &str)> = texts.iter().map(|(p, t)| (*p, t.as_str())).collect();
    load(&files, &[]).unwrap().0
}

pub(crate) fn text(text: &str) -> Attribute {
    Attribute::Text(text.to_owned())
}

fn principal(method: Method, source: Source, subject: &str) -> Principal {
    Principal {
        method,
        source,
        issuer_url: None,
        subject: subject.to_owned(),
        attributes: BTreeMap::new(),
        issued_at: Some(NOW),
        expires_at: NOW.saturating_add(3600),
        peer: None,
        single_use: None,
        digest: [7; 32],
        informational: serde_json::Map::new(),
        parent: None,
    }
}

/// A job of GitHub Actions, as `gh-deploy` wants it.
pub(crate) fn job() -> Principal {
    let mut job = principal(
        Method::Oidc,
        Source::Issuer("github".parse().unwrap()),
        "repo:octo-org/payments:environment:prod",
    );
    job.issuer_url = Some("https://token.actions.githubusercontent.com".to_owned());
    for (name, value) in [
        ("repository", "octo-org/payments"),
        ("repository_id", "74"),
        ("repository_owner_id", "65"),
        ("environment", "prod"),
        ("event_name", "push"),
        ("ref", "refs/heads/main"),
        ("runner_environment", "github-hosted"),
    ] {
        job.attributes.insert(name.to_owned(), text(value));
    }
    job
}

/// A job of the issuer `ci`, as `ci-reports` wants it.
pub(crate) fn report() -> Principal {
    let mut report = principal(Method::Oidc, Source::Issuer("ci".parse().unwrap()), "job-7");
    report
        .attributes
        .insert("level".to_owned(), Attribute::Integer(3));
    report
        .attributes
        .insert("protected".to_owned(), Attribute::Flag(true));
    report
}

pub(crate) fn svid(id: &str) -> Principal {
    let domain = Source::TrustDomain("prod.example.org".parse().unwrap());
    Principal {
        peer: Some(Peer {
            thumbprint: [1; 32],
            spiffe_id: Some(id.parse().unwrap()),
        }),
        ..principal(Method::X509Svid, domain, id)
    }
}

pub(crate) fn api() -> Principal {
    svid("spiffe://prod.example.org/payments/api")
}

/// An access token of `payments/api` for its own API, as evidence.
pub(crate) fn own_token(parent: Parent) -> Principal {
    let subject = parent
        .workload
        .spiffe_id(&"sts.example.org".parse().unwrap());
    Principal {
        expires_at: parent.expires_at,
        parent: Some(Box::new(parent)),
        ..principal(Method::OwnToken, Source::Own, subject.as_str())
    }
}

pub(crate) fn parent() -> Parent {
    Parent {
        id: "QHRoaXMgaXMgYSBqdGkuLg".to_owned(),
        workload: "payments/api".parse().unwrap(),
        audience: PAYMENTS.parse().unwrap(),
        scopes: "deploy:read".parse().unwrap(),
        expires_at: NOW.saturating_add(240),
        issued_at: NOW.saturating_sub(60),
        rule: "svid-api".parse().unwrap(),
        environment: Some("prod".parse().unwrap()),
        task: None,
        confirmation: None,
        binding_proven: false,
        ancestors: Vec::new(),
        actor: None,
        authorization_details: Vec::new(),
    }
}

pub(crate) fn token(audience: &str) -> Request {
    Request {
        kind: CredentialKind::AccessToken,
        audience: Some(audience.parse::<AudienceId>().unwrap()),
        scopes: None,
        rule: None,
        task: Some("t1".parse().unwrap()),
        purpose: Some("a test".to_owned()),
        requested_ttl: None,
        dns_names: Vec::new(),
        authorization_details: None,
    }
}

pub(crate) fn certificate() -> Request {
    Request {
        kind: CredentialKind::Certificate,
        audience: None,
        ..token(PAYMENTS)
    }
}

#[track_caller]
pub(crate) fn permit(registry: &Registry, principal: &Principal, request: &Request) -> Permit {
    match registry.decide(principal, request, NOW) {
        Decision::Permit(permit) => permit,
        Decision::Deny(denial) => panic!("{denial:?}"),
    }
}

#[track_caller]
pub(crate) fn deny(registry: &Registry, principal: &Principal, request: &Request) -> Denial {
    match registry.decide(principal, request, NOW) {
        Decision::Permit(permit) => panic!("{permit:?}"),
        Decision::Deny(denial) => denial,
    }
}

#[track_caller]
pub(crate) fn reason(
    registry: &Registry,
    principal: &Principal,
    request: &Request,
) -> DenialReason {
    deny(registry, principal, request).reason
}
