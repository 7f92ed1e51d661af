use dayfly_policy::*;
use serde_json::json;

use crate::fixtures::*;

fn details(value: serde_json::Value) -> Option<Vec<serde_json::Map<String, serde_json::Value>>> {
    Some(serde_json::from_value(value).unwrap())
}

#[test]
fn a_pipeline_gets_what_its_grant_says() {
    let registry = base();
    let permit = permit(&registry, &job(), &token(PAYMENTS));
    assert_eq!(permit.workload.to_string(), "payments/deploy");
    assert_eq!(
        (permit.environment.as_str(), permit.rule.as_str()),
        ("prod", "gh-deploy")
    );
    assert_eq!(permit.audience.unwrap(), *PAYMENTS);
    assert_eq!(permit.scopes.to_string(), "deploy:read deploy:write");
    assert_eq!((permit.ttl_secs, permit.binding), (300, Binding::None));
    assert_eq!(permit.task.unwrap().to_string(), "payments/t1");
    assert_eq!(permit.purpose.as_deref(), Some("a test"));
    assert_eq!(
        permit.policies,
        ["grant:payments/deploy>https://payments.internal"]
    );
    assert_eq!(permit.policy_version, registry.version());
    let limits: Vec<_> = permit
        .limits
        .iter()
        .map(|l| (l.key.as_str(), l.per_minute, l.burst))
        .collect();
    assert_eq!(
        limits,
        [
            ("workload:payments/deploy", 600, 200),
            ("owner:payments", 3000, 1000)
        ]
    );
}

#[test]
fn audiences_and_callers() {
    let registry = base();
    assert_eq!(
        reason(&registry, &job(), &token("https://nowhere")),
        DenialReason::UnknownAudience
    );
    assert_eq!(
        reason(&registry, &job(), &token("https://billing.internal")),
        DenialReason::NoGrant
    );
    assert_eq!(
        reason(&registry, &job(), &token("https://sts.example.org")),
        DenialReason::NoGrant
    );
    let none = Request {
        audience: None,
        ..token(PAYMENTS)
    };
    assert_eq!(
        reason(&registry, &job(), &none),
        DenialReason::AudienceRequired
    );
    for near in [
        "https://payments.internal/",
        "https://Payments.internal",
        "https://payments.interna",
    ] {
        assert_eq!(
            reason(&registry, &job(), &token(near)),
            DenialReason::UnknownAudience
        );
    }
    // Another owner's grant needs the audience's word.
    for callers in [
        "callers = []",
        "callers = [\"billing/other\"]",
        "callers = [\"payments/*\"]",
    ] {
        let registry = edited("callers = [\"billing/reports\"]", callers);
        assert_eq!(
            reason(&registry, &report(), &token(PAYMENTS)),
            DenialReason::CallerNotAllowed
        );
    }
    let registry = edited(
        "callers = [\"billing/reports\"]",
        "callers = [\"billing/*\"]",
    );
    permit(&registry, &report(), &token(PAYMENTS));
    assert!(registry.is_operator(&PAYMENTS.parse().unwrap(), &"payments/api".parse().unwrap()));
    assert!(!registry.is_operator(
        &PAYMENTS.parse().unwrap(),
        &"payments/deploy".parse().unwrap()
    ));
}

#[test]
fn all_scopes_or_none() {
    let registry = base();
    let asked = |scopes: &str| Request {
        scopes: Some(scopes.parse().unwrap()),
        ..token(PAYMENTS)
    };
    assert_eq!(
        permit(&registry, &job(), &asked("deploy:write"))
            .scopes
            .to_string(),
        "deploy:write"
    );
    assert!(permit(&registry, &job(), &asked("")).scopes.is_empty());
    for more in [
        "deploy:write admin",
        "*",
        "deploy:*",
        "deploy",
        "DEPLOY:WRITE",
        "dayfly:keys",
    ] {
        assert_eq!(
            reason(&registry, &job(), &asked(more)),
            DenialReason::ScopeNotGranted,
            "{more}"
        );
    }
}

