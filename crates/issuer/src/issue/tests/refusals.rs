use dayfly_policy::DenialReason;
use dayfly_token::feed::Kind;

use super::*;
use crate::control::{HoldKind, TaskState};
use crate::revoke::{Retention, Revocation, cut_off_body, hold_body, task_body};

const RETENTION: Retention = Retention {
    max_lifetime_secs: 900,
    leeway_secs: 60,
};

fn refused(outcome: &Outcome) -> Refused {
    *outcome.result.as_ref().unwrap_err()
}

#[test]
fn policy_denies_with_its_reason() {
    let mut rig = Rig::new();
    let mut stranger = svid();
    stranger.subject = "spiffe://prod.example.org/payments/other".to_owned();
    let denied = |reason| Reason::Denied(reason);
    assert_eq!(
        rig.reason(stranger, wants(AUDIENCE)),
        denied(DenialReason::NoRule)
    );
    let unknown = wants("https://unknown.internal");
    assert_eq!(
        rig.reason(svid(), unknown),
        denied(DenialReason::UnknownAudience)
    );
    let mut scope = wants(AUDIENCE);
    scope.scopes = Some("deploy:admin".parse().unwrap());
    assert_eq!(
        rig.reason(svid(), scope),
        denied(DenialReason::ScopeNotGranted)
    );
    assert!(rig.ledger.issuances().is_empty());
}

#[test]
fn refused_evidence_is_a_decision_like_any_other() {
    let mut rig = Rig::new();
    for (unavailable, retry_after_secs) in [(false, None), (true, Some(1))] {
        let request = IssueRequest {
            principal: Err(EvidenceRefused {
                method: Some(Method::Oidc),
                code: "expired",
                detail: "the token expired at 17".to_owned(),
                unavailable,
            }),
            request: wants(AUDIENCE),
            want: Want::Token,
            context: context("jwt_bearer"),
        };
        let outcome = run(rig.issuer.issue(request, rig.now, &mut rig.rng));
        let refused = refused(&outcome);
        assert_eq!(
            (refused.reason.as_str(), refused.retry_after_secs),
            ("expired", retry_after_secs)
        );
        assert_eq!(
            matches!(refused.reason, Reason::EvidenceUnavailable { .. }),
            unavailable
        );
        let line = line(&outcome);
        assert_eq!(line["evidence"]["method"], "oidc");
        assert_eq!(rig.ledger.decisions()[&outcome.decision], outcome.audit);
    }
}

#[test]
fn a_cut_off_refuses_until_it_has_passed_and_says_when() {
    let mut rig = Rig::new();
    let body = cut_off_body(Kind::Workload, "payments/deploy", rig.now, 900, 60);
    rig.put(body);
    let outcome = rig.token(svid(), wants(AUDIENCE));
    let refused = refused(&outcome);
    assert_eq!(refused.reason, Reason::CutOff(Kind::Workload));
    let wait = refused.retry_after_secs.unwrap();
    assert_eq!(
        wait, 8,
        "the first instant after `before`, which lies 7 s ahead"
    );
    rig.advance(wait - 1);
    assert_eq!(
        rig.reason(svid(), wants(AUDIENCE)),
        Reason::CutOff(Kind::Workload)
    );
    rig.advance(1);
    let outcome = rig.token(svid(), wants(AUDIENCE));
    let recorded = rig.ledger.issuances().remove(0);
    issued(&outcome);
    let before = rig
        .issuer
        .control()
        .read()
        .unwrap()
        .cut_off(Kind::Workload, "payments/deploy");
    assert!(recorded.issued_at > before.unwrap());
}

#[test]
fn a_revoked_workload_is_held_until_it_is_lifted() {
    let mut rig = Rig::new();
    for body in Revocation::Workload("payments/deploy".parse().unwrap()).bodies(rig.now, RETENTION)
    {
        rig.put(body);
    }
    rig.advance(1000);
    let outcome = rig.token(svid(), wants(AUDIENCE));
    let refused = refused(&outcome);
    assert_eq!(refused.reason, Reason::Held(HoldKind::Workload));
    assert_eq!(refused.retry_after_secs, None, "time does not lift a hold");
    assert!(
        outcome.audit.contains("drill"),
        "the operator reads why: {}",
        outcome.audit
    );
    rig.put(hold_body(HoldKind::Workload, "payments/deploy", false));
    issued(&rig.token(svid(), wants(AUDIENCE)));
}

