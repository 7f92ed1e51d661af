//! A registry of many alike workloads, for tests that end what they look at: each test takes
//! workloads of its own.

use std::collections::BTreeMap;

use super::World;

/// The API that every workload of the fleet may use, with bearer tokens.
pub const FLEET_API: &str = "https://target.internal";

/// Writes the registry files of the workloads, each `owner/name`, with a rule for its SVID.
pub fn write(world: &World, workloads: &[&str]) {
    write_members(world, workloads, svid_rule);
}

/// The same, with a rule for tokens of the issuer `forge` whose subject is `owner/name` as well.
pub fn write_with_forge(world: &World, workloads: &[&str]) {
    write_members(world, workloads, |name| svid_rule(name) + &forge_rule(name));
}

fn write_members(world: &World, workloads: &[&str], rules: fn(&str) -> String) {
    let mut members: BTreeMap<&str, String> = BTreeMap::new();
    for workload in workloads {
        let (owner, name) = workload.split_once('/').expect("owner/name");
        *members.entry(owner).or_default() += &member(name, &rules(workload));
    }
    let callers: Vec<_> = members
        .keys()
        .map(|owner| format!("\"{owner}/*\""))
        .collect();
    world.write("registry/target/target.toml", &target(&callers.join(", ")));
    for (owner, text) in members {
        let contact = format!("[owner]\ncontact = \"{owner}@example.org\"\n");
        world.write(&format!("registry/{owner}/fleet.toml"), &(contact + &text));
    }
}

fn target(callers: &str) -> String {
    format!(
        r#"
[owner]
contact = "target@example.org"
[[audience]]
id = "{FLEET_API}"
environment = "prod"
scopes = ["deploy:write", "deploy:read"]
callers = [{callers}]
"#
    )
}

fn member(name: &str, rules: &str) -> String {
    format!(
        r#"
[[workload]]
name = "{name}"
environment = "prod"
purpose = "one of many"
{rules}
[[workload.grant]]
audience = "{FLEET_API}"
scopes = ["deploy:write", "deploy:read"]
binding = "none"
ttl = "10m"
[workload.certificate]
ttl = "15m"
"#
    )
}

fn svid_rule(workload: &str) -> String {
    let id = format!("spiffe://prod.example.org/{workload}");
    rule(
        "svid",
        workload,
        &format!("trust_domain = \"prod.example.org\"\nspiffe_id = \"{id}\""),
    )
}

fn forge_rule(workload: &str) -> String {
    rule(
        "forge",
        workload,
        &format!("issuer = \"forge\"\nmatch = {{ sub = \"{workload}\" }}"),
    )
}

fn rule(kind: &str, workload: &str, wanted: &str) -> String {
    let name = workload.replace('/', "-");
    format!("\n[[workload.rule]]\nname = \"{kind}-{name}\"\n{wanted}\n")
}
