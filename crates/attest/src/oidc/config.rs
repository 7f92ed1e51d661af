//! What an operator says of an OIDC issuer.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use dayfly_policy::Preset;
use dayfly_token::{Excerpt, Slug};
use url::Url;

use super::algorithm::JoseAlgorithm;
use super::location::{self, LocationError, Reach};
use super::preset;

/// Most audiences of one issuer: our issuer identifier, its token endpoint, and names of the past.
pub const MAX_AUDIENCES: usize = 32;
/// The longest lifetime that may be configured, in seconds: a day. What lives longer is a password.
pub const MAX_LIFETIME_SECS: u64 = 24 * 60 * 60;

/// An issuer whose tokens are evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcIssuerConfig {
    /// The name by which rules refer to it.
    pub name: Slug,
    /// What is known of its kind: mandatory claims and limits.
    pub preset: Preset,
    /// Its identifier, the exact value of `iss`.
    pub issuer: String,
    /// Where its keys come from.
    pub jwks: JwksSource,
    /// The values of `aud` that are us. A token has exactly one.
    pub audiences: Vec<String>,
    /// The algorithms that its keys may be for: RS256, PS256, ES256, ES384, EdDSA.
    pub algorithms: Vec<String>,
    /// The CAs that its server's certificate has to come from, in PEM, in place of the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// The longest `exp` − `iat`, in seconds.
    pub max_lifetime_secs: u64,
    /// Whether each token counts once, by its `jti`.
    pub single_use: bool,
    /// Whether it, or its keys, may be on this machine or at an address that is not public; a name that leads to one
    /// counts as one.
    pub allow_private: bool,
    /// Whether it may be fetched without TLS. Only from this machine, and only for tests: names that lead to private
    /// addresses are then followed too.
    pub danger_allow_http: bool,
}

/// Where an issuer's keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// From `jwks_uri` of its discovery document.
    Discovery,
    /// From a JWK Set at this URL.
    Url(Url),
    /// From a JWK Set in this file, read again every minute.
    File(PathBuf),
}

impl OidcIssuerConfig {
    /// GitHub Actions of github.com, with our `audiences`. For GitHub Enterprise change `issuer`.
    #[must_use]
    pub fn github(name: Slug, audiences: Vec<String>) -> Self {
        Self {
            issuer: preset::GITHUB_ISSUER.to_owned(),
            preset: Preset::Github,
            algorithms: vec!["RS256".to_owned()],
            max_lifetime_secs: preset::GITHUB_MAX_LIFETIME_SECS,
            single_use: true,
            ..Self::custom(name, String::new(), audiences)
        }
    }

    /// Any issuer with a discovery document: RS256 or ES256, one hour at most, tokens reusable within their life.
    #[must_use]
    pub fn custom(name: Slug, issuer: String, audiences: Vec<String>) -> Self {
        Self {
            name,
            preset: Preset::Custom,
            issuer,
            jwks: JwksSource::Discovery,
            audiences,
            algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            ca_pem: None,
            max_lifetime_secs: 60 * 60,
            single_use: false,
            allow_private: false,
            danger_allow_http: false,
        }
    }

    pub(crate) const fn reach(&self) -> Reach {
        Reach {
            private: self.allow_private,
            http: self.danger_allow_http,
        }
    }

    /// Checks everything that needs no network, and gives the algorithms.
    pub(crate) fn check(&self) -> Result<Vec<JoseAlgorithm>, OidcConfigError> {
        let located = |source| OidcConfigError::Location {
            issuer: self.name.clone(),
            source,
        };
        location::check_issuer(&self.issuer, self.reach()).map_err(located)?;
        if let JwksSource::Url(url) = &self.jwks {
            location::check_endpoint(url.as_str(), self.reach()).map_err(located)?;
        }
        self.check_audiences()?;
        if !(1..=MAX_LIFETIME_SECS).contains(&self.max_lifetime_secs) {
            return Err(self.refused("`max_lifetime` is not between 1 s and 24 h"));
        }
        preset::check(self).map_err(|problem| self.refused(problem))?;
        self.check_algorithms()
    }

    /// RFC 8725bis section 3.9: an audience is checked always, so that there has to be one.
    fn check_audiences(&self) -> Result<(), OidcConfigError> {
        let distinct: BTreeSet<&String> = self.audiences.iter().collect();
        if self.audiences.is_empty() || self.audiences.len() > MAX_AUDIENCES {
            return Err(self.refused("`audiences` does not have 1 to 32 entries"));
        }
        if distinct.len() != self.audiences.len() || self.audiences.iter().any(String::is_empty) {
            return Err(self.refused("`audiences` has an entry that is empty or there twice"));
        }
        Ok(())
    }

    fn check_algorithms(&self) -> Result<Vec<JoseAlgorithm>, OidcConfigError> {
        let mut algorithms = Vec::with_capacity(self.algorithms.len());
        for name in &self.algorithms {
            let algorithm =
                JoseAlgorithm::from_name(name).ok_or_else(|| OidcConfigError::Algorithm {
                    issuer: self.name.clone(),
                    found: Excerpt::of(name),
                })?;
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        if algorithms.is_empty() {
            return Err(self.refused("`algorithms` is empty"));
        }
        Ok(algorithms)
    }

    fn refused(&self, problem: &'static str) -> OidcConfigError {
        OidcConfigError::Setting {
            issuer: self.name.clone(),
            problem,
        }
    }
}

impl fmt::Debug for OidcIssuerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcIssuerConfig")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .field("jwks", &self.jwks)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("Discovery"),
            Self::Url(url) => write!(f, "Url({url})"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Why the configuration of issuers was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcConfigError {
    /// An algorithm that is not one of those accepted.
    #[error(
        "issuer `{issuer}`: `{found}` is not an accepted algorithm; write RS256, PS256, ES256, ES384 or EdDSA"
    )]
    Algorithm {
        /// Whose configuration.
        issuer: Slug,
        /// What stands there.
        found: Excerpt,
    },
    /// Two issuers with one name.
    #[error("two issuers are named `{name}`")]
    DuplicateName {
        /// The name.
        name: Slug,
    },
    /// Two issuers with one identifier: nobody could tell their tokens apart.
    #[error("issuers `{first}` and `{second}` have the same identifier")]
    DuplicateIssuer {
        /// One of them.
        first: Slug,
        /// The other.
        second: Slug,
    },
    /// The fetcher could not be made, of bad `ca_pem` for example.
    #[error("issuer `{issuer}`: its keys cannot be fetched: {reason}")]
    Fetcher {
        /// Whose configuration.
        issuer: Slug,
        /// Why.
        reason: String,
    },
    /// A file of keys that cannot be used.
    #[error("issuer `{issuer}`: keys in {} are refused: {reason}", path.display())]
    File {
        /// Whose configuration.
        issuer: Slug,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A URL that must not be fetched.
    #[error("issuer `{issuer}`: a URL is refused")]
    Location {
        /// Whose configuration.
        issuer: Slug,
        /// What is wrong with it.
        source: LocationError,
    },
    /// A setting that cannot be.
    #[error("issuer `{issuer}`: {problem}")]
    Setting {
        /// Whose configuration.
        issuer: Slug,
        /// What is wrong with it.
        problem: &'static str,
    },
}
