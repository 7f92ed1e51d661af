//! Random requests against random control states and faults.

use dayfly_token::feed::Kind;
use proptest::prelude::*;

use super::*;
use crate::control::{HoldKind, TaskState};
use crate::revoke::{cut_off_body, hold_body, task_body};
use crate::testing::{Call, Fault};

fn principals() -> impl Strategy<Value = Principal> {
    let children = (any::<bool>(), 0..6_usize, 0..80_u64, any::<bool>()).prop_map(
        |(bound, ancestors, age, has_task)| {
            let mut parent = parent();
            if !bound {
                parent.confirmation = None;
            }
            parent.ancestors = (0..ancestors).map(|n| format!("ancestor-{n}")).collect();
            parent.issued_at = UnixTime::from_secs(T + 5 - age);
            parent.task = has_task.then(|| "payments/t1".parse().unwrap());
            holder(parent)
        },
    );
    let subject = prop_oneof![Just(None), ".{0,40}".prop_map(Some)];
    let base = prop_oneof![Just(svid()), Just(job()), children];
    (
        base,
        subject,
        0..400_u64,
        any::<bool>(),
        any::<Option<[u8; 32]>>(),
    )
        .prop_map(|(mut principal, subject, life, has_peer, single_use)| {
            principal.subject = subject.unwrap_or(principal.subject);
            principal.expires_at = UnixTime::from_secs(T + life);
            principal.single_use = single_use;
            if !has_peer {
                principal.peer = None;
            }
            principal
        })
}

fn requests() -> impl Strategy<Value = Request> {
    let audiences = prop_oneof![
        Just(Some(AUDIENCE)),
        Just(Some("https://tasks.internal")),
        Just(Some("https://unknown.internal")),
        Just(None),
    ];
    let scopes = proptest::option::of(prop_oneof![
        Just("deploy:read"),
        Just("deploy:read deploy:write"),
        Just("run"),
        Just("admin"),
    ]);
    let task = proptest::option::of(prop_oneof![Just("t1"), Just("t2")]);
    let purpose = proptest::option::of(".{0,300}");
    let ttl = proptest::option::of(0..2000_u64);
    let rule = proptest::option::of(prop_oneof![
        Just("gh-deploy"),
        Just("svid-deploy"),
        Just("no")
    ]);
    (audiences, scopes, task, purpose, ttl, rule).prop_map(
        |(audience, scopes, task, purpose, requested_ttl, rule)| Request {
            audience: audience.map(|audience| audience.parse().unwrap()),
            scopes: scopes.map(|scopes| scopes.parse().unwrap()),
            task: task.map(|task| task.parse().unwrap()),
            rule: rule.map(|rule| rule.parse().unwrap()),
            purpose,
            requested_ttl,
            ..wants(AUDIENCE)
        },
    )
}

fn control() -> impl Strategy<Value = Vec<Body>> {
    let now = at(T - 3);
    let cut = move |kind, value| cut_off_body(kind, value, now, 900, 60);
    let bodies = prop_oneof![
        Just(hold_body(HoldKind::Source, "oidc:github", true)),
        Just(hold_body(HoldKind::Owner, "payments", true)),
        Just(cut(Kind::Rule, "gh-deploy")),
        Just(cut(Kind::Credential, "ancestor-0")),
        Just(task_body(
            &"payments/t1".parse().unwrap(),
            TaskState::Revoked
        )),
    ];
    proptest::collection::vec(bodies, 0..2)
}

fn faults() -> impl Strategy<Value = Option<(Call, Fault)>> {
    let call = prop_oneof![Just(Call::Record), Just(Call::NoteDenial)];
    let fault = prop_oneof![
        Just(Fault::Refused),
        Just(Fault::AnswerLost),
        Just(Fault::TimedOut),
        Just(Fault::TimedOutLate),
    ];
    proptest::option::weighted(0.3, (call, fault))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn what_is_released_is_on_record_and_no_trail_has_a_token(
        asked in proptest::collection::vec((principals(), requests(), any::<bool>()), 1..4),
        control in control(),
        fault in faults(),
        burst in 1..4_u32,
        partitions in 1..65_u8,
    ) {
        let limits = Limits { workload_burst: burst, ..Limits::default() };
        let mut rig = Rig::with(limits, partitions);
        for body in control {
            rig.put(body);
        }
        if let Some((call, fault)) = fault {
            rig.ledger.fail_next(call, fault);
        }
        let mut trail = Vec::new();
        let mut tokens = Vec::new();
        for (principal, mut request, certificate) in asked {
            let parent = principal.parent.clone();
            let evidence_ends = principal.expires_at;
            let outcome = if certificate {
                request.kind = CredentialKind::Certificate;
                rig.certificate(principal, request)
            } else {
                rig.token(principal, request)
            };
            prop_assert!(outcome.audit.len() <= crate::MAX_AUDIT_BYTES);
            line(&outcome);
            trail.push(outcome.audit.clone());
            let recorded = rig.ledger.issuances();
            let by_decision = recorded.iter().find(|i| i.decision == outcome.decision);
            match &outcome.result {
                Ok(credential) => {
                    let record = by_decision.expect("released, and not on record");
                    prop_assert_eq!(record.state, IssuanceState::Recorded);
                    prop_assert!(record.expires_at <= evidence_ends);
                    prop_assert!(record.expires_at.seconds_since(record.issued_at) >= 30);
                    if let Some(parent) = &parent {
                        prop_assert!(record.expires_at <= parent.expires_at);
                        prop_assert!(record.issued_at >= parent.issued_at);
                        prop_assert!(record.scopes.is_subset(&parent.scopes));
                        prop_assert_eq!(&record.ancestors[0], &parent.id);
                    }
                    if let Credential::Token(token) = credential {
                        let text = token.access_token.reveal();
                        let verified = rig.verify(text, Some(&peer_certificate()));
                        prop_assert_eq!(verified.credential_id(), record.id.to_string());
                        if let Some(parent) = &parent && parent.confirmation.is_some() {
                            prop_assert_eq!(verified.confirmation(), parent.confirmation.as_ref());
                        }
                        tokens.push(text.to_owned());
                    }
                    let kept = rig.ledger.decisions().get(&outcome.decision).cloned();
                    prop_assert_eq!(kept.as_ref(), Some(&outcome.audit));
                }
                Err(_) => {
                    prop_assert!(outcome.audit.contains("\"outcome\":\"deny\""));
                    let mut unsettled = outcome.unsettled;
                    while let Some(left) = unsettled {
                        unsettled = run(rig.issuer.settle(left)).err();
                    }
                    let recorded = rig.ledger.issuances();
                    let left = recorded.iter().find(|i| i.decision == outcome.decision);
                    prop_assert!(left.is_none_or(|i| i.state == IssuanceState::Void));
                }
            }
        }
        trail.extend(rig.ledger.decisions().into_values());
        for line in &trail {
            prop_assert!(!line.contains("eyJ"), "{}", line);
            for token in &tokens {
                let signature = token.rsplit('.').next().unwrap();
                prop_assert!(!line.contains(&signature[..16]));
            }
        }
    }
}
