//! The main file, section by section. Each field says its unit and its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use dayfly_token::{Slug, TrustDomain, WorkloadId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::period::Period;
use super::url::{IssuerUrl, RedisUrl};

/// The main file of `dayfly serve`. Paths are relative to the file's own directory.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "dayfly main file")]
pub struct Config {
    /// The issuer: an `https` URL without query, fragment or trailing slash; a path is allowed.
    /// It is the claim `iss` of every token and never changes. Port 0 takes the port that
    /// `listen.public` gets. Required.
    pub issuer: IssuerUrl,
    /// The trust domain of the workloads' SPIFFE IDs, for example `sts.example.org`. Never the
    /// domain of another authority, such as a SPIRE server's. Required.
    #[schemars(with = "String")]
    pub trust_domain: TrustDomain,
    /// Where the embedded ledger, its secret and the audit file live. Default `data`.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The folder that contains `registry/<owner>/*.toml` and `policies/*.cedar`; both folders
    /// must be there. Reloaded when something in it changes. Default `.`, the file's own folder.
    #[serde(default = "default_policy_dir")]
    pub policy_dir: PathBuf,
    /// The name of this replica in key records and logs; no other replica has it. Default: drawn
    /// at the first start and kept in `data_dir`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub replica: Option<Slug>,
    /// The listeners.
    #[serde(default)]
    pub listen: Listen,
    /// The certificate of the public listener. Reloaded when the files change. Required.
    pub tls: Tls,
    /// The ledger. Left out: the embedded store in `data_dir`, for a single node.
    #[serde(default)]
    pub ledger: LedgerSection,
    /// The SPIFFE trust domains whose X.509-SVIDs are accepted. Reloaded when a file changes.
    #[serde(default)]
    pub trust_domain_bundle: Vec<TrustDomainBundle>,
    /// The OIDC issuers whose tokens are accepted.
    #[serde(default)]
    pub oidc_issuer: Vec<OidcIssuer>,
    /// The upstream root of the certificates. Left out: no certificates are issued.
    #[serde(default)]
    pub x509: Option<X509>,
    /// Rates and caps.
    #[serde(default)]
    pub limits: Limits,
    /// The signing keys.
    #[serde(default)]
    pub keys: Keys,
    /// The audit trail.
    #[serde(default)]
    pub audit: Audit,
    /// Who may operate dayfly: the only place where `dayfly:*` scopes are granted.
    #[serde(default)]
    pub grant: Vec<Grant>,
}

/// The listeners.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address and port of the public listener (TLS 1.3, HTTP/1.1 and HTTP/2). Default
    /// `0.0.0.0:8443`.
    pub public: SocketAddr,
    /// Address and port of `/livez`, `/readyz` and `/metrics`. Plain HTTP on a loopback address,
    /// TLS with the certificate of `[tls]` elsewhere. Default `127.0.0.1:9443`.
    pub operations: SocketAddr,
    /// Serves the operations listener without TLS on an address that is not loopback. Default
    /// `false`.
    pub danger_plain_operations: bool,
    /// A Unix socket (mode 0600) for the operator of this machine: `/v1` with every right, for
    /// the first steps and for emergencies. Left out: none.
    pub admin_socket: Option<PathBuf>,
}

/// The certificate of the public listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM, leaf first. Required.
    pub cert_file: PathBuf,
    /// The private key, PEM; readable by its owner alone. Required.
    pub key_file: PathBuf,
}

/// The ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSection {
    /// `redis://`, `rediss://` or `redis+unix://` URL without a password. Left out: the embedded
    /// store.
    pub redis: Option<RedisUrl>,
    /// The password of Redis, alone in a file that only its owner can read. Default: none.
    pub redis_password_file: Option<PathBuf>,
    /// The CA of a `rediss://` server, PEM. Default: the roots of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The secret that the replicas share, at least 32 random bytes, in a file that only its
    /// owner can read. Required with Redis; the embedded store makes its own.
    pub cluster_secret_file: Option<PathBuf>,
    /// Former cluster secrets that are still accepted while a new one is rolled out. Default: none.
    pub former_cluster_secret_files: Vec<PathBuf>,
    /// When a write counts as recorded: `memory` is the one that is built; `fsync` and
    /// `{ replicas = n }` come later. The embedded store always syncs. Default `memory`.
    pub ack: Ack,
    /// The longest wait for the ledger before a request is refused with 503. Default `250ms`, at
    /// most `5s`.
    pub timeout: Period,
}

/// When a write of Redis counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ack {
    /// Redis holds it in memory.
    Memory,
}

/// One SPIFFE trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustDomainBundle {
    /// The trust domain. Required.
    #[schemars(with = "String")]
    pub name: TrustDomain,
    /// Its roots: PEM certificates, or a SPIFFE bundle document (JSON). Required.
    pub file: PathBuf,
}

