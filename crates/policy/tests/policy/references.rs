use dayfly_policy::*;

use crate::fixtures::*;
use crate::loading::{AUDIENCE, GRANT, OWNER, RULE, WORKLOAD, refused, warned};

fn head() -> String {
    format!("{OWNER}{AUDIENCE}{WORKLOAD}{RULE}")
}

#[test]
fn grants_name_what_there_is() {
    let head = head();
    refused(
        &format!("{head}{}", GRANT.replace("a.example", "b.example")),
        15,
        "there is no audience",
    );
    refused(
        &format!("{head}{}", GRANT.replace("read", "admin")),
        15,
        "no scope `admin`; it has: read write",
    );
    refused(
        &format!(
            "{head}{}",
            GRANT.replace("[\"read\"]", "[\"read\", \"read\"]")
        ),
        15,
        "listed twice",
    );
    refused(&format!("{head}{GRANT}{GRANT}"), 18, "a second grant");
    refused(
        &format!("{head}{}", GRANT.replace("a.example", "sts.example.org")),
        15,
        "`[[grant]]` of the main file",
    );
    refused(&format!("{}{WORKLOAD}", head), 15, "already defined");
    refused(
        &format!(
            "{OWNER}{}",
            AUDIENCE.replace("\"read\"", "\"dayfly:revoke\"")
        ),
        3,
        "the issuer's own",
    );
    refused(
        &format!(
            "{OWNER}{}",
            AUDIENCE.replace("https://a.example", "https://sts.example.org")
        ),
        3,
        "the main file",
    );
}

#[test]
fn numbers_and_names_have_bounds() {
    let head = head();
    for ttl in ["29s", "61m", "2h", "0s"] {
        refused(
            &format!("{head}{GRANT}ttl = \"{ttl}\"\n"),
            15,
            "write between \"30s\" and \"1h\"",
        );
    }
    refused(
        &format!("{head}[workload.certificate]\nttl = \"59s\"\n"),
        15,
        "\"60s\"",
    );
    for name in [
        "*.a.example",
        "localhost",
        "A.example",
        "10.0.0.1",
        "a..b",
        "-a.b",
        "a.example.",
    ] {
        refused(
            &format!("{head}[workload.certificate]\ndns_names = [\"{name}\"]\n"),
            15,
            "no DNS name",
        );
    }
    refused(
        &format!("{head}{GRANT}authorization_details = [{{ actions = [\"x\"] }}]\n"),
        15,
        "`type`",
    );
    refused(
        &format!("{head}{GRANT}authorization_details = [{{ type = \"x\", on = 2026-01-01 }}]\n"),
        15,
        "dates",
    );
}

#[test]
fn conditions_and_delegations_are_checked() {
    let head = head();
    refused(
        &format!("{head}{GRANT}when = \"context.lifetme > 1\"\n"),
        18,
        "`when` does not fit the schema",
    );
    refused(
        &format!(
            "{head}{GRANT}when = \"true }}; permit(principal, action, resource) when {{ true\"\n"
        ),
        18,
        "no Cedar condition",
    );
    refused(
        &format!("{head}{GRANT}delegate = [{{ audience = \"https://b.example\", scopes = [] }}]\n"),
        15,
        "there is no audience",
    );
    refused(
        &format!(
            "{head}{GRANT}delegate = [{{ audience = \"https://sts.example.org\", scopes = [\"dayfly:revoke\"] }}]\n"
        ),
        15,
        "`[[grant]]` of the main file",
    );
    warned(
        &format!(
            "{head}{GRANT}delegate = [{{ audience = \"https://a.example\", scopes = [\"read\"] }}]\n"
        ),
        "no effect yet",
    );
}

#[test]
fn what_has_no_effect_or_crosses_environments_is_pointed_at() {
    let head = head();
    refused(
        &format!(
            "{OWNER}{AUDIENCE}{}{RULE}{GRANT}",
            WORKLOAD.replace("prod", "dev")
        ),
        15,
        "register a workload for `prod`",
    );
    let crossing = format!(
        "{OWNER}{AUDIENCE}{}{RULE}{GRANT}danger_other_environment = true\n",
        WORKLOAD.replace("prod", "dev")
    );
    load(&[("registry/a/x.toml", &crossing)], &[]).unwrap();
    warned(
        &format!("{OWNER}{AUDIENCE}{WORKLOAD}{GRANT}"),
        "no evidence leads to `a/w`",
    );
    warned(&head, "`a/w` may get nothing");
    warned(
        &format!("{OWNER}{AUDIENCE}callers = [\"b/*\"]\n"),
        "nobody is `b/*` yet",
    );
    let other = format!(
        "{OWNER}{WORKLOAD}{}",
        GRANT
            .replace("a.example", "payments.internal")
            .replace("read", "deploy:read")
    );
    let files = [BASE[0], BASE[1], ("registry/a/x.toml", other.as_str())];
    let (_, warnings) = load(&files, &[]).unwrap();
    assert!(
        warnings.iter().any(|w| w
            .message
            .contains("`payments` has to add `a/w` to `callers`")),
        "{warnings:?}"
    );
}

#[test]
fn the_main_file_is_checked_too() {
    let grant = |workload: &str, scope: &str, owner: Option<&str>| AdminGrantConfig {
        workload: workload.parse().unwrap(),
        scopes: vec![scope.parse().unwrap()],
        owner: owner.map(|owner| owner.parse().unwrap()),
    };
    for (grant, says) in [
        (
            grant("payments/gone", "dayfly:audit", None),
            "no workload `payments/gone`",
        ),
        (
            grant("payments/api", "dayfly:everything", None),
            "no scope `dayfly:everything`",
        ),
        (
            grant("payments/api", "deploy:read", None),
            "no scope `deploy:read`",
        ),
        (
            grant("payments/api", "dayfly:audit", Some("gone")),
            "no owner `gone`",
        ),
    ] {
        let options = LoadOptions {
            admin_grants: vec![grant],
            ..options()
        };
        let errors = Registry::from_parts(parts(BASE), Vec::new(), &options)
            .unwrap_err()
            .to_string();
        assert!(
            errors.starts_with("main file: ") && errors.contains(says),
            "{errors}"
        );
    }
    let mut twice = options();
    twice.sources.push(twice.sources[0].clone());
    assert!(Registry::from_parts(parts(BASE), Vec::new(), &twice).is_err());
    let limits = Limits {
        owner_burst: 0,
        ..Limits::default()
    };
    assert!(
        Registry::from_parts(
            parts(BASE),
            Vec::new(),
            &LoadOptions {
                limits,
                ..options()
            }
        )
        .is_err()
    );
}
