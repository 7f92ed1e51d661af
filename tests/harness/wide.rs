//! A registry with a grant of every kind, beside the default one.

use std::fmt::Write as _;

use super::World;

/// The API of the owner `books`.
pub const LEDGER_API: &str = "https://ledger.internal";
/// An API of the owner `billing`, which lists no callers.
pub const BILLING_API: &str = "https://billing.internal";

/// What the workload `books/migrator` may do, as RFC 9396 has it.
pub const BOOKING: &str =
    r#"[{"type":"urn:example:booking","actions":["read","write"],"book":"main"}]"#;

const BOOKS: &str = r#"
[owner]
contact = "books@example.org"

[[audience]]
id = "https://ledger.internal"
environment = "prod"
scopes = ["ledger:read", "ledger:write", "ledger:audit"]
operators = ["books/api"]

[[workload]]
name = "api"
environment = "prod"
purpose = "the ledger API itself"
[[workload.rule]]
name = "svid-books-api"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/books/api"

# Bearer tokens, with details.
[[workload]]
name = "clerk"
environment = "prod"
purpose = "books by hand"
[[workload.rule]]
name = "svid-clerk"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/books/clerk"
[[workload.grant]]
audience = "https://ledger.internal"
scopes = ["ledger:read", "ledger:write"]
binding = "none"
ttl = "15m"
authorization_details = [{ type = "urn:example:booking", actions = ["read", "write"], book = "main" }]
[[workload.grant]]
audience = "https://billing.internal"
scopes = ["bill:read"]

# Bound tokens that may be narrowed without their binding; a purpose is asked for.
[[workload]]
name = "batch"
environment = "prod"
purpose = "runs at night"
[[workload.rule]]
name = "svid-batch"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/books/batch"
[[workload.grant]]
audience = "https://ledger.internal"
scopes = ["ledger:read", "ledger:write"]
require_purpose = true
narrowable = true
[workload.certificate]
ttl = "5m"
require_task = true

# Two rules for the same evidence, and a binding that only an SVID can have.
[[workload]]
name = "forged"
environment = "prod"
purpose = "a job of the forge"
[[workload.rule]]
name = "forge-job"
issuer = "forge"
match = { sub = "job:1" }
[[workload.rule]]
name = "forge-project"
issuer = "forge"
match = { sub = "job:1", project = "main" }
[[workload.rule]]
name = "forge-other"
issuer = "forge"
match = { sub = "job:2" }
[[workload.grant]]
audience = "https://ledger.internal"
scopes = ["ledger:read", "ledger:audit"]
ttl = "1h"
when = 'context.claims.hasTag("branch") && context.claims.getTag("branch") == "main"'
[workload.certificate]

[[workload]]
name = "bound"
environment = "prod"
purpose = "a job whose grant asks for a certificate"
[[workload.rule]]
name = "forge-bound"
issuer = "forge"
match = { sub = "job:3" }
[[workload.grant]]
audience = "https://ledger.internal"
scopes = ["ledger:read"]
binding = "certificate"
"#;

const BILLING: &str = r#"
[[audience]]
id = "https://billing.internal"
environment = "prod"
scopes = ["bill:read"]
operators = ["billing/biller"]

[[workload]]
name = "biller"
environment = "prod"
purpose = "writes bills"
[[workload.rule]]
name = "svid-biller"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/billing/biller"
[[workload.grant]]
audience = "https://billing.internal"
scopes = ["bill:read"]
binding = "none"
[workload.certificate]
"#;

const GUARDRAILS: &str = r#"
@id("nobody-audits-for-an-hour")
@reason("an auditor's token lives 10 minutes at most")
forbid(principal, action == Action::"issue_token", resource) when {
  context.scopes.contains("ledger:audit") && context.lifetime > 600
};
"#;

/// Writes the files.
pub fn write(world: &World) {
    world.write("registry/books/books.toml", BOOKS);
    world.write("registry/billing/bills.toml", BILLING);
    world.write("policies/guardrails.cedar", GUARDRAILS);
}

/// What the main file needs for it.
pub fn main_file(forge: &str) -> String {
    let mut text = String::new();
    write!(
        text,
        r#"
[[oidc_issuer]]
name = "forge"
issuer = "{forge}"
ca_file = "ca.pem"
allow_private = true
"#
    )
    .unwrap();
    text
}
