use dayfly_policy::*;
use dayfly_token::{Actor, Confirmation};
use serde_json::json;

use crate::fixtures::*;

const BOUND: Confirmation = Confirmation::CertificateThumbprint([1; 32]);

fn bare() -> Request {
    Request {
        task: None,
        ..token(PAYMENTS)
    }
}

#[test]
fn a_child_is_its_parent_or_less() {
    let registry = base();
    let child = permit(&registry, &own_token(parent()), &bare());
    assert_eq!(
        (child.workload.to_string().as_str(), child.rule.as_str()),
        ("payments/api", "svid-api")
    );
    assert_eq!(child.scopes.to_string(), "deploy:read");
    assert_eq!(
        (child.ttl_secs, child.binding, child.task),
        (240, Binding::None, None)
    );
    // The audience may be left out; it is the parent's.
    let child = permit(
        &registry,
        &own_token(parent()),
        &Request {
            audience: None,
            ..bare()
        },
    );
    assert_eq!(child.audience.unwrap(), *PAYMENTS);
    let shorter = permit(
        &registry,
        &own_token(parent()),
        &Request {
            requested_ttl: Some(45),
            ..bare()
        },
    );
    assert_eq!(shorter.ttl_secs, 45);
    let longer = permit(
        &registry,
        &own_token(parent()),
        &Request {
            requested_ttl: Some(1_000_000),
            ..bare()
        },
    );
    assert_eq!(longer.ttl_secs, 240);
}

#[test]
fn another_audience_is_a_delegation() {
    let registry = base();
    for audience in [
        "https://billing.internal",
        "https://nowhere",
        "https://sts.example.org",
    ] {
        assert_eq!(
            reason(&registry, &own_token(parent()), &token(audience)),
            DenialReason::DelegationUnsupported
        );
    }
}

#[test]
fn scopes_are_the_parents_and_todays_grants() {
    let registry = base();
    let asked = |scopes: &str| Request {
        scopes: Some(scopes.parse().unwrap()),
        ..bare()
    };
    // In the parent, no longer in the grant.
    let old = own_token(Parent {
        scopes: "deploy:read deploy:write".parse().unwrap(),
        ..parent()
    });
    assert_eq!(
        reason(&registry, &old, &asked("deploy:write")),
        DenialReason::ScopeNotGranted
    );
    assert_eq!(
        permit(&registry, &old, &bare()).scopes.to_string(),
        "deploy:read"
    );
    let lost = own_token(Parent {
        scopes: "deploy:write".parse().unwrap(),
        ..parent()
    });
    assert_eq!(
        reason(&registry, &lost, &bare()),
        DenialReason::ScopeNotGranted
    );
    // In the grant, not in the parent.
    let deploy = Parent {
        workload: "payments/deploy".parse().unwrap(),
        rule: "gh-deploy".parse().unwrap(),
        task: Some("payments/t1".parse().unwrap()),
        ..parent()
    };
    assert_eq!(
        reason(&registry, &own_token(deploy), &asked("deploy:write")),
        DenialReason::ScopeNotGranted
    );
    let none = own_token(Parent {
        scopes: "".parse().unwrap(),
        ..parent()
    });
    assert!(permit(&registry, &none, &bare()).scopes.is_empty());
    assert_eq!(
        reason(&registry, &none, &asked("deploy:read")),
        DenialReason::ScopeNotGranted
    );
}

#[test]
fn the_binding_is_kept_and_has_to_be_proven() {
    let registry = base();
    let bound = Parent {
        confirmation: Some(BOUND),
        ..parent()
    };
    assert_eq!(
        reason(&registry, &own_token(bound.clone()), &bare()),
        DenialReason::NotNarrowable
    );
    let proven = own_token(Parent {
        binding_proven: true,
        ..bound.clone()
    });
    assert_eq!(
        permit(&registry, &proven, &bare()).binding,
        Binding::Certificate
    );
    // Bound in, bound out: also where the grant allows narrowing without proof, or says `none` by now.
    for edit in ["narrowable = true", "narrowable = true\nbinding = \"none\""] {
        let registry = edited("ttl = \"10m\"", edit);
        assert_eq!(
            permit(&registry, &own_token(bound.clone()), &bare()).binding,
            Binding::Certificate
        );
        let id = Confirmation::SpiffeId("spiffe://prod.example.org/payments/api".parse().unwrap());
        let by_id = own_token(Parent {
            confirmation: Some(id),
            ..parent()
        });
        assert_eq!(
            permit(&registry, &by_id, &bare()).binding,
            Binding::SpiffeId
        );
    }
    // A grant that asks for more by now is not met by an older parent, unless the caller brings it.
    let registry = edited("ttl = \"10m\"", "binding = \"certificate\"");
    assert_eq!(
        reason(&registry, &own_token(parent()), &bare()),
        DenialReason::BindingUnavailable
    );
    let with_key = Principal {
        peer: api().peer,
        ..own_token(parent())
    };
    assert_eq!(
        permit(&registry, &with_key, &bare()).binding,
        Binding::Certificate
    );
    let registry = edited("ttl = \"10m\"", "binding = \"spiffe_id\"");
    assert_eq!(
        reason(&registry, &proven, &bare()),
        DenialReason::BindingUnavailable
    );
    let key = Parent {
        confirmation: Some(Confirmation::KeyThumbprint([2; 32])),
        binding_proven: true,
        ..parent()
    };
    assert_eq!(
        reason(&base(), &own_token(key), &bare()),
        DenialReason::BindingUnavailable
    );
}

