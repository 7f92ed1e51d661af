use dayfly_policy::*;

use crate::fixtures::*;

#[test]
fn a_guardrail_forbids_and_says_so() {
    let registry = guarded(
        "@id(\"hosted\")\n@reason(\"self-hosted runners keep things\")\nforbid(principal, action == Action::\"issue_token\", resource) when {\n resource has environment && resource.environment == \"prod\" && context.source == \"oidc:github\" &&\n !(context.claims.hasTag(\"runner_environment\") && context.claims.getTag(\"runner_environment\") == \"github-hosted\")\n};",
    );
    let allowed = permit(&registry, &job(), &token(PAYMENTS));
    assert_eq!(
        allowed.policies,
        ["grant:payments/deploy>https://payments.internal"]
    );
    permit(&registry, &api(), &token(PAYMENTS));
    let mut own_runner = job();
    own_runner
        .attributes
        .insert("runner_environment".to_owned(), text("self-hosted"));
    let denial = deny(&registry, &own_runner, &token(PAYMENTS));
    assert_eq!(
        (denial.reason, denial.policies.as_slice()),
        (
            DenialReason::Guardrail,
            &["guardrail:hosted".to_owned()][..]
        )
    );
    assert!(
        denial.detail.contains("self-hosted runners keep things"),
        "{}",
        denial.detail
    );
    assert_eq!(denial.workload.unwrap().to_string(), "payments/deploy");
    own_runner.attributes.remove("runner_environment");
    assert_eq!(
        reason(&registry, &own_runner, &token(PAYMENTS)),
        DenialReason::Guardrail
    );
}

#[test]
fn a_guardrail_that_fails_denies() {
    let registry = guarded(
        "forbid(principal, action, resource) when { context.lifetime * 9223372036854775807 > 0 };",
    );
    let denial = deny(&registry, &job(), &token(PAYMENTS));
    assert_eq!(
        (denial.reason, denial.policies.as_slice()),
        (
            DenialReason::GuardrailError,
            &["guardrail:p#1".to_owned()][..]
        )
    );
    assert_eq!(
        reason(&registry, &api(), &certificate()),
        DenialReason::GuardrailError
    );
}

#[test]
fn guardrails_see_what_would_be_minted() {
    for (policy, principal, request) in [
        ("context.lifetime > 299", job(), token(PAYMENTS)),
        (
            "context.scopes.contains(\"deploy:write\")",
            job(),
            token(PAYMENTS),
        ),
        (
            "context has task && context.task == \"payments/t1\"",
            job(),
            token(PAYMENTS),
        ),
        (
            "context has purpose && context.purpose == \"a test\"",
            job(),
            token(PAYMENTS),
        ),
        (
            "context.binding == \"none\" && context.method == \"oidc\"",
            job(),
            token(PAYMENTS),
        ),
        (
            "context has issuer && context.issuer like \"https://token.actions.*\"",
            job(),
            token(PAYMENTS),
        ),
        (
            "context.rule == \"gh-deploy\" && !context.narrowed",
            job(),
            token(PAYMENTS),
        ),
        (
            "context.subject == \"job-7\" && context.claims.hasTag(\"level\") && context.claims.getTag(\"level\") == \"3\"",
            report(),
            token(PAYMENTS),
        ),
        (
            "context.claims.hasTag(\"protected\") && context.claims.getTag(\"protected\") == \"true\"",
            report(),
            token(PAYMENTS),
        ),
        (
            "principal in Owner::\"billing\" && resource in Owner::\"payments\"",
            report(),
            token(PAYMENTS),
        ),
        (
            "resource is Audience && resource has owner && resource.owner != principal.owner",
            report(),
            token(PAYMENTS),
        ),
        ("context.now == 1800000000", job(), token(PAYMENTS)),
        (
            "resource is TrustDomain && context.source == \"spiffe:prod.example.org\"",
            api(),
            certificate(),
        ),
        (
            "principal.name == \"api\" && principal.environment == \"prod\" && principal.purpose like \"*service\"",
            api(),
            certificate(),
        ),
    ] {
        let registry = guarded(&format!(
            "forbid(principal, action, resource) when {{ {policy} }};"
        ));
        assert_eq!(
            reason(&registry, &principal, &request),
            DenialReason::Guardrail,
            "{policy}"
        );
    }
}

/// The entity that carries the claims can be named without the context, and must be there then too.
#[test]
fn claims_are_seen_under_any_name() {
    for claims in [
        "Claims::\"evidence\"",
        "context[\"claims\"]",
        "(if context.narrowed then Claims::\"other\" else context.claims)",
    ] {
        let registry = guarded(&format!(
            "forbid(principal, action, resource) when {{ {claims}.hasTag(\"ref\") }};"
        ));
        assert_eq!(
            reason(&registry, &job(), &token(PAYMENTS)),
            DenialReason::Guardrail,
            "{claims}"
        );
        let condition = format!("when = '!{claims}.hasTag(\"ref\")'");
        assert_eq!(
            reason(
                &edited("require_task = true", &condition),
                &job(),
                &token(PAYMENTS)
            ),
            DenialReason::ConditionFailed,
            "{claims}"
        );
    }
}

