//! What stands around a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_lab::{GithubJob, OidcIssuer, OidcOptions, SpiffeCa, Svid, TlsAuthority};
use tempfile::TempDir;

/// The audience of the API of the owner `payments`.
pub const PAYMENTS_API: &str = "https://payments.internal";
/// The trust domain of the workloads' SVIDs.
const TRUST_DOMAIN: &str = "prod.example.org";

/// The default registry: two owners, a CI job, a service, an operator of the API, a console.
const PAYMENTS: &str = r#"
[owner]
contact = "payments@example.org"

[[audience]]
id = "https://payments.internal"
environment = "prod"
scopes = ["deploy:write", "deploy:read", "ledger:read"]
operators = ["payments/api"]
callers = ["billing/*"]

[[workload]]
name = "deploy"
environment = "prod"
purpose = "deploys the payments service"
[[workload.rule]]
name = "gh-deploy"
issuer = "github"
match = { repository_id = "74", repository_owner_id = "65", environment = "prod", event_name = ["push", "workflow_dispatch"] }
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:write", "deploy:read"]
ttl = "5m"
require_task = true

[[workload]]
name = "worker"
environment = "prod"
purpose = "books what was paid"
[[workload.rule]]
name = "svid-worker"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/worker"
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["ledger:read", "deploy:read"]
ttl = "10m"
[workload.certificate]
ttl = "15m"
dns_names = ["worker.payments.internal"]

[[workload]]
name = "api"
environment = "prod"
purpose = "the payments API itself"
[[workload.rule]]
name = "svid-api"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/api"
"#;

const BILLING: &str = r#"
[owner]
contact = "billing@example.org"

[[workload]]
name = "reader"
environment = "prod"
purpose = "reads the payments ledger"
[[workload.rule]]
name = "svid-reader"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/billing/reader"
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["ledger:read"]
binding = "spiffe_id"
"#;

const PLATFORM: &str = r#"
[owner]
contact = "platform@example.org"

[[workload]]
name = "console"
environment = "prod"
purpose = "operates dayfly"
[[workload.rule]]
name = "svid-console"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/platform/console"

[[workload]]
name = "payments-admin"
environment = "prod"
purpose = "operates what belongs to payments"
[[workload.rule]]
name = "svid-payments-admin"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/platform/payments-admin"
"#;

/// The lab's services and a folder with the files of a deployment.
pub struct World {
    /// Everything that is written.
    pub folder: TempDir,
    /// Signs the servers' certificates.
    pub tls: TlsAuthority,
    /// Signs the workloads' SVIDs.
    pub spiffe: SpiffeCa,
    /// Signs the CI jobs' tokens.
    pub github: OidcIssuer,
}

impl World {
    /// Starts the services and writes the default registry.
    pub async fn new() -> Self {
        let tls = TlsAuthority::new().unwrap();
        let spiffe = SpiffeCa::new(TRUST_DOMAIN).unwrap();
        let options = OidcOptions {
            tls: Some(&tls),
            ..OidcOptions::default()
        };
        let github = OidcIssuer::start(options).await.unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            tls,
            spiffe,
            github,
        };
        world.write("ca.pem", &world.tls.ca_pem());
        world.write("prod.pem", &world.spiffe.bundle_pem());
        world.write("registry/payments/payments.toml", PAYMENTS);
        world.write("registry/billing/billing.toml", BILLING);
        world.write("registry/platform/platform.toml", PLATFORM);
        std::fs::create_dir(world.path("policies")).unwrap();
        world.write_secret(
            "cluster.secret",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        );
        world
    }

    /// Writes a file of the folder, with its parents.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a file that only its owner can read.
    pub fn write_secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A path of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// An SVID of one hour, for example of `payments/worker`.
    pub fn svid(&self, workload: &str) -> Svid {
        self.spiffe
            .svid(&format!("/{workload}"), Duration::from_secs(3600))
            .unwrap()
    }

    /// A fresh token of the default CI job for an issuer.
    pub fn ci_token(&self, issuer: &str) -> String {
        self.github.github_token(&GithubJob::for_audience(issuer))
    }
}
