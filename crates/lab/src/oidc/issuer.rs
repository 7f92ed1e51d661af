use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use dayfly_token::{assemble, base64url};
use serde_json::{Map, Value, json};

use super::behaviour::{Behaviour, Counters, Counts, DocumentKind};
use super::github::{GithubJob, GithubRuntime};
use super::keys::{LabKey, TokenAlgorithm};
use super::routes;
use crate::service::{Bound, Service};
use crate::{LOOPBACK_NAMES, LabError, TlsAuthority, clock, guard, random};

/// How long a consumer may keep the documents, in seconds, unless the options say otherwise.
const MAX_AGE_SECS: u64 = 300;
/// How long tokens live for which the caller gave no `exp`.
const LIFETIME_SECS: u64 = 300;

/// How to start an [`OidcIssuer`].
#[derive(Clone, Debug)]
pub struct OidcOptions<'a> {
    /// Who signs the server certificate. None serves plain HTTP, which consumers must refuse unless they are told
    /// otherwise.
    pub tls: Option<&'a TlsAuthority>,
    /// The host in the issuer's URL: `127.0.0.1` or `localhost`.
    pub host: &'a str,
    /// The path in the issuer's URL: empty, or `/tenant`.
    pub issuer_path: &'a str,
    /// Where to listen; a loopback address.
    pub address: SocketAddr,
    /// What the first key signs with.
    pub algorithm: TokenAlgorithm,
    /// `max-age` of the documents, in seconds.
    pub max_age_secs: u64,
}

impl Default for OidcOptions<'_> {
    /// Plain HTTP on a free port of 127.0.0.1, RS256.
    fn default() -> Self {
        Self {
            tls: None,
            host: "127.0.0.1",
            issuer_path: "",
            address: guard::any_port(),
            algorithm: TokenAlgorithm::Rs256,
            max_age_secs: MAX_AGE_SECS,
        }
    }
}

/// An OpenID issuer on loopback: discovery, JWKS, and tokens in the shape of GitHub's or in any other.
///
/// It stops listening when it is dropped.
pub struct OidcIssuer {
    shared: Arc<Shared>,
    ca_pem: Option<String>,
    service: Service,
}

/// What the routes see.
pub(super) struct Shared {
    pub(super) url: String,
    pub(super) max_age_secs: u64,
    pub(super) keys: RwLock<Vec<Arc<LabKey>>>,
    pub(super) behaviours: RwLock<[Behaviour; 2]>,
    pub(super) counters: Counters,
    pub(super) jobs: RwLock<BTreeMap<String, GithubJob>>,
}

impl OidcIssuer {
    /// Generates the key and starts to listen.
    pub async fn start(options: OidcOptions<'_>) -> Result<Self, LabError> {
        check_path(options.issuer_path)?;
        let bound = Bound::new(options.address).await?;
        let key = generate(options.algorithm).await?;
        let config = options
            .tls
            .map(|tls| tls.server_config(LOOPBACK_NAMES))
            .transpose()?;
        let scheme = if config.is_some() { "https" } else { "http" };
        let url = format!(
            "{scheme}://{}:{}{}",
            options.host,
            bound.address.port(),
            options.issuer_path
        );
        let shared = Arc::new(Shared {
            url,
            max_age_secs: options.max_age_secs,
            keys: RwLock::new(vec![Arc::new(key)]),
            behaviours: RwLock::default(),
            counters: Counters::default(),
            jobs: RwLock::default(),
        });
        let service = bound.serve(
            routes::router(Arc::clone(&shared), options.issuer_path),
            config,
        );
        Ok(Self {
            shared,
            ca_pem: options.tls.map(TlsAuthority::ca_pem),
            service,
        })
    }

    /// The issuer identifier: `iss` of the tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// The CA of the server certificate; none for plain HTTP.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// A token for `job`, issued now, with a `jti` of its own.
    #[must_use]
    pub fn github_token(&self, job: &GithubJob) -> String {
        self.shared.github_token(job)
    }

    /// The environment of `job`: with it, whoever runs as the job asks for tokens as on the platform.
    pub fn github_runtime(&self, job: GithubJob) -> Result<GithubRuntime, LabError> {
        let request_token = base64url::encode(random::bytes::<24>()?);
        write(&self.shared.jobs).insert(request_token.clone(), job);
        let request_url = format!("{}/_apis/idtoken?api-version=2.0", self.shared.url);
        Ok(GithubRuntime {
            request_url,
            request_token,
        })
    }

    /// A token with these claims; `iss`, `iat`, `exp` (five minutes) and `jti` are added where absent.
    #[must_use]
    pub fn token(&self, claims: Value) -> String {
        let now = clock::unix_now();
        let mut complete = Map::new();
        complete.insert("iss".to_owned(), self.url().into());
        complete.insert("iat".to_owned(), now.into());
        complete.insert("exp".to_owned(), now.saturating_add(LIFETIME_SECS).into());
        complete.insert("jti".to_owned(), token_id().into());
        if let Value::Object(claims) = claims {
            complete.extend(claims);
        }
        self.sign_with(
            &self.shared.header(&self.shared.current_key()),
            &Value::Object(complete),
        )
    }

