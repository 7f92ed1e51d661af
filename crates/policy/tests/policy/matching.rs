use dayfly_policy::*;

use crate::fixtures::*;

#[test]
fn every_claim_must_match_and_the_denial_says_which_did_not() {
    let registry = base();
    for (claim, value) in [
        ("repository_id", "75"),
        ("repository_owner_id", "66"),
        ("environment", "Prod"),
        ("event_name", "pull_request_target"),
    ] {
        let mut job = job();
        job.attributes.insert(claim.to_owned(), text(value));
        let denial = deny(&registry, &job, &token(PAYMENTS));
        assert_eq!(denial.reason, DenialReason::NoRule);
        assert_eq!((&denial.workload, &denial.rule), (&None, &None));
        let [miss] = denial.near_misses.as_slice() else {
            panic!("{denial:?}")
        };
        assert_eq!(
            (miss.rule.as_str(), miss.claim.as_str()),
            ("gh-deploy", claim)
        );
        assert_eq!(miss.got, format!("\"{value}\""));

        job.attributes.remove(claim);
        let denial = deny(&registry, &job, &token(PAYMENTS));
        assert_eq!(denial.near_misses[0].got, "no such claim");
    }
}

#[test]
fn claims_have_types() {
    let registry = base();
    assert_eq!(
        permit(&registry, &report(), &token(PAYMENTS)).rule,
        *"ci-reports"
    );
    for (claim, value) in [
        ("level", text("3")),
        ("level", Attribute::Flag(true)),
        ("protected", text("true")),
        ("protected", Attribute::Flag(false)),
        ("protected", Attribute::List(vec!["true".to_owned()])),
    ] {
        let mut report = report();
        report.attributes.insert(claim.to_owned(), value);
        assert_eq!(
            reason(&registry, &report, &token(PAYMENTS)),
            DenialReason::NoRule
        );
    }
    // `sub` is the subject that was attested, whatever else calls itself so.
    let mut other = report();
    other.subject = "job-8".to_owned();
    other.attributes.insert("sub".to_owned(), text("job-7"));
    assert_eq!(
        reason(&registry, &other, &token(PAYMENTS)),
        DenialReason::NoRule
    );
    // The same claims from another source are other claims.
    let mut foreign = report();
    foreign.source = Source::Issuer("cloud".parse().unwrap());
    assert_eq!(
        reason(&registry, &foreign, &token(PAYMENTS)),
        DenialReason::NoRule
    );
}

#[test]
fn spiffe_ids_are_exact_or_one_segment_deeper() {
    let registry = base();
    let rule_of = |path: &str| {
        let id = format!("spiffe://prod.example.org{path}");
        match registry.decide(&svid(&id), &token(PAYMENTS), NOW) {
            Decision::Permit(permit) => permit.rule.to_string(),
            Decision::Deny(denial) => denial.reason.to_string(),
        }
    };
    assert_eq!(rule_of("/payments/api"), "svid-api");
    assert_eq!(rule_of("/payments/api/1"), "svid-instances");
    for path in [
        "",
        "/payments",
        "/payments/API",
        "/payments/api/1/2",
        "/payments/apis",
        "/payments/api.x",
    ] {
        assert_eq!(rule_of(path), "no_rule", "{path}");
    }
    let mut foreign = api();
    foreign.source = Source::TrustDomain("partner.example".parse().unwrap());
    assert_eq!(
        reason(&registry, &foreign, &token(PAYMENTS)),
        DenialReason::NoRule
    );
}

#[test]
fn one_rule_must_match_unless_the_caller_names_one() {
    let registry = edited(
        "[[workload.rule]]\nname = \"svid-instances\"",
        "[[workload.rule]]\nname = \"svid-again\"\ntrust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org/payments/api\"\n[[workload.rule]]\nname = \"svid-instances\"",
    );
    let denial = deny(&registry, &api(), &token(PAYMENTS));
    assert_eq!(denial.reason, DenialReason::AmbiguousRule);
    assert!(
        denial.detail.ends_with("svid-again, svid-api"),
        "{}",
        denial.detail
    );
    let named = |rule: &str| Request {
        rule: Some(rule.parse().unwrap()),
        ..token(PAYMENTS)
    };
    assert_eq!(
        permit(&registry, &api(), &named("svid-again")).rule,
        *"svid-again"
    );
    // Naming grants nothing.
    let denial = deny(&registry, &api(), &named("gh-deploy"));
    assert_eq!(denial.reason, DenialReason::NoRule);
    assert_eq!(denial.near_misses[0].claim, "source");
    assert_eq!(
        reason(&registry, &api(), &named("svid-instances")),
        DenialReason::NoRule
    );
    assert_eq!(
        reason(&registry, &api(), &named("nobody")),
        DenialReason::UnknownRule
    );
}

#[test]
fn explaining_compares_every_rule_of_the_source() {
    let registry = base();
    let mut job = job();
    job.attributes
        .insert("repository_id".to_owned(), text("99\n\u{1b}[31m"));
    let explained = registry.explain(&job, &token(PAYMENTS), NOW);
    assert!(matches!(explained.decision, Decision::Deny(_)));
    assert_eq!(explained.compared, 1);
    assert_eq!(explained.rules[0].workload.to_string(), "payments/deploy");
    let miss = &explained.rules[0].misses[0];
    assert_eq!(
        (miss.claim.as_str(), miss.expected.as_str()),
        ("repository_id", "\"74\"")
    );
    // What a stranger sends cannot break the log's lines.
    assert_eq!(miss.got, "\"99\\n\\u{1b}[31m\"");

    let explained = registry.explain(&api(), &token(PAYMENTS), NOW);
    assert!(matches!(explained.decision, Decision::Permit(_)));
    let misses: Vec<_> = explained
        .rules
        .iter()
        .map(|r| (r.rule.as_str(), r.misses.len()))
        .collect();
    assert_eq!(misses, [("svid-api", 0), ("svid-instances", 1)]);
}

#[test]
fn a_principal_that_mixes_kinds_is_nobody() {
    let registry = base();
    let with_parent = Principal {
        parent: Some(Box::new(parent())),
        ..api()
    };
    assert_eq!(
        reason(&registry, &with_parent, &token(PAYMENTS)),
        DenialReason::NoRule
    );
    let orphan = Principal {
        parent: None,
        ..own_token(parent())
    };
    assert_eq!(
        reason(&registry, &orphan, &token(PAYMENTS)),
        DenialReason::NoRule
    );
    let disguised = Principal {
        source: Source::Own,
        ..job()
    };
    assert_eq!(
        reason(&registry, &disguised, &token(PAYMENTS)),
        DenialReason::NoRule
    );
}