#[test]
fn a_held_source_closes_the_door_for_its_evidence_only() {
    let mut rig = Rig::new();
    rig.put(hold_body(HoldKind::Source, "oidc:github", true));
    assert_eq!(
        rig.reason(job(), wants(AUDIENCE)),
        Reason::Held(HoldKind::Source)
    );
    issued(&rig.token(svid(), wants(AUDIENCE)));
}

#[test]
fn nothing_is_issued_for_a_task_that_ended() {
    let mut rig = Rig::new();
    rig.put(task_body(
        &"payments/t1".parse().unwrap(),
        TaskState::Completed,
    ));
    let mut request = wants("https://tasks.internal");
    request.task = Some("t1".parse().unwrap());
    assert_eq!(rig.reason(svid(), request.clone()), Reason::TaskEnded);
    request.task = Some("t2".parse().unwrap());
    issued(&rig.token(svid(), request));
}

#[test]
fn a_deadline_shortens_and_then_refuses() {
    let mut rig = Rig::new();
    rig.put(Body::Task {
        task: "payments/t1".parse().unwrap(),
        state: TaskState::Open,
        purpose: String::new(),
        deadline: Some(UnixTime::from_secs(T + 60)),
    });
    let mut request = wants("https://tasks.internal");
    request.task = Some("t1".parse().unwrap());
    let outcome = rig.token(svid(), request.clone());
    assert_eq!(issued(&outcome).expires_in, 60);
    rig.advance(31);
    assert_eq!(
        rig.reason(svid(), request.clone()),
        Reason::TaskOverdue,
        "29 s are too short"
    );
    rig.advance(29);
    assert_eq!(rig.reason(svid(), request), Reason::TaskOverdue);
}

#[test]
fn nothing_is_issued_when_control_is_silent_or_the_store_unknown() {
    let mut rig = Rig::new();
    rig.issuer.control().write().unwrap().forget_store(1);
    assert_eq!(rig.reason(svid(), wants(AUDIENCE)), Reason::Generation);
    let mut rig = Rig::new();
    rig.now = Now {
        unix_ms: T * 1000 + 2001,
        monotonic_ms: T * 1000 + 2001,
    };
    assert_eq!(rig.reason(svid(), wants(AUDIENCE)), Reason::ControlSilent);
}

#[test]
fn a_clock_off_by_more_than_delta_issues_nothing() {
    let mut rig = Rig::new();
    rig.ledger.set_clock(T * 1000 + 2001);
    assert_eq!(rig.reason(svid(), wants(AUDIENCE)), Reason::ClockSkew);
    rig.ledger.set_clock(T * 1000 + 2000);
    issued(&rig.token(svid(), wants(AUDIENCE)));
    rig.now.unix_ms -= 3_600_000;
    assert_eq!(
        rig.reason(svid(), wants(AUDIENCE)),
        Reason::ClockSkew,
        "set back by an hour"
    );
}

#[test]
fn without_a_key_in_its_lease_nothing_is_signed() {
    let mut rig = Rig::new();
    rig.put(cut_off_body(Kind::Key, rig.signer.kid(), rig.now, 900, 60));
    assert_eq!(
        rig.reason(svid(), wants(AUDIENCE)),
        Reason::NoSigningKey,
        "tainted"
    );
    let mut rig = Rig::new();
    let lapsed = signer(
        Algorithm::Es256,
        KeyUse::Token,
        1,
        UnixTime::from_secs(T + 2),
    );
    rig.issuer.use_signer(Some(lapsed));
    assert_eq!(
        rig.reason(svid(), wants(AUDIENCE)),
        Reason::NoSigningKey,
        "δ before its end"
    );
    let feed = signer(
        Algorithm::Es256,
        KeyUse::Feed,
        1,
        UnixTime::from_secs(T + 3600),
    );
    rig.issuer.use_signer(Some(feed));
    assert_eq!(
        rig.reason(svid(), wants(AUDIENCE)),
        Reason::NoSigningKey,
        "a feed key"
    );
    rig.issuer.use_signer(None);
    let outcome = rig.token(svid(), wants(AUDIENCE));
    assert_eq!(refused(&outcome).retry_after_secs, Some(5));
}

