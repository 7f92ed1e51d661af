mod detect;
mod github;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use dayfly_token::MAX_TOKEN_BYTES;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

pub use github::GithubActions;

use crate::{ClientError, Secret};

/// Longest file of evidence, in bytes: a token has 16 KiB at most, and a chain of five certificates of RSA less.
const MAX_EVIDENCE_BYTES: u64 = 64 * 1024;
/// Where a projected service account token for the issuer lies, by the convention of our Kubernetes manifests.
const KUBERNETES_TOKEN: &str = "/var/run/secrets/dayfly/token";

/// What proves who this workload is. It is read anew for every request.
#[non_exhaustive]
#[derive(Debug)]
pub enum Source {
    /// An X.509-SVID in files, as spiffe-helper or a CSI driver writes them; re-read when they change.
    Svid {
        /// The chain as PEM, leaf first.
        cert: PathBuf,
        /// The key as PEM.
        key: PathBuf,
    },
    /// An OIDC token.
    Oidc(OidcSource),
}

/// Where OIDC tokens come from.
#[non_exhaustive]
pub enum OidcSource {
    /// The token service of a GitHub Actions job; a fresh token for each request, because each counts once.
    Github(GithubActions),
    /// A file that somebody keeps fresh: a projected service account token, a cloud's web identity file.
    File(PathBuf),
    /// An environment variable, as GitLab sets it for `id_tokens`. It never changes while the job runs.
    Variable(String),
    /// One token for the life of this client.
    Fixed(Secret),
    /// A function of the embedding program.
    Callback(TokenCallback),
}

/// What a token callback returns.
pub type TokenFuture =
    Pin<Box<dyn Future<Output = Result<Secret, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// A function that gets the issuer's identifier (the audience to ask for) and finds a token.
pub type TokenCallback = Arc<dyn Fn(&str) -> TokenFuture + Send + Sync>;

impl Source {
    /// An SVID in two PEM files.
    pub fn svid(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::Svid {
            cert: cert.into(),
            key: key.into(),
        }
    }

    /// A token in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::Oidc(OidcSource::File(path.into()))
    }

    /// A projected service account token of Kubernetes at `path`, or at `/var/run/secrets/dayfly/token`.
    #[must_use]
    pub fn kubernetes(path: Option<PathBuf>) -> Self {
        Self::file(path.unwrap_or_else(|| PathBuf::from(KUBERNETES_TOKEN)))
    }

    /// A token in an environment variable: `id_tokens: { NAME: { aud: … } }` of a GitLab job.
    pub fn gitlab(variable: impl Into<String>) -> Self {
        Self::Oidc(OidcSource::Variable(variable.into()))
    }

    /// The token service of this GitHub Actions job, from its environment.
    pub fn github() -> Result<Self, ClientError> {
        GithubActions::from_environment().map(|github| Self::Oidc(OidcSource::Github(github)))
    }

    /// This one token.
    pub fn token(token: impl Into<Secret>) -> Self {
        Self::Oidc(OidcSource::Fixed(token.into()))
    }

    /// A function that gets the issuer's identifier, the audience to ask for, and finds a token.
    pub fn callback<F, R>(find: F) -> Self
    where
        F: Fn(String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Secret, Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        Self::Oidc(OidcSource::Callback(Arc::new(move |issuer| {
            Box::pin(find(issuer.to_owned()))
        })))
    }

    /// What this machine offers: SVID files named by `DAYFLY_SVID_CERT_FILE` and `DAYFLY_SVID_KEY_FILE`, a token in a
    /// file named by `DAYFLY_ID_TOKEN_FILE` or in `DAYFLY_ID_TOKEN` (GitLab), the token service of GitHub Actions, or
    /// the projected token of Kubernetes. The first that is there is taken; the error says what was looked for.
    pub fn auto() -> Result<Self, ClientError> {
        detect::detect(
            &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
            &|path| path.exists(),
        )
    }
}

impl OidcSource {
    /// A token to present to `issuer`. `insecure` allows plain HTTP to the platform, for tests on loopback.
    pub(crate) async fn token(&self, issuer: &str, insecure: bool) -> Result<Secret, ClientError> {
        let token = match self {
            Self::Github(github) => github.token(issuer, insecure).await?,
            Self::File(path) => read_evidence(path).await?,
            Self::Variable(name) => {
                Secret::new(
                    std::env::var(name).map_err(|_| ClientError::EvidenceMissing {
                        reason: format!("the variable `{name}` is not set"),
                    })?,
                )
            }
            Self::Fixed(token) => Secret::new(token.expose()),
            Self::Callback(find) => {
                find(issuer)
                    .await
                    .map_err(|error| ClientError::EvidenceMissing {
                        reason: format!("the token callback failed: {error}"),
                    })?
            }
        };
        trimmed(&token).ok_or_else(|| ClientError::EvidenceMissing {
            reason: format!(
                "{self:?} has no token: expected one line without spaces, at most 16 KiB"
            ),
        })
    }
}

impl fmt::Debug for OidcSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Github(_) => f.write_str("GitHub Actions"),
            Self::File(path) => write!(f, "the file `{}`", path.display()),
            Self::Variable(name) => write!(f, "the variable `{name}`"),
            Self::Fixed(_) => f.write_str("the given token"),
            Self::Callback(_) => f.write_str("the token callback"),
        }
    }
}

/// Reads a file with evidence, up to [`MAX_EVIDENCE_BYTES`].
pub(crate) async fn read_evidence(path: &Path) -> Result<Secret, ClientError> {
    let failed = |source| ClientError::EvidenceFile {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    let length = file
        .take(MAX_EVIDENCE_BYTES + 1)
        .read_to_string(&mut text)
        .await
        .map_err(failed)?;
    if length as u64 > MAX_EVIDENCE_BYTES {
        let reason = format!("it has more than {MAX_EVIDENCE_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, reason)));
    }
    Ok(Secret::new(text.as_str()))
}

/// The token without the white space around it, if it is one.
fn trimmed(token: &Secret) -> Option<Secret> {
    let text = token.expose().trim();
    let is_token = !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_read_anew_and_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = OidcSource::File(path.clone());
        let missing = source.token("https://sts.example", false).await;
        assert!(matches!(missing, Err(ClientError::EvidenceFile { .. })));
        for text in ["a.b.c", "d.e.f"] {
            std::fs::write(&path, format!("  {text}\n")).unwrap();
            let token = source.token("https://sts.example", false).await;
            assert_eq!(
                token.ok().map(|token| token.expose().to_owned()).as_deref(),
                Some(text)
            );
        }
        for text in ["", " \n", "two words", "a\nb"] {
            std::fs::write(&path, text).unwrap();
            let refused = source.token("https://sts.example", false).await;
            assert!(
                matches!(refused, Err(ClientError::EvidenceMissing { .. })),
                "{text:?}"
            );
        }
        std::fs::write(&path, "a".repeat(MAX_TOKEN_BYTES + 1)).unwrap();
        assert!(source.token("https://sts.example", false).await.is_err());
    }

    #[tokio::test]
    async fn callbacks_learn_the_audience() {
        let Source::Oidc(source) =
            Source::callback(|issuer| async move { Ok(Secret::new(format!("for-{issuer}"))) })
        else {
            panic!("a callback is an OIDC source");
        };
        let token = source.token("https://sts.example", false).await.ok();
        assert_eq!(token.unwrap().expose(), "for-https://sts.example");
    }

    #[test]
    fn no_source_shows_its_secret() {
        let source = Source::token("eyJ-secret");
        assert_eq!(format!("{source:?}"), "Oidc(the given token)");
    }
}
