use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde_json::{Map, Value, json};
use tower_service::Service;

use crate::dpop::ALGORITHMS;

/// Where metadata of protected resources are (RFC 9728 section 3): between the host and the path of the resource.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// How long metadata may be cached, in seconds: as long as the issuer's own.
const CACHE: &str = "public, max-age=300";

/// What an API publishes about itself (RFC 9728): who issues tokens for it, and how they are presented. A client that
/// is turned away finds it by the challenge.
///
/// ```
/// # use axum::{Router, routing};
/// # use dayfly_verifier::Verifier;
/// use dayfly_verifier::tower::{ResourceError, ResourceMetadata};
///
/// # fn api(verifier: &Verifier) -> Result<Router, ResourceError> {
/// let metadata = ResourceMetadata::new("https://orders.internal/v1")?
///     .authorization_server(verifier.issuer())
///     .scope("orders:read");
/// assert_eq!(metadata.url(), "https://orders.internal/.well-known/oauth-protected-resource/v1");
///
/// let api = Router::new()
///     .route("/v1/orders", routing::get(|| async { "orders" }))
///     .layer(verifier.layer().protected_resource(&metadata))
///     .merge(metadata.router()); // outside of the layer: whoever has no token yet must be able to read it
/// # Ok(api)
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceMetadata {
    origin: String,
    path: String,
    members: Map<String, Value>,
}

/// Why a name is not that of a protected resource (RFC 9728 section 1.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A fragment, a query, or user information.
    #[error("the resource has a fragment, a query or user information")]
    Excess,
    /// A path that a route cannot have: a segment that begins with `:` or `*`, or a brace.
    #[error("the resource has a path that a router takes for a pattern")]
    Pattern,
    /// Not `https`, and not `http` on this machine.
    #[error("the resource is not an https URL")]
    Scheme,
    /// Not an absolute URL.
    #[error("the resource is not an absolute URL")]
    Url,
}

impl ResourceMetadata {
    /// The metadata of `resource`, an `https` URL: the name by which clients ask for tokens, and so usually the audience.
    /// `http` is for tests on this machine alone.
    ///
    /// # Errors
    /// If it is not such a URL.
    pub fn new(resource: &str) -> Result<Self, ResourceError> {
        if resource.contains(['#', '?', '@']) {
            return Err(ResourceError::Excess);
        }
        let uri: Uri = resource.parse().map_err(|_| ResourceError::Url)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ResourceError::Url);
        };
        if *scheme != Scheme::HTTPS && !(*scheme == Scheme::HTTP && is_local(authority.host())) {
            return Err(ResourceError::Scheme);
        }
        let path = uri.path();
        let is_pattern = |segment: &str| segment.starts_with([':', '*']);
        if path.contains(['{', '}']) || path.split('/').any(is_pattern) {
            return Err(ResourceError::Pattern);
        }
        let mut members = Map::new();
        members.insert("resource".to_owned(), json!(resource));
        members.insert("bearer_methods_supported".to_owned(), json!(["header"]));
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            // RFC 9728 section 3.1: a slash that ends the host is not part of the path.
            path: format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path }),
            members,
        })
    }

    /// An issuer whose tokens this API accepts; may be called more than once.
    pub fn authorization_server(self, issuer: &str) -> Self {
        self.listed("authorization_servers", issuer)
    }

    /// A scope that clients may ask for; may be called more than once.
    pub fn scope(self, scope: &str) -> Self {
        self.listed("scopes_supported", scope)
    }

    /// A type of authorization details that this API understands; may be called more than once.
    pub fn authorization_details_type(self, name: &str) -> Self {
        self.listed("authorization_details_types_supported", name)
    }

    /// This API accepts tokens that are bound to a key: its gate has a [base URL](super::Gate::base_url). Lists the
    /// algorithms of proofs, which are those of this crate and the same everywhere.
    pub fn dpop(self) -> Self {
        self.member("dpop_signing_alg_values_supported", json!(ALGORITHMS))
    }

    /// Whether this API accepts tokens that are bound to a client certificate (RFC 8705 section 3): it ends TLS itself.
    pub fn certificate_bound_tokens(self, supported: bool) -> Self {
        self.member(
            "tls_client_certificate_bound_access_tokens",
            json!(supported),
        )
    }

    /// Any other member, such as `resource_name` or `resource_documentation`. A later value replaces an earlier one.
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    fn listed(mut self, name: &str, value: &str) -> Self {
        let list = self.members.entry(name).or_insert_with(|| json!([]));
        match list {
            Value::Array(values) => values.push(json!(value)),
            other => *other = json!([value]),
        }
        self
    }

    /// The path under which it must be served, on the host of the resource.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The document.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// A service that answers GET and HEAD with the document, on whatever path it is asked.
    #[must_use]
    pub fn service(&self) -> MetadataService {
        MetadataService {
            document: self.json().to_string().into(),
        }
    }

    /// A router with the document under its [path](Self::path), to be merged with the API's outside of the layer.
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        axum::Router::new().route_service(&self.path, self.service())
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Answers with the metadata of a protected resource.
#[derive(Clone, Debug)]
pub struct MetadataService {
    document: Arc<str>,
}

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method())))
    }
}

impl MetadataService {
    fn answer(&self, method: &Method) -> Response<String> {
        let mut response = Response::new(String::new());
        if method != Method::GET && method != Method::HEAD {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
        if method == Method::GET {
            *response.body_mut() = self.document.as_ref().to_owned();
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        for (resource, url) in [
            (
                "https://api.example",
                "https://api.example/.well-known/oauth-protected-resource",
            ),
            (
                "https://api.example/",
                "https://api.example/.well-known/oauth-protected-resource",
            ),
            (
                "https://api.example:8443/v1/orders",
                "https://api.example:8443/.well-known/oauth-protected-resource/v1/orders",
            ),
            (
                "https://api.example/v1/",
                "https://api.example/.well-known/oauth-protected-resource/v1/",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
            ),
            (
                "http://[::1]/a",
                "http://[::1]/.well-known/oauth-protected-resource/a",
            ),
        ] {
            let metadata = ResourceMetadata::new(resource).unwrap();
            assert_eq!(metadata.url(), url);
            // RFC 9728 section 3.3: byte by byte what the client used.
            assert_eq!(metadata.json()["resource"], resource);
        }
    }

    #[test]
    fn what_names_no_resource() {
        for (resource, error) in [
            ("", ResourceError::Url),
            ("orders", ResourceError::Url),
            ("/orders", ResourceError::Url),
            ("urn:orders", ResourceError::Url),
            ("http://api.example", ResourceError::Scheme),
            ("ftp://localhost", ResourceError::Scheme),
            ("https://api.example/#a", ResourceError::Excess),
            ("https://api.example?a=b", ResourceError::Excess),
            ("https://user@api.example", ResourceError::Excess),
            ("https://api.example/:id", ResourceError::Pattern),
            ("https://api.example/*", ResourceError::Pattern),
        ] {
            assert_eq!(
                ResourceMetadata::new(resource).map(|found| found.url()),
                Err(error),
                "{resource}"
            );
        }
    }
}