#[test]
fn conditions_of_grants() {
    let with =
        |condition: &str| edited("require_task = true", &format!("when = '''{condition}'''"));
    let main = with(
        "context.claims.hasTag(\"ref\") && context.claims.getTag(\"ref\") == \"refs/heads/main\"",
    );
    assert_eq!(
        permit(&main, &job(), &token(PAYMENTS)).policies,
        ["grant:payments/deploy>https://payments.internal"]
    );
    let mut branch = job();
    branch
        .attributes
        .insert("ref".to_owned(), text("refs/heads/evil"));
    let denial = deny(&main, &branch, &token(PAYMENTS));
    assert_eq!(denial.reason, DenialReason::ConditionFailed);
    assert_eq!(
        denial.policies,
        ["grant:payments/deploy>https://payments.internal"]
    );
    // Another grant is not touched by it.
    permit(&main, &api(), &token(PAYMENTS));
    let failing = with("context.lifetime * 9223372036854775807 > 0");
    assert_eq!(
        reason(&failing, &job(), &token(PAYMENTS)),
        DenialReason::ConditionFailed
    );

    let files: Vec<(&str, String)> = BASE
        .iter()
        .map(|(path, text)| (*path, text.replace("[workload.certificate]", "[workload.certificate]\nwhen = 'context.dns_names.isEmpty()'\nrequire_task = true")))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
    let (registry, _) = load(&files, &[]).unwrap();
    permit(&registry, &api(), &certificate());
    let named = Request {
        dns_names: vec!["payments.internal".to_owned()],
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &named),
        DenialReason::ConditionFailed
    );
    let no_task = Request {
        task: None,
        ..certificate()
    };
    assert_eq!(
        reason(&registry, &api(), &no_task),
        DenialReason::TaskRequired
    );
}

#[track_caller]
fn refused(policy: &str, line: usize, says: &str) {
    let errors = load(BASE, &[("policies/p.cedar", policy)])
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with(&format!("policies/p.cedar:{line}: ")),
        "{errors}"
    );
    assert!(errors.contains(says), "{errors}");
}

#[test]
fn what_is_no_guardrail_is_refused_with_its_line() {
    const FINE: &str = "forbid(principal, action, resource) when { context.lifetime > 9000 };\n";
    refused(
        &format!("{FINE}permit(principal, action, resource);"),
        2,
        "only forbids",
    );
    refused("", 1, "no policy in this file");
    refused("// nothing\n", 1, "no policy in this file");
    refused(
        &format!("{FINE}\nforbid(principal, action resource);"),
        3,
        "unexpected token",
    );
    refused(
        &format!("{FINE}forbid(principal == ?principal, action, resource);"),
        2,
        "no slots",
    );
    refused(
        &format!("{FINE}\n\nforbid(principal, action, resource) when {{\n context.lifetme > 1 }};"),
        5,
        "lifetme",
    );
    refused(
        "forbid(principal, action, resource) when { context.task == \"x\" };",
        1,
        "task",
    );
    refused(
        "forbid(principal, action, resource) when { context.claims.getTag(\"x\") == \"y\" };",
        1,
        "access to tag",
    );
    refused(
        "forbid(principal == User::\"x\", action, resource);",
        1,
        "User",
    );
    refused(
        "forbid(principal, action == Action::\"mint\", resource);",
        1,
        "mint",
    );
    refused(
        "@id(\"A b\") forbid(principal, action, resource);",
        1,
        "`@id`",
    );
    let twice = format!("@id(\"a\") {FINE}@id(\"a\") {FINE}");
    refused(&twice, 2, "also defined at policies/p.cedar:1");
}

/// Cedar's parser calls itself for each level: without a limit of ours this test would end the process.
#[test]
fn what_nests_too_deeply_is_refused() {
    for (step, end) in [
        ("(", ")"),
        ("true && ", ""),
        ("if true then ", " else true"),
        ("!(", ")"),
    ] {
        let nested = |times| format!("{}true{}", step.repeat(times), end.repeat(times));
        let guardrail = |times| {
            format!(
                "forbid(principal, action, resource) when {{ {} }};",
                nested(times)
            )
        };
        let registry = guarded(&guardrail(16));
        assert_eq!(
            reason(&registry, &job(), &token(PAYMENTS)),
            DenialReason::Guardrail
        );
        refused(&guardrail(20_000), 1, "nests too deeply");
        let texts: Vec<(&str, String)> = BASE
            .iter()
            .map(|(path, text)| {
                let condition = format!("when = '{}'", nested(20_000));
                (*path, text.replace("require_task = true", &condition))
            })
            .collect();
        let files: Vec<(&str, &str)> = texts.iter().map(|(p, t)| (*p, t.as_str())).collect();
        let errors = load(&files, &[]).unwrap_err().to_string();
        assert!(errors.contains("nests too deeply"), "{errors}");
    }
}

#[test]
fn a_guardrail_for_nothing_is_pointed_at() {
    for policy in [
        "forbid(principal, action, resource == Audience::\"https://paymnts.internal\");",
        "forbid(principal in Owner::\"paymnts\", action, resource);",
        "forbid(principal == Workload::\"payments/gone\", action, resource);",
        "forbid(principal, action, resource) when { Claims::\"other\".hasTag(\"ref\") };",
    ] {
        let (_, warnings) = load(BASE, &[("policies/p.cedar", policy)]).unwrap();
        assert!(
            warnings
                .iter()
                .any(|w| w.message.contains("does not exist")),
            "{warnings:?}"
        );
    }
}