#[test]
fn evidence_that_counts_once_counts_once() {
    let mut rig = Rig::new();
    issued(&rig.token(job(), wants(AUDIENCE)));
    assert_eq!(rig.reason(job(), wants(AUDIENCE)), Reason::Replayed);
    assert_eq!(rig.ledger.issuances().len(), 1);
}

#[test]
fn single_use_evidence_from_before_a_change_of_the_store_is_refused() {
    let mut rig = Rig::new();
    let life = |since| StoreLife {
        generation: 1,
        since,
        epoch: "e".to_owned(),
    };
    rig.issuer
        .control()
        .write()
        .unwrap()
        .adopt_store(life(UnixTime::from_secs(T - 9)));
    assert_eq!(
        rig.reason(job(), wants(AUDIENCE)),
        Reason::EvidencePredatesStore
    );
    let mut undated = job();
    undated.issued_at = None;
    assert_eq!(
        rig.reason(undated, wants(AUDIENCE)),
        Reason::EvidencePredatesStore
    );
    // Evidence that may come again needs no memory, and a fresh job goes through.
    issued(&rig.token(svid(), wants(AUDIENCE)));
    let mut fresh = job();
    fresh.issued_at = Some(UnixTime::from_secs(T - 9));
    issued(&rig.token(fresh, wants(AUDIENCE)));
}

#[test]
fn rates_are_counted_for_workload_and_owner() {
    let limits = Limits {
        workload_per_minute: 60,
        workload_burst: 2,
        owner_per_minute: 600,
        owner_burst: 100,
    };
    let mut rig = Rig::with(limits, 1);
    issued(&rig.token(svid(), wants(AUDIENCE)));
    issued(&rig.token(svid(), wants(AUDIENCE)));
    let outcome = rig.token(svid(), wants(AUDIENCE));
    assert_eq!(
        refused(&outcome),
        Refused {
            reason: Reason::RateLimited,
            retry_after_secs: Some(1)
        }
    );
    rig.advance(1);
    issued(&rig.token(svid(), wants(AUDIENCE)));
}

#[test]
fn the_children_of_a_dead_parent_are_not_born() {
    let id = parent().id;
    for (kind, value) in [
        (Kind::Credential, id.as_str()),
        (Kind::Credential, "grandparent"),
        (Kind::Task, "payments/t1"),
    ] {
        let mut rig = Rig::new();
        rig.put(cut_off_body(kind, value, rig.now, 900, 60));
        // Long after the cut-off itself has passed for new credentials.
        rig.advance(20);
        let mut parent = parent();
        parent.ancestors = vec!["grandparent".to_owned()];
        parent.task = Some("payments/t1".parse().unwrap());
        let reason = rig.reason(holder(parent), wants(AUDIENCE));
        let expected = match kind {
            Kind::Task => Reason::TaskEnded,
            kind => Reason::ParentRevoked(kind),
        };
        assert_eq!(reason, expected);
    }
    // A parent from before a cut-off of its workload is dead though new credentials are not.
    let mut rig = Rig::new();
    rig.put(cut_off_body(
        Kind::Workload,
        "payments/deploy",
        rig.now,
        900,
        60,
    ));
    rig.advance(20);
    issued(&rig.token(svid(), wants(AUDIENCE)));
    let reason = rig.reason(holder(parent()), wants(AUDIENCE));
    assert_eq!(reason, Reason::ParentRevoked(Kind::Workload));
}

#[test]
fn a_child_is_never_older_than_its_parent() {
    let mut rig = Rig::new();
    let mut young = parent();
    young.issued_at = UnixTime::from_secs(T + 3);
    let outcome = rig.token(holder(young), wants(AUDIENCE));
    let expected = Refused {
        reason: Reason::ClockSkew,
        retry_after_secs: Some(3),
    };
    assert_eq!(refused(&outcome), expected);
}

