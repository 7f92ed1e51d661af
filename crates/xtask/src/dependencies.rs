//! What may be linked: bans, licences, and a verifier that cannot reach a network and stays small.
//!
//! The lists stand in `.deny.toml`. cargo-deny reads the same file and runs too where it is
//! installed; its advisory database is out of reach on many machines, so that check is separate.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;
use toml::Table;

use crate::project::{self, cargo, output, root};

/// None of them may be linked by the verifier without its feature `http`.
const NETWORK: [&str; 9] = [
    "async-std",
    "curl",
    "hyper",
    "mio",
    "quinn",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
];

/// None of them may be linked by the verifier with `rustcrypto` alone: they build C.
const BUILDS_C: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "cc", "cmake", "openssl-sys"];

pub(crate) fn check() -> anyhow::Result<()> {
    let policy: Table = toml::from_str(&std::fs::read_to_string(root().join(".deny.toml"))?)
        .context(".deny.toml")?;
    bans(&policy)?;
    licences(&policy)?;
    offline_verifier()?;
    crate::tree::check()?;
    cargo_deny()
}

/// What the workspace links on this machine. The lock file also names what it does not link.
fn linked(arguments: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut all = vec!["tree", "--locked", "--prefix", "none", "--format", "{p}"];
    all.extend_from_slice(arguments);
    let tree = output(&all)?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

fn bans(policy: &Table) -> anyhow::Result<()> {
    let linked = linked(&["--workspace", "--edges", "normal,build"])?;
    let banned = policy
        .get("bans")
        .and_then(|bans| bans.get("deny")?.as_array())
        .context(".deny.toml has no list bans.deny")?;
    for ban in banned {
        let name = ban
            .get("crate")
            .and_then(toml::Value::as_str)
            .unwrap_or_default();
        if !linked.contains(name) {
            continue;
        }
        let wrappers: BTreeSet<_> = ban
            .get("wrappers")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .collect();
        let users = direct_users(name)?;
        if let Some(user) = users.iter().find(|user| !wrappers.contains(user.as_str())) {
            let reason = ban
                .get("reason")
                .and_then(toml::Value::as_str)
                .unwrap_or_default();
            bail!("`{user}` links the banned `{name}`: {reason}");
        }
    }
    Ok(())
}

fn direct_users(name: &str) -> anyhow::Result<BTreeSet<String>> {
    let users = linked(&[
        "--workspace",
        "--edges",
        "normal,build",
        "--invert",
        name,
        "--depth",
        "1",
    ])?;
    Ok(users.into_iter().filter(|user| user != name).collect())
}

fn licences(policy: &Table) -> anyhow::Result<()> {
    let allowed: BTreeSet<_> = policy
        .get("licenses")
        .and_then(|licences| licences.get("allow")?.as_array())
        .context(".deny.toml has no list licenses.allow")?
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    let linked = linked(&["--workspace", "--edges", "normal,build,dev"])?;
    let metadata = project::metadata(&[])?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages")?;
    let mut refused = BTreeMap::new();
    for package in packages {
        let text = |member| {
            package
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if linked.contains(text("name")) && !permits(text("license"), &allowed) {
            refused.insert(text("name"), text("license"));
        }
    }
    if !refused.is_empty() {
        bail!("licences outside the list of .deny.toml: {refused:?}");
    }
    Ok(())
}

/// Whether one branch of an SPDX expression is allowed. Understands `OR`, `AND`, `/` and
/// parentheses without nesting, which is all that the tree uses; anything else is refused.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let words = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    if expression.contains('(') {
        // `(A OR B) AND C`: every operand of AND needs an allowed branch.
        return words
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|one| allowed.contains(one)));
    }
    words
        .split(" OR ")
        .any(|branch| branch.split(" AND ").all(|one| allowed.contains(one)))
}

fn offline_verifier() -> anyhow::Result<()> {
    let package = ["--package", "dayfly-verifier", "--edges", "normal,build"];
    let refuse = |features: &[&str], names: &[&str]| {
        let linked = linked(&[&package, features].concat())?;
        match names.iter().find(|name| linked.contains(**name)) {
            Some(name) => bail!("dayfly-verifier with {features:?} links `{name}`"),
            None => Ok(()),
        }
    };
    refuse(&[], &NETWORK)?;
    refuse(
        &["--no-default-features", "--features", "rustcrypto"],
        &NETWORK,
    )?;
    refuse(
        &["--no-default-features", "--features", "rustcrypto"],
        &BUILDS_C,
    )
}

fn cargo_deny() -> anyhow::Result<()> {
    let installed = Command::new(cargo()).args(["deny", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("xtask: cargo-deny is not installed: advisories are not checked");
        return Ok(());
    }
    output(&[
        "deny",
        "--config",
        ".deny.toml",
        "check",
        "bans",
        "licenses",
        "sources",
    ])
    .map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::permits;

    #[test]
    fn one_allowed_branch_is_enough_and_every_part_of_it_is_needed() {
        let allowed = BTreeSet::from(["MIT", "ISC"]);
        for yes in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT AND ISC",
            "MIT/GPL-3.0",
            "(MIT OR GPL-3.0) AND ISC",
        ] {
            assert!(permits(yes, &allowed), "{yes}");
        }
        for no in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0"] {
            assert!(!permits(no, &allowed), "{no}");
        }
    }
}
