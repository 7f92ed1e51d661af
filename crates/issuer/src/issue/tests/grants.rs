use dayfly_token::Compact;
use serde_json::{Value, json};

use super::*;
use crate::issuance::IssuanceKind;

fn claims(token: &str) -> Value {
    let payload = Compact::split(token).unwrap().payload_bytes().unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_workload_gets_a_bound_token_that_says_what_was_decided() {
    let mut rig = Rig::new();
    let mut request = wants(AUDIENCE);
    request.task = Some("deploy-4711".parse().unwrap());
    request.purpose = Some("release 1.4".to_owned());
    let outcome = rig.token(svid(), request);
    let token = issued(&outcome);
    assert_eq!(
        (token.expires_in, token.expires_at.as_secs()),
        (300, T + 300)
    );

    let recorded = rig.ledger.issuances().remove(0);
    let thumbprint = dayfly_token::base64url::encode(peer_certificate().thumbprint());
    assert_eq!(
        claims(token.access_token.reveal()),
        json!({
            "iss": ISSUER,
            "sub": "spiffe://sts.example.org/payments/deploy",
            "aud": AUDIENCE,
            "client_id": "spiffe://sts.example.org/payments/deploy",
            "iat": T,
            "nbf": T - 5,
            "exp": T + 300,
            "jti": recorded.id.to_string(),
            "scope": "deploy:read deploy:write",
            "txn": "payments/deploy-4711",
            "cnf": { "x5t#S256": thumbprint },
            "dfy": {
                "rule": "svid-deploy",
                "env": "prod",
                "anc": [],
                "src": { "method": "x509_svid" },
            },
        })
    );
    let verified = rig.verify(token.access_token.reveal(), Some(&peer_certificate()));
    assert_eq!(verified.workload().unwrap().to_string(), "payments/deploy");
    assert_eq!(verified.kid(), rig.signer.kid());
    assert!(verified.has_scope("deploy:write"));
}

#[test]
fn a_job_gets_a_bearer_token_that_tells_where_it_came_from() {
    let mut rig = Rig::new();
    let outcome = rig.token(job(), wants(AUDIENCE));
    let token = issued(&outcome);
    assert_eq!(token.binding, None);
    assert_eq!(
        token.expires_at.as_secs(),
        T + 290,
        "never beyond the evidence"
    );
    let claims = claims(token.access_token.reveal());
    assert_eq!(claims.get("cnf"), None);
    assert_eq!(
        claims["dfy"]["src"],
        json!({
            "method": "oidc",
            "iss": "https://token.actions.githubusercontent.com",
            "claims": { "run_id": "4711" },
        })
    );
    rig.verify(token.access_token.reveal(), None);
}

#[test]
fn the_record_says_what_the_token_says() {
    let mut rig = Rig::new();
    let outcome = rig.token(job(), wants(AUDIENCE));
    let recorded = rig.ledger.issuances().remove(0);
    assert_eq!(recorded.decision, outcome.decision);
    assert_eq!(recorded.kind, IssuanceKind::AccessToken);
    assert_eq!(recorded.state, IssuanceState::Recorded);
    assert_eq!(recorded.kid, rig.signer.kid());
    assert_eq!(recorded.source, "oidc:github");
    assert_eq!(recorded.evidence_sha256, "ab".repeat(32));
    assert_eq!(recorded.expires_at.as_secs(), T + 290);
    assert_eq!(rig.ledger.decisions()[&outcome.decision], outcome.audit);
    assert!(outcome.unsettled.is_none());
}

#[test]
fn informational_claims_that_would_not_fit_stay_away() {
    let mut rig = Rig::new();
    let mut principal = job();
    principal
        .informational
        .insert("ref".to_owned(), json!("r".repeat(990)));
    let outcome = rig.token(principal, wants(AUDIENCE));
    let token = issued(&outcome).access_token.reveal();
    assert_eq!(claims(token)["dfy"]["src"].get("claims"), None);
    rig.verify(token, None);
}

#[test]
fn a_narrowed_token_is_less_than_its_parent_and_keeps_its_binding() {
    let mut rig = Rig::new();
    let mut parent = parent();
    parent.ancestors = vec!["grandparent".to_owned()];
    parent.task = Some("payments/deploy-1".parse().unwrap());
    let id = parent.id.clone();
    let mut request = wants(AUDIENCE);
    request.scopes = Some("deploy:read".parse().unwrap());
    // Without a client certificate there is nothing to bind to but what the parent was bound to.
    let mut principal = holder(parent);
    principal.peer = None;
    let outcome = rig.token(principal, request);
    let token = issued(&outcome);
    let thumbprint = *peer_certificate().thumbprint();
    assert_eq!(
        token.binding,
        Some(Confirmation::CertificateThumbprint(thumbprint))
    );
    assert_eq!(token.expires_at.as_secs(), T + 200);
    let claims = claims(token.access_token.reveal());
    assert_eq!(claims["dfy"]["anc"], json!([id, "grandparent"]));
    assert_eq!(
        (&claims["scope"], &claims["txn"]),
        (&json!("deploy:read"), &json!("payments/deploy-1"))
    );
    assert_eq!(
        rig.ledger.issuances()[0].ancestors,
        [id, "grandparent".to_owned()]
    );
}

#[test]
fn a_workload_gets_a_certificate_for_the_key_of_its_request() {
    let mut rig = Rig::new();
    let mut request = wants_certificate();
    request.dns_names = vec!["deploy.payments.internal".to_owned()];
    request.task = Some("deploy-1".parse().unwrap());
    let outcome = rig.certificate(svid(), request);
    let Credential::Certificate(certificate) = outcome.result.unwrap() else {
        panic!()
    };
    let recorded = rig.ledger.issuances().remove(0);
    assert_eq!(recorded.kind, IssuanceKind::Certificate);
    assert_eq!(certificate.serial_hex, recorded.id.to_hex());
    assert_eq!(
        certificate.spiffe_id.to_string(),
        "spiffe://sts.example.org/payments/deploy"
    );
    assert_eq!(certificate.not_before.as_secs(), T - 30);
    assert_eq!(certificate.not_after.as_secs(), T + 900);
    assert_eq!(certificate.renew_after.as_secs(), T + 600);
    assert_eq!(certificate.chain.len(), 2);
    let claims = dayfly_verifier::x509::claims_of(&certificate.chain[0]).unwrap();
    assert_eq!(claims.txn.as_deref(), Some("payments/deploy-1"));
    assert_eq!(claims.iat.as_secs(), T);
    let id = dayfly_verifier::svid::identity_of(&certificate.chain[0]).unwrap();
    assert_eq!(id, certificate.spiffe_id);
}

#[test]
fn decisions_and_credentials_are_at_home_where_the_evidence_is() {
    let mut rig = Rig::with(Limits::default(), 64);
    let first = rig.token(job(), wants(AUDIENCE));
    let home = first.decision.partition();
    assert_eq!(rig.ledger.issuances()[0].id.partition(), home);
    // The same evidence has one home whatever it asks for; replay and rates are counted there.
    let mut again = job();
    again.single_use = Some([1; 32]);
    let mut request = wants("https://tasks.internal");
    request.task = Some("t".parse().unwrap());
    assert_eq!(rig.token(again, request).decision.partition(), home);
    // An exchange stays where its parent is.
    let mut parent = parent();
    parent.id = CredentialId::new(33, [1; 15]).to_string();
    let child = rig.token(holder(parent), wants(AUDIENCE));
    issued(&child);
    assert_eq!(child.decision.partition(), 33);
    let homes: std::collections::BTreeSet<_> = (0..40)
        .map(|n| {
            let mut other = job();
            other.subject = format!("repo:{n}");
            home_of(&other, 64)
        })
        .collect();
    assert!(
        homes.len() > 15 && homes.iter().all(|home| *home < 64),
        "{homes:?}"
    );
}

#[test]
fn the_way_can_be_gone_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let mut rig = Rig::new();
    let request = IssueRequest {
        principal: Ok(svid()),
        request: wants(AUDIENCE),
        want: Want::Token,
        context: context("client_credentials"),
    };
    let way = rig.issuer.issue(request, rig.now, &mut rig.rng);
    is_send(&way);
    issued(&run(way));
}
