//! Settings that the design names and this version does not build: a clear word instead of
//! "unknown field".

use super::error::Mistake;
use super::place::Places;

/// Settings that come later, by key without array positions, and what to write meanwhile.
const LATER: &[(&str, &str)] = &[
    (
        "ledger.sentinel",
        "Redis Sentinel is not supported yet; name one server as `redis`",
    ),
    (
        "ledger.cluster",
        "Redis Cluster is not supported yet; name one server as `redis`",
    ),
    (
        "ledger.partitions",
        "more than one partition is not supported yet; leave it out",
    ),
    (
        "ledger.ack.replicas",
        "`replicas` is not supported yet; write `ack = \"memory\"`",
    ),
    (
        "trust_domain_bundle.endpoint",
        "bundle endpoints are not supported yet; fetch the bundle and name it as `file`",
    ),
    (
        "trust_domain_bundle.workload_api",
        "the Workload API is not supported yet; name the bundle as `file`",
    ),
    (
        "x509.pkcs11",
        "PKCS#11 is not supported yet; see `danger_root_key_file`",
    ),
    (
        "x509.vault",
        "Vault and OpenBao are not supported yet; see `danger_root_key_file`",
    ),
    ("dpop", "DPoP is not supported yet; leave the section out"),
    (
        "status_list",
        "Token Status Lists are not supported yet; leave the section out",
    ),
    (
        "proxy",
        "identity headers of proxies are not supported yet; let clients connect directly",
    ),
    (
        "telemetry",
        "OpenTelemetry is not supported yet; leave the section out",
    ),
];

/// Values that come later.
const LATER_VALUES: &[(&str, &[&str], &str)] = &[
    (
        "ledger.ack",
        &["fsync"],
        "`fsync` is not supported yet; write `ack = \"memory\"`",
    ),
    (
        "oidc_issuer.preset",
        &[
            "gitlab",
            "kubernetes",
            "buildkite",
            "circleci",
            "terraform",
            "google",
            "azure",
            "aws",
        ],
        "this preset is not built yet; write `preset = \"custom\"` with `name`, `issuer` and \
         `audiences`, and pin immutable identifiers in the rules",
    ),
];

/// What the file sets that is not built.
pub(super) fn refused(places: &Places) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (key, text) in places.keys() {
        let plain = without_positions(key);
        if let Some((_, message)) = LATER.iter().find(|(name, _)| *name == plain) {
            mistakes.push(Mistake::new(key, *message));
        }
        let value = LATER_VALUES.iter().find(|(name, values, _)| {
            *name == plain && text.is_some_and(|text| values.contains(&text))
        });
        if let Some((_, _, message)) = value {
            mistakes.push(Mistake::new(key, *message));
        }
    }
    mistakes
}

fn without_positions(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    let mut inside = false;
    for c in key.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}
