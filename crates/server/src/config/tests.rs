use std::path::{Path, PathBuf};

use super::*;

const MINIMAL: &str = r#"
issuer = "https://sts.example.org"
trust_domain = "sts.example.org"
[tls]
cert_file = "tls.crt"
key_file = "/etc/dayfly/tls.key"
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("dayfly.toml"), Path::new("/srv/dayfly"))
}

fn refused(addition: &str) -> String {
    parse(&format!("{MINIMAL}{addition}"))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_least_is_enough_and_paths_start_at_the_file() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.tls.cert_file, PathBuf::from("/srv/dayfly/tls.crt"));
    assert_eq!(config.tls.key_file, PathBuf::from("/etc/dayfly/tls.key"));
    assert_eq!(config.data_dir, PathBuf::from("/srv/dayfly/data"));
    assert_eq!(config.listen, Listen::default());
    assert!(config.ledger.redis.is_none() && config.x509.is_none());
    assert_eq!(
        config.audit_file(),
        Some(PathBuf::from("/srv/dayfly/data/audit.jsonl"))
    );
}

#[test]
fn an_unknown_key_is_an_error_with_its_line() {
    let text = refused("[listen]\npublik = \"0.0.0.0:1\"\n");
    assert!(text.starts_with("dayfly.toml:8: "), "{text}");
    assert!(text.contains("publik"), "{text}");
    let text = refused("[ledger]\ntimeout = 5\n");
    assert!(text.starts_with("dayfly.toml:8: "), "{text}");
    let text = parse("issuer = \"https://a\"\ntrust_domain = \"a\"\n")
        .unwrap_err()
        .to_string();
    assert!(text.contains("tls"), "{text}");
}

#[test]
fn redis_needs_the_cluster_secret() {
    let text = refused("[ledger]\nredis = \"redis://127.0.0.1:6379\"\n");
    assert!(
        text.starts_with("dayfly.toml:8: `ledger.redis`: needs `cluster_secret_file`"),
        "{text}"
    );
    let good = "[ledger]\nredis = \"redis://127.0.0.1:6379\"\ncluster_secret_file = \"secret\"\n";
    let config = parse(&format!("{MINIMAL}{good}")).unwrap();
    assert_eq!(
        config.ledger.cluster_secret_file,
        Some(PathBuf::from("/srv/dayfly/secret"))
    );
}

#[test]
fn what_comes_later_is_named() {
    for (addition, words) in [
        ("[ledger]\nsentinel = [\"a:1\"]\n", "Sentinel"),
        ("[ledger]\ncluster = [\"a:1\"]\n", "Cluster"),
        ("[ledger]\nack = \"fsync\"\n", "fsync"),
        ("[ledger]\nack = { replicas = 1 }\n", "replicas"),
        ("[dpop]\n", "DPoP"),
        (
            "[[trust_domain_bundle]]\nname = \"a\"\nendpoint = { url = \"https://a\" }\n",
            "endpoints",
        ),
        ("[[oidc_issuer]]\npreset = \"gitlab\"\n", "custom"),
        ("[x509]\npkcs11 = {}\n", "PKCS#11"),
    ] {
        let text = refused(addition);
        assert!(
            text.contains(words) && text.contains("yet") || text.contains("not built"),
            "{text}"
        );
        assert!(text.starts_with("dayfly.toml:"), "{text}");
    }
}

#[test]
fn every_mistake_is_found_at_once() {
    let errors = parse(&format!(
        "{MINIMAL}[keys]\nlead = \"10s\"\nrotation = \"15s\"\n[audit]\nfile = \"a\"\nstdout = true\n\
         [[oidc_issuer]]\nissuer = \"http://idp.example\"\nname = \"idp\"\nalgorithms = [\"HS256\"]\n\
         [[grant]]\nworkload = \"a/b\"\nscopes = [\"dayfly:everything\"]\n"
    ))
    .unwrap_err();
    let keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "oidc_issuer[0].issuer",
            "oidc_issuer[0].algorithms[0]",
            "keys.lead",
            "audit.file",
            "grant[0].scopes[0]"
        ]
    );
    assert!(
        errors.0.iter().all(|error| error.line.is_some()),
        "{errors}"
    );
}