#[test]
fn tasks_and_purposes() {
    let registry = base();
    let no_task = Request {
        task: None,
        ..token(PAYMENTS)
    };
    assert_eq!(
        reason(&registry, &job(), &no_task),
        DenialReason::TaskRequired
    );
    assert_eq!(permit(&registry, &api(), &no_task).task, None);
    // A task is always its workload's owner's.
    assert_eq!(
        permit(&registry, &report(), &token(PAYMENTS))
            .task
            .unwrap()
            .to_string(),
        "billing/t1"
    );

    let purpose = |text: &str| Request {
        purpose: Some(text.to_owned()),
        ..token(PAYMENTS)
    };
    for nothing in ["", " ", " \t", "\n", "\u{a0}\u{3000}"] {
        assert_eq!(
            reason(&registry, &report(), &purpose(nothing)),
            DenialReason::PurposeRequired
        );
        assert_eq!(permit(&registry, &api(), &purpose(nothing)).purpose, None);
    }
    let longest = "é".repeat(MAX_PURPOSE_CHARS);
    assert_eq!(
        permit(&registry, &api(), &purpose(&longest)).purpose,
        Some(longest.clone())
    );
    for bad in [
        format!("{longest}x"),
        "a\nb".to_owned(),
        "\u{1b}[31m".to_owned(),
    ] {
        assert_eq!(
            reason(&registry, &api(), &purpose(&bad)),
            DenialReason::PurposeInvalid
        );
    }
}

#[test]
fn the_shortest_life_counts() {
    let registry = base();
    let asked = |secs| Request {
        requested_ttl: Some(secs),
        ..token(PAYMENTS)
    };
    let ending = |secs| Principal {
        expires_at: NOW.saturating_add(secs),
        ..job()
    };
    for (request, left, ttl) in [
        (token(PAYMENTS), 3600, 300),
        (asked(60), 3600, 60),
        (asked(1_000_000_000), 3600, 300),
        (asked(u64::MAX), 100, 100),
        (asked(30), 30, 30),
        (token(PAYMENTS), 31, 31),
    ] {
        assert_eq!(permit(&registry, &ending(left), &request).ttl_secs, ttl);
    }
    for (request, left) in [
        (asked(29), 3600),
        (asked(0), 3600),
        (token(PAYMENTS), 29),
        (token(PAYMENTS), 0),
    ] {
        assert_eq!(
            reason(&registry, &ending(left), &request),
            DenialReason::LifetimeTooShort
        );
    }
    let expired = Principal {
        expires_at: NOW.saturating_sub(1),
        ..job()
    };
    assert_eq!(
        reason(&registry, &expired, &token(PAYMENTS)),
        DenialReason::LifetimeTooShort
    );
    assert_eq!(registry.max_lifetime_secs(), 900);
}

#[test]
fn bindings() {
    let registry = base();
    assert_eq!(
        permit(&registry, &api(), &token(PAYMENTS)).binding,
        Binding::Certificate
    );
    let with_key = Principal {
        peer: api().peer,
        ..job()
    };
    assert_eq!(
        permit(&registry, &with_key, &token(PAYMENTS)).binding,
        Binding::Certificate
    );

    let set = |binding: &str| edited("require_task = true", &format!("binding = \"{binding}\""));
    assert_eq!(
        permit(&set("none"), &with_key, &token(PAYMENTS)).binding,
        Binding::None
    );
    assert_eq!(
        permit(&set("certificate"), &with_key, &token(PAYMENTS)).binding,
        Binding::Certificate
    );
    for (registry, principal) in [
        (set("certificate"), job()),
        (set("spiffe_id"), job()),
        // The SPIFFE ID of the connection was not what was attested.
        (set("spiffe_id"), with_key.clone()),
    ] {
        assert_eq!(
            reason(&registry, &principal, &token(PAYMENTS)),
            DenialReason::BindingUnavailable
        );
    }
    let registry = edited("ttl = \"10m\"", "binding = \"spiffe_id\"");
    assert_eq!(
        permit(&registry, &api(), &token(PAYMENTS)).binding,
        Binding::SpiffeId
    );
    let mut swapped = api();
    swapped.peer.as_mut().unwrap().spiffe_id =
        Some("spiffe://prod.example.org/other".parse().unwrap());
    assert_eq!(
        reason(&registry, &swapped, &token(PAYMENTS)),
        DenialReason::BindingUnavailable
    );
}

