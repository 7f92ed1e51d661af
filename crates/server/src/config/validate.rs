//! What the types of the main file do not say by themselves.

use std::collections::BTreeSet;

use super::error::Mistake;
use super::file::{Config, LedgerSection, Limits, OidcIssuer, PresetName};
use super::lifecycle;
use crate::authz::AdminScope;

/// The most subscribers of the feed: each costs a task and a queue.
const MAX_FEED_SUBSCRIBERS: u32 = 65_536;

/// The longest sensible wait for the ledger: beyond it the caller has given up.
const MAX_LEDGER_TIMEOUT_MS: u64 = 5_000;

/// The longest life of an inbound token (a longer one is a static key).
const MAX_INBOUND_LIFETIME_SECS: u64 = 24 * 3600;

/// The algorithms that inbound tokens may have.
const INBOUND_ALGORITHMS: &[&str] = &["RS256", "PS256", "ES256", "ES384", "EdDSA"];

/// Every mistake of a configuration.
pub(super) fn mistakes(config: &Config) -> Vec<Mistake> {
    let mut found = Vec::new();
    listen(config, &mut found);
    ledger(&config.ledger, &mut found);
    bundles(config, &mut found);
    for (n, issuer) in config.oidc_issuer.iter().enumerate() {
        oidc(&format!("oidc_issuer[{n}]"), issuer, &mut found);
    }
    issuers_differ(config, &mut found);
    x509(config, &mut found);
    limits(&config.limits, &mut found);
    lifecycle::mistakes(config, &mut found);
    if config.audit.stdout && config.audit.file.is_some() {
        found.push(Mistake::new(
            "audit.file",
            "set `file` or `stdout`, not both",
        ));
    }
    grants(config, &mut found);
    found
}

fn listen(config: &Config, found: &mut Vec<Mistake>) {
    if config.issuer.wants_port() && config.listen.public.port() != 0 {
        found.push(Mistake::new(
            "issuer",
            "has the port 0, but `listen.public` has a fixed one",
        ));
    }
    if config.listen.public == config.listen.operations && config.listen.public.port() != 0 {
        found.push(Mistake::new(
            "listen.operations",
            "is the address of the public listener",
        ));
    }
}

fn ledger(ledger: &LedgerSection, found: &mut Vec<Mistake>) {
    let Some(redis) = &ledger.redis else {
        let unused = [
            ("redis_password_file", ledger.redis_password_file.is_some()),
            ("ca_file", ledger.ca_file.is_some()),
        ];
        for (name, _) in unused.iter().filter(|(_, set)| *set) {
            let key = format!("ledger.{name}");
            found.push(Mistake::new(
                key,
                "is for Redis, and `ledger.redis` is not set",
            ));
        }
        return;
    };
    if ledger.cluster_secret_file.is_none() {
        // Without it whoever controls Redis could publish a signing key or lift a hold.
        found.push(Mistake::new(
            "ledger.redis",
            "needs `cluster_secret_file`: 32 random bytes or more that all replicas share; make \
             one with `openssl rand -hex 32 > FILE && chmod 600 FILE`",
        ));
    }
    if !redis.is_tls() && ledger.ca_file.is_some() {
        found.push(Mistake::new(
            "ledger.ca_file",
            "is for `rediss://`, and the URL has no TLS",
        ));
    }
    let timeout = ledger.timeout.as_millis();
    if !(10..=MAX_LEDGER_TIMEOUT_MS).contains(&timeout) {
        found.push(Mistake::new(
            "ledger.timeout",
            "must be between `10ms` and `5s`",
        ));
    }
}

fn bundles(config: &Config, found: &mut Vec<Mistake>) {
    let mut names = BTreeSet::new();
    for (n, bundle) in config.trust_domain_bundle.iter().enumerate() {
        let key = format!("trust_domain_bundle[{n}].name");
        if !names.insert(&bundle.name) {
            found.push(Mistake::new(
                key,
                format!("`{}` stands there twice", bundle.name),
            ));
        }
    }
}

fn oidc(at: &str, issuer: &OidcIssuer, found: &mut Vec<Mistake>) {
    if issuer.preset == PresetName::Custom {
        for (name, missing) in [
            ("name", issuer.name.is_none()),
            ("issuer", issuer.issuer.is_none()),
        ] {
            if missing {
                found.push(Mistake::new(at, format!("a custom issuer needs `{name}`")));
            }
        }
    }
    if let Some(url) = &issuer.issuer {
        issuer_url(at, "issuer", url, issuer.danger_allow_http, found);
        if issuer.preset == PresetName::Custom && is_github(url) {
            let message =
                "is GitHub Actions, whose rules need its pins: write `preset = \"github\"`";
            found.push(Mistake::new(format!("{at}.issuer"), message));
        }
    }
    if let Some(uri) = &issuer.jwks_uri {
        issuer_url(at, "jwks_uri", uri, issuer.danger_allow_http, found);
    }
    if issuer.jwks_file.is_some() && issuer.jwks_uri.is_some() {
        found.push(Mistake::new(
            format!("{at}.jwks_uri"),
            "set `jwks_file` or `jwks_uri`, not both",
        ));
    }
    for (n, name) in issuer.algorithms.iter().enumerate() {
        if !INBOUND_ALGORITHMS.contains(&name.as_str()) {
            found.push(Mistake::new(
                format!("{at}.algorithms[{n}]"),
                format!("is none of {}", INBOUND_ALGORITHMS.join(", ")),
            ));
        }
    }
    if issuer
        .audiences
        .iter()
        .any(|audience| audience.is_empty() || audience.contains('*'))
    {
        found.push(Mistake::new(
            format!("{at}.audiences"),
            "each audience is one exact, non-empty value",
        ));
    }
    if issuer
        .max_lifetime
        .is_some_and(|most| !(1..=MAX_INBOUND_LIFETIME_SECS).contains(&most.as_secs()))
    {
        found.push(Mistake::new(
            format!("{at}.max_lifetime"),
            "must be between `1s` and `24h`",
        ));
    }
}

