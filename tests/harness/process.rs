//! One `dayfly serve` process.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dayfly_lab::Svid;
use serde_json::Value;

use super::{Answer, Form, World};

/// The longest wait for a server to get ready or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What keeps the issuances.
#[derive(Clone, Debug)]
pub enum Store {
    /// The embedded store of the deployment's own folder.
    Embedded,
    /// A Redis that several deployments may share.
    Redis(String),
}

/// A server process; it is killed when this is dropped.
pub struct Deployment {
    /// The issuer URL.
    pub url: String,
    /// The URL of the operations listener.
    pub operations: String,
    /// The main file.
    pub config: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// Where the logs go.
    pub log: PathBuf,
    /// The audit trail.
    pub audit: PathBuf,
    ca_pem: String,
    process: Option<Child>,
}

impl Deployment {
    /// Writes the files of a server that is not started yet.
    pub fn prepare(world: &World, name: &str, store: &Store, issuer: &str) -> Self {
        let port = issuer
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let public = if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            port
        } else {
            free_port()
        };
        let operations = free_port();
        let (cert, key) = world
            .tls
            .server_identity(dayfly_lab::LOOPBACK_NAMES)
            .unwrap();
        world.write(&format!("{name}/server.pem"), &cert);
        world.write_secret(&format!("{name}/server.key"), &key);
        let socket = world.path(&format!("{name}/admin.sock"));
        let text = main_file(world, name, store, issuer, public, operations);
        Self {
            url: format!("https://127.0.0.1:{public}"),
            operations: format!("http://127.0.0.1:{operations}"),
            config: world.write(&format!("{name}.toml"), &text),
            socket,
            log: world.path(&format!("{name}/log")),
            audit: world.path(&format!("{name}/audit.jsonl")),
            ca_pem: world.tls.ca_pem(),
            process: None,
        }
    }

    /// Starts the process and waits until it is ready.
    pub async fn launch(&mut self, environment: &[(&str, &str)]) {
        self.spawn(environment);
        self.ready(true).await;
    }

    /// Starts the process.
    pub fn spawn(&mut self, environment: &[(&str, &str)]) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let process = Command::new(binary())
            .args(["serve", "--allow-root", "--config"])
            .arg(&self.config)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until `/readyz` says what is wanted.
    #[track_caller]
    pub fn ready(&self, wanted: bool) -> impl Future<Output = ()> {
        install_provider();
        let (url, log) = (format!("{}/readyz", self.operations), self.log.clone());
        async move {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let started = Instant::now();
            loop {
                let answer = client.get(&url).send().await;
                if answer
                    .as_ref()
                    .is_ok_and(|answer| answer.status().is_success() == wanted)
                {
                    return;
                }
                assert!(
                    started.elapsed() < PATIENCE,
                    "readyz is not {wanted}: {answer:?}\n{}",
                    std::fs::read_to_string(&log).unwrap_or_default()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a started server").id()
    }

    /// Sends a signal, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the process to end by itself, and says whether it ended well.
    pub fn wait(&mut self) -> bool {
        let mut process = self.process.take().expect("a started server");
        let started = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.success();
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the process without a warning.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// A client that trusts the server, with an SVID or without.
    pub fn client(&self, svid: Option<&Svid>) -> reqwest::Client {
        client(&self.ca_pem, svid)
    }

    /// `POST /oauth2/token`.
    pub async fn token(&self, svid: Option<&Svid>, form: &Form) -> Answer {
        self.post("/oauth2/token", svid, form).await
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, svid: Option<&Svid>, form: &Form) -> Answer {
        let request = self
            .client(svid)
            .post(format!("{}{path}", self.url))
            .form(&form.0);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Posts JSON.
    pub async fn post_json(&self, path: &str, svid: Option<&Svid>, body: &Value) -> Answer {
        let request = self
            .client(svid)
            .post(format!("{}{path}", self.url))
            .json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Gets a document.
    pub async fn get(&self, path: &str, svid: Option<&Svid>) -> Answer {
        let request = self.client(svid).get(format!("{}{path}", self.url));
        Answer::read(request.send().await.unwrap()).await
    }

    /// The lines of the audit trail so far.
    pub fn audit_lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.audit).unwrap_or_default();
        // The last line may be under way.
        let (complete, _) = text.rsplit_once('\n').unwrap_or_default();
        complete
            .lines()
            .map(|line| serde_json::from_str(line).expect("one JSON object"))
            .collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that trusts one CA, with an SVID or without.
pub fn client(ca_pem: &str, svid: Option<&Svid>) -> reqwest::Client {
    install_provider();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(ca_pem.as_bytes()).unwrap()])
        .timeout(Duration::from_secs(15));
    if let Some(svid) = svid {
        let pem = format!("{}{}", svid.cert_chain_pem, svid.key_pem);
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

fn install_provider() {
    // A second installation is refused, and the first one is the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The `dayfly` that was built with the tests.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("DAYFLY_BIN").map(PathBuf::from);
    let beside = || {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join("dayfly")
    };
    let path = named.unwrap_or_else(beside);
    assert!(
        path.is_file(),
        "no dayfly at {}: run `cargo xtask test`",
        path.display()
    );
    path
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn main_file(
    world: &World,
    name: &str,
    store: &Store,
    issuer: &str,
    public: u16,
    operations: u16,
) -> String {
    let github = world.github.url();
    let mut text = format!(
        r#"issuer = "{issuer}"
trust_domain = "sts.example.org"
data_dir = "{name}/data"
replica = "{name}"
[listen]
public = "127.0.0.1:{public}"
operations = "127.0.0.1:{operations}"
admin_socket = "{name}/admin.sock"
[tls]
cert_file = "{name}/server.pem"
key_file = "{name}/server.key"
[x509]
danger_ephemeral_root = true
[keys]
lead = "9s"
jwks_max_age = "1s"
sync = "3s"
[audit]
file = "{name}/audit.jsonl"
[[trust_domain_bundle]]
name = "prod.example.org"
file = "prod.pem"
[[oidc_issuer]]
preset = "github"
issuer = "{github}"
ca_file = "ca.pem"
allow_private = true
[[grant]]
workload = "platform/console"
scopes = ["dayfly:task", "dayfly:revoke", "dayfly:hold", "dayfly:audit", "dayfly:keys", "dayfly:introspect"]
[[grant]]
workload = "platform/payments-admin"
scopes = ["dayfly:task", "dayfly:revoke", "dayfly:hold", "dayfly:introspect"]
owner = "payments"
"#
    );
    if let Store::Redis(url) = store {
        writeln!(
            text,
            "[ledger]\nredis = \"{url}\"\ncluster_secret_file = \"cluster.secret\""
        )
        .unwrap();
    }
    text
}
