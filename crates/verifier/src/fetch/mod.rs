//! The one GET that everything here fetches with: bounded in time and size, over TLS, without redirects, proxies,
//! cookies or decompression.

mod address;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::{Host, Url};

use address::{PublicOnly, is_public};

/// Longest wait for a connection: two retransmissions of a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest document unless said otherwise: what a key set may have.
const DEFAULT_MAX_BYTES: usize = 256 * 1024;

/// Longest `ETag` that is sent back.
const MAX_ETAG_BYTES: usize = 256;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Trust these certificates (PEM) and no others; `None` trusts the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Longest time for a whole answer.
    pub timeout: Duration,
    /// Largest answer in bytes.
    pub max_bytes: usize,
    /// Allow `http:` as well. Only for tests on loopback: whoever is on the path then decides whom to trust.
    pub allow_http: bool,
    /// Refuse addresses that are not public (loopback, private, link-local and the like), after resolution too,
    /// so that a name that points inwards reaches nothing.
    pub public_addresses_only: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            ca_pem: None,
            timeout: Duration::from_secs(10),
            max_bytes: DEFAULT_MAX_BYTES,
            allow_http: false,
            public_addresses_only: false,
        }
    }
}

/// Why nothing was fetched. URLs are named by whoever asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The CA certificates are not acceptable PEM, or there are none.
    #[error("the CA certificates cannot be used: {detail}")]
    Authorities {
        /// What is wrong with them.
        detail: String,
    },
    /// The answer is compressed, which was not asked for.
    #[error("the answer is compressed")]
    Encoded,
    /// Connection, TLS or HTTP failed.
    #[error("the request failed")]
    Http {
        /// How.
        source: reqwest::Error,
    },
    /// The URL leads to an address that is not public.
    #[error("`{host}` is not a public address")]
    PrivateAddress {
        /// The address.
        host: String,
    },
    /// Not an `https:` URL with a host and without user information.
    #[error("not a fetchable https URL")]
    Scheme,
    /// Any status but 200, redirects included; or 304 without having been asked.
    #[error("status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// Not all of it came in time.
    #[error("no complete answer within {seconds} s")]
    TimedOut {
        /// The limit in seconds.
        seconds: u64,
    },
    /// rustls refuses the configuration.
    #[error("no TLS configuration")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
    /// The answer is longer than allowed.
    #[error("the answer has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// An answer with status 200, or 304 to a GET with an `ETag`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// 200 or 304.
    pub status: u16,
    /// The body; empty with 304.
    pub body: Vec<u8>,
    /// The entity tag, for the next GET.
    pub etag: Option<String>,
    /// For how many seconds the answer may be used without asking again.
    pub max_age: Option<u64>,
}

impl Fetched {
    /// Whether what is known already is still right.
    #[must_use]
    pub const fn is_not_modified(&self) -> bool {
        self.status == 304
    }
}

/// Fetches. Cloning is cheap, and clones share connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    timeout: Duration,
    max_bytes: usize,
    allow_http: bool,
    public_addresses_only: bool,
}

impl Fetcher {
    /// A fetcher. Reads the system's certificates if no others are given.
    ///
    /// # Errors
    /// If the CA certificates are not acceptable or TLS cannot be set up.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let tls = client_config(options.ca_pem.as_deref())?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(!options.allow_http)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("dayfly-verifier/", env!("CARGO_PKG_VERSION")));
        if options.public_addresses_only {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
        Ok(Self {
            client: builder.build().map_err(without_url)?,
            timeout: options.timeout,
            max_bytes: options.max_bytes,
            allow_http: options.allow_http,
            public_addresses_only: options.public_addresses_only,
        })
    }

    /// The same fetcher for answers of another size.
    #[must_use]
    pub fn with_limits(&self, max_bytes: usize, timeout: Duration) -> Self {
        Self {
            max_bytes,
            timeout,
            ..self.clone()
        }
    }

    /// GETs `url`; with `etag`, only if it has changed.
    ///
    /// # Errors
    /// If the URL is not allowed, the request fails, or the answer is not 200 (or 304 if asked) within the limits.
    pub async fn get(&self, url: &Url, etag: Option<&str>) -> Result<Fetched, FetchError> {
        self.check(url)?;
        tokio::time::timeout(self.timeout, self.get_unbounded(url, etag))
            .await
            .unwrap_or(Err(FetchError::TimedOut {
                seconds: self.timeout.as_secs(),
            }))
    }

