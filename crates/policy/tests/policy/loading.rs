use std::fs;

use dayfly_policy::*;

use crate::fixtures::*;

pub(crate) const OWNER: &str = "[owner]\ncontact = \"a@example.org\"\n";
pub(crate) const AUDIENCE: &str = "[[audience]]\nid = \"https://a.example\"\nenvironment = \"prod\"\nscopes = [\"read\", \"write\"]\n";
pub(crate) const WORKLOAD: &str =
    "[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"p\"\n";
pub(crate) const RULE: &str =
    "[[workload.rule]]\nname = \"r\"\nissuer = \"ci\"\nmatch = { sub = \"x\" }\n";
pub(crate) const GRANT: &str =
    "[[workload.grant]]\naudience = \"https://a.example\"\nscopes = [\"read\"]\n";

/// The one error that one file `registry/a/x.toml` has, which must be at `line`.
#[track_caller]
pub(crate) fn refused(text: &str, line: usize, says: &str) {
    let errors = load(&[("registry/a/x.toml", text)], &[]).unwrap_err();
    let all = errors.to_string();
    let wanted = format!("registry/a/x.toml:{line}: ");
    let found = errors
        .0
        .iter()
        .map(ToString::to_string)
        .find(|e| e.contains(says));
    assert!(
        found.is_some_and(|found| found.starts_with(&wanted)),
        "{wanted}{says} in:\n{all}"
    );
}

#[track_caller]
pub(crate) fn warned(text: &str, says: &str) {
    let (_, warnings) = load(&[("registry/a/x.toml", text)], &[]).unwrap();
    assert!(
        warnings.iter().any(|w| w.message.contains(says)),
        "{warnings:?}"
    );
}

#[test]
fn the_whole_file_loads() {
    let text = format!("{OWNER}{AUDIENCE}{WORKLOAD}{RULE}{GRANT}");
    let (registry, warnings) = load(&[("registry/a/x.toml", &text)], &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(
        registry
            .owners()
            .map(|o| o.contact.as_str())
            .collect::<Vec<_>>(),
        ["a@example.org"]
    );
    let workload = registry.workload(&"a/w".parse().unwrap()).unwrap();
    assert_eq!(
        (
            workload.purpose.as_str(),
            workload.grants().count(),
            workload.has_certificate()
        ),
        ("p", 1, false)
    );
    assert_eq!(registry.audiences().count(), 2);
    assert_eq!(registry.version().len(), 32);
}

#[test]
fn threads_can_share_a_registry() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Registry>();
}

#[test]
fn unknown_keys_and_types_are_refused_with_their_line() {
    let in_line_3 = |key: &str| format!("{OWNER}{key} = 1\n");
    refused(&in_line_3("contakt"), 3, "unknown field `contakt`");
    refused(
        &format!("{OWNER}[[audiences]]\n"),
        3,
        "unknown field `audiences`",
    );
    refused(
        &format!("{OWNER}{AUDIENCE}scope = []\n"),
        7,
        "unknown field `scope`",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}owner = \"b\"\n"),
        7,
        "unknown field `owner`",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{RULE}danger = true\n"),
        11,
        "unknown field `danger`",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{GRANT}tll = \"5m\"\n"),
        10,
        "unknown field `tll`",
    );
    refused(
        &format!("{OWNER}{AUDIENCE}{WORKLOAD}[workload.certificate]\nx = 1\n"),
        12,
        "unknown field `x`",
    );
    refused(&format!("{OWNER}{OWNER}"), 3, "duplicate key");
    refused("[owner]\ncontact = ", 2, "");
    refused(
        &format!("{OWNER}[[workload]]\nname = \"w\"\n"),
        3,
        "missing field `environment`",
    );
    refused(
        &format!("{OWNER}{}", WORKLOAD.replace("\"w\"", "\"W\"")),
        4,
        "`W` is not a name",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{GRANT}binding = \"dpop\"\n"),
        10,
        "unknown variant `dpop`",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{GRANT}ttl = 300\n"),
        10,
        "invalid type",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{GRANT}ttl = \"5 min\"\n"),
        10,
        "as in \"5m\"",
    );
    refused(
        &format!("{OWNER}{WORKLOAD}{}", RULE.replace("\"x\"", "1.5")),
        10,
        "a string, a list of strings, an integer or a boolean",
    );
    let nested = RULE.replace(
        "match = { sub = \"x\" }",
        "match.kubernetes.io.namespace = \"x\"",
    );
    refused(&format!("{OWNER}{WORKLOAD}{nested}"), 10, "into quotes");
    refused(
        &format!("{OWNER}{}callers = [\"*\"]\n", AUDIENCE),
        7,
        "write `owner/name`",
    );
    refused("\n  \n", 1, "empty");
}

