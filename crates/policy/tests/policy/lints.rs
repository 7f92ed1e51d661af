use dayfly_policy::*;

use crate::fixtures::*;

const GITHUB: &str = r#"repository_id = "74"
repository_owner_id = "65"
environment = "prod"
event_name = "push""#;

fn try_rule(issuer: &str, claims: &str, more: &str) -> Result<Vec<String>, String> {
    let text = format!(
        "[owner]\ncontact = \"a\"\n[[audience]]\nid = \"x\"\nenvironment = \"prod\"\nscopes = [\"s\"]\n[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"p\"\n[[workload.grant]]\naudience = \"x\"\nscopes = [\"s\"]\n[[workload.rule]]\nname = \"r\"\nissuer = \"{issuer}\"\n{more}\n[workload.rule.match]\n{claims}\n"
    );
    load(&[("registry/a/x.toml", &text)], &[])
        .map(|(_, warnings)| warnings.into_iter().map(|w| w.message).collect())
        .map_err(|errors| errors.to_string())
}

#[track_caller]
fn refused(issuer: &str, claims: &str, says: &str) {
    let errors = try_rule(issuer, claims, "").unwrap_err();
    assert!(errors.contains(says), "{errors}");
    assert!(
        errors
            .lines()
            .all(|line| line.starts_with("registry/a/x.toml:")),
        "{errors}"
    );
}

#[track_caller]
fn fine(issuer: &str, claims: &str) {
    assert_eq!(try_rule(issuer, claims, "").unwrap(), Vec::<String>::new());
}

/// `GITHUB` with the line of `claim` replaced.
fn github(claim: &str, line: &str) -> String {
    let kept: Vec<&str> = GITHUB
        .lines()
        .filter(|l| l.split(' ').next() != Some(claim))
        .collect();
    format!("{}\n{line}", kept.join("\n"))
}

#[test]
fn github_pins_are_mandatory() {
    fine("github", GITHUB);
    fine(
        "github",
        &github("environment", "ref = \"refs/heads/main\""),
    );
    fine(
        "github",
        &github("environment", "ref = \"refs/heads/release/*\""),
    );
    fine(
        "github",
        &github(
            "environment",
            "ref = [\"refs/heads/main\", \"refs/tags/v/*\"]",
        ),
    );
    fine(
        "github",
        &github("event_name", "event_name = [\"push\", \"release\"]"),
    );
    fine(
        "github",
        &github("event_name", "event_name = [\"schedule\", \"merge_group\"]"),
    );
    fine(
        "github",
        &format!("{GITHUB}\nref = \"refs/tags/*\"\nactor_id = \"12\""),
    );
    refused(
        "github",
        &github("repository_id", ""),
        "add repository_id = \"74\"",
    );
    refused(
        "github",
        &github("repository_owner_id", ""),
        "add repository_owner_id = \"65\"",
    );
    refused(
        "github",
        &github("environment", ""),
        "add environment = \"prod\"",
    );
    refused(
        "github",
        &github("event_name", ""),
        "add event_name = \"push\"",
    );
    refused("github", "", "add repository_id");
    // An id is a number, whole.
    refused(
        "github",
        &github("repository_id", "repository_id = \"octo-org/payments\""),
        "a number in a string",
    );
    refused(
        "github",
        &github("repository_id", "repository_id = \"7/*\""),
        "a number in a string",
    );
    refused(
        "github",
        &github("repository_id", "repository_id = 74"),
        "write repository_id = \"74\"",
    );
}