    async fn get_unbounded(&self, url: &Url, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let mut request = self.client.get(url.clone());
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let mut response = request.send().await.map_err(without_url)?;
        let status = response.status();
        if status != StatusCode::OK && !(status == StatusCode::NOT_MODIFIED && etag.is_some()) {
            return Err(FetchError::Status {
                status: status.as_u16(),
            });
        }
        if response
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            return Err(FetchError::Encoded);
        }
        let (etag, max_age) = (etag_of(response.headers()), max_age_of(response.headers()));
        let body = self.body_of(&mut response).await?;
        Ok(Fetched {
            status: status.as_u16(),
            body,
            etag,
            max_age,
        })
    }

    async fn body_of(&self, response: &mut Response) -> Result<Vec<u8>, FetchError> {
        let too_long = FetchError::TooLong {
            limit: self.max_bytes,
        };
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > self.max_bytes) {
            return Err(too_long);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(too_long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Opens a stream of events: only the head of the answer is bounded here.
    pub(crate) async fn open(&self, url: &Url) -> Result<Response, FetchError> {
        self.check(url)?;
        let request = self
            .client
            .get(url.clone())
            .header(ACCEPT, "text/event-stream")
            .send();
        let response = tokio::time::timeout(self.timeout, request)
            .await
            .map_err(|_| FetchError::TimedOut {
                seconds: self.timeout.as_secs(),
            })?
            .map_err(without_url)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(FetchError::Status {
                status: status.as_u16(),
            }),
        }
    }

    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let fetchable = url.scheme() == "https" || (self.allow_http && url.scheme() == "http");
        if !fetchable || !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Scheme);
        }
        // The resolver is not asked about addresses, only about names.
        let address = match url.host() {
            None => return Err(FetchError::Scheme),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        if self.public_addresses_only && !is_public(address) {
            return Err(FetchError::PrivateAddress {
                host: address.to_string(),
            });
        }
        Ok(())
    }
}

fn client_config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore::empty();
    let certificates = match ca_pem {
        Some(pem) => CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| FetchError::Authorities {
                detail: crate::pem::problem(&error).to_owned(),
            })?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 && ca_pem.is_some() {
        return Err(FetchError::Authorities {
            detail: "there are none".to_owned(),
        });
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| FetchError::Tls { source })?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn without_url(error: reqwest::Error) -> FetchError {
    FetchError::Http {
        source: error.without_url(),
    }
}

fn etag_of(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.len() <= MAX_ETAG_BYTES).then(|| etag.to_owned())
}

/// RFC 9111 section 5.2.2: `no-store` and `no-cache` mean to ask again each time.
fn max_age_of(headers: &HeaderMap) -> Option<u64> {
    let mut max_age = None;
    // RFC 9110 section 5.3: several fields are one list.
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let directives = fields.filter_map(|field| field.to_str().ok());
    for directive in directives.flat_map(|field| field.split(',')).map(str::trim) {
        match directive.split_once('=') {
            None if directive.eq_ignore_ascii_case("no-store")
                || directive.eq_ignore_ascii_case("no-cache") =>
            {
                return Some(0);
            }
            Some((name, seconds)) if name.eq_ignore_ascii_case("max-age") => {
                max_age = seconds.trim_matches('"').parse().ok();
            }
            _ => {}
        }
    }
    max_age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control() {
        let age = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            max_age_of(&headers)
        };
        assert_eq!(age("public, max-age=30"), Some(30));
        assert_eq!(age("MAX-AGE=\"60\""), Some(60));
        assert_eq!(age("no-store"), Some(0));
        assert_eq!(age("max-age=30, no-cache"), Some(0));
        assert_eq!(age("private"), None);
        assert_eq!(age("max-age=-1"), None);
        assert_eq!(max_age_of(&HeaderMap::new()), None);
        let mut several = HeaderMap::new();
        several.append(CACHE_CONTROL, "max-age=3600".parse().unwrap());
        several.append(CACHE_CONTROL, "no-store".parse().unwrap());
        assert_eq!(max_age_of(&several), Some(0));
    }

    #[tokio::test]
    async fn urls_that_are_never_fetched() {
        let fetcher = Fetcher::new(FetchOptions {
            public_addresses_only: true,
            ..FetchOptions::default()
        })
        .unwrap();
        for url in [
            "http://example.org/",
            "file:///etc/passwd",
            "ftp://example.org/",
            "data:,x",
            "https://user@example.org/",
            "https://:secret@example.org/",
        ] {
            let refused = fetcher.get(&url.parse().unwrap(), None).await;
            assert!(
                matches!(refused, Err(FetchError::Scheme)),
                "{url} {refused:?}"
            );
        }
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            let refused = fetcher.get(&url.parse().unwrap(), None).await;
            assert!(
                matches!(refused, Err(FetchError::PrivateAddress { .. })),
                "{url} {refused:?}"
            );
        }
        // By name, after resolution.
        let refused = fetcher
            .get(&"https://localhost/".parse().unwrap(), None)
            .await;
        assert!(
            matches!(refused, Err(FetchError::Http { .. })),
            "{refused:?}"
        );
    }
}