#[test]
fn authorization_details() {
    let registry = base();
    let asked = |value| Request {
        authorization_details: details(value),
        ..token(PAYMENTS)
    };
    let whole = details(json!([{"type": "report", "actions": ["read", "list"]}])).unwrap();
    assert_eq!(
        permit(&registry, &report(), &token(PAYMENTS)).authorization_details,
        whole
    );
    let less = json!([{"type": "report", "actions": ["read"]}]);
    assert_eq!(
        permit(&registry, &report(), &asked(less.clone())).authorization_details,
        details(less).unwrap()
    );
    for more in [
        json!([]),
        json!([{"type": "report"}]),
        json!([{"type": "other"}]),
        json!([{"type": "report", "actions": ["write"]}]),
        json!([{"type": "report", "actions": ["read"]}, {"type": "report", "actions": ["read"]}]),
        json!([{"type": "report", "actions": ["read"]}, {"type": "admin"}]),
        json!(vec![json!({"type": "report", "actions": ["read"]}); 17]),
    ] {
        assert_eq!(
            reason(&registry, &report(), &asked(more)),
            DenialReason::AuthorizationDetails
        );
    }
    let any = json!([{"type": "report", "actions": ["read"]}]);
    assert_eq!(
        reason(&registry, &job(), &asked(any)),
        DenialReason::AuthorizationDetails
    );
}

#[test]
fn certificates() {
    let registry = base();
    let plain = permit(&registry, &api(), &certificate());
    assert_eq!(
        (plain.ttl_secs, plain.audience, plain.binding),
        (900, None, Binding::None)
    );
    assert!(plain.scopes.is_empty() && plain.dns_names.is_empty());
    assert_eq!(plain.policies, ["certificate:payments/api"]);
    let named = |names: &[&str]| Request {
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..certificate()
    };
    let names = permit(
        &registry,
        &api(),
        &named(&[
            "Payments.Internal",
            "api.payments.internal",
            "payments.internal",
        ]),
    );
    assert_eq!(
        names.dns_names,
        ["api.payments.internal", "payments.internal"]
    );
    for bad in [
        "*.payments.internal",
        "internal",
        "evil.example",
        "payments.internal.",
        "",
        "payments.internal\0",
    ] {
        assert_eq!(
            reason(&registry, &api(), &named(&["payments.internal", bad])),
            DenialReason::DnsNameNotGranted
        );
    }
    assert_eq!(
        reason(&registry, &job(), &certificate()),
        DenialReason::CertificateNotGranted
    );
    let short = Request {
        requested_ttl: Some(59),
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &short),
        DenialReason::LifetimeTooShort
    );
    let scoped = Request {
        scopes: Some("deploy:read".parse().unwrap()),
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &scoped),
        DenialReason::ScopeNotGranted
    );
    let detailed = Request {
        authorization_details: Some(Vec::new()),
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &detailed),
        DenialReason::AuthorizationDetails
    );
    let addressed = Request {
        audience: Some(PAYMENTS.parse().unwrap()),
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &addressed),
        DenialReason::UnknownAudience
    );
    let token_with_names = Request {
        dns_names: vec!["payments.internal".to_owned()],
        ..token(PAYMENTS)
    };
    assert_eq!(
        reason(&registry, &api(), &token_with_names),
        DenialReason::DnsNameNotGranted
    );
}

#[test]
fn rights_at_the_issuer_come_from_the_main_file() {
    let mut options = options();
    let grant = |scopes: &[&str], owner: Option<&str>| AdminGrantConfig {
        workload: "payments/api".parse().unwrap(),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        owner: owner.map(|owner| owner.parse().unwrap()),
    };
    options.admin_grants = vec![
        grant(&["dayfly:audit"], None),
        grant(&["dayfly:revoke", "dayfly:audit"], Some("payments")),
    ];
    let (registry, _) = Registry::from_parts(parts(BASE), Vec::new(), &options).unwrap();
    let rights = registry.admin(&"payments/api".parse().unwrap());
    let shown: Vec<_> = rights
        .iter()
        .map(|r| {
            (
                r.scopes.to_string(),
                r.owner.as_ref().map(|o| o.to_string()),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("dayfly:audit".to_owned(), None),
            (
                "dayfly:audit dayfly:revoke".to_owned(),
                Some("payments".to_owned())
            ),
        ]
    );
    assert!(
        registry
            .admin(&"payments/deploy".parse().unwrap())
            .is_empty()
    );
    let permit = permit(&registry, &api(), &token("https://sts.example.org"));
    assert_eq!(permit.scopes.to_string(), "dayfly:audit dayfly:revoke");
    assert_eq!(permit.binding, Binding::Certificate);
    assert_ne!(registry.version(), base().version());
}