/// The issuers of GitHub's own clouds. Of an enterprise server only its operator knows.
fn is_github(issuer: &str) -> bool {
    let url = url::Url::parse(issuer);
    let host = url.as_ref().ok().and_then(url::Url::host_str);
    host.is_some_and(|host| {
        host == "token.actions.githubusercontent.com"
            || (host.starts_with("token.actions.") && host.ends_with(".ghe.com"))
    })
}

fn issuer_url(at: &str, name: &str, text: &str, http: bool, found: &mut Vec<Mistake>) {
    let key = format!("{at}.{name}");
    match url::Url::parse(text) {
        Err(error) => found.push(Mistake::new(key, format!("is no URL: {error}"))),
        Ok(url) if url.scheme() == "https" => {}
        Ok(url) if url.scheme() == "http" && http => {}
        Ok(url) if url.scheme() == "http" => found.push(Mistake::new(
            key,
            "has no TLS, so whoever is on the way could forge its tokens; use `https`",
        )),
        Ok(_) => found.push(Mistake::new(key, "must be an `https` URL")),
    }
}

/// Two issuers of one name, or of one `iss`, would be each other's impostors.
fn issuers_differ(config: &Config, found: &mut Vec<Mistake>) {
    let mut names = BTreeSet::new();
    let mut urls = BTreeSet::new();
    for (n, issuer) in config.oidc_issuer.iter().enumerate() {
        let name = issuer
            .name
            .as_ref()
            .map_or_else(|| preset_name(issuer.preset), |name| name.as_str());
        if !names.insert(name.to_owned()) {
            found.push(Mistake::new(
                format!("oidc_issuer[{n}]"),
                format!("a second issuer is named `{name}`; give it another `name`"),
            ));
        }
        let url = issuer
            .issuer
            .as_deref()
            .unwrap_or_else(|| preset_name(issuer.preset));
        if !urls.insert(url.to_owned()) {
            found.push(Mistake::new(
                format!("oidc_issuer[{n}]"),
                "a second issuer has the same `issuer` URL; one URL is one issuer",
            ));
        }
    }
}

const fn preset_name(preset: PresetName) -> &'static str {
    match preset {
        PresetName::Custom => "custom",
        PresetName::Github => "github",
    }
}

fn x509(config: &Config, found: &mut Vec<Mistake>) {
    let Some(x509) = &config.x509 else { return };
    match (&x509.danger_root_key_file, x509.danger_ephemeral_root) {
        (None, false) => found.push(Mistake::new(
            "x509",
            "needs `danger_root_key_file` with `root_cert_file`, or `danger_ephemeral_root = true`",
        )),
        (Some(_), true) => found.push(Mistake::new(
            "x509.danger_ephemeral_root",
            "set `danger_root_key_file` or `danger_ephemeral_root`, not both",
        )),
        (Some(_), false) if x509.root_cert_file.is_none() => found.push(Mistake::new(
            "x509.danger_root_key_file",
            "needs the root's certificate as `root_cert_file`",
        )),
        _ => {}
    }
    let shares = config
        .trust_domain_bundle
        .iter()
        .position(|b| b.name == config.trust_domain);
    if let Some(n) = shares {
        // SPIFFE Federation 7.3: two authorities of one trust domain sign each other's names.
        found.push(Mistake::new(
            format!("trust_domain_bundle[{n}].name"),
            "is the trust domain of this server; certificates need a trust domain of their own",
        ));
    }
}

fn limits(limits: &Limits, found: &mut Vec<Mistake>) {
    for (name, value) in [
        ("workload_per_minute", limits.workload_per_minute),
        ("workload_burst", limits.workload_burst),
        ("owner_per_minute", limits.owner_per_minute),
        ("owner_burst", limits.owner_burst),
        ("feed_subscribers", limits.feed_subscribers),
    ] {
        if value == 0 {
            found.push(Mistake::new(format!("limits.{name}"), "must be at least 1"));
        }
    }
    if limits.feed_subscribers > MAX_FEED_SUBSCRIBERS {
        found.push(Mistake::new(
            "limits.feed_subscribers",
            "must be at most 65536",
        ));
    }
    if !(100..=60_000).contains(&limits.request_timeout.as_millis()) {
        found.push(Mistake::new(
            "limits.request_timeout",
            "must be between `100ms` and `60s`",
        ));
    }
    if !(10..=86_400).contains(&limits.connection_age.as_secs()) {
        found.push(Mistake::new(
            "limits.connection_age",
            "must be between `10s` and `24h`",
        ));
    }
}

fn grants(config: &Config, found: &mut Vec<Mistake>) {
    for (n, grant) in config.grant.iter().enumerate() {
        if grant.scopes.is_empty() {
            found.push(Mistake::new(format!("grant[{n}].scopes"), "grants nothing"));
        }
        for (m, scope) in grant.scopes.iter().enumerate() {
            if AdminScope::parse(scope).is_none() {
                found.push(Mistake::new(
                    format!("grant[{n}].scopes[{m}]"),
                    format!(
                        "is none of {}",
                        AdminScope::ALL.map(AdminScope::as_str).join(", ")
                    ),
                ));
            }
        }
    }
}