/// One OIDC issuer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcIssuer {
    /// What kind of issuer it is; fills issuer, pins and single use. Default `custom`.
    #[serde(default)]
    pub preset: PresetName,
    /// The name that rules use. Default: the preset's name; required for `custom`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub name: Option<Slug>,
    /// The claim `iss`, compared byte by byte. Default: the preset's; required for `custom`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The keys from a JWKS file instead of discovery. Reloaded when it changes.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// The keys from this URL instead of discovery.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// The values of `aud` that are accepted. Default: the issuer URL of this server.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The accepted algorithms out of `RS256`, `PS256`, `ES256`, `ES384`, `EdDSA`. Default: the
    /// preset's, or `RS256` and `ES256`.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The CA of discovery and JWKS, PEM. Default: the public roots of the operating system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The longest life (`exp` − `iat`) of a token. Default: the preset's, or `1h`; at most `24h`.
    #[serde(default)]
    pub max_lifetime: Option<Period>,
    /// Whether a token counts once. Default: the preset's, or `false`.
    #[serde(default)]
    pub single_use: Option<bool>,
    /// Whether the issuer is shared by tenants that do not trust each other, so that rules must
    /// pin an immutable identifier. Default: the preset's, or `false`.
    #[serde(default)]
    pub shared: Option<bool>,
    /// Allows an issuer at a private or loopback address. Default `false`.
    #[serde(default)]
    pub allow_private: bool,
    /// Fetches discovery and keys without TLS: whoever is on the way can forge tokens. Default
    /// `false`.
    #[serde(default)]
    pub danger_allow_http: bool,
}

/// The kinds of OIDC issuers that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresetName {
    /// Any issuer with discovery or a JWKS.
    #[default]
    Custom,
    /// GitHub Actions.
    Github,
}

/// The upstream root of the certificates. Exactly one of the two `danger_` forms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct X509 {
    /// The root's private key (PKCS#8, PEM; P-256) in a file: whoever reads it is the authority.
    pub danger_root_key_file: Option<PathBuf>,
    /// The root's certificate, PEM. Required with `danger_root_key_file`.
    pub root_cert_file: Option<PathBuf>,
    /// A root that is made at each start and dies with the process: for development only, since
    /// peers lose it at each restart and no two replicas share it.
    pub danger_ephemeral_root: bool,
}

/// Rates and caps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Issuances for one workload in a minute, over time. Default 600.
    pub workload_per_minute: u32,
    /// Issuances for one workload at once: its instances that start together. Default 200.
    pub workload_burst: u32,
    /// Issuances for all workloads of one owner in a minute, over time. Default 3000.
    pub owner_per_minute: u32,
    /// Issuances for all workloads of one owner at once. Default 1000.
    pub owner_burst: u32,
    /// Connections that follow the feed at the same time. Default 4096, at most 65536.
    pub feed_subscribers: u32,
    /// The longest time that one request may take. Default `10s`.
    pub request_timeout: Period,
    /// How long a connection lives at most; a client certificate counts no longer. Default `10m`.
    pub connection_age: Period,
}

/// The signing keys (protocol D). Private keys live in memory only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// `ES256` or `EdDSA`. One deployment uses one. Default `ES256`.
    pub algorithm: KeyAlgorithm,
    /// How long one key signs. Default `24h`; at least `lead` + 3 × `sync`.
    pub rotation: Period,
    /// How long a key is published before it signs. Default `60s`; at least `jwks_max_age` +
    /// 2 × `sync` + 2 s.
    pub lead: Period,
    /// How long caches may keep the JWKS. Default `30s`.
    pub jwks_max_age: Period,
    /// How often a replica renews its keys' lease, which lasts three times as long. Default `5s`,
    /// at least `3s`.
    pub sync: Period,
}

/// The algorithms of the signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: every gateway and SPIFFE consumer knows it.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Where the audit trail goes, one JSON object a line. The ledger keeps a copy of each decision
/// for 24 hours whatever is set here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A file to append to, mode 0600; opened again on SIGHUP. Default `audit.jsonl` in
    /// `data_dir`.
    pub file: Option<PathBuf>,
    /// Standard output instead of a file. Default `false`.
    pub stdout: bool,
}

/// Rights to operate dayfly itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The workload, `<owner>/<name>`. Required.
    #[schemars(with = "String")]
    pub workload: WorkloadId,
    /// Out of `dayfly:task`, `dayfly:revoke`, `dayfly:hold`, `dayfly:audit`, `dayfly:keys`,
    /// `dayfly:introspect`. Required.
    pub scopes: Vec<String>,
    /// Limits the rights to what belongs to one owner. Default: no limit.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub owner: Option<Slug>,
}

fn default_data_dir() -> PathBuf {
    "data".into()
}

fn default_policy_dir() -> PathBuf {
    ".".into()
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            public: SocketAddr::from(([0, 0, 0, 0], 8443)),
            operations: SocketAddr::from(([127, 0, 0, 1], 9443)),
            danger_plain_operations: false,
            admin_socket: None,
        }
    }
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self {
            redis: None,
            redis_password_file: None,
            ca_file: None,
            cluster_secret_file: None,
            former_cluster_secret_files: Vec::new(),
            ack: Ack::Memory,
            timeout: Period::from_millis(250),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workload_per_minute: 600,
            workload_burst: 200,
            owner_per_minute: 3000,
            owner_burst: 1000,
            feed_subscribers: 4096,
            request_timeout: Period::from_secs(10),
            connection_age: Period::from_secs(600),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            algorithm: KeyAlgorithm::Es256,
            rotation: Period::from_secs(24 * 3600),
            lead: Period::from_secs(60),
            jwks_max_age: Period::from_secs(30),
            sync: Period::from_secs(5),
        }
    }
}
