//! What the demo starts: authorities, a server, an API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use dayfly_client::{Admin, Client, Identity, Source};
use dayfly_lab::{
    ClientBundle, GithubJob, LOOPBACK_NAMES, OidcIssuer, OidcOptions, SampleApi, SampleApiOptions,
    SpiffeCa, Svid, TlsAuthority,
};
use dayfly_server::app::{Running, Server, Settings};
use dayfly_verifier::Verifier;
use serde_json::json;
use tempfile::TempDir;

use super::report::{Report, Step, now};

/// The API of the story.
pub(super) const API: &str = "https://payments.internal";
/// Another API, which is not running.
pub(super) const OTHER_API: &str = "https://warehouse.internal";

/// The trust domain of the workloads' SVIDs: not the issuer's own.
const TRUST_DOMAIN: &str = "prod.example.org";
const SVID_LIFETIME: Duration = Duration::from_secs(3600);
/// The longest wait for the issuer to get ready.
const PATIENCE: Duration = Duration::from_secs(10);

const REGISTRY: &str = r#"[owner]
contact = "payments@example.org"

[[audience]]
id = "https://payments.internal"
environment = "prod"
scopes = ["deploy:write", "deploy:read", "ledger:read"]

[[audience]]
id = "https://warehouse.internal"
environment = "prod"
scopes = ["stock:read"]

[[workload]]
name = "deploy"
environment = "prod"
purpose = "deploys the payments service from CI"
[[workload.rule]]
name = "gh-deploy"
issuer = "github"
match = { repository_id = "74", repository_owner_id = "65", environment = "prod", event_name = "push" }
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
[[workload.grant]]
audience = "https://warehouse.internal"
scopes = ["stock:read"]
[workload.certificate]
ttl = "15m"
"#;

/// Everything that runs.
pub(crate) struct World {
    folder: TempDir,
    pub(super) tls: TlsAuthority,
    pub(super) svid: Svid,
    github: OidcIssuer,
    server: Running,
    api: SampleApi,
    /// The verifier inside the API.
    pub(super) verifier: Verifier,
    /// The administration, over the Unix socket.
    pub(super) admin: Admin,
}

impl World {
    /// Starts it all, and reports the first steps.
    pub(crate) async fn start(report: &mut Report) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("dayfly-demo-").tempdir()?;
        let tls = TlsAuthority::new()?;
        let spiffe = SpiffeCa::new(TRUST_DOMAIN)?;
        let svid = spiffe.svid("/payments/worker", SVID_LIFETIME)?;
        let options = OidcOptions {
            tls: Some(&tls),
            ..OidcOptions::default()
        };
        let github = OidcIssuer::start(options).await?;
        report.note(Ok(Step::new(
            "authorities",
            format!(
                "a SPIFFE CA gave {} an SVID; an OIDC issuer serves its keys",
                svid.spiffe_id
            ),
            "These stand for SPIRE and for GitHub Actions: what your machines already have.",
        )
        .details(
            json!({ "spiffe_id": svid.spiffe_id, "oidc_issuer": github.url() }),
        )));

        write_files(folder.path(), &tls, &spiffe, &svid, &github)?;
        let started = now();
        let server = Server::start(Settings::load(&folder.path().join("dayfly.toml"))?).await?;
        if let Err(reasons) = server.ready(PATIENCE).await {
            bail!("the issuer is not ready: {}", reasons.join(", "));
        }
        report.note(Ok(Step::new(
            "issuer",
            format!("the issuer is ready at {}", server.public_url()),
            "Its signing key was made in memory a moment ago and never leaves it. Its ledger is embedded: no Redis.",
        )
        .took(started.elapsed())
        .details(json!({ "issuer": server.public_url() }))));

        let started = now();
        let verifier = Verifier::from_issuer(server.public_url())
            .audience(API)
            .ca_pem(tls.ca_pem())
            .build()
            .await?;
        let roots = spiffe.bundle_pem();
        let options = SampleApiOptions::new(verifier.clone(), &tls);
        let bundle = ClientBundle {
            trust_domain: TRUST_DOMAIN,
            pem: &roots,
        };
        let api = SampleApi::start(options.client_bundles(&[bundle])).await?;
        report.note(Ok(Step::new(
            "api",
            format!("an API with dayfly-verifier listens at {}", api.url()),
            "Three lines of code. It has the keys and follows the revocation feed; it never calls the issuer to verify.",
        )
        .took(started.elapsed())
        .details(json!({ "api": api.url() }))));

