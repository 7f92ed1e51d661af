use std::path::{Path, PathBuf};

use dayfly_policy::*;

use crate::fixtures::*;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/registry")
}

fn sample(name: &str) -> Registry {
    let mut options = options();
    if name == "ci" {
        options.admin_grants = vec![AdminGrantConfig {
            workload: "platform/console".parse().unwrap(),
            scopes: vec![
                "dayfly:revoke".parse().unwrap(),
                "dayfly:audit".parse().unwrap(),
            ],
            owner: None,
        }];
    }
    let (registry, warnings) = Registry::load(&samples().join(name), &options)
        .unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
    assert_eq!(warnings, [], "{name}");
    registry
}

#[test]
fn every_sample_loads_without_a_remark() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(samples()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            sample(&name);
            names.push(name);
        }
    }
    names.sort();
    assert_eq!(names, ["ci", "mesh"]);
}

#[test]
fn the_ci_sample_does_what_it_says() {
    let registry = sample("ci");
    assert_eq!(
        permit(&registry, &job(), &token(PAYMENTS)).rule,
        *"payments-deploy"
    );
    let mut own_runner = job();
    own_runner
        .attributes
        .insert("runner_environment".to_owned(), text("self-hosted"));
    assert_eq!(
        reason(&registry, &own_runner, &token(PAYMENTS)),
        DenialReason::Guardrail
    );

    let mut migration = job();
    for (name, value) in [
        ("ref", "refs/heads/release/2.1"),
        ("event_name", "workflow_dispatch"),
        ("run_attempt", "1"),
        (
            "job_workflow_ref",
            "example/workflows/.github/workflows/migrate.yml@refs/tags/v3",
        ),
    ] {
        migration.attributes.insert(name.to_owned(), text(value));
    }
    // The job has the environment "prod" too, so it says which it means.
    assert_eq!(
        reason(&registry, &migration, &token(PAYMENTS)),
        DenialReason::AmbiguousRule
    );
    let named = Request {
        rule: Some("payments-migrate".parse().unwrap()),
        ..token(PAYMENTS)
    };
    assert_eq!(
        permit(&registry, &migration, &named).scopes.to_string(),
        "db:migrate"
    );
    migration
        .attributes
        .insert("run_attempt".to_owned(), text("2"));
    assert_eq!(
        reason(&registry, &migration, &named),
        DenialReason::ConditionFailed
    );

    let console = svid("spiffe://prod.example.org/platform/console");
    let permit = permit(&registry, &console, &token("https://sts.example.org"));
    assert_eq!(permit.scopes.to_string(), "dayfly:audit dayfly:revoke");
}

#[test]
fn the_mesh_sample_does_what_it_says() {
    let registry = sample("mesh");
    let api = svid("spiffe://prod.example.org/ns/orders/sa/api/pod-1");
    let billing = token("https://billing.prod.example.org");
    assert_eq!(permit(&registry, &api, &billing).binding, Binding::SpiffeId);
    let named = Request {
        dns_names: vec!["orders.prod.example.org".to_owned()],
        ..certificate()
    };
    assert_eq!(permit(&registry, &api, &named).ttl_secs, 1800);
    assert_eq!(registry.max_lifetime_secs(), 1800);
}