#[test]
fn folders_are_owners() {
    let text = format!("{OWNER}{AUDIENCE}{WORKLOAD}{RULE}{GRANT}");
    for path in [
        "registry/A/x.toml",
        "registry/a b/x.toml",
        "registry/../x.toml",
        "x.toml",
    ] {
        let errors = load(&[(path, &text)], &[]).unwrap_err().to_string();
        assert!(errors.contains("the folder names the owner"), "{errors}");
    }
    refused(AUDIENCE, 1, "nobody answers for `a`");
    let errors = load(&[("r/a/1.toml", &text), ("r/a/2.toml", OWNER)], &[])
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with("r/a/2.toml:1: `[owner]` also stands at r/a/1.toml:1"),
        "{errors}"
    );
    // Nobody can define another one's things, or take their names.
    let other = format!("{OWNER}{AUDIENCE}");
    let errors = load(&[("r/a/1.toml", &text), ("r/b/1.toml", &other)], &[])
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with(
            "r/b/1.toml:3: the audience `https://a.example` is already defined in r/a/1.toml:3"
        ),
        "{errors}"
    );
    let other = format!("{OWNER}{WORKLOAD}{RULE}");
    let errors = load(&[("r/a/1.toml", &text), ("r/b/1.toml", &other)], &[])
        .unwrap_err()
        .to_string();
    assert!(
        errors.contains("r/b/1.toml:7: the rule `r` is already defined at r/a/1.toml:11"),
        "{errors}"
    );
    let certified = format!(
        "{OWNER}{WORKLOAD}[workload.certificate]\ndns_names = [\"api.payments.internal\"]\n"
    );
    let files = [BASE[0], BASE[1], ("registry/a/1.toml", certified.as_str())];
    let errors = load(&files, &[]).unwrap_err().to_string();
    assert!(
        errors.contains(
            "`api.payments.internal` is already the name of `a/w` in registry/a/1.toml:7"
        ),
        "{errors}"
    );
    refused(&format!("{OWNER}contact = \"x\""), 3, "duplicate key");
    refused("[owner]\ncontact = \" \"\n", 1, "`contact` is one line");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let errors = load(
        &[
            ("registry/a/1.toml", "[owner]\ncontact = \"\"\n[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"\"\n"),
            ("registry/b/1.toml", "nonsense"),
            ("registry/c/1.toml", "[owner]\ncontact = 7\n"),
        ],
        &[("policies/p.cedar", "permit(principal, action, resource);"), ("policies/q.cedar", "forbid")],
    )
    .unwrap_err();
    let places: Vec<String> = errors
        .0
        .iter()
        .map(|e| format!("{}:{}", e.file.display(), e.line.unwrap()))
        .collect();
    assert_eq!(
        places,
        [
            "policies/p.cedar:1",
            "policies/q.cedar:1",
            "registry/a/1.toml:1",
            "registry/a/1.toml:3",
            "registry/b/1.toml:1",
            "registry/c/1.toml:2",
        ]
    );
}

/// With a count of lines for each remark, this took half a minute.
#[test]
fn a_file_full_of_errors_is_no_work() {
    let one = WORKLOAD.replace("\"p\"", "\"\"");
    let workloads: String = (0..4000)
        .map(|n| one.replace("\"w\"", &format!("\"w{n}\"")) + GRANT)
        .collect();
    let errors = load(
        &[("registry/a/x.toml", &format!("{OWNER}{workloads}"))],
        &[],
    )
    .unwrap_err();
    assert_eq!(errors.0.len(), 8000);
    assert_eq!(errors.0[7999].line, Some(2 + 7 * 3999 + 5));
}

#[test]
fn folders_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let load = || Registry::load(dir.path(), &options());
    let missing = load().unwrap_err().to_string();
    assert!(
        missing.contains("registry: this folder is needed")
            && missing.contains("policies: this folder is needed"),
        "{missing}"
    );
    fs::create_dir_all(dir.path().join("registry/payments")).unwrap();
    fs::create_dir_all(dir.path().join("registry/billing")).unwrap();
    // A lost folder of guardrails is an error, not an absence of guardrails.
    assert!(load().is_err());
    fs::create_dir(dir.path().join("policies")).unwrap();
    for (path, text) in BASE {
        fs::write(dir.path().join(path), text).unwrap();
    }
    fs::write(dir.path().join("registry/payments/README.md"), "not read").unwrap();
    fs::write(dir.path().join("registry/payments/.draft.toml"), "not read").unwrap();
    let (registry, _) = load().unwrap();
    // Replicas with other mount points agree on the version, and any change changes it.
    assert_eq!(registry.version(), base().version());
    let policy = dir.path().join("policies/p.cedar");
    fs::write(&policy, "forbid(principal, action, resource);").unwrap();
    let guarded = load().unwrap().0;
    assert_ne!(guarded.version(), registry.version());
    assert_eq!(
        reason(&guarded, &job(), &token(PAYMENTS)),
        DenialReason::Guardrail
    );
    for broken in [
        "",
        "forbid(principal",
        "permit(principal, action, resource);",
    ] {
        fs::write(&policy, broken).unwrap();
        assert!(load().is_err(), "{broken}");
    }
    fs::write(&policy, [0xff, 0xfe]).unwrap();
    assert!(load().unwrap_err().to_string().contains("p.cedar"));
    fs::remove_file(&policy).unwrap();
    fs::create_dir(dir.path().join("policies/more")).unwrap();
    assert!(
        load()
            .unwrap_err()
            .to_string()
            .contains("a folder here is not read")
    );
    fs::remove_dir(dir.path().join("policies/more")).unwrap();
    fs::write(dir.path().join("registry/stray.toml"), OWNER).unwrap();
    assert!(
        load()
            .unwrap_err()
            .to_string()
            .contains("belongs to no owner")
    );
    fs::remove_file(dir.path().join("registry/stray.toml")).unwrap();
    fs::write(
        dir.path().join("registry/payments/big.toml"),
        " ".repeat(1024 * 1024 + 1),
    )
    .unwrap();
    assert!(load().unwrap_err().to_string().contains("split the file"));
}

#[test]
fn the_file_formats_have_a_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(RegistryFile)).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let rule = &schema["$defs"]["RuleConfig"];
    assert!(
        rule["properties"]["match"]["description"]
            .as_str()
            .unwrap()
            .contains("/*")
    );
    for definition in schema["$defs"].as_object().unwrap().values() {
        for (name, property) in definition["properties"].as_object().into_iter().flatten() {
            assert!(property.get("description").is_some(), "{name}");
        }
    }
}