    /// Signs exactly this header and these claims with the current key, whatever they say.
    #[must_use]
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// Signs exactly these bytes with the current key: duplicate members, broken UTF-8, anything.
    #[must_use]
    pub fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        sign(&self.shared.current_key(), header, payload)
    }

    /// The header of an honest token: `typ`, `alg`, `x5t` and `kid`, like GitHub's.
    #[must_use]
    pub fn header(&self) -> Value {
        self.shared.header(&self.shared.current_key())
    }

    /// The `kid` of the current key.
    #[must_use]
    pub fn kid(&self) -> String {
        self.shared.current_key().kid().to_owned()
    }

    /// The JWKS as it is served.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.shared.jwks()
    }

    /// A new key of the same algorithm signs from now on; the older ones stay published until [`Self::retire`].
    pub async fn rotate(&self) -> Result<(), LabError> {
        self.rotate_to(self.shared.current_key().algorithm()).await
    }

    /// Like [`Self::rotate`], with a key of another algorithm.
    pub async fn rotate_to(&self, algorithm: TokenAlgorithm) -> Result<(), LabError> {
        let key = generate(algorithm).await?;
        write(&self.shared.keys).push(Arc::new(key));
        Ok(())
    }

    /// Takes all keys but the current one out of the JWKS.
    pub fn retire(&self) {
        let mut keys = write(&self.shared.keys);
        let older = keys.len().saturating_sub(1);
        keys.drain(..older);
    }

    /// From now on answers like this for that document.
    pub fn behave(&self, document: DocumentKind, behaviour: Behaviour) {
        let mut behaviours = write(&self.shared.behaviours);
        let [discovery, jwks] = &mut *behaviours;
        match document {
            DocumentKind::Discovery => *discovery = behaviour,
            DocumentKind::Jwks => *jwks = behaviour,
        }
    }

    /// How often it was asked for what.
    #[must_use]
    pub fn requests(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Stops listening and waits until open requests have ended.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

impl fmt::Debug for OidcIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcIssuer")
            .field("url", &self.shared.url)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn current_key(&self) -> Arc<LabKey> {
        let keys = read(&self.keys);
        #[expect(
            clippy::expect_used,
            reason = "`start` puts one in and nothing takes the last one out"
        )]
        let key = keys.last().expect("an issuer has a key");
        Arc::clone(key)
    }

    pub(super) fn behaviour(&self, document: DocumentKind) -> Behaviour {
        let [discovery, jwks] = *read(&self.behaviours);
        match document {
            DocumentKind::Discovery => discovery,
            DocumentKind::Jwks => jwks,
        }
    }

    pub(super) fn job_of(&self, request_token: &str) -> Option<GithubJob> {
        read(&self.jobs).get(request_token).cloned()
    }

    pub(super) fn jwks(&self) -> String {
        let keys: Vec<Value> = read(&self.keys)
            .iter()
            .map(|key| key.jwk().clone())
            .collect();
        json!({ "keys": keys }).to_string()
    }

    pub(super) fn github_token(&self, job: &GithubJob) -> String {
        let key = self.current_key();
        let claims = Value::Object(job.claims(&self.url, &token_id(), clock::unix_now()));
        sign(
            &key,
            self.header(&key).to_string().as_bytes(),
            claims.to_string().as_bytes(),
        )
    }

    fn header(&self, key: &LabKey) -> Value {
        // GitHub's tokens carry a certificate thumbprint that nobody uses; consumers must ignore it.
        let digest = dayfly_keys::sha256(key.kid().as_bytes());
        let x5t = base64url::encode(digest.get(..20).unwrap_or_default());
        json!({ "typ": "JWT", "alg": key.algorithm().name(), "x5t": x5t, "kid": key.kid() })
    }
}

/// A `jti` in the shape of GitHub's: a version 4 UUID.
fn token_id() -> String {
    #[expect(
        clippy::expect_used,
        reason = "`start` has drawn from the same source before"
    )]
    let value = u128::from_be_bytes(random::bytes().expect("the system gives random bytes"));
    let hex = format!(
        "{:032x}",
        (value & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
    );
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    [
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32),
    ]
    .join("-")
}

fn sign(key: &LabKey, header: &[u8], payload: &[u8]) -> String {
    let input = assemble(header, payload);
    #[expect(
        clippy::expect_used,
        reason = "signing with a key in memory fails only when there is no memory"
    )]
    let signature = key.sign(input.as_bytes()).expect("a key signs");
    format!("{input}.{}", base64url::encode(signature))
}

async fn generate(algorithm: TokenAlgorithm) -> Result<LabKey, LabError> {
    tokio::task::spawn_blocking(move || LabKey::generate(algorithm))
        .await
        .map_err(|_| LabError::Interrupted)?
}

fn check_path(path: &str) -> Result<(), LabError> {
    let well_formed = path.is_empty()
        || (path.starts_with('/')
            && !path.ends_with('/')
            && !path.contains(['?', '#', '{', '}', ' ']));
    if well_formed {
        Ok(())
    } else {
        Err(LabError::IssuerPath {
            path: path.to_owned(),
        })
    }
}

/// What a panicking test thread left behind is still consistent: every write is a single assignment.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ids_are_version_4_uuids() {
        let id = token_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes().get(14), Some(&b'4'));
        assert!(
            id.as_bytes().get(19).is_some_and(|c| b"89ab".contains(c)),
            "{id}"
        );
        assert_ne!(id, token_id());
    }

    #[test]
    fn issuer_paths() {
        for path in ["", "/tenant", "/a/b"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in ["/", "tenant", "/tenant/", "/a?b", "/{id}"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }
}
