//! The files under `api/` are what the code generates. `cargo xtask generate` writes them.

use super::root;

#[test]
fn the_generated_files_are_up_to_date() {
    let bless = std::env::var_os("DAYFLY_BLESS").is_some_and(|value| value == "1");
    let files = dayfly_server::generated();
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    for expected in [
        "api/openapi.json",
        "api/authz.txt",
        "api/config.schema.json",
    ] {
        assert!(names.contains(&expected), "{expected} is not generated");
    }
    let mut stale = Vec::new();
    for (name, content) in &files {
        assert!(
            content.ends_with('\n') && content.len() > 100,
            "{name} is no file for people"
        );
        let path = root().join(name);
        if bless {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != *content {
            stale.push(*name);
        }
    }
    assert!(
        stale.is_empty(),
        "out of date, run `cargo xtask generate`: {stale:?}"
    );
}

/// Generated twice, the files are the same: nothing depends on the order of a hash map.
#[test]
fn generation_is_deterministic() {
    assert_eq!(dayfly_server::generated(), dayfly_server::generated());
}

/// Guardrails are checked against the schema that their authors read.
#[test]
fn the_policy_schema_is_the_one_that_decides() {
    let written = std::fs::read_to_string(root().join("api/policy.cedarschema")).unwrap();
    assert_eq!(written, dayfly_policy::CEDAR_SCHEMA);
}