#[test]
fn a_child_stays_in_its_task() {
    let registry = base();
    let in_task = own_token(Parent {
        task: Some("payments/t0".parse().unwrap()),
        ..parent()
    });
    assert_eq!(
        permit(&registry, &in_task, &bare())
            .task
            .unwrap()
            .to_string(),
        "payments/t0"
    );
    assert_eq!(
        reason(&registry, &in_task, &token(PAYMENTS)),
        DenialReason::NotNarrower
    );
    let same = Request {
        task: Some("t0".parse().unwrap()),
        ..bare()
    };
    assert_eq!(
        permit(&registry, &in_task, &same).task.unwrap().to_string(),
        "payments/t0"
    );
    // A task may be added.
    assert_eq!(
        permit(&registry, &own_token(parent()), &token(PAYMENTS))
            .task
            .unwrap()
            .to_string(),
        "payments/t1"
    );
}

#[test]
fn what_is_gone_gives_nothing() {
    let registry = base();
    for (gone, expected) in [
        (
            Parent {
                workload: "payments/gone".parse().unwrap(),
                ..parent()
            },
            DenialReason::UnknownWorkload,
        ),
        (
            Parent {
                rule: "gone".parse().unwrap(),
                ..parent()
            },
            DenialReason::UnknownRule,
        ),
        // The rule is there, and leads to another workload by now.
        (
            Parent {
                rule: "gh-deploy".parse().unwrap(),
                ..parent()
            },
            DenialReason::UnknownRule,
        ),
        (
            Parent {
                environment: Some("dev".parse().unwrap()),
                ..parent()
            },
            DenialReason::EnvironmentMismatch,
        ),
        (
            Parent {
                ancestors: vec!["x".to_owned(); 4],
                ..parent()
            },
            DenialReason::NotNarrowable,
        ),
        // Narrowed, it would no longer say who acts.
        (
            Parent {
                actor: Some(Actor {
                    iss: None,
                    sub: "spiffe://sts.example.org/agents/planner".to_owned(),
                    act: None,
                }),
                ..parent()
            },
            DenialReason::NotNarrowable,
        ),
        (
            Parent {
                expires_at: NOW.saturating_add(29),
                ..parent()
            },
            DenialReason::LifetimeTooShort,
        ),
        (
            Parent {
                expires_at: NOW.saturating_sub(1),
                ..parent()
            },
            DenialReason::LifetimeTooShort,
        ),
    ] {
        assert_eq!(reason(&registry, &own_token(gone), &bare()), expected);
    }
    let foreign = Parent {
        audience: "https://billing.internal".parse().unwrap(),
        ..parent()
    };
    let request = Request {
        audience: None,
        ..bare()
    };
    assert_eq!(
        reason(&registry, &own_token(foreign), &request),
        DenialReason::NoGrant
    );
    let named = Request {
        rule: Some("svid-instances".parse().unwrap()),
        ..bare()
    };
    assert_eq!(
        reason(&registry, &own_token(parent()), &named),
        DenialReason::NoRule
    );
    assert_eq!(
        reason(&registry, &own_token(parent()), &certificate()),
        DenialReason::CertificateNotGranted
    );
}

#[test]
fn details_shrink_only() {
    let registry = base();
    let map = |value| serde_json::from_value::<Vec<serde_json::Map<_, _>>>(value).unwrap();
    let with = |value| {
        own_token(Parent {
            workload: "billing/reports".parse().unwrap(),
            rule: "ci-reports".parse().unwrap(),
            authorization_details: map(value),
            ..parent()
        })
    };
    let read = json!([{"type": "report", "actions": ["read"]}]);
    let asked = |value| Request {
        authorization_details: Some(map(value)),
        ..bare()
    };
    assert_eq!(
        permit(&registry, &with(read.clone()), &bare()).authorization_details,
        map(read.clone())
    );
    let list = json!([{"type": "report", "actions": ["list"]}]);
    assert_eq!(
        reason(&registry, &with(read.clone()), &asked(list.clone())),
        DenialReason::AuthorizationDetails
    );
    // Without details, an API may take the token for unlimited.
    assert_eq!(
        reason(&registry, &with(json!([])), &bare()),
        DenialReason::AuthorizationDetails
    );
    assert_eq!(
        reason(&registry, &with(json!([])), &asked(list)),
        DenialReason::AuthorizationDetails
    );
    assert_eq!(
        reason(&registry, &with(read), &asked(json!([]))),
        DenialReason::AuthorizationDetails
    );
    let gone = json!([{"type": "report", "actions": ["delete"]}]);
    assert_eq!(
        reason(&registry, &with(gone), &bare()),
        DenialReason::AuthorizationDetails
    );
}

#[test]
fn guardrails_see_that_it_is_narrowed() {
    let registry = guarded("forbid(principal, action, resource) when { context.narrowed };");
    assert_eq!(
        reason(&registry, &own_token(parent()), &bare()),
        DenialReason::Guardrail
    );
    permit(&registry, &api(), &bare());
}