#[test]
fn github_patterns_that_mean_too_much() {
    for wide in [
        "*",
        "main",
        "heads/main",
        "refs/heads/*",
        "refs/*",
        "refs/heads/",
        "refs/heads/rel*",
        "refs/heads/*/x",
        "",
        "*:main",
    ] {
        let claims = github("environment", &format!("ref = \"{wide}\""));
        assert!(try_rule("github", &claims, "").is_err(), "{wide}");
    }
    refused(
        "github",
        &github("environment", "ref = \"refs/tags/*\""),
        "every branch or tag",
    );
    refused(
        "github",
        &github("environment", "ref = \"main\""),
        "write \"refs/heads/main\"",
    );
    refused(
        "github",
        &github("environment", "environment = \"*\""),
        "`*` stands only for a whole last segment",
    );
    refused(
        "github",
        &github("environment", "environment = \"prod/*\""),
        "name the environments",
    );
    refused(
        "github",
        &github("event_name", "event_name = \"a/*\""),
        "name each event",
    );
    refused(
        "github",
        &github("environment", "environment = []"),
        "1 to 64 values",
    );
    for sub in [
        "repo:octo-org/payments:ref:refs/heads/main",
        "repo:octo-org/*",
        "repo:o@x/r@1:environment:prod",
        "repo:o@1/r:environment:prod",
    ] {
        assert!(
            try_rule("github", &format!("{GITHUB}\nsub = \"{sub}\""), "").is_err(),
            "{sub}"
        );
    }
    fine(
        "github",
        &format!("{GITHUB}\nsub = \"repo:octo-org@65/payments@74:environment:prod\""),
    );
}

#[test]
fn github_claims_that_strangers_choose() {
    for claim in [
        "actor",
        "triggering_actor",
        "head_ref",
        "base_ref",
        "workflow",
        "email",
        "user_login",
        "name",
    ] {
        refused(
            "github",
            &format!("{GITHUB}\n{claim} = \"x\""),
            &format!("`{claim}`"),
        );
    }
    for event in [
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "fork",
        // Anybody may edit a wiki, or review.
        "gollum",
        "pull_request_review",
        "PUSH",
        "an event of next year",
    ] {
        let claims = github(
            "event_name",
            &format!("event_name = [\"push\", \"{event}\"]"),
        );
        refused("github", &claims, "danger_untrusted_events = true");
        try_rule("github", &claims, "danger_untrusted_events = true").unwrap();
    }
    for (line, says) in [
        ("repository = \"octo-org/payments\"", "is a name"),
        ("runner_environment = \"self-hosted\"", "self-hosted"),
        ("job_workflow_ref = \"оcto\"", "look like others"),
    ] {
        let warnings = try_rule("github", &format!("{GITHUB}\n{line}"), "").unwrap();
        assert!(warnings.iter().any(|w| w.contains(says)), "{warnings:?}");
    }
    let warnings = try_rule(
        "github",
        &github("event_name", "event_name = \"pull_request\""),
        "",
    )
    .unwrap();
    assert!(warnings[0].contains("nobody has reviewed"), "{warnings:?}");
}

#[test]
fn custom_issuers_need_somebody_named() {
    fine("ci", "sub = \"job-7\"");
    fine("ci", "project_id = 7");
    fine("ci", "\"kubernetes.io.serviceaccount.uid\" = \"7f\"");
    fine("ci", "sub = [\"a\", \"b\"]");
    fine(
        "cluster-eu",
        "\"kubernetes.io.serviceaccount.name\" = \"nightly\"",
    );
    for nobody in [
        "",
        "aud = \"https://sts.example.org\"",
        "protected = true",
        "protected = \"true\"",
        "sub = \"a/*\"",
        "iss = \"x\"\naud = \"y\"",
    ] {
        refused("ci", nobody, "add an exact value of `sub`");
        refused("cluster-eu", nobody, "add an exact value of `sub`");
    }
    for claim in [
        "email",
        "preferred_username",
        "upn",
        "user_login",
        "name",
        "a.email",
        "\"request_tags.x\"",
        "\"https://sts.amazonaws.com/.request_tags.team\"",
    ] {
        let quoted = if claim.starts_with('"') {
            claim.to_owned()
        } else {
            format!("\"{claim}\"")
        };
        refused(
            "ci",
            &format!("sub = \"x\"\n{quoted} = \"y\""),
            "pin an immutable id",
        );
    }
    for claim in ["actor", "head_ref", "triggering_actor"] {
        refused(
            "ci",
            &format!("sub = \"x\"\n{claim} = \"y\""),
            "whoever starts a job chooses it",
        );
    }
    for claim in ["exp", "iat", "nbf", "jti"] {
        refused(
            "ci",
            &format!("sub = \"x\"\n{claim} = 1"),
            "differs in each token",
        );
    }
    let many: Vec<String> = (0..17).map(|n| format!("\"v{n}\"")).collect();
    let warnings = try_rule("ci", &format!("sub = [{}]", many.join(", ")), "").unwrap();
    assert!(warnings[0].contains("more than 16 values"), "{warnings:?}");
    let claims: Vec<String> = (0..33).map(|n| format!("c{n} = \"x\"")).collect();
    refused("ci", &claims.join("\n"), "at most 32 claims");
}

