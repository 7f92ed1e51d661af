//! Every grant, permitted and denied, and what is on the wire.

use base64::Engine;
use dayfly_token::{Claims, Compact, Confirmation, base64url};
use serde_json::json;

use super::{API, World};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn claims(token: &str) -> Claims {
    Claims::parse(&Compact::split(token).unwrap().payload_bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn a_workload_gets_a_token_bound_to_its_certificate() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let answer = world
        .form(
            "/oauth2/token",
            Some(&svid),
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &svid.spiffe_id),
                ("resource", API),
                ("scope", "ledger:read"),
                ("task", "close-books"),
                ("purpose", "end of month"),
                ("requested_ttl", "120"),
                ("unknown", "ignored"),
            ],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["scope"]),
        (&json!("Bearer"), &json!("ledger:read"))
    );
    assert_eq!(body["expires_in"], 120);
    assert!(body.get("refresh_token").is_none() && body.get("issued_token_type").is_none());
    let claims = claims(&answer.text("access_token"));
    assert_eq!(claims.iss, world.running.public_url());
    assert_eq!(claims.sub, "spiffe://sts.example.org/payments/worker");
    assert_eq!(claims.txn.as_deref(), Some("payments/close-books"));
    assert_eq!(
        claims.cnf,
        Some(Confirmation::CertificateThumbprint(svid.thumbprint()))
    );
}

#[tokio::test]
async fn a_ci_job_gets_a_token_once() {
    let world = World::new().await;
    let assertion = world.ci_token();
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*assertion),
        ("audience", API),
        ("scope", "deploy:write"),
        ("task", "deploy-4711"),
    ];
    let first = world.form("/oauth2/token", None, &fields).await;
    assert_eq!(first.status, 200, "{}", first.json());
    let again = world.form("/oauth2/token", None, &fields).await;
    again.assert_error(400, "invalid_grant");
    assert!(again.json()["decision_id"].is_string());
}

#[tokio::test]
async fn an_oidc_token_can_be_exchanged_too() {
    let world = World::new().await;
    let token = world.ci_token();
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", &*token),
        ("subject_token_type", JWT),
        ("audience", API),
        ("task", "deploy-1"),
    ];
    let answer = world.form("/oauth2/token", None, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.text("issued_token_type"), ACCESS_TOKEN);
    world
        .form("/oauth2/token", None, &fields)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn our_own_token_is_narrowed_by_who_it_is_bound_to() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let parent = world.worker_token(&svid).await;
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", &*parent),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", API),
        ("scope", "ledger:read"),
    ];
    let child = world.form("/oauth2/token", Some(&svid), &fields).await;
    assert_eq!(child.status, 200, "{}", child.json());
    let (parent_claims, child_claims) = (claims(&parent), claims(&child.text("access_token")));
    assert_eq!(child_claims.cnf, parent_claims.cnf);
    assert_eq!(child_claims.dfy.unwrap().anc, [parent_claims.jti]);
    let other = world.svid("payments/worker");
    world
        .form("/oauth2/token", Some(&other), &fields)
        .await
        .assert_error(400, "invalid_request");
    world
        .form("/oauth2/token", None, &fields)
        .await
        .assert_error(400, "invalid_request");
    let wider = fields.map(|(name, value)| match name {
        "scope" => (name, "deploy:write"),
        _ => (name, value),
    });
    world
        .form("/oauth2/token", Some(&svid), &wider)
        .await
        .assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_csr_becomes_a_certificate_with_the_callers_name() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let csr = base64url::encode(csr.der());
    let fields = [
        ("client_id", &*svid.spiffe_id),
        ("csr", &csr),
        ("dns_name", "worker.payments.internal"),
    ];
    let answer = world.form("/v1/x509", Some(&svid), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(
        body["spiffe_id"],
        "spiffe://sts.example.org/payments/worker"
    );
    assert_eq!(body["certificate_chain"].as_array().unwrap().len(), 2);
    let leaf = body["certificate_chain"][0].as_str().unwrap();
    let leaf = base64::engine::general_purpose::STANDARD
        .decode(leaf)
        .unwrap();
    let id = dayfly_verifier::svid::identity_of(&leaf).unwrap();
    assert_eq!(id.as_str(), "spiffe://sts.example.org/payments/worker");
    let bundle = world.get("/spiffe/bundle.json", None).await;
    assert_eq!(bundle.json()["keys"][0]["use"], "x509-svid");
    let refused = [
        ("client_id", &*svid.spiffe_id),
        ("csr", &csr),
        ("dns_name", "evil.example"),
    ];
    let refused = world.form("/v1/x509", Some(&svid), &refused).await;
    refused.assert_error(400, "unauthorized_client");
    let garbage = [("client_id", &*svid.spiffe_id), ("csr", "AAAA")];
    world
        .form("/v1/x509", Some(&svid), &garbage)
        .await
        .assert_error(400, "invalid_request");
    let scoped = [
        ("client_id", &*svid.spiffe_id),
        ("csr", &csr),
        ("scope", "x"),
    ];
    world
        .form("/v1/x509", Some(&svid), &scoped)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn the_error_table() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let id = svid.spiffe_id.clone();
    let base = |extra: &[(&'static str, &'static str)]| {
        let mut fields = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", id.clone()),
            ("audience", API.to_owned()),
        ];
        for (name, value) in extra {
            fields.retain(|(known, _)| known != name);
            if !value.is_empty() {
                fields.push((name, (*value).to_owned()));
            }
        }
        fields
    };
    for (extra, status, code) in [
        (
            &[("grant_type", "password")][..],
            400,
            "unsupported_grant_type",
        ),
        (&[("grant_type", "")], 400, "invalid_request"),
        (&[("client_id", "")], 401, "invalid_client"),
        (
            &[("client_id", "spiffe://prod.example.org/payments/api")],
            401,
            "invalid_client",
        ),
        (&[("audience", "")], 400, "invalid_request"),
        (
            &[("audience", "https://other.internal")],
            400,
            "invalid_target",
        ),
        (&[("scope", "deploy:write")], 400, "invalid_scope"),
        (&[("scope", "ledger:read nonsense")], 400, "invalid_scope"),
        (
            &[("authorization_details", "[{\"type\":\"x\"}]")],
            400,
            "invalid_authorization_details",
        ),
        (&[("requested_ttl", "5")], 400, "invalid_request"),
        (&[("rule", "gh-deploy")], 401, "invalid_client"),
        (&[("assertion", "a.b.c")], 400, "invalid_request"),
        (&[("client_assertion", "a.b.c")], 401, "invalid_client"),
    ] {
        let fields = base(extra);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        world
            .form("/oauth2/token", Some(&svid), &fields)
            .await
            .assert_error(status, code);
    }
}