#[test]
fn a_trust_domain_of_our_own_has_no_other_authority() {
    let own = "[x509]\ndanger_ephemeral_root = true\n\
               [[trust_domain_bundle]]\nname = \"sts.example.org\"\nfile = \"b.pem\"\n";
    assert!(refused(own).contains("trust domain of this server"));
    let twice = "[[trust_domain_bundle]]\nname = \"a\"\nfile = \"b\"\n\
                 [[trust_domain_bundle]]\nname = \"a\"\nfile = \"c\"\n";
    assert!(refused(twice).contains("twice"));
}

#[test]
fn github_is_not_a_custom_issuer() {
    let custom = |issuer: &str| format!("[[oidc_issuer]]\nname = \"ci\"\nissuer = \"{issuer}\"\n");
    for issuer in [
        "https://token.actions.githubusercontent.com",
        "https://token.actions.githubusercontent.com/acme",
        "https://TOKEN.actions.githubusercontent.com:443",
        "https://token.actions.acme.ghe.com",
    ] {
        let text = refused(&custom(issuer));
        assert!(text.contains("preset = \"github\""), "{issuer}: {text}");
    }
    for issuer in ["https://gitlab.example.org", "https://ghe.com.example.org"] {
        assert!(
            parse(&format!("{MINIMAL}{}", custom(issuer))).is_ok(),
            "{issuer}"
        );
    }
}

#[test]
fn x509_takes_exactly_one_root() {
    for section in [
        "[x509]\n",
        "[x509]\ndanger_root_key_file = \"k\"\n",
        "[x509]\ndanger_root_key_file = \"k\"\nroot_cert_file = \"c\"\ndanger_ephemeral_root = true\n",
    ] {
        assert!(refused(section).contains("x509"), "{section}");
    }
}

#[test]
fn times_of_keys_fit_together_or_are_named() {
    for (section, key) in [
        ("[keys]\nsync = \"1s\"\n", "`keys.sync`"),
        ("[keys]\nsync = \"30s\"\n", "`keys.lead`"),
        ("[keys]\nrotation = \"61s\"\n", "`keys.rotation`"),
        ("[keys]\nlead = \"60500ms\"\n", "`keys.lead`"),
    ] {
        let text = refused(section);
        assert!(
            text.starts_with("dayfly.toml:") && text.contains(key),
            "{text}"
        );
    }
    let scaled =
        "[keys]\nsync = \"3s\"\nlead = \"9s\"\njwks_max_age = \"1s\"\nrotation = \"20s\"\n";
    assert!(parse(&format!("{MINIMAL}{scaled}")).is_ok());
}

#[test]
fn an_open_port_in_the_issuer_needs_one_in_the_listener() {
    let text = MINIMAL.replace("https://sts.example.org", "https://localhost:0");
    assert!(parse(&text).is_err());
    assert!(parse(&format!("{text}[listen]\npublic = \"127.0.0.1:0\"\n")).is_ok());
}

#[test]
fn what_needs_a_restart_is_named() {
    let old = parse(MINIMAL).unwrap();
    let new = parse(&format!(
        "{MINIMAL}[keys]\nrotation = \"12h\"\n[limits]\nowner_burst = 7\n"
    ))
    .unwrap();
    assert_eq!(old.fixed_differences(&new), ["keys"]);
}

/// The committed samples are configurations that load.
#[test]
fn the_samples_are_good() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(!config.grant.is_empty() || config.listen.admin_socket.is_some());
            seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    seen.sort();
    assert!(seen.contains(&"embedded.toml".to_owned()) && seen.contains(&"redis.toml".to_owned()));
}

#[test]
fn every_setting_is_documented_in_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    for object in objects {
        for (name, property) in object["properties"].as_object().into_iter().flatten() {
            let described = property["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            assert!(described, "{name} has no description");
        }
    }
}