#[test]
fn shared_issuers_need_the_tenant() {
    fine("cloud", "sub = \"112233\"");
    fine("cloud", "tid = \"t\"\noid = \"o\"");
    refused("cloud", "tid = \"t\"", "pin `sub`, or two claims");
    refused(
        "cloud",
        "tid = \"t\"\nref_protected = \"true\"",
        "pin `sub`, or two claims",
    );
    refused(
        "cloud",
        "tid = \"t\"\noid = \"o/*\"",
        "pin `sub`, or two claims",
    );
}

#[test]
fn sources_must_be_configured_and_fit() {
    refused("gitlab", "sub = \"x\"", "add a `[[oidc_issuer]]`");
    let rule = |lines: &str| {
        let text = format!(
            "[owner]\ncontact = \"a\"\n[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"p\"\n[[workload.rule]]\nname = \"r\"\n{lines}\n"
        );
        load(&[("registry/a/x.toml", &text)], &[])
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    rule("trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org/a/*\"")
        .unwrap();
    rule("trust_domain = \"partner.example\"\nspiffe_id = \"spiffe://partner.example/a/b\"")
        .unwrap();
    for (lines, says) in [
        ("", "either `issuer`"),
        (
            "issuer = \"ci\"\ntrust_domain = \"prod.example.org\"",
            "either `issuer`",
        ),
        (
            "issuer = \"ci\"\nmatch = { sub = \"x\" }\nspiffe_id = \"spiffe://x/y\"",
            "write `match`",
        ),
        ("trust_domain = \"prod.example.org\"", "add spiffe_id"),
        (
            "trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org/a\"\nmatch = { a = \"b\" }",
            "write `spiffe_id`",
        ),
        (
            "trust_domain = \"other.example\"\nspiffe_id = \"spiffe://other.example/a\"",
            "add a `[[trust_domain_bundle]]`",
        ),
        (
            "trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://other.example/a\"",
            "not of the trust domain",
        ),
        (
            "trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org/*\"",
            "at least one segment",
        ),
        (
            "trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org/a/../b\"",
            "segment",
        ),
        (
            "trust_domain = \"prod.example.org\"\nspiffe_id = \"spiffe://prod.example.org\"",
            "the whole SPIFFE ID",
        ),
        (
            "trust_domain = \"partner.example\"\nspiffe_id = \"spiffe://partner.example/a/*\"",
            "write the exact ID",
        ),
        (
            "trust_domain = \"sts.example.org\"\nspiffe_id = \"spiffe://sts.example.org/payments/api\"",
            "no evidence for more",
        ),
    ] {
        let errors = rule(lines).unwrap_err();
        assert!(errors.contains(says), "{lines}: {errors}");
    }
}

#[test]
fn rules_that_ask_for_the_same_are_pointed_at() {
    let text = "[owner]\ncontact = \"a\"\n[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"p\"\n[[workload.rule]]\nname = \"r1\"\nissuer = \"ci\"\nmatch = { sub = [\"b\", \"a\"] }\n[[workload.rule]]\nname = \"r2\"\nissuer = \"ci\"\nmatch = { sub = [\"a\", \"b\"] }\n";
    let (_, warnings) = load(&[("registry/a/x.toml", text)], &[]).unwrap();
    let found: Vec<&Lint> = warnings
        .iter()
        .filter(|w| w.message.contains("asks for the same as `r1`"))
        .collect();
    assert_eq!(found[0].line, Some(11));
}