#[tokio::test]
async fn whoever_is_unknown_is_told_so_and_recorded() {
    let world = World::new().await;
    let svid = world.svid("payments/worker");
    let stranger = world.svid("payments/unknown");
    let ask = |id: &'static str| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("audience", API),
        ]
    };
    let nobody = ask("spiffe://prod.example.org/payments/worker");
    world
        .form("/oauth2/token", None, &nobody)
        .await
        .assert_error(401, "invalid_client");
    assert_eq!(
        world
            .form("/oauth2/token", Some(&svid), &nobody)
            .await
            .status,
        200
    );
    let unknown = ask("spiffe://prod.example.org/payments/unknown");
    let unknown = world.form("/oauth2/token", Some(&stranger), &unknown).await;
    unknown.assert_error(401, "invalid_client");
    assert!(
        unknown.json()["decision_id"].is_string(),
        "a denial is recorded"
    );
    let garbage = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "not.a.token"),
        ("audience", API),
    ];
    world
        .form("/oauth2/token", None, &garbage)
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn without_a_root_there_are_no_certificates() {
    let world = World::with("https://localhost:0", |config| config.x509 = None).await;
    let svid = world.svid("payments/worker");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let csr = base64url::encode(csr.der());
    let fields = [("client_id", &*svid.spiffe_id), ("csr", &csr)];
    let answer = world.form("/v1/x509", Some(&svid), &fields).await;
    answer.assert_error(400, "invalid_request");
    world
        .get("/spiffe/bundle.json", None)
        .await
        .assert_error(404, "not_found");
}

#[tokio::test]
async fn a_decision_that_cannot_be_written_is_not_made() {
    let world = World::with("https://localhost:0", |config| {
        config.audit.file = Some("/dev/full".into());
    })
    .await;
    let svid = world.svid("payments/worker");
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &*svid.spiffe_id),
        ("audience", API),
    ];
    // The first line is accepted and cannot be written; from then on the queue fills.
    let mut last = world.form("/oauth2/token", Some(&svid), &fields).await;
    let trail = &world.running.app.audit;
    while let Some(place) = trail.reserve().await {
        place.write("{}".to_owned());
    }
    last = match last.status.as_u16() {
        200 => world.form("/oauth2/token", Some(&svid), &fields).await,
        _ => last,
    };
    last.assert_error(503, "temporarily_unavailable");
    assert_eq!(last.header("retry-after"), "1");
    assert!(
        world
            .running
            .unready()
            .iter()
            .any(|reason| reason.contains("audit"))
    );
}