        let admin = Admin::over_socket(folder.path().join("admin.sock"))?;
        Ok(Self {
            folder,
            tls,
            svid,
            github,
            server,
            api,
            verifier,
            admin,
        })
    }

    /// A client of the issuer that has the workload's SVID.
    pub(super) fn workload(&self) -> anyhow::Result<Client> {
        let (cert, key) = (self.path("svid.pem"), self.path("svid.key"));
        Ok(self.client().source(Source::svid(cert, key)).build()?)
    }

    /// A client of the issuer that has one token of a CI job.
    pub(super) fn ci_job(&self, id_token: &str) -> anyhow::Result<Client> {
        Ok(self.client().source(Source::token(id_token)).build()?)
    }

    /// A client that can prove the workload's certificate and needs no other evidence.
    pub(super) fn holder(&self) -> anyhow::Result<Client> {
        let identity = Identity::new(self.svid.cert_chain_pem.clone(), self.svid.key_pem.clone());
        Ok(self.client().identity(identity).build()?)
    }

    fn client(&self) -> dayfly_client::ClientBuilder {
        Client::builder(self.server.public_url())
            .ca_pem(self.tls.ca_pem())
            .retry(dayfly_client::RetryPolicy::NONE)
    }

    /// What GitHub Actions would give a job of the payments repository.
    pub(super) fn id_token(&self) -> String {
        let job = GithubJob {
            event_name: "push".to_owned(),
            ..GithubJob::for_audience(self.server.public_url())
        };
        self.github.github_token(&job)
    }

    /// Asks the API as a caller with a token, and with the SVID or without; the status.
    pub(super) async fn ask(
        &self,
        path: &str,
        token: &str,
        svid: Option<&Svid>,
    ) -> anyhow::Result<u16> {
        let mut builder =
            reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([reqwest::Certificate::from_pem(
                    self.tls.ca_pem().as_bytes(),
                )?]);
        if let Some(svid) = svid {
            let pem = format!("{}{}", svid.cert_chain_pem, svid.key_pem);
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes())?);
        }
        let url = format!("{}{path}", self.api.url());
        let answer = builder.build()?.get(url).bearer_auth(token).send().await?;
        Ok(answer.status().as_u16())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Stops it all.
    pub(crate) async fn stop(self) {
        self.api.stop().await;
        self.server.shutdown().await;
        self.github.stop().await;
    }

    /// Commands that work while everything runs.
    pub(crate) fn print_commands(&self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let dayfly = std::env::current_exe().context("the path of dayfly")?;
        private(&folder.join("id_token"), &self.id_token())?;
        println!(
            r#"
Everything keeps running until Ctrl-C. To try it from another terminal:

  cd {folder}
  export DAYFLY_ISSUER={issuer} DAYFLY_CA_FILE=ca.pem DAYFLY_SOCKET=admin.sock
  alias dayfly={dayfly}

  # a workload gets a token with its SVID, as dayfly and as curl
  TOKEN=$(dayfly token --svid-cert svid.pem --svid-key svid.key --audience {API} --task try-1)
  curl --cacert ca.pem --cert svid.pem --key svid.key {issuer}/oauth2/token \
    -d grant_type=client_credentials -d client_id={spiffe_id} -d audience={API}

  # the API accepts it with the certificate that it is bound to, and only with it
  curl --cacert ca.pem --cert svid.pem --key svid.key -H "Authorization: Bearer $TOKEN" {api}/whoami
  curl --cacert ca.pem -i -H "Authorization: Bearer $TOKEN" {api}/whoami

  # look inside, verify offline, end the task, and see the API refuse
  echo "$TOKEN" | dayfly inspect
  curl -s --cacert ca.pem {issuer}/.well-known/jwks.json > jwks.json
  echo "$TOKEN" | dayfly verify --jwks jwks.json --audience {API} --client-cert svid.pem
  dayfly task revoke payments/try-1 --reason "trying it out"
  curl --cacert ca.pem --cert svid.pem --key svid.key -i -H "Authorization: Bearer $TOKEN" {api}/whoami

  # a CI job's token counts once: the second call is refused, and `why` says so
  dayfly token --from file:id_token --audience {API} --task try-2
  dayfly token --from file:id_token --audience {API} --task try-2
  dayfly why <the decision that the refusal names>

  # a certificate; a hold
  dayfly cert --svid-cert svid.pem --svid-key svid.key --out-cert cert.pem --out-key cert.key
  dayfly hold set --workload payments/worker; dayfly hold list; dayfly hold lift --workload payments/worker
"#,
            folder = folder.display(),
            issuer = self.server.public_url(),
            dayfly = dayfly.display(),
            spiffe_id = self.svid.spiffe_id,
            api = self.api.url(),
        );
        Ok(())
    }
}

fn write_files(
    folder: &Path,
    tls: &TlsAuthority,
    spiffe: &SpiffeCa,
    svid: &Svid,
    github: &OidcIssuer,
) -> anyhow::Result<()> {
    let (cert, key) = tls.server_identity(LOOPBACK_NAMES)?;
    let main = format!(
        r#"issuer = "https://127.0.0.1:0"
trust_domain = "sts.example.org"
[listen]
public = "127.0.0.1:0"
operations = "127.0.0.1:0"
admin_socket = "admin.sock"
[tls]
cert_file = "server.pem"
key_file = "server.key"
[x509]
danger_ephemeral_root = true
[[trust_domain_bundle]]
name = "{TRUST_DOMAIN}"
file = "prod.pem"
[[oidc_issuer]]
preset = "github"
issuer = "{}"
ca_file = "ca.pem"
allow_private = true
"#,
        github.url()
    );
    std::fs::create_dir_all(folder.join("registry/payments"))?;
    std::fs::create_dir_all(folder.join("policies"))?;
    for (name, text) in [
        ("dayfly.toml", main.as_str()),
        ("ca.pem", tls.ca_pem().as_str()),
        ("prod.pem", spiffe.bundle_pem().as_str()),
        ("registry/payments/payments.toml", REGISTRY),
        ("server.pem", cert.as_str()),
        ("svid.pem", svid.cert_chain_pem.as_str()),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    private(&folder.join("server.key"), &key)?;
    private(&folder.join("svid.key"), &svid.key_pem)
}

/// A file that only its owner can read.
fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
