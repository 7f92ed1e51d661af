//! What belongs around an API: a record of each call, counters, limits, and the way for clients to find the issuer. The
//! example `axum` has all of it.
//!
//! # Know who did what
//!
//! Each call is one `tracing` event, let in or refused: who (credential id, task, workload, owner), what (method and
//! route), and how it ended (status, or the code of the refusal). Its [fields](mod@crate::tower#events) are stable. Keep
//! them, and the issuer's record of the credential id answers why this caller had this right. For counters,
//! [`Metrics`](crate::tower::Metrics) prints the text that Prometheus reads; serve it on a route outside of the layer, or
//! better on a port of its own.
//!
//! ```
//! use axum::{Router, routing};
//! use dayfly_verifier::Verifier;
//! use tracing_subscriber::EnvFilter;
//!
//! fn api(verifier: &Verifier, routes: Router) -> Router {
//!     // A busy API keeps the refusals alone.
//!     let filter = EnvFilter::new("info,dayfly::access::accepted=off");
//!     tracing_subscriber::fmt().json().with_env_filter(filter).init();
//!     let layer = verifier.layer();
//!     let metrics = layer.metrics();
//!     routes.layer(layer).route("/metrics", routing::get(|| async move { metrics.to_string() }))
//! }
//! ```
//!
//! # Let clients find the issuer
//!
//! [`ResourceMetadata`](crate::tower::ResourceMetadata) is the document of RFC 9728 by which a client that was turned
//! away learns where to get a token. [`protected_resource`](crate::tower::VerifierLayer::protected_resource) makes every
//! challenge name it; its [`router`](crate::tower::ResourceMetadata::router) is merged after the layer is added, so that
//! it can be read without a token.
//!
//! ```
//! use axum::Router;
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::tower::{ResourceError, ResourceMetadata};
//!
//! fn api(verifier: &Verifier, routes: Router) -> Result<Router, ResourceError> {
//!     let metadata = ResourceMetadata::new("https://orders.internal")?.authorization_server(verifier.issuer());
//!     Ok(routes.layer(verifier.layer().protected_resource(&metadata)).merge(metadata.router()))
//! }
//! ```
//!
//! # Limit how often a workload calls
//!
//! [`RateLimit`](crate::tower::RateLimit), added before the verifier's layer so that it stands behind it. It counts in this
//! process alone; several replicas allow several times as much. Layers of axum that are added later stand further out, so
//! the order is:
//!
//! ```
//! # fn api(verifier: &dayfly_verifier::Verifier, routes: axum::Router) -> axum::Router {
//! use dayfly_verifier::tower::RateLimit;
//!
//! routes.layer(RateLimit::per_minute(600)).layer(verifier.layer())
//! # }
//! ```