#[test]
fn a_fifth_ancestor_is_refused() {
    let mut rig = Rig::new();
    let mut deep = parent();
    deep.ancestors = (0..3).map(|n| format!("a{n}")).collect();
    issued(&rig.token(holder(deep.clone()), wants(AUDIENCE)));
    deep.ancestors.push("a3".to_owned());
    let reason = rig.reason(holder(deep.clone()), wants(AUDIENCE));
    // Policy counts as well; whoever counts first says no.
    let counted = [
        Reason::TooManyAncestors,
        Reason::Denied(DenialReason::NotNarrowable),
    ];
    assert!(counted.contains(&reason), "{reason:?}");
    let stop = super::super::admit::ancestors(&holder(deep)).err().unwrap();
    let record = crate::audit::Record {
        now: rig.now,
        decision: DecisionId::new(0, [0; 15]),
        context: context("token_exchange"),
        request: &wants(AUDIENCE),
        principal: None,
        evidence: None,
        permit: None,
        issuance: None,
        policy_version: "v1",
    };
    assert_eq!(
        refused(&stop.outcome(&record)).reason,
        Reason::TooManyAncestors
    );
}

#[test]
fn what_would_live_too_short_is_not_minted() {
    let mut rig = Rig::new();
    let mut ending = svid();
    ending.expires_at = UnixTime::from_secs(T + 29);
    let reason = rig.reason(ending, wants(AUDIENCE));
    assert_eq!(reason, Reason::Denied(DenialReason::LifetimeTooShort));
}

#[test]
fn nothing_lives_longer_than_l() {
    let mut rig = Rig::new();
    rig.issuer.max_lifetime_secs.store(120, Ordering::Relaxed);
    assert_eq!(issued(&rig.token(svid(), wants(AUDIENCE))).expires_in, 120);
    let registry = rig.issuer.policy();
    rig.issuer.replace_policy(registry);
    assert_eq!(rig.issuer.max_lifetime_secs(), 900);
    assert_eq!(issued(&rig.token(svid(), wants(AUDIENCE))).expires_in, 300);
}

#[test]
fn without_an_authority_of_its_own_trust_domain_there_are_no_certificates() {
    let mut rig = Rig::new();
    let (td, now) = ("prod.example.org".parse().unwrap(), rig.now.time());
    let root = EphemeralRoot::generate(&td, now, &mut rig.rng).unwrap();
    let foreign = IssuingCa::new(&root, &td, "a", 86_400, now, &mut rig.rng).unwrap();
    rig.issuer.use_authority(Some(Arc::new(foreign)));
    let outcome = rig.certificate(svid(), wants_certificate());
    assert_eq!(refused(&outcome).reason, Reason::CertificatesNotConfigured);
}

#[test]
fn a_certificate_never_outlives_its_authority() {
    let mut rig = Rig::new();
    let (td, now) = ("sts.example.org".parse().unwrap(), rig.now.time());
    let root = EphemeralRoot::generate(&td, now, &mut rig.rng).unwrap();
    let short = IssuingCa::new(&root, &td, "a", 100, now, &mut rig.rng).unwrap();
    rig.issuer.use_authority(Some(Arc::new(short)));
    let outcome = rig.certificate(svid(), wants_certificate());
    let Credential::Certificate(certificate) = outcome.result.unwrap() else {
        panic!()
    };
    assert_eq!(certificate.not_after.as_secs(), T + 100);
    rig.advance(41);
    let outcome = rig.certificate(svid(), wants_certificate());
    assert_eq!(refused(&outcome).reason, Reason::CertificatesNotConfigured);
}

#[test]
fn a_request_that_contradicts_itself_is_a_defect() {
    let mut rig = Rig::new();
    assert_eq!(rig.reason(svid(), wants_certificate()), Reason::Internal);
}

#[test]
fn what_no_verifier_would_read_is_the_fault_of_the_details_that_were_asked_for() {
    let stop = super::super::stop::Stop::mint(crate::mint::MintError::TooLong { bytes: 20_000 });
    let record = crate::audit::Record {
        now: at(T),
        decision: DecisionId::new(0, [0; 15]),
        context: context("client_credentials"),
        request: &wants(AUDIENCE),
        principal: None,
        evidence: None,
        permit: None,
        issuance: None,
        policy_version: "v1",
    };
    let refused = refused(&stop.outcome(&record));
    assert_eq!(
        refused.reason,
        Reason::Denied(DenialReason::AuthorizationDetails)
    );
    assert_eq!(refused.retry_after_secs, None);
}
