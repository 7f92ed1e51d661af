use dayfly_policy::{Denial, DenialReason, NearMiss};
use serde_json::json;

use super::*;
use crate::audit::{MAX_AUDIT_BYTES, Record};

#[test]
fn a_permit_says_who_got_what_on_whose_evidence() {
    let mut rig = Rig::new();
    let mut request = wants(AUDIENCE);
    request.task = Some("deploy-1".parse().unwrap());
    request.purpose = Some("release 1.4".to_owned());
    let outcome = rig.token(job(), request);
    let credential = rig.ledger.issuances()[0].id.to_string();
    let mut line = line(&outcome);
    let policies = line["policies"].take();
    assert!(
        policies
            .as_str()
            .is_some_and(|policies| !policies.is_empty()),
        "{policies}"
    );
    assert_eq!(
        line,
        json!({
            "time": "2027-01-15T08:00:00.000Z",
            "unix_ms": T * 1000,
            "decision_id": outcome.decision.to_string(),
            "request_id": "req-1",
            "outcome": "permit",
            "reason": "permitted",
            "grant": "client_credentials",
            "kind": "access_token",
            "peer": "192.0.2.7",
            "evidence": {
                "method": "oidc",
                "source": "oidc:github",
                "issuer": "https://token.actions.githubusercontent.com",
                "subject": "repo:acme@65/payments@74:environment:prod",
                "sha256": "ab".repeat(32),
            },
            "workload": "payments/deploy",
            "owner": "payments",
            "environment": "prod",
            "rule": "gh-deploy",
            "task": "payments/deploy-1",
            "purpose": "release 1.4",
            "audience": AUDIENCE,
            "scopes": "deploy:read deploy:write",
            "lifetime": 290,
            "expires_at": T + 290,
            "policies": null,
            "policy_version": rig.issuer.policy().version(),
            "credential_id": credential,
            "kid": rig.signer.kid(),
        })
    );
}

#[test]
fn a_denial_says_what_was_asked_and_what_nearly_matched() {
    let mut rig = Rig::new();
    let mut other = job();
    other
        .attributes
        .insert("repository_id".to_owned(), Attribute::Text("75".to_owned()));
    let outcome = rig.token(other, wants(AUDIENCE));
    let line = line(&outcome);
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("deny"), &json!("no_rule"))
    );
    assert_eq!(line["audience"], AUDIENCE);
    assert_eq!(line.get("credential_id"), None);
    let near = &line["near_misses"][0];
    assert_eq!(
        (&near["rule"], &near["claim"]),
        (&json!("gh-deploy"), &json!("repository_id"))
    );
    assert!(near["got"].as_str().unwrap().contains("75"), "{near}");
}

/// The worst that strangers and operators can write still is one short line.
#[test]
fn the_worst_texts_stay_one_short_line_of_json() {
    let rig = Rig::new();
    for worst in ["\u{1b}", "\"", "\\", "é", "\u{2028}", "😀", "a\n"] {
        let long = worst.repeat(9000);
        let mut principal = job();
        principal.subject.clone_from(&long);
        principal.issuer_url = Some(long.clone());
        let mut request = wants(&format!("https://{}", "a".repeat(240)));
        request.purpose = Some(long.clone());
        request.task = Some("t".repeat(100).parse().unwrap());
        let scopes: Vec<_> = (0..64).map(|n| format!("{n:0128}")).collect();
        request.scopes = Some(scopes.join(" ").parse().unwrap());
        let slug = "r".repeat(63);
        let near = NearMiss {
            rule: slug.parse().unwrap(),
            claim: long.clone(),
            expected: long.clone(),
            got: long.clone(),
        };
        let denial = Denial {
            reason: DenialReason::AmbiguousRule,
            detail: long.clone(),
            workload: Some(format!("{slug}/{slug}").parse().unwrap()),
            environment: Some(slug.parse().unwrap()),
            rule: Some(slug.parse().unwrap()),
            near_misses: vec![near; 50],
            policies: vec![long.clone(); 50],
        };
        let record = Record {
            now: rig.now,
            decision: DecisionId::new(0, [0xff; 15]),
            context: Context {
                request_id: &long,
                ..context("client_credentials")
            },
            request: &request,
            principal: Some(&principal),
            evidence: None,
            permit: None,
            issuance: None,
            policy_version: "v1",
        };
        let line = record.deny(Reason::Denied(denial.reason), &denial.detail, Some(&denial));
        assert!(
            line.len() <= MAX_AUDIT_BYTES,
            "{} bytes of {worst:?}",
            line.len()
        );
        assert!(
            !line.chars().any(|c| c.is_control() || c == '\u{2028}'),
            "{worst:?}"
        );
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["near_misses"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn a_token_in_a_purpose_does_not_reach_the_trail() {
    let mut rig = Rig::new();
    let token = issued(&rig.token(svid(), wants(AUDIENCE)))
        .access_token
        .reveal()
        .to_owned();
    let mut request = wants(AUDIENCE);
    request.purpose = Some(token.chars().take(200).collect());
    let outcome = rig.token(svid(), request);
    assert_eq!(line(&outcome)["purpose"], "[redacted]");
}
