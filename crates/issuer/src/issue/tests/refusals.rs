use dayfly_policy::DenialReason;
use dayfly_token::feed::Kind;

use super::*;
use crate::control::{HoldKind, TaskState};
use crate::port::Ledger as _;
use crate::revoke::{Retention, Revocation, cut_off_body, hold_body, task_body};

const RETENTION: Retention = Retention {
    max_lifetime_secs: 900,
    leeway_secs: 60,
};

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
    for told in [
        "drill",
        r#""workload":"payments/deploy""#,
        r#""owner":"payments""#,
    ] {
        assert!(
            outcome.audit.contains(told),
            "the operator reads {told}: {}",
            outcome.audit
        );
    }
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
    for (key_use, lease_secs, what) in [
        (KeyUse::Token, 2, "δ before its end"),
        (KeyUse::Feed, 3600, "a feed key"),
    ] {
        let until = UnixTime::from_secs(T + lease_secs);
        let none = signer(Algorithm::Es256, key_use, 1, until);
        rig.issuer.use_signer(Some(none));
        let reason = rig.reason(svid(), wants(AUDIENCE));
        assert_eq!(reason, Reason::NoSigningKey, "{what}");
    }
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
    let change = T - 9;
    let live = |generation| StoreLife {
        generation,
        since: UnixTime::from_secs(change),
        epoch: "e".to_owned(),
    };
    let of = |issued_at| Principal { issued_at, ..job() };
    // A first store has forgotten nothing; one that changed may have, up to δ after the change,
    // because the evidence has a clock of its own.
    for (generation, margin) in [(1, 0), (2, 2)] {
        if rig.ledger.generation() < generation {
            run(rig.ledger.raise_generation(1, UnixTime::from_secs(change))).unwrap();
        }
        let mut view = rig.issuer.control().write().unwrap();
        view.adopt_store(live(generation));
        drop(view);
        let first = change + margin;
        for issued_at in [None, Some(T - 100), Some(first - 1)] {
            let old = of(issued_at.map(UnixTime::from_secs));
            let reason = rig.reason(old, wants(AUDIENCE));
            assert_eq!(reason, Reason::EvidencePredatesStore, "{issued_at:?}");
        }
        let mut fresh = of(Some(UnixTime::from_secs(first)));
        fresh.single_use = Some([u8::try_from(generation).unwrap(); 32]);
        issued(&rig.token(fresh, wants(AUDIENCE)));
    }
    // Evidence that may come again needs no memory.
    issued(&rig.token(svid(), wants(AUDIENCE)));
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
