//! What a credential never is more than: its parent, L, its authority.

use dayfly_policy::{Decision, DenialReason, Permit};
use dayfly_token::feed::Kind;

use super::super::admit::{ancestors, check_narrower};
use super::*;
use crate::revoke::cut_off_body;

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
    let stop = ancestors(&holder(deep)).err().unwrap();
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

/// Held here as well as by policy: each member that would make the child more than its parent.
#[test]
fn what_policy_let_through_by_a_defect_does_not_exceed_the_parent() {
    let rig = Rig::new();
    let permit = |change: fn(&mut Permit)| {
        let registry = rig.issuer.policy();
        match registry.decide(&holder(parent()), &wants(AUDIENCE), rig.now.time()) {
            Decision::Permit(mut permit) => {
                change(&mut permit);
                permit
            }
            Decision::Deny(denial) => panic!("{denial:?}"),
        }
    };
    let task = Parent {
        task: Some("payments/t1".parse().unwrap()),
        ..parent()
    };
    let refused = |parent: &Parent, permit: &Permit| check_narrower(parent, permit).is_err();
    assert!(!refused(&parent(), &permit(|_| ())));
    let wider: [fn(&mut Permit); 5] = [
        |permit| permit.workload = "payments/other".parse().unwrap(),
        |permit| permit.rule = "gh-deploy".parse().unwrap(),
        |permit| permit.audience = Some("https://tasks.internal".parse().unwrap()),
        // A certificate would speak for the workload everywhere.
        |permit| permit.audience = None,
        |permit| permit.scopes = "deploy:read deploy:write run".parse().unwrap(),
    ];
    for change in wider {
        let permit = permit(change);
        assert!(refused(&parent(), &permit), "{permit:?}");
    }
    assert!(refused(&task, &permit(|_| ())), "out of the parent's task");
}
